//! A process that is killed at any moment loses nothing that it acknowledged.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    sync::Arc,
};

use tower_auth_session::{
    SessionId, Subject,
    store::{RenewOutcome, SessionKey, SessionRecord, SessionStore as _, SqliteStore},
};

use super::{at, end, renew, session, sqlite::Folder};

const FILE: &str = "SESSIONS_TO_BE_KILLED";
const ROUNDS: u32 = 10;

/// The process that is killed: signs in, and signs every other one out again, several at a time.
#[tokio::main]
async fn sign_in_and_out(file: &str) {
    let store = Arc::new(SqliteStore::open(file).await.unwrap());
    store.migrate().await.unwrap();
    let tasks = (0..4).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for n in 0.. {
                let session = session();
                store.create(&session, None).await.unwrap();
                acknowledge("in", &session);
                if n % 2 == 0 {
                    end(&*store, &session).await;
                    acknowledge("out", &session);
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

fn acknowledge(what: &str, session: &SessionRecord) {
    // One write for each line, so that none is cut.
    let line = format!("{what} {} {}\n", session.id, session.subject);
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}

#[test]
fn killed_at_any_moment_nothing_acknowledged_is_lost() {
    if let Ok(file) = env::var(FILE) {
        return sign_in_and_out(&file);
    }
    let folder = Folder::new();
    let mut known: Vec<(SessionKey, bool)> = Vec::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "kill::killed_at_any_moment_nothing_acknowledged_is_lost"])
            .args(["--nocapture", "--quiet"])
            .env(FILE, folder.file())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Not a multiple of anything, and it stops wherever it is by then.
        let most = 11 + 17 * round as usize;
        let mut acknowledged = 0;
        for line in lines {
            let line = line.unwrap();
            let mut words = line.splitn(3, ' ');
            let (Some(what @ ("in" | "out")), Some(id), Some(subject)) =
                (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let id: SessionId = id.parse().unwrap();
            let subject = Subject::new(subject).unwrap();
            if what == "in" {
                known.push((SessionKey::new(id, subject), false));
            } else {
                known.iter_mut().find(|(key, _)| key.id == id).unwrap().1 = true;
            }
            acknowledged += 1;
            if acknowledged == most {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acknowledged >= most, "it ran until it was killed");
        check(&folder, &known);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn check(folder: &Folder, known: &[(SessionKey, bool)]) {
    let store = SqliteStore::open(folder.file()).await.unwrap();
    for (key, is_out) in known {
        let session = SessionRecord::new(key.id, key.subject.clone(), at(1_000), at(2_000));
        let renewed = renew(&store, &session).await.unwrap();
        match renewed {
            // A sign-out may have happened and not been said.
            RenewOutcome::Revoked => {}
            RenewOutcome::Active(_) => assert!(!is_out, "{key:?} is alive again"),
            other => panic!("{key:?} signed in and is {other:?}"),
        }
    }
    let keys: Vec<_> = known.iter().map(|(key, _)| key.clone()).collect();
    let alive = store.load(&keys, at(1_500)).await.unwrap().into_iter().flatten().count();
    assert!(alive > 0, "somebody is signed in");
}

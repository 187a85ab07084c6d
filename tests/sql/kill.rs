//! A process that is killed at any moment loses no acknowledged change.

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

use super::{at, renew, revoke, session, sqlite::Folder};

const FILE: &str = "SESSIONS_TO_BE_KILLED";
const ROUNDS: u32 = 10;

/// The process that is killed: four tasks sign in, and sign out every other session.
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
                    revoke(&*store, &session).await;
                    acknowledge("out", &session);
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

fn acknowledge(action: &str, session: &SessionRecord) {
    // One write per line, so that no line is truncated.
    let line = format!("{action} {} {}\n", session.id, session.subject);
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}

#[test]
fn sqlite_process_killed_at_any_moment_loses_nothing_acknowledged() {
    if let Ok(file) = env::var(FILE) {
        return sign_in_and_out(&file);
    }
    let folder = Folder::new();
    let mut known: Vec<(SessionKey, bool)> = Vec::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "kill::sqlite_process_killed_at_any_moment_loses_nothing_acknowledged",
            ])
            .args(["--nocapture", "--quiet"])
            .env(FILE, folder.file())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // A varying number, so that the process is killed at different points.
        let limit = 11 + 17 * round as usize;
        let mut acknowledged = 0;
        for line in lines {
            let line = line.unwrap();
            let mut parts = line.splitn(3, ' ');
            let (Some(action @ ("in" | "out")), Some(id), Some(subject)) =
                (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            let id: SessionId = id.parse().unwrap();
            let subject = Subject::new(subject).unwrap();
            if action == "in" {
                known.push((SessionKey::new(id, subject), false));
            } else {
                known.iter_mut().find(|(key, _)| key.id == id).unwrap().1 = true;
            }
            acknowledged += 1;
            if acknowledged == limit {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acknowledged >= limit, "the process exited before it was killed");
        check(&folder, &known);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn check(folder: &Folder, known: &[(SessionKey, bool)]) {
    let store = SqliteStore::open(folder.file()).await.unwrap();
    for (key, is_signed_out) in known {
        let session = SessionRecord::new(key.id, key.subject.clone(), at(1_000), at(2_000));
        let renewed = renew(&store, &session).await.unwrap();
        match renewed {
            // A sign-out may have been written but not acknowledged.
            RenewOutcome::Revoked => {}
            RenewOutcome::Active(_) => assert!(!is_signed_out, "{key:?} is valid again"),
            other => panic!("{key:?} signed in and is {other:?}"),
        }
    }
    let keys: Vec<_> = known.iter().map(|(key, _)| key.clone()).collect();
    let valid = store.load(&keys, at(1_500)).await.unwrap().into_iter().flatten().count();
    assert!(valid > 0, "no session is valid");
}

//! The demo on an SQLite file, killed at random moments.

use std::{
    env, fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{
    browser::Dice,
    fleet::with_the_caller,
    is_long,
    site::{Site, accounts},
    web::{Jar, Web},
};

const USERS: [&str; 6] = ["ada", "grace", "linus", "barbara", "edsger", "donald"];

/// How many write at once.
const WRITERS: u64 = 8;

/// What a writer was told.
#[derive(Default)]
struct Told {
    live: Vec<(String, Jar)>,
    ended: Vec<(String, Jar)>,
}

/// What goes with the test.
struct Here {
    site: Mutex<Option<Site>>,
    folder: PathBuf,
}

impl Here {
    fn start(&self) -> (String, String) {
        let store = format!("sqlite:{}", self.folder.join("sessions.sqlite").display());
        let settings = [
            ("SESSION_STORE", &*store),
            ("SESSION_SECRET", "the same secret before and after"),
            ("SESSION_RENEW_AFTER", "1s"),
        ];
        let site = Site::start_with(&mut accounts(&settings));
        let place = (site.address.clone(), site.origin());
        *self.site.lock().unwrap() = Some(site);
        place
    }

    fn stop(&self) {
        *self.site.lock().unwrap() = None;
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Nothing that was acknowledged is lost: who is in stays in, who is out stays out.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "scripts/fleet runs it"]
async fn killed_on_sqlite() {
    let rounds = if is_long() { 50 } else { 10 };
    let folder = env::temp_dir().join(format!("fleet-sqlite-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let here = Arc::new(Here { site: Mutex::default(), folder });
    let all = Arc::downgrade(&here);
    with_the_caller(move |now| {
        let here = all.upgrade();
        if let (Some(here), true) = (&here, now) {
            here.stop();
            let _ = fs::remove_dir_all(&here.folder);
        }
        here.is_some()
    });

    let mut dice = Dice::new(u64::from(std::process::id()));
    let (mut all, mut slowest) = (Told::default(), Duration::ZERO);
    for round in 0..rounds {
        let (address, origin) = here.start();
        let web = Web::new(origin);
        let writers = (0..WRITERS).map(|number| {
            tokio::spawn(write(web.clone(), address.clone(), round * WRITERS + number))
        });
        let writers: Vec<_> = writers.collect();
        sleep(Duration::from_millis(50 + dice.roll(500))).await;
        here.stop();
        let mut told = Told::default();
        for writer in writers {
            let writer = writer.await.unwrap();
            told.live.extend(writer.live);
            told.ended.extend(writer.ended);
        }

        let start = Instant::now();
        let (address, origin) = here.start();
        slowest = slowest.max(start.elapsed());
        let web = Web::new(origin);
        for (id, jar) in &mut told.live {
            is_in(&web, &address, id, jar).await;
        }
        for (id, jar) in &told.ended {
            is_out(&web, &address, id, jar).await;
        }
        here.stop();
        all.live.extend(told.live);
        all.ended.extend(told.ended);
    }

    // All tokens are due now: it is the file that answers.
    let (address, origin) = here.start();
    let web = Web::new(origin);
    sleep(Duration::from_secs(2)).await;
    for (id, jar) in &mut all.live {
        is_in(&web, &address, id, jar).await;
    }
    for (id, jar) in &all.ended {
        let reply = web.get(&address, "/api/me", jar).await;
        assert_eq!(reply.status, 401, "{id} was signed out");
    }
    println!(
        "\n  SQLite: killed {rounds} times under load; {} sign-ins and {} sign-outs had been \
         acknowledged, none is lost; up again in {slowest:?} at most",
        all.live.len() + all.ended.len(),
        all.ended.len()
    );
    assert!(all.live.len() > 20 && all.ended.len() > 20);
}

/// Signs in, and out of every other session, until nobody answers.
async fn write(web: Web, address: String, seed: u64) -> Told {
    let mut dice = Dice::new(seed + 1);
    let mut told = Told::default();
    loop {
        let mut jar = Jar::default();
        let user = USERS[dice.roll(6) as usize];
        let reply = web.post(&address, "/sign-in", &jar, format!("user={user}")).await;
        match reply.status {
            303 => {
                jar.take(&reply.set);
                told.live.push((reply.begun(&Jar::default()).unwrap(), jar));
            }
            0 => return told,
            _ => {}
        }
        if dice.roll(2) == 0 && !told.live.is_empty() {
            let number = dice.roll(told.live.len() as u64) as usize;
            // Whose end is asked for and not acknowledged may be either.
            let (id, jar) = told.live.swap_remove(number);
            let reply = web.post(&address, "/sign-out", &jar, format!("session_id={id}")).await;
            match reply.status {
                303 => told.ended.push((id, jar)),
                0 => return told,
                _ => {}
            }
        }
    }
}

async fn is_in(web: &Web, address: &str, id: &str, jar: &mut Jar) {
    let start = Instant::now();
    loop {
        let reply = web.get(address, "/api/me", jar).await;
        assert_ne!(reply.status, 401, "{id} had signed in");
        if reply.status == 200 {
            assert_eq!(reply.json()["session_id"], *id);
            jar.take(&reply.set);
            return;
        }
        // A busy disk: asked again.
        assert!(start.elapsed() < Duration::from_secs(10), "{id}: {}", reply.status);
        sleep(Duration::from_millis(50)).await;
    }
}

/// A process that has just started reads what ended while it serves already.
async fn is_out(web: &Web, address: &str, id: &str, jar: &Jar) {
    let start = Instant::now();
    while web.get(address, "/api/me", jar).await.status != 401 {
        assert!(start.elapsed() < Duration::from_secs(6), "{id} had signed out");
        sleep(Duration::from_millis(20)).await;
    }
}

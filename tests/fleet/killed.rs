//! The demo with an SQLite file, killed at random moments.

use std::{
    env, fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{
    browser::Random,
    fleet::stop_with_the_caller,
    is_long,
    site::{Site, accounts},
    web::{Jar, Web},
};

const USERS: [&str; 6] = ["ada", "grace", "linus", "barbara", "emil", "donald"];

/// The number of concurrent writers.
const WRITERS: u64 = 8;

/// The sessions that were acknowledged to a writer.
#[derive(Default)]
struct Acknowledged {
    signed_in: Vec<(String, Jar)>,
    signed_out: Vec<(String, Jar)>,
}

/// The demo and its folder, removed when the test ends.
struct Demo {
    site: Mutex<Option<Site>>,
    folder: PathBuf,
}

impl Demo {
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

impl Drop for Demo {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Acknowledged sign-ins stay signed in, and acknowledged sign-outs stay signed out.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "scripts/fleet runs it"]
async fn sqlite_demo_killed_at_random_moments_loses_nothing_acknowledged() {
    let rounds = if is_long() { 50 } else { 10 };
    let folder = env::temp_dir().join(format!("fleet-sqlite-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let demo = Arc::new(Demo { site: Mutex::default(), folder });
    let all = Arc::downgrade(&demo);
    stop_with_the_caller(move |now| {
        let demo = all.upgrade();
        if let (Some(demo), true) = (&demo, now) {
            demo.stop();
            let _ = fs::remove_dir_all(&demo.folder);
        }
        demo.is_some()
    });

    let mut random = Random::new(u64::from(std::process::id()));
    let (mut all, mut slowest) = (Acknowledged::default(), Duration::ZERO);
    for round in 0..rounds {
        let (address, origin) = demo.start();
        let web = Web::new(origin);
        let writers = (0..WRITERS).map(|number| {
            tokio::spawn(write(web.clone(), address.clone(), round * WRITERS + number))
        });
        let writers: Vec<_> = writers.collect();
        sleep(Duration::from_millis(50 + random.below(500))).await;
        demo.stop();
        let mut acknowledged = Acknowledged::default();
        for writer in writers {
            let writer = writer.await.unwrap();
            acknowledged.signed_in.extend(writer.signed_in);
            acknowledged.signed_out.extend(writer.signed_out);
        }

        let start = Instant::now();
        let (address, origin) = demo.start();
        slowest = slowest.max(start.elapsed());
        let web = Web::new(origin);
        for (id, jar) in &mut acknowledged.signed_in {
            check_signed_in(&web, &address, id, jar).await;
        }
        for (id, jar) in &acknowledged.signed_out {
            check_signed_out(&web, &address, id, jar).await;
        }
        demo.stop();
        all.signed_in.extend(acknowledged.signed_in);
        all.signed_out.extend(acknowledged.signed_out);
    }

    // All tokens are due now, so each session is confirmed with the file.
    let (address, origin) = demo.start();
    let web = Web::new(origin);
    sleep(Duration::from_secs(2)).await;
    for (id, jar) in &mut all.signed_in {
        check_signed_in(&web, &address, id, jar).await;
    }
    for (id, jar) in &all.signed_out {
        let reply = web.get(&address, "/api/me", jar).await;
        assert_eq!(reply.status, 401, "{id} was signed out");
    }
    println!(
        "\n  SQLite: killed {rounds} times under load; {} sign-ins and {} sign-outs had been \
         acknowledged, none is lost; up again in {slowest:?} at most",
        all.signed_in.len() + all.signed_out.len(),
        all.signed_out.len()
    );
    assert!(all.signed_in.len() > 20 && all.signed_out.len() > 20);
}

/// Signs in, and out of about half of the sessions, until the process is killed.
async fn write(web: Web, address: String, seed: u64) -> Acknowledged {
    let mut random = Random::new(seed + 1);
    let mut acknowledged = Acknowledged::default();
    loop {
        let mut jar = Jar::default();
        let user = USERS[random.below(6) as usize];
        let reply = web.post(&address, "/sign-in", &jar, format!("user={user}")).await;
        match reply.status {
            303 => {
                jar.store(&reply.set);
                acknowledged.signed_in.push((reply.session_started(&Jar::default()).unwrap(), jar));
            }
            0 => return acknowledged,
            _ => {}
        }
        if random.below(2) == 0 && !acknowledged.signed_in.is_empty() {
            let number = random.below(acknowledged.signed_in.len() as u64) as usize;
            // If the sign-out is not acknowledged, the session may be in either state.
            let (id, jar) = acknowledged.signed_in.swap_remove(number);
            let reply = web.post(&address, "/sign-out", &jar, format!("session_id={id}")).await;
            match reply.status {
                303 => acknowledged.signed_out.push((id, jar)),
                0 => return acknowledged,
                _ => {}
            }
        }
    }
}

async fn check_signed_in(web: &Web, address: &str, id: &str, jar: &mut Jar) {
    let start = Instant::now();
    loop {
        let reply = web.get(address, "/api/me", jar).await;
        assert_ne!(reply.status, 401, "{id} had signed in");
        if reply.status == 200 {
            assert_eq!(reply.json()["session_id"], *id);
            jar.store(&reply.set);
            return;
        }
        // A busy disk: try again.
        assert!(start.elapsed() < Duration::from_secs(10), "{id}: {}", reply.status);
        sleep(Duration::from_millis(50)).await;
    }
}

/// A process that has just started accepts requests while it still reads the feed.
async fn check_signed_out(web: &Web, address: &str, id: &str, jar: &Jar) {
    let start = Instant::now();
    while web.get(address, "/api/me", jar).await.status != 401 {
        assert!(start.elapsed() < Duration::from_secs(6), "{id} had signed out");
        sleep(Duration::from_millis(20)).await;
    }
}

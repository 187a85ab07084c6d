//! A key file that is replaced, truncated, half written or removed while it is read.

use std::{
    fs,
    io::Write as _,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use http::{Request, header};
use serde_json::json;
use tower_auth_session::{
    SessionEngine, SignIn,
    keys::{KeyFile, KeyFileEvent},
    testing::cookie_of,
    time::Timestamp,
};

use super::{Folder, new, old};
use crate::support::{START, User, subject, user};

/// Writes the file in two halves, so that a reader can see the first one alone.
fn write_in_halves(path: &std::path::Path, text: &str) {
    let mut file = fs::File::create(path).unwrap();
    let (first, second) = text.split_at(text.len() / 2);
    file.write_all(first.as_bytes()).unwrap();
    file.flush().unwrap();
    thread::yield_now();
    file.write_all(second.as_bytes()).unwrap();
}

/// Whatever happens to the file, the ring is always one that was complete in it: it signs, and it accepts
/// the tokens that it signs.
#[test]
fn key_file_read_during_changes_always_gives_a_complete_ring() {
    let folder = Folder::new("race");
    let text = |signing: &str| json!({ "signing": signing, "keys": [old(), new()] }).to_string();
    folder.write(&text("old"));
    let is_complete = |kids: &[String]| {
        let kids: Vec<_> = kids.iter().map(String::as_str).collect();
        kids == ["old", "new"] || kids == ["new", "old"]
    };
    let keys = KeyFile::open_with(folder.file(), move |event| {
        if let KeyFileEvent::Changed { kids, .. } = event {
            assert!(is_complete(kids), "{kids:?}");
        }
    });
    let keys = keys.unwrap();
    let engine = SessionEngine::<User>::builder(keys.ring()).build().unwrap();
    let is_done = AtomicBool::new(false);
    let changes = thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut changes = 0;
                    while !is_done.load(Ordering::Relaxed) {
                        changes += u32::from(keys.reload());
                    }
                    changes
                })
            })
            .collect();
        let user = scope.spawn(|| {
            let at = Timestamp::from_unix_seconds(START);
            while !is_done.load(Ordering::Relaxed) {
                assert!(is_complete(&keys.ring().kids()));
                let sign_in = SignIn::new(subject("ada"), user("Ada"));
                let cookie = cookie_of(&engine, sign_in, at).unwrap();
                let request = Request::get("/").header(header::COOKIE, cookie).body(()).unwrap();
                assert!(engine.open(&request, at).session().is_some());
            }
        });
        let aside = folder.0.join("aside.json");
        for round in 0..150 {
            let text = text(if round % 2 == 0 { "new" } else { "old" });
            match round % 5 {
                0 => {
                    fs::write(&aside, &text).unwrap();
                    fs::rename(&aside, folder.file()).unwrap();
                }
                1 => write_in_halves(&folder.file(), &text),
                2 => {
                    fs::remove_file(folder.file()).unwrap();
                    thread::yield_now();
                    folder.write(&text);
                }
                3 => {
                    folder.write("");
                    thread::yield_now();
                    folder.write("{\"keys\":[]}");
                    thread::yield_now();
                    folder.write(&text);
                }
                _ => {
                    write_in_halves(&folder.0.join("new.pem"), super::P256);
                    folder.write(&text);
                }
            }
            // Every 15 rounds the writer waits until the ring has its change, or the load of the machine
            // would decide how many changes are read. 15 is odd, so these rounds use both keys in turn.
            if round % 15 == 0 {
                let signing = if round % 2 == 0 { "new" } else { "old" };
                while keys.ring().kids()[0] != signing {
                    assert!(
                        !readers.iter().any(thread::ScopedJoinHandle::is_finished),
                        "the thread panicked, see above"
                    );
                    thread::yield_now();
                }
            }
            assert!(!user.is_finished(), "the thread panicked, see above");
        }
        is_done.store(true, Ordering::Relaxed);
        user.join().unwrap();
        readers.into_iter().map(|reader| reader.join().unwrap()).sum::<u32>()
    });
    assert!(changes >= 10, "the writer waited for ten changes, and {changes} were reported");
    folder.write(&text("new"));
    keys.reload();
    assert_eq!(keys.ring().kids(), ["new", "old"], "later changes are read too");
}

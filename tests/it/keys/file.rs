//! Keys in a file that changes. The watch uses tokio's clock, which is paused.

use std::{
    fs, io,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tower_auth_session::{
    keys::{KeyFile, KeyFileEvent},
    time::Timestamp,
};

use super::{Folder, new, old};
use crate::support::seconds;

const FAR_FUTURE: u64 = 4_000_000_000;

#[tokio::test(start_paused = true)]
async fn key_file_changes_errors_and_removal_are_followed_and_reported() {
    let folder = Folder::new("followed");
    folder.write(&json!({ "keys": [old()] }).to_string());
    let events = Arc::<Mutex<Vec<KeyFileEvent>>>::default();
    let sink = Arc::clone(&events);
    let keys =
        KeyFile::open_with(folder.file(), move |event| sink.lock().unwrap().push(event.clone()));
    let keys = keys.unwrap();
    let ring = keys.ring();
    assert_eq!(ring.kids(), ["old"]);
    let watch = tokio::spawn(keys.clone().watch());
    let events = async || {
        // Time for several reads: an error is reported once.
        tokio::time::sleep(seconds(35)).await;
        std::mem::take(&mut *events.lock().unwrap())
    };
    assert_eq!(events().await, []);

    let text = json!({ "signing": "old", "keys": [old(), new()] }).to_string();
    folder.write(&text[..text.len() / 2]);
    assert!(matches!(events().await[..], [KeyFileEvent::Invalid { .. }]), "half written");
    assert_eq!(ring.kids(), ["old"]);
    folder.write(&text);
    assert!(
        matches!(&events().await[..], [KeyFileEvent::Changed { kids, .. }] if *kids == ["old", "new"])
    );

    fs::remove_file(folder.file()).unwrap();
    assert!(matches!(
        events().await[..],
        [KeyFileEvent::ReadFailed { kind: io::ErrorKind::NotFound, .. }]
    ));
    assert_eq!(ring.kids(), ["old", "new"]);
    folder.write(&text);
    assert_eq!(events().await, [], "nothing has changed");

    folder.write_both("new");
    assert_eq!(events().await.len(), 1);
    assert_eq!(ring.kids(), ["new", "old"]);
    // A change of a referenced PEM file is a change of the key file.
    fs::write(folder.0.join("new.pem"), "-----BEGIN PRIVATE KEY-----").unwrap();
    assert!(matches!(events().await[..], [KeyFileEvent::Invalid { .. }]));
    fs::write(folder.0.join("new.pem"), super::P256).unwrap();
    assert_eq!((events().await, ring.kids()), (vec![], vec!["new".to_owned(), "old".to_owned()]));

    let mut retired = old();
    retired["exp"] = 1_800_000_000.into();
    folder.write(&json!({ "signing": "new", "keys": [retired, new()] }).to_string());
    assert_eq!(events().await.len(), 1);
    let shown = |at| ring.public_jwks(Timestamp::from_unix_seconds(at)).matches("kid").count();
    assert_eq!((shown(1_799_999_999), shown(1_800_000_000)), (2, 1));
    // Keys that are no longer in the file are no longer trusted.
    folder.write(&json!({ "keys": [new()] }).to_string());
    assert!(keys.reload() && !keys.reload());
    assert_eq!(ring.kids(), ["new"]);
    watch.abort();
}

#[test]
fn key_file_contents_are_validated() {
    let folder = Folder::new("contents");
    let open = |value: Value| {
        folder.write(&value.to_string());
        KeyFile::open(folder.file())
    };
    let oct = json!({ "kty": "oct", "alg": "HS256", "kid": "hmac", "k": "aFR6OXYyUXAwc1hhN0xtUjRrSmM4V2ZZMWJOZzZVZUQ" });
    let public = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    // A key file for a migration from HMAC, a key without a `kid`, and a set of public keys.
    let mixed = open(json!({ "signing": "new", "keys": [oct, new(), public] })).unwrap();
    assert_eq!(mixed.ring().kids(), ["new", "hmac", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"]);
    assert_eq!(
        mixed.ring().public_jwks(Timestamp::from_unix_seconds(FAR_FUTURE)).matches("kid").count(),
        2
    );
    assert_eq!(open(json!({ "keys": [public] })).unwrap().ring().kids().len(), 1);
    // Both alphabets of base64.
    let flow_keys = [
        "+/9v2Qp0sXa7LmR4kJc8WfY1bNg6UeDhTz9v2Qp0sXc=",
        "-_9v2Qp0sXa7LmR4kJc8WfY1bNg6UeDhTz9v2Qp0sXY",
    ];
    assert!(open(json!({ "keys": [old()], "flow_keys": flow_keys })).is_ok());

    let with = |mut key: Value, name: &str, value: Value| {
        key[name] = value;
        key
    };
    for (file, events) in [
        (json!([]), "key file"),
        (json!({}), "key file"),
        (json!({ "keys": [] }), "keys"),
        (json!({ "keys": [old(), new()] }), "signing"),
        (json!({ "signing": "other", "keys": [old(), new()] }), "signing"),
        (json!({ "signing": "public", "keys": [with(public, "kid", "public".into())] }), "signing"),
        (json!({ "keys": [old(), with(old(), "pem", "new.pem".into())] }), "keys[1].pem"),
        (json!({ "keys": [with(old(), "pem", "none.pem".into())] }), "keys[0].pem"),
        (json!({ "keys": [with(old(), "kty", "OKP".into())] }), "keys[0].pem"),
        (json!({ "keys": [with(old(), "kid", 7.into())] }), "keys[0].kid"),
        (json!({ "keys": [with(old(), "exp", "soon".into())] }), "keys[0].exp"),
        // The key that signs cannot be retired.
        (json!({ "keys": [with(old(), "exp", FAR_FUTURE.into())] }), "kid"),
        (json!({ "keys": [old()], "flow_keys": ["?"] }), "flow_keys[0]"),
        (json!({ "keys": [old()], "flow_keys": ["c2hvcnQ="] }), "flow key"),
        (json!({ "keys": [old()], "flow_keys": "c2hvcnQ=" }), "key file"),
        (json!({ "signing": "old", "keys": [old(), with(new(), "kid", "old".into())] }), "kid"),
    ] {
        let error = open(file.clone()).unwrap_err();
        let fields: Vec<_> = error.problems().iter().map(|problem| problem.field()).collect();
        assert!(fields.contains(&events), "{file}: {error}");
    }
    fs::remove_file(folder.file()).unwrap();
    assert_eq!(KeyFile::open(folder.file()).unwrap_err().problems()[0].field(), "key file");
}

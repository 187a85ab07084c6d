//! A recorded SQLite database, and the tokens of its sessions.

use std::{convert::Infallible, fs, path::PathBuf, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::Value;
use sqlx::{Row as _, SqlitePool, sqlite::SqliteConnectOptions};
use tower::{Layer as _, service_fn};
use tower_auth_session::{
    Session, SessionLayer,
    engine::Device,
    store::{FeedStart, RenewOutcome, RenewRequest, Revocation, SessionStore, SqliteStore},
    testing::ManualClock,
    time::Timestamp,
};

use super::{Person, builder, recorded};
use crate::support::{Browser, START, get, subject, token_forge::payload};

/// The recorded database in a file of its own, which is removed with this.
struct Database(PathBuf);

impl Database {
    async fn new(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("wire-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let database = Self(folder);
        let pool = database.pool().await;
        let dump = include_str!("../../vectors/wire/sqlite.sql");
        sqlx::raw_sql(dump).execute(&pool).await.unwrap();
        pool.close().await;
        database
    }

    fn file(&self) -> PathBuf {
        self.0.join("sessions.db")
    }

    async fn pool(&self) -> SqlitePool {
        let options = SqliteConnectOptions::new().filename(self.file()).create_if_missing(true);
        SqlitePool::connect_with(options).await.unwrap()
    }

    async fn store(&self) -> SqliteStore {
        let store = SqliteStore::open(self.file()).await.unwrap();
        store.migrate().await.unwrap();
        store
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_unix_seconds(START + second)
}

/// The recorded browser `name`.
fn browser(name: &str) -> Browser {
    let cookies = recorded("store");
    let (cookie, token) = cookies[name].as_str().unwrap().split_once('=').unwrap();
    Browser { cookies: [(cookie.to_owned(), token.to_owned())].into() }
}

/// The claims of its token.
fn claims(name: &str) -> Value {
    payload(&browser(name).cookies["__Host-session"])
}

fn id(name: &str) -> String {
    claims(name)["sid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn recorded_rows_are_loaded_listed_and_renewed() {
    let database = Database::new("rows").await;
    let store = database.store().await;
    let page = store.list(&subject("ada"), at(20), None, 9).await.unwrap();
    // The last to sign in is the first; the session that signed out is not listed.
    let ids: Vec<_> = page.sessions.iter().map(|record| record.id.to_string()).collect();
    assert_eq!((ids, page.next), (vec![id("renewed"), id("active")], None));
    let [renewed, active] = &page.sessions[..] else { panic!("{page:?}") };
    let times = |record: &tower_auth_session::store::SessionRecord| {
        [record.signed_in_at, record.last_active_at, record.expires_at]
            .map(|time| time.as_unix_seconds() - START)
    };
    assert_eq!((times(renewed), times(active)), ([3, 20, 120], [0, 0, 100]));
    let device = Device::new(Some("Firefox on Linux"), Some("192.0.2.7".parse().unwrap()));
    assert_eq!(active.device, device);

    let keys = [active.key(), renewed.key()];
    let loaded = store.load(&keys, at(20)).await.unwrap();
    assert_eq!(loaded, [Some(active.clone()), Some(renewed.clone())]);
    let renewal = RenewRequest::new(at(50), at(50), at(150));
    let RenewOutcome::Active(record) = store.renew(&active.key(), renewal).await.unwrap() else {
        panic!("the session is active")
    };
    assert_eq!(times(&record), [0, 50, 150]);
    assert_eq!(record.device, device);
    // Both have expired, and the records are deleted with all others.
    assert_eq!(store.list(&subject("ada"), at(150), None, 9).await.unwrap().sessions, []);
    assert_eq!(store.delete_expired(at(400 * 24 * 3600), 99).await.unwrap(), 8);
}

#[tokio::test]
async fn recorded_revocations_are_in_force_and_published() {
    let database = Database::new("revocations").await;
    let store = database.store().await;
    for (name, is_active) in [
        ("active", true),
        ("renewed", true),
        ("signed_out", false),
        ("signed_out_everywhere", false),
        ("signed_in_again", true),
        ("revoked_by_date", false),
        ("revoked_by_another_session", false),
        ("revokes_the_others", true),
    ] {
        let owner = claims(name)["sub"].as_str().unwrap().to_owned();
        let key =
            tower_auth_session::store::SessionKey::new(id(name).parse().unwrap(), subject(&owner));
        let loaded = store.load(std::slice::from_ref(&key), at(21)).await.unwrap();
        assert_eq!(loaded[0].is_some(), is_active, "{name}");
        let renewal = RenewRequest::new(at(21), at(21), at(121));
        let renewed = store.renew(&key, renewal).await.unwrap();
        assert_eq!(matches!(renewed, RenewOutcome::Active(_)), is_active, "{name}: {renewed:?}");
    }
    let page = store.poll_revocations(&FeedStart::At(at(0)), Duration::ZERO).await.unwrap();
    assert!(!page.has_gap);
    let expected = [
        Revocation::Session(id("signed_out").parse().unwrap()),
        Revocation::subject(subject("bob"), at(6), None),
        Revocation::subject(subject("cem"), at(7), None),
        Revocation::all(Timestamp::from_unix_seconds(START - 1_000)),
        Revocation::subject(
            subject("dan"),
            at(10),
            Some(id("revokes_the_others").parse().unwrap()),
        ),
    ];
    for revocation in &expected {
        assert!(page.revocations.contains(revocation), "{revocation:?} in {page:?}");
    }
}

/// The whole way: a browser with a recorded token, and the row of its session.
#[tokio::test]
async fn recorded_sessions_continue_with_their_rows_or_stay_revoked() {
    let database = Database::new("requests").await;
    let clock = ManualClock::at(at(40));
    let layer = SessionLayer::new(builder("HS256").build().unwrap())
        .clock(clock.clone())
        .store(database.store().await);
    let service = layer.layer(service_fn(async |request: Request<Full<Bytes>>| {
        let session = request.extensions().get::<Session<Person>>();
        let name = session.map(|session| session.claims().name.clone()).unwrap_or_default();
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(name)))
    }));
    for (name, user) in [
        ("active", "ADA"),
        ("renewed", "ADA"),
        ("signed_out", ""),
        ("signed_out_everywhere", ""),
        ("signed_in_again", "BOB"),
        ("revoked_by_date", ""),
        ("revoked_by_another_session", ""),
        ("revokes_the_others", "DAN"),
    ] {
        let mut browser = browser(name);
        let before = browser.cookies.clone();
        assert_eq!(browser.send(&service, get("/")).await.text(), user, "{name}");
        assert_eq!(browser.cookies.is_empty(), user.is_empty(), "{name}");
        assert_ne!(browser.cookies, before, "renewed or removed: {name}");
    }
}

#[tokio::test]
async fn migration_creates_the_recorded_schema() {
    let recorded = Database::new("recorded-schema").await;
    let empty = Database(recorded.0.join("empty"));
    fs::create_dir_all(&empty.0).unwrap();
    empty.store().await;
    let mut schemas = Vec::new();
    for database in [&recorded, &empty] {
        let pool = database.pool().await;
        let columns = "SELECT m.name || '.' || c.name FROM sqlite_schema m, pragma_table_xinfo(m.name) c \
             WHERE m.type = 'table' AND m.name LIKE 'auth%' ORDER BY m.name, c.cid";
        let rows = sqlx::raw_sql(columns).fetch_all(&pool).await.unwrap();
        schemas.push(rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>());
        pool.close().await;
    }
    let names = super::names::SQL_COLUMNS;
    let expected: Vec<_> = names
        .iter()
        .flat_map(|(table, columns)| columns.iter().map(move |column| format!("{table}.{column}")))
        .collect();
    assert_eq!(schemas[0], expected);
    let added = super::names::ADDED_COLUMNS.map(|column| format!("auth_sessions.{column}"));
    let (kept, new): (Vec<_>, Vec<_>) =
        schemas[1].iter().cloned().partition(|column| !added.contains(column));
    assert_eq!(kept, expected);
    assert_eq!(new, added);
}

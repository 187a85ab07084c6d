//! PostgreSQL: a server that others use as well.

use std::{env, sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, PgPool, Row as _,
    postgres::{PgListener, PgPoolOptions},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};
use tower_auth_session::store::{
    FeedStart, PostgresStore, Revocation, SessionStore, StoreError, contract,
};

use super::{at, damage, end, is_told_to_migrate, read, session, sign_in, words};

fn url() -> String {
    env::var("TEST_POSTGRES_URL").expect(
        "TEST_POSTGRES_URL names no PostgreSQL server: scripts/servers postgres run cargo test ...",
    )
}

/// Tables of a test of its own, in a database that all tests share.
struct Tables {
    pool: PgPool,
    prefix: String,
}

impl Tables {
    async fn new() -> Self {
        let id = session().id;
        let prefix = id
            .as_str()
            .bytes()
            .take(12)
            .fold("t".to_owned(), |name, byte| format!("{name}{byte:02x}"));
        Self { pool: PgPool::connect(&url()).await.unwrap(), prefix: format!("{prefix}_") }
    }

    /// Another node's store.
    fn store(&self) -> PostgresStore {
        PostgresStore::from_pool(self.pool.clone()).prefix(&self.prefix).unwrap()
    }

    async fn migrated(&self) -> PostgresStore {
        let store = self.store();
        store.migrate().await.unwrap();
        store
    }

    fn of(&self, statement: &str) -> String {
        statement.replace("auth_", &self.prefix)
    }
}

impl damage::Sql for Tables {
    async fn run(&self, statement: String) -> Vec<String> {
        let statement = AssertSqlSafe(self.of(&statement));
        let rows = sqlx::raw_sql(statement).fetch_all(&self.pool).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds() {
    let tenants = [Tables::new().await, Tables::new().await];
    for tenant in &tenants {
        tenant.migrated().await;
    }
    contract::check(async |tenant| Arc::new(tenants[tenant].store()) as Arc<dyn SessionStore>)
        .await;
    // And in a place where it has been.
    contract::check(async |tenant| Arc::new(tenants[tenant].store()) as Arc<dyn SessionStore>)
        .await;
}

#[tokio::test]
async fn damage_is_corrupt() {
    let tables = Tables::new().await;
    damage::check(&tables.migrated().await, &tables).await;
}

#[tokio::test]
async fn the_feed_is_trimmed_and_everybody_ends() {
    let store = Tables::new().await.migrated().await;
    damage::a_trimmed_feed_is_a_gap(&store).await;
    damage::everybody_ends(&store).await;
}

#[tokio::test]
async fn dropped_half_way_is_whole_or_nothing() {
    damage::dropped_half_way_is_whole_or_nothing(&Tables::new().await.migrated().await).await;
}

#[tokio::test]
async fn tables_come_by_migrating_alone() {
    let tables = Tables::new().await;
    is_told_to_migrate(&tables.store()).await;
    let migrating = (0..4).map(|_| {
        let store = tables.store();
        tokio::spawn(async move { store.migrate().await })
    });
    for one in migrating.collect::<Vec<_>>() {
        one.await.unwrap().unwrap();
    }
    let store = tables.migrated().await;
    sign_in(&store).await;
}

#[tokio::test]
async fn no_password_is_in_what_it_says() {
    let store = PostgresStore::connect(&url()).await.unwrap();
    assert_eq!(format!("{store:?}"), "PostgresStore(\"auth_\")");
    for url in [
        "postgres://app:s3cret@127.0.0.1:1/app",
        "postgres://app:s3cret@127.0.0.1:port/app",
        "postgres://app:s3cret@127.0.0.1/app?sslmode=s3cret-no-mode",
        "postgres://app:s3cret@[::1/app",
        "app:s3cret",
        &url().replace(":app:", ":").replace("app:", "app:s3cret"),
    ] {
        let error = PostgresStore::connect(url).await.expect_err("no server");
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(!words(&error).contains("s3cret"), "{}", words(&error));
    }
}

/// Positions are given in one order and committed in another: nobody who reads in between misses one,
/// or is told one twice for ever.
#[tokio::test]
async fn what_commits_late_is_told() {
    let tables = Tables::new().await;
    let store = tables.migrated().await;
    let (late, undone, early) = (session(), session(), session());
    let start = read(&store, FeedStart::At(at(0))).await.position;
    let tell = |id: &str| {
        AssertSqlSafe(tables.of(&format!(
            "INSERT INTO auth_revocations (told_at, kind, session_id) VALUES (1500, 1, '{id}')"
        )))
    };
    let mut first = tables.pool.begin().await.unwrap();
    sqlx::raw_sql(tell(late.id.as_str())).execute(&mut *first).await.unwrap();
    let mut second = tables.pool.begin().await.unwrap();
    sqlx::raw_sql(tell(undone.id.as_str())).execute(&mut *second).await.unwrap();
    end(&store, &early).await;

    let page = read(&store, FeedStart::After(start)).await;
    assert_eq!(page.revocations, [Revocation::Session(early.id)]);
    let page = read(&store, FeedStart::After(page.position)).await;
    assert_eq!(page.revocations, [], "told once, though older ones are still to come");
    second.rollback().await.unwrap();
    first.commit().await.unwrap();
    let page = read(&tables.store(), FeedStart::After(page.position)).await;
    assert_eq!(page.revocations, [Revocation::Session(late.id)]);
    let page = read(&store, FeedStart::After(page.position)).await;
    assert_eq!((page.revocations, page.has_gap), (Vec::new(), false));

    // And so does who started when it was on its way.
    let mut third = tables.pool.begin().await.unwrap();
    sqlx::raw_sql(tell(undone.id.as_str())).execute(&mut *third).await.unwrap();
    end(&store, &session()).await;
    let page = read(&store, FeedStart::At(at(1_500))).await;
    third.commit().await.unwrap();
    let page = read(&store, FeedStart::After(page.position)).await;
    assert_eq!(page.revocations, [Revocation::Session(undone.id)]);
}

/// The planner believes an unmeasured table of one row to be long, and a statement that it believes
/// to be dear is compiled by each connection that first says it, in more time than the rest takes.
#[tokio::test]
async fn looking_is_cheap_however_much_has_been_told() {
    let tables = Tables::new().await;
    tables.migrated().await;
    let options = tables.pool.connect_options().as_ref().clone();
    let one = PgPoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let store = PostgresStore::from_pool(one.clone()).prefix(&tables.prefix).unwrap();
    let many = "INSERT INTO auth_revocations (told_at, kind, session_id) \
         SELECT 1500, 1, 's' || n FROM generate_series(1, 20000) AS n";
    sqlx::raw_sql(AssertSqlSafe(tables.of(many))).execute(&one).await.unwrap();
    let start = read(&store, FeedStart::At(at(1_400))).await.position;
    read(&store, FeedStart::After(start)).await;

    let looks = "SELECT name, (SELECT MAX(xact) FROM auth_revocations), \
         (SELECT MAX(position) FROM auth_revocations) FROM pg_prepared_statements \
         WHERE statement LIKE '%JOIN auth_revocations%'";
    let looks = sqlx::raw_sql(AssertSqlSafe(tables.of(looks))).fetch_one(&one).await.unwrap();
    let (name, xact, position): (String, i64, i64) = (looks.get(0), looks.get(1), looks.get(2));
    let explain = format!("EXPLAIN EXECUTE \"{name}\" ({}, {}, {position})", i64::MAX, xact + 1);
    let plan = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(&one).await.unwrap();
    let plan: Vec<String> = plan.iter().map(|line| line.get(0)).collect();
    assert!(!plan.iter().any(|line| line.contains("JIT")), "{plan:#?}");
}

#[tokio::test]
async fn every_end_notifies() {
    let tables = Tables::new().await;
    let store = tables.migrated().await;
    let mut listener = PgListener::connect(&url()).await.unwrap();
    listener.listen(&tables.of("auth_revocations")).await.unwrap();
    end(&store, &session()).await;
    tokio::time::timeout(Duration::from_secs(60), listener.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_listener_that_is_cut_off_hears_nevertheless() {
    let tables = Tables::new().await;
    let store = tables.migrated().await;
    for round in 0..3 {
        let ended = session();
        let from = FeedStart::After(read(&store, FeedStart::At(at(0))).await.position);
        let ear = store.clone();
        let hearing = tokio::spawn(async move {
            let minute = Duration::from_secs(60);
            ear.poll_revocations(&from, minute).await.unwrap().revocations
        });
        let cut = tables.of("SELECT pg_terminate_backend(pid)::TEXT FROM pg_stat_activity \
             WHERE query LIKE 'LISTEN \"auth_revocations\"%'");
        loop {
            // In the last round it is left alone.
            let cut = sqlx::raw_sql(AssertSqlSafe(cut.clone())).fetch_all(&tables.pool);
            if round == 2 || !cut.await.unwrap().is_empty() {
                break;
            }
        }
        end(&store, &ended).await;
        assert_eq!(hearing.await.unwrap(), [Revocation::Session(ended.id)]);
    }
}

/// A server that is away for a while: nobody listens, and then somebody does again.
#[tokio::test]
async fn who_cannot_listen_listens_again_later() {
    let tables = Tables::new().await;
    tables.migrated().await;
    let way = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = tables.pool.connect_options().as_ref().clone();
    let (host, port) = (options.get_host().to_owned(), options.get_port());
    let options = options.port(way.local_addr().unwrap().port());
    let (open, is_open) = watch::channel(true);
    tokio::spawn(async move {
        while let Ok((mut here, _)) = way.accept().await {
            let (mut is_open, place) = (is_open.clone(), (host.clone(), port));
            if *is_open.borrow() {
                tokio::spawn(async move {
                    let mut there = TcpStream::connect(place).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut here, &mut there) => {}
                        _ = is_open.wait_for(|is_open| !is_open) => {}
                    }
                });
            }
        }
    });
    let soon = PgPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(2));
    let pool = soon.connect_lazy_with(options);
    let store = PostgresStore::from_pool(pool).prefix(&tables.prefix).unwrap();
    let listeners = tables.of("SELECT pid::TEXT FROM pg_stat_activity \
         WHERE query LIKE 'LISTEN \"auth_revocations\"%'");
    let listens = async || {
        let found = sqlx::raw_sql(AssertSqlSafe(listeners.clone())).fetch_all(&tables.pool);
        !found.await.unwrap().is_empty()
    };
    let from = FeedStart::After(read(&store, FeedStart::At(at(0))).await.position);
    let hear = async || store.poll_revocations(&from, PostgresStore::POLL).await;

    while !listens().await {
        let _ = hear().await;
    }
    open.send_replace(false);
    while listens().await || hear().await.is_ok() {}
    open.send_replace(true);
    while !listens().await {
        // Until the pool has a connection again.
        let _ = hear().await;
    }
}

/// A restored or exchanged database is another feed.
#[tokio::test]
async fn another_epoch_is_a_gap() {
    use damage::Sql as _;
    let tables = Tables::new().await;
    let store = tables.migrated().await;
    end(&store, &session()).await;
    let position = read(&store, FeedStart::At(at(0))).await.position;
    assert!(!read(&store, FeedStart::After(position.clone())).await.has_gap);
    tables.run("UPDATE auth_store SET epoch = epoch + 1".to_owned()).await;
    assert!(read(&store, FeedStart::After(position)).await.has_gap);
}

#[cfg(feature = "postgres-tls")]
#[tokio::test]
async fn over_tls() {
    let authority = env::var("TEST_POSTGRES_CA").expect("scripts/servers sets TEST_POSTGRES_CA");
    let verified = format!("{}?sslmode=verify-full&sslrootcert={authority}", url());
    let pool = PgPool::connect(&verified).await.unwrap();
    let encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert!(sqlx::query(encrypted).fetch_one(&pool).await.unwrap().get::<bool, _>(0));
    let tables = Tables { pool, prefix: Tables::new().await.prefix };
    let store = tables.migrated().await;
    let session = sign_in(&store).await;
    assert!(super::renew(&store, &session).await.is_ok());
    // An authority that did not sign the server's certificate.
    let unverified = format!("{}?sslmode=verify-full", url());
    let error = PostgresStore::connect(&unverified).await.expect_err("a stranger's certificate");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
}

/// A deadline that is shorter than connecting takes does not keep anybody from being connected.
#[tokio::test]
async fn connecting_outlives_the_call_that_began_it() {
    let tables = Tables::new().await;
    let one = session();
    tables.migrated().await.create(&one, None).await.unwrap();

    // A way to the server that opens when it is told to.
    let way = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = tables.pool.connect_options().as_ref().clone();
    let (host, port) = (options.get_host().to_owned(), options.get_port());
    let options = options.port(way.local_addr().unwrap().port());
    let open = Arc::new(Semaphore::new(0));
    let (came, mut comes) = tokio::sync::mpsc::unbounded_channel();
    let gate = Arc::clone(&open);
    tokio::spawn(async move {
        while let Ok((mut here, _)) = way.accept().await {
            came.send(()).unwrap();
            let (gate, place) = (Arc::clone(&gate), (host.clone(), port));
            tokio::spawn(async move {
                gate.acquire().await.unwrap().forget();
                let mut there = TcpStream::connect(place).await.unwrap();
                let _ = copy_bidirectional(&mut here, &mut there).await;
            });
        }
    });
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
    let store = PostgresStore::from_pool(pool).prefix(&tables.prefix).unwrap();

    let key = [one.key()];
    tokio::select! {
        _ = store.load(&key, at(1_500)) => panic!("nobody is connected"),
        _ = comes.recv() => {}
    }
    // The one way that is under way, and no other.
    open.add_permits(1);
    assert_eq!(store.load(&key, at(1_500)).await.unwrap(), [Some(one.clone())]);
    assert!(comes.try_recv().is_err(), "it was connected twice");
}

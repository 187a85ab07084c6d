//! PostgreSQL: a server that other clients use too.

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
use tower_auth_session::{
    Subject,
    store::{
        FeedStart, PostgresStore, RenewOutcome, Revocation, Revoke, SessionRecord, SessionStore,
        StoreError, contract,
    },
};

use super::{
    at, check_migration_is_required, damage, error_text, read, renew, revoke, session, sign_in,
};

fn url() -> String {
    env::var("TEST_POSTGRES_URL").expect(
        "TEST_POSTGRES_URL names no PostgreSQL server: scripts/servers postgres run cargo test ...",
    )
}

/// The tables of one test, in a database that all tests share.
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

    fn with_prefix(&self, statement: &str) -> String {
        statement.replace("auth_", &self.prefix)
    }
}

impl damage::Sql for Tables {
    async fn run(&self, statement: String) -> Vec<String> {
        let statement = AssertSqlSafe(self.with_prefix(&statement));
        let rows = sqlx::raw_sql(statement).fetch_all(&self.pool).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_store_fulfils_the_contract() {
    let tenants = [Tables::new().await, Tables::new().await];
    for tenant in &tenants {
        tenant.migrated().await;
    }
    contract::check(async |tenant| Arc::new(tenants[tenant].store()) as Arc<dyn SessionStore>)
        .await;
    // And again with the tables of the first run.
    contract::check(async |tenant| Arc::new(tenants[tenant].store()) as Arc<dyn SessionStore>)
        .await;
}

#[tokio::test]
async fn damaged_rows_are_corrupt() {
    let tables = Tables::new().await;
    damage::check(&tables.migrated().await, &tables).await;
}

#[tokio::test]
async fn trimmed_feed_is_a_gap_and_all_sessions_can_be_revoked() {
    let store = Tables::new().await.migrated().await;
    damage::check_trimmed_feed(&store).await;
    damage::check_revocation_of_all(&store).await;
}

#[tokio::test]
async fn dropped_operation_is_complete_or_has_no_effect() {
    damage::check_dropped_operation(&Tables::new().await.migrated().await).await;
}

#[tokio::test]
async fn tables_are_created_by_migrate_only() {
    let tables = Tables::new().await;
    check_migration_is_required(&tables.store()).await;
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
async fn errors_and_debug_output_hide_the_password() {
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
        assert!(!error_text(&error).contains("s3cret"), "{}", error_text(&error));
    }
}

/// Positions are assigned in one order and committed in another. A reader in between misses no entry and
/// does not get one again and again.
#[tokio::test]
async fn feed_entry_that_commits_late_is_delivered() {
    let tables = Tables::new().await;
    let store = tables.migrated().await;
    let (late, rolled_back, early) = (session(), session(), session());
    let start = read(&store, FeedStart::At(at(0))).await.position;
    let insert_entry = |id: &str| {
        AssertSqlSafe(tables.with_prefix(&format!(
            "INSERT INTO auth_revocations (told_at, kind, session_id) VALUES (1500, 1, '{id}')"
        )))
    };
    let mut first = tables.pool.begin().await.unwrap();
    sqlx::raw_sql(insert_entry(late.id.as_str())).execute(&mut *first).await.unwrap();
    let mut second = tables.pool.begin().await.unwrap();
    sqlx::raw_sql(insert_entry(rolled_back.id.as_str())).execute(&mut *second).await.unwrap();
    revoke(&store, &early).await;

    let page = read(&store, FeedStart::After(start)).await;
    assert_eq!(page.revocations, [Revocation::Session(early.id)]);
    let page = read(&store, FeedStart::After(page.position)).await;
    assert_eq!(
        page.revocations,
        [],
        "delivered once, although older entries are not committed yet"
    );
    second.rollback().await.unwrap();
    first.commit().await.unwrap();
    let page = read(&tables.store(), FeedStart::After(page.position)).await;
    assert_eq!(page.revocations, [Revocation::Session(late.id)]);
    let page = read(&store, FeedStart::After(page.position)).await;
    assert_eq!((page.revocations, page.has_gap), (Vec::new(), false));

    // The same for a reader that starts before the commit.
    let mut third = tables.pool.begin().await.unwrap();
    sqlx::raw_sql(insert_entry(rolled_back.id.as_str())).execute(&mut *third).await.unwrap();
    revoke(&store, &session()).await;
    let page = read(&store, FeedStart::At(at(1_500))).await;
    third.commit().await.unwrap();
    let page = read(&store, FeedStart::After(page.position)).await;
    assert_eq!(page.revocations, [Revocation::Session(rolled_back.id)]);
}

/// A store with one connection, which prepares the statements of all operations.
async fn with_one_connection(tables: &Tables) -> (PgPool, PostgresStore) {
    let options = tables.pool.connect_options().as_ref().clone();
    let one = PgPoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let store = PostgresStore::from_pool(one.clone()).prefix(&tables.prefix).unwrap();
    (one, store)
}

/// The plan of the statement with this text that the connection has prepared.
async fn plan(one: &PgPool, text: &str, arguments: &str) -> String {
    let name = format!("SELECT name FROM pg_prepared_statements WHERE statement LIKE '%{text}%'");
    let name = sqlx::raw_sql(AssertSqlSafe(name)).fetch_one(one).await.unwrap();
    let explain = format!("EXPLAIN EXECUTE \"{}\" ({arguments})", name.get::<String, _>(0));
    let plan = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(one).await.unwrap();
    plan.iter().map(|line| line.get::<String, _>(0) + "\n").collect()
}

/// The planner assumes many rows in a table without statistics. A statement with a high estimated cost is
/// compiled (JIT) by each connection, which takes longer than the statement itself.
#[tokio::test]
async fn feed_query_is_not_jit_compiled_for_a_long_feed() {
    let tables = Tables::new().await;
    tables.migrated().await;
    let (one, store) = with_one_connection(&tables).await;
    let many = "INSERT INTO auth_revocations (told_at, kind, session_id) \
         SELECT 1500, 1, 's' || n FROM generate_series(1, 20000) AS n";
    sqlx::raw_sql(AssertSqlSafe(tables.with_prefix(many))).execute(&one).await.unwrap();
    let start = read(&store, FeedStart::At(at(1_400))).await.position;
    read(&store, FeedStart::After(start)).await;

    let last = tables.with_prefix("SELECT MAX(position) FROM auth_revocations");
    let last = sqlx::raw_sql(AssertSqlSafe(last)).fetch_one(&one).await.unwrap();
    let arguments = format!("{}, '{{}}', 1000", last.get::<i64, _>(0));
    let plan = plan(&one, "LEFT JOIN (SELECT position", &arguments).await;
    assert!(!plan.contains("JIT"), "{plan}");
}

/// `txid_snapshot_xmin` is of all databases of the server: a transaction of other software, open for
/// longer than the feed retains its entries, must not make each read a gap.
#[tokio::test]
async fn long_transaction_of_other_software_causes_no_feed_gap() {
    let tables = Tables::new().await;
    let store = tables.migrated().await;
    let mut other = tables.pool.begin().await.unwrap();
    sqlx::raw_sql("SELECT txid_current()").execute(&mut *other).await.unwrap();
    let start = read(&store, FeedStart::At(at(1_000))).await.position;
    let (one, two) = (session(), session());
    revoke(&store, &one).await;
    let page = read(&store, FeedStart::After(start)).await;
    assert_eq!(page.revocations, [Revocation::Session(one.id)]);
    store.delete_expired(at(9_000), 10).await.unwrap();
    revoke(&store, &two).await;
    let page = read(&store, FeedStart::After(page.position)).await;
    assert_eq!((page.revocations, page.has_gap), (vec![Revocation::Session(two.id)], false));
    other.rollback().await.unwrap();
    let page = read(&store, FeedStart::After(page.position)).await;
    assert_eq!((page.revocations, page.has_gap), (Vec::new(), false));
}

/// A connection keeps the plan that it made while the table was empty. The planner assumes ten elements
/// in an array, and would assume a hundred rows of a function and read the whole table.
#[tokio::test]
async fn load_list_and_revoke_use_an_index_of_an_empty_and_of_a_full_table() {
    let tables = Tables::new().await;
    tables.migrated().await;
    let (one, store) = with_one_connection(&tables).await;
    // What the server does by itself after five executions.
    sqlx::raw_sql("SET plan_cache_mode = force_generic_plan").execute(&one).await.unwrap();
    let absent = [session(), session()].map(|session| session.key());
    assert_eq!(store.load(&absent, at(1_500)).await.unwrap(), [None, None]);
    store.list(&absent[0].subject, at(1_500), None, 10).await.unwrap();
    revoke(&store, &session()).await;
    let check = async |rows: &str| {
        for (text, arguments, index) in [
            ("ANY($1::TEXT[])", "'{\"a\",\"b\"}'", "sessions_pkey"),
            ("ORDER BY signed_in_at DESC", "'a', 1500, 2000, '', 10", "sessions_subject"),
            ("json_to_recordset", "'[]'", "sessions_pkey"),
        ] {
            let plan = plan(&one, text, arguments).await;
            let index = format!("{}{index}", tables.prefix);
            let scan = format!("Seq Scan on {}sessions", tables.prefix);
            assert!(plan.contains(&index) && !plan.contains(&scan), "{rows}:\n{plan}");
        }
    };
    check("an empty table").await;

    let many = "INSERT INTO auth_sessions \
         (id, subject, status, signed_in_at, last_active_at, expires_at) \
         SELECT 's' || n, 'u' || n, 1, 1000, 1000, 2000 FROM generate_series(1, 200000) AS n";
    sqlx::raw_sql(AssertSqlSafe(tables.with_prefix(many))).execute(&one).await.unwrap();
    check("a full table without statistics").await;
    let analyze = AssertSqlSafe(tables.with_prefix("ANALYZE auth_sessions"));
    sqlx::raw_sql(analyze).execute(&one).await.unwrap();
    check("a full table").await;
    let sessions = [sign_in(&store).await, sign_in(&store).await];
    let keys = sessions.each_ref().map(|session| session.key());
    assert_eq!(store.load(&keys, at(1_500)).await.unwrap(), sessions.map(Some));
}

#[tokio::test]
async fn long_feed_is_read_in_pages() {
    let tables = Tables::new().await;
    let store = tables.migrated().await;
    damage::check_pages(&store).await;
}

#[tokio::test]
async fn tables_of_version_1_work_until_they_are_migrated() {
    let tables = Tables::new().await;
    let store = tables.store();
    let script = include_str!("../../migrations/postgres/0001_sessions.sql");
    let script = AssertSqlSafe(tables.with_prefix(script));
    sqlx::raw_sql(script).execute(&tables.pool).await.unwrap();
    damage::check_version_1(&store, async || store.migrate().await.unwrap()).await;
}

#[tokio::test]
async fn every_revocation_sends_a_notification() {
    let tables = Tables::new().await;
    let store = tables.migrated().await;
    let mut listener = PgListener::connect(&url()).await.unwrap();
    listener.listen(&tables.with_prefix("auth_revocations")).await.unwrap();
    revoke(&store, &session()).await;
    tokio::time::timeout(Duration::from_secs(60), listener.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn disconnected_listener_still_delivers_revocations() {
    let tables = Tables::new().await;
    let store = tables.migrated().await;
    for round in 0..3 {
        let ended = session();
        let from = FeedStart::After(read(&store, FeedStart::At(at(0))).await.position);
        let reader = store.clone();
        let reading = tokio::spawn(async move {
            let minute = Duration::from_secs(60);
            reader.poll_revocations(&from, minute).await.unwrap().revocations
        });
        let terminate = tables.with_prefix(
            "SELECT pg_terminate_backend(pid)::TEXT FROM pg_stat_activity \
             WHERE query LIKE 'LISTEN \"auth_revocations\"%'",
        );
        loop {
            // The last round does not terminate the listener.
            let terminate = sqlx::raw_sql(AssertSqlSafe(terminate.clone())).fetch_all(&tables.pool);
            if round == 2 || !terminate.await.unwrap().is_empty() {
                break;
            }
        }
        revoke(&store, &ended).await;
        assert_eq!(reading.await.unwrap(), [Revocation::Session(ended.id)]);
    }
}

/// The server is unreachable for a while; the listener reconnects when it is back.
#[tokio::test]
async fn listener_reconnects_after_an_outage() {
    let tables = Tables::new().await;
    tables.migrated().await;
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = tables.pool.connect_options().as_ref().clone();
    let (host, port) = (options.get_host().to_owned(), options.get_port());
    let options = options.port(proxy.local_addr().unwrap().port());
    let (open, is_open) = watch::channel(true);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = proxy.accept().await {
            let (mut is_open, target) = (is_open.clone(), (host.clone(), port));
            if *is_open.borrow() {
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(target).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        _ = is_open.wait_for(|is_open| !is_open) => {}
                    }
                });
            }
        }
    });
    let options_with_timeout =
        PgPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(2));
    let pool = options_with_timeout.connect_lazy_with(options);
    let store = PostgresStore::from_pool(pool).prefix(&tables.prefix).unwrap();
    let listeners = tables.with_prefix(
        "SELECT pid::TEXT FROM pg_stat_activity \
         WHERE query LIKE 'LISTEN \"auth_revocations\"%'",
    );
    let is_listening = async || {
        let found = sqlx::raw_sql(AssertSqlSafe(listeners.clone())).fetch_all(&tables.pool);
        !found.await.unwrap().is_empty()
    };
    let from = FeedStart::After(read(&store, FeedStart::At(at(0))).await.position);
    let read_feed = async || store.poll_revocations(&from, PostgresStore::POLL).await;

    while !is_listening().await {
        let _ = read_feed().await;
    }
    open.send_replace(false);
    while is_listening().await || read_feed().await.is_ok() {}
    open.send_replace(true);
    while !is_listening().await {
        // Fails until the pool has a connection again.
        let _ = read_feed().await;
    }
}

/// A restored or replaced database has another feed.
#[tokio::test]
async fn changed_epoch_is_a_feed_gap() {
    use damage::Sql as _;
    let tables = Tables::new().await;
    let store = tables.migrated().await;
    revoke(&store, &session()).await;
    let position = read(&store, FeedStart::At(at(0))).await.position;
    assert!(!read(&store, FeedStart::After(position.clone())).await.has_gap);
    tables.run("UPDATE auth_store SET epoch = epoch + 1".to_owned()).await;
    assert!(read(&store, FeedStart::After(position)).await.has_gap);
}

#[cfg(feature = "postgres-tls")]
#[tokio::test]
async fn tls_connection_verifies_the_server_certificate() {
    let authority = env::var("TEST_POSTGRES_CA").expect("scripts/servers sets TEST_POSTGRES_CA");
    let verified = format!("{}?sslmode=verify-full&sslrootcert={authority}", url());
    let pool = PgPool::connect(&verified).await.unwrap();
    let encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert!(sqlx::query(encrypted).fetch_one(&pool).await.unwrap().get::<bool, _>(0));
    let tables = Tables { pool, prefix: Tables::new().await.prefix };
    let store = tables.migrated().await;
    let session = sign_in(&store).await;
    assert!(renew(&store, &session).await.is_ok());
    // The default authorities did not sign the server's certificate.
    let unverified = format!("{}?sslmode=verify-full", url());
    let error = PostgresStore::connect(&unverified).await.expect_err("an untrusted certificate");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
}

/// A timeout that is shorter than connecting must not prevent later calls from getting the connection.
#[tokio::test]
async fn connection_attempt_outlives_the_call_that_started_it() {
    let tables = Tables::new().await;
    let one = session();
    tables.migrated().await.create(&one, None).await.unwrap();

    // A proxy that forwards a connection only with a permit.
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = tables.pool.connect_options().as_ref().clone();
    let (host, port) = (options.get_host().to_owned(), options.get_port());
    let options = options.port(proxy.local_addr().unwrap().port());
    let open = Arc::new(Semaphore::new(0));
    let (accepted, mut connections) = tokio::sync::mpsc::unbounded_channel();
    let gate = Arc::clone(&open);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = proxy.accept().await {
            accepted.send(()).unwrap();
            let (gate, target) = (Arc::clone(&gate), (host.clone(), port));
            tokio::spawn(async move {
                gate.acquire().await.unwrap().forget();
                let mut server = TcpStream::connect(target).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
    let store = PostgresStore::from_pool(pool).prefix(&tables.prefix).unwrap();

    let key = [one.key()];
    tokio::select! {
        _ = store.load(&key, at(1_500)) => panic!("there is no connection yet"),
        _ = connections.recv() => {}
    }
    // Completes the pending connection, and no other one.
    open.add_permits(1);
    assert_eq!(store.load(&key, at(1_500)).await.unwrap(), [Some(one.clone())]);
    assert!(connections.try_recv().is_err(), "a second connection was opened");
}

/// How many entries the feed has, in how many commits.
async fn entries_and_commits(tables: &Tables) -> (i64, i64) {
    let count = tables.with_prefix("SELECT COUNT(*), COUNT(DISTINCT xact) FROM auth_revocations");
    let counts = sqlx::raw_sql(AssertSqlSafe(count)).fetch_one(&tables.pool).await.unwrap();
    (counts.get(0), counts.get(1))
}

async fn revoke_together(store: &PostgresStore, sessions: &[SessionRecord]) {
    futures::future::join_all(sessions.iter().map(|session| revoke(store, session))).await;
    for session in sessions {
        assert!(matches!(renew(store, session).await, Ok(RenewOutcome::Revoked)), "{session:?}");
    }
}

/// Revocations that begin together on one thread wait for each other: the task that sends them starts
/// when all of them wait.
#[tokio::test]
async fn waiting_revocations_share_one_commit() {
    let tables = Tables::new().await;
    let store = tables.migrated().await;
    let mut sessions = Vec::new();
    for subject in ["a\"b", "a\\", "{a,b}", "NULL", "a','b", "\\\"", "\u{1f98a}"] {
        let mut session = session();
        session.subject = Subject::new(subject).unwrap();
        store.create(&session, None).await.unwrap();
        sessions.push(session);
    }
    // Sessions that the store does not know.
    sessions.extend([session(), session()]);
    revoke_together(&store, &sessions).await;
    assert_eq!(entries_and_commits(&tables).await, (9, 1));
    // The second revocation of a session is in the next batch.
    let twice = session();
    revoke_together(&store, &[twice.clone(), twice]).await;
    assert_eq!(entries_and_commits(&tables).await, (11, 3));
    // One more than a statement has.
    let many: Vec<_> = (0..65).map(|_| session()).collect();
    revoke_together(&store, &many).await;
    assert_eq!(entries_and_commits(&tables).await, (76, 5));
}

#[tokio::test]
async fn revocation_that_fails_does_not_fail_those_sent_with_it() {
    let tables = Tables::new().await;
    let store = tables.migrated().await;
    let [first, mut foreign, last] = [(); 3].map(|()| session());
    store.create(&foreign, None).await.unwrap();
    foreign.subject = session().subject;
    let ending = Revoke::new(at(1_500), at(2_500));
    let keys = [&first, &foreign, &last].map(SessionRecord::key);
    let ended = futures::future::join_all(keys.iter().map(|key| store.revoke(key, ending))).await;
    assert!(matches!(ended[..], [Ok(()), Err(StoreError::Corrupt(_)), Ok(())]), "{ended:?}");
    assert_eq!(entries_and_commits(&tables).await, (2, 1));
}

#[tokio::test]
async fn caller_that_stops_waiting_does_not_delay_other_revocations() {
    let tables = Tables::new().await;
    let store = tables.migrated().await;
    let sessions: Vec<_> = (0..3).map(|_| session()).collect();
    let mut waiting: Vec<_> =
        sessions.iter().map(|session| Box::pin(revoke(&store, session))).collect();
    for revocation in &mut waiting {
        assert!(futures::poll!(revocation.as_mut()).is_pending());
    }
    // The first caller started the task.
    drop(waiting.remove(0));
    futures::future::join_all(waiting).await;
    assert_eq!(entries_and_commits(&tables).await, (2, 1));
}

/// A row that other software has locked delays the revocation of its session only.
#[tokio::test]
async fn locked_row_does_not_delay_other_revocations() {
    let tables = Tables::new().await;
    let store = tables.migrated().await;
    let [locked, first, last] =
        [sign_in(&store).await, sign_in(&store).await, sign_in(&store).await];
    let lock = format!("SELECT 1 FROM auth_sessions WHERE id = '{}' FOR UPDATE", locked.id);
    let mut work = tables.pool.begin().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(tables.with_prefix(&lock))).execute(&mut *work).await.unwrap();
    let mut waiting = Box::pin(revoke(&store, &locked));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    // In one batch with the locked row, then in another one.
    revoke_together(&store, &[first]).await;
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    revoke_together(&store, &[last]).await;
    assert_eq!(entries_and_commits(&tables).await, (2, 2));
    work.rollback().await.unwrap();
    waiting.await;
    assert!(matches!(renew(&store, &locked).await, Ok(RenewOutcome::Revoked)));
}

#[test]
fn revocation_is_sent_although_the_runtime_of_its_batch_is_not_polled() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (unpolled, polled) = (runtime(), runtime());
    let tables = polled.block_on(Tables::new());
    let store = polled.block_on(tables.migrated());
    let [first, second, third, fourth] = [(); 4].map(|()| session());
    let mut waiting = Box::pin(revoke(&store, &first));
    unpolled.block_on(async { assert!(futures::poll!(waiting.as_mut()).is_pending()) });
    polled.block_on(revoke_together(&store, &[second]));
    // They do not join the batch that was not sent.
    polled.block_on(revoke_together(&store, &[third, fourth]));
    assert_eq!(polled.block_on(entries_and_commits(&tables)), (3, 2));
}

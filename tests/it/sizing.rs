//! The figures of the capacity planning in `docs/operating.md` follow from its measurements and
//! assumptions.

use tower_auth_session::{SessionLifetime, store::FEED_RETENTION};

const GUIDE: &str = include_str!("../../docs/operating.md");

const DAY: f64 = 86_400.0;
/// The capacity of each memory of the revocation list, and the bytes of an id in it.
const CAPACITY: f64 = 100_000.0;
const BYTES_PER_ID: f64 = 150.0;

/// The cells of the row that begins with `first`, without that cell.
#[track_caller]
fn row(first: &str) -> Vec<&'static str> {
    let line = GUIDE.lines().find(|line| line.starts_with(&format!("| {first} |")));
    let line = line.unwrap_or_else(|| panic!("docs/operating.md has no row {first:?}"));
    line.trim_matches('|').split('|').map(str::trim).skip(1).collect()
}

/// The first number of a cell, with its unit.
fn number(cell: &str) -> f64 {
    let text: String = cell
        .chars()
        .take_while(|c| c.is_ascii_digit() || matches!(c, ',' | '.'))
        .filter(|c| *c != ',')
        .collect();
    let value: f64 = text.parse().unwrap_or_else(|_| panic!("no number in {cell:?}"));
    match cell.split(' ').nth(1).map(|unit| unit.trim_end_matches(['.', ','])) {
        Some("MB") => value * 1e6,
        Some("GB") => value * 1e9,
        _ => value,
    }
}

#[track_caller]
fn assert_close(what: &str, stated: f64, computed: f64) {
    // Two digits are stated.
    assert!((stated / computed - 1.0).abs() < 0.05, "{what}: {stated} stated, {computed} computed");
}

/// The number that follows `before` in the guide.
#[track_caller]
fn stated_after(before: &str) -> f64 {
    let text = GUIDE.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, after) = text.split_once(before).unwrap_or_else(|| panic!("no {before:?}"));
    number(after.trim_start())
}

fn renew_after() -> f64 {
    SessionLifetime::DEFAULT_RENEW_AFTER.as_secs_f64()
}

/// How long a revocation from the feed is kept, with the defaults.
fn staleness() -> f64 {
    renew_after() + 2.0 * SessionLifetime::DEFAULT_CLOCK_SKEW.as_secs_f64()
}

#[test]
fn capacity_table_follows_from_measurements_and_assumptions() {
    let per_session: Vec<f64> =
        row("bytes per session, with indexes").into_iter().map(number).collect();
    let [redis, postgres, sqlite] = per_session[..] else { panic!("{per_session:?}") };
    let redis_revoked = number(row("bytes per revoked session")[0]);
    let lifetime = SessionLifetime::DEFAULT_TIMEOUT.as_secs_f64();

    for (name, users) in [("10⁴", 1e4), ("10⁶", 1e6), ("10⁸", 1e8)] {
        let cells = row(name);
        let [processes, renewals, sign_outs, in_sqlite, in_postgres, in_redis, own] = cells[..]
        else {
            panic!("{cells:?}");
        };
        let (sessions, revocations) = (2.0 * users, users / (2.0 * DAY));
        assert_close(name, number(renewals), users / 10.0 / renew_after());
        assert_close(name, number(sign_outs), revocations);
        let revoked = revocations * lifetime;
        for (stated, bytes, revoked_bytes) in [
            (in_sqlite, sqlite, sqlite),
            (in_postgres, postgres, postgres),
            (in_redis, redis, redis_revoked),
        ] {
            assert_close(name, number(stated), sessions * bytes + revoked * revoked_bytes);
        }
        let (ids, size) = own.split_once(" ids, ").unwrap();
        let own = revoked / number(processes);
        assert_close(name, number(ids), own);
        assert_close(name, number(size), own * BYTES_PER_ID);
    }
}

#[test]
fn recommendations_follow_from_the_table() {
    let redis = number(row("10⁸")[5]);
    let primaries = stated_after("a Redis Cluster with");
    assert_close("each primary", stated_after("each holding"), redis / primaries);
    assert!(redis / primaries < 0.8 * stated_after("primaries of"), "room for the server");
    let rate = number(row("renewals / s, a few thousand sessions")[0]);
    let load = number(row("10⁸")[1]) / primaries / rate;
    assert!((0.2..0.25).contains(&load), "a quarter of the measured rate: {load}");

    let postgres = number(row("renewals / s, 100,000 sessions")[1]);
    let load = number(row("10⁶")[1]) / postgres;
    assert!((0.45..0.55).contains(&load), "half of the measured rate: {load}");
    assert_close("5 min", stated_after("`renew_after` to 5 min ("), 1e5 / 300.0);

    let entries = 1e6;
    let reach = entries / number(row("10⁸")[2]);
    assert!(reach < FEED_RETENTION.as_secs_f64());
    assert_close("the feed", stated_after("The feed then reaches back"), reach / 60.0);
}

#[test]
fn bounds_of_the_revocation_list_follow_from_its_capacity() {
    let revocations = stated_after("the number of users: at");
    assert_close("ids", stated_after("the revocation list holds"), revocations * staleness());
    assert_close(
        "their size",
        stated_after("ids from the store,"),
        revocations * staleness() * BYTES_PER_ID,
    );
    assert_close("from the store", stated_after("more than about"), CAPACITY / staleness());
    let lifetime = SessionLifetime::DEFAULT_TIMEOUT.as_secs_f64();
    assert_close(
        "own, each day",
        stated_after("it makes more than about"),
        CAPACITY / lifetime * DAY,
    );
}

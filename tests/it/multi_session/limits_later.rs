//! The limits of a browser, applied by the requests after the sign-ins that exceed them.

use std::time::Duration;

use http::Request;
use proptest::prelude::*;
use tower_auth_session::{
    KeyRing, SessionEngine, SessionId, SessionLifetime,
    config::AccountLimitPolicy,
    engine::{SessionEngineBuilder, SessionStatusKind},
    event::SessionEvent,
    testing::SeededRandom,
};

use super::{ACTIVE_COOKIE, CHOOSE, SIGNED_OUT, Site, cookie_changes, cookie_name, session_of};
use crate::support::{COOKIE, START, User, engine_builder, get, key, post, user};

const DAY: u64 = 86_400;

type Builder = SessionEngineBuilder<User>;

fn removals(changes: &[String]) -> usize {
    changes.iter().filter(|change| change.starts_with('-')).count()
}

fn navigation(site: &'static str) -> Request<http_body_util::Full<bytes::Bytes>> {
    let mut request = get("/");
    request.headers_mut().insert("sec-fetch-site", site.parse().unwrap());
    request
}

/// A site whose key is `kid` and whose sessions last for weeks.
fn long_lived(kid: &str, change: impl FnOnce(Builder) -> Builder) -> Site {
    let mut site = Site::new();
    restart_with_key(&mut site, kid, change);
    site
}

fn restart_with_key(site: &mut Site, kid: &str, change: impl FnOnce(Builder) -> Builder) {
    let lifetime = SessionLifetime::new()
        .inactivity_timeout(Duration::from_secs(40 * DAY))
        .maximum_lifetime(Duration::from_secs(40 * DAY))
        .renew_after(Duration::from_secs(60));
    let (_, events) = engine_builder();
    let sink = events.clone();
    let builder = SessionEngine::<User>::builder(KeyRing::new(key(kid)))
        .lifetime(lifetime)
        .origin(crate::support::ORIGIN)
        .random(SeededRandom::new(site.now ^ (kid.len() as u64) << 40))
        .on_event(move |event| sink.push(event))
        .multi_session(true);
    site.engine = change(builder).build().unwrap();
    site.events = events;
}

fn session_cookies(site: &Site) -> usize {
    site.names().iter().filter(|name| name.starts_with(COOKIE) && **name != ACTIVE_COOKIE).count()
}

#[test]
fn next_request_keeps_the_newest_session_of_each_account() {
    for count in [2, 11, 16] {
        let mut site = Site::new();
        let ids: Vec<_> = (0..count)
            .map(|_| {
                site.now += 1;
                site.sign_in_without_cookies("ada")
            })
            .collect();
        let copies: Vec<_> = ids.iter().map(|id| (*id, site.token(*id))).collect();
        let last = *ids.last().unwrap();
        site.events.take();
        let (session, changes) = site.run_handler(get("/"), session_of);
        assert_eq!((session, removals(&changes)), (Ok(last), count - 1));
        let is_replaced = |event: &&SessionEvent| matches!(event, SessionEvent::Replaced { by, .. } if *by == last);
        assert_eq!(site.events.take().iter().filter(is_replaced).count(), count - 1);
        assert_eq!(session_cookies(&site), 1);
        assert_eq!(site.current_session(), Ok(last));
        for (id, token) in copies {
            assert_eq!(site.accepts(id, &token), id == last, "{count}");
        }
    }
}

/// The header of 16 sign-ins exceeds the 8 KiB that nginx reads by default.
#[test]
fn sixteen_cross_site_sign_ins_leave_a_header_that_proxies_accept() {
    let mut site = Site::new();
    for index in 0..16 {
        site.now += 1;
        let cookies = std::mem::take(&mut site.browser.cookies);
        let name = ["ada", "bob"][index % 2];
        site.try_sign_in(name, user(&"x".repeat(340))).unwrap();
        let set = std::mem::replace(&mut site.browser.cookies, cookies);
        site.browser.cookies.extend(set);
    }
    assert!(site.browser.cookie_header().unwrap().len() > 8 * 1024);
    let _ = site.current_session();
    assert_eq!(session_cookies(&site), 2);
    assert!(site.browser.cookie_header().unwrap().len() < 7_000);
    assert_eq!(site.accounts().len(), 2);
}

#[test]
fn next_request_evicts_the_accounts_beyond_a_lower_maximum() {
    for policy in [AccountLimitPolicy::SignOutLeastRecentlyActive, AccountLimitPolicy::Refuse] {
        let mut site = Site::new();
        let mut ids: Vec<_> = ["ada", "bob", "cyd", "dee", "eve"]
            .into_iter()
            .map(|name| {
                site.now += 1;
                site.sign_in(name)
            })
            .collect();
        let (builder, events) = engine_builder();
        let builder = builder.multi_session(true).max_sessions_per_browser(2);
        site.engine = builder.account_limit_policy(policy).build().unwrap();
        site.events = events;
        let before = site.browser.clone();
        let (_, changes) = site.run_handler(get("/"), session_of);
        assert_eq!(removals(&changes), 3, "{changes:?}");
        let evicted = |event: &SessionEvent| match event {
            SessionEvent::Evicted { session, .. } => Some(session.id()),
            _ => None,
        };
        let mut evicted: Vec<_> = site.events.take().iter().filter_map(evicted).collect();
        if policy == AccountLimitPolicy::Refuse {
            ids.reverse();
        }
        evicted.reverse();
        assert_eq!(evicted, ids[..3]);
        let mut kept = site.accounts();
        kept.sort();
        ids[3..].sort();
        assert_eq!(kept, ids[3..], "{policy:?}");
        // Eve was active: no other account takes her place.
        let eve_stays = policy == AccountLimitPolicy::SignOutLeastRecentlyActive;
        assert_eq!(site.current_session() == CHOOSE, !eve_stays);
        // A node decides alike whatever the request acts as.
        let mut other = Site { engine: site.engine.clone(), browser: before, ..Site::new() };
        other.browser.cookies.remove(ACTIVE_COOKIE);
        let _ = other.current_session();
        let mut same = other.accounts();
        same.sort();
        assert_eq!(same, kept);
    }
}

#[test]
fn next_request_evicts_accounts_after_claims_grew_beyond_the_bytes() {
    let mut site = Site::with(|builder| builder.cookie_budget(4_200));
    let ada = site.try_sign_in("ada", user(&"x".repeat(800))).unwrap().session_id;
    site.now += 1;
    let bob = site.try_sign_in("bob", user(&"x".repeat(400))).unwrap().session_id;
    assert_eq!(site.accounts().len(), 2);
    // A renewal with a claims source writes claims without regard to the others.
    let larger = Site::with(|builder| builder.cookie_budget(32_000));
    let same_cookies = Site { browser: site.browser.clone(), now: site.now, ..larger };
    let mut larger = same_cookies;
    larger.switch(bob);
    larger.post(|jar| jar.update_claims(user(&"x".repeat(2_600))).unwrap());
    site.browser = larger.browser;
    assert!(site.browser.cookie_header().unwrap().len() > 4_200);
    assert_eq!(site.current_session(), Ok(bob));
    assert_eq!(site.accounts(), [bob]);
    assert!(!site.names().contains(&cookie_name(ada).as_str()));
    assert!(site.browser.cookie_header().unwrap().len() <= 4_200);
}

#[test]
fn requests_of_other_sites_and_speculative_requests_change_nothing() {
    let mut site = Site::new();
    let first = site.sign_in_without_cookies("ada");
    site.now += 1;
    let last = site.sign_in_without_cookies("ada");
    for _ in 0..2 {
        for value in ["cross-site", "same-site"] {
            let (session, changes) = site.run_handler(navigation(value), session_of);
            assert_eq!((session, changes.len()), (Ok(last), 0), "{value}");
        }
        let mut prefetch = get("/");
        prefetch.headers_mut().insert("sec-purpose", "prefetch;prerender".parse().unwrap());
        let (session, changes) = site.run_handler(prefetch, session_of);
        assert_eq!((session, changes.len()), (Ok(last), 0));
    }
    let copy = site.token(first);
    assert!(site.accepts(first, &copy));
    // Although this process already knows the token of the active session.
    let (session, changes) = site.run_handler(navigation("same-origin"), session_of);
    assert_eq!((session, changes), (Ok(last), vec![format!("-{}", cookie_name(first))]));
    assert!(!site.accepts(first, &copy));
}

#[test]
fn request_that_acts_as_the_older_session_continues_as_the_newer_one() {
    let mut site = Site::new();
    let first = site.sign_in_without_cookies("ada");
    site.now += 1;
    let last = site.sign_in_without_cookies("ada");
    site.put(ACTIVE_COOKIE, first.as_str());
    let (session, _) = site.run_handler(get("/"), session_of);
    assert_eq!(session, Ok(first), "the handler's decision is not changed under it");
    assert_eq!(site.active_cookie(), Some(last.to_string()));
    assert_eq!(site.current_session(), Ok(last));
}

#[test]
fn browser_within_its_limits_is_left_alone() {
    let mut site = Site::new();
    let ids: Vec<_> = ["ada", "bob", "cyd", "dee", "eve"].map(|name| site.sign_in(name)).into();
    for id in &ids {
        let (session, changes) =
            site.run_handler(super::with_session_header(&[id.as_str()]), session_of);
        assert_eq!((session, changes.len()), (Ok(*id), 0));
    }
    assert_eq!(site.accounts().len(), 5);
}

/// A service that generates a key at each start leaves a cookie of each.
#[test]
fn cookies_of_84_lost_keys_do_not_keep_anyone_signed_out() {
    let mut site = long_lived("k0", |builder| builder);
    for start in 0..84 {
        restart_with_key(&mut site, &format!("k{start}"), |builder| builder);
        let id = site.try_sign_in("ada", user(&"x".repeat(100))).unwrap().session_id;
        let (session, changes) = site.run_handler(get("/"), session_of);
        assert_eq!(session, Ok(id), "start {start}");
        assert!(removals(&changes) <= 16);
        let length = site.browser.cookie_header().unwrap().len();
        assert!(length < 8_000, "start {start}: {length} bytes");
        site.now += 3_600;
    }
}

/// 84 cookies of lost keys, as an earlier version left them.
fn flooded() -> Site {
    let mut site = long_lived("k0", |builder| builder);
    let mut all = std::collections::BTreeMap::new();
    for start in 0..84 {
        restart_with_key(&mut site, &format!("k{start}"), |builder| builder);
        site.browser.cookies.clear();
        site.try_sign_in("ada", user(&"x".repeat(100))).unwrap();
        all.extend(std::mem::take(&mut site.browser.cookies));
        site.now += 3_600;
    }
    site.browser.cookies = all;
    restart_with_key(&mut site, "now", |builder| builder);
    assert!(site.browser.cookie_header().unwrap().len() > 32 * 1024);
    site
}

#[test]
fn sign_in_above_the_reading_bound_sticks() {
    let mut site = flooded();
    assert_eq!(site.current_session(), SIGNED_OUT);
    let (id, changes) = site.post(|jar| {
        jar.sign_in(tower_auth_session::SignIn::new(crate::support::subject("ada"), user("Ada")))
            .unwrap()
            .session_id
    });
    assert!(removals(&changes) <= 16);
    assert_eq!(site.current_session(), Ok(id));
    for _ in 0..6 {
        assert_eq!(site.current_session(), Ok(id));
    }
    let length = site.browser.cookie_header().unwrap().len();
    assert!((6_000..8_000).contains(&length), "{length} bytes: only what exceeds the budget goes");
}

#[test]
fn sign_out_of_all_works_above_the_reading_bound() {
    let mut site = flooded();
    site.post(|jar| jar.sign_out_all());
    assert_eq!(site.names(), [ACTIVE_COOKIE]);
}

#[test]
fn cookies_of_unknown_keys_are_removed_oldest_first_and_never_while_they_are_young() {
    // A node behind in a rotation: it knows neither of these keys.
    let mut site = long_lived("k0", |builder| builder.cookie_budget(4_200));
    let mut ids: Vec<SessionId> = Vec::new();
    for kid in ["k1", "k2", "k3", "k4"] {
        restart_with_key(&mut site, kid, |builder| builder.cookie_budget(4_200));
        let cookies = std::mem::take(&mut site.browser.cookies);
        ids.push(site.try_sign_in(kid, user(&"x".repeat(700))).unwrap().session_id);
        site.browser.cookies.extend(cookies);
        site.now += 60;
    }
    restart_with_key(&mut site, "behind", |builder| builder.cookie_budget(4_200));
    let has = |site: &Site, id: SessionId| site.browser.cookies.contains_key(&cookie_name(id));
    assert!(site.browser.cookie_header().unwrap().len() > 4_200);
    site.now = START + 599;
    let (_, changes) = site.run_handler(get("/"), session_of);
    assert_eq!(changes, Vec::<String>::new(), "the key may not have reached this node yet");
    site.now = START + 600 + 30 + 3_600;
    let (_, changes) = site.run_handler(get("/"), session_of);
    assert_eq!(changes, [format!("-{}", cookie_name(ids[0]))], "one is enough");
    let (_, changes) = site.run_handler(get("/"), session_of);
    assert_eq!(changes.len(), 0);
    assert!(!has(&site, ids[0]) && ids[1..].iter().all(|id| has(&site, *id)));
    // By its own statement the last one has ended.
    let end = START + 41 * DAY;
    site.now = end;
    site.put(&cookie_name(ids[0]), &"x".repeat(2_500));
    let (_, changes) = site.run_handler(get("/"), session_of);
    assert_eq!(removals(&changes), 3, "{changes:?}");
}

#[test]
fn older_cookie_that_this_node_verifies_stays_when_those_of_unknown_keys_are_removed() {
    let small = |builder: Builder| builder.cookie_budget(4_200);
    let mut site = long_lived("own", small);
    let mut ids = Vec::new();
    for kid in ["own", "k1", "k2", "k3", "own"] {
        if ids.len() == 4 {
            site.now += 3_600;
        }
        restart_with_key(&mut site, kid, small);
        let cookies = std::mem::take(&mut site.browser.cookies);
        let name = format!("user-{}", ids.len());
        ids.push(site.try_sign_in(&name, user(&"x".repeat(700))).unwrap().session_id);
        let newest = std::mem::replace(&mut site.browser.cookies, cookies);
        site.browser.cookies.extend(newest);
        site.now += 60;
    }
    let (session, changes) = site.run_handler(get("/"), session_of);
    assert_eq!(session, Ok(ids[4]));
    assert!(changes.contains(&format!("-{}", cookie_name(ids[1]))), "{changes:?}");
    assert!(site.browser.cookies.contains_key(&cookie_name(ids[0])), "{changes:?}");
}

#[test]
fn expired_cookies_of_unknown_keys_are_removed_whatever_their_age() {
    let mut site = Site::new();
    let ids: Vec<_> = (0..20).map(|_| site.sign_in_without_cookies("ada")).collect();
    restart_with_key(&mut site, "k2", |builder| builder);
    site.now += 100 + 5;
    let (session, changes) = site.run_handler(get("/"), session_of);
    assert_eq!((session, removals(&changes)), (SIGNED_OUT, 16), "{}", ids.len());
    let (_, changes) = site.run_handler(get("/"), session_of);
    assert!(removals(&changes) <= 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Requests that see different parts of a browser's cookies never evict what another one keeps, and
    /// repeated requests reach the same result.
    #[test]
    fn every_view_of_a_browser_reaches_the_same_sessions(
        users in prop::collection::vec(0..7_usize, 1..30),
        max in 1..5_usize,
        seed: u64,
    ) {
        let names = ["ada", "bob", "cyd", "dee", "eve", "fay", "gil"];
        let mut site = Site::with(|builder| {
            builder.max_sessions_per_browser(max).random(SeededRandom::new(seed))
        });
        let mut newest: Vec<(usize, SessionId)> = Vec::new();
        for user in users {
            site.now += 1;
            let id = site.sign_in_without_cookies(names[user]);
            newest.retain(|(other, _)| *other != user);
            newest.push((user, id));
        }
        let mut expected: Vec<_> = newest.iter().rev().take(max).map(|(_, id)| *id).collect();
        for _ in 0..6 {
            let jar = site.open(get("/"));
            let headers = site.close(&jar);
            prop_assert!(removals(&cookie_changes(&headers)) <= 16);
            site.browser.store(&headers);
            prop_assert!(site.current_session() != Err(SessionStatusKind::Unavailable));
        }
        let mut kept = site.accounts();
        kept.sort();
        expected.sort();
        prop_assert_eq!(kept, expected);
        prop_assert_eq!(session_cookies(&site), max.min(newest.len()));
    }
}

#[test]
fn sign_out_leaves_no_session_cookie_after_sign_ins_of_other_sites() {
    let mut site = Site::new();
    let ids: Vec<_> = (0..20).map(|_| site.sign_in_without_cookies("ada")).collect();
    site.run_handler(post("/", ""), |jar| jar.sign_out()).0.unwrap();
    assert_eq!(site.names(), [ACTIVE_COOKIE], "{}", ids.len());
}

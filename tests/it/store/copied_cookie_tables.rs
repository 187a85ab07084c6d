//! The tables about copied cookies, row by row, and what they do not cover: slow handlers, and engines
//! without the layer. A row without a check fails the test of its table, and so does a check without a row.

use std::{collections::BTreeSet, future::Future, pin::Pin};

use http::{Response, header};
use tower_auth_session::{config::CopiedCookies, engine::Factor, time::Timestamp};

use super::{
    copied_cookies::{claim, copied, copies, node, settings},
    fixture::Node,
};
use crate::{
    documents,
    support::{Browser, START, get, seconds},
};

type Check = fn() -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! check {
    ($check:expr) => {
        || Box::pin($check)
    };
}

async fn check_table(document: &str, head: &str, rows: &[(&str, Check)]) {
    let table = documents::table(document, head);
    let stated: BTreeSet<_> = table.keys().map(String::as_str).collect();
    let checked: BTreeSet<_> = rows.iter().map(|(row, _)| *row).collect();
    assert_eq!(stated, checked, "the rows in {document}, and those with a check");
    for (row, check) in rows {
        // Shown if the check fails.
        println!("{row}");
        check().await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_setting_has_the_consequence_of_its_row() {
    check_table(
        "docs/copied-cookies.md",
        "| `copied_cookies` | what happens when a copy is presented |",
        &[
            ("off", check!(presented(CopiedCookies::Off))),
            ("report", check!(presented(CopiedCookies::Report))),
            ("step_up", check!(presented(CopiedCookies::StepUp))),
            ("end", check!(presented(CopiedCookies::End))),
        ],
    )
    .await;
}

async fn presented(setting: CopiedCookies) {
    use CopiedCookies::{End, Off, Report, StepUp};
    let node = node(setting);
    let (mut browser, mut copy) = copied(&node).await;
    // Each client renews once more.
    let ends = setting == End;
    for (client, apart) in [(&mut copy, 30), (&mut browser, 60)] {
        node.advance(apart);
        let expected = if ends { "SignedOut" } else { "ada" };
        assert_eq!(node.current_user(client).await, expected, "{setting}");
    }
    // With `report` the copy is the newest token from now on, and the browser's an older one.
    let events = match setting {
        Off => 0,
        Report => 2,
        _ => 1,
    };
    assert_eq!(copies(&node).len(), events, "{setting}");
    if !ends {
        for client in [&mut copy, &mut browser] {
            assert_eq!(is_recent(&node, client).await, setting != StepUp, "{setting}");
        }
    }
}

/// Whether the first factor was verified since the test began.
async fn is_recent(node: &Node, browser: &mut Browser) -> bool {
    let response = node
        .run_handler(browser, |jar| async move {
            let session = jar.session().unwrap();
            let ages = session.identity().factor_ages(session.last_active_at());
            (ages.first <= Some(seconds(10_000))).to_string()
        })
        .await;
    response.text() == "true"
}

#[tokio::test(start_paused = true)]
async fn each_token_of_a_renewal_has_the_result_of_its_row() {
    check_table(
        "DESIGN.md",
        "| id of the token that is due | result |",
        &[
            ("the newest", check!(newest())),
            ("the previous one, within the grace of the rotation", check!(previous(3))),
            ("the previous one, later, until the next rotation is allowed", check!(previous(15))),
            ("the previous one after that, its successor was not presented", check!(previous(40))),
            ("the previous one, its successor was presented", check!(older(1))),
            ("an older one", check!(older(2))),
            ("none", check!(none())),
            ("any, after an alarm", check!(after_alarm())),
        ],
    )
    .await;
}

async fn newest() {
    let node = node(CopiedCookies::End);
    let mut browser = node.sign_in("ada").await;
    let mut seen = BTreeSet::from([claim(&browser, "jti")]);
    for _ in 0..3 {
        node.advance(60);
        assert_eq!(node.current_user(&mut browser).await, "ada");
        assert!(seen.insert(claim(&browser, "jti")), "a new id");
    }
    assert_eq!(copies(&node), []);
}

/// The previous id, this many seconds after the rotation.
async fn previous(second: u64) {
    let node = node(CopiedCookies::End);
    let mut browser = node.sign_in("ada").await;
    let mut tab = browser.clone();
    node.advance(60);
    assert_eq!(node.current_user(&mut browser).await, "ada");
    let (first, next) = (claim(&tab, "jti"), claim(&browser, "jti"));
    // Another process, which has not processed the rotation.
    let elsewhere = node.sibling(settings(Some(CopiedCookies::End)));
    node.advance(second);
    assert_eq!(elsewhere.current_user(&mut tab).await, "ada");
    let id = claim(&tab, "jti");
    match second {
        0..=10 => assert_eq!(id, next),
        11..=36 => assert_eq!(id, first),
        _ => assert!(id != first && id != next),
    }
    assert!(copies(&node).is_empty() && copies(&elsewhere).is_empty());
}

/// An id from before this many presented successors.
async fn older(presented: usize) {
    let node = node(CopiedCookies::End);
    let mut browser = node.sign_in("ada").await;
    let mut copy = browser.clone();
    for _ in 0..=presented {
        node.advance(60);
        assert_eq!(node.current_user(&mut browser).await, "ada");
    }
    assert_eq!(node.current_user(&mut copy).await, "SignedOut");
    assert_eq!(copies(&node).len(), 1);
}

async fn none() {
    let node = node(CopiedCookies::End);
    let off = node.sibling(settings(Some(CopiedCookies::Off)));
    let mut browser = off.sign_in("ada").await;
    assert_eq!(claim(&browser, "jti"), "");
    for _ in 0..3 {
        node.advance(60);
        assert_eq!(off.current_user(&mut browser).await, "ada");
        node.advance(60);
        assert_eq!(node.current_user(&mut browser).await, "ada");
        assert_ne!(claim(&browser, "jti"), "");
    }
    assert_eq!(copies(&node), []);
}

async fn after_alarm() {
    let node = node(CopiedCookies::StepUp);
    let (mut browser, mut copy) = copied(&node).await;
    node.advance(60);
    node.current_user(&mut copy).await;
    assert_eq!(copies(&node).len(), 1);
    for client in [&mut browser, &mut copy] {
        node.advance(60);
        let before = claim(client, "jti");
        assert_eq!(node.current_user(client).await, "ada");
        assert!(!is_recent(&node, client).await);
        assert_eq!(claim(client, "jti"), before, "nothing rotates");
    }
    assert_eq!(copies(&node), [], "one event");
    node.run_handler(&mut browser, |jar| async move {
        jar.mark_verified(Factor::First).unwrap();
    })
    .await;
    assert!(is_recent(&node, &mut browser).await);
}

/// The response of a handler that takes longer than the grace arrives after later renewals.
#[tokio::test(start_paused = true)]
async fn response_of_a_slow_handler_is_an_alarm_only_after_two_renewals_elsewhere() {
    for (same_process, renewals, expected) in
        [(true, 1, 0), (true, 2, 0), (false, 1, 0), (false, 2, 1)]
    {
        let node = node(CopiedCookies::Report);
        let elsewhere = match same_process {
            true => node.clone(),
            false => node.sibling(settings(Some(CopiedCookies::Report))),
        };
        let mut browser = node.sign_in("ada").await;
        node.advance(60);
        let (slow, mut tab) = (elsewhere.clone(), browser.clone());
        let slow = tokio::spawn(async move { slow.get(&mut tab, "/slow").await });
        while elsewhere.store.take_calls() != ["renew"] {
            tokio::task::yield_now().await;
        }
        // Another tab has the same token and sends more requests.
        assert_eq!(node.current_user(&mut browser).await, "ada");
        for _ in 0..renewals {
            node.advance(60);
            assert_eq!(node.current_user(&mut browser).await, "ada");
        }
        node.advance(5);
        elsewhere.gate.add_permits(1);
        let response = slow.await.unwrap();
        assert_eq!(response.set_cookies().is_empty(), same_process, "an older token");
        browser.store(&response.headers);
        node.advance(60);
        assert_eq!(node.current_user(&mut browser).await, "ada");
        assert_eq!(copies(&node).len(), expected, "{same_process}, {renewals} renewals");
    }
}

/// Code that runs the engine without the layer compares nothing: the id stays, and raises no alarm.
#[tokio::test(start_paused = true)]
async fn engine_without_the_layer_keeps_the_id_and_raises_no_alarm() {
    let node = node(CopiedCookies::End);
    let mut browser = node.sign_in("ada").await;
    let without_layer = node.sibling(settings(Some(CopiedCookies::End)));
    let engine = without_layer.layer.engine();
    let mut second = START;
    for round in 0..6 {
        node.advance(60);
        second += 60;
        let before = claim(&browser, "jti");
        if round % 3 == 2 {
            assert_eq!(node.current_user(&mut browser).await, "ada");
            assert_ne!(claim(&browser, "jti"), before);
            continue;
        }
        let now = Timestamp::from_unix_seconds(second);
        let mut request = get("/");
        let cookies = browser.cookie_header().unwrap();
        request.headers_mut().insert(header::COOKIE, cookies.parse().unwrap());
        let jar = engine.open(&request, now);
        assert!(jar.session().is_some());
        let mut response = Response::new(());
        engine.close(&jar, &mut response, now).unwrap();
        assert_eq!(response.headers().get_all(header::SET_COOKIE).iter().count(), 1, "renewed");
        browser.store(response.headers());
        assert_eq!(claim(&browser, "jti"), before);
    }
    assert!(copies(&node).is_empty() && copies(&without_layer).is_empty());
}

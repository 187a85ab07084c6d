//! Session ids that do not belong to this browser, because they are forged, signed out or another
//! browser's, change no session, in whatever part of a request they are.

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;

use super::Site;
use crate::support::{Browser, COOKIE, get, post};

/// A POST with the id in each part of the request that is read.
fn requests_with_id(path: &str, id: &str) -> Vec<Request<Full<Bytes>>> {
    let with_body = |kind: &str, body: String| {
        let mut request = post(path, "").map(|_| Full::from(body));
        request.headers_mut().insert(header::CONTENT_TYPE, kind.parse().unwrap());
        request
    };
    let mut in_header = post(path, "");
    in_header.headers_mut().insert("session-id", id.parse().unwrap());
    let mut in_both = with_body("application/x-www-form-urlencoded", format!("session_id={id}"));
    in_both.headers_mut().insert("session-id", id.parse().unwrap());
    vec![
        with_body("application/x-www-form-urlencoded", format!("session_id={id}")),
        with_body("application/json", format!(r#"{{"session_id":"{id}"}}"#)),
        post(&format!("{path}?session_id={id}"), ""),
        post(&format!("{path}?s={id}"), ""),
        in_header,
        in_both,
    ]
}

#[tokio::test]
async fn session_ids_of_another_browser_change_no_session() {
    let mut site = Site::new(|builder| builder.session_query_param("s"));
    let own_ids = site.sign_in(&["ada", "grace"]).await;
    let mut own_browser = std::mem::take(&mut site.browser);
    let other_ids = site.sign_in(&["mallory", "trudy"]).await;
    let signed_out_id = other_ids[0].clone();
    site.form("/sign-out", &format!("session_id={signed_out_id}"), "").await;
    let victim = site.browser.clone();

    // Also with cookies for the ids: an invalid one, and a copy of one of the browser's own cookies.
    let own = own_browser.cookies[&format!("{COOKIE}.{}", own_ids[1])].clone();
    for cookie in [None, Some("a.b.c".to_owned()), Some(own)] {
        if let Some(value) = cookie {
            for id in [&other_ids[1], &signed_out_id] {
                own_browser.cookies.insert(format!("{COOKIE}.{id}"), value.clone());
            }
        }
        for id in [&other_ids[1], &signed_out_id, "CCCCCCCCCCCCCCCCCCCCCA", "active", "none", "."] {
            for path in ["/session/switch", "/sign-out"] {
                for request in requests_with_id(path, id) {
                    let has_unknown_id = request.uri().query().is_some_and(|q| q.starts_with("s="))
                        || request.headers().contains_key("session-id");
                    site.browser = own_browser.clone();
                    let response = site.send(request).await;
                    assert_eq!(response.set_cookies(), [""; 0], "{path} {id}");
                    // A switch needs an id in its own parameter.
                    let status = response.status.as_u16();
                    let expected: &[u16] = match (path, has_unknown_id) {
                        ("/session/switch", true) => &[400, 409],
                        ("/session/switch", false) => &[409],
                        _ => &[200, 303],
                    };
                    assert!(expected.contains(&status), "{path} {id}: {response:?}");
                    assert_eq!(site.who().await, "grace", "{path} {id}");
                    assert_eq!(site.subjects().await, ["ada", "grace"]);
                }
            }
            let mut named = get("/session");
            named.headers_mut().insert("session-id", id.parse().unwrap());
            let list = site.send(named).await;
            assert!(list.text().starts_with(r#"{"active":null,"#), "{list:?}");
        }
    }
    site.browser = victim;
    assert_eq!((site.who().await, site.subjects().await), ("trudy".into(), vec!["trudy".into()]));
}

/// Signing out of all revokes verified sessions only, and not one that a forged cookie name contains.
#[tokio::test]
async fn sign_out_of_all_does_not_revoke_sessions_of_forged_cookie_names() {
    let mut site = Site::new(|builder| builder);
    let other_ids = site.sign_in(&["trudy"]).await;
    let victim = std::mem::take(&mut site.browser);
    site.sign_in(&["ada"]).await;
    let own = site.browser.cookies.clone();
    let own = own.iter().find(|(_, value)| value.contains('.')).unwrap().1;
    for value in ["a.b.c", own] {
        site.browser.cookies.insert(format!("{COOKIE}.{}", other_ids[0]), value.to_owned());
        site.form("/sign-out", "scope=browser", "").await;
        assert!(site.browser.has_no_session());
    }
    site.browser = victim;
    assert_eq!(site.who().await, "trudy");
}

/// A session that the application revoked is not listed, and its cookie is removed.
#[tokio::test]
async fn revoked_account_is_not_listed_and_cannot_be_chosen() {
    for (revoked, who, remaining) in [(0, "grace", "GRACE"), (1, "signed out", "ADA")] {
        let (mut site, ids) = Site::signed_in(&["ada", "grace"]).await;
        revoke(&site, &ids[revoked]);
        let copy: Browser = site.browser.clone();
        let list = site.list().await;
        let [session] = &list["sessions"].as_array().unwrap()[..] else { panic!("{list}") };
        assert_eq!(session["label"], remaining);
        let name = format!("{COOKIE}.{}", ids[revoked]);
        assert!(!site.browser.cookies.contains_key(&name), "the response removes its cookie");

        site.browser = copy.clone();
        let page = site.send(get("/sign-in/choose")).await;
        assert_eq!(page.text().matches("class=\"account\"").count(), 1, "{}", page.text());
        assert!(page.text().contains(remaining) && !page.text().contains(&*ids[revoked]));

        site.browser = copy;
        let response = site.send(post(&format!("/session/switch?session_id={}", ids[revoked]), ""));
        assert_eq!(response.await.status.as_u16(), 409);
        assert_eq!(site.who().await, who, "no other account becomes active");
    }
}

fn revoke(site: &Site, id: &str) {
    let mut request = get("/");
    let cookies = site.browser.cookie_header().unwrap();
    request.headers_mut().insert(header::COOKIE, cookies.parse().unwrap());
    request.headers_mut().insert("session-id", id.parse().unwrap());
    let now = tower_auth_session::time::Timestamp::from_unix_seconds(crate::support::START);
    let engine = site.layer.engine();
    let session = engine.open(&request, now).session().unwrap();
    engine.revoke_session(session.identity(), now);
}

/// The active account expired without a request; the other one is still valid.
#[tokio::test]
async fn other_account_can_be_chosen_after_the_active_one_expired() {
    let (mut site, ids) = Site::signed_in(&["ada", "grace"]).await;
    for _ in 0..4 {
        site.clock.advance(crate::support::seconds(40));
        let mut tab = get("/");
        tab.headers_mut().insert("session-id", ids[0].parse().unwrap());
        assert_eq!(site.send(tab).await.text(), "application: ada");
    }
    assert_eq!(
        (site.who().await, site.subjects().await),
        ("signed out".into(), vec!["ada".into()])
    );
    let form = format!("session_id={}", ids[0]);
    assert_eq!(site.form("/session/switch", &form, "").await.status.as_u16(), 303);
    assert_eq!(site.who().await, "ada");
}

//! A renewal that is due when an endpoint is asked: the claims source says what goes into its token,
//! as for every other request.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tower::{Layer as _, service_fn};
use tower_auth_session::{ClaimsSourceError, SessionIdentity};

use super::{App, Site, app, location};
use crate::support::{get, seconds, user};

/// A site whose source counts: the names are `1`, `2`, …
fn counting() -> (Site, Arc<AtomicUsize>) {
    let mut site = Site::new(|builder| builder);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    site.layer = site.layer.claims_source(move |_: SessionIdentity| {
        let name = (count.fetch_add(1, Ordering::SeqCst) + 1).to_string();
        async move { Ok::<_, ClaimsSourceError>(user(&name)) }
    });
    site.service = site.layer.layer(service_fn(app as App));
    (site, asked)
}

#[tokio::test]
async fn the_list_and_the_page_show_what_the_source_says() {
    for path in ["/session", "/sign-in/choose"] {
        let (mut site, asked) = counting();
        site.sign_in(&["ada"]).await;
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        site.clock.advance(seconds(10));
        let response = site.send(get(path)).await;
        assert_eq!((asked.load(Ordering::SeqCst), response.set_cookies().len()), (2, 1));
        assert_eq!(response.header("cache-control"), "private, no-store");
        let list = site.list().await;
        assert_eq!(list["sessions"][0]["label"], "2");
        assert_eq!(asked.load(Ordering::SeqCst), 2, "the new token is fresh");
    }
}

#[tokio::test]
async fn who_signs_out_is_not_asked_for() {
    let (mut site, asked) = counting();
    let ids = site.sign_in(&["ada", "grace"]).await;
    site.clock.advance(seconds(10));
    let response = site.form("/sign-out", "", "").await;
    assert_eq!(location(&response), (303, "/sign-in/choose"));
    assert_eq!(asked.load(Ordering::SeqCst), 2);

    site.form("/session/switch", &format!("session_id={}", ids[0]), "").await;
    assert_eq!(asked.load(Ordering::SeqCst), 2, "it is renewed when it is used");
    site.who().await;
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn who_stays_is_asked_for() {
    let (mut site, asked) = counting();
    let ids = site.sign_in(&["ada", "grace"]).await;
    site.clock.advance(seconds(10));
    site.form("/sign-out", &format!("session_id={}", ids[0]), "").await;
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    assert_eq!(site.list().await["sessions"][0]["label"], "3");
}

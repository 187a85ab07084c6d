//! A renewal that is due in a request to an endpoint: the claims source provides the claims of the token,
//! as for every other request.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tower::{Layer as _, service_fn};
use tower_auth_session::{claims::ClaimsSourceError, engine::SessionIdentity};

use super::{App, Site, app, location};
use crate::support::{get, seconds, user};

/// A site whose claims source counts its calls: the names are `1`, `2`, …
fn site_with_counting_source() -> (Site, Arc<AtomicUsize>) {
    let mut site = Site::new(|builder| builder);
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    site.layer = site.layer.claims_source(move |_: SessionIdentity| {
        let name = (count.fetch_add(1, Ordering::SeqCst) + 1).to_string();
        async move { Ok::<_, ClaimsSourceError>(user(&name)) }
    });
    site.service = site.layer.layer(service_fn(app as App));
    (site, calls)
}

#[tokio::test]
async fn session_list_and_chooser_show_renewed_claims() {
    for path in ["/session", "/sign-in/choose"] {
        let (mut site, calls) = site_with_counting_source();
        site.sign_in(&["ada"]).await;
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        site.clock.advance(seconds(10));
        let response = site.send(get(path)).await;
        assert_eq!((calls.load(Ordering::SeqCst), response.set_cookies().len()), (2, 1));
        assert_eq!(response.header("cache-control"), "private, no-store");
        let list = site.list().await;
        assert_eq!(list["sessions"][0]["label"], "2");
        assert_eq!(calls.load(Ordering::SeqCst), 2, "no renewal is due");
    }
}

#[tokio::test]
async fn sign_out_does_not_fetch_claims_of_the_revoked_session() {
    let (mut site, calls) = site_with_counting_source();
    let ids = site.sign_in(&["ada", "grace"]).await;
    site.clock.advance(seconds(10));
    let response = site.form("/sign-out", "", "").await;
    assert_eq!(location(&response), (303, "/sign-in/choose"));
    assert_eq!(calls.load(Ordering::SeqCst), 2);

    site.form("/session/switch", &format!("session_id={}", ids[0]), "").await;
    assert_eq!(calls.load(Ordering::SeqCst), 2, "a session is renewed by its next own request");
    site.who().await;
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn sign_out_of_another_account_renews_the_active_one() {
    let (mut site, calls) = site_with_counting_source();
    let ids = site.sign_in(&["ada", "grace"]).await;
    site.clock.advance(seconds(10));
    site.form("/sign-out", &format!("session_id={}", ids[0]), "").await;
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    assert_eq!(site.list().await["sessions"][0]["label"], "3");
}

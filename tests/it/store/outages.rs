//! An outage of the store makes requests unavailable and changes nothing else.

use std::time::Duration;

use super::fixture::Node;
use crate::support::faulty_store::Fault;

const FAULTS: [Fault; 6] = [
    Fault::Refused,
    Fault::Hangs,
    Fault::Slow(Duration::from_secs(1)),
    Fault::ReadOnly,
    Fault::Corrupt,
    Fault::OtherSubject,
];

#[tokio::test(start_paused = true)]
async fn outage_is_unavailable_and_signs_no_session_out() {
    for fault in FAULTS {
        let node = Node::new();
        let mut browser = node.sign_in("ada").await;
        let before = browser.cookies.clone();
        node.store.set(fault);
        assert_eq!(node.current_user(&mut browser).await, "ada", "{fault:?}: fresh");
        node.advance(10);
        let response = node.get(&mut browser, "/guarded").await;
        assert_eq!(response.status, 503, "{fault:?}");
        assert_eq!(response.header("retry-after"), "5", "{fault:?}");
        assert_eq!(
            node.current_user(&mut browser).await,
            "Unavailable",
            "{fault:?}: not anonymous"
        );
        assert_eq!(node.get(&mut browser, "/session").await.status, 503, "{fault:?}");
        assert_eq!(browser.cookies, before, "{fault:?}: no cookie is changed");
        node.store.set(Fault::None);
        node.advance(5);
        assert_eq!(node.get(&mut browser, "/guarded").await.text(), "ada", "{fault:?}: recovered");
    }
}

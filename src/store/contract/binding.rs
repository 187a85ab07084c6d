//! The device that a session is bound to: the rule of
//! [`RenewRequest::binding`], in the same step as the renewal.

use super::fixture::{Fixture, LIFETIME, new_subject};
use crate::{
    engine::session::device_key::{DeviceBinding, DeviceKey},
    random::{OsRandom, RandomSource},
    store::{
        record::{SessionKey, SessionRecord},
        types::{RenewOutcome, RenewRequest},
    },
};

pub(super) async fn check(stores: &Fixture) {
    if !records_bindings(stores).await {
        return;
    }
    first_key_wins(stores).await;
    mismatch_changes_nothing(stores).await;
    binding_is_loaded_and_listed(stores).await;
    new_session_is_unbound(stores).await;
}

/// Stores do not check that a key is on its curve.
fn new_key() -> DeviceKey {
    let mut bytes = [0; 64];
    OsRandom.fill(&mut bytes).expect("randomness");
    DeviceKey::from_bytes(bytes)
}

impl Fixture {
    async fn renew_bound(
        &self,
        key: &SessionKey,
        device_key: Option<DeviceKey>,
        at: u64,
    ) -> RenewOutcome {
        let mut renewal = RenewRequest::new(self.at(at), self.at(at), self.at(at + LIFETIME));
        renewal.device_key = device_key;
        self.other_node.renew(key, renewal).await.expect("renew")
    }
}

fn active(outcome: RenewOutcome) -> SessionRecord {
    match outcome {
        RenewOutcome::Active(record) => record,
        other => panic!("an active session is renewed: {other:?}"),
    }
}

/// A store that records no binding binds no session, which the layer reports.
async fn records_bindings(stores: &Fixture) -> bool {
    let session = stores.sign_in(&new_subject("ada"), 0).await;
    let renewed = stores.renew_bound(&session.key(), Some(new_key()), 1).await;
    active(renewed).binding.is_some()
}

async fn first_key_wins(stores: &Fixture) {
    let session = stores.sign_in(&new_subject("ada"), 0).await;
    let (key, [first, second]) = (session.key(), [new_key(), new_key()]);
    assert_eq!(active(stores.renew_bound(&key, None, 10).await).binding, None);
    let bound = Some(DeviceBinding::new(first, stores.at(20)));
    for at in [20, 30] {
        let record = active(stores.renew_bound(&key, Some(first), at).await);
        assert_eq!(record.binding, bound, "a session is bound once, at {at} s");
    }
    for other in [Some(second), None, Some(second)] {
        let RenewOutcome::KeyMismatch(record) = stores.renew_bound(&key, other, 40).await else {
            panic!("a bound session is renewed with its key only")
        };
        assert_eq!(record.binding, bound, "the record shows the binding");
    }
    assert_eq!(active(stores.renew_bound(&key, Some(first), 50).await).binding, bound);
    stores.revoke(&key, 60).await;
    for device_key in [Some(first), Some(second), None] {
        let renewed = stores.renew_bound(&key, device_key, 61).await;
        assert_eq!(renewed, RenewOutcome::Revoked, "a revoked session stays revoked");
    }
}

async fn mismatch_changes_nothing(stores: &Fixture) {
    let session = stores.sign_in(&new_subject("ada"), 0).await;
    let (key, device_key) = (session.key(), new_key());
    let before = active(stores.renew_bound(&key, Some(device_key), 10).await);
    let RenewOutcome::KeyMismatch(record) = stores.renew_bound(&key, None, 500).await else {
        panic!("a bound session is renewed with its key only")
    };
    assert_eq!(record, before, "a refused renewal records no activity");
    let expired = 10 + LIFETIME;
    for device_key in [None, Some(device_key)] {
        let renewed = stores.renew_bound(&key, device_key, expired).await;
        assert_eq!(renewed, RenewOutcome::Expired, "a refused renewal extends nothing");
    }
}

async fn binding_is_loaded_and_listed(stores: &Fixture) {
    let session = stores.sign_in(&new_subject("ada"), 0).await;
    let record = active(stores.renew_bound(&session.key(), Some(new_key()), 10).await);
    let found = stores.store.load(&[session.key()], stores.at(11)).await.expect("load");
    assert_eq!(found, [Some(record.clone())], "a loaded session has its binding");
    let page = stores.store.list(&session.subject, stores.at(11), None, 2).await;
    assert_eq!(page.expect("list").sessions, [record], "a listed session has its binding");
}

async fn new_session_is_unbound(stores: &Fixture) {
    let mut session = stores.session(&new_subject("ada"), 0);
    session.binding = Some(DeviceBinding::new(new_key(), stores.at(0)));
    stores.store.create(&session, None).await.expect("create");
    let renewed = stores.renew_bound(&session.key(), None, 1).await;
    assert_eq!(active(renewed).binding, None, "a new session is not bound");
}

//! The lineage of a session's tokens: the rule of [`LineageRequest`], in the same step as the renewal.

use std::{future::poll_fn, task::Poll, time::Duration};

use super::fixture::{Fixture, LIFETIME, new_subject};
use crate::{
    engine::session::lineage::{Lineage, LineageId, LineageRequest, OnCopy},
    random::OsRandom,
    store::{
        record::{SessionKey, SessionRecord},
        types::{RenewOutcome, RenewRequest},
    },
};

pub(super) async fn check(stores: &Fixture) {
    if !records_lineages(stores).await {
        return;
    }
    every_case_of_the_rule_is_applied(stores).await;
    renewal_without_a_lineage_leaves_it_unchanged(stores).await;
    parallel_renewals_get_one_successor(stores).await;
    ended_session_has_no_grace(stores).await;
}

const SETTLE: u64 = 30;

fn id() -> LineageId {
    LineageId::generate(&OsRandom).expect("randomness")
}

fn request(presented: Option<LineageId>, on_copy: OnCopy) -> LineageRequest {
    LineageRequest::new(presented, id(), Duration::from_secs(SETTLE), on_copy)
}

impl Fixture {
    async fn renew_lineage(
        &self,
        key: &SessionKey,
        lineage: LineageRequest,
        at: u64,
    ) -> SessionRecord {
        let renewal = RenewRequest::new(self.at(at), self.at(at), self.at(at + LIFETIME));
        match self.other_node.renew(key, renewal.with_lineage(lineage)).await.expect("renew") {
            RenewOutcome::Active(record) => record,
            other => panic!("an active session is renewed: {other:?}"),
        }
    }
}

/// A store that records no lineage detects no copies, which the layer reports.
async fn records_lineages(stores: &Fixture) -> bool {
    let session = stores.sign_in(&new_subject("ada"), 0).await;
    let record = stores.renew_lineage(&session.key(), request(None, OnCopy::Keep), 1).await;
    record.lineage.is_some()
}

async fn every_case_of_the_rule_is_applied(stores: &Fixture) {
    let ids = [id(), id(), id()];
    let [current, previous, unknown] = ids.map(Some);
    for on_copy in [OnCopy::Keep, OnCopy::Adopt, OnCopy::Alarm] {
        for rotates in [true, false] {
            for presented in [None, current, previous, unknown] {
                for second in [100, 100 + SETTLE - 1, 100 + SETTLE, 100 - SETTLE + 1, 100 - SETTLE]
                {
                    let session = stores.sign_in(&new_subject("ada"), 0).await;
                    let key = session.key();
                    let start = LineageRequest { next: ids[0], ..request(previous, on_copy) };
                    let mut known = stores.renew_lineage(&key, start, 100).await.lineage;
                    assert_eq!(known, Some(Lineage::new(current, previous, stores.at(100))));
                    let mut asked = LineageRequest { rotates, ..request(presented, on_copy) };
                    // Twice: a retried renewal has the same outcome, and an alarm is final.
                    for _ in 0..2 {
                        let expected = asked.apply(known, stores.at(second));
                        known = stores.renew_lineage(&key, asked, second).await.lineage;
                        assert_eq!(known, expected, "{asked:?} at {second} s");
                    }
                    asked = request(unknown, OnCopy::Adopt);
                    let expected = asked.apply(known, stores.at(900));
                    known = stores.renew_lineage(&key, asked, 900).await.lineage;
                    assert_eq!(known, expected, "{asked:?}");
                    let found = stores.store.load(&[key], stores.at(901)).await.expect("load");
                    let found = found.into_iter().next().flatten().expect("an active session");
                    assert_eq!(found.lineage, known, "a loaded session has its lineage");
                    let page = stores.store.list(&session.subject, stores.at(901), None, 2).await;
                    let listed = page.expect("list").sessions;
                    assert_eq!(listed, [found], "a listed session has its lineage");
                }
            }
        }
    }
    for second in [100 + SETTLE - 1, 100 + SETTLE] {
        let session = stores.sign_in(&new_subject("ada"), 0).await;
        let start = request(None, OnCopy::Alarm);
        let known = stores.renew_lineage(&session.key(), start, 100).await.lineage;
        let asked = request(unknown, OnCopy::Alarm);
        let expected = asked.apply(known, stores.at(second));
        let found = stores.renew_lineage(&session.key(), asked, second).await.lineage;
        assert_eq!(found, expected, "a lineage without a previous id, at {second} s");
    }
    let session = stores.sign_in(&new_subject("ada"), 0).await;
    let asked = LineageRequest { rotates: false, ..request(current, OnCopy::Alarm) };
    let record = stores.renew_lineage(&session.key(), asked, 1).await;
    assert_eq!(record.lineage, None, "a token that is not due starts no lineage");
}

async fn renewal_without_a_lineage_leaves_it_unchanged(stores: &Fixture) {
    let session = stores.sign_in(&new_subject("ada"), 0).await;
    let renewed = stores.renew_lineage(&session.key(), request(Some(id()), OnCopy::Alarm), 1).await;
    let RenewOutcome::Active(record) = stores.renew(&session.key(), 200).await else {
        panic!("an active session is renewed")
    };
    assert_eq!(record.lineage, renewed.lineage);
    let mut copy = stores.session(&session.subject, 300);
    copy.lineage = renewed.lineage;
    stores.store.create(&copy, None).await.expect("create");
    let found = stores.store.load(&[copy.key()], stores.at(300)).await.expect("load");
    let found = found.into_iter().next().flatten().expect("an active session");
    assert_eq!(found.lineage, None, "a new session has no lineage");
}

async fn parallel_renewals_get_one_successor(stores: &Fixture) {
    let session = stores.sign_in(&new_subject("ada"), 0).await;
    let (key, presented) = (session.key(), Some(id()));
    let renew = || stores.renew_lineage(&key, request(presented, OnCopy::Alarm), 60);
    let [one, other, third] = all_at_once([renew(), renew(), renew()]).await;
    assert_eq!([one.lineage; 2], [other.lineage, third.lineage]);
    assert_eq!(one.lineage.and_then(|lineage| lineage.previous), presented);
}

async fn ended_session_has_no_grace(stores: &Fixture) {
    let session = stores.sign_in(&new_subject("ada"), 0).await;
    let (key, presented) = (session.key(), Some(id()));
    stores.renew_lineage(&key, request(presented, OnCopy::Keep), 60).await;
    stores.revoke(&key, 61).await;
    let renewal = RenewRequest::new(stores.at(62), stores.at(62), stores.at(62 + LIFETIME));
    let renewal = renewal.with_lineage(request(presented, OnCopy::Keep));
    let renewed = stores.other_node.renew(&key, renewal).await.expect("renew");
    assert_eq!(renewed, RenewOutcome::Revoked, "a revoked session is not renewed in the grace");
}

/// Polls `calls` in turn until all are done.
async fn all_at_once<T, const N: usize>(calls: [impl Future<Output = T>; N]) -> [T; N] {
    let mut calls = calls.map(|call| (Box::pin(call), None));
    poll_fn(|cx| {
        for (call, result) in &mut calls {
            if result.is_none()
                && let Poll::Ready(value) = call.as_mut().poll(cx)
            {
                *result = Some(value);
            }
        }
        let is_done = calls.iter().all(|(_, result)| result.is_some());
        if is_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    calls.map(|(_, result)| result.expect("a call that is done"))
}

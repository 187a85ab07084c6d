//! No sequence of calls makes a revoked session active: random calls on a few sessions, and a model of the
//! revoked ones.

use std::collections::HashSet;

use super::fixture::{Fixture, new_id, new_subject};
use crate::{
    random::{OsRandom, RandomSource},
    store::{
        record::SessionRecord,
        types::{
            CreateOutcome, RenewOutcome, RenewRequest, Revoke, RevokeScope, SubjectLimit,
            SubjectLimitPolicy,
        },
    },
};

const SEQUENCES: usize = 12;
const CALLS: usize = 60;

pub(super) async fn check(stores: &Fixture) {
    for _ in 0..SEQUENCES {
        let mut calls = [0; CALLS * 3];
        OsRandom.fill(&mut calls).expect("randomness");
        check_sequence(stores, &calls).await;
    }
}

async fn check_sequence(stores: &Fixture, calls: &[u8]) {
    let subjects = [new_subject("ada"), new_subject("bob")];
    let mut sessions: Vec<SessionRecord> = Vec::new();
    let mut revoked = HashSet::new();
    for (now, call) in calls.chunks_exact(3).enumerate() {
        // Three calls a second, so that many have the same time.
        let now = now as u64 / 3;
        let (action, which, more) = (call[0], usize::from(call[1]), call[2]);
        let store = if more % 2 == 0 { &stores.store } else { &stores.other_node };
        let Some(session) = sessions.get(which % sessions.len().max(1)).cloned() else {
            sessions.push(stores.session(&subjects[which % 2], now));
            continue;
        };
        let context = format!("{calls:?}");
        match action % 8 {
            0 => sessions.push(stores.session(&subjects[which % 2], now)),
            1 | 2 => {
                let limit = (more % 4 == 3)
                    .then_some(SubjectLimit { max: 2, policy: SubjectLimitPolicy::EndOldest });
                if let Ok(CreateOutcome::Created { ended }) = store.create(&session, limit).await {
                    assert!(
                        !revoked.contains(&session.id),
                        "created after its revocation: {context}"
                    );
                    revoked.extend(ended);
                }
            }
            3 | 4 => {
                let at = stores.at(now);
                let renewal = RenewRequest::new(at, at, stores.at(now + 500));
                let renewed = store.renew(&session.key(), renewal).await.expect("renew");
                if let RenewOutcome::Active(_) = renewed {
                    assert!(
                        !revoked.contains(&session.id),
                        "renewed after its revocation: {context}"
                    );
                }
            }
            5 => {
                let revocation = Revoke::new(stores.at(now), stores.at(now + 2_000));
                store.revoke(&session.key(), revocation).await.expect("revoke");
                revoked.insert(session.id);
            }
            6 => {
                let except = (more % 3 == 0).then_some(session.id);
                let subject = session.subject.clone();
                let scope = RevokeScope::subject(subject.clone(), stores.at(now), except);
                store.revoke_many(&scope).await.expect("revoke_many");
                // A session that is created later is accepted only if it signed in no earlier than this.
                revoked.extend(
                    sessions
                        .iter()
                        .filter(|other| other.subject == subject && except != Some(other.id))
                        .filter(|other| other.signed_in_at < stores.at(now))
                        .map(|other| other.id),
                );
            }
            _ => {
                store.delete_expired(stores.at(now), 5).await.expect("delete");
                let keys: Vec<_> = sessions.iter().map(SessionRecord::key).collect();
                let found = store.load(&keys, stores.at(now)).await.expect("load");
                for record in found.into_iter().flatten() {
                    assert!(
                        !revoked.contains(&record.id),
                        "loaded after its revocation: {context}"
                    );
                }
            }
        }
    }
    // Finally, renews each session, and one with an unknown id.
    for session in &sessions {
        let is_active = stores.is_active(session, 100).await;
        assert!(
            !(is_active && revoked.contains(&session.id)),
            "active after its revocation: {calls:?}"
        );
    }
    let mut unknown = sessions[0].clone();
    unknown.id = new_id();
    assert!(!stores.is_active(&unknown, 100).await);
}

//! No call sequence ever revives an ended session: random calls against a few sessions, with a model
//! of who is over.

use std::collections::HashSet;

use super::fixture::{Fixture, new_id, somebody};
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
        sequence(stores, &calls).await;
    }
}

async fn sequence(stores: &Fixture, calls: &[u8]) {
    let subjects = [somebody("ada"), somebody("bob")];
    let mut sessions: Vec<SessionRecord> = Vec::new();
    let mut over = HashSet::new();
    for (now, call) in calls.chunks_exact(3).enumerate() {
        // Three calls a second, so that many fall into one.
        let now = now as u64 / 3;
        let (what, which, more) = (call[0], usize::from(call[1]), call[2]);
        let store = if more % 2 == 0 { &stores.store } else { &stores.elsewhere };
        let Some(session) = sessions.get(which % sessions.len().max(1)).cloned() else {
            sessions.push(stores.session(&subjects[which % 2], now));
            continue;
        };
        let context = format!("{calls:?}");
        match what % 8 {
            0 => sessions.push(stores.session(&subjects[which % 2], now)),
            1 | 2 => {
                let limit = (more % 4 == 3)
                    .then_some(SubjectLimit { max: 2, policy: SubjectLimitPolicy::EndOldest });
                if let Ok(CreateOutcome::Created { ended }) = store.create(&session, limit).await {
                    assert!(!over.contains(&session.id), "created after its end: {context}");
                    over.extend(ended);
                }
            }
            3 | 4 => {
                let at = stores.at(now);
                let renewal = RenewRequest::new(at, at, stores.at(now + 500));
                let renewed = store.renew(&session.key(), renewal).await.expect("renew");
                if let RenewOutcome::Active(_) = renewed {
                    assert!(!over.contains(&session.id), "renewed after its end: {context}");
                }
            }
            5 => {
                let ending = Revoke::new(stores.at(now), stores.at(now + 2_000));
                store.revoke(&session.key(), ending).await.expect("end");
                over.insert(session.id);
            }
            6 => {
                let except = (more % 3 == 0).then_some(session.id);
                let subject = session.subject.clone();
                let ends = RevokeScope::subject(subject.clone(), stores.at(now), except);
                store.revoke_many(&ends).await.expect("end_all");
                // What was not created yet can be only if it signs in no earlier.
                over.extend(
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
                    assert!(!over.contains(&record.id), "found after its end: {context}");
                }
            }
        }
    }
    // Each is asked once more, under an id that nobody has as well.
    for session in &sessions {
        let lives = stores.lives(session, 100).await;
        assert!(!(lives && over.contains(&session.id)), "alive after its end: {calls:?}");
    }
    let mut unknown = sessions[0].clone();
    unknown.id = new_id();
    assert!(!stores.lives(&unknown, 100).await);
}

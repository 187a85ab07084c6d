use super::*;
use crate::random::SeededRandom;

const GRACE: Duration = Duration::from_secs(10);
/// Three times the grace, the difference of the clocks, and a second.
const SETTLE: u64 = 36;

pub(super) fn policy(on_copy: OnCopy) -> LineagePolicy {
    let clock_skew = Duration::from_secs(5);
    LineagePolicy { grace: GRACE, on_copy, requires_id: false, clock_skew }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_seconds(1_000 + seconds)
}

/// A lineage in a store, and the ids that it has issued.
struct Store {
    random: SeededRandom,
    policy: LineagePolicy,
    lineage: Option<Lineage>,
}

impl Store {
    fn new(on_copy: OnCopy) -> Self {
        Self { random: SeededRandom::new(7), policy: policy(on_copy), lineage: None }
    }

    fn id(&self) -> LineageId {
        LineageId::generate(&self.random).unwrap()
    }

    /// A renewal of a token that is due, or not.
    fn present(&mut self, id: Option<LineageId>, is_due: bool, second: u64) -> LineageVerdict {
        let request = self.policy.request(id, is_due, self.id());
        self.lineage = request.apply(self.lineage, at(second));
        self.lineage.unwrap().verdict(&request, self.policy.grace, at(second))
    }

    /// The id that a renewal gives to the token.
    #[track_caller]
    fn renew(&mut self, id: LineageId, second: u64) -> LineageId {
        match self.present(Some(id), true, second) {
            LineageVerdict::Continue(next) => next,
            verdict => panic!("{verdict:?} at {second} s"),
        }
    }
}

const COPY: LineageVerdict = LineageVerdict::Copy { next: None };

#[test]
fn parallel_renewals_get_the_same_successor() {
    let mut store = Store::new(OnCopy::Keep);
    let first = store.id();
    let next = store.renew(first, 60);
    assert_ne!(next, first);
    for second in [60, 61, 69] {
        assert_eq!(store.renew(first, second), next, "{second}");
    }
}

#[test]
fn grace_counts_from_the_rotation_and_is_never_extended() {
    let mut store = Store::new(OnCopy::Keep);
    let first = store.id();
    let next = store.renew(first, 60);
    for second in 60..70 {
        assert_eq!(store.renew(first, second), next, "{second}");
    }
    for second in 70..60 + SETTLE {
        assert_eq!(store.present(Some(first), true, second), LineageVerdict::Wait, "{second}");
    }
    assert_ne!(store.renew(first, 60 + SETTLE), next);
}

#[test]
fn lost_response_is_renewed_again_and_again() {
    let mut store = Store::new(OnCopy::Keep);
    let first = store.id();
    let mut issued = vec![first];
    for n in 1..=10 {
        let next = store.renew(first, 60 * n);
        assert!(!issued.contains(&next), "each reissue supersedes the one before");
        issued.push(next);
    }
    let newest = issued[10];
    assert_eq!(store.present(Some(issued[9]), true, 700), COPY, "superseded");
    store.renew(newest, 700);
}

#[test]
fn response_that_arrives_late_does_not_raise_an_alarm() {
    let mut store = Store::new(OnCopy::Keep);
    let first = store.id();
    let second = store.renew(first, 60);
    let third = store.renew(second, 120);
    // A response from before the last renewal puts the older cookie back.
    let fourth = store.renew(second, 180);
    assert!(fourth != third && fourth != second);
    store.renew(fourth, 240);
}

#[test]
fn previous_token_is_a_copy_once_its_successor_was_presented() {
    let mut store = Store::new(OnCopy::Keep);
    let first = store.id();
    let second = store.renew(first, 60);
    let third = store.renew(second, 120);
    let known = store.lineage;
    assert_eq!(store.present(Some(first), true, 121), COPY, "even within the grace");
    assert_eq!(store.lineage, known);
    store.renew(third, 180);
}

#[test]
fn thief_and_owner_are_told_apart_at_the_second_renewal() {
    for thief_is_first in [true, false] {
        let mut store = Store::new(OnCopy::Keep);
        let copied = store.id();
        let one = store.renew(copied, 60);
        // The other one renews the same token, more than the grace later.
        let other = store.renew(copied, 100);
        let (next, late) = if thief_is_first { (one, other) } else { (other, one) };
        if thief_is_first {
            assert_eq!(store.present(Some(next), true, 160), COPY);
            store.renew(late, 170);
        } else {
            store.renew(next, 160);
            assert_eq!(store.present(Some(late), true, 170), COPY);
        }
    }
}

#[test]
fn clients_that_renew_within_the_grace_cannot_be_told_apart() {
    let mut store = Store::new(OnCopy::Keep);
    let mut token = store.id();
    for minute in 1..100 {
        let next = store.renew(token, 60 * minute);
        assert_eq!(store.renew(token, 60 * minute + 9), next);
        token = next;
    }
}

#[test]
fn token_that_is_not_due_keeps_its_id() {
    let mut store = Store::new(OnCopy::Keep);
    let (first, unknown) = (store.id(), store.id());
    let next = store.renew(first, 60);
    for (presented, second, expected) in [
        (next, 61, LineageVerdict::Continue(next)),
        (next, 500, LineageVerdict::Continue(next)),
        (first, 69, LineageVerdict::Continue(next)),
        (first, 500, LineageVerdict::Wait),
        (unknown, 61, COPY),
    ] {
        let known = store.lineage;
        assert_eq!(store.present(Some(presented), false, second), expected, "{second}");
        assert_eq!(store.lineage, known);
    }
}

#[test]
fn token_without_an_id_is_accepted_unless_ids_are_required() {
    let mut store = Store::new(OnCopy::Keep);
    let LineageVerdict::Continue(first) = store.present(None, true, 60) else { panic!() };
    assert_eq!(store.present(None, true, 65), LineageVerdict::Continue(first), "in parallel");
    let second = store.renew(first, 120);
    // A node that does not know the ids renewed the token.
    let LineageVerdict::Continue(third) = store.present(None, true, 180) else { panic!() };
    assert_ne!(third, second);
    assert_eq!(store.renew(second, 185), third, "a request that was in flight");
    let fourth = store.renew(third, 240);

    store.policy.requires_id = true;
    assert_eq!(store.present(None, true, 300), COPY);
    store.renew(fourth, 300);
}

#[test]
fn id_that_a_node_dropped_before_the_lineage_started_is_no_copy_while_it_is_in_flight() {
    let mut store = Store::new(OnCopy::Alarm);
    let dropped = store.id();
    assert!(matches!(store.present(None, true, 60), LineageVerdict::Continue(_)));
    assert_eq!(store.present(Some(dropped), true, 61), LineageVerdict::Wait);
    assert!(store.present(Some(dropped), true, 60 + SETTLE).is_new_copy());
}

#[test]
fn session_from_before_the_feature_starts_a_lineage_if_ids_are_required() {
    let mut store = Store::new(OnCopy::Keep);
    store.policy.requires_id = true;
    let LineageVerdict::Continue(first) = store.present(None, true, 60) else { panic!() };
    assert_eq!(store.present(None, true, 65), LineageVerdict::Continue(first), "in parallel");
    store.renew(first, 120);
    assert_eq!(store.present(None, true, 180), COPY);
}

#[test]
fn adopted_copy_is_reported_once() {
    let mut store = Store::new(OnCopy::Adopt);
    let first = store.id();
    let second = store.renew(first, 60);
    let third = store.renew(second, 120);
    let verdict = store.present(Some(first), true, 180);
    let LineageVerdict::Copy { next: Some(next) } = verdict else { panic!("{verdict:?}") };
    assert!(verdict.is_new_copy());
    assert_eq!(store.renew(first, 185), next, "a parallel request is not a second copy");
    let next = store.renew(next, 240);
    assert!(
        store.present(Some(third), true, 300).is_new_copy(),
        "the other client is reported too"
    );
    assert!(store.present(Some(next), true, 360).is_new_copy());
}

#[test]
fn alarm_ends_the_lineage_and_is_reported_once() {
    let mut store = Store::new(OnCopy::Alarm);
    let first = store.id();
    let second = store.renew(first, 60);
    let third = store.renew(second, 120);
    let alarm = |is_new| LineageVerdict::Alarmed { at: at(180), is_new };
    assert_eq!(store.present(Some(first), true, 180), alarm(true));
    assert_eq!(store.present(Some(first), true, 180), alarm(false));
    assert_eq!(store.present(Some(third), true, 240), alarm(false), "for both clients");
    assert_eq!(store.present(None, true, 300), alarm(false));
}

#[test]
fn remembered_lineage_decides_only_about_known_tokens() {
    let mut store = Store::new(OnCopy::Keep);
    let (first, unknown) = (store.id(), store.id());
    let next = store.renew(first, 60);
    let lineage = store.lineage.unwrap();
    let verdict = |id, second| lineage.remembered_verdict(id, GRACE, at(second));
    assert_eq!(verdict(Some(first), 69), Some(LineageVerdict::Continue(next)));
    assert_eq!(verdict(Some(first), 70), Some(LineageVerdict::Wait));
    assert_eq!(verdict(Some(first), 500), Some(LineageVerdict::Wait));
    assert_eq!(verdict(Some(next), 500), Some(LineageVerdict::Continue(next)));
    assert_eq!(verdict(None, 500), Some(LineageVerdict::Wait));
    assert_eq!(verdict(Some(unknown), 60), None, "another node may have rotated");
}

#[test]
fn clock_of_another_node_that_is_ahead_does_not_end_the_grace() {
    let mut store = Store::new(OnCopy::Keep);
    let first = store.id();
    let next = store.renew(first, 65);
    assert_eq!(store.renew(first, 60), next);
    // A clock that was wrong by a day does not stop the rotation.
    store.lineage.as_mut().unwrap().rotated_at = at(86_400);
    assert_ne!(store.renew(next, 120), next);
}

#[test]
fn lineage_id_round_trips_as_text() {
    let random = SeededRandom::new(3);
    for _ in 0..100 {
        let id = LineageId::generate(&random).unwrap();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.for_copy().to_string().parse(), Ok(id.for_copy()));
        assert_ne!(id, id.for_copy());
        assert_eq!(id.for_copy(), id.for_copy().for_copy());
    }
    for text in
        ["", "AAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAA\u{e9}"]
    {
        assert!(text.parse::<LineageId>().is_err(), "{text:?}");
    }
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is presented whenever: the newest token is never a copy, its lineage never goes back
        /// to an earlier id, and an accepted token gets the newest id or none.
        #[test]
        fn newest_token_is_never_a_copy(
            steps in prop::collection::vec((0_usize..6, any::<bool>(), 0_u64..90), 1..60),
        ) {
            let mut store = Store::new(OnCopy::Keep);
            let mut issued = vec![store.id()];
            let mut second = 60;
            for (back, is_due, pause) in steps {
                let presented = issued[issued.len().saturating_sub(back + 1)];
                let newest = *issued.last().unwrap();
                let verdict = store.present(Some(presented), is_due || issued.len() == 1, second);
                if let LineageVerdict::Continue(next) = verdict {
                    let is_reissue = next == newest;
                    prop_assert!(is_reissue || !issued.contains(&next));
                    if !is_reissue {
                        issued.push(next);
                    }
                }
                prop_assert!(presented != newest || !verdict.is_new_copy());
                second += pause;
            }
        }
    }
}

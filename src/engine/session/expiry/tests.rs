use proptest::prelude::*;

use crate::{
    config::limit::TimeLimit,
    engine::session::{expiry::*, lifetime::SessionLifetime},
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn t(seconds: u64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds)
}

fn limits(lifetime: &SessionLifetime) -> Result<LifetimePolicy, Vec<String>> {
    let mut problems = Vec::new();
    let limits = lifetime.resolve(&mut problems);
    if problems.is_empty() {
        Ok(limits)
    } else {
        Err(problems.iter().map(|problem| problem.field().to_owned()).collect())
    }
}

fn session(lifetime: &SessionLifetime) -> SessionLimits {
    limits(lifetime).unwrap().of_session(LifetimeOverride::new())
}

#[test]
fn default_limit_yields_to_an_explicit_limit() {
    const WEEK: u64 = 7 * 86_400;
    let new = SessionLifetime::new;
    for (lifetime, inactivity, maximum) in [
        (new(), Some(WEEK), Some(WEEK)),
        (new().maximum_lifetime(s(86_400)), Some(86_400), Some(86_400)),
        (new().maximum_lifetime(s(90 * 86_400)), Some(WEEK), Some(90 * 86_400)),
        (new().inactivity_timeout(s(60)), Some(60), Some(WEEK)),
        (new().inactivity_timeout(s(30 * 86_400)), Some(30 * 86_400), Some(30 * 86_400)),
        (new().inactivity_timeout(TimeLimit::Off), None, Some(WEEK)),
        (new().maximum_lifetime(TimeLimit::Off), Some(WEEK), None),
        (new().inactivity_timeout(s(5)).maximum_lifetime(s(5)), Some(5), Some(5)),
    ] {
        let found = limits(&lifetime).unwrap();
        assert_eq!((found.inactivity, found.maximum), (inactivity.map(s), maximum.map(s)));
    }
}

#[test]
fn invalid_lifetime_settings_are_named() {
    let new = SessionLifetime::new;
    let short = Duration::from_millis(999);
    for (lifetime, fields) in [
        (
            new().inactivity_timeout(TimeLimit::Off).maximum_lifetime(TimeLimit::Off),
            vec!["lifetime"],
        ),
        (
            new().inactivity_timeout(s(11)).maximum_lifetime(s(10)),
            vec!["lifetime.inactivity_timeout"],
        ),
        (
            new()
                .inactivity_timeout(short)
                .maximum_lifetime(Duration::ZERO)
                .renew_after(short)
                .max_override(short)
                .clock_skew(s(301)),
            vec![
                "lifetime.inactivity_timeout",
                "lifetime.maximum_lifetime",
                "lifetime.renew_after",
                "lifetime.override_ceiling",
                "lifetime.clock_skew",
                // 999 ms of inactivity is above no lifetime at all.
                "lifetime.inactivity_timeout",
            ],
        ),
        (new().max_override(s(400 * 86_400 + 1)), vec!["lifetime.override_ceiling"]),
    ] {
        assert_eq!(limits(&lifetime).unwrap_err(), fields);
    }
}

#[test]
fn session_expires_exactly_at_its_expiry() {
    let lifetime = SessionLifetime::new()
        .inactivity_timeout(s(100))
        .maximum_lifetime(s(250))
        .renew_after(s(10));
    let limits = session(&lifetime);
    let dates = limits.sign_in(t(1_000));
    assert_eq!(dates.expires_at, t(1_100));
    for (now, expected) in [
        (1_000, Liveness::Fresh),
        (1_009, Liveness::Fresh),
        (1_010, Liveness::Renew),
        (1_099, Liveness::Renew),
        (1_100, Liveness::Expired(ExpiryReason::Inactivity)),
        (5_000, Liveness::Expired(ExpiryReason::Inactivity)),
        // The clock went back.
        (999, Liveness::Fresh),
        (0, Liveness::Fresh),
    ] {
        assert_eq!(limits.liveness(dates, true, t(now)), expected, "{now}");
    }
    let dates = limits.renew(limits.renew(dates, true, t(1_090)), true, t(1_180));
    assert_eq!(dates.expires_at, t(1_250));
    assert_eq!(limits.liveness(dates, true, t(1_249)), Liveness::Renew);
    assert_eq!(
        limits.liveness(dates, true, t(1_250)),
        Liveness::Expired(ExpiryReason::MaximumLifetime)
    );
}

#[test]
fn renewal_age_is_capped_at_a_quarter_of_the_inactivity_timeout() {
    for (inactivity, renew_after, age) in [(400, 60, 60), (200, 60, 50), (3, 60, 1), (1, 60, 1)] {
        let lifetime =
            SessionLifetime::new().inactivity_timeout(s(inactivity)).renew_after(s(renew_after));
        assert_eq!(session(&lifetime).renewal_age, s(age));
    }
    let off = SessionLifetime::new().inactivity_timeout(TimeLimit::Off).renew_after(s(600));
    assert_eq!(session(&off).renewal_age, s(600));
}

/// A background poll must neither keep an abandoned tab alive nor hide a busy user.
#[test]
fn background_polls_alone_do_not_prevent_expiry() {
    let lifetime =
        SessionLifetime::new().inactivity_timeout(s(300)).maximum_lifetime(TimeLimit::Off);
    let limits = session(&lifetime);
    for user_is_there in [true, false] {
        let mut dates = limits.sign_in(t(0));
        let mut alive = true;
        for now in 1..100_000 {
            let requests = [
                (now % 30 == 0).then_some(false),
                (user_is_there && now % 31 == 0).then_some(true),
            ];
            for activity in requests.into_iter().flatten() {
                match limits.liveness(dates, activity, t(now)) {
                    Liveness::Fresh => {}
                    Liveness::Renew => dates = limits.renew(dates, activity, t(now)),
                    Liveness::Expired(_) => alive = false,
                }
            }
        }
        assert_eq!(alive, user_is_there);
    }
}

#[test]
fn lifetime_override_applies_to_one_session_up_to_the_ceiling() {
    let day = 86_400;
    let config = SessionLifetime::new();
    let remember = LifetimeOverride::both(s(30 * day));
    let limits_under = |config: &SessionLifetime| limits(config).unwrap().of_session(remember);
    assert_eq!(limits_under(&config).sign_in(t(0)).expires_at, t(30 * day));
    let forever = LifetimeOverride::both(Duration::MAX);
    let limited = limits(&config).unwrap().of_session(forever);
    assert_eq!(limited.sign_in(t(0)).expires_at, t(400 * day));

    let dates = limits_under(&config).sign_in(t(0));
    let lowered = limits_under(&config.max_override(s(10 * day)));
    assert_eq!(lowered.expires_at(dates), t(10 * day), "lowering binds existing sessions");
    assert!(LifetimeOverride::new().is_sound());
    assert!(!LifetimeOverride::both(Duration::from_millis(999)).is_sound());
    let set = [LifetimeOverride::inactivity_timeout, LifetimeOverride::maximum_lifetime];
    for set in set {
        assert!(!set(LifetimeOverride::new(), Duration::from_millis(999)).is_sound());
        assert!(set(LifetimeOverride::new(), s(1)).is_sound());
    }
    assert!(!remember.inactivity_timeout(s(31 * day)).is_sound());
}

#[test]
fn revocation_is_remembered_for_the_session_limits() {
    let lifetime = SessionLifetime::new().inactivity_timeout(s(100)).maximum_lifetime(s(1_000));
    let limits = session(&lifetime);
    let dates = limits.sign_in(t(0));
    assert_eq!(limits.alive_until(dates, t(50)), t(160));
    assert_eq!(limits.alive_until(dates, t(950)), t(1_010));
    let dates = limits.renew(dates, true, t(90));
    assert_eq!(limits.alive_until(dates, t(30)), t(200), "a clock that went back");
}

#[derive(Debug, Clone)]
enum Step {
    Request { after: u64, activity: bool },
    Reconfigure { inactivity: Option<u64>, maximum: Option<u64> },
    JumpBack(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let limit = || prop::option::of(1_u64..50_000);
    prop::collection::vec(
        prop_oneof![
            6 => (0_u64..5_000, any::<bool>())
                .prop_map(|(after, activity)| Step::Request { after, activity }),
            1 => (limit(), limit())
                .prop_map(|(inactivity, maximum)| Step::Reconfigure { inactivity, maximum }),
            1 => (1_u64..10_000).prop_map(Step::JumpBack),
        ],
        1..80,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// No interleaving of renewals and configurations yields a token that outlives the maximum
    /// lifetime in force when it was made, and none restores an expired session.
    #[test]
    fn token_never_outlives_the_maximum_lifetime(steps in steps()) {
        let build = |inactivity: Option<u64>, maximum: Option<u64>| {
            let after = |limit: Option<u64>| TimeLimit::from(limit.map(s));
            limits(&SessionLifetime::new()
                .inactivity_timeout(after(inactivity)).maximum_lifetime(after(maximum)))
                .ok().map(|limits| (limits.of_session(LifetimeOverride::new()), maximum))
        };
        let (mut limits, mut maximum) = build(Some(1_000), Some(20_000)).unwrap();
        let mut now = 1_000_000;
        let mut dates = limits.sign_in(t(now));
        let signed_in_at = dates.signed_in_at;
        for step in steps {
            match step {
                Step::Reconfigure { inactivity, maximum: new } => {
                    if let Some(built) = build(inactivity, new) {
                        (limits, maximum) = built;
                    }
                }
                Step::JumpBack(seconds) => {
                    let before = limits.liveness(dates, true, t(now));
                    now -= seconds;
                    if !matches!(before, Liveness::Expired(_)) {
                        let after = limits.liveness(dates, true, t(now));
                        prop_assert!(!matches!(after, Liveness::Expired(_)), "signed out by a clock");
                    }
                }
                Step::Request { after, activity } => {
                    now += after;
                    let before = limits.expires_at(dates);
                    match limits.liveness(dates, activity, t(now)) {
                        Liveness::Expired(_) => prop_assert!(t(now) >= before),
                        Liveness::Fresh => prop_assert!(t(now) < before),
                        Liveness::Renew => {
                            prop_assert!(t(now) < before);
                            dates = limits.renew(dates, activity, t(now));
                            prop_assert_eq!(dates.signed_in_at, signed_in_at);
                            prop_assert!(dates.last_active_at <= dates.issued_at);
                            if let Some(maximum) = maximum {
                                prop_assert!(dates.expires_at <= signed_in_at.saturating_add(s(maximum)));
                            }
                        }
                    }
                }
            }
        }
    }

    /// The instants that are kept with a token state what the limits state.
    #[test]
    fn fresh_window_agrees_with_the_limits(
        inactivity in proptest::option::of(1..5_000_u64),
        signed_in in 1_000_000..1_000_100_u64,
        active in 0..3_000_u64,
        issued in 0..3_000_u64,
        not_before in proptest::option::of(999_000..1_002_000_u64),
        now in 999_000..1_008_000_u64,
        activity in any::<bool>(),
    ) {
        let lifetime = SessionLifetime::new()
            .inactivity_timeout(TimeLimit::from(inactivity.map(s)))
            .maximum_lifetime(s(5_000));
        let limits = session(&lifetime);
        let mut dates = limits.sign_in(t(signed_in));
        dates.last_active_at = t(signed_in + active.min(issued));
        dates.issued_at = t(signed_in + issued);
        dates.expires_at = limits.expires_at(dates);
        let (now, not_before) = (t(now), not_before.map(t));
        let window = limits.fresh_window(dates, not_before);
        let is_fresh = limits.liveness(dates, activity, now) == Liveness::Fresh;
        prop_assert_eq!(window.is_fresh(activity, now), is_fresh);
        let latest = now.saturating_add(limits.clock_skew);
        let is_early = dates.issued_at > latest || not_before.is_some_and(|at| at > latest);
        prop_assert_eq!(window.has_begun(now), !is_early);
    }

    #[test]
    fn expiry_with_any_duration_never_wraps(inactivity in any::<Duration>(), maximum in any::<Duration>(), now in any::<u64>()) {
        let lifetime = SessionLifetime::new()
            .inactivity_timeout(inactivity.max(s(1)).min(maximum.max(s(1))))
            .maximum_lifetime(maximum.max(s(1)));
        let limits = session(&lifetime);
        let now = Timestamp::from_unix_seconds(now);
        let dates = limits.sign_in(now);
        prop_assert!(dates.expires_at >= now);
        prop_assert!(limits.renew(dates, true, now).expires_at >= now);
        prop_assert!(limits.alive_until(dates, now) >= dates.expires_at);
    }
}

#[test]
fn expiry_with_the_longest_durations_saturates() {
    let limits = session(
        &SessionLifetime::new()
            .inactivity_timeout(Duration::MAX)
            .maximum_lifetime(Duration::MAX)
            .renew_after(Duration::MAX),
    );
    let dates = limits.sign_in(t(5));
    assert_eq!(dates.expires_at, Timestamp::MAX);
    assert_eq!(limits.liveness(dates, true, t(1_000_000)), Liveness::Fresh);
}

//! The application's claims: which can be written into a token, and how sessions with claims of another
//! shape are treated.

use std::fmt::Debug;

use super::*;

fn engine<C>() -> Probe<C>
where
    C: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    Probe::new(SessionEngine::builder(KeyRing::new(key("k1"))))
}

/// Signs in with `claims`, reads them with the next request and renews them with another.
#[track_caller]
fn check_round_trip<C>(claims: &C)
where
    C: Serialize + DeserializeOwned + Clone + PartialEq + Debug + Send + Sync + 'static,
{
    let probe = engine();
    let token = sign_in(&probe, "ada", claims.clone()).token();
    let result = probe.cookie(COOKIE, &token);
    assert_eq!(result.session.unwrap().claims(), claims);
    probe.clock.advance(seconds(60));
    let renewed = probe.cookie(COOKIE, &token).token();
    assert_eq!(probe.cookie(COOKIE, &renewed).session.unwrap().claims(), claims);
}

/// The error of `claims` at sign-in and as an update. Neither changes anything.
#[track_caller]
fn claims_error<C>(good: C, claims: C) -> SignInError
where
    C: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    let probe = engine();
    let token = sign_in(&probe, "ada", good).token();
    let error = std::sync::Arc::new(std::sync::Mutex::new(None));
    let sink = error.clone();
    let result = probe.run_handler(with_cookies(&[format!("{COOKIE}={token}")]), move |jar, _| {
        let error = jar.sign_in(SignIn::new(subject("bob"), claims.clone())).unwrap_err();
        let update = jar.update_claims(claims.clone()).unwrap_err();
        assert_eq!(update, UpdateClaimsError::Refused(error.clone()));
        assert_eq!(jar.session().unwrap().subject().as_str(), "ada");
        *sink.lock().unwrap() = Some(error);
    });
    assert_eq!(result.response.set_cookies(), [""; 0]);
    assert!(result.events.is_empty(), "{:?}", result.events);
    assert!(probe.cookie(COOKIE, &token).session.is_some(), "the old session is still valid");
    let error = error.lock().unwrap().take();
    error.unwrap()
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Strict {
    role: Role,
    note: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    Admin,
    Member { team: u32 },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Outer {
    plan: String,
    #[serde(flatten)]
    inner: Inner,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Inner {
    limit: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Tagged {
    Person { name: String },
    Robot,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Wrapped(BTreeMap<String, String>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Number {
    n: f64,
}

#[test]
fn claims_of_any_object_shape_are_read_back_unchanged() {
    check_round_trip(&());
    check_round_trip(&user("Ada \u{1f511} \"quoted\" \\ \u{0} ; , ="));
    check_round_trip(&Strict { role: Role::Admin, note: None });
    check_round_trip(&Strict { role: Role::Member { team: u32::MAX }, note: Some(String::new()) });
    check_round_trip(&Role::Member { team: 7 });
    check_round_trip(&Tagged::Person { name: "Ada".into() });
    check_round_trip(&Tagged::Robot);
    check_round_trip(&Outer {
        plan: "free".into(),
        inner: Inner { limit: i64::MIN },
        rest: BTreeMap::from([("x".into(), json!({"sub": "inside", "exp": [1, 2.5, null]}))]),
    });
    check_round_trip(&Wrapped(BTreeMap::from([
        ("k".into(), "v".into()),
        (String::new(), "".into()),
    ])));
    check_round_trip(&BTreeMap::<String, u64>::new());
    check_round_trip(&HashMap::from([("a".to_owned(), 1_u8), ("b".to_owned(), 2)]));
    check_round_trip(&json!({"deep": {"sid": "mine", "sid2": [[[[{}]]]]}, "Sub": 1, "sub ": 2}));
    check_round_trip(&Some(user("Ada")));
    check_round_trip(&Number { n: 0.1 + 0.2 });
    check_round_trip(&Number { n: -0.0 });
    check_round_trip(&Number { n: f64::MIN_POSITIVE });
    check_round_trip(&serde_json::Map::from_iter([("ключ".to_owned(), json!("значение"))]));
}

#[test]
fn claims_that_cannot_be_written_fail_with_a_reason() {
    use ClaimsError::{KeyNotAString, NotAMap, Repeated, Reserved, RoundTrip};
    let claims = |error| match error {
        SignInError::Claims(error) => error,
        other => panic!("{other:?}"),
    };
    for nan in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = claims(claims_error(Number { n: 1.0 }, Number { n: nan }));
        assert!(matches!(&error, RoundTrip(why) if why.contains("`n`")), "{error}");
    }
    // An empty map has no invalid key.
    let keys = claims_error(HashMap::new(), HashMap::from([(5_u32, "five".to_owned())]));
    assert_eq!(claims(keys), KeyNotAString);
    for name in RESERVED_CLAIMS {
        let map = |name: &str| BTreeMap::from([(name.to_owned(), json!("eve"))]);
        assert_eq!(claims(claims_error(map("x"), map(name))), Reserved(name));
    }
    let outer = |rest: &[(&str, Value)]| Outer {
        plan: "free".into(),
        inner: Inner { limit: 1 },
        rest: rest.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
    };
    for name in ["plan", "limit"] {
        let repeated = claims_error(outer(&[]), outer(&[(name, json!(1))]));
        assert_eq!(claims(repeated), Repeated(name.to_owned()));
    }
    assert_eq!(claims(claims_error(outer(&[]), outer(&[("exp", json!(0))]))), Reserved("exp"));
    assert_eq!(claims(claims_error(Role::Member { team: 1 }, Role::Admin)), NotAMap);
    for (value, expected) in [
        (json!([]), NotAMap),
        (json!("text"), NotAMap),
        (json!(5), NotAMap),
        (json!({"sid": "x"}), Reserved("sid")),
    ] {
        assert_eq!(claims(claims_error(json!({}), value)), expected);
    }

    /// Serializes one way and deserializes another.
    #[derive(Debug, Clone, Serialize, Deserialize)]
    struct OneWay {
        #[serde(rename(serialize = "written"), default)]
        read: Option<String>,
        #[serde(skip_deserializing)]
        lost: u8,
    }
    let one_way = |read: Option<&str>, lost| OneWay { read: read.map(Into::into), lost };
    for bad in [one_way(Some("x"), 0), one_way(None, 1)] {
        let error = claims(sign_in_error(bad));
        assert!(matches!(error, RoundTrip(_)), "{error}");
    }
}

/// The error at sign-in, for types without a valid value.
fn sign_in_error<C>(claims: C) -> SignInError
where
    C: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    let error = std::sync::Arc::new(std::sync::Mutex::new(None));
    let sink = error.clone();
    let outcome = engine().run_handler(get("/"), move |jar, _| {
        let result = jar.sign_in(SignIn::new(subject("bob"), claims.clone()));
        *sink.lock().unwrap() = result.err();
    });
    outcome.assert_signed_out();
    let error = error.lock().unwrap().take();
    error.unwrap()
}

/// Registered claims must not be decoded as the application's.
#[test]
fn decoded_claims_contain_only_the_applications_members() {
    let probe = engine::<BTreeMap<String, Value>>();
    let token = TokenForge::new("k1").session(&claims());
    let session = probe.cookie(COOKIE, &token).session.unwrap();
    assert_eq!(*session.claims(), BTreeMap::from([("name".to_owned(), json!("Ada"))]));
}

/// A deploy that changes the claims, node by node.
#[test]
fn session_with_claims_of_another_shape_is_rejected_and_its_cookie_kept() {
    let before = Probe::new(engine_builder().0);
    let after: Probe<Strict> = engine();
    let token = sign_in(&before, "ada", user("Ada")).token();
    for passed in [0, 60] {
        after.clock.advance(seconds(passed));
        let result = after.cookie(COOKIE, &token);
        assert_eq!(token_error(&result), TokenError::ClaimsDoNotDecode);
    }
    // An invalid cookie beside it makes no difference.
    let result = after.cookies(&[format!("{COOKIE}=a.b.c; {COOKIE}={token}")]);
    result.assert_signed_out();
    assert!(present(&before, &token).session.is_some(), "the other node still accepts it");
    // A sign-in replaces the session, which is still valid elsewhere.
    let strict = Strict { role: Role::Admin, note: None };
    let result = after.run_handler(with_cookies(&[format!("{COOKIE}={token}")]), move |jar, _| {
        let outcome = jar.sign_in(SignIn::new(subject("ada"), strict.clone())).unwrap();
        assert!(outcome.replaced.is_some());
    });
    assert_eq!(result.response.set_cookies().len(), 1);
    after.cookie(COOKIE, &token).assert_revoked();
}

impl<C> ProbeResult<C> {
    #[track_caller]
    fn assert_revoked(&self) {
        assert!(self.session.is_none());
        assert!(
            matches!(
                self.events[..],
                [SessionEvent::CredentialRejected { reason: CredentialError::Revoked, .. }]
            ),
            "{:?}",
            self.events
        );
    }
}

#[test]
fn claims_source_converts_sessions_with_claims_of_another_shape() {
    let token = sign_in(&Probe::new(engine_builder().0), "ada", user("Ada")).token();
    let source = |session: tower_auth_session::engine::SessionIdentity| async move {
        assert_eq!(session.subject().as_str(), "ada");
        Ok::<_, std::io::Error>(Strict { role: Role::Member { team: 3 }, note: None })
    };
    let probe = engine::<Strict>().map_layer(|layer| layer.claims_source(source));
    let result = probe.cookie(COOKIE, &token);
    let session = result.session.as_ref().unwrap();
    assert_eq!(session.claims().role, Role::Member { team: 3 });
    let renewed = result.token();
    assert_eq!(payload(&renewed)["sid"], payload(&token)["sid"]);
    assert_eq!(payload(&renewed)["auth_time"], payload(&token)["auth_time"]);
    assert!(payload(&renewed)["exp"].as_u64() >= payload(&token)["exp"].as_u64());
    let plain = engine::<Strict>();
    assert_eq!(plain.cookie(COOKIE, &renewed).session.unwrap().claims(), session.claims());

    let failing = |_| async { Err::<Strict, _>("no database") };
    let probe = engine::<Strict>().map_layer(|layer| layer.claims_source(failing));
    let result = probe.cookie(COOKIE, &token);
    result.assert_signed_out();
    assert!(matches!(
        result.events[..],
        [
            SessionEvent::ClaimsSourceFailed { .. },
            SessionEvent::CredentialRejected {
                reason: CredentialError::Token(TokenError::ClaimsDoNotDecode),
                ..
            }
        ]
    ));
}

/// A deploy adds one claim and removes another, while a node still runs the old version. With defaults,
/// sessions work in both directions.
#[test]
fn claims_with_defaults_stay_valid_across_a_deploy_and_back() {
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Old {
        name: String,
        #[serde(default)]
        team: u32,
    }
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct New {
        name: String,
        #[serde(default = "free")]
        plan: String,
    }
    fn free() -> String {
        "free".to_owned()
    }
    let (before, after) = (engine::<Old>(), engine::<New>());
    let token = sign_in(&before, "ada", Old { name: "Ada".into(), team: 7 }).token();
    after.clock.advance(seconds(60));
    let result = after.cookie(COOKIE, &token);
    let new = New { name: "Ada".into(), plan: free() };
    assert_eq!(result.session.as_ref().unwrap().claims(), &new);
    let renewed = result.token();
    assert_eq!(payload(&renewed)["plan"], json!("free"), "renewed in the new shape");
    assert_eq!(payload(&renewed)["sid"], payload(&token)["sid"]);
    before.clock.advance(seconds(60));
    let back = before.cookie(COOKIE, &renewed).session.unwrap();
    assert_eq!(back.claims(), &Old { name: "Ada".into(), team: 0 });
}

/// RFC 6265bis §5.6: browsers store up to 4096 bytes of name and value.
#[test]
fn claims_can_fill_a_cookie_to_the_last_byte() {
    let probe = probe();
    let first = sign_in(&probe, "ada", user("Ada")).token();
    let limit = 4096 - COOKIE.len();
    let (spare, payload_spare) = (limit - first.len(), payload_length(&first));
    // The maximum length of base64 that fits.
    let fitting =
        (0..spare).rev().find(|more| token_length(&first, payload_spare + more) <= limit).unwrap();
    let name = |more: usize| user(&format!("Ada{}", "x".repeat(more)));
    let full = sign_in(&probe, "ada", name(fitting)).token();
    assert_eq!(full.len(), limit, "an exact length of base64");
    assert_eq!(present(&probe, &full).session.unwrap().claims(), &name(fitting));

    let expected = SignInError::TooLarge {
        size: token_length(&first, payload_spare + fitting + 1),
        limit,
        claims: payload_spare + fitting + 1,
    };
    let request_with_cookie = || with_cookies(&[format!("{COOKIE}={full}")]);
    let result = probe.run_handler(request_with_cookie(), move |jar, _| {
        let one_more = || user(&format!("Ada{}", "x".repeat(fitting + 1)));
        let error = jar.sign_in(SignIn::new(subject("ada"), one_more())).unwrap_err();
        assert_eq!(error, expected);
        let error = jar.update_claims(one_more()).unwrap_err();
        assert_eq!(error, UpdateClaimsError::Refused(expected.clone()));
    });
    assert_eq!(result.response.set_cookies(), [""; 0]);
    assert!(result.events.is_empty());
    // It is still renewed, although a background renewal would need a longer token.
    probe.clock.advance(seconds(10));
    let renewed = present(&probe, &full).token();
    assert_eq!(renewed.len(), limit);
}

fn payload_length(token: &str) -> usize {
    token.split('.').nth(1).unwrap().len() * 3 / 4
}

fn token_length(like: &str, payload: usize) -> usize {
    let parts: Vec<_> = like.split('.').collect();
    parts[0].len() + 1 + (payload * 4).div_ceil(3) + 1 + parts[2].len()
}

/// A renewal with `last_active_at` is longer than the token before it. A session that has no space for
/// it keeps its token and is not lost.
#[test]
fn renewal_that_would_be_too_long_keeps_the_token() {
    let probe = probe();
    let longest = (2_500..3_000)
        .rev()
        .map(|length| user(&"x".repeat(length)))
        .find(|claims| {
            let claims = claims.clone();
            let fits = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
            let sink = fits.clone();
            probe.run_handler(get("/"), move |jar, _| {
                let fits = jar.sign_in(SignIn::new(subject("ada"), claims.clone())).is_ok();
                sink.store(fits, std::sync::atomic::Ordering::Relaxed);
            });
            fits.load(std::sync::atomic::Ordering::Relaxed)
        })
        .unwrap();
    let token = sign_in(&probe, "ada", longest.clone()).token();
    probe.clock.advance(seconds(20));
    let mut poll = with_cookies(&[format!("{COOKIE}={token}")]);
    poll.headers_mut().insert("session-activity", "none".parse().unwrap());
    let result = probe.send(poll);
    assert_eq!(*result.session.unwrap().claims(), longest);
    assert_eq!(result.response.set_cookies(), [""; 0]);
    assert!(matches!(result.events[..], [SessionEvent::RenewalFailed { .. }]));
    assert!(present(&probe, &token).session.is_some());
}

#[test]
fn sign_in_without_claims_or_source_fails() {
    let probe = probe();
    let result = probe.run_handler(get("/"), |jar, _| {
        jar.sign_in(SignIn::from_claims_source(subject("ada"))).unwrap();
    });
    assert_eq!(result.response.status, 500);
    result.assert_signed_out();
}

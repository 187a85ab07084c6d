//! Recorded session tokens and bearer tokens.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Request, header};
use serde_json::{Value, json};
use tower_auth_session::{
    SessionStatus,
    bearer::BearerTokens,
    engine::{Actor, Factor, SessionIdentity, SessionStatusKind},
    time::Timestamp,
};

use super::{Person, builder, person, recorded};
use crate::support::{
    Browser, COOKIE, START, get,
    probe::{Probe, with_cookies},
    seconds, subject,
    token_forge::payload,
};

/// One browser of the earlier version.
struct Recorded {
    name: String,
    /// Seconds after [`START`].
    second: u64,
    algorithm: String,
    browser: Browser,
    /// The response to `GET /session` in that second.
    session: Value,
    probe: Probe<Person>,
}

impl Recorded {
    fn all() -> Vec<Self> {
        recorded("sessions").as_array().unwrap().iter().map(Self::from_json).collect()
    }

    fn from_json(value: &Value) -> Self {
        let text = |member: &str| value[member].as_str().map(str::to_owned);
        let algorithm = text("algorithm").unwrap();
        let mut builder =
            builder(&algorithm).multi_session(value["multi_session"].as_bool().unwrap());
        if let Some(issuer) = text("issuer") {
            builder = builder.issuer(issuer);
        }
        if let Some(audience) = text("audience") {
            builder = builder.audience(audience);
        }
        let pairs = text("cookie").unwrap();
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        };
        Self {
            name: format!("{}, {algorithm}", text("name").unwrap()),
            second: value["at"].as_u64().unwrap(),
            algorithm,
            browser: Browser { cookies: pairs.split("; ").map(pair).collect() },
            session: value["session"].clone(),
            probe: Probe::new(builder),
        }
    }

    fn is(&self, name: &str) -> bool {
        self.name == format!("{name}, {}", self.algorithm)
    }

    /// The request with the browser's cookies, sent `later` seconds after they were recorded.
    fn send(&mut self, later: u64) -> (Option<SessionIdentity>, Option<Person>) {
        self.probe.clock.set(Timestamp::from_unix_seconds(START + self.second + later));
        let request = with_cookies(&[self.browser.cookie_header().unwrap()]);
        let seen = std::sync::Arc::new(std::sync::Mutex::new(None));
        let sink = std::sync::Arc::clone(&seen);
        let result = self.probe.run_handler(request, move |jar, _| {
            let status: SessionStatus = jar.status();
            let identity = status.identity().or_else(|| status.pending()).cloned();
            *sink.lock().unwrap() = Some((identity, status.kind()));
        });
        self.browser.store(&result.response.headers);
        let (identity, kind) = seen.lock().unwrap().take().unwrap();
        assert_eq!(kind == SessionStatusKind::SignedIn, result.session.is_some(), "{}", self.name);
        (identity, result.session.map(|session| session.claims().clone()))
    }

    fn tokens(&self) -> BTreeMap<&str, &str> {
        let is_token = |value: &str| value.split('.').count() == 3;
        let cookies = self.browser.cookies.iter();
        cookies.map(|(name, value)| (&**name, &**value)).filter(|(_, v)| is_token(v)).collect()
    }
}

/// One part of a token, unverified.
fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn names(object: &Value) -> BTreeSet<String> {
    object.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn recorded_cookies_give_the_recorded_sessions() {
    let all = Recorded::all();
    assert_eq!(all.len(), 2 * 12);
    for mut recorded in all {
        recorded.probe.clock.set(Timestamp::from_unix_seconds(START + recorded.second));
        let mut request = get("/session");
        let cookies = recorded.browser.cookie_header().unwrap();
        request.headers_mut().insert(header::COOKIE, cookies.parse().unwrap());
        let response = recorded.probe.send_endpoint(request);
        let session: Value = serde_json::from_str(response.text()).unwrap();
        assert_eq!(session, recorded.session, "{}", recorded.name);

        let (identity, claims) = recorded.send(0);
        let active = &recorded.session["active"];
        let id = identity.as_ref().map_or(Value::Null, |identity| identity.id().to_string().into());
        assert_eq!(&id, active, "{}", recorded.name);
        let mut sessions = recorded.session["sessions"].as_array().unwrap().iter();
        // A pending session is not signed in.
        let signed_in = sessions.find(|s| s["session_id"] == *active && s["status"] == "active");
        let expected = signed_in.map(|session| person(session["label"].as_str().unwrap()));
        assert_eq!(claims, expected, "{}", recorded.name);
    }
}

#[test]
fn recorded_tokens_give_the_recorded_claims() {
    let actor = Actor::new(subject("support-7"))
        .issued_by("https://support.example.com")
        .with_session_id("desk-42")
        .with_kind("agent")
        .with_prior(Actor::new(subject("robot")));
    for mut recorded in Recorded::all() {
        let (Some(identity), _) = recorded.send(0) else { continue };
        let name = recorded.name.clone();
        let now = START + recorded.second;
        let at = |time: Timestamp| time.as_unix_seconds() - START;
        let ages = identity.factor_ages(Timestamp::from_unix_seconds(now));
        let age = |factor| ages.of_factor(factor).map(|age| age.as_secs());
        let factors = (age(Factor::First), age(Factor::Second));
        let tasks: Vec<_> = identity.tasks().iter().map(|task| task.name().to_owned()).collect();
        let expires_at = at(identity.expires_at());
        let is_pending = recorded.is("pending session");
        assert_eq!(identity.is_pending(), is_pending, "{name}");
        assert_eq!(tasks.is_empty(), !is_pending, "{name}");
        if is_pending {
            assert_eq!(tasks, ["second-factor", "accept-terms"], "{name}");
        } else if recorded.is("remembered session with its own lifetime") {
            assert_eq!(expires_at, 10_000, "{name}");
        } else if recorded.is("session with a second factor") {
            assert_eq!(factors, (Some(0), Some(0)), "{name}");
        } else if recorded.is("reverified session") {
            assert_eq!(factors, (Some(0), Some(5)), "{name}");
        } else if recorded.is("impersonated session with factors") {
            assert_eq!(identity.actor(), Some(&actor), "{name}");
            assert_eq!(factors, (Some(0), None), "{name}");
        } else if recorded.is("renewed session") {
            assert_eq!((at(identity.signed_in_at()), expires_at), (0, 120), "{name}");
        } else if recorded.is("single session") {
            assert_eq!((at(identity.signed_in_at()), expires_at), (0, 100), "{name}");
            assert_eq!((identity.subject().as_str(), identity.actor()), ("ada", None), "{name}");
            assert_eq!(factors, (Some(0), None), "{name}");
        }
    }
}

#[test]
fn renewal_writes_the_recorded_format() {
    for mut recorded in Recorded::all() {
        let before: BTreeMap<String, String> = recorded.browser.cookies.clone();
        let (identity, _) = recorded.send(20);
        let Some(identity) = identity else { continue };
        let name = recorded.name.clone();
        assert_eq!(identity.issued_at().as_unix_seconds(), START + recorded.second + 20, "{name}");
        let after = recorded.browser.cookies.clone();
        assert!(before.keys().eq(after.keys()), "{name}");
        let changed: Vec<_> = before.keys().filter(|name| before[*name] != after[*name]).collect();
        assert_eq!(changed.len(), 1, "{name}");
        let (old, new) = (&before[changed[0]], &after[changed[0]]);
        assert_eq!(part(old, 0), part(new, 0), "{name}");
        // A renewal is activity; `last_active_at` is written only if it differs from `iat`.
        let mut claims = names(&payload(old));
        claims.remove("last_active_at");
        // The recorded version did not bind tokens to their engine.
        claims.insert("azp".to_owned());
        assert_eq!(payload(new)["azp"], "session", "{name}");
        assert_eq!(claims, names(&payload(new)), "{name}");
        for claim in ["sub", "sid", "auth_time", "name", "roles", "act", "factors_at", "aud"] {
            assert_eq!(payload(old).get(claim), payload(new).get(claim), "{name}, {claim}");
        }
        // The next request uses the renewed token.
        let (next, _) = recorded.send(21);
        assert_eq!(next.unwrap().issued_at(), identity.issued_at(), "{name}");
    }
}

#[test]
fn recorded_tokens_expire() {
    for mut recorded in Recorded::all() {
        let is_remembered = recorded.is("remembered session with its own lifetime");
        let (identity, claims) = recorded.send(if is_remembered { 10_000 } else { 1_000 });
        assert_eq!((identity, claims), (None, None), "{}", recorded.name);
    }
}

#[test]
fn recorded_bearer_tokens_are_accepted_until_they_expire() {
    let all = recorded("bearer_tokens");
    assert_eq!(all.as_array().unwrap().len(), 2 * 3);
    for recorded in all.as_array().unwrap() {
        let (name, response) = (&recorded["name"], &recorded["response"]);
        let tokens = BearerTokens::new()
            .max_lifetime(seconds(600))
            .audiences(["https://reports.example.com"])
            .accept(true);
        let probe = Probe::new(
            builder(recorded["algorithm"].as_str().unwrap()).bearer_tokens(tokens.clone()),
        );
        let token = response["token"].as_str().unwrap();
        let send = |probe: &Probe<Person>| {
            let value = format!("Bearer {token}");
            let request = Request::get("/").header(header::AUTHORIZATION, value);
            probe.send(request.body(http_body_util::Full::default()).unwrap()).session
        };
        if name.as_str().unwrap().contains("audience") {
            // It is for another service, which verifies it with the same keys.
            assert!(send(&probe).is_none(), "{name}");
            let reports = builder(recorded["algorithm"].as_str().unwrap())
                .audience("https://reports.example.com")
                .bearer_tokens(tokens);
            let reports = Probe::new(reports);
            assert_eq!(send(&reports).unwrap().claims(), &person("ADA"), "{name}");
            continue;
        }
        let session = send(&probe).unwrap();
        assert_eq!(session.subject(), &subject("ada"), "{name}");
        assert_eq!(session.claims(), &person("ADA"), "{name}");
        let seconds_left = response["expires_at"].as_u64().unwrap() - START;
        assert_eq!(session.expires_at().as_unix_seconds(), START + seconds_left, "{name}");
        assert_eq!(part(token, 0)["typ"], "JWT", "{name}");
        probe.clock.advance(seconds(seconds_left + 5));
        assert!(send(&probe).is_none(), "{name}");
    }
}

/// The names in the recorded values, literally.
#[test]
fn recorded_values_have_these_names() {
    let (mut cookies, mut header, mut claims) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let (mut list, mut session) = (BTreeSet::new(), BTreeSet::new());
    for recorded in Recorded::all() {
        for (name, token) in recorded.tokens() {
            let sid = payload(token)["sid"].as_str().unwrap().to_owned();
            cookies.insert(name.replace(&sid, "<sid>"));
            header.append(&mut names(&part(token, 0)));
            claims.append(&mut names(&payload(token)));
            assert_eq!(part(token, 0)["typ"], "session+jwt");
        }
        cookies.extend(recorded.browser.cookies.keys().filter(|n| n.ends_with(".active")).cloned());
        list.append(&mut names(&recorded.session));
        for item in recorded.session["sessions"].as_array().unwrap() {
            session.append(&mut names(item));
            assert!(["active", "pending"].contains(&item["status"].as_str().unwrap()));
        }
    }
    assert_eq!(
        json!(cookies),
        json!(["__Host-session", "__Host-session.<sid>", "__Host-session.active"])
    );
    assert_eq!(COOKIE, "__Host-session");
    assert_eq!(json!(header), json!(["alg", "kid", "typ"]));
    assert_eq!(
        json!(claims),
        json!([
            "act",
            "aud",
            "auth_time",
            "exp",
            "factors_at",
            "iat",
            "inactivity_timeout",
            "iss",
            "last_active_at",
            "maximum_lifetime",
            "name",
            "pending_tasks",
            "persistent",
            "roles",
            "sid",
            "sts",
            "sub",
        ])
    );
    assert_eq!(json!(list), json!(["active", "sessions"]));
    assert_eq!(
        json!(session),
        json!([
            "actor",
            "detail",
            "expires_at",
            "label",
            "session_id",
            "signed_in_at",
            "status",
            "subject",
            "tasks",
        ])
    );
    let mut bearer = BTreeSet::new();
    for recorded in recorded("bearer_tokens").as_array().unwrap() {
        assert_eq!(json!(names(&recorded["response"])), json!(["expires_at", "token"]));
        bearer.append(&mut names(&payload(recorded["response"]["token"].as_str().unwrap())));
    }
    assert_eq!(
        json!(bearer),
        json!([
            "aud",
            "auth_time",
            "azp",
            "exp",
            "factors_at",
            "fva",
            "iat",
            "iss",
            "jti",
            "name",
            "nbf",
            "roles",
            "sid",
            "sts",
            "sub",
            "v",
        ])
    );
}

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Debug,
};

use proptest::{collection, prelude::*, sample};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::{Map, Value, json};

use super::{decode::decode, encode::encode, round_trip::check_round_trip};
use crate::{
    engine::{
        session::{actor::Actor, factor::Factor, task::SessionTask},
        token::claims::*,
    },
    error::TokenError,
};

fn registered() -> Registered {
    Registered {
        iss: None,
        aud: None,
        azp: None,
        sub: Subject::new("ada").unwrap(),
        sid: "AAAAAAAAAAAAAAAAAAAAAA".parse().unwrap(),
        auth_time: Timestamp::from_unix_seconds(1_000),
        iat: Timestamp::from_unix_seconds(2_000),
        exp: Timestamp::from_unix_seconds(9_000),
        last_active_at: Timestamp::from_unix_seconds(2_000),
        nbf: None,
        inactivity_timeout: None,
        maximum_lifetime: None,
        persistent: true,
        jti: None,
        attributes: None,
    }
}

const OURS: &str =
    r#""sub":"ada","sid":"AAAAAAAAAAAAAAAAAAAAAA","auth_time":1000,"iat":2000,"exp":9000"#;

/// The payload of an ordinary token with `members` appended.
fn payload(more: &str) -> String {
    if more.is_empty() { format!("{{{OURS}}}") } else { format!("{{{OURS},{more}}}") }
}

fn read<C: DeserializeOwned>(payload: impl AsRef<[u8]>) -> Result<Decoded<C>, TokenError> {
    decode(payload.as_ref())
}

/// `claims` are written as `members`, and those, in any place, are read as `claims`.
fn assert_round_trip<C>(claims: C, members: &str)
where
    C: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let written = String::from_utf8(encode(&registered(), &claims).unwrap()).unwrap();
    assert_eq!(written, payload(members));
    assert_eq!(check_round_trip::<C>(written.as_bytes()), Ok(()), "{written}");
    let members = if members.is_empty() { String::new() } else { format!("{members},") };
    let expected = Decoded { registered: registered(), custom: Some(claims) };
    for text in [written, format!(r#" {{ "amr":[{{}}],{members} {OURS} }} "#)] {
        assert_eq!(read::<C>(&text).as_ref(), Ok(&expected), "{text}");
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Plain {
    role: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    age: Option<u8>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Strict {
    role: String,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Wrapped<T>(T);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flat<T> {
    first: u8,
    #[serde(flatten)]
    rest: T,
    last: u8,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum External {
    Unit,
    One(u8),
    Two(u8, String),
    Empty(),
    Fields {
        a: u8,
        b: Vec<u8>,
    },
    #[serde(rename = "exp")]
    Forbidden(u8),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Internal {
    Guest,
    User { name: String },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "with")]
enum Adjacent {
    Guest,
    User(String),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number { value: u8 },
    Text { value: String },
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Key {
    Left,
    Right,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Deep {
    big: u128,
    negative: i128,
    float: f64,
    nested: BTreeMap<u8, Vec<(Option<Plain>, External)>>,
}

#[test]
fn claims_of_every_shape_round_trip() {
    let plain = || Plain { role: "admin".into(), age: None };
    let pair = || BTreeMap::from([("a".to_owned(), 1), ("b\"".to_owned(), 2)]);

    assert_round_trip(plain(), r#""role":"admin""#);
    assert_round_trip(Plain { role: "ä\u{1}".into(), age: Some(9) }, r#""role":"ä\u0001","age":9"#);
    assert_round_trip(Strict { role: "admin".into() }, r#""role":"admin""#);
    assert_round_trip((), "");
    assert_round_trip(Unit, "");
    assert_round_trip(Wrapped(plain()), r#""role":"admin""#);
    assert_round_trip(Wrapped(Wrapped(())), "");
    assert_round_trip(Some(plain()), r#""role":"admin""#);
    assert_round_trip(None::<Plain>, "");
    assert_round_trip(Some(pair()), r#""a":1,"b\"":2"#);
    assert_round_trip(pair(), r#""a":1,"b\"":2"#);
    assert_round_trip(BTreeMap::<String, u8>::new(), "");
    assert_round_trip(BTreeMap::from([(Key::Left, 1), (Key::Right, 2)]), r#""Left":1,"Right":2"#);
    assert_round_trip(BTreeMap::from([(Wrapped("a".to_owned()), 1)]), r#""a":1"#);
    assert_round_trip(BTreeMap::from([('x', 1)]), r#""x":1"#);
    assert_round_trip(
        json!({"a": [1, {"exp": "nested"}], "b": null}),
        r#""a":[1,{"exp":"nested"}],"b":null"#,
    );
    assert_round_trip(External::One(1), r#""One":1"#);
    assert_round_trip(External::Two(1, "x".into()), r#""Two":[1,"x"]"#);
    assert_round_trip(External::Empty(), r#""Empty":[]"#);
    assert_round_trip(External::Fields { a: 1, b: vec![2, 3] }, r#""Fields":{"a":1,"b":[2,3]}"#);
    assert_round_trip(Internal::Guest, r#""kind":"Guest""#);
    assert_round_trip(Internal::User { name: "x".into() }, r#""kind":"User","name":"x""#);
    assert_round_trip(Adjacent::Guest, r#""kind":"Guest""#);
    assert_round_trip(Adjacent::User("x".into()), r#""kind":"User","with":"x""#);
    assert_round_trip(Untagged::Number { value: 1 }, r#""value":1"#);
    assert_round_trip(Untagged::Text { value: "x".into() }, r#""value":"x""#);
    assert_round_trip(
        Flat { first: 1, rest: plain(), last: 2 },
        r#""first":1,"role":"admin","last":2"#,
    );
    assert_round_trip(
        Flat { first: 1, rest: pair(), last: 2 },
        r#""first":1,"a":1,"b\"":2,"last":2"#,
    );
    assert_round_trip(
        Flat { first: 1, rest: External::One(3), last: 2 },
        r#""first":1,"One":3,"last":2"#,
    );
    assert_round_trip(
        Flat { first: 1, rest: Some(plain()), last: 2 },
        r#""first":1,"role":"admin","last":2"#,
    );
    assert_round_trip(
        Deep {
            big: u128::MAX,
            negative: i128::MIN,
            float: -0.1,
            nested: BTreeMap::from([(7, vec![(None, External::Unit)])]),
        },
        r#""big":340282366920938463463374607431768211455,"negative":-170141183460469231731687303715884105728,"float":-0.1,"nested":{"7":[[null,"Unit"]]}"#,
    );
}

#[test]
fn registered_claims_round_trip() {
    let all = Registered {
        iss: Some("https://example.com".into()),
        aud: Some(Audience::Many(["a".into(), "b".into()].into())),
        azp: Some("session".into()),
        auth_time: Timestamp::EPOCH,
        exp: Timestamp::MAX,
        last_active_at: Timestamp::from_unix_seconds(1_999),
        nbf: Some(Timestamp::from_unix_seconds(1)),
        inactivity_timeout: Some(1),
        maximum_lifetime: Some(u64::MAX),
        persistent: false,
        ..registered()
    };
    let written = encode(&all, &()).unwrap();
    let text = String::from_utf8(written.clone()).unwrap();
    assert_eq!(
        text,
        r#"{"iss":"https://example.com","aud":["a","b"],"azp":"session","sub":"ada","sid":"AAAAAAAAAAAAAAAAAAAAAA","auth_time":0,"iat":2000,"exp":253402300799,"last_active_at":1999,"nbf":1,"inactivity_timeout":1,"maximum_lifetime":18446744073709551615,"persistent":false}"#
    );
    assert_eq!(read::<()>(written).unwrap().registered, all);

    for (aud, contains_a) in [
        (r#""a""#, true),
        (r#"["b","a"]"#, true),
        (r#""ab""#, false),
        ("[]", false),
        (r#""""#, false),
    ] {
        let token = read::<()>(payload(&format!("\"aud\":{aud}"))).unwrap();
        assert_eq!(token.registered.audience_contains("a"), contains_a, "{aud}");
    }
    assert!(!registered().audience_contains(""));
}

#[test]
fn claims_that_are_no_map_are_rejected() {
    fn refused<C: Serialize>(claims: C) -> ClaimsError {
        encode(&registered(), &claims).unwrap_err()
    }
    for error in [
        refused(1_u8),
        refused(1.5),
        refused(true),
        refused('x'),
        refused("text"),
        refused(vec![("a", 1)]),
        refused((1, 2)),
        refused(Some(Wrapped(3))),
        refused(External::Unit),
        refused(Value::from("text")),
    ] {
        assert_eq!(error, ClaimsError::NotAMap);
    }
    assert_eq!(refused(BTreeMap::from([(1, 2)])), ClaimsError::KeyNotAString);
    assert_eq!(refused(BTreeMap::from([((1, 2), 2)])), ClaimsError::KeyNotAString);
    let nested = BTreeMap::from([("a", BTreeMap::from([((1, 2), 3)]))]);
    assert!(matches!(refused(nested), ClaimsError::Serialize(_)));
}

#[test]
fn claims_with_a_reserved_name_are_rejected() {
    #[derive(Serialize)]
    struct Named {
        role: u8,
        exp: u8,
    }
    let exp = Err(ClaimsError::Reserved("exp"));
    assert_eq!(encode(&registered(), &Named { role: 1, exp: 1 }), exp);
    assert_eq!(encode(&registered(), &External::Forbidden(1)), exp);
    for &name in RESERVED_CLAIMS {
        let map = || BTreeMap::from([("a", 1), (name, 1)]);
        let refused = Err(ClaimsError::Reserved(name));
        assert_eq!(encode(&registered(), &map()), refused);
        assert_eq!(encode(&registered(), &Some(Flat { first: 1, rest: map(), last: 1 })), refused);
        assert_eq!(encode(&registered(), &Value::from_iter(map())), refused);
    }
}

/// Serializes its entries and ignores errors.
struct Stubborn(&'static [&'static str]);

impl Serialize for Stubborn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for name in self.0 {
            let _ = map.serialize_entry(name, name);
        }
        map.end()
    }
}

#[test]
fn claims_with_a_repeated_name_are_rejected() {
    let repeated = |name: &str| Err(ClaimsError::Repeated(name.into()));
    let flat = Flat { first: 1, rest: BTreeMap::from([("first", 1)]), last: 1 };
    assert_eq!(encode(&registered(), &flat), repeated("first"));
    let flat = Flat { first: 1, rest: BTreeMap::from([("last", 1)]), last: 1 };
    assert_eq!(encode(&registered(), &flat), repeated("last"));
    assert_eq!(encode(&registered(), &Stubborn(&["a", "b", "a", "c"])), repeated("a"));
    let first = Err(ClaimsError::Reserved("iat"));
    assert_eq!(encode(&registered(), &Stubborn(&["a", "iat", "a"])), first);
}

fn lost<C: Serialize + DeserializeOwned>(claims: &C) -> String {
    let payload = encode(&registered(), claims).unwrap();
    match check_round_trip::<C>(&payload) {
        Err(ClaimsError::RoundTrip(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn claims_that_do_not_round_trip_are_detected() {
    #[derive(Serialize, Deserialize)]
    struct OneWay {
        #[serde(rename(serialize = "role"), default)]
        roles: u8,
    }
    #[derive(Serialize, Deserialize)]
    struct Forgetful {
        secret: String,
        #[serde(skip_serializing)]
        #[expect(dead_code, reason = "the field is written but never read")]
        nick: String,
    }
    #[derive(Serialize, Deserialize)]
    struct Unread {
        #[serde(skip_deserializing)]
        level: u8,
    }
    #[derive(Serialize)]
    struct Stranger {
        secret: &'static str,
    }
    impl<'de> Deserialize<'de> for Stranger {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let map = BTreeMap::<String, String>::deserialize(deserializer)?;
            Err(serde::de::Error::custom(format!("bad {map:?}")))
        }
    }
    let keys = Flat {
        first: 1,
        rest: BTreeMap::from([("k".to_owned(), BTreeMap::from([(1, 2)]))]),
        last: 1,
    };

    assert_eq!(
        lost(&Flat { first: 1, rest: Scored { score: f64::NAN }, last: 1 }),
        "f64 was expected"
    );
    assert_eq!(lost(&Scored { score: f64::NAN }), "the value of `score` does not decode");
    assert_eq!(
        lost(&Forgetful { secret: "hunter2".into(), nick: "x".into() }),
        "`nick` is missing"
    );
    assert_eq!(lost(&OneWay { roles: 1 }), "`role` decodes to another value");
    assert_eq!(lost(&Unread { level: 1 }), "`level` decodes to another value");
    assert_eq!(lost(&Stranger { secret: "hunter2" }), "their structure does not match the type");
    assert!(
        check_round_trip::<Flat<BTreeMap<String, BTreeMap<u8, u8>>>>(
            &encode(&registered(), &keys).unwrap()
        )
        .is_err()
    );
}

#[derive(Debug, Serialize, Deserialize)]
struct Scored {
    score: f64,
}

#[test]
fn claims_round_trip_ignores_the_order_of_sets_and_maps() {
    let roles: HashSet<u32> = (0..50).collect();
    let claims: HashMap<String, HashSet<u32>> =
        (0..20).map(|n| (n.to_string(), roles.clone())).collect();
    assert_round_trip_in_any_order(&claims);
    assert_round_trip_in_any_order(&BTreeMap::from([("deep".to_owned(), vec![claims])]));
}

fn assert_round_trip_in_any_order<C: Serialize + DeserializeOwned>(claims: &C) {
    assert_eq!(check_round_trip::<C>(&encode(&registered(), claims).unwrap()), Ok(()));
}

#[test]
fn registered_claim_of_another_type_is_rejected() {
    let right = |name: &str| match name {
        "iss" | "aud" | "azp" | "sub" => json!("text"),
        "sid" => json!("AAAAAAAAAAAAAAAAAAAAAA"),
        "auth_time" => json!(1_000),
        "iat" | "last_active_at" => json!(2_000),
        "exp" => json!(9_000),
        "nbf" | "inactivity_timeout" | "maximum_lifetime" => json!(7),
        _ => json!(false),
    };
    let refused = |text: &str, name| {
        let expected = Err(TokenError::InvalidClaim(name));
        assert_eq!(read::<()>(text).map(drop), expected, "{text}");
        // Neither an application that fails nor one that reads all changes the verdict.
        assert_eq!(read::<Strict>(text).map(drop), expected, "{text}");
        assert_eq!(read::<Value>(text).map(drop), expected, "{text}");
    };
    let wrong = [
        "5",
        "0",
        "-1",
        "1.0",
        "1.5",
        "1e3",
        "1e300",
        "1e400",
        "18446744073709551615",
        "253402300800",
        "18446744073709551616",
        "null",
        "true",
        "\"\"",
        "\"text\"",
        "\"2000\"",
        "\"\\ud800\"",
        "\"AAAAAAAAAAAAAAAAAAAAAB\"",
        "[]",
        "[\"a\"]",
        "[\"a\",1]",
        "[2000]",
        "{}",
        "{\"a\":1}",
    ];
    for &name in &RESERVED_CLAIMS[..15] {
        if matches!(name, "sts" | "pending_tasks" | "act") {
            continue;
        }
        let members = |value: Option<&str>| {
            let mut members = vec!["\"x\":[1,2]".to_owned()];
            for &other in &RESERVED_CLAIMS[..15] {
                if other != name && !matches!(other, "sts" | "pending_tasks" | "act") {
                    members.push(format!("\"{other}\":{}", right(other)));
                }
            }
            members.extend(value.map(|value| format!("\"{name}\":{value}")));
            members
        };
        let object = |members: &[String]| format!("{{{}}}", members.join(","));
        assert!(read::<()>(object(&members(Some(&right(name).to_string())))).is_ok(), "{name}");

        let absent = object(&members(None));
        if matches!(name, "sub" | "sid" | "auth_time" | "iat" | "exp") {
            refused(&absent, name);
        } else {
            assert!(read::<()>(absent).is_ok(), "{name}");
        }
        for value in wrong {
            let text = value.starts_with('"') && value != "\"\\ud800\"";
            let fits = match name {
                "iss" | "azp" => text,
                "aud" => text || value == "[]" || value == "[\"a\"]",
                "sub" => text && value != "\"\"",
                "persistent" => value == "true",
                "inactivity_timeout" | "maximum_lifetime" => {
                    matches!(value, "5" | "253402300800" | "18446744073709551615")
                }
                "nbf" | "auth_time" => matches!(value, "0" | "5"),
                _ => false,
            };
            let mut members = members(Some(value));
            if fits {
                assert!(read::<()>(object(&members)).is_ok(), "{name} {value}");
                continue;
            }
            // The time before another is wrong too, and so named.
            let named = match (name, value) {
                ("iat", "5" | "0") => "auth_time",
                _ => name,
            };
            refused(&object(&members), named);
            members.rotate_right(1);
            refused(&object(&members), named);
        }
    }
}

#[test]
fn reserved_member_with_invalid_value_is_rejected() {
    for (members, named) in [
        (r#""cnf":null"#, "cnf"),
        (r#""cnf":{}"#, "cnf"),
        (r#""cnf":{"jkt":"x"}"#, "cnf"),
        (r#""cnf":{"jwk":{"crv":"P-384","kty":"EC","x":"","y":""}}"#, "cnf"),
        (r#""cnf":{"jwk":{"crv":"P-256","kty":"EC","x":"AA","y":"AA"}}"#, "cnf"),
        (r#""sts":null"#, "sts"),
        (r#""sts":"revoked""#, "sts"),
        (r#""sts":["pending"]"#, "sts"),
        (r#""pending_tasks":["a"]"#, "pending_tasks"),
        (r#""sts":"active","pending_tasks":[]"#, "pending_tasks"),
        (r#""sts":"pending","pending_tasks":"a""#, "pending_tasks"),
        (r#""sts":"pending","pending_tasks":["A"]"#, "pending_tasks"),
        (r#""act":null"#, "act"),
        (r#""act":{}"#, "act"),
        (r#""act":"eve""#, "act"),
        (r#""act":["eve"]"#, "act"),
        (r#""act":{"sub":""}"#, "act"),
        (r#""act":{"sub":"eve","act":{}}"#, "act"),
        (r#""factors_at":[1]"#, "factors_at"),
        (r#""factors_at":[1,2,3]"#, "factors_at"),
        (r#""factors_at":1"#, "factors_at"),
    ] {
        assert_eq!(read::<()>(payload(members)), Err(TokenError::InvalidClaim(named)), "{members}");
        let twice = payload(&format!("{members},{members}"));
        assert_eq!(read::<()>(twice), Err(TokenError::Payload), "{members}");
    }
    for jti in ["1", "-1", "1.5", "null", "true", "{\"a\":1}", "\"an id of another issuer\""] {
        let decoded = read::<()>(payload(&format!("\"jti\":{jti}"))).unwrap();
        assert_eq!(decoded.registered.jti, None, "{jti}");
    }
    for name in ["jti", "fva", "v", "amr", "acr"] {
        let text = payload(&format!("\"{name}\":[1],\"role\":\"x\""));
        assert_eq!(read::<Strict>(text).unwrap().custom, Some(Strict { role: "x".into() }));
    }
}

#[test]
fn session_attributes_round_trip() {
    let ada = || Actor::new(Subject::new("ada").unwrap());
    let root = Actor::new(Subject::new("root").unwrap());
    let attributes = SessionAttributes {
        tasks: Some([SessionTask::SECOND_FACTOR, SessionTask::new("own").unwrap()].into()),
        actor: Some(ada().issued_by("i").with_session_id("s").with_kind("agent").with_prior(root)),
        ..SessionAttributes::default()
    }
    .verified(Factor::Second, Timestamp::from_unix_seconds(7));
    let all = Registered { attributes: attributes.shared(), ..registered() };
    let written = encode(&all, &()).unwrap();
    let members = r#""sts":"pending","pending_tasks":["second-factor","own"],"act":{"sub":"ada","iss":"i","sid":"s","type":"agent","act":{"sub":"root"}},"factors_at":[null,7]"#;
    assert_eq!(String::from_utf8(written.clone()).unwrap(), payload(members));
    assert_eq!(read::<()>(written).unwrap().registered, all);
    let only = |members: &str| read::<()>(payload(members)).unwrap().registered.attributes;
    assert_eq!(only(r#""sts":"active""#), None);
    assert_eq!(only(r#""sts":"pending""#).unwrap().tasks, Some([].into()), "never plain");
    let foreign = only(r#""act":{"sub":"ada","email":"a@b","x":[1]}"#).unwrap();
    assert_eq!(foreign.actor, Some(ada()));
}

#[test]
fn claims_with_times_out_of_order_are_rejected() {
    let with = |auth_time, last_active_at, iat, exp| {
        let text = format!(
            r#"{{"sub":"a","sid":"AAAAAAAAAAAAAAAAAAAAAA","auth_time":{auth_time},"last_active_at":{last_active_at},"iat":{iat},"exp":{exp}}}"#
        );
        read::<()>(text).map(drop)
    };
    assert_eq!(with(5, 5, 5, 5), Ok(()));
    assert_eq!(with(6, 6, 5, 9), Err(TokenError::InvalidClaim("auth_time")));
    assert_eq!(with(1, 6, 5, 9), Err(TokenError::InvalidClaim("last_active_at")));
    assert_eq!(with(3, 2, 5, 9), Err(TokenError::InvalidClaim("last_active_at")));
    assert_eq!(with(1, 2, 5, 4), Err(TokenError::InvalidClaim("exp")));
}

/// `text` is refused whatever the application's type is.
fn refused_by_all(text: impl AsRef<[u8]>) {
    let text = text.as_ref();
    let shown = String::from_utf8_lossy(text);
    assert_eq!(read::<()>(text).map(drop), Err(TokenError::Payload), "{shown}");
    assert_eq!(read::<Value>(text).map(drop), Err(TokenError::Payload), "{shown}");
    assert_eq!(read::<Plain>(text).map(drop), Err(TokenError::Payload), "{shown}");
    assert_eq!(read::<Strict>(text).map(drop), Err(TokenError::Payload), "{shown}");
    assert_eq!(read::<Option<Untagged>>(text).map(drop), Err(TokenError::Payload), "{shown}");
    assert_eq!(read::<External>(text).map(drop), Err(TokenError::Payload), "{shown}");
}

#[test]
fn payload_with_a_repeated_member_is_rejected() {
    for more in [
        r#""exp":9000"#,
        r#""\u0065xp":9000"#,
        r#""exp":"wrong""#,
        r#""jti":1,"jti":1"#,
        r#""x":1,"x":1"#,
        r#""x":1,"role":"a","\u0078":2"#,
        r#""One":1,"role":"a","One":1"#,
        r#""role":"a","role":"a""#,
    ] {
        refused_by_all(payload(more));
        refused_by_all(format!("{{{more},{OURS}}}"));
    }
    // Not a second one.
    assert!(read::<()>(payload(r#""x":{"x":1,"exp":1},"X":1,"Exp":1"#)).is_ok());
    assert!(
        read::<()>(format!(r#"{{"\u0065xp":9000,{}}}"#, OURS.replace(",\"exp\":9000", ""))).is_ok()
    );
}

#[test]
fn payload_that_is_not_one_json_object_is_rejected() {
    let nested =
        |depth: usize| payload(&format!("\"x\":{}{}", "[".repeat(depth), "]".repeat(depth)));
    for text in [
        String::new(),
        "[]".into(),
        "null".into(),
        format!("[{}]", payload("")),
        format!("\u{feff}{}", payload("")),
        format!("{}x", payload("")),
        payload("").repeat(2),
        payload("").replace('}', ""),
        payload("").replace('}', ",}"),
        payload("\"x\":01"),
        payload("\"x\":\"\n\""),
        payload("\"x\":\"\\x\""),
        payload("\"x\":[1,]"),
        payload("\"\\ud800\":1"),
        payload("x:1"),
        payload("\"exp2\":tru"),
        nested(127),
        nested(200),
        nested(200_000),
        payload(&format!("\"x\":{}", "{\"[\\\"\":".repeat(200))),
    ] {
        refused_by_all(text);
    }
    refused_by_all([payload("\"x\":\"").as_bytes(), b"\xff\"}"].concat());
    refused_by_all([payload("").as_bytes().split_last().unwrap().1, b",\"\xc0\xaf\":1}"].concat());

    // As deep as serde_json goes, and brackets that are none.
    assert!(read::<Value>(nested(126)).unwrap().custom.is_some());
    let quoted = payload(&format!("\"x\":\"\\\"{}\"", "[{".repeat(500)));
    assert!(read::<Value>(quoted).unwrap().custom.is_some());
}

/// Reads what it can and calls that a success.
#[derive(Debug, PartialEq)]
struct Careless;

impl<'de> Deserialize<'de> for Careless {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Careless;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Careless, A::Error> {
                while let Ok(Some(_)) = map.next_key::<String>() {
                    let _ = map.next_value::<u8>();
                }
                Ok(Careless)
            }
        }
        deserializer.deserialize_map(Any)
    }
}

#[test]
fn custom_claims_that_fail_to_decode_leave_registered_claims() {
    fn none<C: DeserializeOwned + PartialEq + Debug>(more: &str) {
        let expected = Ok(Decoded { registered: registered(), custom: None::<C> });
        assert_eq!(read(payload(more)), expected, "{more}");
        if !more.is_empty() {
            assert_eq!(read(format!("{{{more},{OURS}}}")), expected, "{more}");
        }
    }
    none::<Plain>("");
    none::<Plain>(r#""role":5"#);
    none::<Plain>(r#""role":"\ud800""#);
    none::<Strict>(r#""role":"x","more":1"#);
    none::<External>("");
    none::<External>(r#""Other":1"#);
    none::<External>(r#""One":1,"Two":[1,"x"]"#);
    none::<External>(r#""Two":[1]"#);
    none::<Internal>(r#""kind":"Admin""#);
    none::<Untagged>(r#""value":null"#);
    none::<Vec<u8>>("");
    none::<Careless>(r#""a":1,"b":"x","c":2"#);

    let careless = |text: String| read::<Careless>(text);
    assert_eq!(careless(payload(r#""a":1"#)).unwrap().custom, Some(Careless));
    assert_eq!(careless(payload(r#""a":"x","a":1"#)), Err(TokenError::Payload));
    let wrong = format!(r#"{{"a":"x","iss":5,{OURS}}}"#);
    assert_eq!(careless(wrong), Err(TokenError::InvalidClaim("iss")));
    // The first in our order, whichever comes first.
    let two = format!(r#"{{"nbf":"x","persistent":1,"iss":5,"aud":[5],{OURS}}}"#);
    assert_eq!(careless(two), Err(TokenError::InvalidClaim("iss")));
}

#[test]
fn custom_claims_contain_only_unreserved_members() {
    let seen = read::<Value>(payload(r#""iss":"i","x":1,"jti":"j""#)).unwrap().custom.unwrap();
    assert_eq!(seen, json!({"x": 1}));
    // An escaped name is the application's as well.
    let strict = read::<Strict>(payload(r#""r\u006fle":"x""#)).unwrap();
    assert_eq!(strict.custom, Some(Strict { role: "x".into() }));
}

fn name() -> impl Strategy<Value = String> {
    let free = "[a-z\\PC\"\\\\\u{0}-\u{20}]{0,6}"
        .prop_filter("reserved", |name: &String| !RESERVED_CLAIMS.contains(&name.as_str()));
    prop_oneof![
        free,
        sample::select(vec!["Exp", "exp ", "sub\0", "", "state"]).prop_map(str::to_owned)
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 8.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            collection::btree_map(any::<String>(), inner, 0..4).prop_map(Value::from_iter),
        ]
    })
}

/// As JSON with every character escaped.
fn escaped(text: &str) -> String {
    let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    format!("\"{units}\"")
}

proptest! {
    #[test]
    fn any_json_object_as_claims_round_trips(claims in collection::btree_map(name(), value(), 0..8)) {
        let object = Value::from_iter(claims);
        let written = encode(&registered(), &object).unwrap();
        prop_assert_eq!(check_round_trip::<Value>(&written), Ok(()));
        prop_assert_eq!(read(written), Ok(Decoded { registered: registered(), custom: Some(object) }));
    }

    #[test]
    fn payload_verdict_ignores_member_order_and_escapes(
        claims in collection::btree_map(name(), value(), 0..5),
        wrong in proptest::option::of((sample::select(RESERVED_CLAIMS), value())),
        seeds in collection::vec((any::<u64>(), any::<bool>()), 32),
    ) {
        let mut object: Map<String, Value> = serde_json::from_str(&payload("")).unwrap();
        object.extend(claims);
        object.extend(wrong.map(|(name, value)| (name.to_owned(), value)));
        let before = read::<Value>(Value::from(object.clone()).to_string());

        let mut members: Vec<_> = object.iter().zip(&seeds).collect();
        members.sort_by_key(|(_, seed)| seed.0);
        let members: Vec<_> = members
            .into_iter()
            .map(|((name, value), seed)| {
                let name = if seed.1 { escaped(name) } else { Value::from(name.as_str()).to_string() };
                format!("{name} : {value}")
            })
            .collect();
        prop_assert_eq!(read::<Value>(format!("{{{}}}", members.join(" ,\n"))), before);
    }

    #[test]
    fn payload_of_any_bytes_never_panics(
        bytes in collection::vec(any::<u8>(), 0..64),
        at in any::<sample::Index>(),
        more in "[\\[\\]{}:,\"\\\\0-9a-z.eE+-]{0,40}",
    ) {
        let mut text = payload("\"role\":\"x\",\"y\":[1,{\"z\":null}]").into_bytes();
        let start = at.index(text.len());
        let end = text.len().min(start + bytes.len() / 8);
        text.splice(start..end, bytes.iter().copied().take(4));
        for text in [bytes, text, more.clone().into_bytes(), payload(&more).into_bytes()] {
            let verdicts = [
                read::<()>(&text).map(drop),
                read::<Value>(&text).map(drop),
                read::<Option<Flat<Untagged>>>(&text).map(drop),
                read::<External>(&text).map(drop),
                read::<Strict>(&text).map(drop),
            ];
            prop_assert!(verdicts.iter().all(|verdict| *verdict == verdicts[0]), "{:?}", verdicts);
        }
    }

    #[test]
    fn claims_with_floats_round_trip_only_when_finite(score in any::<f64>()) {
        let written = encode(&registered(), &Scored { score }).unwrap();
        prop_assert_eq!(check_round_trip::<Scored>(&written).is_ok(), score.is_finite());
    }
}

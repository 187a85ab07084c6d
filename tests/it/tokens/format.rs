//! The format of a token and of its payload.

use super::*;

#[test]
fn token_that_is_not_compact_base64url_is_rejected() {
    let (probe, forge) = (probe(), TokenForge::new("k1"));
    let token = forge.session(&claims());
    let parts: Vec<_> = token.split('.').collect();
    for bad in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "a.b.c".into(),
        parts[0].into(),
        parts[..2].join("."),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{token}"),
        format!("{token}.."),
        // JWE has five parts (RFC 7516 §7.1).
        format!("{token}.AAAA.AAAA"),
        format!("{token}="),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        token.replace('.', "%2E"),
        token.replace('.', ":"),
        format!("{token}\u{e9}"),
        format!("{} {}", &token[..9], &token[9..]),
        format!("\"{token}\""),
        format!("{{\"payload\":\"{}\"}}", parts[1]),
        format!("Bearer {token}"),
    ] {
        rejection_reason(&present(&probe, &bad));
    }
}

/// The signature covers the text as sent, so that only its encoding is wrong.
#[test]
fn non_canonical_base64url_is_rejected() {
    let (probe, forge) = (probe(), TokenForge::new("k1"));
    // A payload whose last character has spare bits.
    let spare = ["", " ", "  "]
        .map(|end| claims().to_string() + end)
        .into_iter()
        .find(|payload| payload.len() % 3 == 1)
        .unwrap();
    let (header, body) = (encode(forge.header().to_string()), encode(&spare));
    assert!(present(&probe, &forge.sign_text(&format!("{header}.{body}"))).session.is_some());
    for last in "BCDEFGHIJKLMNOPRSTUVWXYZabcdefhijklmnopqrstuvxyz0123456789-_".chars() {
        if body.ends_with(last) {
            continue;
        }
        let non_canonical = format!("{header}.{}{last}", &body[..body.len() - 1]);
        present(&probe, &forge.sign_text(&non_canonical)).assert_signed_out();
    }
    for non_canonical in [
        format!("{header}.{body}=="),
        format!("{header}.{body}A"),
        format!("{header}.{}+", &body[..body.len() - 1]),
        format!("{header}.{}/", &body[..body.len() - 1]),
        format!("{header}.{body}\t"),
    ] {
        present(&probe, &forge.sign_text(&non_canonical)).assert_signed_out();
    }
}

/// RFC 6265bis §5.6: name and value have at most 4096 bytes, so no browser sends a longer token.
#[test]
fn token_longer_than_a_cookie_is_rejected() {
    let (probe, forge) = (probe(), TokenForge::new("k1"));
    let of_length = |length: usize| {
        let token = (length * 3 / 4 - 400..length)
            .map(|pad| forge.session(&claims_with("name", json!("x".repeat(pad)))))
            .find(|token| token.len() >= length)
            .unwrap();
        assert_eq!(token.len(), length, "an exact length of base64");
        token
    };
    let limit = 4096 - COOKIE.len();
    assert!(present(&probe, &of_length(limit)).session.is_some());
    let too_long = of_length(limit + 1);
    assert_eq!(rejection_reason(&present(&probe, &too_long)), CredentialError::Malformed);
    for length in [8_000, 30_000] {
        let name = json!("x".repeat(length));
        let token = forge.session(&claims_with("name", name));
        // Beyond the cookie budget it is also removed.
        let result = present(&probe, &token);
        assert!(result.session.is_none());
        assert!(matches!(
            result.events[..],
            [SessionEvent::CredentialRejected {
                reason: CredentialError::Malformed | CredentialError::CookieHeaderTooLarge,
                ..
            }]
        ));
    }
}

#[test]
fn payload_that_is_not_one_object_with_unique_members_is_rejected() {
    let (probe, forge) = (probe(), TokenForge::new("k1"));
    let valid = claims().to_string();
    let inside = &valid[1..valid.len() - 1];
    let nested =
        |depth: usize| format!("{{{inside},\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(present(&probe, &forge.token(format!(" {valid}\r\n"))).session.is_some());
    assert!(present(&probe, &forge.token(nested(100))).session.is_some());
    for payload in [
        String::new(),
        "null".into(),
        "\"\"".into(),
        "[]".into(),
        format!("[{valid}]"),
        format!("{valid}{valid}"),
        format!("{valid} x"),
        format!("{valid},"),
        format!("\u{feff}{valid}"),
        format!("{valid}\0"),
        valid[..valid.len() - 1].into(),
        format!("{{{inside},}}"),
        format!("{{{inside},\"x\":NaN}}"),
        format!("{{{inside},\"x\":01}}"),
        format!("{{{inside},\"x\":\"\n\"}}"),
        format!("{{{inside},x:1}}"),
        nested(200),
        nested(1_000),
        valid.replace(':', "="),
        format!(r#"["ada","{SID_A}",{START},{START},{},"Ada"]"#, START + 100),
    ] {
        let error = token_error(&present(&probe, &forge.token(&payload)));
        assert_eq!(error, TokenError::Payload, "{payload}");
    }
    // RFC 8259 §4: the meaning of a repeated name is not defined.
    for member in [
        format!("\"exp\":{}", START + 100),
        format!("\"exp\":{}", START + 1_000),
        format!("\"sid\":\"{SID_B}\""),
        format!("\"sid\":\"{SID_A}\""),
        "\"sub\":\"bob\"".into(),
        "\"s\\u0075b\":\"bob\"".into(),
        "\"name\":\"Bob\"".into(),
        "\"n\\u0061me\":\"Ada\"".into(),
        "\"x\":1,\"x\":1".into(),
        "\"x\":1,\"\\u0078\":2".into(),
        "\"jti\":1,\"jti\":1".into(),
    ] {
        for payload in [format!("{{{inside},{member}}}"), format!("{{{member},{inside}}}")] {
            let error = token_error(&present(&probe, &forge.token(&payload)));
            assert_eq!(error, TokenError::Payload, "{payload}");
        }
    }
    for bytes in [&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"] {
        let payload = [b"{", inside.as_bytes(), b",\"x\":\"", bytes, b"\"}"].concat();
        let error = token_error(&present(&probe, &forge.token(&payload)));
        assert_eq!(error, TokenError::Payload);
    }
}

/// Repeated members are detected whatever type the application's claims have.
#[test]
fn repeated_member_is_rejected_for_every_type_of_claims() {
    #[derive(Debug, Clone, Serialize, Deserialize)]
    struct Flat {
        #[serde(flatten)]
        rest: BTreeMap<String, Value>,
    }
    fn check<C>()
    where
        C: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let probe = Probe::new(SessionEngine::<C>::builder(KeyRing::new(key("k1"))));
        let (forge, valid) = (TokenForge::new("k1"), claims().to_string());
        assert!(probe.cookie(COOKIE, &forge.token(&valid)).session.is_some());
        for member in ["\"x\":1,\"x\":1", "\"exp\":1", "\"name\":\"Bob\""] {
            let payload = format!("{{{member},{}", &valid[1..]);
            let result = probe.cookie(COOKIE, &forge.token(&payload));
            assert_eq!(token_error(&result), TokenError::Payload, "{payload}");
        }
    }
    check::<()>();
    check::<Value>();
    check::<BTreeMap<String, Value>>();
    check::<HashMap<String, Value>>();
    check::<Flat>();
    check::<Option<BTreeMap<String, Value>>>();
}

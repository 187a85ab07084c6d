//! [`Params`]: the parameters of a request to an endpoint, from its query and its body.

use std::{fmt, mem};

use http::{HeaderMap, header};
use serde::de::{self, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::engine::encoding::percent;

/// The parameters of the endpoints. Other names are the application's and ignored.
///
/// Each may come once, in the query or in the body: software that takes the first of two values
/// and software that takes the last must not be able to read one request in two ways.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Params {
    pub(crate) session_id: Param,
    pub(crate) scope: Param,
    pub(crate) redirect_url: Param,
    /// In seconds: in JSON a number will do as well.
    pub(crate) lifetime: Param,
    pub(crate) audience: Param,
}

/// One parameter, decoded once.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) enum Param {
    #[default]
    Absent,
    Once(String),
    /// Repeated, malformed, not UTF-8 or not a string. The endpoint decides: an unreadable redirect is
    /// ignored, an unreadable session or scope is a bad request.
    Invalid,
}

impl Params {
    /// Reads the query of a request: what follows its `?`, empty where there is none.
    pub(crate) fn from_query(query: &str) -> Self {
        let mut params = Self::default();
        params.merge_urlencoded(query.as_bytes());
        params
    }

    /// Reads a body of `application/x-www-form-urlencoded` (WHATWG URL §5.1).
    pub(crate) fn merge_urlencoded(&mut self, body: &[u8]) {
        for pair in body.split(|byte| *byte == b'&') {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let (name, value) =
                (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
            if let Some(param) = self.param(|known| form_decoded(name).eq(known.bytes().map(Some)))
            {
                let bytes: Option<Vec<u8>> = form_decoded(value).collect();
                param.add(bytes.and_then(|bytes| String::from_utf8(bytes).ok()));
            }
        }
    }

    /// Reads a body of `application/json`: one object.
    ///
    /// # Errors
    ///
    /// When it is anything else; the parameters are then as they were.
    pub(crate) fn merge_json(&mut self, body: &[u8]) -> Result<(), InvalidBody> {
        let mut read = self.clone();
        let mut json = serde_json::Deserializer::from_slice(body);
        de::Deserializer::deserialize_map(&mut json, &mut read)
            .and_then(|()| json.end())
            .map_err(|_| InvalidBody)?;
        *self = read;
        Ok(())
    }

    fn param(&mut self, is_named: impl Fn(&str) -> bool) -> Option<&mut Param> {
        [
            ("session_id", &mut self.session_id),
            ("scope", &mut self.scope),
            ("redirect_url", &mut self.redirect_url),
            ("lifetime", &mut self.lifetime),
            ("audience", &mut self.audience),
        ]
        .into_iter()
        .find_map(|(name, param)| is_named(name).then_some(param))
    }
}

impl<'de> Visitor<'de> for &mut Params {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            match self.param(|known| name == known) {
                Some(param) => param.add(match members.next_value()? {
                    Value::String(text) => Some(text),
                    Value::Number(number) if name == "lifetime" => Some(number.to_string()),
                    _ => None,
                }),
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

impl Param {
    /// One more value of this name, `None` for an unreadable one.
    fn add(&mut self, value: Option<String>) {
        *self = match (mem::take(self), value) {
            (Self::Absent, Some(value)) => Self::Once(value),
            _ => Self::Invalid,
        };
    }
}

impl fmt::Debug for Param {
    /// Without the text, which is the client's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("Absent"),
            Self::Once(text) => write!(f, "Once({} bytes)", text.len()),
            Self::Invalid => f.write_str("Invalid"),
        }
    }
}

/// A body that is not what its `Content-Type` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidBody;

/// How a body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentKind {
    /// The request does not say.
    None,
    Urlencoded,
    Json,
    /// Another content type, or the header appears twice.
    Other,
}

impl ContentKind {
    /// Reads `Content-Type` (RFC 9110 §8.3) without its parameters: both kinds are UTF-8 by
    /// definition.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        let mut lines = headers.get_all(header::CONTENT_TYPE).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return if headers.contains_key(header::CONTENT_TYPE) {
                Self::Other
            } else {
                Self::None
            };
        };
        let media_type = line.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        let media_type = media_type.trim_ascii();
        if media_type.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
            Self::Urlencoded
        } else if media_type.eq_ignore_ascii_case(b"application/json") {
            Self::Json
        } else {
            Self::Other
        }
    }
}

/// A name or value of a form, where `+` is a space.
fn form_decoded(raw: &[u8]) -> impl Iterator<Item = Option<u8>> {
    percent::decoded(raw.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::Param::{Absent, Invalid};
    use crate::endpoints::params::*;

    fn once(text: &str) -> Param {
        Param::Once(text.to_owned())
    }

    #[test]
    fn urlencoded_parameters_are_decoded_and_repeats_rejected() {
        for (query, scope) in [
            ("", Absent),
            ("&&=&=scope&scopes=a&Scope=a&scope[]=a& scope=a&%73cop=a", Absent),
            ("scope=this", once("this")),
            ("a=b&scope=this&scop%65s=a", once("this")),
            ("scop%65=this", once("this")),
            ("scope", once("")),
            ("scope=", once("")),
            ("scope=a=b?c;d", once("a=b?c;d")),
            ("scope=a+b%2Bc%26%3D", once("a b+c&=")),
            ("scope=%252f", once("%2f")),
            ("scope=%C3%A4", once("\u{e4}")),
            ("scope=%00", once("\0")),
            ("scope=\u{e4}", once("\u{e4}")),
            ("scope=%", Invalid),
            ("scope=%4", Invalid),
            ("scope=a%+4", Invalid),
            ("scope=%zz", Invalid),
            ("scope=%ff", Invalid),
            ("scope=%C3", Invalid),
            ("scope=%ED%A0%80", Invalid),
            ("scope=a&scope=a", Invalid),
            ("scope=a&a=b&sc%6Fpe=b", Invalid),
            ("scope=%zz&scope=a", Invalid),
            ("scope&scope&scope", Invalid),
            // An unreadable name is not a parameter of the endpoints.
            ("scope%=a&scope%ff=a", Absent),
        ] {
            assert!(Params::from_query(query).scope == scope, "{query}");
        }
        let mut params = Params::default();
        params.merge_urlencoded(b"session_id=1&scope=\xff&redirect_url=%2Fa%3Fb&\xff=1");
        assert!(params.session_id == once("1"));
        assert!(params.scope == Invalid);
        assert!(params.redirect_url == once("/a?b"));
    }

    #[test]
    fn json_parameters_are_decoded_and_other_types_rejected() {
        for (body, scope) in [
            ("{}", Absent),
            (r#" {"a": [{"scope": "x"}], "b": 1e999} "#, Absent),
            (r#"{"scope": "this", "Scope": "x"}"#, once("this")),
            (r#"{"\u0073cope": "\u00e4%2f+\n"}"#, once("\u{e4}%2f+\n")),
            (r#"{"scope": null}"#, Invalid),
            (r#"{"scope": 1}"#, Invalid),
            (r#"{"scope": ["this"]}"#, Invalid),
            (r#"{"scope": {"scope": "this"}}"#, Invalid),
            (r#"{"scope": "a", "scope": "a"}"#, Invalid),
            (r#"{"scope": 1, "sc\u006fpe": "a"}"#, Invalid),
        ] {
            let mut params = Params::default();
            assert_eq!(params.merge_json(body.as_bytes()), Ok(()), "{body}");
            assert!(params.scope == scope, "{body}");
        }
    }

    #[test]
    fn json_body_that_is_no_object_is_rejected_without_changes() {
        let nested = format!(r#"{{"scope": {}1{}}}"#, "[".repeat(1_000), "]".repeat(1_000));
        for body in [
            "",
            "null",
            "[]",
            r#"["scope"]"#,
            r#""scope""#,
            "scope=this",
            r#"{"scope": "this""#,
            r#"{"scope": "this"} {}"#,
            r#"{"scope": "this",}"#,
            r#"{"scope": "\ud800"}"#,
            "\u{feff}{}",
            &nested,
        ] {
            let mut params = Params::from_query("session_id=1");
            assert_eq!(params.merge_json(body.as_bytes()), Err(InvalidBody), "{body}");
            assert!(params == Params::from_query("session_id=1"), "{body}");
        }
        assert_eq!(Params::default().merge_json(b"{\"scope\": \"\xff\"}"), Err(InvalidBody));
    }

    #[test]
    fn parameter_in_query_and_body_is_rejected_as_repeated() {
        let mut params = Params::from_query("scope=this&session_id=1");
        params.merge_urlencoded(b"scope=this&redirect_url=/");
        assert!(params.scope == Invalid);
        assert!((params.session_id, params.redirect_url) == (once("1"), once("/")));

        let mut params = Params::from_query("scope=this&session_id=1");
        params.merge_json(br#"{"scope": "this", "redirect_url": "/"}"#).unwrap();
        assert!(params.scope == Invalid);
        assert!((params.session_id, params.redirect_url) == (once("1"), once("/")));
    }

    #[test]
    fn params_debug_output_hides_values() {
        let text = format!("{:?}", Params::from_query("session_id=secret"));
        assert!(!text.contains("secret") && text.contains("6 bytes"), "{text}");
    }

    #[test]
    fn content_type_header_selects_the_body_format() {
        for (lines, kind) in [
            (&[][..], ContentKind::None),
            (&["application/json"], ContentKind::Json),
            (&["Application/JSON; charset=utf-8"], ContentKind::Json),
            (&["application/json \t;a=\"\u{e4};\""], ContentKind::Json),
            (&["application/x-www-form-urlencoded"], ContentKind::Urlencoded),
            (&["application/x-www-form-urlencoded;charset=UTF-8"], ContentKind::Urlencoded),
            (&[""], ContentKind::Other),
            (&["; application/json"], ContentKind::Other),
            (&["application/json, text/plain"], ContentKind::Other),
            (&["application/problem+json"], ContentKind::Other),
            (&["application/jsonp"], ContentKind::Other),
            (&["text/plain"], ContentKind::Other),
            (&["multipart/form-data; boundary=a"], ContentKind::Other),
            (&["application/json", "application/json"], ContentKind::Other),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                let value = HeaderValue::from_bytes(line.as_bytes()).unwrap();
                headers.append(header::CONTENT_TYPE, value);
            }
            assert_eq!(ContentKind::from_headers(&headers), kind, "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn urlencoded_form_agrees_with_the_url_standard(
            form in "((scope|sc%6fpe|session_id|a|%)?=?(%[0-9a-f]{2}|[%+=&a\u{e4}]){0,4}&){0,4}"
        ) {
            let standard = || url::form_urlencoded::parse(form.as_bytes());
            match Params::from_query(&form).scope {
                Absent => prop_assert!(standard().all(|(name, _)| name != "scope")),
                // The standard keeps what is malformed and replaces what is not UTF-8.
                Invalid => prop_assert!(standard().any(|(name, _)| name == "scope")),
                Param::Once(text) => {
                    let values: Vec<_> =
                        standard().filter(|(name, _)| name == "scope").map(|(_, v)| v).collect();
                    prop_assert_eq!(values, [text]);
                }
            }
        }

        #[test]
        fn params_from_any_bytes_never_panic(query in any::<String>(), body in any::<Vec<u8>>()) {
            let mut params = Params::from_query(&query);
            params.merge_urlencoded(&body);
            let _ = params.merge_json(&body);
        }
    }
}

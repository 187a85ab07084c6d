//! [`SealedFlow`]: the value of a flow cookie.
//!
//! 1. The value is base64url of a header and a sealed text. The header has the format's version,
//!    `SameSite`, and two times in seconds since 1970: the start and the end. It is readable, so that a
//!    response can remove expired and old flows that it does not open, and it is part of the seal.
//! 2. The text is the data's type (8 bytes of the SHA-256 of its name), the redirect target with its
//!    length, and the data as JSON.
//! 3. The seal is bound to [`FlowContext`]: the purpose, the engine and the flow's id. No other text of
//!    this crate has it, so that neither a session nor the flow of another engine is taken for a flow.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{
    FinishedFlow, Flow, FlowId,
    errors::{FinishFlowError, StartFlowError},
};
use crate::{
    engine::{
        cookie::config::SameSite,
        keys::{backend::sha256, sealing::SealingKey},
        redirect::target::RedirectTarget,
    },
    time::Timestamp,
};

const VERSION: u8 = 1;
const HEADER_LENGTH: usize = 18;
const TYPE_LENGTH: usize = 8;

/// What the seal of a flow is bound to.
pub(crate) struct FlowContext(Vec<u8>);

impl FlowContext {
    /// `engine` is what distinguishes the engine from others that have the same keys.
    pub(crate) fn new(engine: [Option<&str>; 3], id: FlowId) -> Self {
        let mut bytes = b"flow".to_vec();
        for part in engine.into_iter().chain([Some(id.as_str())]) {
            // No text can be part of another: each has its length before it.
            let length = part.map_or(u64::MAX, |part| part.len() as u64);
            bytes.extend(length.to_be_bytes());
            bytes.extend(part.unwrap_or_default().as_bytes());
        }
        Self(bytes)
    }
}

/// The readable part of a flow cookie. It is trusted only once the flow is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlowHeader {
    pub(crate) same_site: SameSite,
    pub(crate) started_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

impl FlowHeader {
    fn to_bytes(self) -> Vec<u8> {
        let same_site = match self.same_site {
            SameSite::Strict => 0,
            SameSite::Lax => 1,
            SameSite::None => 2,
        };
        let times = [self.started_at, self.expires_at].map(Timestamp::as_unix_seconds);
        let mut bytes = vec![VERSION, same_site];
        times.into_iter().for_each(|time| bytes.extend(time.to_be_bytes()));
        bytes
    }

    fn from_bytes(bytes: &[u8; HEADER_LENGTH]) -> Option<Self> {
        let (VERSION, same_site) = (bytes[0], bytes[1]) else { return None };
        let same_site = match same_site {
            0 => SameSite::Strict,
            1 => SameSite::Lax,
            2 => SameSite::None,
            _ => return None,
        };
        let time = |at| {
            let seconds = bytes.get(at..)?.first_chunk()?;
            Some(Timestamp::from_unix_seconds(u64::from_be_bytes(*seconds)))
        };
        Some(Self { same_site, started_at: time(2)?, expires_at: time(10)? })
    }
}

/// The value of a flow cookie that a request presents.
pub(crate) struct SealedFlow {
    pub(crate) header: FlowHeader,
    header_bytes: [u8; HEADER_LENGTH],
    text: Vec<u8>,
}

impl SealedFlow {
    /// `None` if `value` is not the value of a flow cookie.
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(value).ok()?;
        let (header_bytes, text) = bytes.split_first_chunk()?;
        let header = FlowHeader::from_bytes(header_bytes)?;
        Some(Self { header, header_bytes: *header_bytes, text: text.to_vec() })
    }

    /// The flow, if one of `keys` sealed it in this context.
    pub(crate) fn open<'k>(
        &self,
        mut keys: impl Iterator<Item = &'k SealingKey>,
        context: &FlowContext,
    ) -> Option<OpenedFlow> {
        let open = |key: &SealingKey| key.open(&context.0, &self.header_bytes, &self.text);
        keys.find_map(open).map(|text| OpenedFlow { text })
    }
}

/// A flow whose seal is intact.
pub(crate) struct OpenedFlow {
    text: Zeroizing<Vec<u8>>,
}

impl OpenedFlow {
    /// The flow's data, if it was started with this type.
    pub(crate) fn decode<T: DeserializeOwned>(&self) -> Result<FinishedFlow<T>, FinishFlowError> {
        let parts = || {
            let (kind, rest) = self.text.split_at_checked(TYPE_LENGTH)?;
            let (length, rest) = rest.split_first_chunk()?;
            let (target, json) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
            Some((kind, str::from_utf8(target).ok()?, json))
        };
        let (kind, target, json) = parts().ok_or(FinishFlowError::Data)?;
        if Some(kind) != type_tag::<T>().as_deref() {
            return Err(FinishFlowError::OtherType);
        }
        // The target was validated before it was sealed, so that any origin is its own's choice.
        let return_to = RedirectTarget::parse(target).ok();
        let data = serde_json::from_slice(json).map_err(|_| FinishFlowError::Data)?;
        Ok(FinishedFlow { data, return_to })
    }
}

/// The value of the cookie of `flow`.
pub(crate) fn seal<T: Serialize + DeserializeOwned>(
    flow: Flow<T>,
    key: &SealingKey,
    context: &FlowContext,
    header: FlowHeader,
) -> Result<String, StartFlowError> {
    let Flow { data, return_to, .. } = flow;
    let json = serde_json::to_vec(&data).map(Zeroizing::new);
    let json = json.map_err(|_| StartFlowError::Data)?;
    serde_json::from_slice::<T>(&json).map_err(|_| StartFlowError::Data)?;
    let target = return_to.as_ref().map_or("", RedirectTarget::as_str);
    let length = u16::try_from(target.len()).map_err(|_| StartFlowError::Data)?.to_be_bytes();
    let kind = type_tag::<T>().ok_or(StartFlowError::NoKey)?;
    let parts = [&kind, length.as_slice(), target.as_bytes(), &json];
    let text = Zeroizing::new(parts.concat());
    let header = header.to_bytes();
    let sealed = key.seal(&context.0, &header, &text).ok_or(StartFlowError::NoKey)?;
    Ok(URL_SAFE_NO_PAD.encode([header, sealed].concat()))
}

/// Identifies a type by its name. The name of a type that moves to another module changes; flows that
/// were started before are then of another type.
fn type_tag<T>() -> Option<Vec<u8>> {
    let mut digest = sha256(std::any::type_name::<T>().as_bytes())?;
    digest.truncate(TYPE_LENGTH);
    Some(digest)
}

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod tests {
    use proptest::prelude::*;

    use crate::{
        engine::{
            flow::sealed::*,
            keys::{algorithm::Algorithm, key::SigningKey},
        },
        random::SeededRandom,
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn header() -> FlowHeader {
        FlowHeader { same_site: SameSite::None, started_at: at(7), expires_at: at(9) }
    }

    fn key() -> SigningKey {
        SigningKey::generate("k", Algorithm::EdDsa).unwrap()
    }

    fn context(name: &str) -> FlowContext {
        let id = FlowId::generate(&SeededRandom::new(1)).unwrap();
        FlowContext::new([Some(name), None, None], id)
    }

    fn sealed(key: &SigningKey, flow: Flow<String>) -> String {
        seal(flow, key.verifying().sealing_key().unwrap(), &context("session"), header()).unwrap()
    }

    fn open(key: &SigningKey, value: &[u8], context: &FlowContext) -> Option<OpenedFlow> {
        SealedFlow::read(value)?.open(key.verifying().sealing_key().into_iter(), context)
    }

    proptest! {
        #[test]
        fn flow_opens_only_unchanged_with_its_key_and_context(
            data: String,
            target in "/[a-z]{0,20}",
            at in any::<prop::sample::Index>(),
            byte in "[A-Za-z0-9_-]",
        ) {
            let key = key();
            let target = RedirectTarget::parse(&target).unwrap();
            let value = sealed(&key, Flow::new(data.clone()).return_to(target.clone()));
            let read = SealedFlow::read(value.as_bytes()).unwrap();
            prop_assert_eq!(read.header, header());
            let opened = open(&key, value.as_bytes(), &context("session")).unwrap();
            let finished = opened.decode::<String>().unwrap();
            prop_assert_eq!((finished.data, finished.return_to), (data, Some(target)));

            prop_assert!(open(&key, value.as_bytes(), &context("other")).is_none());
            prop_assert!(open(&self::key(), value.as_bytes(), &context("session")).is_none());
            let mut changed = value.clone().into_bytes();
            *at.get_mut(&mut changed) = byte.as_bytes()[0];
            prop_assume!(changed != value.as_bytes());
            prop_assert!(open(&key, &changed, &context("session")).is_none());
        }

        #[test]
        fn value_of_any_bytes_is_rejected_without_a_panic(
            value in prop::collection::vec(any::<u8>(), 0..99)
        ) {
            prop_assert!(open(&key(), &value, &context("session")).is_none());
        }

        #[test]
        fn contexts_of_different_parts_differ(
            one in prop::array::uniform3(prop::option::of("[a-b]{0,2}")),
            other in prop::array::uniform3(prop::option::of("[a-b]{0,2}")),
        ) {
            let id = FlowId::generate(&SeededRandom::new(1)).unwrap();
            let bytes = |parts: &[Option<String>; 3]| {
                FlowContext::new(parts.each_ref().map(|part| part.as_deref()), id).0
            };
            prop_assert_eq!(one == other, bytes(&one) == bytes(&other));
        }
    }

    #[test]
    fn data_of_one_type_is_not_decoded_as_another() {
        #[derive(Debug, serde::Serialize, serde::Deserialize)]
        struct Mail(String);
        let key = key();
        let value = sealed(&key, Flow::new("a@example.com".to_owned()));
        let opened = open(&key, value.as_bytes(), &context("session")).unwrap();
        assert_eq!(opened.decode::<Mail>().unwrap_err(), FinishFlowError::OtherType);
        assert!(opened.decode::<String>().unwrap().return_to.is_none());
    }

    #[test]
    fn data_that_does_not_decode_again_is_rejected_at_the_start() {
        #[derive(serde::Serialize, serde::Deserialize)]
        struct Login {
            #[serde(skip_serializing)]
            _verifier: String,
        }
        let (key, flow) = (key(), Flow::new(Login { _verifier: "v".to_owned() }));
        let sealing = key.verifying().sealing_key().unwrap();
        let result = seal(flow, sealing, &context("session"), header());
        assert_eq!(result, Err(StartFlowError::Data));
    }
}

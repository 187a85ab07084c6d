//! [`DeviceKey`]: the public key of the device that a session is bound to, and the proofs of it.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeStruct as _,
};

use crate::{
    engine::keys::{
        algorithm::Algorithm, key::VerifyingKey, material::PublicKeyMaterial, public_jwk,
    },
    time::Timestamp,
};

/// The public key of a device: a point of the curve P-256, which verifies ES256 signatures. As text it
/// is both coordinates in 86 characters of base64url.
///
/// ```
/// use tower_auth_session::{Session, engine::DeviceKey};
///
/// /// The name of a device that does not change while its sessions do, for an audit log.
/// fn device(session: &Session) -> Option<String> {
///     session.device_proof().map(|proof| proof.key.thumbprint())
/// }
/// assert!("AAAA".parse::<DeviceKey>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeviceKey([u8; Self::SIZE]);

impl DeviceKey {
    /// Length of the text form in bytes.
    pub const LENGTH: usize = 86;
    const SIZE: usize = 64;

    /// The key with this public part, if it is one of P-256.
    pub(crate) fn from_public(part: &PublicKeyMaterial) -> Option<Self> {
        match part {
            PublicKeyMaterial::Ec(point) => match point.as_slice() {
                [4, coordinates @ ..] => coordinates.try_into().ok().map(Self),
                _ => None,
            },
            _ => None,
        }
    }

    /// A key that is not checked.
    #[cfg(any(test, feature = "test-util"))]
    pub(crate) const fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        Self(bytes)
    }

    /// The SHA-256 thumbprint of the key (RFC 7638 §3).
    #[must_use]
    pub fn thumbprint(&self) -> String {
        // No engine exists without a cryptographic back end, which the thumbprint needs.
        public_jwk::thumbprint(Algorithm::Es256, &self.public()).unwrap_or_default()
    }

    /// Whether `signature` is this key's for `message`.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = VerifyingKey::assemble("device".to_owned(), Algorithm::Es256, &self.public());
        key.verify(message, signature)
    }

    fn public(&self) -> PublicKeyMaterial {
        PublicKeyMaterial::Ec([&[4], self.0.as_slice()].concat())
    }
}

impl FromStr for DeviceKey {
    type Err = InvalidDeviceKey;

    fn from_str(text: &str) -> Result<Self, InvalidDeviceKey> {
        let key = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        key.map(Self).ok_or(InvalidDeviceKey(()))
    }
}

impl fmt::Display for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKey({self})")
    }
}

/// The text is not a device key.
///
/// ```
/// use tower_auth_session::engine::{DeviceKey, InvalidDeviceKey};
///
/// let error: InvalidDeviceKey = "AAAA".parse::<DeviceKey>().unwrap_err();
/// assert_eq!(error.to_string(), "not a device key: 86 characters of canonical base64url");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a device key: 86 characters of canonical base64url")]
pub struct InvalidDeviceKey(());

/// The claim `cnf` of a token (RFC 7800 §3.2): the key as a JSON Web Key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Confirmation(pub(crate) DeviceKey);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfirmationMembers {
    jwk: JwkMembers,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JwkMembers {
    crv: String,
    kty: String,
    x: String,
    y: String,
}

impl Serialize for Confirmation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (x, y) = self.0.0.split_at(DeviceKey::SIZE / 2);
        let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (crv, kty) = ("P-256".to_owned(), "EC".to_owned());
        let jwk = JwkMembers { crv, kty, x: coordinate(x), y: coordinate(y) };
        ConfirmationMembers { jwk }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Confirmation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let JwkMembers { crv, kty, x, y } = ConfirmationMembers::deserialize(deserializer)?.jwk;
        let coordinate = |text: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
            (bytes.len() == DeviceKey::SIZE / 2).then_some(bytes)
        };
        let key = coordinate(&x).zip(coordinate(&y)).filter(|_| crv == "P-256" && kty == "EC");
        let key = key.and_then(|(x, y)| [x, y].concat().try_into().ok());
        key.map(|key| Self(DeviceKey(key))).ok_or_else(|| D::Error::custom("not a key of P-256"))
    }
}

/// To which device a session is bound, and since when. In JSON `thumbprint` and `bound_at`.
///
/// ```
/// use tower_auth_session::store::SessionRecord;
///
/// /// For a list of devices.
/// fn describe(record: &SessionRecord) -> String {
///     match record.binding {
///         Some(binding) => format!("bound to the device since {}", binding.bound_at),
///         None => "not bound to a device".to_owned(),
///     }
/// }
/// ```
///
/// A store of your own reads it from its columns:
///
/// ```
/// use tower_auth_session::{
///     engine::{DeviceKey, InvalidDeviceKey},
///     store::DeviceBinding,
///     time::Timestamp,
/// };
///
/// fn binding(key: &str, bound_at: u64) -> Result<DeviceBinding, InvalidDeviceKey> {
///     let key: DeviceKey = key.parse()?;
///     Ok(DeviceBinding::new(key, Timestamp::from_unix_seconds(bound_at)))
/// }
/// # assert!(binding("AAAA", 0).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceBinding {
    /// The key of the device.
    pub key: DeviceKey,
    /// When the session was bound.
    pub bound_at: Timestamp,
}

impl DeviceBinding {
    /// A binding to `key` since `bound_at`.
    #[must_use]
    pub const fn new(key: DeviceKey, bound_at: Timestamp) -> Self {
        Self { key, bound_at }
    }
}

impl Serialize for DeviceBinding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_struct("DeviceBinding", 2)?;
        members.serialize_field("thumbprint", &self.key.thumbprint())?;
        members.serialize_field("bound_at", &self.bound_at)?;
        members.end()
    }
}

/// The device that a session is bound to, and whether a request proved that it comes from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BoundDevice {
    pub(crate) key: DeviceKey,
    /// The proof of the request. Never part of a token.
    pub(crate) proof: Result<ProofTimes, DeviceProofError>,
}

impl BoundDevice {
    /// A device that has proved nothing yet.
    pub(crate) const fn new(key: DeviceKey) -> Self {
        Self { key, proof: Err(DeviceProofError::Missing) }
    }
}

/// When a device proved that it has its key, and how long the proof counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProofTimes {
    pub(crate) proven_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// The proof that a request comes from the device that its session is bound to.
///
/// ```
/// use tower_auth_session::Session;
///
/// /// For the page on which a user sees the security of the account.
/// fn describe(session: &Session) -> String {
///     match session.device_proof() {
///         Some(proof) => format!("bound to this device, confirmed at {}", proof.proven_at),
///         None => "not bound to a device".to_owned(),
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceProof {
    /// The key of the device.
    pub key: DeviceKey,
    /// When the service received the latest signature of the device. The signed challenge may be up to 5
    /// minutes older, because browsers send a signature more than once.
    pub proven_at: Timestamp,
    /// Until when requests are accepted without another signature.
    pub expires_at: Timestamp,
}

impl BoundDevice {
    /// The proof, if it was valid when the request came in.
    pub(crate) fn valid_proof(&self) -> Option<DeviceProof> {
        let ProofTimes { proven_at, expires_at } = self.proof.ok()?;
        Some(DeviceProof { key: self.key, proven_at, expires_at })
    }
}

/// Why a request did not prove that it comes from the device of its session.
///
/// ```
/// use tower_auth_session::event::{DeviceProofError, SessionEvent};
///
/// fn counter(reason: DeviceProofError) -> String {
///     format!("refused_proofs_{}", reason.as_str())
/// }
///
/// /// Missing and expired proofs are usual after a computer slept. A copied cookie has one of these reasons.
/// fn is_suspicious(event: &SessionEvent) -> bool {
///     use DeviceProofError::{OtherKey, Signature, UnboundToken};
///     matches!(event, SessionEvent::DeviceProofRefused { reason, .. }
///         if [OtherKey, Signature, UnboundToken].contains(reason))
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceProofError {
    /// The request has no proof cookie, or no signature.
    #[error("the request has no proof")]
    Missing,
    /// The proof cookie has expired.
    #[error("the proof has expired")]
    Expired,
    /// The proof cookie is not a proof of this session by its key.
    #[error("the proof cookie is invalid")]
    InvalidCookie,
    /// The session token is from before the session was bound.
    #[error("the token is from before the session was bound to a device")]
    UnboundToken,
    /// The signed challenge is not a JWT of the required form, or was sent more than once.
    #[error("the signed challenge is malformed")]
    Malformed,
    /// The signed challenge has another algorithm than ES256.
    #[error("the algorithm is not ES256")]
    Algorithm,
    /// The key is missing, private, of another kind or not on its curve.
    #[error("the key is not a public key of P-256")]
    InvalidKey,
    /// The signature is not one of the key.
    #[error("the signature is not one of the device's key")]
    Signature,
    /// The signature is for a challenge that this service did not issue for the session, that is from a
    /// retired key, or that is from the future.
    #[error("the challenge is unknown")]
    UnknownChallenge,
    /// The signature is for a challenge that has expired.
    #[error("the challenge has expired")]
    StaleChallenge,
    /// The signature is for another URL.
    #[error("the signature is for another URL")]
    Audience,
    /// The signature is for an authorization that this service did not send.
    #[error("the authorization is unknown")]
    Authorization,
    /// The session is bound to another key.
    #[error("the session is bound to another key")]
    OtherKey,
    /// The bound token would not fit in a cookie, or exceed the cookie budget.
    #[error("the bound token does not fit in a cookie")]
    TooLarge,
}

impl DeviceProofError {
    /// The name for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Expired => "expired",
            Self::InvalidCookie => "invalid_cookie",
            Self::UnboundToken => "unbound_token",
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::InvalidKey => "invalid_key",
            Self::Signature => "signature",
            Self::UnknownChallenge => "unknown_challenge",
            Self::StaleChallenge => "stale_challenge",
            Self::Audience => "audience",
            Self::Authorization => "authorization",
            Self::OtherKey => "other_key",
            Self::TooLarge => "too_large",
        }
    }
}

/// Why a browser sent a request without a proof that it would have had to renew. The client states it,
/// so it decides nothing.
///
/// ```
/// use tower_auth_session::event::{ProofSkipReason, SessionEvent};
///
/// /// Whether browsers cannot reach the endpoint that renews proofs.
/// fn endpoint_is_down(event: &SessionEvent) -> bool {
///     matches!(event, SessionEvent::DeviceProofSkipped {
///         reason: ProofSkipReason::Unreachable | ProofSkipReason::ServerError, ..
///     })
/// }
///
/// assert_eq!(ProofSkipReason::QuotaExceeded.as_str(), "quota_exceeded"); // the label of a metric
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProofSkipReason {
    /// The refresh endpoint could not be reached.
    Unreachable,
    /// The refresh endpoint answered with a 5xx status.
    ServerError,
    /// The browser signs no more challenges for some time.
    QuotaExceeded,
    /// Another reason.
    Other,
}

impl ProofSkipReason {
    /// The name for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::ServerError => "server_error",
            Self::QuotaExceeded => "quota_exceeded",
            Self::Other => "other",
        }
    }
}

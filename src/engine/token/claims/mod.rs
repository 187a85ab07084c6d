//! The claims of a session token: the [`Registered`] ones of this crate, and the application's at
//! the top level of the same JSON object (RFC 7519 §4).
//!
//! 1. No member appears twice: duplicates cannot be signed and are rejected (RFC 8259 §4 leaves
//!    open which of the two counts, so two readers could disagree).
//! 2. The application never writes and never reads a reserved name: its type receives only the
//!    other members, so maps, `deny_unknown_fields`, `flatten` and enums work as documented.
//! 3. Encoded claims are decoded once at sign-in
//!    ([`check_round_trip`](round_trip::check_round_trip)): claims that do not decode to the same
//!    value fail there, and not a minute later for a user.

pub(crate) mod bearer;
pub(crate) mod custom_de;
pub(crate) mod custom_ser;
pub(crate) mod de_error;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod member_name;
pub(crate) mod registered;
pub(crate) mod round_trip;

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, SeqAccess, Visitor},
};

use crate::{
    engine::session::{
        attributes::SessionAttributes,
        id::{SessionId, Subject},
        lineage::LineageId,
    },
    time::Timestamp,
};

/// One list for the names, their order and their numbers.
macro_rules! reserved {
    ($(#[$doc:meta])* $($claim:ident = $name:literal,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Claim { $($claim),* }

        impl Claim {
            fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$claim),)*
                    _ => None,
                }
            }

            const fn name(self) -> &'static str {
                match self { $(Self::$claim => $name),* }
            }

            /// The bit of this claim in a set of claims.
            const fn bit(self) -> u32 {
                1 << self as u32
            }
        }

        $(#[$doc])*
        pub const RESERVED_CLAIMS: &[&str] = &[$($name),*];
    };
}

reserved! {
    /// Names that an application's claims cannot have: the claims of RFC 7519 §4.1 and of OpenID
    /// Connect that a session token uses or may use later.
    Iss = "iss",
    Aud = "aud",
    Sub = "sub",
    Sid = "sid",
    AuthTime = "auth_time",
    Iat = "iat",
    Exp = "exp",
    LastActiveAt = "last_active_at",
    Sts = "sts",
    PendingTasks = "pending_tasks",
    Act = "act",
    InactivityTimeout = "inactivity_timeout",
    MaximumLifetime = "maximum_lifetime",
    Persistent = "persistent",
    Nbf = "nbf",
    Jti = "jti",
    Azp = "azp",
    Fva = "fva",
    V = "v",
    Cnf = "cnf",
    Amr = "amr",
    Acr = "acr",
    FactorsAt = "factors_at",
}

/// Value of `sts` for a session with tasks.
const PENDING: &str = "pending";
/// Value of `sts` for other sessions, if it is present.
const ACTIVE: &str = "active";

/// The registered claims of a session token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registered {
    /// RFC 7519 §4.1.1.
    pub(crate) iss: Option<Box<str>>,
    /// RFC 7519 §4.1.3.
    pub(crate) aud: Option<Audience>,
    /// The engine that the token belongs to, by the base name of its cookie. Versions of this crate
    /// that do not know the claim ignore it and issue tokens without it.
    pub(crate) azp: Option<Box<str>>,
    pub(crate) sub: Subject,
    pub(crate) sid: SessionId,
    /// When the subject signed in (OpenID Connect Core §2).
    pub(crate) auth_time: Timestamp,
    pub(crate) iat: Timestamp,
    /// The actual end of the session, so that other readers of the token agree.
    pub(crate) exp: Timestamp,
    /// Omitted from the token if it equals `iat`.
    pub(crate) last_active_at: Timestamp,
    pub(crate) nbf: Option<Timestamp>,
    /// The session's own inactivity timeout, in seconds.
    pub(crate) inactivity_timeout: Option<u64>,
    /// The session's own maximum lifetime, in seconds.
    pub(crate) maximum_lifetime: Option<u64>,
    /// Whether the cookie outlives the browser's process; written only if it does not.
    pub(crate) persistent: bool,
    /// The id of the token (RFC 7519 §4.1.7). Versions of this crate that do not know it ignore it and
    /// issue tokens without it.
    pub(crate) jti: Option<LineageId>,
    /// `sts` and `pending_tasks`, `act`, `factors_at`, `cnf`.
    pub(crate) attributes: Option<Arc<SessionAttributes>>,
}

impl Registered {
    /// Whether the token is for `audience`; a token without `aud` is not.
    pub(crate) fn audience_contains(&self, audience: &str) -> bool {
        self.aud.as_ref().is_some_and(|aud| aud.contains(audience))
    }
}

/// The recipients of a token: one name, or an array of names (RFC 7519 §4.1.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Audience {
    One(Box<str>),
    Many(Box<[Box<str>]>),
}

impl Audience {
    pub(crate) fn contains(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => **one == *audience,
            Self::Many(many) => many.iter().any(|one| **one == *audience),
        }
    }
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StringList;
        impl<'de> Visitor<'de> for StringList {
            type Value = Audience;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of strings")
            }
            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Audience, E> {
                Ok(Audience::One(name.into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Audience, A::Error> {
                let mut many = Vec::new();
                while let Some(name) = names.next_element()? {
                    many.push(name);
                }
                Ok(Audience::Many(many.into()))
            }
        }
        deserializer.deserialize_any(StringList)
    }
}

/// What the type of an application's claims implements. Derive `Serialize` and `Deserialize`; the rest
/// follows for a type that owns its data.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use tower_auth_session::{ConfigError, KeyRing, SessionEngine};
///
/// #[derive(Serialize, Deserialize)]
/// struct User {
///     name: String,
/// }
///
/// fn engine(keys: KeyRing) -> Result<SessionEngine<User>, ConfigError> {
///     SessionEngine::builder(keys).build()
/// }
/// ```
///
/// A type that cannot be read is rejected where the engine is built:
///
/// ```compile_fail,E0277
/// use tower_auth_session::{ConfigError, KeyRing, SessionEngine};
///
/// #[derive(serde::Serialize)]
/// struct User {
///     name: String,
/// }
///
/// fn engine(keys: KeyRing) -> Result<SessionEngine<User>, ConfigError> {
///     SessionEngine::builder(keys).build()
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the claims of a session",
    note = "derive `Serialize` and `Deserialize` for `{Self}`; it must own its data, and be `Send` and \
            `Sync`"
)]
pub trait Claims: Serialize + DeserializeOwned + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<C: Serialize + DeserializeOwned + Send + Sync + 'static> Claims for C {}

/// A decoded payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decoded<C> {
    pub(crate) registered: Registered,
    /// `None` if the token is valid but the application's members are not a `C`, for example after
    /// a deploy that changed `C`.
    pub(crate) custom: Option<C>,
}

/// Why the application's claims cannot be encoded.
///
/// These are mistakes in the type of the claims: messages may contain the names of members, but not
/// their values. The exception is the text of [`ClaimsError::Serialize`], which comes from the
/// application's own `Serialize`.
///
/// ```
/// use std::collections::BTreeMap;
/// use tower_auth_session::{SessionJar, SignIn, Subject, claims::ClaimsError, error::SignInError};
///
/// fn sign_in(jar: &SessionJar<BTreeMap<String, u32>>, user: Subject, claims: BTreeMap<String, u32>) {
///     match jar.sign_in(SignIn::new(user, claims)) {
///         Ok(_) => {}
///         Err(SignInError::Claims(ClaimsError::Reserved(name))) => eprintln!("rename the claim {name}"),
///         Err(error) => eprintln!("{error}"),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimsError {
    /// They are not the members of a JSON object.
    #[error("the claims are not an object: use a struct, a map or `()`")]
    NotAMap,
    /// A member has a name of [`RESERVED_CLAIMS`].
    #[error("the claim `{0}` is reserved for the session itself: rename it")]
    Reserved(&'static str),
    /// Two members have the same name.
    #[error("the claim `{0}` is duplicated: rename one, or look for a `flatten` that repeats it")]
    Repeated(String),
    /// A key of a map is not a string.
    #[error("the claims have a key that is not a string: use a map with string keys")]
    KeyNotAString,
    /// The `Serialize` of the claims failed, with this message.
    #[error("the claims do not serialize: {0}")]
    Serialize(String),
    /// The encoded claims cannot be decoded, or decode to another value.
    #[error(
        "the claims do not decode to the same value: {0}; make `Deserialize` accept what `Serialize` writes"
    )]
    RoundTrip(String),
}

#[cfg(test)]
mod tests;

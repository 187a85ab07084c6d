//! [`RegisteredClaimsBuilder`]: collects the registered claims while a payload is read.

use std::{fmt, num::NonZeroU64, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{ACTIVE, Audience, Claim, PENDING, RESERVED_CLAIMS, Registered, bearer::BearerClaims};
use crate::{
    engine::session::{
        actor::Actor,
        attributes::SessionAttributes,
        device_key::{BoundDevice, Confirmation},
        factor::FactorTimes,
        id::{SessionId, Subject},
        lineage::LineageId,
        task::SessionTask,
    },
    error::TokenError,
    time::Timestamp,
};

/// The registered claims read so far.
#[derive(Debug, Default)]
pub(super) struct RegisteredClaimsBuilder {
    /// Claims seen, by [`Claim::bit`].
    seen: u32,
    /// Claims known to have the wrong type: they are skipped, to find other faults.
    wrong: u32,
    /// The claim whose value stopped this reading.
    pub(super) failed: Option<Claim>,
    /// Claims that only bearer tokens have; `Some` while reading one.
    bearer: Option<Box<Bearer>>,
    iss: Option<Box<str>>,
    aud: Option<Audience>,
    azp: Option<Box<str>>,
    sub: Option<Subject>,
    sid: Option<SessionId>,
    auth_time: Option<Timestamp>,
    iat: Option<Timestamp>,
    exp: Option<Timestamp>,
    last_active_at: Option<Timestamp>,
    nbf: Option<Timestamp>,
    inactivity_timeout: Option<NonZeroU64>,
    maximum_lifetime: Option<NonZeroU64>,
    persistent: Option<bool>,
    jti: Option<LineageId>,
    optional: Option<Box<OptionalClaims>>,
}

/// Claims that few tokens have.
#[derive(Debug, Default)]
struct OptionalClaims {
    sts: Option<Box<str>>,
    pending_tasks: Option<Box<[SessionTask]>>,
    act: Option<Actor>,
    factors_at: FactorTimes,
    cnf: Option<Confirmation>,
}

#[derive(Debug, Default)]
struct Bearer {
    sid: Option<Box<str>>,
    jti: Option<Box<str>>,
    fva: Option<[i64; 2]>,
}

impl RegisteredClaimsBuilder {
    /// A builder for the payload of a bearer token.
    pub(super) fn for_bearer() -> Self {
        Self { bearer: Some(Box::default()), ..Self::default() }
    }

    /// A builder that skips the claims of `wrong`.
    pub(super) fn ignoring(self, wrong: u32) -> Self {
        Self { wrong, ..self }
    }

    /// Records `claim`, and returns whether it is the first time.
    pub(super) fn mark_seen(&mut self, claim: Claim) -> bool {
        let first = self.seen & claim.bit() == 0;
        self.seen |= claim.bit();
        first
    }

    /// Reads the value of `claim`.
    pub(super) fn read<'de, A: MapAccess<'de>>(
        &mut self,
        claim: Claim,
        access: &mut A,
    ) -> Result<(), A::Error> {
        let read = if self.wrong & claim.bit() == 0 {
            self.read_typed(claim, access)
        } else {
            access.next_value::<IgnoredAny>().map(drop)
        };
        if read.is_err() {
            self.failed = Some(claim);
        }
        read
    }

    fn optional(&mut self) -> &mut OptionalClaims {
        self.optional.get_or_insert_default()
    }

    fn read_typed<'de, A: MapAccess<'de>>(
        &mut self,
        claim: Claim,
        access: &mut A,
    ) -> Result<(), A::Error> {
        if let Some(bearer) = &mut self.bearer {
            match claim {
                Claim::Sid => return access.next_value().map(|sid| bearer.sid = Some(sid)),
                Claim::Jti => return access.next_value().map(|jti| bearer.jti = Some(jti)),
                Claim::Fva => return access.next_value().map(|fva| bearer.fva = Some(fva)),
                _ => {}
            }
        }
        match claim {
            Claim::Iss => self.iss = Some(access.next_value()?),
            Claim::Aud => self.aud = Some(access.next_value()?),
            Claim::Azp => self.azp = Some(access.next_value()?),
            Claim::Sub => self.sub = Some(access.next_value()?),
            Claim::Sid => self.sid = Some(access.next_value()?),
            Claim::AuthTime => self.auth_time = Some(access.next_value()?),
            Claim::Iat => self.iat = Some(access.next_value()?),
            Claim::Exp => self.exp = Some(access.next_value()?),
            Claim::LastActiveAt => self.last_active_at = Some(access.next_value()?),
            Claim::Nbf => self.nbf = Some(access.next_value()?),
            Claim::InactivityTimeout => self.inactivity_timeout = Some(access.next_value()?),
            Claim::MaximumLifetime => self.maximum_lifetime = Some(access.next_value()?),
            Claim::Persistent => self.persistent = Some(access.next_value()?),
            Claim::Sts => self.optional().sts = Some(access.next_value()?),
            Claim::PendingTasks => self.optional().pending_tasks = Some(access.next_value()?),
            Claim::Act => self.optional().act = Some(access.next_value()?),
            Claim::FactorsAt => self.optional().factors_at = access.next_value()?,
            Claim::Jti => self.jti = access.next_value::<TokenId>()?.0,
            Claim::Cnf if self.bearer.is_none() => self.optional().cnf = Some(access.next_value()?),
            Claim::Fva | Claim::V | Claim::Cnf | Claim::Amr | Claim::Acr => {
                access.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    /// The claims, after the whole payload has been read. Which of several faults is reported does
    /// not depend on the order of the members.
    pub(super) fn finish(self) -> Result<Registered, TokenError> {
        if let Some(name) = RESERVED_CLAIMS.get(self.wrong.trailing_zeros() as usize) {
            return Err(TokenError::InvalidClaim(name));
        }
        let attributes = self.optional.map(|optional| optional.attributes()).transpose()?;
        let iat = required(self.iat, Claim::Iat)?;
        let registered = Registered {
            iss: self.iss,
            aud: self.aud,
            azp: self.azp,
            sub: required(self.sub, Claim::Sub)?,
            sid: required(self.sid, Claim::Sid)?,
            auth_time: required(self.auth_time, Claim::AuthTime)?,
            iat,
            exp: required(self.exp, Claim::Exp)?,
            last_active_at: self.last_active_at.unwrap_or(iat),
            nbf: self.nbf,
            inactivity_timeout: self.inactivity_timeout.map(NonZeroU64::get),
            maximum_lifetime: self.maximum_lifetime.map(NonZeroU64::get),
            persistent: self.persistent.unwrap_or(true),
            jti: self.jti,
            attributes: attributes.flatten(),
        };
        in_order(&registered)?;
        Ok(registered)
    }

    /// The claims of a bearer token, after the whole payload has been read.
    pub(super) fn finish_bearer(self) -> Result<BearerClaims, TokenError> {
        if let Some(name) = RESERVED_CLAIMS.get(self.wrong.trailing_zeros() as usize) {
            return Err(TokenError::InvalidClaim(name));
        }
        // The token is bound to a key, which is not verified here.
        if self.seen & Claim::Cnf.bit() != 0 {
            return Err(TokenError::InvalidClaim(Claim::Cnf.name()));
        }
        let Bearer { sid, jti, fva } = self.bearer.map(|said| *said).unwrap_or_default();
        // Bearer tokens are issued only from complete sessions.
        if self.seen & Claim::PendingTasks.bit() != 0 {
            return Err(TokenError::InvalidClaim(Claim::PendingTasks.name()));
        }
        let OptionalClaims { sts, act, factors_at, .. } =
            self.optional.map(|said| *said).unwrap_or_default();
        let claims = BearerClaims {
            iss: self.iss,
            aud: self.aud,
            azp: self.azp,
            sub: required(self.sub, Claim::Sub)?,
            sid: required(sid, Claim::Sid)?,
            auth_time: self.auth_time,
            iat: required(self.iat, Claim::Iat)?,
            nbf: self.nbf,
            exp: required(self.exp, Claim::Exp)?,
            jti,
            sts,
            fva,
            factors_at,
            act,
            v: BearerClaims::VERSION,
        };
        if claims.auth_time.is_some_and(|auth_time| auth_time > claims.iat) {
            return Err(TokenError::InvalidClaim(Claim::AuthTime.name()));
        }
        if claims.exp < claims.iat {
            return Err(TokenError::InvalidClaim(Claim::Exp.name()));
        }
        Ok(claims)
    }
}

impl OptionalClaims {
    /// A restricted session must not be read as an ordinary one: an unknown status is rejected, and
    /// so are tasks without a status.
    fn attributes(self) -> Result<Option<Arc<SessionAttributes>>, TokenError> {
        let Self { sts, pending_tasks, act, factors_at, cnf } = self;
        let tasks = match (sts.as_deref(), pending_tasks) {
            (Some(PENDING), tasks) => Some(tasks.unwrap_or_default()),
            (None | Some(ACTIVE), None) => None,
            (None | Some(ACTIVE), Some(_)) => {
                return Err(TokenError::InvalidClaim(Claim::PendingTasks.name()));
            }
            (Some(_), _) => return Err(TokenError::InvalidClaim(Claim::Sts.name())),
        };
        let device = cnf.map(|Confirmation(key)| BoundDevice::new(key));
        Ok(SessionAttributes { tasks, actor: act, factors: factors_at, device }.shared())
    }
}

/// A `jti`. A value of another form is not an id of this crate, and counts as absent.
struct TokenId(Option<LineageId>);

impl<'de> Deserialize<'de> for TokenId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TokenIdVisitor;
        impl<'de> Visitor<'de> for TokenIdVisitor {
            type Value = TokenId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_str<E>(self, text: &str) -> Result<TokenId, E> {
                Ok(TokenId(text.parse().ok()))
            }
            fn visit_bool<E>(self, _: bool) -> Result<TokenId, E> {
                Ok(TokenId(None))
            }
            fn visit_i64<E>(self, _: i64) -> Result<TokenId, E> {
                Ok(TokenId(None))
            }
            fn visit_u64<E>(self, _: u64) -> Result<TokenId, E> {
                Ok(TokenId(None))
            }
            fn visit_f64<E>(self, _: f64) -> Result<TokenId, E> {
                Ok(TokenId(None))
            }
            fn visit_unit<E>(self) -> Result<TokenId, E> {
                Ok(TokenId(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<TokenId, A::Error> {
                IgnoredAny.visit_seq(items)?;
                Ok(TokenId(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<TokenId, A::Error> {
                IgnoredAny.visit_map(members)?;
                Ok(TokenId(None))
            }
        }
        deserializer.deserialize_any(TokenIdVisitor)
    }
}

fn required<T>(value: Option<T>, claim: Claim) -> Result<T, TokenError> {
    value.ok_or_else(|| TokenError::InvalidClaim(claim.name()))
}

/// The order of the times in every issued token: sign-in, activity, issue, expiry.
fn in_order(claims: &Registered) -> Result<(), TokenError> {
    let fault = if claims.auth_time > claims.iat {
        Claim::AuthTime
    } else if claims.last_active_at > claims.iat || claims.last_active_at < claims.auth_time {
        Claim::LastActiveAt
    } else if claims.exp < claims.iat {
        Claim::Exp
    } else {
        return Ok(());
    };
    Err(TokenError::InvalidClaim(fault.name()))
}

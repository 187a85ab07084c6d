//! [`Lineage`]: tells a copied session cookie from the one that a browser holds.
//!
//! Each renewal gives the session's token a new id, and the store keeps the newest id and the one
//! before it. A browser always presents one of the two; the holder of a copy presents an older one as
//! soon as the browser has renewed. The rules:
//!
//! 1. The newest id is succeeded by a new one.
//! 2. The previous id is accepted until its successor was presented, because a response can be lost. In
//!    the grace after the rotation it gets the same successor as the first request. Later it gets a new
//!    successor, which supersedes the lost one.
//! 3. A lineage rotates only when nothing with an id from before its last rotation can be in flight: the
//!    grace in which the same successor is given, the grace until the last response with it arrives, and
//!    the grace until the last request from before that arrives. In between, a request with the
//!    previous id is served without a new token.
//! 4. Every other id belongs to a copy.
//! 5. A token without an id is accepted: a node that does not know this rule drops the id. The newest id
//!    then becomes the previous one, because requests with it may be in flight. A lineage that starts
//!    with such a token accepts every id until it may rotate: the id that was dropped is not known.
//!
//! The grace counts from the rotation and is never extended. A rotation extends no session.

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr, time::Duration};

use crate::{
    engine::encoding::base64_text::Base64Text,
    random::{RandomError, RandomSource},
    time::Timestamp,
};

/// The id of one token of a session: 96 random bits, written as 16 characters of base64url. It is no
/// secret and no credential.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LineageId(Base64Text<{ Self::LENGTH }>);

impl LineageId {
    /// Length of the text form in bytes.
    pub const LENGTH: usize = 16;

    const BYTES: usize = 12;

    /// The id of a token that has none, where every token is expected to have one.
    pub(crate) const ABSENT: Self = Self(Base64Text::ZERO);

    /// A new id.
    ///
    /// # Errors
    ///
    /// If the random source fails.
    pub fn generate(random: &dyn RandomSource) -> Result<Self, RandomError> {
        let mut bits = [0; Self::BYTES];
        random.fill(&mut bits)?;
        bits[Self::BYTES - 1] &= !1;
        Base64Text::encode(&bits).map(Self).ok_or_else(RandomError::new)
    }

    /// The id that takes the place of this one if the token that is renewed is a copy. Both are one
    /// value apart, so that the store's response shows which of the two it used.
    #[must_use]
    pub fn for_copy(self) -> Self {
        // Every id is the text of 12 bytes.
        let Some(mut bits) = self.0.decode::<{ Self::BYTES }>() else { return self };
        bits[Self::BYTES - 1] |= 1;
        Base64Text::encode(&bits).map_or(self, Self)
    }

    /// The 16 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for LineageId {
    type Err = InvalidLineageId;

    fn from_str(text: &str) -> Result<Self, InvalidLineageId> {
        let text = text.as_bytes().try_into().map_err(|_| InvalidLineageId(()))?;
        Base64Text::from_text::<{ Self::BYTES }>(text).map(Self).ok_or(InvalidLineageId(()))
    }
}

impl fmt::Display for LineageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for LineageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LineageId({self})")
    }
}

/// The text is not a lineage id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a lineage id: 16 characters of base64url")]
pub struct InvalidLineageId(());

/// What a store records of a session's lineage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lineage {
    /// The id of the newest token; `None` once a copy was detected and the session needs a new
    /// verification.
    pub current: Option<LineageId>,
    /// The id of the token before.
    pub previous: Option<LineageId>,
    /// When the newest token was issued, or the copy detected.
    pub rotated_at: Timestamp,
}

impl Lineage {
    /// A lineage as a store has recorded it.
    #[must_use]
    pub const fn new(
        current: Option<LineageId>,
        previous: Option<LineageId>,
        rotated_at: Timestamp,
    ) -> Self {
        Self { current, previous, rotated_at }
    }

    /// Whether a token with this id may be renewed.
    fn accepts(&self, presented: Option<LineageId>) -> bool {
        presented.is_none() || presented == self.current || presented == self.previous
    }

    /// Whether requests with an id that a node dropped before the lineage started may be in flight.
    fn may_lack_an_id(&self, settle: Duration, now: Timestamp) -> bool {
        self.previous.is_none() && !self.is_older_than(settle, now)
    }

    /// Whether at least `time` lies between the rotation and `now`. The clock of the node that rotated
    /// may be ahead.
    fn is_older_than(&self, time: Duration, now: Timestamp) -> bool {
        let since = now.saturating_since(self.rotated_at);
        since.max(self.rotated_at.saturating_since(now)) >= time
    }

    /// The verdict about the token of `request`, from the lineage that a store returned for it.
    pub(crate) fn verdict(
        &self,
        request: &LineageRequest,
        grace: Duration,
        now: Timestamp,
    ) -> LineageVerdict {
        let copied = request.next.for_copy();
        match self.current {
            None => {
                let is_new = self.previous == Some(copied);
                LineageVerdict::Alarmed { at: self.rotated_at, is_new }
            }
            Some(current) if current == request.next => LineageVerdict::Continue(current),
            Some(current) if current == copied => LineageVerdict::Copy { next: Some(current) },
            Some(_) => match self.remembered_verdict(request.presented, grace, now) {
                Some(verdict) => verdict,
                None if self.may_lack_an_id(request.settle, now) => LineageVerdict::Wait,
                None => LineageVerdict::Copy { next: None },
            },
        }
    }

    /// The verdict about a token with the id `presented`, from a lineage that another request read a
    /// short time ago. `None` if only the store can decide.
    pub(crate) fn remembered_verdict(
        &self,
        presented: Option<LineageId>,
        grace: Duration,
        now: Timestamp,
    ) -> Option<LineageVerdict> {
        let Some(current) = self.current else {
            return Some(LineageVerdict::Alarmed { at: self.rotated_at, is_new: false });
        };
        if !self.accepts(presented) {
            return None;
        }
        let is_current = presented == self.current;
        let gets_successor = is_current || !self.is_older_than(grace, now);
        Some(if gets_successor { LineageVerdict::Continue(current) } else { LineageVerdict::Wait })
    }
}

/// What a renewal means for the token that was presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineageVerdict {
    /// The next token has this id.
    Continue(LineageId),
    /// The token is accepted, and a later request renews it.
    Wait,
    /// The token is a copy. With `next`, the lineage continues from it.
    Copy { next: Option<LineageId> },
    /// A copy was detected at this instant; `is_new` if by this request.
    Alarmed { at: Timestamp, is_new: bool },
}

impl LineageVerdict {
    /// Whether this request showed that the cookie was copied.
    pub(crate) const fn is_new_copy(self) -> bool {
        matches!(self, Self::Copy { .. } | Self::Alarmed { is_new: true, .. })
    }
}

/// What a store does with the lineage when it meets a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnCopy {
    /// Nothing: the session is revoked next.
    Keep,
    /// The lineage continues from the copy: a browser whose cookies were restored from a backup is
    /// reported once.
    Adopt,
    /// The lineage ends, and the instant is recorded.
    Alarm,
}

/// The lineage part of a renewal, which a store applies in the same atomic step.
///
/// With `$presented` and `$next`, and `L` for the recorded lineage:
///
/// 1. Without `L`: if `rotates`, `L` becomes (`$next`, `$presented`, now).
/// 2. If `L.current` is `None`, nothing changes.
/// 3. If `$presented` is `None`, `L.current` or `L.previous`, and `rotates`, and `L.rotated_at` is
///    `settle` or more away from now in either direction: `L` becomes (`$next`, `$presented`, now), with
///    `L.current` in place of a `$presented` that is `None`.
/// 4. If `$presented` is another id, and `L.previous` is known or `L.rotated_at` is as far away as for
///    rule 3: by `on_copy`, nothing; or (`$next.for_copy()`, `$presented`, now);
///    or (`None`, `$next.for_copy()`, now).
///
/// [`apply`](Self::apply) is this rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LineageRequest {
    /// The id of the token that was presented.
    pub presented: Option<LineageId>,
    /// A new id.
    pub next: LineageId,
    /// Whether the token was due: a token that is renewed early keeps its id.
    pub rotates: bool,
    /// How far from the last rotation the next one must be, in whole seconds.
    pub settle: Duration,
    /// What happens to the lineage if the token is a copy.
    pub on_copy: OnCopy,
}

impl LineageRequest {
    /// A renewal of a token that is due.
    #[must_use]
    pub const fn new(
        presented: Option<LineageId>,
        next: LineageId,
        settle: Duration,
        on_copy: OnCopy,
    ) -> Self {
        Self { presented, next, rotates: true, settle, on_copy }
    }

    /// The lineage after a renewal at `now`.
    #[must_use]
    pub fn apply(&self, known: Option<Lineage>, now: Timestamp) -> Option<Lineage> {
        let rotated = |previous| Some(Lineage::new(Some(self.next), previous, now));
        let Some(lineage) = known else {
            return self.rotates.then(|| rotated(self.presented)).flatten();
        };
        if lineage.current.is_none() {
            return known;
        }
        if lineage.accepts(self.presented) {
            let may_rotate = self.rotates && lineage.is_older_than(self.settle, now);
            return if may_rotate { rotated(self.presented.or(lineage.current)) } else { known };
        }
        if lineage.may_lack_an_id(self.settle, now) {
            return known;
        }
        let copied = Some(self.next.for_copy());
        match self.on_copy {
            OnCopy::Keep => known,
            OnCopy::Adopt => Some(Lineage::new(copied, self.presented, now)),
            OnCopy::Alarm => Some(Lineage::new(None, copied, now)),
        }
    }

    /// The instants strictly between which a rotation is too recent for another one.
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
    pub(crate) fn unsettled(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        (now.saturating_sub(self.settle), now.saturating_add(self.settle))
    }
}

/// How an engine compares lineages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LineagePolicy {
    pub(crate) grace: Duration,
    pub(crate) on_copy: OnCopy,
    /// Whether a token without an id counts as one with an unknown id.
    pub(crate) requires_id: bool,
    pub(crate) clock_skew: Duration,
}

impl LineagePolicy {
    /// The request for a token with the id `presented`.
    pub(crate) fn request(
        &self,
        presented: Option<LineageId>,
        rotates: bool,
        next: LineageId,
    ) -> LineageRequest {
        let presented = self.presented(presented);
        let settle = self.settle();
        LineageRequest { rotates, ..LineageRequest::new(presented, next, settle, self.on_copy) }
    }

    /// The id as it is compared.
    pub(crate) fn presented(&self, id: Option<LineageId>) -> Option<LineageId> {
        if self.requires_id { id.or(Some(LineageId::ABSENT)) } else { id }
    }

    /// Rule 3. One second is for times that are cut to whole seconds.
    fn settle(&self) -> Duration {
        self.grace * 3 + self.clock_skew + Duration::from_secs(1)
    }
}

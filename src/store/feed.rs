//! The revocation feed: revocations by all nodes.

use crate::{
    engine::session::id::{SessionId, Subject},
    time::Timestamp,
};

/// A revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Revocation {
    /// One session.
    Session(SessionId),
    /// The sessions of a subject that signed in before an instant, except one.
    #[non_exhaustive]
    Subject {
        /// The subject.
        subject: Subject,
        /// The instant.
        signed_in_before: Timestamp,
        /// The session that is not revoked.
        except: Option<SessionId>,
    },
    /// Every session that signed in before an instant.
    #[non_exhaustive]
    All {
        /// The instant.
        signed_in_before: Timestamp,
    },
}

impl Revocation {
    /// The sessions of `subject` that signed in before an instant, except `except`.
    #[must_use]
    pub const fn subject(
        subject: Subject,
        signed_in_before: Timestamp,
        except: Option<SessionId>,
    ) -> Self {
        Self::Subject { subject, signed_in_before, except }
    }

    /// Every session that signed in before an instant.
    #[must_use]
    pub const fn all(signed_in_before: Timestamp) -> Self {
        Self::All { signed_in_before }
    }
}

/// A position in a feed. Only the store that created it can interpret its text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FeedCursor(Box<str>);

impl FeedCursor {
    /// The position with this text.
    #[must_use]
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where to start reading a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeedStart {
    /// At the revocations of this instant or later.
    At(Timestamp),
    /// After a page.
    After(FeedCursor),
}

/// A part of a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedPage {
    /// The revocations, in the order of the feed.
    pub revocations: Vec<Revocation>,
    /// Where the next page starts.
    pub position: FeedCursor,
    /// Entries before these are lost: the reader must not rely on what it knew before.
    pub has_gap: bool,
}

impl FeedPage {
    /// A page without a gap before it.
    #[must_use]
    pub const fn new(revocations: Vec<Revocation>, position: FeedCursor) -> Self {
        Self { revocations, position, has_gap: false }
    }

    /// The same after a gap.
    #[must_use]
    pub const fn with_gap(mut self) -> Self {
        self.has_gap = true;
        self
    }
}

//! The revocation feed of a [`MemoryStore`](super::MemoryStore).

use std::collections::VecDeque;

use crate::{
    store::{
        FEED_RETENTION,
        feed::{FeedCursor, FeedPage, FeedStart, Revocation},
    },
    time::Timestamp,
};

/// The revocations of the last hour, a million at most.
#[derive(Debug, Default)]
pub(super) struct RevocationLog {
    entries: VecDeque<(Timestamp, Revocation)>,
    /// The number of the first entry.
    first: u64,
    /// The latest time of a deleted entry.
    gone_until: Option<Timestamp>,
}

const CAPACITY: usize = 1_000_000;
/// How many entries one page has.
const PAGE: usize = 1_000;

impl RevocationLog {
    pub(super) fn publish(&mut self, at: Timestamp, revocation: Revocation) {
        self.entries.push_back((at, revocation));
        if self.entries.len() > CAPACITY {
            self.drop_first();
        }
    }

    /// Deletes entries that are too old to be needed.
    pub(super) fn trim(&mut self, now: Timestamp) {
        while let Some((at, _)) = self.entries.front()
            && now.saturating_since(*at) > FEED_RETENTION
        {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some((at, _)) = self.entries.pop_front() {
            self.first += 1;
            self.gone_until = self.gone_until.max(Some(at));
        }
    }

    pub(super) fn read(&self, from: &FeedStart) -> FeedPage {
        let end = self.first + self.entries.len() as u64;
        let (skip, is_gap) = match from {
            FeedStart::At(at) => (0, self.gone_until.is_some_and(|gone_until| gone_until >= *at)),
            FeedStart::After(position) => match position.as_str().parse::<u64>() {
                Ok(next) if (self.first..=end).contains(&next) => (next - self.first, false),
                _ => (0, true),
            },
        };
        let since = if let FeedStart::At(at) = from { *at } else { Timestamp::EPOCH };
        let entries = self.entries.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX));
        let mut next = self.first + skip;
        let mut revocations = Vec::new();
        for (at, revocation) in entries {
            if revocations.len() == PAGE {
                break;
            }
            next += 1;
            if *at >= since {
                revocations.push(revocation.clone());
            }
        }
        let position = FeedCursor::new(next.to_string());
        let page = FeedPage::new(revocations, position);
        if is_gap { page.with_gap() } else { page }
    }
}

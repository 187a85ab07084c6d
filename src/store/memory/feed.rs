//! What ended, in order, for whoever follows.

use std::collections::VecDeque;

use crate::{
    store::{
        FEED_RETENTION,
        feed::{FeedCursor, FeedPage, FeedStart, Revocation},
    },
    time::Timestamp,
};

/// The entries of the last hour, and no more than a million.
#[derive(Debug, Default)]
pub(super) struct RevocationLog {
    entries: VecDeque<(Timestamp, Revocation)>,
    /// The number of the first entry that is still there.
    first: u64,
    /// The latest time that any of those that are gone has.
    gone_until: Option<Timestamp>,
}

const MOST: usize = 1_000_000;

impl RevocationLog {
    pub(super) fn publish(&mut self, at: Timestamp, revocation: Revocation) {
        self.entries.push_back((at, revocation));
        if self.entries.len() > MOST {
            self.drop_first();
        }
    }

    /// Entries that everybody has read who ever will.
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
        let position = FeedCursor::new(end.to_string());
        let (skip, is_gap) = match from {
            FeedStart::At(at) => (0, self.gone_until.is_some_and(|gone_until| gone_until >= *at)),
            FeedStart::After(position) => match position.as_str().parse::<u64>() {
                Ok(next) if (self.first..=end).contains(&next) => (next - self.first, false),
                _ => (0, true),
            },
        };
        let since = if let FeedStart::At(at) = from { *at } else { Timestamp::EPOCH };
        let entries = self.entries.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX));
        let revocations = entries
            .filter(|(at, _)| *at >= since)
            .map(|(_, revocation)| revocation.clone())
            .collect();
        let page = FeedPage::new(revocations, position);
        if is_gap { page.with_gap() } else { page }
    }
}

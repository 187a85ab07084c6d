//! The revocation feed: a table that is read from a cursor on, in pages.

use super::{
    dialect::{Dialect, array},
    error::no_tables,
    queries::START_FEED,
    row::{BindValue, Row, int},
    transaction::Transaction,
};
use crate::store::{
    error::StoreError,
    feed::{FeedCursor, FeedPage, FeedStart, Revocation},
};

/// How many entries a page has beside the filled holes, so that a long feed needs little memory.
const PAGE: i64 = 1_000;
/// How many positions a cursor remembers as missing. The oldest are dropped: their transactions have
/// long ended.
const MAX_HOLES: i64 = 10_000;
/// How long before its start a reader looks for missing positions: longer than any transaction of this
/// store may take.
const LOOK_BACK: i64 = 120;

/// How far a reader has read.
///
/// A position is assigned when an entry is written and becomes visible when its transaction commits,
/// which may be in another order. So a cursor remembers the positions that were missing when it passed
/// them, and each read looks for these again: no entry is lost however long a transaction takes, no
/// entry is read twice, and no clock is involved. Other transactions of the database do not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct SqlFeedCursor {
    epoch: i64,
    /// All transactions before this one had ended when the feed was last read.
    horizon: i64,
    /// The greatest position that was read.
    last: i64,
    /// Missing positions below `last`, as ranges.
    holes: Vec<(i64, i64)>,
}

/// What one statement reads.
struct FeedSnapshot {
    cursor: SqlFeedCursor,
    /// The greatest position there is, or was.
    greatest: i64,
    /// Of the deleted entries, the greatest position and the latest transaction.
    trimmed: (i64, i64),
    trimmed_at: i64,
    revocations: Vec<Revocation>,
    /// Whether an entry is unreadable, which counts as lost.
    is_damaged: bool,
}

pub(in crate::store) async fn read<D: Dialect>(
    work: &mut Transaction<'_, D>,
    from: &FeedStart,
) -> Result<FeedPage, StoreError> {
    match from {
        FeedStart::At(at) => {
            let (last, holes) = start(work, int(*at)).await?;
            let snapshot = FeedSnapshot::after(work, last, holes).await?;
            let has_gap = snapshot.trimmed_at >= int(*at);
            return Ok(snapshot.page(has_gap));
        }
        FeedStart::After(cursor) => {
            if let Some(known) = SqlFeedCursor::parse(cursor.as_str()) {
                let snapshot = FeedSnapshot::after(work, known.last, known.holes.clone()).await?;
                if snapshot.is_contiguous_with(&known) {
                    return Ok(snapshot.page(false));
                }
            }
        }
    }
    // Everything that is left.
    Ok(FeedSnapshot::after(work, 0, Vec::new()).await?.page(true))
}

/// The position before the first entry that was written at or after `at`, and the missing positions
/// below it whose transactions may still commit.
async fn start<D: Dialect>(
    work: &mut Transaction<'_, D>,
    at: i64,
) -> Result<(i64, Vec<(i64, i64)>), StoreError> {
    let values = [BindValue::Int(at), BindValue::Int(at.saturating_sub(LOOK_BACK))];
    let (mut last, mut holes) = (0, Vec::new());
    for mut row in work.rows(START_FEED, &values).await? {
        last = row.maybe_int()?.unwrap_or_default();
        if let (Some(previous), Some(position)) = (row.maybe_int()?, row.maybe_int()?)
            && previous < last
        {
            holes.push((previous + 1, (position - 1).min(last)));
        }
    }
    Ok((last, holes))
}

impl FeedSnapshot {
    async fn after<D: Dialect>(
        work: &mut Transaction<'_, D>,
        last: i64,
        holes: Vec<(i64, i64)>,
    ) -> Result<Self, StoreError> {
        let missing: Vec<_> = holes.iter().flat_map(|(start, end)| *start..=*end).collect();
        let missing = array::<D>(missing.iter().map(i64::to_string));
        let values = [BindValue::Int(last), BindValue::Text(&missing), BindValue::Int(PAGE)];
        let rows = work.rows(D::READ_FEED, &values).await?;
        let mut snapshot: Option<Self> = None;
        for mut row in rows {
            let head = Self::head(&mut row, last, &holes)?;
            snapshot.get_or_insert(head).entry(row)?;
        }
        let mut snapshot = snapshot.ok_or_else(no_tables)?;
        snapshot.cursor.forget_until(snapshot.trimmed.0);
        Ok(snapshot)
    }

    fn head(row: &mut Row, last: i64, holes: &[(i64, i64)]) -> Result<Self, StoreError> {
        let epoch = row.int()?;
        let (position, xact, trimmed_at) = (row.int()?, row.int()?, row.int()?);
        let greatest = row.maybe_int()?.unwrap_or_default().max(position);
        let cursor = SqlFeedCursor { epoch, horizon: row.int()?, last, holes: holes.to_vec() };
        let trimmed = (position, xact);
        let (revocations, is_damaged) = (Vec::new(), false);
        Ok(Self { cursor, greatest, trimmed, trimmed_at, revocations, is_damaged })
    }

    fn entry(&mut self, mut row: Row) -> Result<(), StoreError> {
        let Some(position) = row.maybe_int()? else { return Ok(()) };
        self.cursor.mark_read(position);
        match row.revocation() {
            Ok(revocation) => self.revocations.push(revocation),
            Err(_) => self.is_damaged = true,
        }
        Ok(())
    }

    /// Whether no entry was deleted before it was read, and `known` is a cursor of this feed: a
    /// restored copy of a database restarts its positions and transaction numbers.
    fn is_contiguous_with(&self, known: &SqlFeedCursor) -> bool {
        let (position, xact) = self.trimmed;
        // An entry that filled a hole was deleted at once only if its transaction was open then.
        let may_have_lost_a_hole =
            xact >= known.horizon && known.holes.iter().any(|(start, _)| *start <= position);
        known.epoch == self.cursor.epoch
            && known.last <= self.greatest
            && known.horizon <= self.cursor.horizon
            && position <= known.last
            && !may_have_lost_a_hole
    }

    fn page(self, has_gap: bool) -> FeedPage {
        let page = FeedPage::new(self.revocations, self.cursor.to_cursor());
        if has_gap || self.is_damaged { page.with_gap() } else { page }
    }
}

impl SqlFeedCursor {
    fn mark_read(&mut self, position: i64) {
        if position > self.last {
            if position > self.last + 1 {
                self.holes.push((self.last + 1, position - 1));
                self.limit_holes();
            }
            self.last = position;
            return;
        }
        let found = self.holes.iter().position(|(start, end)| (*start..=*end).contains(&position));
        if let Some(index) = found {
            let (start, end) = self.holes[index];
            let parts = [(start, position - 1), (position + 1, end)];
            self.holes.splice(index..=index, parts.into_iter().filter(|(start, end)| start <= end));
        }
    }

    /// Entries up to `position` were deleted, and with them the holes between them.
    fn forget_until(&mut self, position: i64) {
        self.last = self.last.max(position);
        self.holes.retain_mut(|(start, end)| {
            *start = (*start).max(position + 1);
            *start <= *end
        });
    }

    fn limit_holes(&mut self) {
        let mut room = MAX_HOLES;
        for (start, end) in self.holes.iter_mut().rev() {
            *start = (*start).max(*end - room + 1);
            room -= *end - *start + 1;
        }
        self.holes.retain(|(start, end)| start <= end);
    }

    fn to_cursor(&self) -> FeedCursor {
        let mut text = format!("{}.{}.{}", self.epoch, self.horizon, self.last);
        for (start, end) in &self.holes {
            text.push_str(&format!(".{start}-{end}"));
        }
        FeedCursor::new(text)
    }

    fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| text.parse::<i64>().ok().filter(|number| *number >= 0);
        let mut parts = text.split('.');
        let mut next = || number(parts.next()?);
        let (epoch, horizon, last) = (next()?, next()?, next()?);
        let range = |part: &str| {
            let (start, end) = part.split_once('-')?;
            Some((number(start)?, number(end)?))
        };
        let holes = parts.map(range).collect::<Option<_>>()?;
        let mut cursor = Self { epoch, horizon, last, holes };
        cursor.limit_holes();
        Some(cursor)
    }
}

#[cfg(test)]
mod tests {
    use crate::store::sql::feed::*;

    fn cursor() -> SqlFeedCursor {
        SqlFeedCursor { epoch: 7, horizon: 90, last: 2, holes: Vec::new() }
    }

    #[test]
    fn cursor_is_written_and_read() {
        let mut cursor = cursor();
        [3, 4, 8, 9, 11].into_iter().for_each(|position| cursor.mark_read(position));
        assert_eq!(cursor.to_cursor().as_str(), "7.90.11.5-7.10-10");
        assert_eq!(SqlFeedCursor::parse(cursor.to_cursor().as_str()), Some(cursor.clone()));
        [6, 10, 6, 2].into_iter().for_each(|position| cursor.mark_read(position));
        assert_eq!(cursor.holes, [(5, 5), (7, 7)], "entries that were committed late");
        cursor.forget_until(5);
        assert_eq!((cursor.last, cursor.holes.as_slice()), (11, &[(7, 7)][..]));
        for bad in
            ["", "7.90", "7.90.-1", "7.90.12.", "7.90.12.3", "7.90.12.3-x", "7.90.1e3", "-1.2.3"]
        {
            assert_eq!(SqlFeedCursor::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn cursor_remembers_a_bounded_number_of_holes() {
        let mut cursor = cursor();
        for position in [3, 10, 1_000_000_000, 1_000_000_010] {
            cursor.mark_read(position);
        }
        let count: i64 = cursor.holes.iter().map(|(start, end)| end - start + 1).sum();
        assert_eq!(count, MAX_HOLES);
        assert_eq!(cursor.holes.last(), Some(&(1_000_000_001, 1_000_000_009)), "the newest stay");
        let text = "7.90.1000000000.1-999999999";
        let holes = SqlFeedCursor::parse(text).map(|cursor| cursor.holes);
        assert_eq!(holes, Some(vec![(999_990_000, 999_999_999)]));
    }

    /// `trimmed` is about entries that were deleted after an hour; the horizon cannot pass a
    /// transaction that is open for longer, in any database of the server.
    #[test]
    fn long_transactions_cause_no_gap_once_entries_were_read() {
        let snapshot = |trimmed| FeedSnapshot {
            cursor: SqlFeedCursor { last: 20, ..cursor() },
            greatest: 20,
            trimmed,
            trimmed_at: 1,
            revocations: Vec::new(),
            is_damaged: false,
        };
        let known =
            |last, holes: &[(i64, i64)]| SqlFeedCursor { last, holes: holes.to_vec(), ..cursor() };
        for (trimmed, known, expected, why) in [
            ((15, 95), known(20, &[]), true, "read before it was deleted"),
            ((15, 95), known(14, &[]), false, "deleted before it was read"),
            ((15, 95), known(20, &[(18, 18)]), true, "the hole is later"),
            ((15, 95), known(20, &[(12, 12)]), false, "the hole may have been filled"),
            ((15, 89), known(20, &[(12, 12)]), true, "its transaction had ended"),
            ((0, 0), known(21, &[]), false, "a restored copy"),
        ] {
            assert_eq!(snapshot(trimmed).is_contiguous_with(&known), expected, "{why}");
        }
    }
}

//! The feed: a table that is read from a place on.

use super::{
    dialect::Dialect,
    error::no_tables,
    row::{BindValue, Row, int},
    transaction::Transaction,
};
use crate::store::{
    error::StoreError,
    feed::{FeedCursor, FeedPage, FeedStart, Revocation},
};

/// How far somebody has read.
///
/// Positions are given when an entry is written and seen when its transaction commits, which may be
/// in another order. So a reader goes on with the entries of all transactions that could still appear
/// when it read last, and leaves out those that it was told: nothing is left out however long a
/// transaction takes, and no clock has a say. Positions alone would do in a restored copy of the
/// database, which counts its transactions anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct SqlFeedCursor {
    epoch: i64,
    /// Of the transactions before this one all entries were told.
    horizon: i64,
    /// The greatest position that was there.
    last: i64,
    /// The positions that were told of the transactions from the horizon on, as ranges.
    told: Vec<(i64, i64)>,
}

/// What one look at the table gives.
struct FeedSnapshot {
    place: SqlFeedCursor,
    trimmed: (i64, i64, i64),
    revocations: Vec<Revocation>,
    /// An entry that cannot be read is one that was left out.
    is_damaged: bool,
}

pub(in crate::store) async fn read<D: Dialect>(
    work: &mut Transaction<'_, D>,
    from: &FeedStart,
) -> Result<FeedPage, StoreError> {
    let known = match from {
        FeedStart::At(at) => {
            let look = FeedSnapshot::at::<D>(work, [int(*at), i64::MAX, i64::MAX], None).await?;
            let is_gap = look.trimmed.2 >= int(*at);
            return Ok(look.page(is_gap));
        }
        FeedStart::After(position) => SqlFeedCursor::parse(position.as_str()),
    };
    if let Some(known) = known {
        let from = [i64::MAX, known.horizon, known.last];
        let look = FeedSnapshot::at::<D>(work, from, Some(&known)).await?;
        if look.is_contiguous_with(&known) {
            return Ok(look.page(false));
        }
    }
    let all = [0, i64::MAX, i64::MAX];
    Ok(FeedSnapshot::at::<D>(work, all, None).await?.page(true))
}

impl FeedSnapshot {
    async fn at<D: Dialect>(
        work: &mut Transaction<'_, D>,
        from: [i64; 3],
        known: Option<&SqlFeedCursor>,
    ) -> Result<Self, StoreError> {
        let rows = work.rows(D::READ_FEED, &from.map(BindValue::Int)).await?;
        let mut look: Option<Self> = None;
        for mut row in rows {
            let head = Self::head(&mut row)?;
            look.get_or_insert(head).entry(row, known)?;
        }
        look.ok_or_else(no_tables)
    }

    fn head(row: &mut Row) -> Result<Self, StoreError> {
        let epoch = row.int()?;
        let trimmed = (row.int()?, row.int()?, row.int()?);
        let last = row.maybe_int()?.unwrap_or_default().max(trimmed.0);
        let place = SqlFeedCursor { epoch, horizon: row.int()?, last, told: Vec::new() };
        Ok(Self { place, trimmed, revocations: Vec::new(), is_damaged: false })
    }

    fn entry(&mut self, mut row: Row, known: Option<&SqlFeedCursor>) -> Result<(), StoreError> {
        let Some(position) = row.maybe_int()? else { return Ok(()) };
        if row.int()? >= self.place.horizon {
            self.place.tell(position);
        }
        if known.is_none_or(|known| !known.was_read(position)) {
            match row.revocation() {
                Ok(revocation) => self.revocations.push(revocation),
                Err(_) => self.is_damaged = true,
            }
        }
        Ok(())
    }

    /// Whether nothing is gone that was not told before `known`, which is a place in this very feed.
    fn is_contiguous_with(&self, known: &SqlFeedCursor) -> bool {
        let (position, xact, _) = self.trimmed;
        known.epoch == self.place.epoch
            && known.last <= self.place.last
            && known.horizon <= self.place.horizon
            && position <= known.last
            && (xact == 0 || xact < known.horizon)
    }

    fn page(self, is_gap: bool) -> FeedPage {
        let page = FeedPage::new(self.revocations, self.place.to_cursor());
        if is_gap || self.is_damaged { page.with_gap() } else { page }
    }
}

impl SqlFeedCursor {
    fn tell(&mut self, position: i64) {
        match self.told.last_mut() {
            Some((_, end)) if *end + 1 == position => *end = position,
            _ => self.told.push((position, position)),
        }
    }

    fn was_read(&self, position: i64) -> bool {
        self.told.iter().any(|(start, end)| (*start..=*end).contains(&position))
    }

    fn to_cursor(&self) -> FeedCursor {
        let mut text = format!("{}.{}.{}", self.epoch, self.horizon, self.last);
        for (start, end) in &self.told {
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
        let told = parts.map(range).collect::<Option<_>>()?;
        Some(Self { epoch, horizon, last, told })
    }
}

#[cfg(test)]
mod tests {
    use crate::store::sql::feed::*;

    #[test]
    fn sql_feed_cursor_round_trips() {
        let mut place = SqlFeedCursor { epoch: 7, horizon: 90, last: 12, told: Vec::new() };
        assert_eq!(SqlFeedCursor::parse("7.90.12"), Some(place.clone()));
        [3, 4, 5, 9, 11, 12].into_iter().for_each(|position| place.tell(position));
        assert_eq!(place.to_cursor().as_str(), "7.90.12.3-5.9-9.11-12");
        assert_eq!(SqlFeedCursor::parse(place.to_cursor().as_str()), Some(place.clone()));
        let told: Vec<_> = (1..15).filter(|position| place.was_read(*position)).collect();
        assert_eq!(told, [3, 4, 5, 9, 11, 12]);
        for bad in
            ["", "7.90", "7.90.-1", "7.90.12.", "7.90.12.3", "7.90.12.3-x", "7.90.1e3", "-1.2.3"]
        {
            assert_eq!(SqlFeedCursor::parse(bad), None, "{bad}");
        }
    }
}

//! The revocation feed: a stream, and the time since which it is complete.

use std::time::Duration;

use redis::{Value, cmd};
use tokio::time::timeout;

use super::{
    connection::{CONNECT_TIMEOUT, Connection, Connections},
    error::failure,
    keys::KeySpace,
    reply::{ReplyReader, time},
    script::{PUBLISH, READ},
};
use crate::{
    engine::session::id::{SessionId, Subject},
    random::OsRandom,
    store::{
        FEED_RETENTION,
        error::StoreError,
        feed::{FeedCursor, FeedPage, FeedStart, Revocation},
    },
    time::Timestamp,
};

/// The maximum number of entries. The oldest are trimmed, and readers get a gap.
const MAX_ENTRIES: usize = 1_000_000;

/// The maximum number of entries in a page, and in one call that publishes.
const PAGE_SIZE: usize = 1_000;

/// The feed: its keys and connections.
pub(super) struct RevocationStream<'a> {
    pub(super) links: &'a Connections,
    pub(super) names: &'a KeySpace,
}

/// A position in a stream: the stream's epoch, and the id of the last entry that was read.
struct StreamCursor {
    epoch: String,
    id: String,
}

impl RevocationStream<'_> {
    /// Appends `revocations`, and trims old entries.
    pub(super) async fn publish(
        &self,
        at: Timestamp,
        revocations: &[Revocation],
    ) -> Result<(), StoreError> {
        for some in revocations.chunks(PAGE_SIZE) {
            let mut arguments = vec![
                new_epoch()?,
                at.as_unix_seconds().to_string(),
                FEED_RETENTION.as_secs().to_string(),
                MAX_ENTRIES.to_string(),
            ];
            for revocation in some {
                arguments.extend(fields(revocation));
            }
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            PUBLISH.run(self.links.shared(), &self.keys().each(), &arguments).await?;
        }
        Ok(())
    }

    /// Returns the entries from `from` on. Waits for some if there are none.
    pub(super) async fn read(
        &self,
        from: &FeedStart,
        wait: Duration,
    ) -> Result<FeedPage, StoreError> {
        let (page, place) = self.read_available(from).await?;
        if !page.revocations.is_empty() || page.has_gap || wait.is_zero() {
            return Ok(page);
        }
        self.wait(&place, wait).await?;
        Ok(self.read_available(&FeedStart::After(page.position)).await?.0)
    }

    async fn read_available(
        &self,
        from: &FeedStart,
    ) -> Result<(FeedPage, StreamCursor), StoreError> {
        let since = if let FeedStart::At(at) = from { *at } else { Timestamp::EPOCH };
        let (mut page, mut place, mut is_full) = self.try_read_available(from, since).await?;
        // A reader that starts at an instant may have to skip pages of older entries.
        while page.revocations.is_empty() && is_full {
            let is_gap = page.has_gap;
            let after = FeedStart::After(page.position);
            (page, place, is_full) = self.try_read_available(&after, since).await?;
            page.has_gap |= is_gap;
        }
        Ok((page, place))
    }

    async fn try_read_available(
        &self,
        from: &FeedStart,
        since: Timestamp,
    ) -> Result<(FeedPage, StreamCursor, bool), StoreError> {
        let (kind, first, second) = match from {
            FeedStart::At(at) => ("since", at.as_unix_seconds().to_string(), String::new()),
            FeedStart::After(position) => {
                // An unknown cursor is treated as a position in an unknown stream.
                let StreamCursor { epoch, id } = StreamCursor::parse(position.as_str())
                    .unwrap_or_else(|| StreamCursor { epoch: String::new(), id: "0-0".to_owned() });
                ("after", epoch, id)
            }
        };
        let (epoch, count) = (new_epoch()?, PAGE_SIZE.to_string());
        let arguments = [epoch.as_str(), &count, kind, &first, &second];
        let reply = READ.run(self.links.shared(), &self.keys().each(), &arguments).await?;
        let mut words = ReplyReader::new(reply);
        let mut is_gap = words.next() == "1";
        let place = StreamCursor { epoch: words.next(), id: words.next() };
        let (mut revocations, mut entries) = (Vec::new(), 0);
        while !words.is_empty() {
            entries += 1;
            match entry(&mut words) {
                Some((at, revocation)) if at >= since => revocations.push(revocation),
                Some(_) => {}
                // An unreadable entry counts as lost.
                None => is_gap = true,
            }
        }
        let position = FeedCursor::new(format!("{}:{}", place.epoch, place.id));
        let page = FeedPage::new(revocations, position);
        Ok((if is_gap { page.with_gap() } else { page }, place, entries == PAGE_SIZE))
    }

    /// Returns when an entry is added after `place`, or after `wait`.
    async fn wait(&self, place: &StreamCursor, wait: Duration) -> Result<(), StoreError> {
        let (link, is_used) = self.links.blocking().await?;
        match self.block(link, place, wait).await {
            // The server may have closed the connection since its last use.
            Err(_) if is_used => {
                let (link, _) = self.links.blocking().await?;
                self.block(link, place, wait).await
            }
            other => other,
        }
    }

    async fn block(
        &self,
        mut link: Connection,
        place: &StreamCursor,
        wait: Duration,
    ) -> Result<(), StoreError> {
        let mut command = cmd("XREAD");
        // The server would treat zero as no timeout.
        command.arg("BLOCK").arg(wait.as_millis().max(1) as u64).arg("COUNT").arg(1);
        command.arg("STREAMS").arg(self.names.feed()).arg(&place.id);
        let waiting = command.query_async::<Value>(&mut link);
        match timeout(wait.saturating_add(CONNECT_TIMEOUT), waiting).await {
            Ok(Ok(_)) => {
                self.links.return_idle(link);
                Ok(())
            }
            // The application's client has a shorter response timeout.
            Ok(Err(error)) if error.is_timeout() => Ok(()),
            Ok(Err(error)) => Err(failure(&error)),
            Err(_) => Err(StoreError::unavailable("redis: no response in time")),
        }
    }

    fn keys(&self) -> StreamKeys {
        StreamKeys([self.names.feed(), self.names.feed_meta()])
    }
}

struct StreamKeys([String; 2]);

impl StreamKeys {
    fn each(&self) -> [&str; 2] {
        self.0.each_ref().map(String::as_str)
    }
}

impl StreamCursor {
    fn parse(text: &str) -> Option<Self> {
        let (epoch, id) = text.split_once(':')?;
        let (first, second) = id.split_once('-')?;
        let _: (u64, u64) = (first.parse().ok()?, second.parse().ok()?);
        Some(Self { epoch: epoch.to_owned(), id: id.to_owned() })
    }
}

/// An epoch for a stream that may be new.
fn new_epoch() -> Result<String, StoreError> {
    SessionId::generate(&OsRandom).map(|id| id.to_string()).map_err(StoreError::unavailable)
}

/// The fields of an entry: session, subject, signed in before, exception.
fn fields(revocation: &Revocation) -> [String; 4] {
    let none = String::new;
    match revocation {
        Revocation::Session(id) => [id.to_string(), none(), none(), none()],
        Revocation::Subject { subject, signed_in_before, except } => [
            none(),
            subject.to_string(),
            signed_in_before.as_unix_seconds().to_string(),
            except.map_or_else(none, |id| id.to_string()),
        ],
        Revocation::All { signed_in_before } => {
            [none(), none(), signed_in_before.as_unix_seconds().to_string(), none()]
        }
    }
}

/// Reads the next entry. Consumes all its fields, readable or not.
fn entry(words: &mut ReplyReader) -> Option<(Timestamp, Revocation)> {
    let [at, id, subject, before, except] = std::array::from_fn(|_| words.next());
    let at = time(&at)?;
    if !id.is_empty() {
        return Some((at, Revocation::Session(id.parse().ok()?)));
    }
    let before = time(&before)?;
    if subject.is_empty() {
        return Some((at, Revocation::all(before)));
    }
    let except = if except.is_empty() { None } else { Some(except.parse().ok()?) };
    Some((at, Revocation::subject(Subject::new(subject).ok()?, before, except)))
}

//! Judging the tokens under one name: whose session they are, and whether it lives.

use std::sync::Arc;

use super::{
    SessionEngine,
    cookie::Place,
    cookie_header::Candidates,
    event::{RejectReason, SessionEvent},
    limits::{Dates, Liveness},
    session::{SessionIdentity, Terms},
};
use crate::{error::TokenError, time::Timestamp};

/// A session that lives, as its cookie has it.
pub(crate) struct Account<C> {
    pub(crate) identity: SessionIdentity,
    /// `None` when the application's part does not decode.
    pub(crate) claims: Option<Arc<C>>,
    pub(crate) place: Place,
    /// Length of the token in bytes.
    pub(crate) size: usize,
}

/// What the tokens under one name come to.
pub(crate) struct Judged<C> {
    /// The one session that lives.
    pub(crate) account: Option<Account<C>>,
    /// Several that live under one name: none of them is served, all end with a sign-out.
    pub(crate) strays: Vec<SessionIdentity>,
    /// Every token is of a session that is over: the cookie can go.
    pub(crate) is_over: bool,
}

/// A token of a session that lives.
struct Live<'h, C> {
    account: Account<C>,
    /// When the token was issued; of two in one second either will do, but always the same one.
    presented: (Timestamp, &'h [u8]),
}

/// What a single token comes to.
enum Token<'h, C> {
    Live(Live<'h, C>),
    Over,
    Refused,
}

impl<C> SessionEngine<C> {
    /// Tells what is wrong with the values themselves.
    pub(super) fn tell_malformed(&self, candidates: &Candidates<'_>) {
        if candidates.excess {
            self.reject(RejectReason::TooManyCandidates);
        }
        if candidates.malformed {
            self.reject(RejectReason::Malformed);
        }
    }

    /// Verifies the distinct `tokens` of the cookie at `place`.
    pub(crate) fn judge(&self, place: Place, tokens: &[&[u8]], now: Timestamp) -> Judged<C> {
        let mut live: Vec<Live<'_, C>> = Vec::new();
        let mut over = 0;
        for token in tokens {
            match self.judge_token(place, token, now) {
                Token::Refused => {}
                Token::Over => over += 1,
                Token::Live(found) => {
                    let id = found.account.identity.id();
                    match live.iter_mut().find(|other| other.account.identity.id() == id) {
                        // RFC 6265bis §4.2.2: the order of cookies means nothing, so the newest
                        // token counts.
                        Some(other) if other.presented < found.presented => *other = found,
                        Some(_) => {}
                        None => live.push(found),
                    }
                }
            }
        }
        // One removal takes whatever has the name: what this node cannot read may be alive on
        // another one that knows its key or has the better clock.
        let is_over = over > 0 && over == tokens.len();
        if live.len() > 1 {
            self.reject(RejectReason::Conflict);
            let strays = live.into_iter().map(|live| live.account.identity).collect();
            return Judged { account: None, strays, is_over };
        }
        let account = live.into_iter().next().map(|live| live.account);
        if account.is_some() && tokens.len() > 1 {
            self.tell(&SessionEvent::DuplicateCookie);
        }
        Judged { account, strays: Vec::new(), is_over }
    }

    fn judge_token<'h>(&self, place: Place, token: &'h [u8], now: Timestamp) -> Token<'h, C> {
        let decoded = match self.verify(token, now) {
            Ok(decoded) => decoded,
            Err(error) => {
                self.reject(RejectReason::Token(error));
                return Token::Refused;
            }
        };
        let registered = decoded.registered;
        // A cookie that was copied under another session's name speaks for neither.
        if matches!(place, Place::Slot(id) if id != registered.sid) {
            self.reject(RejectReason::Token(TokenError::Claim("sid")));
            return Token::Refused;
        }
        let terms = Terms::of(&registered);
        let limits = self.limits(terms);
        let mut dates = Dates::of(&registered);
        let liveness = limits.liveness(dates, false, now);
        dates.expires_at = limits.expires_at(dates);
        let identity = SessionIdentity::new(registered.sid, registered.sub, dates, terms);
        if self.0.ended.contains(identity.id()) {
            self.reject(RejectReason::Ended);
            return Token::Over;
        }
        if let Liveness::Expired(by) = liveness {
            // A newer token of the session was written just now: a removal, on its way beside it,
            // could take it from the browser.
            let newest = self.0.renewed.newest(identity.id());
            let renewed_lately =
                newest.is_some_and(|newest| now.saturating_since(newest) < limits.renewal_age());
            self.tell(&SessionEvent::Expired { session: identity, by });
            return if renewed_lately { Token::Refused } else { Token::Over };
        }
        let claims = decoded.custom.map(Arc::new);
        let account = Account { identity, claims, place, size: token.len() };
        Token::Live(Live { account, presented: (registered.iat, token) })
    }
}

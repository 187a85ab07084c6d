//! Judging the tokens under one name: whose session they are, and whether it lives.

use std::sync::Arc;

use super::{
    cookie::{parse::Candidates, set_cookie::Place},
    event::{RejectReason, SessionEvent},
    session::{
        expiry::{ExpiredBy, Liveness},
        id::SessionId,
        identity::SessionIdentity,
    },
    session_engine::SessionEngine,
    token::cache::{Kept, Verified},
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
    /// Which of the session's claims these are, if they are not known to be old.
    pub(crate) version: Option<u64>,
}

/// What the tokens under one name come to.
pub(crate) struct Judged<C> {
    /// The one session that lives.
    pub(crate) account: Option<Account<C>>,
    /// Several that live under one name: none of them is served, all end with a sign-out.
    pub(crate) strays: Vec<SessionIdentity>,
    /// Sessions whose token is not served, but which may live on in a newer one: they end with a
    /// sign-out too.
    pub(crate) dormant: Vec<SessionIdentity>,
    /// The sessions of all tokens, where each is over: the cookie can go.
    pub(crate) over: Vec<SessionId>,
}

/// A token of a session that lives.
struct Live<'h, C> {
    account: Account<C>,
    /// When the token was issued; of two in one second either will do, but always the same one.
    presented: (Timestamp, &'h [u8]),
}

/// What a token that verified is worth now, in this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Fresh,
    /// It lives, and its token is to be renewed.
    Due,
    /// Copied under another session's name: it speaks for neither.
    Misplaced,
    Future,
    Ended,
    Expired(ExpiredBy),
}

/// What a single token comes to.
enum Token<'h, C> {
    Live(Live<'h, C>),
    /// Out of time, or signed out.
    Over(SessionIdentity),
    /// From the future, or with a newer one about: the cookie stays.
    Dormant(SessionIdentity),
    /// Nothing that anybody vouches for.
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
        let (mut live, mut others): (Option<Live<'_, C>>, Vec<Live<'_, C>>) = (None, Vec::new());
        let (mut dormant, mut over) = (Vec::new(), Vec::new());
        for token in tokens {
            match self.judge_token(place, token, now) {
                Token::Refused => {}
                Token::Over(session) => {
                    over.push(session.id());
                    dormant.push(session);
                }
                Token::Dormant(session) => dormant.push(session),
                Token::Live(found) => {
                    let id = found.account.identity.id();
                    let is_same = |other: &&mut Live<'_, C>| other.account.identity.id() == id;
                    let is_first = live.is_none();
                    let same = live.iter_mut().chain(&mut others).find(is_same);
                    match same {
                        // RFC 6265bis §4.2.2: the order of cookies means nothing, so the newest
                        // token counts.
                        Some(other) if other.presented < found.presented => *other = found,
                        Some(_) => {}
                        None if is_first => live = Some(found),
                        None => others.push(found),
                    }
                }
            }
        }
        // One removal takes whatever has the name: what this node cannot read may be alive on
        // another one that knows its key or has the better clock.
        if over.len() != tokens.len() {
            over.clear();
        }
        if !others.is_empty() {
            self.reject(RejectReason::Conflict);
            let strays = live.into_iter().chain(others).map(|it| it.account.identity).collect();
            return Judged { account: None, strays, dormant, over };
        }
        let account = live.map(|live| live.account);
        if account.is_some() && tokens.len() > 1 {
            self.tell(&SessionEvent::DuplicateCookie);
        }
        Judged { account, strays: Vec::new(), dormant, over }
    }

    fn judge_token<'h>(&self, place: Place, token: &'h [u8], now: Timestamp) -> Token<'h, C> {
        let known = self.0.verified.get(token, |kept| kept.believed(now));
        let (verified, belief) = match known {
            Some(verified) => (verified, None),
            None => match self.verify(token, now) {
                Ok(Kept { verified, belief }) => (verified, Some(belief)),
                Err(error) => {
                    self.reject(RejectReason::Token(error));
                    return Token::Refused;
                }
            },
        };
        let verdict = self.verdict(&verified, place, false, now);
        if belief.is_none() && matches!(verdict, Verdict::Ended | Verdict::Expired(_)) {
            self.0.verified.remove(token);
        }
        let lives = matches!(verdict, Verdict::Fresh | Verdict::Due);
        if let Some(belief) = belief.filter(|_| lives && verified.claims.is_some()) {
            let expires_at = verified.identity.expires_at();
            let kept = Kept { verified: verified.clone(), belief };
            self.0.verified.insert(token, kept, expires_at, now);
        }
        let Verified { identity, claims, .. } = verified;
        // What signed in after it, or a newer token, may be in the cookie by now: a removal, on its
        // way beside it, could take it from the browser.
        let may_live = || self.cookie_may_live(identity.id(), now);
        match verdict {
            Verdict::Misplaced => {
                self.reject(RejectReason::Token(TokenError::Claim("sid")));
                Token::Refused
            }
            Verdict::Future => {
                self.reject(RejectReason::Token(TokenError::Future));
                Token::Dormant(identity)
            }
            Verdict::Ended => {
                self.reject(RejectReason::Ended);
                if may_live() { Token::Refused } else { Token::Over(identity) }
            }
            Verdict::Expired(by) => {
                self.tell(&SessionEvent::Expired { session: identity.clone(), by });
                if may_live() { Token::Dormant(identity) } else { Token::Over(identity) }
            }
            Verdict::Fresh | Verdict::Due => {
                let presented = (identity.issued_at(), token);
                let version = self.0.renewed.version(identity.id(), presented.0, token, now);
                let account = Account { identity, claims, place, size: token.len(), version };
                Token::Live(Live { account, presented })
            }
        }
    }

    /// What `verified` is worth at `now` in the cookie at `place`. Asked of every request: nothing
    /// of it is remembered.
    pub(super) fn verdict(
        &self,
        verified: &Verified<C>,
        place: Place,
        activity: bool,
        now: Timestamp,
    ) -> Verdict {
        let Verified { identity, not_before, .. } = verified;
        if matches!(place, Place::Slot(id) if id != identity.id()) {
            return Verdict::Misplaced;
        }
        let latest = now.saturating_add(self.clock_skew());
        if identity.issued_at() > latest || not_before.is_some_and(|since| since > latest) {
            return Verdict::Future;
        }
        if self.0.ended.covers(identity) {
            return Verdict::Ended;
        }
        match self.limits(identity.terms()).liveness(identity.dates(), activity, now) {
            Liveness::Expired(by) => Verdict::Expired(by),
            Liveness::Fresh if self.trusts(identity.issued_at()) => Verdict::Fresh,
            Liveness::Fresh | Liveness::Renew => Verdict::Due,
        }
    }

    /// Whether a living session's token is to be renewed by a request at `now`.
    pub(super) fn is_due(
        &self,
        identity: &SessionIdentity,
        activity: bool,
        now: Timestamp,
    ) -> bool {
        let limits = self.limits(identity.terms());
        limits.liveness(identity.dates(), activity, now) != Liveness::Fresh
            || !self.trusts(identity.issued_at())
    }
}

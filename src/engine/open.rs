//! From the cookies of a request to a [`SessionJar`].
//!
//! Only verified tokens speak. What is wrong with the others is told to `on_event` and to nobody
//! else: the request goes on without a session (ASVS 16.5.1).

use std::sync::Arc;

use http::{Method, Request};

use super::{
    RequestHead, SessionEngine,
    claims::Decoded,
    cookie_header::{Candidates, Excess},
    event::{RejectReason, SessionEvent},
    jar::{Change, Held, Opened, SessionJar, State},
    jws,
    limits::{Dates, Liveness},
    mint::TOKEN_TYPE,
    session::{RequestRecord, Session, SessionIdentity, SessionStatusKind, Terms},
};
use crate::{
    error::TokenError,
    time::{Now, Timestamp},
};

/// What the candidates of one request come to.
struct Findings<'h, C> {
    /// The newest token of each session that lives.
    live: Vec<Live<'h, C>>,
    /// How many were presented, and how many of them are over.
    distinct: usize,
    removable: usize,
}

struct Live<'h, C> {
    identity: SessionIdentity,
    /// A new token goes out with the response.
    renew: bool,
    /// `None` when the application's part does not decode.
    claims: Option<C>,
    /// When the token was issued; of two in one second either will do, but always the same one.
    presented: (Timestamp, &'h [u8]),
}

impl<C> Findings<'_, C> {
    const fn none() -> Self {
        Self { live: Vec::new(), distinct: 0, removable: 0 }
    }
}

impl<C> SessionEngine<C> {
    /// Reads and verifies the session cookies of `request`. `now` is read before anything else is
    /// done for the request: it is the `iat` of a token that goes out with the response.
    ///
    /// Whatever the request carries, there is a jar: bad cookies are no session, and reasons go to
    /// `on_event`.
    #[must_use]
    pub fn open<B>(&self, request: &Request<B>, now: impl Into<Now>) -> SessionJar<C> {
        let now = now.into();
        let head = RequestHead::of(request);
        let activity =
            !head.says_inactive() && self.0.activity.as_ref().is_none_or(|is_one| is_one(head));
        let candidates =
            Candidates::read(head.headers, self.0.cookie.name(), self.0.cookie.max_value_length());

        let handshake = head.is_websocket_handshake();
        let cross_origin = if handshake {
            self.check_origin(head, candidates.present).err()
        } else if is_safe(head.method) {
            None
        } else {
            // No cookie of ours is at stake when somebody signs in, and clients that are no browser
            // send no signal at all: only a signal of another site refuses.
            self.check_origin(head, false).err()
        };
        let refused = if handshake { cross_origin } else { None };

        let findings = match refused {
            Some(reason) => {
                self.reject(RejectReason::CrossOrigin(reason));
                Findings::none()
            }
            None => self.judge(&candidates, activity, now.timestamp()),
        };
        let kind = refused.map_or(SessionStatusKind::SignedOut, SessionStatusKind::CrossOrigin);
        let record = RequestRecord::new(
            kind,
            None,
            request.uri().clone(),
            now.timestamp(),
            Arc::clone(&self.0.redirects),
        );
        let state = self.state(findings, record, candidates.present);
        SessionJar::new(Opened { engine: self.clone(), now, activity, cross_origin, state })
    }

    fn judge<'h>(
        &self,
        candidates: &Candidates<'h>,
        activity: bool,
        now: Timestamp,
    ) -> Findings<'h, C> {
        let mut findings = Findings::none();
        match candidates.excess {
            Some(Excess::Bytes) => self.reject(RejectReason::TooManyBytes),
            Some(Excess::Candidates) => self.reject(RejectReason::TooManyCandidates),
            None => {}
        }
        if candidates.malformed {
            self.reject(RejectReason::Malformed);
        }
        findings.distinct = candidates.values().len();
        for token in candidates.values().iter().copied() {
            match self.verify(token, now) {
                Ok(decoded) => self.classify(token, decoded, activity, now, &mut findings),
                Err(error) => self.reject(RejectReason::Token(error)),
            }
        }
        findings
    }

    /// The claims of a token that is ours, for us and not from the future. Whether its session is
    /// over is another question.
    fn verify(&self, token: &[u8], now: Timestamp) -> Result<Decoded<C>, TokenError> {
        let longest = self.0.cookie.max_value_length();
        let (payload, _) = jws::verify(&self.0.keys, token, Some(TOKEN_TYPE), longest)?;
        let decoded = (self.0.codec.decode)(&payload)?;
        let registered = &decoded.registered;
        if self.0.issuer.is_some() && registered.iss != self.0.issuer {
            return Err(TokenError::Audience);
        }
        // RFC 7519 §4.1.3: a token for somebody else is not for us, and neither is one for nobody in
        // particular where an audience is configured.
        let for_us = match &self.0.audience {
            Some(audience) => registered.audience_contains(audience),
            None => registered.aud.is_none(),
        };
        if !for_us {
            return Err(TokenError::Audience);
        }
        let latest = now.saturating_add(self.clock_skew());
        if registered.iat > latest || registered.nbf.is_some_and(|nbf| nbf > latest) {
            return Err(TokenError::Future);
        }
        Ok(decoded)
    }

    fn classify<'h>(
        &self,
        token: &'h [u8],
        decoded: Decoded<C>,
        activity: bool,
        now: Timestamp,
        findings: &mut Findings<'h, C>,
    ) {
        let registered = decoded.registered;
        let terms = Terms::of(&registered);
        let limits = self.limits(terms);
        let mut dates = Dates::of(&registered);
        let liveness = limits.liveness(dates, activity, now);
        dates.expires_at = limits.expires_at(dates);
        let identity = SessionIdentity::new(registered.sid, registered.sub, dates, terms);

        if self.0.ended.contains(identity.id()) {
            findings.removable += 1;
            self.reject(RejectReason::Ended);
            return;
        }
        let renew = match liveness {
            Liveness::Expired(by) => {
                let renewed = self.renewed_lately(&identity, limits.renewal_age(), now);
                findings.removable += usize::from(!renewed);
                self.tell(&SessionEvent::Expired { session: identity, by });
                return;
            }
            Liveness::Fresh => decoded.custom.is_none(),
            Liveness::Renew => true,
        };
        let live = Live {
            identity: if renew { self.renewed(&identity, activity, now) } else { identity },
            renew,
            claims: decoded.custom,
            presented: (registered.iat, token),
        };
        let same = findings.live.iter_mut().find(|other| other.identity.id() == live.identity.id());
        match same {
            // RFC 6265bis §4.2.2: the order of cookies means nothing, so the newest token counts.
            Some(other) if other.presented < live.presented => *other = live,
            Some(_) => {}
            None => findings.live.push(live),
        }
    }

    /// Whether a newer token of the session was written just now: then a removal, on its way beside
    /// it, could take it from the browser.
    fn renewed_lately(
        &self,
        identity: &SessionIdentity,
        renewal_age: std::time::Duration,
        now: Timestamp,
    ) -> bool {
        self.0
            .renewed
            .newest(identity.id())
            .is_some_and(|newest| now.saturating_since(newest) < renewal_age)
    }

    fn state(
        &self,
        findings: Findings<'_, C>,
        mut record: RequestRecord,
        presented: bool,
    ) -> State<C> {
        let Findings { live, removable, distinct } = findings;
        // One removal takes whatever has the name: what this node cannot read may be alive on
        // another one that knows its key or has the better clock.
        let removable = removable > 0 && removable == distinct;
        let mut others = Vec::new();
        let mut served = None;
        if live.len() > 1 {
            self.reject(RejectReason::Conflict);
            others.extend(live.into_iter().map(|candidate| candidate.identity));
        } else if let Some(one) = live.into_iter().next() {
            if distinct > 1 {
                self.tell(&SessionEvent::DuplicateCookie);
            }
            served = Some(one);
        }
        let (mut held, mut undecoded) = (None, None);
        let record = match served {
            Some(Live { identity, renew, claims: Some(claims), .. }) => {
                record.kind = SessionStatusKind::SignedIn;
                record.identity = Some(identity.clone());
                let record = Arc::new(record);
                let session = Session::new(identity, Arc::new(claims), Arc::clone(&record));
                held = Some(Held { session, renew });
                record
            }
            Some(Live { identity, claims: None, .. }) => {
                undecoded = Some(identity);
                Arc::new(record)
            }
            None => Arc::new(record),
        };
        State {
            record,
            presented,
            removable,
            held,
            undecoded,
            others,
            change: Change::None,
            claims_asked: false,
            closed: false,
        }
    }

    fn reject(&self, reason: RejectReason) {
        self.tell(&SessionEvent::Rejected { reason });
    }
}

/// RFC 9110 §9.2.1. TRACE is left out: nobody needs a session for it.
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

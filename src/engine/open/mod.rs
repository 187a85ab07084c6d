//! Opens a request: from its cookies to a [`SessionJar`].
//!
//! Only verified tokens have an effect. Errors are reported to `on_event` only; the request
//! continues without a session (ASVS 16.5.1).

pub(crate) mod bearer;
pub(crate) mod device;
pub(crate) mod fast_path;
pub(crate) mod page_warning;
pub(crate) mod select;
pub(crate) mod verify_only;

use std::sync::{Arc, Mutex, OnceLock};

use http::{HeaderValue, Method, Request, header::USER_AGENT};

use self::select::SessionSelector;
use super::{
    bearer::CredentialKind,
    cookie::{parse::SessionCookies, scan::CookieScan},
    event::{CredentialError, SessionEvent},
    issue::TOKEN_TYPE,
    jar::{
        JarHost, JarInner, RequestFacts, SessionJar,
        state::{
            CookiesBeyondBounds, CurrentSession, InitialSession, JarPhase, JarState, OpenOutcome,
            OtherAccounts, PresentedCookies, ReadCookie, UndecodedSession,
        },
    },
    logging::warnings,
    request::{
        head::RequestHead,
        presented::{PresentedFields, RequestedSession},
        routes::Endpoint,
        state::RequestState,
    },
    session::{
        data::TokenSession,
        expiry::SessionTimes,
        identity::{SessionFlags, SessionIdentity, SessionStatusKind},
    },
    session_engine::SessionEngine,
    token::{
        cache::{CachedToken, VerifiedToken},
        claims::Decoded,
        jws,
    },
    validate::ValidSession,
};
use crate::{
    error::TokenError,
    time::{ClockReading, Timestamp},
};

impl<C> SessionEngine<C> {
    /// Reads and verifies the session cookies of `request`. `now` is read before anything else is
    /// done for the request: it is the `iat` of a token that goes out with the response.
    ///
    /// There is always a jar: invalid cookies are no session, and the reasons are reported to
    /// `on_event`.
    #[must_use]
    pub fn open<B>(&self, request: &Request<B>, now: impl Into<ClockReading>) -> SessionJar<C> {
        let now = now.into();
        let host = JarHost::Engine(self.clone(), now);
        self.open_for(RequestHead::from_request(request), now.timestamp(), host)
    }

    /// [`open`](Self::open) for `host`. `now` is the wall clock; `host` is asked for both clocks only
    /// where they are needed, because each costs as much as a look into a cache.
    pub(crate) fn open_for(
        &self,
        head: RequestHead<'_>,
        now: Timestamp,
        host: JarHost<C>,
    ) -> SessionJar<C> {
        let (mut facts, mut credential) = (RequestFacts::default(), CredentialKind::Cookie);
        let presented = PresentedFields::new(head.headers);
        facts.fetch_mode = presented.fetch_mode;
        let OpenOutcome { kind, first, state } = if let Some(verifier) = &self.0.verifier {
            let clocks = host.now();
            facts.clocks = Some(clocks);
            let outcome;
            (outcome, credential, facts.cross_origin) =
                self.open_verified(verifier, head, &presented, clocks);
            outcome
        } else {
            facts.named = self.requested_session(head, &presented);
            match self.open_bearer(head, &presented, facts.named, now) {
                Some(outcome) => {
                    credential = CredentialKind::BearerToken;
                    let clocks = host.now();
                    facts.clocks = Some(clocks);
                    self.0.keys.observe(clocks);
                    outcome
                }
                None => self.open_cookies(head, &presented, now, &host, &mut facts),
            }
        };
        let has_store = host.has_store();
        if has_store || self.0.copied_cookies.reaction.is_some() {
            facts.user_agent = head.headers.get(USER_AGENT).cloned();
        }
        let accepts_bearer = self.accepts_bearer() || self.verifies_only();
        // One expression, so that the compiler builds the large value in place.
        SessionJar::new(RequestState::new(
            kind,
            (credential, accepts_bearer),
            head.uri.path_and_query().cloned(),
            now,
            JarInner {
                host,
                opened: now,
                facts,
                phase: JarPhase::new(state.is_none()),
                first,
                state: state.map_or_else(OnceLock::new, OnceLock::from),
            },
        ))
    }

    /// Opens a request by its session cookies.
    #[inline]
    fn open_cookies(
        &self,
        head: RequestHead<'_>,
        presented: &PresentedFields<'_>,
        now: Timestamp,
        host: &JarHost<C>,
        facts: &mut RequestFacts,
    ) -> OpenOutcome<C> {
        let scan = match presented.has_more_cookies {
            true => CookieScan::new(head.headers, &self.0.cookie),
            false => CookieScan::from_only_field(presented.cookie, &self.0.cookie),
        };
        if scan.has_flows() {
            facts.flow_cookies = scan.joined_fields().map(Box::new);
        }
        let handshake = presented.is_websocket_handshake(head);
        // A sign-in needs no session cookie, and clients that are not browsers send no origin
        // signal: only a signal of another site refuses it.
        if !is_safe(head.method) {
            facts.cross_origin = self.check_origin(head, false).err();
            facts.page_warning = self.page_warning(head, facts.cross_origin.is_some());
            if let Some(named) = self.device_request(head) {
                (facts.named, facts.is_for_device) = (named, true);
            }
        }
        if !handshake && !facts.is_for_device {
            if scan.is_empty() && facts.named == RequestedSession::None {
                // A browser that sends a session cookie has not dropped it.
                if is_safe(head.method) && self.may_be_visited_over_http() {
                    facts.page_warning = self.page_warning(head, false);
                }
                let (kind, first) = (SessionStatusKind::SignedOut, InitialSession::default());
                return OpenOutcome { kind, first, state: None };
            }
            let is_activity = || self.is_activity(head);
            if !scan.is_empty()
                && let Some((kind, first)) = self.open_cached(&scan, facts.named, is_activity, now)
            {
                return OpenOutcome { kind, first, state: None };
            }
        }
        facts.activity = !facts.is_for_device && self.is_activity(head);
        self.0.keys.observe(host.now());
        self.read(head, now, facts, &scan, handshake)
    }

    /// The slow path: parses and verifies the cookies that decide.
    fn read(
        &self,
        head: RequestHead<'_>,
        now: Timestamp,
        facts: &mut RequestFacts,
        scan: &CookieScan<'_>,
        handshake: bool,
    ) -> OpenOutcome<C> {
        let (named, activity) = (facts.named, facts.activity);
        let (max_accounts, several) = (self.max_account_cookies(), self.multi_session().is_some());
        let cookies = SessionCookies::read(scan, &self.0.cookie, max_accounts, named.session());
        let mut refused = None;
        if handshake {
            facts.cross_origin = self.check_origin(head, cookies.any_session()).err();
            refused = facts.cross_origin;
        }
        let mut reader = SessionSelector::new(self, &cookies, now);
        let acting = match refused {
            Some(reason) => {
                self.report_refused_origin(head);
                self.reject(CredentialError::CrossOrigin(reason));
                Err(SessionStatusKind::CrossOrigin(reason))
            }
            None => reader.select(named, cookies.active, several),
        };
        let pointer = cookies.active;
        let (acting, unserved) = match acting {
            Ok(account) => self.check_device(head, now, facts, account),
            Err(kind) => (Err(kind), None),
        };
        let (kind, current, undecoded) = match acting {
            Ok(account) => match self.current_session(account, activity, now) {
                Ok(current) => (current.session.identity().kind(), Some(current), None),
                Err(undecoded) => (SessionStatusKind::SignedOut, None, Some(*undecoded)),
            },
            Err(kind) => (kind, None, None),
        };
        let session = current.as_ref().map(|current| current.session.clone());
        let beyond_limits = match refused {
            None => self.cookies_beyond_limits(head, scan, &cookies),
            Some(_) => None,
        };
        // Nothing needs to be written, and nothing was read that the request's state does not hold.
        if undecoded.is_none()
            && unserved.is_none()
            && beyond_limits.is_none()
            && !cookies.has_unread()
            && current.as_ref().is_none_or(|current| !current.renew)
            && let Some(place) = reader.only_verified()
        {
            let (size, version) = current.map_or((0, None), |it| (it.size, it.claims));
            let has_more = cookies.slots().nth(1).is_some();
            let fields = if has_more { scan.joined_fields() } else { None };
            let read = Some(ReadCookie { place, size, version, fields });
            let first = InitialSession { session, pointer, read };
            return OpenOutcome { kind, first, state: None };
        }
        let mut state = JarState {
            presented: PresentedCookies {
                places: cookies.slots().collect(),
                pointer,
                proofs: cookies.proof_fields(scan),
            },
            findings: std::mem::take(&mut reader.findings),
            current,
            undecoded,
            unserved,
            beyond_limits,
            ..JarState::default()
        };
        // A WebSocket handshake from a foreign page must not change sessions.
        if refused.is_none() {
            let (accounts, unread) = reader.into_remaining();
            let beyond = CookiesBeyondBounds::new(&cookies, scan);
            state.others = OtherAccounts { accounts, unread, beyond };
        }
        let first = InitialSession { session, ..InitialSession::default() };
        OpenOutcome { kind, first, state: Some(Box::new(Mutex::new(state))) }
    }

    /// The `Cookie` fields of a request whose cookies exceed the limits of a browser and that may
    /// change that.
    fn cookies_beyond_limits(
        &self,
        head: RequestHead<'_>,
        scan: &CookieScan<'_>,
        cookies: &SessionCookies<'_>,
    ) -> Option<HeaderValue> {
        let exceeds =
            cookies.too_large || self.exceeds_limits(cookies.slots().count(), cookies.bytes);
        if !exceeds && !self.may_repeat_account(cookies) {
            return None;
        }
        if head.is_speculative() || self.check_origin(head, false).is_err() {
            if !exceeds {
                // The next request takes the slow path too: the fast path sees only number and bytes.
                let tokens = cookies.read_slots().flat_map(|(_, values)| values.values());
                tokens.for_each(|token| self.0.verified_tokens.remove(token));
            }
            return None;
        }
        scan.joined_fields()
    }

    /// `account` as the request's session, with renewed times if its token is due.
    fn current_session(
        &self,
        account: ValidSession<C>,
        activity: bool,
        now: Timestamp,
    ) -> Result<CurrentSession<C>, Box<UndecodedSession>> {
        let ValidSession { session, place, size, version } = account;
        let presented = session.identity().dates();
        let session = match session {
            TokenSession::Decoded(session) => session,
            TokenSession::Undecoded(identity) => {
                let identity = self.renewed(&identity, activity, now);
                return Err(Box::new(UndecodedSession { identity, presented, place, version }));
            }
        };
        let renew = self.is_due(session.identity(), activity, now);
        let session = match renew {
            true => session.with_identity(self.renewed(session.identity(), activity, now)),
            false => session,
        };
        let (claims, changed) = (version, false);
        Ok(CurrentSession { session, place, size, presented, renew, claims, changed })
    }

    fn is_activity(&self, head: RequestHead<'_>) -> bool {
        // A page that is fetched ahead may never be seen.
        if head.is_speculative() {
            return false;
        }
        let path = self.0.paths.find(head.uri.path());
        head.declared_activity().unwrap_or_else(|| {
            // `GET /session` is usually called by a script on a timer.
            path != Some(Endpoint::Sessions)
                && self.0.activity.as_ref().is_none_or(|is_one| is_one(head))
        }) || path == Some(Endpoint::Touch)
    }

    /// Verifies the signature, type, issuer and audience of a session token. Its times and
    /// revocation are checked separately.
    pub(super) fn verify(
        &self,
        token: &[u8],
        now: Timestamp,
    ) -> Result<CachedToken<C>, TokenError> {
        let longest = self.0.cookie.max_value_length(false);
        let verified = jws::verify(&self.0.keys, token, Some(TOKEN_TYPE), longest, now)
            .inspect_err(|error| self.report_other_key(token, *error))?;
        let Decoded { registered, custom } = (self.0.codec.decode)(&verified.payload()?)?;
        if registered.iss != self.0.issuer {
            return Err(TokenError::WrongRecipient);
        }
        // RFC 7519 §4.1.3: reject tokens for another audience, and tokens without one if an
        // audience is configured.
        let for_us = match &self.0.audience {
            Some(audience) => registered.audience_contains(audience),
            None => registered.aud.is_none(),
        };
        if !for_us {
            return Err(TokenError::WrongRecipient);
        }
        match registered.azp.as_deref() {
            Some(name) if *name == *self.0.cookie.base_name => {}
            Some(_) => return Err(TokenError::WrongRecipient),
            None if self.0.reject_unbound_tokens => return Err(TokenError::InvalidClaim("azp")),
            None => {}
        }
        let terms = SessionFlags::from_claims(&registered);
        let mut dates = SessionTimes::from_claims(&registered);
        let limits = self.limits(terms);
        dates.expires_at = limits.expires_at(dates);
        let identity = SessionIdentity::new(
            registered.sid,
            registered.sub,
            dates,
            terms,
            registered.attributes,
        )
        .with_lineage(registered.jti);
        let session = TokenSession::new(identity, custom.map(Arc::new));
        Ok(CachedToken {
            verified: VerifiedToken { session, window: limits.fresh_window(dates, registered.nbf) },
            trusted_key: verified.key,
        })
    }

    /// Logs if `token` names a key of this process and was signed with another one.
    pub(super) fn report_other_key(&self, token: &[u8], error: TokenError) {
        if matches!(error, TokenError::Signature | TokenError::Algorithm)
            && warnings::is_enabled()
            && let Some(kid) = jws::named_key(&self.0.keys, token)
        {
            warnings::other_key_of_the_same_name(&kid);
        }
    }

    pub(super) fn reject(&self, reason: CredentialError) {
        self.emit(&SessionEvent::CredentialRejected { reason });
    }
}

/// Safe methods (RFC 9110 §9.2.1) except TRACE, which needs no session.
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

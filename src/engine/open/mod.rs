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

use self::select::{RequestedSession, SessionSelector};
use super::{
    bearer::CredentialKind,
    cookie::{
        parse::{CookieValues, SessionCookies},
        scan::CookieScan,
    },
    event::{CredentialError, SessionEvent},
    issue::TOKEN_TYPE,
    jar::{
        Effects, JarInner, SessionJar,
        state::{
            CachedSession, CookiesBeyondBounds, CurrentSession, DeferredCookies, InitialSession,
            JarPhase, JarState, OpenOutcome, OtherAccounts, PresentedCookies, UndecodedSession,
        },
    },
    logging::warnings::{self, PageWarning},
    redirect::csrf::CrossOriginReason,
    request::{head::RequestHead, routes::Endpoint, session::SessionData, state::RequestState},
    session::{
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

/// A request that is being opened.
struct OpenContext<'r, C> {
    head: RequestHead<'r>,
    now: ClockReading,
    named: RequestedSession,
    /// The kind of credential that the request presents.
    credential: CredentialKind,
    activity: bool,
    cross_origin: Option<CrossOriginReason>,
    /// Whether the request binds a session to a device, or renews its proof.
    is_for_device: bool,
    page_warning: Option<Box<PageWarning>>,
    /// The `Cookie` fields, if they contain flows.
    flow_cookies: Option<Box<HeaderValue>>,
    effects: Option<Arc<dyn Effects<C>>>,
}

impl<C> SessionEngine<C> {
    /// Reads and verifies the session cookies of `request`. `now` is read before anything else is
    /// done for the request: it is the `iat` of a token that goes out with the response.
    ///
    /// There is always a jar: invalid cookies are no session, and the reasons are reported to
    /// `on_event`.
    #[must_use]
    pub fn open<B>(&self, request: &Request<B>, now: impl Into<ClockReading>) -> SessionJar<C> {
        self.open_for(RequestHead::from_request(request), now.into(), None)
    }

    /// [`open`](Self::open) with I/O effects.
    pub(crate) fn open_for(
        &self,
        head: RequestHead<'_>,
        now: ClockReading,
        effects: Option<Arc<dyn Effects<C>>>,
    ) -> SessionJar<C> {
        let (credential, cross_origin) = (CredentialKind::Cookie, None);
        let named = RequestedSession::None;
        let (activity, page_warning, is_for_device) = (false, None, false);
        let mut opening = OpenContext {
            head,
            now,
            named,
            credential,
            activity,
            cross_origin,
            is_for_device,
            page_warning,
            flow_cookies: None,
            effects,
        };
        if let Some(verifier) = &self.0.verifier {
            let (outcome, credential, cross_origin) = self.open_verified(verifier, head, now);
            return self.jar(OpenContext { credential, cross_origin, ..opening }, outcome);
        }
        opening.named = self.requested_session(head);
        let named = opening.named;
        if let Some(outcome) = self.open_bearer(head, named, now.timestamp()) {
            self.0.keys.observe(now);
            return self
                .jar(OpenContext { credential: CredentialKind::BearerToken, ..opening }, outcome);
        }
        let scan = CookieScan::new(head.headers, &self.0.cookie);
        if scan.has_flows() {
            opening.flow_cookies = scan.joined_fields().map(Box::new);
        }
        let handshake = head.is_websocket_handshake();
        // A sign-in needs no session cookie, and clients that are not browsers send no origin
        // signal: only a signal of another site refuses it.
        if !is_safe(head.method) {
            opening.cross_origin = self.check_origin(head, false).err();
            opening.page_warning = self.page_warning(head, opening.cross_origin.is_some());
            if let Some(device) = self.device_request(head) {
                (opening.named, opening.is_for_device) = (device, true);
                return self.read(opening, &scan, handshake);
            }
        }
        if scan.is_empty() && named == RequestedSession::None && !handshake {
            // A browser that sends a session cookie has not dropped it.
            if is_safe(head.method) && self.may_be_visited_over_http() {
                opening.page_warning = self.page_warning(head, false);
            }
            let (kind, first) = (SessionStatusKind::SignedOut, InitialSession::default());
            return self.jar(opening, OpenOutcome { kind, identity: None, first, state: None });
        }
        let known = if !scan.is_empty() && !handshake {
            let is_activity = || self.is_activity(head);
            self.open_cached(&scan, named, is_activity, now.timestamp())
        } else {
            None
        };
        match known {
            Some((identity, first)) => {
                let (kind, identity) = (identity.kind(), Some(identity));
                self.jar(opening, OpenOutcome { kind, identity, first, state: None })
            }
            None => {
                opening.activity = self.is_activity(head);
                self.read(opening, &scan, handshake)
            }
        }
    }

    /// The slow path: parses and verifies the cookies that decide.
    fn read(
        &self,
        mut opening: OpenContext<'_, C>,
        scan: &CookieScan<'_>,
        handshake: bool,
    ) -> SessionJar<C> {
        let OpenContext { head, now, named, activity, .. } = opening;
        self.0.keys.observe(now);
        let (max_accounts, several) = (self.max_account_cookies(), self.multi_session().is_some());
        let cookies = SessionCookies::read(scan, &self.0.cookie, max_accounts, named.session());
        let mut refused = None;
        if handshake {
            opening.cross_origin = self.check_origin(head, cookies.any_session()).err();
            refused = opening.cross_origin;
        }
        let mut reader = SessionSelector::new(self, &cookies, now.timestamp());
        let acting = match refused {
            Some(reason) => {
                self.report_refused_origin(head);
                self.reject(CredentialError::CrossOrigin(reason));
                Err(SessionStatusKind::CrossOrigin(reason))
            }
            None => reader.select(named, cookies.active, several),
        };
        let (pointer, now) = (cookies.active, now.timestamp());
        let (acting, unserved) = match acting {
            Ok(account) => self.check_device(&opening, account),
            Err(kind) => (Err(kind), None),
        };
        let (kind, current, undecoded) = match acting {
            Ok(account) => match self.current_session(account, activity, now) {
                Ok(current) => (current.session.identity_untracked().kind(), Some(current), None),
                Err(undecoded) => (SessionStatusKind::SignedOut, None, Some(*undecoded)),
            },
            Err(kind) => (kind, None, None),
        };
        let identity = current.as_ref().map(|current| current.session.identity_untracked().clone());
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
            && let Some(read) = reader.only_verified()
        {
            let acting = current.map(|CurrentSession { session, size, claims, .. }| {
                CachedSession { claims: session.shared_claims(), size, version: claims }
            });
            let has_more = cookies.slots().nth(1).is_some();
            let fields = if has_more { scan.joined_fields() } else { None };
            let deferred = Some(DeferredCookies { read, fields });
            let first = InitialSession { acting, pointer, deferred };
            return self.jar(opening, OpenOutcome { kind, identity, first, state: None });
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
        let (first, state) = (InitialSession::default(), Some(Box::new(Mutex::new(state))));
        self.jar(opening, OpenOutcome { kind, identity, first, state })
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
                let values = cookies.accounts.iter().map(|(_, values)| values);
                let tokens = values.chain([&cookies.single]).flat_map(CookieValues::values);
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
        let ValidSession { identity, claims, place, size, version } = account;
        let presented = identity.dates();
        let renew = claims.is_none() || self.is_due(&identity, activity, now);
        let identity = if renew { self.renewed(&identity, activity, now) } else { identity };
        let Some(claims) = claims else {
            return Err(Box::new(UndecodedSession { identity, presented, place, version }));
        };
        let (session, claims, changed) = (SessionData::new(identity, claims), version, false);
        Ok(CurrentSession { session, place, size, presented, renew, claims, changed })
    }

    fn jar(&self, opening: OpenContext<'_, C>, outcome: OpenOutcome<C>) -> SessionJar<C> {
        let OpenContext {
            head,
            now,
            named,
            credential,
            activity,
            cross_origin,
            page_warning,
            flow_cookies,
            effects,
            is_for_device: _,
        } = opening;
        let has_store = effects.as_ref().is_some_and(|effects| effects.has_store());
        let is_kept = has_store || self.0.copied_cookies.reaction.is_some();
        let user_agent = if is_kept { head.headers.get(USER_AGENT).cloned() } else { None };
        let path = head.uri.path_and_query().cloned();
        let accepts_bearer = self.accepts_bearer() || self.verifies_only();
        let OpenOutcome { kind, identity, first, state } = outcome;
        let engine = self.clone();
        // One expression, so that the compiler builds the large value in place.
        SessionJar::new(RequestState::new(
            kind,
            identity,
            (credential, accepts_bearer),
            path,
            now.timestamp(),
            JarInner {
                engine,
                opened: now,
                activity,
                is_named: named != RequestedSession::None,
                named: named.session(),
                cross_origin,
                page_warning,
                user_agent,
                flow_cookies,
                effects,
                phase: JarPhase::new(state.is_none()),
                first,
                state: state.map_or_else(OnceLock::new, OnceLock::from),
            },
        ))
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
        let mut buffer = [0; jws::PAYLOAD_LENGTH];
        let Decoded { registered, custom } = (self.0.codec.decode)(verified.payload(&mut buffer)?)?;
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
        dates.expires_at = self.limits(terms).expires_at(dates);
        let identity = SessionIdentity::new(
            registered.sid,
            registered.sub,
            dates,
            terms,
            registered.attributes,
        )
        .with_lineage(registered.jti);
        let (claims, not_before) = (custom.map(Arc::new), registered.nbf);
        Ok(CachedToken {
            verified: VerifiedToken { identity, claims, not_before },
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

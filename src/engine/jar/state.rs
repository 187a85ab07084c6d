//! The sessions of a jar's browser, and the changes that the jar records.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU8, Ordering},
};

use http::HeaderValue;

use super::{device::DeviceChanges, driver::PendingRevocation, flows::FlowChanges};
use crate::engine::{
    cookie::{
        parse::{ActiveCookie, SessionCookies},
        scan::{self, CookieName, CookieScan},
        set_cookie::{CookieSlot, SessionCookie},
    },
    issuer::verifier::AwaitingJwks,
    request::{session::Session, state::RequestState},
    revocation::latest_tokens::ClaimsVersion,
    session::{
        data::SessionData,
        device::Device,
        expiry::SessionTimes,
        id::SessionId,
        identity::{SessionIdentity, SessionStatusKind},
    },
    validate::{CookieValidation, ValidSession},
};

pub(crate) struct JarState<C> {
    /// The request's state after a change; `None` while the initial one holds.
    pub(crate) updated_state: Option<Arc<RequestState>>,
    pub(crate) presented: PresentedCookies,
    pub(crate) findings: CookieFindings,
    /// The session that this request acts as.
    pub(crate) current: Option<CurrentSession<C>>,
    /// The session that this request would act as if its claims could be decoded.
    pub(crate) undecoded: Option<UndecodedSession>,
    /// The session that this request would act as if the store could confirm it, or if the request had a
    /// proof of the device that it is bound to.
    pub(crate) unserved: Option<CurrentSession<C>>,
    pub(crate) others: OtherAccounts<C>,
    /// Sessions that the request no longer acts as, but whose changed claims must still be written.
    pub(crate) outgoing: Vec<CurrentSession<C>>,
    pub(crate) staged: Option<Box<StagedSignIn<C>>>,
    pub(crate) stored: StoreProgress,
    /// Sessions that this request revoked. They are revoked again when the response is ready.
    pub(crate) ended: Vec<SessionAndCookie>,
    /// The `Cookie` fields, if they exceed the limits of a browser and the request may change that.
    pub(crate) beyond_limits: Option<HeaderValue>,
    /// Whether every session cookie is removed.
    pub(crate) clear_all_cookies: bool,
    /// The new value of the active cookie; `None` leaves it unchanged.
    pub(crate) set_active: Option<SetActive>,
    /// The session whose claims were requested or set by the application. They are not requested
    /// again.
    pub(crate) claims_requested_for: Option<SessionId>,
    /// The flows that the request started and finished.
    pub(crate) flows: FlowChanges,
    /// What the response states about the device of the session.
    pub(crate) device: DeviceChanges,
    pub(crate) closed: bool,
    /// Tokens that wait for their issuer's JWKS.
    pub(crate) awaiting: Option<AwaitingJwks>,
}

/// What the store has confirmed and recorded for the request, and what it has yet to record.
#[derive(Debug, Default)]
pub(crate) struct StoreProgress {
    /// Sessions that the store confirmed. They are not checked again.
    pub(crate) confirmed: Vec<SessionId>,
    /// The sign-in that the store has recorded.
    pub(crate) created: Option<SessionId>,
    /// Sign-ins that the store has recorded and that no response will carry.
    pub(crate) abandoned_sign_ins: Vec<SessionIdentity>,
    /// Revocations that the store has not received yet.
    pub(crate) revocations: Vec<PendingRevocation>,
}

/// Verified tokens that are not served as accounts.
#[derive(Debug, Default)]
pub(crate) struct CookieFindings {
    /// Cookies whose tokens all belong to expired or revoked sessions, with those sessions. They
    /// can be removed.
    pub(crate) removable: Vec<(CookieSlot, Vec<SessionId>)>,
    /// Valid sessions that share one cookie name. None of them is served.
    pub(crate) conflicting: Vec<SessionAndCookie>,
    /// Sessions whose presented token is not served, but that may have a newer valid token.
    pub(crate) superseded: Vec<SessionAndCookie>,
    /// Cookies whose tokens this process cannot verify.
    pub(crate) unverifiable: Vec<CookieSlot>,
}

impl CookieFindings {
    pub(crate) const fn is_empty(&self) -> bool {
        self.removable.is_empty() && self.conflicting.is_empty() && self.superseded.is_empty()
    }

    /// Records the validation of the cookie at `place` and returns its account.
    pub(crate) fn add<C>(
        &mut self,
        place: CookieSlot,
        validation: CookieValidation<C>,
    ) -> Option<ValidSession<C>> {
        let here = |identity| SessionAndCookie { identity, place: Some(place) };
        if !validation.removable.is_empty() {
            // Before the session cookie: if a response has no room for both, the next one removes both.
            let proofs = validation.removable_proofs.into_iter();
            self.removable.extend(proofs.map(|id| (CookieSlot::Proof(id), vec![id])));
            self.removable.push((place, validation.removable));
        }
        if validation.is_unverifiable {
            self.unverifiable.push(place);
        }
        self.conflicting.extend(validation.conflicting.into_iter().map(here));
        self.superseded.extend(validation.superseded.into_iter().map(here));
        validation.account
    }
}

/// The session cookies of the request, whatever they contain.
#[derive(Debug, Default)]
pub(crate) struct PresentedCookies {
    pub(crate) places: Vec<CookieSlot>,
    pub(crate) pointer: ActiveCookie,
    /// The `Cookie` fields, if they have proof cookies and the fast path did not serve the request by the only
    /// session cookie.
    pub(crate) proofs: Option<HeaderValue>,
}

impl PresentedCookies {
    /// The proof cookies: the ids of their sessions, and their bytes.
    ///
    /// In one function, so that the compiler inlines the search into the path of every request.
    #[inline(never)]
    pub(super) fn proof_cookies(
        &self,
        cookie: &SessionCookie,
    ) -> Vec<(&[u8; SessionId::LENGTH], usize)> {
        let Some(fields) = &self.proofs else { return Vec::new() };
        let pairs = scan::session_cookies(fields.as_bytes(), cookie);
        let proofs = pairs.filter_map(|(name, value)| match name {
            CookieName::Proof(id) => Some((id, cookie.pair_length(name, value))),
            _ => None,
        });
        proofs.collect()
    }

    /// The bytes of the proof cookie of the session `id`, if there is one.
    pub(super) fn proof_cookie(&self, cookie: &SessionCookie, id: SessionId) -> Option<usize> {
        let is_meant = |of: &[u8]| *of == *id.as_str().as_bytes();
        let mut proofs = self.proof_cookies(cookie).into_iter();
        proofs.find(|(of, _)| is_meant(*of)).map(|(_, bytes)| bytes)
    }
}

pub(crate) struct CurrentSession<C> {
    pub(crate) session: SessionData<C>,
    pub(crate) place: CookieSlot,
    /// Length of the token that was presented, in bytes.
    pub(crate) size: usize,
    /// The times of the session in that token.
    pub(crate) presented: SessionTimes,
    /// Whether the response carries a new token.
    pub(crate) renew: bool,
    /// The version of these claims; `None` if they may be old.
    pub(crate) claims: Option<ClaimsVersion>,
    /// Whether the application changed them in this request.
    pub(crate) changed: bool,
}

impl<C> CurrentSession<C> {
    /// The session as its token has it, which is not renewed.
    pub(crate) fn new(
        session: SessionData<C>,
        place: CookieSlot,
        size: usize,
        claims: Option<ClaimsVersion>,
    ) -> Self {
        let presented = session.identity().dates();
        Self { session, place, size, presented, renew: false, claims, changed: false }
    }

    /// A session whose cookie this engine never writes.
    pub(crate) fn without_cookie(session: SessionData<C>) -> Self {
        Self::new(session, CookieSlot::Single, 0, None)
    }

    /// The application changes the session to `next`. A slow renewal of another request must not undo
    /// that.
    pub(super) fn change(&mut self, next: SessionIdentity) {
        self.session = self.session.with_identity(next);
        self.renew = true;
        self.changed = true;
    }
}

impl<C> ValidSession<C> {
    /// The session with the values of its token, which is not renewed; `None` if its claims cannot be decoded.
    pub(crate) fn into_unrenewed(self) -> Option<CurrentSession<C>> {
        let Self { session, place, size, version } = self;
        Some(CurrentSession::new(session.into_decoded()?, place, size, version))
    }
}

impl<C> Clone for CurrentSession<C> {
    fn clone(&self) -> Self {
        Self { session: self.session.clone(), ..*self }
    }
}

/// A session whose claims cannot be decoded, with the values of its next token.
pub(crate) struct UndecodedSession {
    pub(crate) identity: SessionIdentity,
    /// The times of the presented token.
    pub(crate) presented: SessionTimes,
    pub(crate) place: CookieSlot,
    pub(crate) version: Option<ClaimsVersion>,
}

/// The sessions of this browser that the request does not act as.
pub(crate) struct OtherAccounts<C> {
    pub(crate) accounts: Vec<ValidSession<C>>,
    pub(crate) unread: Vec<UnparsedCookies>,
    /// Cookies that were not read, because the request has too many.
    pub(crate) beyond: Option<CookiesBeyondBounds>,
}

/// The `Cookie` fields of a request that has more session cookies, values or bytes than are read to
/// find its session. The rest is read before accounts are listed, signed in or signed out: a
/// cookie that was not read may hold a valid session.
pub(crate) struct CookiesBeyondBounds {
    pub(crate) fields: HeaderValue,
    /// The cookies of which every value was read.
    pub(crate) complete: Vec<CookieSlot>,
    /// The fields are so long that nothing was read.
    pub(crate) too_large: bool,
}

impl CookiesBeyondBounds {
    /// `None` if every cookie that `scan` found was read.
    pub(crate) fn new(cookies: &SessionCookies<'_>, scan: &CookieScan<'_>) -> Option<Self> {
        let fields = if cookies.has_unread() { scan.joined_fields()? } else { return None };
        let (complete, too_large) = (cookies.read_completely().collect(), cookies.too_large);
        Some(Self { fields, complete, too_large })
    }
}

/// The result of opening a request.
pub(crate) struct OpenOutcome<C> {
    pub(crate) kind: SessionStatusKind,
    pub(crate) first: InitialSession<C>,
    /// `None` if nothing is waiting to be written or checked.
    pub(crate) state: Option<Box<Mutex<JarState<C>>>>,
}

/// The session of a request when the request came in.
pub(crate) struct InitialSession<C> {
    /// The session that the request acts as.
    pub(crate) session: Option<SessionData<C>>,
    pub(crate) pointer: ActiveCookie,
    /// The cookie that was read, if the full state is created from it when it is needed.
    pub(crate) read: Option<ReadCookie>,
}

/// The session cookie of a request that was read. The others are parsed when they are needed.
pub(crate) struct ReadCookie {
    pub(crate) place: CookieSlot,
    /// Length of its token, in bytes.
    pub(crate) size: usize,
    /// See [`CurrentSession::claims`].
    pub(crate) version: Option<ClaimsVersion>,
    /// The `Cookie` fields, if they contain more session cookies than the one that was read.
    pub(crate) fields: Option<HeaderValue>,
}

/// A cookie that has not been verified yet.
#[derive(Clone)]
pub(crate) struct UnparsedCookies {
    pub(crate) place: CookieSlot,
    pub(crate) tokens: Vec<Box<[u8]>>,
}

/// A sign-in that is written with the response.
pub(crate) struct StagedSignIn<C> {
    pub(crate) identity: SessionIdentity,
    /// The session and its token, once its claims are known.
    pub(crate) ready: Option<(Session<C>, String)>,
    pub(crate) displacement: Displacement,
    /// The device that the application stated.
    pub(crate) device: Option<Device>,
    /// The pending session that it activates.
    pub(crate) activates: Option<SessionId>,
}

/// The sessions that a sign-in revokes.
pub(crate) struct Displacement {
    /// Sessions of this browser that the new session replaces.
    pub(crate) replaces: Vec<SessionAndCookie>,
    /// Sessions of other accounts that are evicted by the limits of a browser.
    pub(crate) evicted: Vec<SessionAndCookie>,
    /// Sessions that this process considers expired.
    pub(crate) superseded: Vec<SessionAndCookie>,
}

impl Displacement {
    pub(crate) fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &SessionAndCookie> {
        self.replaces.iter().chain(&self.evicted).chain(&self.superseded)
    }

    /// Whether the sign-in revokes the session `id`.
    pub(crate) fn ends(&self, id: SessionId) -> bool {
        self.replaces.iter().chain(&self.evicted).any(|session| session.identity.id() == id)
    }
}

/// A session and the cookie that holds it.
#[derive(Debug, Clone)]
pub(crate) struct SessionAndCookie {
    pub(crate) identity: SessionIdentity,
    pub(crate) place: Option<CookieSlot>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetActive {
    Session(SessionId),
    None,
    /// Remove the cookie: there are no accounts left.
    Remove,
}

impl<C> Default for InitialSession<C> {
    /// For a request without session cookies.
    fn default() -> Self {
        Self { session: None, pointer: ActiveCookie::Absent, read: None }
    }
}

impl<C> Default for JarState<C> {
    /// For a request without session cookies.
    fn default() -> Self {
        Self {
            updated_state: None,
            presented: PresentedCookies::default(),
            findings: CookieFindings::default(),
            current: None,
            undecoded: None,
            unserved: None,
            others: OtherAccounts { accounts: Vec::new(), unread: Vec::new(), beyond: None },
            outgoing: Vec::new(),
            staged: None,
            stored: StoreProgress::default(),
            ended: Vec::new(),
            beyond_limits: None,
            clear_all_cookies: false,
            set_active: None,
            claims_requested_for: None,
            flows: FlowChanges::default(),
            device: DeviceChanges::default(),
            closed: false,
            awaiting: None,
        }
    }
}

impl<C> JarState<C> {
    /// Whether no sign-in and no flow of the request needs a new cookie.
    pub(crate) fn has_no_new_cookie(&self) -> bool {
        self.staged.is_none() && self.flows.started.is_empty()
    }

    /// Reads the cookies that were not read at first, so that they are verified with the others.
    pub(crate) fn read_beyond_bounds(&mut self, cookie: &SessionCookie) {
        let Some(CookiesBeyondBounds { fields, complete, .. }) = self.others.beyond.take() else {
            return;
        };
        for (place, tokens) in SessionCookies::read_all(&fields, cookie) {
            if !self.presented.places.contains(&place) {
                self.presented.places.push(place);
            }
            if complete.contains(&place) {
                continue;
            }
            self.others.unread.retain(|unread| unread.place != place);
            let tokens = tokens.into_iter().map(Box::from).collect();
            self.others.unread.push(UnparsedCookies { place, tokens });
        }
    }

    /// Records the verified cookies of the other accounts, unless a concurrent caller was faster.
    pub(crate) fn add_others(&mut self, validation: Vec<(CookieSlot, CookieValidation<C>)>) {
        for (place, validation) in validation {
            let unread = &mut self.others.unread;
            let Some(waiting) = unread.iter().position(|unread| unread.place == place) else {
                continue;
            };
            unread.swap_remove(waiting);
            let account = self.findings.add(place, validation);
            self.others.accounts.extend(account);
        }
        // One session may have two cookies while a browser moves from one account to several: the
        // one that the request acts as counts, otherwise the newest token.
        let acting = self.acting().map(|acting| acting.identity.id());
        let mut accounts: Vec<ValidSession<C>> = Vec::new();
        for account in std::mem::take(&mut self.others.accounts) {
            let id = account.identity().id();
            match accounts.iter_mut().find(|other| other.identity().id() == id) {
                _ if acting == Some(id) => {}
                Some(other) if other.identity().issued_at() < account.identity().issued_at() => {
                    *other = account;
                }
                Some(_) => {}
                None => accounts.push(account),
            }
        }
        self.others.accounts = accounts;
    }

    /// The session that the request acts as, whether or not its claims decode.
    pub(crate) fn acting(&self) -> Option<SessionAndCookie> {
        let current = self.current.as_ref().or(self.unserved.as_ref());
        let current = current.map(|current| (current.session.identity(), current.place));
        let undecoded = self.undecoded.as_ref().map(|session| (&session.identity, session.place));
        current.or(undecoded).map(|(identity, place)| SessionAndCookie {
            identity: identity.clone(),
            place: Some(place),
        })
    }

    /// Every valid session of this browser. The other cookies must have been verified.
    pub(crate) fn live(&self) -> Vec<SessionAndCookie> {
        let others = self.others.accounts.iter().map(|account| SessionAndCookie {
            identity: account.identity().clone(),
            place: Some(account.place),
        });
        self.acting().into_iter().chain(others).collect()
    }

    /// `meant` and, with several accounts, every other session of the same account: of two
    /// concurrent sign-ins neither replaced the other. The other cookies must have been verified.
    pub(crate) fn with_same_account(
        &self,
        meant: SessionAndCookie,
        several: bool,
    ) -> Vec<SessionAndCookie> {
        let is_twin = |session: &SessionAndCookie| {
            session.identity.is_same_account(&meant.identity)
                && session.identity.id() != meant.identity.id()
        };
        let conflicting = self.findings.conflicting.iter().cloned();
        let twins: Vec<_> = self
            .live()
            .into_iter()
            .chain(conflicting)
            .filter(|session| several && is_twin(session))
            .collect();
        std::iter::once(meant).chain(twins).collect()
    }

    /// Takes the sessions of the same account whose presented token is not served.
    pub(crate) fn take_superseded_of(
        &mut self,
        account: &SessionIdentity,
    ) -> Vec<SessionAndCookie> {
        let superseded = std::mem::take(&mut self.findings.superseded);
        let (same, others): (Vec<_>, _) =
            superseded.into_iter().partition(|it| it.identity.is_same_account(account));
        self.findings.superseded = others;
        let live = self.live();
        let is_shared = |place| {
            live.iter().any(|it| it.place == Some(place) && !it.identity.is_same_account(account))
        };
        // A cookie that also holds another account's session stays.
        same.into_iter()
            .map(|it| SessionAndCookie { place: it.place.filter(|place| !is_shared(*place)), ..it })
            .collect()
    }

    /// Removes the session `id`, which is revoked.
    pub(crate) fn forget(&mut self, id: SessionId) {
        let stays = |session: &SessionAndCookie| session.identity.id() != id;
        self.findings.conflicting.retain(stays);
        self.findings.superseded.retain(stays);
        if let Some(pending) = &mut self.staged {
            pending.displacement.replaces.retain(stays);
            pending.displacement.evicted.retain(stays);
        }
        self.current.take_if(|current| current.session.identity().id() == id);
        self.outgoing.retain(|current| current.session.identity().id() != id);
        self.undecoded.take_if(|session| session.identity.id() == id);
        self.unserved.take_if(|current| current.session.identity().id() == id);
        self.others.accounts.retain(|account| account.identity().id() != id);
    }
}

/// Whether a jar has been used, and whether it is closed.
pub(crate) struct JarPhase(AtomicU8);

impl JarPhase {
    const UNTOUCHED: u8 = 0;
    const TOUCHED: u8 = 1;
    /// Closed before a full state was created.
    const CLOSED: u8 = 2;

    /// Untouched if the jar has only its initial state.
    pub(crate) const fn new(is_untouched: bool) -> Self {
        Self(AtomicU8::new(if is_untouched { Self::UNTOUCHED } else { Self::TOUCHED }))
    }

    /// Marks the jar as used. Returns whether it was closed before.
    pub(super) fn touch(&self) -> bool {
        self.0.swap(Self::TOUCHED, Ordering::AcqRel) == Self::CLOSED
    }

    /// Closes the jar if it is unused. Returns whether it did.
    pub(super) fn close(&self) -> bool {
        let closed = self.0.compare_exchange(
            Self::UNTOUCHED,
            Self::CLOSED,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        closed.is_ok()
    }

    pub(super) fn is_untouched(&self) -> bool {
        self.0.load(Ordering::Acquire) == Self::UNTOUCHED
    }
}

//! What a jar knows of its browser's sessions, and the changes it records.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU8, Ordering},
};

use http::HeaderValue;

use crate::engine::{
    cookie::{parse::ActiveCookie, set_cookie::CookieSlot},
    issuer::verifier::AwaitingJwks,
    request::{
        session::{Session, SessionData},
        state::RequestState,
    },
    session::{
        device::Device,
        expiry::SessionTimes,
        id::{SessionId, Subject},
        identity::{SessionIdentity, SessionStatusKind},
    },
    session_engine::SessionEngine,
    validate::{CookieValidation, ValidSession},
};

pub(crate) struct JarState<C> {
    /// What is known of the request by now, where that is not what was found out at first.
    pub(crate) updated_state: Option<Arc<RequestState>>,
    pub(crate) presented: PresentedCookies,
    pub(crate) findings: CookieFindings,
    /// The session that this request acts as.
    pub(crate) current: Option<CurrentSession<C>>,
    /// The session that this request would act as if its claims decoded.
    pub(crate) undecoded: Option<UndecodedSession>,
    /// The session that this request would act as if a store could say that it lives.
    pub(crate) unavailable: Option<CurrentSession<C>>,
    pub(crate) others: OtherAccounts<C>,
    /// Sessions that the request does not act as any more, but whose claims the application changed.
    pub(crate) outgoing: Vec<CurrentSession<C>>,
    pub(crate) staged: Option<Box<StagedSignIn<C>>>,
    pub(crate) stored: StoreProgress,
    /// Sessions that this request ended, to be ended once more when the response is ready.
    pub(crate) ended: Vec<SessionAndCookie>,
    /// Every cookie of ours goes.
    pub(crate) clear_all_cookies: bool,
    /// Whom the pointer is to name: `None` leaves it alone.
    pub(crate) set_active: Option<SetActive>,
    /// Whose claims were asked for, or given by the application: they are not asked for again.
    pub(crate) claims_requested_for: Option<SessionId>,
    pub(crate) closed: bool,
    /// Tokens of an issuer that has to be asked for its keys.
    pub(crate) awaiting: Option<AwaitingJwks>,
}

/// What a store was asked, where there is one.
#[derive(Debug, Default)]
pub(crate) struct StoreProgress {
    /// Sessions that it says live: they are not asked for again.
    pub(crate) confirmed: Vec<SessionId>,
    /// The sign-in that it keeps.
    pub(crate) created: Option<SessionId>,
    /// Sign-ins that it keeps and no response will carry: nobody holds their tokens.
    pub(crate) abandoned_sign_ins: Vec<SessionIdentity>,
    /// Sessions that ended here, and that it must be told of.
    pub(crate) to_revoke: Vec<SessionIdentity>,
    /// Subjects that signed out everywhere, of which the same holds.
    pub(crate) subjects_to_revoke: Vec<Subject>,
}

/// What verified beside the accounts.
#[derive(Debug, Default)]
pub(crate) struct CookieFindings {
    /// Cookies of which every token is of a session that is over, with those sessions: they can go.
    pub(crate) removable: Vec<(CookieSlot, Vec<SessionId>)>,
    /// Sessions that live under one name, of which none is served.
    pub(crate) conflicting: Vec<SessionAndCookie>,
    /// Sessions whose token is not served, but which may live on in a newer one.
    pub(crate) superseded: Vec<SessionAndCookie>,
}

impl CookieFindings {
    pub(crate) const fn is_empty(&self) -> bool {
        self.removable.is_empty() && self.conflicting.is_empty() && self.superseded.is_empty()
    }

    /// Takes down what the cookie at `place` came to, and gives back the account in it.
    pub(crate) fn add<C>(
        &mut self,
        place: CookieSlot,
        validation: CookieValidation<C>,
    ) -> Option<ValidSession<C>> {
        let here = |identity| SessionAndCookie { identity, place: Some(place) };
        if !validation.removable.is_empty() {
            self.removable.push((place, validation.removable));
        }
        self.conflicting.extend(validation.conflicting.into_iter().map(here));
        self.superseded.extend(validation.superseded.into_iter().map(here));
        validation.account
    }
}

/// The cookies of ours that the request carries, whatever is in them.
#[derive(Debug, Default)]
pub(crate) struct PresentedCookies {
    pub(crate) places: Vec<CookieSlot>,
    pub(crate) pointer: ActiveCookie,
}

pub(crate) struct CurrentSession<C> {
    pub(crate) session: SessionData<C>,
    pub(crate) place: CookieSlot,
    /// Length of the token that was presented, in bytes.
    pub(crate) size: usize,
    /// The session as that token has it.
    pub(crate) presented: SessionTimes,
    /// A new token goes out with the response.
    pub(crate) renew: bool,
    /// Which of the session's claims these are, if they are not known to be old.
    pub(crate) claims: Option<u64>,
    /// The application changed them now.
    pub(crate) changed: bool,
}

impl<C> Clone for CurrentSession<C> {
    fn clone(&self) -> Self {
        Self { session: self.session.clone(), ..*self }
    }
}

/// A session as it stands in its next token, for which claims are wanting.
pub(crate) struct UndecodedSession {
    pub(crate) identity: SessionIdentity,
    /// The session as the token has it that was presented.
    pub(crate) presented: SessionTimes,
    pub(crate) place: CookieSlot,
    pub(crate) version: Option<u64>,
}

/// The sessions of this browser that the request does not act as.
pub(crate) struct OtherAccounts<C> {
    pub(crate) accounts: Vec<ValidSession<C>>,
    pub(crate) unread: Vec<UnparsedCookies>,
}

/// What a request acts as, and what its jar is to hold.
pub(crate) struct OpenOutcome<C> {
    pub(crate) kind: SessionStatusKind,
    pub(crate) identity: Option<SessionIdentity>,
    pub(crate) first: InitialSession<C>,
    /// Where there is more to it. Without it nothing waits to be written or asked.
    pub(crate) state: Option<Box<Mutex<JarState<C>>>>,
}

/// What was found out when the request came in, where that was simple.
pub(crate) struct InitialSession<C> {
    /// What the request acts as, beside the identity that its record has.
    pub(crate) acting: Option<CachedSession<C>>,
    pub(crate) pointer: ActiveCookie,
    pub(crate) deferred: Option<DeferredCookies>,
}

/// A session that is served as its token has it.
pub(crate) struct CachedSession<C> {
    pub(crate) claims: Arc<C>,
    pub(crate) size: usize,
    pub(crate) version: Option<u64>,
}

/// The cookies of ours in a request of which one was read, left as they came until something asks
/// for them.
pub(crate) struct DeferredCookies {
    pub(crate) read: CookieSlot,
    /// The `Cookie` fields, where there is more of ours than what was read.
    pub(crate) fields: Option<HeaderValue>,
}

/// Cookies that nobody has asked for yet.
#[derive(Clone)]
pub(crate) struct UnparsedCookies {
    pub(crate) place: CookieSlot,
    pub(crate) tokens: Vec<Box<[u8]>>,
}

/// A sign-in that waits for the response.
pub(crate) struct StagedSignIn<C> {
    pub(crate) identity: SessionIdentity,
    /// The session and its token, once there are claims.
    pub(crate) ready: Option<(Session<C>, String)>,
    pub(crate) displacement: Displacement,
    /// What the application says of it.
    pub(crate) device: Option<Device>,
    /// The pending session that it is made of.
    pub(crate) activates: Option<SessionId>,
}

/// Who ends when somebody signs in.
pub(crate) struct Displacement {
    /// Sessions of this browser that end with it, because it stands in their place.
    pub(crate) replaces: Vec<SessionAndCookie>,
    /// Sessions of other accounts that end with it, because a browser holds only so many.
    pub(crate) evicted: Vec<SessionAndCookie>,
    /// Sessions that had run out here, or seemed to.
    pub(crate) superseded: Vec<SessionAndCookie>,
}

impl Displacement {
    pub(crate) fn is_empty(&self) -> bool {
        self.replaces.is_empty() && self.evicted.is_empty() && self.superseded.is_empty()
    }

    /// Whether the account `id` does not outlast the sign-in.
    pub(crate) fn ends(&self, id: SessionId) -> bool {
        self.replaces.iter().chain(&self.evicted).any(|session| session.identity.id() == id)
    }
}

/// A session that is over, and where its cookie is.
#[derive(Debug, Clone)]
pub(crate) struct SessionAndCookie {
    pub(crate) identity: SessionIdentity,
    pub(crate) place: Option<CookieSlot>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetActive {
    Session(SessionId),
    None,
    /// There is nobody left to choose from: the pointer goes.
    Remove,
}

impl<C> Default for InitialSession<C> {
    /// Of a request without a cookie of ours.
    fn default() -> Self {
        Self { acting: None, pointer: ActiveCookie::Absent, deferred: None }
    }
}

impl<C> Default for JarState<C> {
    /// Of a request without a cookie of ours.
    fn default() -> Self {
        Self {
            updated_state: None,
            presented: PresentedCookies::default(),
            findings: CookieFindings::default(),
            current: None,
            undecoded: None,
            unavailable: None,
            others: OtherAccounts { accounts: Vec::new(), unread: Vec::new() },
            outgoing: Vec::new(),
            staged: None,
            stored: StoreProgress::default(),
            ended: Vec::new(),
            clear_all_cookies: false,
            set_active: None,
            claims_requested_for: None,
            closed: false,
            awaiting: None,
        }
    }
}

impl<C> JarState<C> {
    /// Takes in what was verified of the other accounts, unless somebody else was faster.
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
        // One session may have two cookies while a browser moves from one account to several: what
        // the request acts as counts, else the newest token.
        let acting = self.acting().map(|acting| acting.identity.id());
        let mut accounts: Vec<ValidSession<C>> = Vec::new();
        for account in std::mem::take(&mut self.others.accounts) {
            let id = account.identity.id();
            match accounts.iter_mut().find(|other| other.identity.id() == id) {
                _ if acting == Some(id) => {}
                Some(other) if other.identity.issued_at() < account.identity.issued_at() => {
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
        let current = self.current.as_ref().or(self.unavailable.as_ref());
        let current = current.map(|current| (current.session.identity_untracked(), current.place));
        let undecoded = self.undecoded.as_ref().map(|session| (&session.identity, session.place));
        current.or(undecoded).map(|(identity, place)| SessionAndCookie {
            identity: identity.clone(),
            place: Some(place),
        })
    }

    /// Every session of this browser that lives; the others must have been read.
    pub(crate) fn live(&self) -> Vec<SessionAndCookie> {
        let others = self.others.accounts.iter().map(|account| SessionAndCookie {
            identity: account.identity.clone(),
            place: Some(account.place),
        });
        self.acting().into_iter().chain(others).collect()
    }

    /// `meant` and, of several accounts, every other session of its account: of two sign-ins at once
    /// neither knew that the other one was to be replaced. The others must have been read.
    pub(crate) fn with_same_account(
        &self,
        meant: SessionAndCookie,
        several: bool,
    ) -> Vec<SessionAndCookie> {
        let is_twin = |session: &SessionAndCookie| {
            session.identity.is_same_account(&meant.identity)
                && session.identity.id() != meant.identity.id()
        };
        let twins: Vec<_> = self.live().into_iter().filter(|s| several && is_twin(s)).collect();
        std::iter::once(meant).chain(twins).collect()
    }

    /// What the cookies of the others take of the budget.
    pub(crate) fn bytes_of_others(&self, engine: &SessionEngine<C>) -> usize {
        let read = self.others.accounts.iter().map(|account| engine.cookie_size(account.size));
        let tokens = self.others.unread.iter().flat_map(|unread| &unread.tokens);
        read.chain(tokens.map(|token| engine.cookie_size(token.len()))).sum()
    }

    /// Forgets the session `id`: it is over.
    pub(crate) fn forget(&mut self, id: SessionId) {
        let stays = |session: &SessionAndCookie| session.identity.id() != id;
        self.findings.conflicting.retain(stays);
        self.findings.superseded.retain(stays);
        if let Some(pending) = &mut self.staged {
            pending.displacement.replaces.retain(stays);
            pending.displacement.evicted.retain(stays);
        }
        self.current.take_if(|current| current.session.identity_untracked().id() == id);
        self.outgoing.retain(|current| current.session.identity_untracked().id() != id);
        self.undecoded.take_if(|session| session.identity.id() == id);
        self.unavailable.take_if(|current| current.session.identity_untracked().id() == id);
        self.others.accounts.retain(|account| account.identity.id() != id);
    }
}

/// Whether anybody has looked into a jar.
pub(crate) struct JarPhase(AtomicU8);

impl JarPhase {
    const UNTOUCHED: u8 = 0;
    const TOUCHED: u8 = 1;
    /// Closed, though its state does not say so.
    const CLOSED: u8 = 2;

    /// Of a jar that holds no more than what was found out at first, or of any other.
    pub(crate) const fn new(is_untouched: bool) -> Self {
        Self(AtomicU8::new(if is_untouched { Self::UNTOUCHED } else { Self::TOUCHED }))
    }

    /// Notes that somebody looks into it; whether it has been closed.
    pub(super) fn touch(&self) -> bool {
        self.0.swap(Self::TOUCHED, Ordering::AcqRel) == Self::CLOSED
    }

    /// Closes a jar that nobody has looked into. Whether there was nothing else to be done.
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

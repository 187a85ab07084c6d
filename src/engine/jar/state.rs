//! What a jar knows of its browser's sessions, and the changes it records.

use std::sync::Arc;

use crate::{
    engine::{
        SessionEngine,
        account::Account,
        cookie::Place,
        cookie_header::Pointer,
        cross_origin::CrossOrigin,
        id::SessionId,
        session::{RequestRecord, Session, SessionIdentity},
    },
    time::{Now, Timestamp},
};

/// What opening a request's cookies found out.
pub(crate) struct Opened<C> {
    pub(crate) engine: SessionEngine<C>,
    pub(crate) now: Now,
    pub(crate) activity: bool,
    pub(crate) cross_origin: Option<CrossOrigin>,
    pub(crate) state: State<C>,
}

pub(crate) struct State<C> {
    pub(crate) record: Arc<RequestRecord>,
    pub(crate) presented: Presented,
    /// Cookies of which every token is of a session that is over: they can go.
    pub(crate) removable: Vec<Place>,
    /// The session that this request acts as.
    pub(crate) held: Option<Held<C>>,
    /// The session that this request would act as if its claims decoded.
    pub(crate) undecoded: Option<Undecoded>,
    /// Sessions that live under one name, of which none is served: they end with a sign-out.
    pub(crate) strays: Vec<SessionIdentity>,
    pub(crate) others: Others<C>,
    pub(crate) signing_in: Option<Box<Pending<C>>>,
    /// Sessions that this request ended, to be ended once more when the response is ready.
    pub(crate) ended: Vec<Ended>,
    /// Every cookie of ours goes.
    pub(crate) clears: bool,
    /// Whom the pointer is to name: `None` leaves it alone.
    pub(crate) points_to: Option<PointTo>,
    pub(crate) claims_asked: bool,
    pub(crate) closed: bool,
}

/// The cookies of ours that the request carries, whatever is in them.
#[derive(Debug, Default)]
pub(crate) struct Presented {
    pub(crate) places: Vec<Place>,
    pub(crate) pointer: Pointer,
}

pub(crate) struct Held<C> {
    pub(crate) session: Session<C>,
    pub(crate) place: Place,
    /// Length of the token that was presented, in bytes.
    pub(crate) size: usize,
    /// A new token goes out with the response.
    pub(crate) renew: bool,
}

/// A session as it stands in its next token, for which claims are wanting.
pub(crate) struct Undecoded {
    pub(crate) identity: SessionIdentity,
    pub(crate) place: Place,
}

/// The sessions of this browser that the request does not act as.
pub(crate) struct Others<C> {
    pub(crate) accounts: Vec<Account<C>>,
    pub(crate) unread: Vec<Unread>,
}

/// Cookies that nobody has asked for yet.
pub(crate) struct Unread {
    pub(crate) place: Place,
    pub(crate) tokens: Vec<Box<[u8]>>,
}

/// A sign-in that waits for the response.
pub(crate) struct Pending<C> {
    pub(crate) identity: SessionIdentity,
    /// The session and its token, once there are claims.
    pub(crate) ready: Option<(Session<C>, String)>,
    /// Sessions of this browser that end with it, the replaced one first.
    pub(crate) ends: Vec<Ended>,
    pub(crate) replaced: Option<SessionId>,
}

/// A session that is over, and where its cookie is.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) identity: SessionIdentity,
    pub(crate) place: Option<Place>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PointTo {
    Session(SessionId),
    Nobody,
    /// There is nobody left to choose from: the pointer goes.
    Gone,
}

impl<C> State<C> {
    /// Verifies what nobody has asked for yet.
    pub(crate) fn read_others(&mut self, engine: &SessionEngine<C>, now: Timestamp) {
        for Unread { place, tokens } in std::mem::take(&mut self.others.unread) {
            let tokens: Vec<&[u8]> = tokens.iter().map(AsRef::as_ref).collect();
            let judged = engine.judge(place, &tokens, now);
            if judged.is_over {
                self.removable.push(place);
            }
            self.strays.extend(judged.strays);
            self.others.accounts.extend(judged.account);
        }
        // One session may have two cookies while a browser moves from one account to several: what
        // the request acts as counts, else the newest token.
        let acting = self.acting().map(|acting| acting.identity.id());
        let mut accounts: Vec<Account<C>> = Vec::new();
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
    pub(crate) fn acting(&self) -> Option<Ended> {
        let held = self.held.as_ref().map(|held| (held.session.peek(), held.place));
        let undecoded = self.undecoded.as_ref().map(|session| (&session.identity, session.place));
        held.or(undecoded)
            .map(|(identity, place)| Ended { identity: identity.clone(), place: Some(place) })
    }

    /// Every session of this browser that lives; the others must have been read.
    pub(crate) fn live(&self) -> Vec<Ended> {
        let others = self.others.accounts.iter().map(|account| Ended {
            identity: account.identity.clone(),
            place: Some(account.place),
        });
        self.acting().into_iter().chain(others).collect()
    }

    /// Forgets the session `id`: it is over.
    pub(crate) fn forget(&mut self, id: SessionId) {
        self.held.take_if(|held| held.session.peek().id() == id);
        self.undecoded.take_if(|session| session.identity.id() == id);
        self.others.accounts.retain(|account| account.identity.id() != id);
    }
}

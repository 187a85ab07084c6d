//! What a jar knows of its browser's sessions, and the changes it records.

use std::sync::Arc;

use crate::{
    engine::{
        SessionEngine,
        cross_origin::CrossOrigin,
        session::{RequestRecord, Session, SessionIdentity},
    },
    time::Now,
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
    /// A cookie of our name was on the request.
    pub(crate) presented: bool,
    /// Every token that was presented is of a session that is over: the cookie can go.
    pub(crate) removable: bool,
    /// The session that this request acts as.
    pub(crate) held: Option<Held<C>>,
    /// A session that lives, but whose claims do not decode: as it stands in its next token.
    pub(crate) undecoded: Option<SessionIdentity>,
    /// Sessions that live and were presented, but are not served because there were several.
    pub(crate) others: Vec<SessionIdentity>,
    pub(crate) change: Change<C>,
    pub(crate) claims_asked: bool,
    pub(crate) closed: bool,
}

pub(crate) struct Held<C> {
    pub(crate) session: Session<C>,
    /// A new token goes out with the response.
    pub(crate) renew: bool,
}

pub(crate) enum Change<C> {
    None,
    SignIn(Box<Pending<C>>),
    /// With the sessions that were ended, to be ended once more when the response is ready.
    SignOut(Vec<SessionIdentity>),
}

/// A sign-in that waits for the response.
pub(crate) struct Pending<C> {
    pub(crate) identity: SessionIdentity,
    /// The session and its token, once there are claims.
    pub(crate) ready: Option<(Session<C>, String)>,
    /// Sessions of this browser that it replaces.
    pub(crate) replaces: Vec<SessionIdentity>,
}

impl<C> State<C> {
    /// Every session of this browser that lives.
    pub(crate) fn live(&self) -> Vec<SessionIdentity> {
        let held = self.held.iter().map(|held| held.session.peek());
        held.chain(&self.undecoded).chain(&self.others).cloned().collect()
    }
}

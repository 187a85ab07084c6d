//! The accounts of this browser, and switching between them.

use std::sync::Arc;

use serde::Serialize;

use super::{
    SessionJar,
    state::{CurrentSession, SetActive, UndecodedSession},
};
use crate::{
    engine::{
        cookie::parse::ActiveCookie,
        event::SessionEvent,
        session::{
            actor::Actor,
            data::TokenSession,
            id::{SessionId, Subject},
            identity::SessionIdentity,
            task::SessionTask,
        },
        session_engine::SessionEngine,
        validate::ValidSession,
    },
    time::Timestamp,
};

/// One of the accounts that are signed in from a browser, as an account chooser shows it. It
/// contains no token. Of the claims it contains only [`label`](Self::label) and [`detail`](Self::detail).
///
/// ```
/// use tower_auth_session::SessionJar;
///
/// fn menu(jar: &SessionJar) -> Vec<String> {
///     let accounts = jar.accounts().into_iter();
///     accounts
///         .map(|account| {
///             let mark = if account.active { "*" } else { " " };
///             format!("{mark} {} {}", account.label, account.detail.unwrap_or_default())
///         })
///         .collect()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AccountSummary {
    /// The session's id.
    pub session_id: SessionId,
    /// The user that the session belongs to.
    pub subject: Subject,
    /// The account's display name.
    pub label: String,
    /// A text that distinguishes accounts of the same name.
    pub detail: Option<String>,
    /// When the subject signed in.
    pub signed_in_at: Timestamp,
    /// When the session expires without further activity.
    pub expires_at: Timestamp,
    /// Whether the request acts as this account.
    pub active: bool,
    /// The open tasks of a pending session.
    pub tasks: Vec<SessionTask>,
    /// The actor of an impersonated session.
    pub actor: Option<Actor>,
    /// Whether the session is bound to the device of this browser.
    pub device_bound: bool,
    /// When the proof of a bound session expires; `None` without a valid proof. The browser renews it.
    pub proof_expires_at: Option<Timestamp>,
}

impl<C: Send + Sync + 'static> SessionJar<C> {
    /// Every account that is signed in from this browser: the active one first, then by the time of
    /// the sign-in.
    #[must_use]
    pub fn accounts(&self) -> Vec<AccountSummary> {
        self.verify_other_cookies();
        let (acting, mut others) = {
            let state = self.state();
            self.record().mark_read();
            let outgoing =
                |id| state.staged.as_ref().is_some_and(|pending| pending.displacement.ends(id));
            let new = state.staged.as_ref().map(|pending| {
                let ready = pending.ready.as_ref();
                let claims = ready.map(|(session, _)| Arc::clone(session.data().claims()));
                (pending.identity.clone(), claims, true)
            });
            let current = state.current.as_ref().or(state.unserved.as_ref());
            let current = current.map(|current| {
                let is_active = state.current.is_some();
                (
                    current.session.identity().clone(),
                    Some(Arc::clone(current.session.claims())),
                    is_active,
                )
            });
            let undecoded =
                state.undecoded.as_ref().map(|undecoded| (undecoded.identity.clone(), None, false));
            let others = state.others.accounts.iter();
            let others = others.map(|account| {
                let claims = account.session.decoded().map(|it| Arc::clone(it.claims()));
                (account.identity().clone(), claims, false)
            });
            let before = current.or(undecoded);
            match new {
                None => (before, others.collect::<Vec<_>>()),
                Some(new) => {
                    let before = before.map(|(identity, claims, _)| (identity, claims, false));
                    let stays = before.into_iter().chain(others);
                    (Some(new), stays.filter(|(identity, ..)| !outgoing(identity.id())).collect())
                }
            }
        };
        others.sort_by_key(|(identity, ..)| (identity.signed_in_at(), identity.id()));
        // Of two sessions of one account, show the one that the request acts as, otherwise the
        // newer one.
        let mut shown: Vec<SessionIdentity> =
            acting.iter().map(|(identity, ..)| identity.clone()).collect();
        others.reverse();
        others.retain(|(identity, ..)| {
            let is_new = !shown.iter().any(|other| other.is_same_account(identity));
            shown.extend(is_new.then(|| identity.clone()));
            is_new
        });
        others.reverse();
        acting
            .into_iter()
            .chain(others)
            .map(|(identity, claims, active)| {
                summary(self.engine(), &identity, claims.as_deref(), active)
            })
            .collect()
    }

    /// Every valid session of this browser.
    pub(crate) fn live(&self) -> Vec<SessionIdentity> {
        self.verify_other_cookies();
        self.state().live().into_iter().map(|session| session.identity).collect()
    }

    /// Makes `id` the active session of this browser, for the rest of this request and from the next one
    /// on.
    ///
    /// The store is not queried. If another process has revoked the session, the next request detects it.
    /// To detect it before the switch, call [`check_accounts`](Self::check_accounts).
    ///
    /// # Errors
    ///
    /// If the session is not signed in from this browser. Nothing has changed then.
    pub fn switch_to(&self, id: SessionId) -> Result<SessionIdentity, NotSignedIn> {
        let engine = self.engine();
        self.verify_other_cookies();
        let mut guard = self.state();
        let state = &mut *guard;
        if state.closed || state.staged.is_some() {
            return Err(NotSignedIn(()));
        }
        if let Some(acting) = state.acting()
            && acting.identity.id() == id
        {
            state.set_active = engine.multi_session().map(|_| SetActive::Session(id));
            // The request named this session, and the active cookie names another one.
            let pointer = state.presented.pointer;
            let switches = state.set_active.is_some()
                && ![ActiveCookie::Absent, ActiveCookie::Session(id)].contains(&pointer);
            drop(guard);
            if switches {
                let session = acting.identity.clone();
                engine.emit(&SessionEvent::AccountSwitched { session });
            }
            return Ok(acting.identity);
        }
        if engine.multi_session().is_none() {
            return Err(NotSignedIn(()));
        }
        let accounts = &mut state.others.accounts;
        let place = accounts
            .iter()
            .position(|account| account.identity().id() == id)
            .ok_or(NotSignedIn(()))?;
        let account = accounts.swap_remove(place);
        // The previous account stays signed in. If its token is due, its next request renews it.
        if let Some(current) = state.current.take().or_else(|| state.unserved.take()) {
            let session = TokenSession::Decoded(current.session.clone());
            let CurrentSession { place, size, claims: version, changed, .. } = current;
            if changed {
                state.outgoing.push(current);
            }
            state.others.accounts.push(ValidSession { session, place, size, version });
        }
        if let Some(UndecodedSession { identity, presented, place, version }) =
            state.undecoded.take()
        {
            let session = TokenSession::Undecoded(identity.with_times(presented));
            state.others.accounts.push(ValidSession { session, place, size: 0, version });
        }
        self.record().mark_read();
        // The store confirmed the session before the switch. The new token needs a new confirmation.
        state.stored.confirmed.retain(|confirmed| *confirmed != id);
        let identity = account.identity().clone();
        let refusal = engine.device_refusal(&identity, self.0.opened);
        let decodes = account.session.decoded().is_some();
        match (refusal, decodes) {
            (Some(kind), _) => {
                state.updated_state = Some(self.updated(kind, None));
                state.unserved = account.into_unrenewed();
            }
            (None, true) => {
                state.updated_state = Some(self.updated_for(&identity));
                state.current = account.into_unrenewed();
            }
            (None, false) => {
                self.record_in(state).mark_revoked();
                let (identity, presented) = (identity.clone(), identity.dates());
                let (place, version) = (account.place, account.version);
                state.undecoded = Some(UndecodedSession { identity, presented, place, version });
            }
        }
        state.set_active = Some(SetActive::Session(id));
        drop(guard);
        engine.emit(&SessionEvent::AccountSwitched { session: identity.clone() });
        Ok(identity)
    }
}

fn summary<C>(
    engine: &SessionEngine<C>,
    identity: &SessionIdentity,
    claims: Option<&C>,
    active: bool,
) -> AccountSummary {
    let (label, detail) = engine.describe(identity, claims);
    AccountSummary {
        session_id: identity.id(),
        subject: identity.subject().clone(),
        label,
        detail,
        signed_in_at: identity.signed_in_at(),
        expires_at: identity.expires_at(),
        active,
        tasks: identity.tasks().to_vec(),
        actor: identity.actor().cloned(),
        device_bound: identity.device().is_some(),
        proof_expires_at: identity.device_proof().map(|proof| proof.expires_at),
    }
}

/// The session is not signed in from this browser.
///
/// ```
/// use axum::response::Redirect;
/// use tower_auth_session::{SessionId, SessionJar, error::NotSignedIn};
///
/// async fn switch(jar: SessionJar, id: SessionId) -> Redirect {
///     match jar.switch_to(id) {
///         Ok(_) => Redirect::to("/"),
///         // It was signed out in the meantime: show the remaining accounts.
///         Err(NotSignedIn { .. }) => Redirect::to("/sign-in/choose"),
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session is not signed in from this browser")]
pub struct NotSignedIn(());

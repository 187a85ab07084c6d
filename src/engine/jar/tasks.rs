//! Pending sessions: their open tasks, and activation once all are completed.

use std::sync::Arc;

use super::{SessionJar, state::JarState};
use crate::engine::{
    request::session::Session,
    session::{
        attributes::SessionAttributes,
        data::SessionData,
        factor::Factor,
        identity::{SessionFlags, SessionIdentity},
        task::SessionTask,
    },
    sign_in::{SignInError, SignInOutcome},
};

/// The result of completing a task.
///
/// ```
/// use tower_auth_session::{SessionJar, engine::{SessionTask, TaskOutcome}, error::TaskError};
///
/// fn accept_terms(jar: &SessionJar) -> Result<&'static str, TaskError> {
///     let terms = SessionTask::new("accept-terms").expect("a valid name");
///     Ok(match jar.complete_task(&terms)? {
///         TaskOutcome::Activated(_) => "/",
///         _ => "/sign-in/next-step",
///     })
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "it states whether the session is signed in now"]
pub enum TaskOutcome {
    /// The session is still pending: these tasks are open.
    Remaining(Vec<SessionTask>),
    /// It was the last task: the subject is signed in, with a new session id.
    Activated(SignInOutcome),
}

/// The reason why a task was not completed or a session not activated. Nothing has changed.
///
/// ```
/// use axum::response::{IntoResponse as _, Redirect, Response};
/// use tower_auth_session::{SessionJar, engine::SessionTask, error::TaskError};
///
/// async fn second_factor(jar: SessionJar) -> Response {
///     // After the code was verified:
///     match jar.complete_task(&SessionTask::SECOND_FACTOR) {
///         Ok(_) => Redirect::to("/").into_response(),
///         // The user is signed in already, or the sign-in has expired.
///         Err(TaskError::NotPending) => Redirect::to("/sign-in").into_response(),
///         Err(error) => error.into_response(),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The request does not act as a pending session: no user is signed in, or the session has no
    /// tasks.
    #[error("the session is not pending")]
    NotPending,
    /// The session cannot be checked now.
    #[error("the session cannot be checked now")]
    Unavailable,
    /// The sign-in was refused.
    #[error(transparent)]
    SignIn(#[from] SignInError),
}

impl<C: Send + Sync + 'static> SessionJar<C> {
    /// The session that this request acts as, while it has open tasks. Its holder has not been
    /// fully authenticated: use it only for the pages of those tasks.
    #[must_use]
    pub fn pending(&self) -> Option<Session<C>> {
        self.record().mark_read();
        let session = self.current_or_pending().1;
        session.filter(|session| session.data().identity().is_pending())
    }

    /// Records that `task` is completed. With the last one the session is
    /// [activated](Self::activate); before that, its token is renewed with the remaining tasks. A
    /// task that is not open changes nothing.
    ///
    /// Completing [`SessionTask::SECOND_FACTOR`] also records a verified second factor, for
    /// [guards](crate::RequireSessionLayer::second_factor_within) that require one.
    ///
    /// # Errors
    ///
    /// As [`activate`](Self::activate).
    pub fn complete_task(&self, task: &SessionTask) -> Result<TaskOutcome, TaskError> {
        self.ensure_same_site(false)?;
        let now = self.0.opened;
        let mut guard = self.state();
        let state = &mut *guard;
        let session = pending(state)?.identity();
        let mut standing =
            session.standing().map(|it| SessionAttributes::clone(it)).unwrap_or_default();
        let left: Box<[_]> =
            session.tasks().iter().filter(|other| *other != task).cloned().collect();
        let was_left = left.len() < session.tasks().len();
        if was_left && *task == SessionTask::SECOND_FACTOR {
            standing = standing.verified(Factor::Second, now);
        }
        if was_left && left.is_empty() {
            let (session, claims) = (session.clone(), Arc::clone(pending(state)?.claims()));
            drop(guard);
            return self.begin(&session, standing, claims).map(TaskOutcome::Activated);
        }
        let remaining = TaskOutcome::Remaining(left.to_vec());
        if was_left && let Some(current) = &mut state.current {
            standing.tasks = Some(left);
            let next = self.next_of(current).with_attributes(standing.shared());
            state.updated_state = Some(self.updated_for(&next));
            current.change(next);
        }
        Ok(remaining)
    }

    /// Signs in the subject of the pending session, also if tasks are open. A new session replaces the
    /// pending one (ASVS 7.2.4). It has a new id and the same claims, lifetime and factors; its `auth_time`
    /// is now, and the age of the first factor is kept. The pending session is revoked, also in the store.
    /// If the store has already revoked it, the sign-in fails.
    ///
    /// ```
    /// use tower_auth_session::{SessionJar, error::TaskError};
    ///
    /// /// Where the application itself decides when the sign-in is complete.
    /// fn complete(jar: &SessionJar) -> Result<(), TaskError> {
    ///     let outcome = jar.activate()?;
    ///     println!("session {} is active", outcome.session_id);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// If the request presented no pending session or comes from another site, or as
    /// [`sign_in`](Self::sign_in).
    pub fn activate(&self) -> Result<SignInOutcome, TaskError> {
        self.ensure_same_site(false)?;
        let (session, claims) = {
            let state = self.state();
            let session = pending(&state)?;
            (session.identity().clone(), Arc::clone(session.claims()))
        };
        let standing =
            session.standing().map(|it| SessionAttributes::clone(it)).unwrap_or_default();
        self.begin(&session, standing, claims)
    }

    fn begin(
        &self,
        pending: &SessionIdentity,
        mut standing: SessionAttributes,
        claims: Arc<C>,
    ) -> Result<SignInOutcome, TaskError> {
        let (engine, now) = (self.engine(), self.0.opened);
        standing.tasks = None;
        standing.device = None;
        if let Some(first) = pending.verified_at(Factor::First) {
            standing = standing.verified(Factor::First, first);
        }
        let terms = SessionFlags { pending: false, ..pending.terms() };
        let dates = engine.limits(terms).sign_in(now);
        let identity = SessionIdentity::new(
            engine.new_id()?,
            pending.subject().clone(),
            dates,
            terms,
            standing.shared(),
        )
        .with_lineage(engine.first_lineage_id());
        Ok(self.stage_sign_in(identity, Some(claims), None, Some(pending.id()))?)
    }
}

/// The pending session that the request presented, unless a sign-in is staged.
fn pending<C>(state: &JarState<C>) -> Result<&SessionData<C>, TaskError> {
    if state.closed {
        return Err(SignInError::Closed.into());
    }
    let unknown = || match state.unserved {
        Some(_) => TaskError::Unavailable,
        None => TaskError::NotPending,
    };
    let current = state.current.as_ref().ok_or_else(unknown)?;
    let is_pending = current.session.identity().is_pending() && state.staged.is_none();
    if is_pending { Ok(&current.session) } else { Err(TaskError::NotPending) }
}

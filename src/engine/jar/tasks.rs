//! Sessions that are pending: what is left to do, and what becomes of them when it is done.

use std::sync::Arc;

use super::{SessionJar, state::JarState};
use crate::engine::{
    request::session::{Session, SessionData},
    session::{
        attributes::SessionAttributes,
        factor::Factor,
        identity::{SessionFlags, SessionIdentity},
        task::SessionTask,
    },
    sign_in::{SignInError, SignInOutcome},
};

/// What doing a task came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "whether the session is signed in by now"]
pub enum TaskOutcome {
    /// The session is still pending: this is left to do.
    Remaining(Vec<SessionTask>),
    /// It was the last one: the subject is signed in, under a new session id.
    Activated(SignInOutcome),
}

/// Why a task was not done, or a session not activated. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The request acts as no session with tasks left to do: nobody is signed in, or has been all
    /// along.
    #[error("no session with tasks left to do")]
    NotPending,
    /// Whether the session lives cannot be found out now.
    #[error("the session cannot be checked now")]
    Unavailable,
    /// As a sign-in is refused.
    #[error(transparent)]
    SignIn(#[from] SignInError),
}

impl<C: Send + Sync + 'static> SessionJar<C> {
    /// The session that this request acts as, while tasks are left to do before its subject is
    /// signed in. Whoever holds it has not proved enough yet: it is for the pages of those tasks.
    #[must_use]
    pub fn pending(&self) -> Option<Session<C>> {
        self.record().mark_read();
        let session = self.current_or_pending().1;
        session.filter(|session| session.facts().identity_untracked().is_pending())
    }

    /// `task` is done. With the last one the session is [activated](Self::activate); before that its
    /// token is renewed with what is left. A task that is not among them changes nothing.
    ///
    /// [`SessionTask::SECOND_FACTOR`] is a verified second factor from then on, for
    /// [guards](crate::RequireSessionLayer::second_factor_within) that ask for one.
    ///
    /// # Errors
    ///
    /// As [`activate`](Self::activate).
    pub fn complete_task(&self, task: &SessionTask) -> Result<TaskOutcome, TaskError> {
        self.ensure_same_site(false)?;
        let (engine, now) = (&self.0.engine, self.0.opened.timestamp());
        let mut guard = self.state();
        let state = &mut *guard;
        let session = pending(state)?.identity_untracked();
        let mut standing =
            session.standing().map(|it| SessionAttributes::clone(it)).unwrap_or_default();
        let left: Box<[_]> =
            session.tasks().iter().filter(|other| *other != task).cloned().collect();
        let was_left = left.len() < session.tasks().len();
        if was_left && *task == SessionTask::SECOND_FACTOR {
            standing = standing.verified(Factor::Second, now);
        }
        if was_left && left.is_empty() {
            let (session, claims) = (session.clone(), pending(state)?.shared_claims());
            drop(guard);
            return self.begin(&session, standing, claims).map(TaskOutcome::Activated);
        }
        let remaining = TaskOutcome::Remaining(left.to_vec());
        if was_left && let Some(current) = &mut state.current {
            let next = if current.renew {
                current.session.identity_untracked().clone()
            } else {
                engine.renewed(current.session.identity_untracked(), self.0.activity, now)
            };
            standing.tasks = Some(left);
            let next = next.with_attributes(standing.shared());
            state.updated_state = Some(self.updated_for(&next));
            current.session = SessionData::new(next, current.session.shared_claims());
            current.renew = true;
            // No slow renewal of another request brings the task back.
            current.changed = true;
        }
        Ok(remaining)
    }

    /// Signs in whoever's session is pending, whatever is left to do: a new session under a new id
    /// with the same claims, lifetime and factors (ASVS 7.2.4), in whose place the pending one ends,
    /// in the store too. `auth_time` is now; the first factor stays as old as it is. A store that knows the
    /// pending one to be over keeps nothing, and nobody is signed in.
    ///
    /// # Errors
    ///
    /// When the request presented no pending session, or another site made it, or as
    /// [`sign_in`](Self::sign_in).
    pub fn activate(&self) -> Result<SignInOutcome, TaskError> {
        self.ensure_same_site(false)?;
        let (session, claims) = {
            let state = self.state();
            let session = pending(&state)?;
            (session.identity_untracked().clone(), session.shared_claims())
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
        let (engine, now) = (&self.0.engine, self.0.opened.timestamp());
        standing.tasks = None;
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
        );
        Ok(self.stage_sign_in(identity, Some(claims), None, Some(pending.id()))?)
    }
}

/// The pending session that the request presented, unless somebody signs in with it.
fn pending<C>(state: &JarState<C>) -> Result<&SessionData<C>, TaskError> {
    if state.closed {
        return Err(SignInError::Closed.into());
    }
    let unknown = || match state.unavailable {
        Some(_) => TaskError::Unavailable,
        None => TaskError::NotPending,
    };
    let current = state.current.as_ref().ok_or_else(unknown)?;
    let is_pending = current.session.identity_untracked().is_pending() && state.staged.is_none();
    if is_pending { Ok(&current.session) } else { Err(TaskError::NotPending) }
}

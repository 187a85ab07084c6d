//! The sessions that a sign-in replaces or evicts.

use super::state::{Displacement, JarState, SessionAndCookie};
use crate::engine::{
    multi_session::{AccountLimitPolicy, MultiSession},
    session::identity::SessionIdentity,
    session_engine::SessionEngine,
    sign_in::SignInError,
};

/// The sessions to revoke when `identity` signs in with a token of `size` bytes.
pub(super) fn plan_displacement<C>(
    engine: &SessionEngine<C>,
    state: &JarState<C>,
    identity: &SessionIdentity,
    size: usize,
) -> Result<Displacement, SignInError> {
    let mut superseded = state.findings.superseded.clone();
    let (mut replaces, mut evicted) = (state.live(), Vec::new());
    replaces.extend(state.findings.conflicting.iter().cloned());
    if let Some(several) = engine.multi_session() {
        let is_same = |session: &SessionAndCookie| session.identity.is_same_account(identity);
        let (same, rest) = replaces.into_iter().partition(is_same);
        let own = engine.cookie_size(size) + engine.required_binding_size(identity);
        evicted = evict_accounts(engine, several, state, rest, own)?;
        replaces = same;
        superseded.retain(is_same);
    }
    Ok(Displacement { replaces, evicted, superseded })
}

/// The sessions of `rest` to evict so that one more account of `own` bytes fits, the least recently active
/// first.
fn evict_accounts<C>(
    engine: &SessionEngine<C>,
    several: &MultiSession,
    state: &JarState<C>,
    mut rest: Vec<SessionAndCookie>,
    own: usize,
) -> Result<Vec<SessionAndCookie>, SignInError> {
    // The session that the request acts as is evicted last: it is in use.
    let acting = state.acting().map(|acting| acting.identity.id());
    rest.sort_by_key(|session| {
        let is_acting = Some(session.identity.id()) == acting;
        (is_acting, session.identity.last_active_at())
    });
    let size_of = |session: &SessionAndCookie| {
        let known = state
            .others
            .accounts
            .iter()
            .find(|account| account.identity().id() == session.identity.id());
        let current = state.current.as_ref().map_or(0, |current| current.size);
        let token = engine.cookie_size(known.map_or(current, |account| account.size));
        token + state.proof_bytes_of(engine, &session.identity)
    };
    let mut bytes = own + engine.active_cookie_size() + rest.iter().map(size_of).sum::<usize>();
    let mut out = Vec::new();
    while rest.len() + 1 > several.max || (bytes > several.cookie_budget && !rest.is_empty()) {
        if several.policy == AccountLimitPolicy::Refuse {
            return Err(if rest.len() + 1 > several.max {
                SignInError::TooManyAccounts { max: several.max }
            } else {
                SignInError::CookieBudget { bytes, budget: several.cookie_budget }
            });
        }
        let session = rest.remove(0);
        bytes -= size_of(&session);
        out.push(session);
    }
    Ok(out)
}

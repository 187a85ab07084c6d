//! `POST /sign-out`: ends sessions, takes their cookies from the browser and leads on.
//!
//! Parameters: `session_id`, `scope` (`this`, `browser` or `everywhere`) and `redirect_url`.
//!
//! | request | effect | then goes to |
//! |---|---|---|
//! | the session it acts as, none other here | ended | `redirect_url`, else `after_sign_out_url` |
//! | the session it acts as, others remain | ended, nobody is promoted | `redirect_url`, else `after_multi_session_single_sign_out_url`, else the chooser |
//! | another one by id | that one ended, the active one stays | `redirect_url`, else where it came from |
//! | an id that is not signed in here | nothing | the same |
//! | no id, and an account is to be chosen | nothing | the chooser |
//! | `scope=browser` | all ended | `after_sign_out_url` |
//! | `scope=everywhere` | all sessions of the subject, in every browser | `after_sign_out_url` |
//!
//! Whoever impersonates somebody signs out of that session, not of the subject's own: `scope=everywhere`
//! is 403 for it.
//!
//! Ending the last one by its id leads where signing out of the last account leads: there is nothing
//! to come back to.

use super::{
    params::Param,
    request::{EndpointRequest, bad_request},
    response::EndpointResult,
};
use crate::{
    engine::{
        jar::SessionJar,
        redirect::target::RedirectTarget,
        session::{id::SessionId, identity::SessionStatusKind},
    },
    rejection::{RejectionReason, problem::Problem},
};

/// How much is signed out.
enum Scope {
    This,
    Browser,
    Everywhere,
}

pub(super) fn act<C: Send + Sync + 'static>(
    asked: &EndpointRequest<C>,
) -> Result<EndpointResult, Problem> {
    if asked.params.session_id == Param::Invalid {
        return Err(bad_request("bad_session_id", "`session_id` comes at most once, as text."));
    }
    let jar = &asked.jar;
    let after_sign_out = || jar.engine().redirects().after_sign_out().clone();
    Ok(match (scope(&asked.params.scope)?, &asked.params.session_id) {
        (Scope::Browser, _) => {
            jar.sign_out_all();
            asked.redirect_to(after_sign_out())
        }
        (Scope::Everywhere, id) => {
            let of = match id {
                // Somebody else's session, or no id at all: nobody's.
                Param::Once(id) => match id.parse() {
                    Ok(id) => Some(id),
                    Err(_) => return Ok(asked.redirect_to(after_sign_out())),
                },
                _ => None,
            };
            if is_impersonated(jar, of) {
                return Err(RejectionReason::Impersonated.problem());
            }
            match jar.sign_out_everywhere(of) {
                Ok(_) => asked.redirect_to(after_sign_out()),
                Err(_) => {
                    let detail = "Signing out everywhere needs a session store.";
                    return Err(bad_request("needs_store", detail));
                }
            }
        }
        (Scope::This, Param::Once(id)) => {
            let acting = jar.acting();
            let ended = id.parse().ok().and_then(|id| jar.sign_out_session(id));
            asked.redirect_or(|| match ended {
                None => asked.came_from(),
                Some(_) if jar.accounts().is_empty() => after_sign_out(),
                Some(_) if jar.acting() == acting => asked.came_from(),
                Some(_) => after_single(jar),
            })
        }
        (Scope::This, _) => match (jar.sign_out(), jar.status().kind()) {
            (Some(_), _) if !jar.accounts().is_empty() => asked.redirect_or(|| after_single(jar)),
            (Some(_), _) => asked.redirect_or(after_sign_out),
            (None, SessionStatusKind::AccountSelectionRequired) => {
                asked.redirect_to(jar.engine().redirects().choose.clone())
            }
            // The request itself names a session that is not signed in here.
            (None, SessionStatusKind::SessionMismatch) => asked.redirect_or(|| asked.came_from()),
            (None, _) => {
                // The person asked, whatever is in the cookies.
                jar.sign_out_all();
                asked.redirect_or(after_sign_out)
            }
        },
    })
}

/// Whether somebody acts as somebody else in the session `of`, or in the one that the request acts as.
fn is_impersonated<C: Send + Sync + 'static>(jar: &SessionJar<C>, of: Option<SessionId>) -> bool {
    let meant = of.or_else(|| jar.acting());
    jar.live().iter().any(|session| Some(session.id()) == meant && session.actor().is_some())
}

fn after_single<C: Send + Sync + 'static>(jar: &SessionJar<C>) -> RedirectTarget {
    jar.engine().redirects().after_single().clone()
}

fn scope(scope: &Param) -> Result<Scope, Problem> {
    match scope {
        Param::Absent => Ok(Scope::This),
        Param::Once(scope) if scope == "this" => Ok(Scope::This),
        Param::Once(scope) if scope == "browser" => Ok(Scope::Browser),
        Param::Once(scope) if scope == "everywhere" => Ok(Scope::Everywhere),
        _ => {
            let detail = "`scope` is `this`, `browser` or `everywhere`, once.";
            Err(bad_request("bad_scope", detail))
        }
    }
}

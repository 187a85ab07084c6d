//! `POST /sign-out`: revokes sessions, removes their cookies and redirects.
//!
//! Parameters: `session_id`, `scope` (`this`, `browser` or `everywhere`) and `redirect_url`.
//!
//! The guide to several accounts has the table of what each request revokes and where it redirects.
//!
//! An impersonated session signs out of itself only, not of the subject's other sessions:
//! `scope=everywhere` is 403 for it.
//!
//! Signing out of the last account by its id redirects to `after_sign_out_url` too: the referring page
//! would require a session.

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

/// The scope of a sign-out.
enum SignOutScope {
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
        (SignOutScope::Browser, _) => {
            jar.sign_out_all();
            EndpointResult::Redirect(after_sign_out())
        }
        (SignOutScope::Everywhere, id) => {
            let of = match id {
                // The id of a session that is not signed in here, or not an id.
                Param::Once(id) => match id.parse() {
                    Ok(id) => Some(id),
                    Err(_) => return Ok(EndpointResult::Redirect(after_sign_out())),
                },
                _ => None,
            };
            if is_impersonated(jar, of) {
                return Err(RejectionReason::Impersonated.problem());
            }
            match jar.sign_out_everywhere(of) {
                Ok(_) => EndpointResult::Redirect(after_sign_out()),
                Err(_) => return Err(Problem::NEEDS_STORE),
            }
        }
        (SignOutScope::This, Param::Once(id)) => {
            let acting = jar.acting();
            let ended = id.parse().ok().and_then(|id| jar.sign_out_session(id));
            asked.redirect_or(|| match ended {
                None => asked.came_from(),
                Some(_) if jar.accounts().is_empty() => after_sign_out(),
                Some(_) if jar.acting() == acting => asked.came_from(),
                Some(_) => after_single(jar),
            })
        }
        (SignOutScope::This, _) => match (jar.sign_out(), jar.status().kind()) {
            (Some(_), _) if !jar.accounts().is_empty() => asked.redirect_or(|| after_single(jar)),
            (Some(_), _) => asked.redirect_or(after_sign_out),
            (None, SessionStatusKind::AccountSelectionRequired) => {
                EndpointResult::Redirect(jar.engine().redirects().choose.clone())
            }
            // The request itself names a session that is not signed in here.
            (None, SessionStatusKind::SessionMismatch) => asked.redirect_or(|| asked.came_from()),
            (None, _) => {
                // The user requested it, whatever the cookies contain.
                jar.sign_out_all();
                asked.redirect_or(after_sign_out)
            }
        },
    })
}

/// Whether the session `of`, or the request's session, is impersonated.
fn is_impersonated<C: Send + Sync + 'static>(jar: &SessionJar<C>, of: Option<SessionId>) -> bool {
    let meant = of.or_else(|| jar.acting());
    jar.live().iter().any(|session| Some(session.id()) == meant && session.actor().is_some())
}

fn after_single<C: Send + Sync + 'static>(jar: &SessionJar<C>) -> RedirectTarget {
    jar.engine().redirects().after_single().clone()
}

fn scope(scope: &Param) -> Result<SignOutScope, Problem> {
    match scope {
        Param::Absent => Ok(SignOutScope::This),
        Param::Once(scope) if scope == "this" => Ok(SignOutScope::This),
        Param::Once(scope) if scope == "browser" => Ok(SignOutScope::Browser),
        Param::Once(scope) if scope == "everywhere" => Ok(SignOutScope::Everywhere),
        _ => {
            let detail = "`scope` is `this`, `browser` or `everywhere`, once.";
            Err(bad_request("bad_scope", detail))
        }
    }
}

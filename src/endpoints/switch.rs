//! `POST /session/switch`: makes another account of this browser the active one.
//!
//! Parameters: `session_id` and `redirect_url`. It redirects to `redirect_url`, otherwise to the page
//! that the request came from. For a pending session it redirects to `tasks_url` and passes
//! `redirect_url` on. An id that is not signed in here changes nothing: 409, and a browser is
//! redirected to the chooser, which passes `redirect_url` on.

use super::{
    params::Param,
    request::{EndpointRequest, bad_request},
    response::EndpointResult,
};
use crate::rejection::{client::Client, problem::Problem};

pub(super) fn act<C: Send + Sync + 'static>(
    asked: &EndpointRequest<C>,
) -> Result<EndpointResult, Problem> {
    let Param::Once(id) = &asked.params.session_id else {
        return Err(bad_request("bad_session_id", "`session_id` comes once, as text."));
    };
    let switched = id.parse().ok().and_then(|id| asked.jar.switch_to(id).ok());
    if let Some(session) = switched {
        let tasks = &asked.jar.engine().redirects().tasks;
        Ok(match tasks.as_ref().filter(|_| session.is_pending()) {
            Some(tasks) => {
                let redirects = asked.jar.engine().redirects();
                EndpointResult::Redirect(
                    redirects.with_return_url(tasks, asked.redirect().as_ref()),
                )
            }
            None => asked.redirect_or(|| asked.came_from()),
        })
    } else if asked.client.client != Client::Script {
        let redirects = asked.jar.engine().redirects();
        Ok(EndpointResult::AccountSelection(
            redirects.with_return_url(&redirects.choose, asked.redirect().as_ref()),
        ))
    } else {
        Err(Problem::NOT_SIGNED_IN_HERE)
    }
}

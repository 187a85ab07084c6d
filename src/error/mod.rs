//! Errors and the reasons for rejections. [`ConfigError`] reports what is wrong
//! before a service runs, [`TokenError`] why a token was rejected; the others belong to one operation
//! each. Imports nothing but the names that it exports again.

pub(crate) mod config;
mod token;

pub(crate) use self::config::ConfigError;
pub use self::{config::ConfigProblem, token::TokenError};
pub use crate::{
    config::limit::InvalidTimeLimit,
    engine::{
        flow::errors::{FinishFlowError, StartFlowError},
        jar::{
            accounts::NotSignedIn, claims::UpdateClaimsError, sign_out::StoreRequired,
            tasks::TaskError,
        },
        redirect::target::RedirectError,
        request::state::TouchError,
        session::{
            id::{InvalidId, InvalidSubject},
            task::InvalidTask,
        },
        sign_in::{CommitError, SignInError},
    },
    random::RandomError,
    rejection::RejectionReason,
};

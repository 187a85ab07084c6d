//! The pure engine: no I/O, no clock, no randomness but what is handed in.

mod cross_origin;
mod id;
mod origin;
pub(crate) mod percent;
mod redirect;

pub use cross_origin::CrossOrigin;
pub use id::{InvalidId, InvalidSubject, SessionId, Subject};
pub use origin::Origin;
pub use redirect::{RedirectRefused, RedirectTarget, SignOutRedirects};

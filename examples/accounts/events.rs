//! What happens to sessions, as lines in the terminal: `SESSION_EVENTS`.

use std::io::{self, Write as _};

use tower_auth_session::{
    SessionId, Subject,
    engine::SessionIdentity,
    event::SessionEvent::{self, *},
    time::{Clock as _, SystemClock},
};

use crate::people;

/// How an event is printed. No event contains a token; a session id is not a credential.
#[derive(Debug, Clone, Copy)]
pub(crate) enum EventFormat {
    /// A sentence for a person: `12:03:59 Ada Fernhill signed in, session Rm0PX1-s`.
    Plain,
    /// Fields for a program: `event signed_in session=… subject="ada"`.
    Log,
}

impl EventFormat {
    pub(crate) fn print(self, event: &SessionEvent) {
        let line = match self {
            Self::Plain => {
                // The time of the day, in UTC like all times of the demo.
                let now = SystemClock::new().now().timestamp().as_unix_seconds() % 86_400;
                let (hour, minute, second) = (now / 3600, now / 60 % 60, now % 60);
                format!("{hour:02}:{minute:02}:{second:02} {}\n", sentence(event))
            }
            Self::Log => format!("event {}\n", fields(event)),
        };
        // Standard output may be closed, which is no reason to stop.
        let _ = io::stdout().write_all(line.as_bytes());
    }
}

fn sentence(event: &SessionEvent) -> String {
    match event {
        SignedIn { session, replaced, .. } => {
            let what = if session.is_pending() {
                "started to sign in and has one more step to do"
            } else {
                "signed in"
            };
            let place = match replaced {
                Some(id) => format!(", in place of session {}", short(*id)),
                None => String::new(),
            };
            format!("{} {what}, {}{place}", who(session), this(session))
        }
        ImpersonationStarted { session, .. } => {
            format!("{} now acts as {}, {}", actor(session), who(session), this(session))
        }
        ImpersonationEnded { session, .. } => {
            format!("{} no longer acts as {}, {}", actor(session), who(session), this(session))
        }
        AccountSwitched { session, .. } => {
            format!("A browser switched to {}, {}", who(session), this(session))
        }
        Replaced { session, by, .. } => {
            format!("{}, {}, was replaced by session {}", who(session), this(session), short(*by))
        }
        Evicted { session, by, .. } => {
            let by = short(*by);
            format!(
                "{}, {}, was signed out to make room for session {by}",
                who(session),
                this(session)
            )
        }
        Renewed { session, .. } => {
            format!("{} was active, and {} was renewed", who(session), this(session))
        }
        BearerTokenIssued { session, .. } => {
            format!("{} got a bearer token, {}", who(session), this(session))
        }
        SignedOut { session, .. } => format!("{} signed out, {}", who(session), this(session)),
        Revoked { session, .. } => {
            format!("{} was signed out elsewhere, {}", who(session), this(session))
        }
        Expired { session, .. } => {
            format!("{} was signed out: expired, {}", who(session), this(session))
        }
        UserNotFound { session, .. } => {
            format!(
                "{} has no account any more and was signed out, {}",
                who(session),
                this(session)
            )
        }
        DeviceBound { session, .. } => {
            format!("{} has a session bound to the device, {}", who(session), this(session))
        }
        CopiedCookie { session, reaction, .. } => format!(
            "The cookie of {} was copied, {} (reaction: {reaction})",
            who(session),
            this(session)
        ),
        other => fields(other).replace('_', " "),
    }
}

/// The name of the session's user.
fn who(session: &SessionIdentity) -> String {
    name(session.subject())
}

/// The name of the user who impersonates the session's user.
fn actor(session: &SessionIdentity) -> String {
    session.actor().map_or_else(String::new, |actor| name(actor.subject()))
}

fn name(subject: &Subject) -> String {
    people::find(subject.as_str()).map_or(subject.as_str(), |person| person.name).to_owned()
}

fn this(session: &SessionIdentity) -> String {
    format!("session {}", short(session.id()))
}

/// The start of an id is enough to follow a session in a terminal.
fn short(id: SessionId) -> String {
    id.as_str().chars().take(8).collect()
}

/// `device_bound session=… subject="ada"`.
fn fields(event: &SessionEvent) -> String {
    let debug = format!("{event:?}");
    let mut line = String::new();
    for (at, character) in debug.chars().take_while(|it| it.is_alphanumeric()).enumerate() {
        if character.is_uppercase() && at > 0 {
            line.push('_');
        }
        line.extend(character.to_lowercase());
    }
    for (name, value) in values(event) {
        line.push_str(&format!(" {name}={value}"));
    }
    line
}

fn values(event: &SessionEvent) -> Vec<(&'static str, String)> {
    match event {
        SignedIn { session, .. }
        | ImpersonationStarted { session, .. }
        | ImpersonationEnded { session, .. }
        | AccountSwitched { session, .. }
        | Replaced { session, .. }
        | Evicted { session, .. }
        | Renewed { session, .. }
        | BearerTokenIssued { session, .. }
        | SignedOut { session, .. }
        | Revoked { session, .. }
        | Expired { session, .. }
        | UserNotFound { session, .. }
        | DeviceBound { session, .. } => {
            vec![
                ("session", session.id().to_string()),
                ("subject", format!("{:?}", session.subject().as_str())),
            ]
        }
        CopiedCookie { session, device, reaction, .. } => vec![
            ("session", session.id().to_string()),
            ("subject", format!("{:?}", session.subject().as_str())),
            ("device", format!("{:?}", device.as_deref().unwrap_or_default())),
            ("reaction", reaction.to_string()),
        ],
        DeviceProofRefused { session_id, reason, .. } => {
            vec![("session", session_id.to_string()), ("reason", reason.as_str().to_owned())]
        }
        DeviceProofSkipped { session_id, reason, .. } => {
            vec![("session", session_id.to_string()), ("reason", reason.as_str().to_owned())]
        }
        CredentialRejected { reason, .. } => vec![("reason", format!("{:?}", reason.to_string()))],
        CrossOriginRefused { reason, .. } => vec![("reason", format!("{:?}", reason.to_string()))],
        StoreUnavailable { operation, .. } => vec![("operation", (*operation).to_owned())],
        _ => Vec::new(),
    }
}

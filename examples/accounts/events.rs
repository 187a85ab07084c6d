//! Events of sessions as lines, for operators who watch the demo: `SESSION_EVENTS=log`.

use tower_auth_session::event::SessionEvent;

/// Prints `event` with its fields. No event contains a token; a session id is not a credential.
pub(crate) fn print(event: &SessionEvent) {
    println!("{}", line(event));
}

/// `event device_bound session=… subject="ada"`.
fn line(event: &SessionEvent) -> String {
    let debug = format!("{event:?}");
    let mut line = "event ".to_owned();
    for (at, character) in debug.chars().take_while(|it| it.is_alphanumeric()).enumerate() {
        if character.is_uppercase() && at > 0 {
            line.push('_');
        }
        line.extend(character.to_lowercase());
    }
    for (name, value) in fields(event) {
        line.push_str(&format!(" {name}={value}"));
    }
    line
}

fn fields(event: &SessionEvent) -> Vec<(&'static str, String)> {
    use SessionEvent as E;
    match event {
        E::SignedIn { session, .. }
        | E::ImpersonationStarted { session, .. }
        | E::ImpersonationEnded { session, .. }
        | E::Replaced { session, .. }
        | E::Evicted { session, .. }
        | E::Renewed { session, .. }
        | E::BearerTokenIssued { session, .. }
        | E::SignedOut { session, .. }
        | E::Revoked { session, .. }
        | E::Expired { session, .. }
        | E::UserNotFound { session, .. }
        | E::DeviceBound { session, .. } => {
            vec![
                ("session", session.id().to_string()),
                ("subject", format!("{:?}", session.subject().as_str())),
            ]
        }
        E::CopiedCookie { session, device, reaction, .. } => vec![
            ("session", session.id().to_string()),
            ("subject", format!("{:?}", session.subject().as_str())),
            ("device", format!("{:?}", device.as_deref().unwrap_or_default())),
            ("reaction", reaction.to_string()),
        ],
        E::DeviceProofRefused { session_id, reason, .. } => {
            vec![("session", session_id.to_string()), ("reason", reason.as_str().to_owned())]
        }
        E::DeviceProofSkipped { session_id, reason, .. } => {
            vec![("session", session_id.to_string()), ("reason", reason.as_str().to_owned())]
        }
        E::CredentialRejected { reason, .. } => {
            vec![("reason", format!("{:?}", reason.to_string()))]
        }
        E::CrossOriginRefused { reason, .. } => {
            vec![("reason", format!("{:?}", reason.to_string()))]
        }
        E::StoreUnavailable { operation, .. } => vec![("operation", (*operation).to_owned())],
        _ => Vec::new(),
    }
}

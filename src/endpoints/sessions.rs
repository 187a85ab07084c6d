//! `GET /session`: the accounts of this browser, for scripts. It is no activity.
//!
//! `{"active": id or null, "sessions": [{"session_id", "subject", "label", "detail", "signed_in_at",
//! "expires_at", "status"}]}`, instants in seconds since 1970, `status` `active` or `pending`. A pending
//! session also has its `tasks`, and an impersonated one its `actor`, in the form of the claim. A
//! device-bound session has `device_bound: true`, and `proof_expires_at` if its proof is valid. The response
//! never contains a token.

use bytes::Bytes;
use http::Response;
use serde::Serialize;

use super::response::json;
use crate::{
    engine::{
        jar::SessionJar,
        session::{actor::Actor, task::SessionTask},
    },
    time::Timestamp,
};

#[derive(Serialize)]
struct SessionList<'a> {
    active: Option<&'a str>,
    sessions: Vec<SessionItem<'a>>,
}

#[derive(Serialize)]
struct SessionItem<'a> {
    session_id: &'a str,
    subject: &'a str,
    label: &'a str,
    detail: Option<&'a str>,
    signed_in_at: u64,
    expires_at: u64,
    status: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tasks: &'a [SessionTask],
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a Actor>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    device_bound: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof_expires_at: Option<u64>,
}

pub(super) fn list<C: Send + Sync + 'static>(jar: &SessionJar<C>) -> Response<Bytes> {
    let accounts = jar.accounts();
    let active = accounts.iter().find(|account| account.active);
    let sessions = accounts.iter().map(|account| SessionItem {
        session_id: account.session_id.as_str(),
        subject: account.subject.as_str(),
        label: &account.label,
        detail: account.detail.as_deref(),
        signed_in_at: account.signed_in_at.as_unix_seconds(),
        expires_at: account.expires_at.as_unix_seconds(),
        status: if account.tasks.is_empty() { "active" } else { "pending" },
        tasks: &account.tasks,
        actor: account.actor.as_ref(),
        device_bound: account.device_bound,
        proof_expires_at: account.proof_expires_at.map(Timestamp::as_unix_seconds),
    });
    json(&SessionList {
        active: active.map(|account| account.session_id.as_str()),
        sessions: sessions.collect(),
    })
}

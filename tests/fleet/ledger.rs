//! The state of each session, and the violations that follow from it.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use super::{
    BOUND,
    web::{HttpReply, Jar, id_of},
};

/// Sign-in times are whole seconds, so those in the second of a sign-out everywhere may be revoked or not.
const SECOND: Duration = Duration::from_secs(2);

/// An abandoned sign-out everywhere may still reach a server that is being replaced, and then revokes the
/// sessions that signed in meanwhile.
const LATE: Duration = Duration::from_secs(8);

#[derive(Default)]
pub(crate) struct Ledger(Mutex<Records>);

#[derive(Default)]
pub(crate) struct Records {
    sessions: HashMap<String, TrackedSession>,
    sweeps: Vec<Sweep>,
    counts: BTreeMap<String, u64>,
    /// Everything that must not have happened.
    pub(crate) violations: Vec<String>,
    slowest: Duration,
    /// The maximum time after an acknowledged revocation at which a session was accepted.
    accepted_late: Duration,
    /// The last time at which the store was reported as unavailable.
    last_unavailable: Option<Instant>,
}

/// A session whose sign-in was acknowledged.
struct TrackedSession {
    subject: &'static str,
    started: Instant,
    /// Whether another browser may sign it out.
    may_be_revoked: bool,
    revocation_requested: Option<Instant>,
    /// When the revocation was acknowledged.
    revoked: Option<Instant>,
    cookie: String,
}

/// A sign-out of all sessions of a subject.
struct Sweep {
    subject: &'static str,
    except: Option<String>,
    until: Option<Instant>,
}

/// The index of a sweep, when it was requested, and whether the requester was certainly signed in.
pub(crate) struct SweepId(usize, Instant, bool);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Valid,
    /// Its revocation was requested and not acknowledged.
    Unknown,
    Revoked(Instant),
}

/// A copy of a session's cookie.
#[derive(Clone)]
pub(crate) struct CopiedSession {
    pub(crate) id: String,
    pub(crate) jar: Jar,
    pub(crate) state: State,
}

impl Ledger {
    pub(crate) fn records(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap()
    }

    pub(crate) fn count(&self, name: &str) {
        self.records().count(name);
    }

    pub(crate) fn session_started(
        &self,
        id: &str,
        subject: &'static str,
        requested_at: Instant,
        jar: &Jar,
        may_be_revoked: bool,
    ) {
        let mut records = self.records();
        let is_swept = records.sweeps.iter().any(|sweep| {
            sweep.subject == subject
                && sweep.until.is_none_or(|until| requested_at < until + SECOND)
        });
        let session = TrackedSession {
            subject,
            started: Instant::now(),
            may_be_revoked,
            revocation_requested: is_swept.then_some(requested_at),
            revoked: None,
            cookie: jar.value(id).unwrap_or_default().to_owned(),
        };
        if records.sessions.insert(id.to_owned(), session).is_some() {
            records.record_violation(format!("{id} starts twice"));
        }
        records.count("sign-ins");
    }

    /// Must be called before a revocation is requested.
    pub(crate) fn revocation_requested(&self, ids: &[String]) {
        let mut records = self.records();
        for id in ids {
            if let Some(session) = records.sessions.get_mut(id) {
                session.revocation_requested.get_or_insert_with(Instant::now);
            }
        }
    }

    /// Records that a revocation was acknowledged.
    pub(crate) fn revocation_acknowledged(&self, ids: &[String]) {
        let mut records = self.records();
        for id in ids {
            if let Some(session) = records.sessions.get_mut(id) {
                session.revoked.get_or_insert_with(Instant::now);
            }
        }
    }

    /// Must be called before `by` signs out all sessions of `subject` except one.
    pub(crate) fn sweep_requested(
        &self,
        subject: &'static str,
        by: &str,
        except: Option<&str>,
    ) -> SweepId {
        let mut records = self.records();
        let now = Instant::now();
        // A requester whose own session may be revoked may get a 401, so the sweep is uncertain.
        let is_certain =
            records.sessions.get(by).is_some_and(|session| session.revocation_requested.is_none());
        for (id, session) in &mut records.sessions {
            if session.subject == subject && Some(&**id) != except {
                session.revocation_requested.get_or_insert(now);
            }
        }
        let except = except.map(str::to_owned);
        records.sweeps.push(Sweep { subject, except, until: None });
        SweepId(records.sweeps.len() - 1, now, is_certain)
    }

    pub(crate) fn sweep_finished(
        &self,
        SweepId(number, requested_at, is_certain): SweepId,
        is_acknowledged: bool,
    ) {
        let records = &mut *self.records();
        let sweep = &mut records.sweeps[number];
        let now = Instant::now();
        sweep.until = Some(if is_acknowledged { now } else { now + LATE });
        for (id, session) in &mut records.sessions {
            if session.subject == sweep.subject && sweep.except.as_ref() != Some(id) {
                session.revocation_requested.get_or_insert(now);
                if is_acknowledged && is_certain && session.started < requested_at {
                    session.revoked.get_or_insert(now);
                }
            }
        }
    }

    pub(crate) fn subject(&self, id: &str) -> Option<&'static str> {
        self.records().sessions.get(id).map(|session| session.subject)
    }

    /// Another valid session of the subject that other browsers may sign out.
    pub(crate) fn other(&self, id: &str, pick: usize) -> Option<String> {
        let records = self.records();
        let subject = records.sessions.get(id)?.subject;
        let others = records.sessions.iter().filter(|(other, session)| {
            session.subject == subject
                && session.may_be_revoked
                && session.revocation_requested.is_none()
                && *other != id
        });
        let others: Vec<_> = others.map(|(other, _)| other).collect();
        others.get(pick.checked_rem(others.len())?).map(|id| (*id).clone())
    }

    /// The latest cookie of each session.
    pub(crate) fn copies(&self) -> Vec<CopiedSession> {
        let records = self.records();
        let copy = |(id, session): (&String, &TrackedSession)| {
            let state = match (session.revocation_requested, session.revoked) {
                (_, Some(at)) => State::Revoked(at),
                (Some(_), None) => State::Unknown,
                (None, None) => State::Valid,
            };
            CopiedSession {
                id: id.clone(),
                jar: Jar::with_session_cookie(id, &session.cookie),
                state,
            }
        };
        records.sessions.iter().map(copy).collect()
    }

    /// The time from `at` to the last report that the store is unavailable.
    pub(crate) fn unavailable_after(&self, at: Instant) -> Duration {
        self.records()
            .last_unavailable
            .map_or(Duration::ZERO, |last| last.saturating_duration_since(at))
    }

    /// Records a reply to a browser that sent the cookies of `jar`.
    pub(crate) fn record_reply(&self, name: &str, reply: &HttpReply, jar: &Jar) {
        let mut records = self.records();
        records.record_status(reply, name);
        for (name, value) in &reply.set {
            match (id_of(name), value) {
                (Some(id), Some(value)) => {
                    if let Some(session) = records.sessions.get_mut(id) {
                        session.cookie.clone_from(value);
                    }
                }
                (Some(id), None) => {
                    let expected = records
                        .sessions
                        .get(id)
                        .is_none_or(|session| session.revocation_requested.is_some());
                    if !expected {
                        records.record_violation(format!(
                            "{name} {}: the cookie of {id} was removed",
                            reply.status
                        ));
                    }
                }
                (None, _) if name.starts_with("GET") => {
                    let active = jar.active();
                    let expected = active.as_ref().and_then(|id| records.sessions.get(id));
                    if expected.is_some_and(|session| session.revocation_requested.is_none()) {
                        records.record_violation(format!(
                            "{name} {}: no account is active any more",
                            reply.status
                        ));
                    }
                }
                (None, _) => {}
            }
        }
    }

    /// Checks the session in the reply of `/api/me` to a browser with the session `expected`.
    pub(crate) fn record_identity(&self, expected: &str, reply: &HttpReply, by: &str) {
        let mut records = self.records();
        match reply.status {
            200 => {
                let me = reply.json();
                let id = me["session_id"].as_str().unwrap_or_default();
                let subject = records.sessions.get(expected).map(|session| session.subject);
                if id != expected || me["subject"].as_str() != subject {
                    records
                        .record_violation(format!("{by} shows {me} to {expected} of {subject:?}"));
                }
                records.record_accepted(expected, reply, by);
            }
            401 => records.signed_out(expected, by),
            0 | 502..=504 => {}
            status => records.record_violation(format!("{by} responds to /api/me with {status}")),
        }
    }

    /// Checks whether a public page reports a signed-in user.
    pub(crate) fn public(&self, expected: &str, reply: &HttpReply) {
        if reply.status == 200 {
            let mut records = self.records();
            match reply.json()["signed_in"].as_bool() {
                Some(true) => records.record_accepted(expected, reply, "a public page"),
                Some(false) => records.signed_out(expected, "a public page"),
                None => records.count("public pages: unavailable"),
            }
        }
    }

    pub(crate) fn record_violation(&self, name: String) {
        self.records().record_violation(name);
    }

    /// A table of the counters.
    pub(crate) fn report(&self) -> String {
        let records = self.records();
        let mut text = String::new();
        let mut line = |name: &str, much: String| {
            let _ = writeln!(text, "  {name:<52} {much:>10}");
        };
        for (name, count) in &records.counts {
            line(name, count.to_string());
        }
        line("slowest response, ms", records.slowest.as_millis().to_string());
        line(
            "accepted after a revocation, maximum ms",
            records.accepted_late.as_millis().to_string(),
        );
        line("violations", records.violations.len().to_string());
        text
    }
}

impl Records {
    pub(crate) fn count(&mut self, name: &str) {
        match self.counts.get_mut(name) {
            Some(count) => *count += 1,
            None => drop(self.counts.insert(name.to_owned(), 1)),
        }
    }

    fn record_violation(&mut self, name: String) {
        self.violations.push(name);
    }

    fn record_status(&mut self, reply: &HttpReply, name: &str) {
        self.slowest = self.slowest.max(reply.took);
        let kind = if name.starts_with("GET") { "GET" } else { "POST" };
        match reply.status {
            0 => self.count(&format!("{kind}: no response")),
            1 => self.record_violation(format!("{name}: it hangs")),
            502 | 504 => self.count(&format!("{kind}: the proxy lost its node")),
            status => {
                if status == 503 {
                    self.last_unavailable = Some(Instant::now());
                }
                self.count(&format!("{kind}: {status}"));
            }
        }
    }

    fn record_accepted(&mut self, id: &str, reply: &HttpReply, by: &str) {
        let Some(at) = self.sessions.get(id).and_then(|session| session.revoked) else { return };
        let late = reply.sent.saturating_duration_since(at);
        self.accepted_late = self.accepted_late.max(late);
        if late > BOUND {
            self.record_violation(format!(
                "{by} accepts {id} {late:?} after its revocation was acknowledged"
            ));
        }
    }

    fn signed_out(&mut self, id: &str, by: &str) {
        match self.sessions.get(id) {
            Some(session) if session.revocation_requested.is_none() => {
                let (subject, age) = (session.subject, session.started.elapsed());
                self.record_violation(format!(
                    "{by}: {id} of {subject} is signed out after {age:?} without a request"
                ));
            }
            _ => {}
        }
    }
}

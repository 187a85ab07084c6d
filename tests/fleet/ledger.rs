//! What is known of each session, and what must therefore not happen.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use super::{
    BOUND,
    web::{Jar, Reply, id_of},
};

/// Sign-ins count in whole seconds: of those in the second of a sign-out everywhere nobody can say.
const SECOND: Duration = Duration::from_secs(2);

/// A sign-out everywhere that nobody waits for any more may still be on its way to a server that is
/// being replaced, and ends whoever has signed in by then.
const LATE: Duration = Duration::from_secs(8);

#[derive(Default)]
pub(crate) struct Ledger(Mutex<Book>);

#[derive(Default)]
pub(crate) struct Book {
    lives: HashMap<String, Life>,
    sweeps: Vec<Sweep>,
    counts: BTreeMap<String, u64>,
    /// Everything that must not happen.
    pub(crate) wrongs: Vec<String>,
    slowest: Duration,
    /// How long after a confirmed end somebody was let in, at most.
    let_in: Duration,
    /// When the store was last said to be away.
    last_away: Option<Instant>,
}

/// A session that was acknowledged.
struct Life {
    subject: &'static str,
    known: Instant,
    /// Whether it may be ended from another browser.
    may_be_ended: bool,
    end_asked: Option<Instant>,
    /// When the end was acknowledged.
    ended: Option<Instant>,
    cookie: String,
}

/// All sessions of a subject are signed out.
struct Sweep {
    subject: &'static str,
    except: Option<String>,
    until: Option<Instant>,
}

/// Which of the sweeps, when it was asked for, and whether whoever asked was signed in for sure.
pub(crate) struct SweepId(usize, Instant, bool);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Lives,
    /// Its end was asked for and not acknowledged.
    Unsure,
    Ended(Instant),
}

/// A session as somebody has it who copied its cookie.
#[derive(Clone)]
pub(crate) struct Copied {
    pub(crate) id: String,
    pub(crate) jar: Jar,
    pub(crate) state: State,
}

impl Ledger {
    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap()
    }

    pub(crate) fn count(&self, what: &str) {
        self.book().count(what);
    }

    pub(crate) fn begun(
        &self,
        id: &str,
        subject: &'static str,
        asked: Instant,
        jar: &Jar,
        may_be_ended: bool,
    ) {
        let mut book = self.book();
        let swept = book.sweeps.iter().any(|sweep| {
            sweep.subject == subject && sweep.until.is_none_or(|until| asked < until + SECOND)
        });
        let life = Life {
            subject,
            known: Instant::now(),
            may_be_ended,
            end_asked: swept.then_some(asked),
            ended: None,
            cookie: jar.value(id).unwrap_or_default().to_owned(),
        };
        if book.lives.insert(id.to_owned(), life).is_some() {
            book.wrong(format!("{id} begins twice"));
        }
        book.count("sign-ins");
    }

    /// To be called before the end is asked for.
    pub(crate) fn ending(&self, ids: &[String]) {
        let mut book = self.book();
        for id in ids {
            if let Some(life) = book.lives.get_mut(id) {
                life.end_asked.get_or_insert_with(Instant::now);
            }
        }
    }

    /// The end was acknowledged.
    pub(crate) fn ended(&self, ids: &[String]) {
        let mut book = self.book();
        for id in ids {
            if let Some(life) = book.lives.get_mut(id) {
                life.ended.get_or_insert_with(Instant::now);
            }
        }
    }

    /// To be called before all of `subject` but `except` are signed out by `by`.
    pub(crate) fn sweeping(
        &self,
        subject: &'static str,
        by: &str,
        except: Option<&str>,
    ) -> SweepId {
        let mut book = self.book();
        let now = Instant::now();
        // Whose own session may be over has no say, and is told no more than that it is.
        let may = book.lives.get(by).is_some_and(|life| life.end_asked.is_none());
        for (id, life) in &mut book.lives {
            if life.subject == subject && Some(&**id) != except {
                life.end_asked.get_or_insert(now);
            }
        }
        let except = except.map(str::to_owned);
        book.sweeps.push(Sweep { subject, except, until: None });
        SweepId(book.sweeps.len() - 1, now, may)
    }

    pub(crate) fn swept(&self, SweepId(number, asked, may): SweepId, is_acknowledged: bool) {
        let book = &mut *self.book();
        let sweep = &mut book.sweeps[number];
        let now = Instant::now();
        sweep.until = Some(if is_acknowledged { now } else { now + LATE });
        for (id, life) in &mut book.lives {
            if life.subject == sweep.subject && sweep.except.as_ref() != Some(id) {
                life.end_asked.get_or_insert(now);
                if is_acknowledged && may && life.known < asked {
                    life.ended.get_or_insert(now);
                }
            }
        }
    }

    pub(crate) fn subject(&self, id: &str) -> Option<&'static str> {
        self.book().lives.get(id).map(|life| life.subject)
    }

    /// Another session of the subject that may be ended from outside, and lives.
    pub(crate) fn other(&self, id: &str, pick: usize) -> Option<String> {
        let book = self.book();
        let subject = book.lives.get(id)?.subject;
        let others = book.lives.iter().filter(|(other, life)| {
            life.subject == subject && life.may_be_ended && life.end_asked.is_none() && *other != id
        });
        let others: Vec<_> = others.map(|(other, _)| other).collect();
        others.get(pick.checked_rem(others.len())?).map(|id| (*id).clone())
    }

    /// The newest cookie of each session.
    pub(crate) fn copies(&self) -> Vec<Copied> {
        let book = self.book();
        let copy = |(id, life): (&String, &Life)| {
            let state = match (life.end_asked, life.ended) {
                (_, Some(at)) => State::Ended(at),
                (Some(_), None) => State::Unsure,
                (None, None) => State::Lives,
            };
            Copied { id: id.clone(), jar: Jar::of(id, &life.cookie), state }
        };
        book.lives.iter().map(copy).collect()
    }

    /// How long after `at` somebody was last told that the store is away.
    pub(crate) fn away_after(&self, at: Instant) -> Duration {
        self.book().last_away.map_or(Duration::ZERO, |last| last.saturating_duration_since(at))
    }

    /// Takes down what any reply to a browser says: `jar` is what it had.
    pub(crate) fn heard(&self, what: &str, reply: &Reply, jar: &Jar) {
        let mut book = self.book();
        book.answered(reply, what);
        for (name, value) in &reply.set {
            match (id_of(name), value) {
                (Some(id), Some(value)) => {
                    if let Some(life) = book.lives.get_mut(id) {
                        life.cookie.clone_from(value);
                    }
                }
                (Some(id), None) => {
                    let wanted = book.lives.get(id).is_none_or(|life| life.end_asked.is_some());
                    if !wanted {
                        book.wrong(format!("{what} {}: the cookie of {id} is gone", reply.status));
                    }
                }
                (None, _) if what.starts_with("GET") => {
                    let active = jar.active();
                    let wanted = active.as_ref().and_then(|id| book.lives.get(id));
                    if wanted.is_some_and(|life| life.end_asked.is_none()) {
                        book.wrong(format!("{what} {}: nobody is active any more", reply.status));
                    }
                }
                (None, _) => {}
            }
        }
    }

    /// Whom `/api/me` shows to one who has `expected`.
    pub(crate) fn shown(&self, expected: &str, reply: &Reply, by: &str) {
        let mut book = self.book();
        match reply.status {
            200 => {
                let me = reply.json();
                let id = me["session_id"].as_str().unwrap_or_default();
                let subject = book.lives.get(expected).map(|life| life.subject);
                if id != expected || me["subject"].as_str() != subject {
                    book.wrong(format!("{by} shows {me} to {expected} of {subject:?}"));
                }
                book.let_in(expected, reply, by);
            }
            401 => book.signed_out(expected, by),
            0 | 502..=504 => {}
            status => book.wrong(format!("{by} answers /api/me with {status}")),
        }
    }

    /// Whether somebody is signed in, by a page for everybody.
    pub(crate) fn public(&self, expected: &str, reply: &Reply) {
        if reply.status == 200 {
            let mut book = self.book();
            match reply.json()["signed_in"].as_bool() {
                Some(true) => book.let_in(expected, reply, "a page for everybody"),
                Some(false) => book.signed_out(expected, "a page for everybody"),
                None => book.count("pages that said: unavailable"),
            }
        }
    }

    pub(crate) fn wrong(&self, what: String) {
        self.book().wrong(what);
    }

    /// A table of what was counted.
    pub(crate) fn report(&self) -> String {
        let book = self.book();
        let mut text = String::new();
        let mut line = |what: &str, much: String| {
            let _ = writeln!(text, "  {what:<52} {much:>10}");
        };
        for (what, count) in &book.counts {
            line(what, count.to_string());
        }
        line("slowest answer, ms", book.slowest.as_millis().to_string());
        line("let in after a confirmed end, ms at most", book.let_in.as_millis().to_string());
        line("wrong", book.wrongs.len().to_string());
        text
    }
}

impl Book {
    pub(crate) fn count(&mut self, what: &str) {
        match self.counts.get_mut(what) {
            Some(count) => *count += 1,
            None => drop(self.counts.insert(what.to_owned(), 1)),
        }
    }

    fn wrong(&mut self, what: String) {
        self.wrongs.push(what);
    }

    fn answered(&mut self, reply: &Reply, what: &str) {
        self.slowest = self.slowest.max(reply.took);
        let kind = if what.starts_with("GET") { "GET" } else { "POST" };
        match reply.status {
            0 => self.count(&format!("{kind}: no answer")),
            1 => self.wrong(format!("{what}: it hangs")),
            502 | 504 => self.count(&format!("{kind}: the proxy lost its node")),
            status => {
                if status == 503 {
                    self.last_away = Some(Instant::now());
                }
                self.count(&format!("{kind}: {status}"));
            }
        }
    }

    fn let_in(&mut self, id: &str, reply: &Reply, by: &str) {
        let Some(at) = self.lives.get(id).and_then(|life| life.ended) else { return };
        let late = reply.sent.saturating_duration_since(at);
        self.let_in = self.let_in.max(late);
        if late > BOUND {
            self.wrong(format!("{by} lets {id} in {late:?} after its end was confirmed"));
        }
    }

    fn signed_out(&mut self, id: &str, by: &str) {
        match self.lives.get(id) {
            Some(life) if life.end_asked.is_none() => {
                let (subject, age) = (life.subject, life.known.elapsed());
                self.wrong(format!("{by}: {id} of {subject} is signed out after {age:?}, unasked"));
            }
            _ => {}
        }
    }
}

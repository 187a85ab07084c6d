//! Records the log lines of a test. Only lines of the test's own thread are seen.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::{Debug, Write as _},
    sync::Once,
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// A log line or a span: its message or name, and its fields before any escaping.
#[derive(Debug, Default, Clone)]
pub(crate) struct Line {
    pub(crate) level: Option<Level>,
    pub(crate) target: String,
    pub(crate) message: String,
    pub(crate) fields: String,
    pub(crate) session: Option<String>,
    /// The values by name.
    pub(crate) values: BTreeMap<String, String>,
}

impl Line {
    fn new(metadata: &Metadata<'_>) -> Self {
        Self {
            level: Some(*metadata.level()),
            target: metadata.target().to_owned(),
            ..Self::default()
        }
    }

    /// The value of a field, or an empty text.
    pub(crate) fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "message" => self.message = text,
            name => {
                if name == "session" {
                    self.session = Some(text.clone());
                }
                let _ = write!(self.fields, " {name}={text}");
                self.values.insert(name.to_owned(), text);
            }
        }
    }
}

thread_local! {
    static LINES: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// Records every event and span per thread. It is installed for the whole process, because `tracing`
/// caches for each call site whether any subscriber is interested.
struct ThreadRecorder;

fn record_line(line: Line) {
    LINES.with_borrow_mut(|lines| lines.push(line));
}

impl Subscriber for ThreadRecorder {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        let mut line = Line::new(attributes.metadata());
        attributes.record(&mut line);
        line.message = attributes.metadata().name().to_owned();
        record_line(line);
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        let mut line = Line::default();
        values.record(&mut line);
        record_line(line);
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::new(event.metadata());
        event.record(&mut line);
        record_line(line);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The log lines of this thread.
pub(crate) struct Log;

impl Log {
    pub(crate) fn start() -> Self {
        static INSTALL: Once = Once::new();
        INSTALL.call_once(|| tracing::subscriber::set_global_default(ThreadRecorder).unwrap());
        LINES.take();
        Self
    }

    pub(crate) fn take(&self) -> Vec<Line> {
        LINES.take()
    }

    /// The warnings since the last call.
    #[cfg(feature = "memory")]
    pub(crate) fn warnings(&self) -> Vec<Line> {
        let is_warning = |line: &Line| line.level == Some(Level::WARN);
        self.take().into_iter().filter(is_warning).collect()
    }

    /// The only session in the lines since the last call, which include each of `messages`.
    #[track_caller]
    pub(crate) fn session(&self, messages: &[&str]) -> (String, Vec<Line>) {
        let lines = self.take();
        for message in messages {
            assert!(lines.iter().any(|line| line.message == *message), "{message}: {lines:#?}");
        }
        let mut sessions: Vec<_> = lines.iter().filter_map(|line| line.session.clone()).collect();
        sessions.dedup();
        assert_eq!(sessions.len(), 1, "{lines:#?}");
        (sessions.remove(0), lines)
    }
}

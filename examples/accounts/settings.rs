//! The settings: `LISTEN` and the `SESSION_*` variables, read and checked together, so that one run
//! reports every problem.

use std::{
    env,
    ffi::OsStr,
    fmt,
    net::{SocketAddr, TcpListener},
};

use axum::http::HeaderValue;
use tower_auth_session::{
    ConfigError, KeyRing, SessionEngine, SessionOptions,
    bearer::BearerTokens,
    config::{CookieConfig, DeviceBound, PageColors, PageTexts, PageTheme, RedirectUrls},
    error::ConfigProblem,
};
use url::Url;

use crate::{events::EventFormat, people::Claims, second_factor, signing, stores::Stored};

/// How many accounts one browser has at most, where it may have several.
pub(crate) const MOST_ACCOUNTS: usize = 5;

/// What the demo reads beside the library's settings.
const OWN: [&str; 8] = [
    "SESSION_BEARER",
    "SESSION_EVENTS",
    "SESSION_INSECURE_COOKIES",
    "SESSION_PAGE_LANGUAGE",
    "SESSION_STORE",
    "SESSION_OUTAGE_GRACE",
    "SESSION_MAX_PER_SUBJECT",
    "SESSION_MAX_PER_SUBJECT_POLICY",
];

/// Where people sign in.
const SIGN_IN_URL: &str = "/sign-in";

/// Everything that is needed to run.
pub(crate) struct Settings {
    pub(crate) engine: SessionEngine<Claims>,
    pub(crate) listener: TcpListener,
    /// Where sessions are kept, if anywhere.
    pub(crate) stored: Option<Stored>,
    /// How browsers reach the site, where that is known.
    pub(crate) origin: Option<String>,
    pub(crate) warnings: Vec<String>,
}

/// Everything that is wrong.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<String>);

impl Settings {
    /// Reads the environment, opens the store and starts to listen.
    pub(crate) async fn from_env() -> Result<Self, Problems> {
        let (mut problems, mut warnings) = (Problems::default(), Vec::new());
        let options = options(&mut problems, &mut warnings);
        let bearer = BearerTokens::new();
        let bearer = bearer.accept(flag("SESSION_BEARER", &mut problems).unwrap_or(false));
        let events = events(&mut problems);
        let texts = page_texts(&mut problems);
        let stored = Stored::from_env(&mut problems).await;
        let file = stored.as_ref().and_then(|stored| stored.file.as_deref());
        let key = signing::key(file, &mut problems, &mut warnings);
        let listener = listen(&mut problems);

        let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        let own = address.and_then(own_origin);
        let insecure = flag("SESSION_INSECURE_COOKIES", &mut problems)
            .unwrap_or_else(|| own.is_some() && env::var_os("SESSION_ORIGIN").is_none());
        let engine = key.and_then(|key| {
            let redirects = RedirectUrls::new()
                .sign_in_url(SIGN_IN_URL)
                .tasks_url(second_factor::PATH)
                .reverify_url("/confirm");
            let mut builder = SessionEngine::builder(KeyRing::new(key))
                .redirect_urls(redirects)
                .bearer_tokens(bearer)
                .page_texts(texts)
                .page_theme(page_theme())
                .multi_session(true)
                .max_sessions_per_browser(MOST_ACCOUNTS);
            if let Some(own) = &own {
                builder = builder.origin(own);
            }
            if insecure {
                builder = builder.cookie(CookieConfig::default().insecure_for_development());
            }
            builder = match events {
                Some(format) => builder.on_event(move |event| format.print(event)),
                None => builder,
            };
            // Browsers bind sessions of https origins only.
            if env::var("SESSION_ORIGIN").is_ok_and(|origin| origin.starts_with("https://")) {
                builder = builder.device_bound(DeviceBound::Preferred);
            }
            // Last, so that the operator's settings override the ones above.
            builder.options(options).build().map_err(|error| problems.add_fields(&error)).ok()
        });

        match (engine, listener) {
            (Some(engine), Some(listener)) if problems.0.is_empty() => {
                let origin = env::var("SESSION_ORIGIN").ok().or(own);
                Ok(Self { engine, listener, stored, origin, warnings })
            }
            _ => Err(problems),
        }
    }

    /// Only the site's own stylesheet is loaded, and no page may frame the site. Forms post to this
    /// site only; browsers apply the same rule to the redirect that answers a form, so the allowed
    /// redirect targets are listed too. `more` is what a page needs in addition.
    pub(crate) fn content_security_policy(&self, more: &str) -> HeaderValue {
        let mut form_action = "'self'".to_owned();
        for name in [
            "SESSION_SIGN_IN_URL",
            "SESSION_ALLOWED_REDIRECT_ORIGINS",
            "SESSION_TASKS_URL",
            "SESSION_REVERIFY_URL",
            "SESSION_AFTER_SIGN_OUT_URL",
            "SESSION_AFTER_MULTI_SESSION_SINGLE_SIGN_OUT_URL",
        ] {
            for url in env::var(name).unwrap_or_default().split(',') {
                if let Ok(url) = Url::parse(url.trim()) {
                    form_action.push(' ');
                    form_action.push_str(&url.origin().ascii_serialization());
                }
            }
        }
        let policy = format!(
            "default-src 'none'; style-src 'self'; form-action {form_action}; base-uri 'none'; \
             frame-ancestors 'none'{more}"
        );
        HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
    }
}

impl Problems {
    pub(crate) fn add(&mut self, name: &str, value: &str, remedy: &str) {
        self.0.push(format!("{name} = {value:?}: {remedy}"));
    }

    /// Problems of the environment, which are named like their variables.
    fn add_variables(&mut self, error: &ConfigError) {
        self.0.extend(error.problems().iter().map(ConfigProblem::to_string));
    }

    /// Problems of the library's settings, under the names of the variables they came from.
    pub(crate) fn add_fields(&mut self, error: &ConfigError) {
        for problem in error.problems() {
            let name = match problem.field() {
                "lifetime" => "SESSION_INACTIVITY_TIMEOUT and SESSION_MAXIMUM_LIFETIME".to_owned(),
                "multi_session" => "SESSION_MULTI".to_owned(),
                "key" | "kid" | "pem" => "SESSION_KEY_FILE".to_owned(),
                "cookie.insecure_for_development" => "SESSION_INSECURE_COOKIES".to_owned(),
                field => {
                    let setting = field.strip_prefix("lifetime.").unwrap_or(field);
                    format!("SESSION_{}", setting.to_ascii_uppercase())
                }
            };
            // Remedies name methods; operators need the names of variables.
            let remedy =
                problem.remedy().replace("lifetime.maximum_lifetime", "SESSION_MAXIMUM_LIFETIME");
            self.add(&name, problem.value(), &remedy);
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "{count} {} with the settings", if count == 1 { "problem" } else { "problems" })?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

/// The library's settings. Where some cannot be read, the others are used: they may be wrong too.
fn options(problems: &mut Problems, warnings: &mut Vec<String>) -> SessionOptions {
    let read = SessionOptions::from_env().or_else(|error| {
        problems.add_variables(&error);
        let is_read = |name: &OsStr| error.problems().iter().all(|problem| name != problem.field());
        SessionOptions::from_vars("SESSION_", env::vars_os().filter(|(name, _)| is_read(name)))
    });
    match read {
        Ok(read) => read
            .known(&OWN)
            .known(&signing::VARIABLES)
            .warn(|warning| warnings.push(warning.to_string())),
        Err(_) => SessionOptions::default(),
    }
}

/// The value of a variable that is on or off.
fn flag(name: &str, problems: &mut Problems) -> Option<bool> {
    let text = env::var_os(name)?;
    match &*text.to_string_lossy() {
        "on" | "true" | "1" => Some(true),
        "off" | "false" | "0" => Some(false),
        other => {
            problems.add(name, other, "write on, off, true, false, 1 or 0");
            None
        }
    }
}

/// The words of the library's pages.
fn page_texts(problems: &mut Problems) -> PageTexts {
    let text = env::var_os("SESSION_PAGE_LANGUAGE").unwrap_or_else(|| "en".into());
    match &*text.to_string_lossy() {
        "en" => PageTexts::english(),
        "de" => PageTexts::german(),
        other => {
            problems.add("SESSION_PAGE_LANGUAGE", other, "write en or de");
            PageTexts::default()
        }
    }
}

/// The colors of `style.css`, for the library's pages.
fn page_theme() -> PageTheme {
    let light = PageColors::light()
        .background("#f7f6f3")
        .text("#1d2321")
        .muted("#5a635f")
        .border("#85897f")
        .accent("#17634f");
    let dark = PageColors::dark()
        .background("#121514")
        .surface("#1a1f1d")
        .text("#e9ece9")
        .muted("#a3aca7")
        .border("#737d78")
        .accent("#7fd1b5");
    PageTheme::new().site_name("Accounts").light(light).dark(dark)
}

/// The format in which events are printed, if they are printed.
fn events(problems: &mut Problems) -> Option<EventFormat> {
    let text = env::var_os("SESSION_EVENTS").unwrap_or_else(|| "plain".into());
    match &*text.to_string_lossy() {
        "plain" => Some(EventFormat::Plain),
        "log" => Some(EventFormat::Log),
        "off" => None,
        other => {
            problems.add("SESSION_EVENTS", other, "write plain, log or off");
            None
        }
    }
}

fn listen(problems: &mut Problems) -> Option<TcpListener> {
    let text = env::var_os("LISTEN").unwrap_or_else(|| "127.0.0.1:3000".into());
    let text = text.to_string_lossy();
    let Ok(address) = text.parse::<SocketAddr>() else {
        let remedy = "write an IP address and a port, such as 127.0.0.1:3000 or [::1]:3000";
        problems.add("LISTEN", &text, remedy);
        return None;
    };
    TcpListener::bind(address)
        .map_err(|error| problems.add("LISTEN", &text, &format!("choose another one: {error}")))
        .ok()
}

/// The origin for browsers on this machine. Other machines may use a name that is not known here.
fn own_origin(address: SocketAddr) -> Option<String> {
    address.ip().is_loopback().then(|| match address.port() {
        // Browsers leave the scheme's own port out.
        80 => format!("http://{address}").trim_end_matches(":80").to_owned(),
        _ => format!("http://{address}"),
    })
}

//! The demo with each session store.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::Output,
    time::Duration,
};

use serde_json::{Value, json};

use super::{BROWSER, Browser, FORM, HttpResponse, Site, accounts};

const FIREFOX: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0\r\n";

/// Signs in as `user` and returns the `Cookie` line of the browser.
fn sign_in(site: &Site, user: &str) -> String {
    let response = site.post("/sign-in", FIREFOX, &format!("user={user}"));
    assert_eq!(response.status(), "303", "{}", response.head);
    response.cookie()
}

fn id_of(site: &Site, cookie: &str) -> String {
    site.get("/api/me", cookie).json()["session_id"].as_str().unwrap().to_owned()
}

fn devices(site: &Site, cookie: &str) -> Vec<Value> {
    site.get("/api/devices", cookie).json().as_array().unwrap().clone()
}

fn is_signed_in(site: &Site, cookie: &str) -> bool {
    let response = site.get("/api/me", cookie);
    assert!(matches!(response.status(), "200" | "401"), "{}", response.head);
    response.status() == "200"
}

/// Checks without waiting, because an acknowledged sign-out applies at once.
fn assert_signed_out(site: &Site, cookie: &str) {
    assert!(!is_signed_in(site, cookie), "still signed in");
}

fn assert_problem(response: &HttpResponse, status: &str, code: &str) {
    assert_eq!(
        (response.status(), &response.json()["code"]),
        (status, &code.into()),
        "{}",
        response.head
    );
    assert_eq!(response.header("content-type"), "application/problem+json");
}

/// An open `/api/stream`.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn open(site: &Site, cookie: &str) -> Self {
        let mut connection = TcpStream::connect(&site.address).unwrap();
        // Much longer than the documented second, and shorter than every other event: requests in
        // flight get ten seconds when the process stops, comments are sent every fifteen, and the
        // token itself is valid for minutes.
        connection.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
        let host = &site.address;
        let request = format!("GET /api/stream HTTP/1.1\r\nHost: {host}\r\n{cookie}\r\n");
        connection.write_all(request.as_bytes()).unwrap();
        let mut stream = Self(BufReader::new(connection));
        let head = stream.until("\r\n");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
        assert!(head.contains("cache-control: private, no-store\r\n"), "{head}");
        let opened = stream.until("\n");
        assert!(opened.contains("event: session\ndata: {\"session_id\":\""), "{opened}");
        stream
    }

    /// Reads up to a line that equals `line`.
    fn until(&mut self, line: &str) -> String {
        let (mut text, mut start) = (String::new(), 0);
        while &text[start..] != line || start == 0 {
            start = text.len();
            assert!(self.0.read_line(&mut text).unwrap() > 0, "{text}");
        }
        text
    }

    /// Reads until the response is complete.
    fn rest(mut self) -> String {
        self.until("0\r\n")
    }
}

#[test]
#[cfg_attr(not(feature = "memory"), ignore = "needs the feature memory")]
fn demo_devices_are_listed_and_signed_out_by_their_owner_only() {
    let site = Site::start(&[("SESSION_STORE", "memory")]);
    let (laptop, phone, bob) =
        (sign_in(&site, "ada"), sign_in(&site, "ada"), sign_in(&site, "grace"));
    let (here, there) = (id_of(&site, &laptop), id_of(&site, &phone));

    let list = devices(&site, &laptop);
    assert_eq!(list.len(), 2, "{list:?}");
    let by_id = |id: &str| list.iter().find(|device| device["session_id"] == *id).unwrap();
    for (id, current) in [(&here, true), (&there, false)] {
        let device = by_id(id);
        assert_eq!(device["current"], current);
        let [created, active] = ["created_at", "last_active_at"].map(|at| device[at].as_u64());
        assert!(created.unwrap() > 1_700_000_000 && active >= created, "{device}");
        let label = cfg!(feature = "user-agent").then_some("Firefox on Linux");
        assert_eq!(device["label"].as_str(), label);
    }

    let end =
        |cookie: &str, id: &str| site.post("/api/devices/end", cookie, &format!("session_id={id}"));
    let grace = id_of(&site, &bob);
    for foreign_id in [&*grace, "AAAAAAAAAAAAAAAAAAAAAA", "x'; --", "%00", ""] {
        assert_problem(&end(&laptop, foreign_id), "404", "unknown_session");
    }
    assert!(is_signed_in(&site, &bob), "an id alone gives no access");
    assert_eq!(site.post("/api/devices/end", &laptop, "").status(), "422");
    assert_eq!(end("", &here).status(), "401");
    let cross_origin = format!("{laptop}Origin: http://127.0.0.1:1\r\n{FORM}");
    for (path, body) in [
        ("/api/devices/end", format!("session_id={there}")),
        ("/api/devices/end-others", String::new()),
        ("/api/password", String::new()),
    ] {
        assert_eq!(site.send("POST", path, &cross_origin, &body).status(), "403", "{path}");
    }
    assert!(is_signed_in(&site, &phone));

    let response = end(&laptop, &there);
    assert_eq!((response.status(), response.json()), ("200", json!({ "ended": 1 })));
    assert!(!is_signed_in(&site, &phone) && is_signed_in(&site, &laptop));
    assert_problem(&end(&laptop, &there), "404", "unknown_session");
    let itself = end(&laptop, &here);
    assert_eq!(itself.status(), "200");
    assert!(itself.head.contains("Max-Age=0"), "its cookie is removed too: {}", itself.head);
    assert!(!is_signed_in(&site, &laptop));
    assert_eq!(site.stop(), Some(0));
}

#[test]
#[cfg_attr(not(feature = "memory"), ignore = "needs the feature memory")]
fn demo_account_page_signs_out_devices_without_script() {
    let site = Site::start(&[("SESSION_STORE", "memory")]);
    let mut browser = Browser { site: &site, cookies: Vec::new() };
    browser.post("/sign-in", "user=ada");
    browser.post("/sign-in", "user=grace");
    let others = [sign_in(&site, "grace"), sign_in(&site, "grace"), sign_in(&site, "grace")];
    let ada_elsewhere = sign_in(&site, "ada");

    let page = browser.get("/devices").body;
    assert_eq!(page.matches("action=\"/api/devices/end\"").count(), 3, "{page}");
    assert_eq!(page.matches(">This browser<").count(), 1);
    let first = id_of(&site, &others[0]);
    let target = browser.post("/api/devices/end", &format!("session_id={first}"));
    assert_eq!(target, "/devices?done=ended");
    assert!(browser.get("/devices?done=ended").body.contains("That session has ended."));
    assert_eq!(others.each_ref().map(|cookie| is_signed_in(&site, cookie)), [false, true, true]);
    let again = site.post(
        "/api/devices/end",
        &format!("{}{BROWSER}", super::cookie_line(&browser.cookies)),
        &format!("session_id={first}"),
    );
    assert_eq!(again.status(), "404");
    assert!(again.body.contains("<h1>The request failed</h1>"), "{}", again.body);

    assert_eq!(browser.post("/api/devices/end-others", ""), "/devices?done=others");
    others.iter().for_each(|cookie| assert_signed_out(&site, cookie));
    let thief = sign_in(&site, "grace");
    assert_eq!(browser.post("/api/password", ""), "/devices?done=password");
    assert_signed_out(&site, &thief);

    let elsewhere = sign_in(&site, "grace");
    let me = browser.get("/me").body;
    assert!(me.contains("<h1>Grace Tolmark</h1>"), "the current session is kept: {me}");
    let page = browser.get("/devices").body;
    let form = page.split("<form").find(|form| form.contains("value=\"everywhere\"")).unwrap();
    let id = form.split("name=\"session_id\" value=\"").nth(1).unwrap();
    let id = id.split('"').next().unwrap();
    assert_eq!(browser.post("/sign-out", &format!("session_id={id}&scope=everywhere")), "/");
    assert_signed_out(&site, &elsewhere);
    assert!(is_signed_in(&site, &ada_elsewhere), "another user's sessions are kept");
    assert!(browser.get("/").body.contains("Signed in from this browser: Ada Fernhill."));
}

#[test]
#[cfg_attr(not(feature = "memory"), ignore = "needs the feature memory")]
fn demo_stream_ends_with_its_session_and_with_the_process() {
    let site = Site::start(&[("SESSION_STORE", "memory")]);
    assert_eq!(site.get("/api/stream", "").status(), "401");
    let (laptop, phone) = (sign_in(&site, "ada"), sign_in(&site, "ada"));
    let (stream, other) = (Stream::open(&site, &laptop), Stream::open(&site, &phone));
    let form = format!("session_id={}", id_of(&site, &laptop));
    site.post("/api/devices/end", &phone, &form);
    let rest = stream.rest();
    assert!(rest.contains("event: ended\ndata: {\"session_id\":\""), "{rest}");

    site.terminate();
    let rest = other.rest();
    assert!(!rest.contains("event: ended"), "the session has not ended: {rest}");
    assert_eq!(site.stop(), Some(0));
}

#[test]
#[cfg_attr(not(feature = "memory"), ignore = "needs the feature memory")]
fn demo_limits_the_sessions_per_user() {
    let limits = [("SESSION_STORE", "memory"), ("SESSION_MAX_PER_SUBJECT", "1")];
    let site = Site::start(&limits);
    let (first, grace) = (sign_in(&site, "ada"), sign_in(&site, "grace"));
    let second = sign_in(&site, "ada");
    let signed_in = [&first, &second, &grace].map(|cookie| is_signed_in(&site, cookie));
    assert_eq!(signed_in, [false, true, true]);

    let site = Site::start(&[limits[0], limits[1], ("SESSION_MAX_PER_SUBJECT_POLICY", "refuse")]);
    let first = sign_in(&site, "ada");
    let rejected = site.post("/sign-in", "", "user=ada&redirect_url=/x");
    assert_eq!((rejected.status(), &*rejected.cookie()), ("409", ""));
    assert!(rejected.body.contains("the maximum number of sessions"), "{}", rejected.body);
    assert!(
        rejected.body.contains("name=\"redirect_url\" value=\"/x\""),
        "the form is shown again"
    );
    site.post("/sign-out", &first, "");
    sign_in(&site, "ada");
}

#[test]
fn demo_without_a_store_has_no_devices() {
    let site = Site::start(&[("SESSION_STORE", "none")]);
    let ada = sign_in(&site, "ada");
    assert_problem(&site.get("/api/devices", &ada), "501", "needs_store");
    let id = id_of(&site, &ada);
    for path in ["/api/devices/end", "/api/devices/end-others", "/api/password"] {
        let response = site.post(path, &ada, &format!("session_id={id}"));
        assert_problem(&response, "501", "needs_store");
    }
    let page = site.get("/me", &ada).body;
    assert!(!page.contains("devices") && !page.contains("everywhere"), "{page}");
    let stream = Stream::open(&site, &ada);
    site.post("/sign-out", &ada, "");
    assert!(stream.rest().contains("event: ended"), "sign-outs of this process are known");
}

#[test]
fn demo_reports_an_invalid_store_with_its_remedy() {
    let mut invalid = vec![
        ("", "write none, memory, sqlite:FILE"),
        ("mysql://ada:hunter2@localhost/x", "write none, memory, sqlite:FILE"),
        ("memory:hunter2", "write none, memory, sqlite:FILE"),
        ("sqlite:", "write none, memory, sqlite:FILE"),
        ("Memory", "write none, memory, sqlite:FILE"),
    ];
    for (text, feature, is_on) in [
        ("memory", "memory", cfg!(feature = "memory")),
        ("sqlite:x", "sqlite", cfg!(feature = "sqlite")),
        ("postgres://a:hunter2@localhost", "postgres", cfg!(feature = "postgres")),
        ("redis://:hunter2@localhost", "redis", cfg!(feature = "redis")),
        ("redis://a,redis://b", "redis-cluster", cfg!(feature = "redis-cluster")),
        ("rediss://:hunter2@localhost", "redis-tls", cfg!(feature = "redis-tls")),
    ] {
        // A prefix of longer feature names.
        let remedy = ["--features ", feature].concat();
        if !is_on {
            invalid.push((text, remedy.leak()));
        }
    }
    if cfg!(feature = "sqlite") {
        invalid.push(("sqlite:/nowhere/at/all/x.sqlite", "it cannot be opened"));
    }
    if cfg!(feature = "postgres") {
        invalid.push(("postgres://a:hunter2@127.0.0.1:1/x", "it cannot be opened"));
    }
    if cfg!(feature = "redis") {
        invalid.push(("redis://:hunter2@127.0.0.1:1", "it cannot be opened"));
    }
    for (store, remedy) in invalid {
        for name in
            if remedy.starts_with("it") { &["STORE"][..] } else { &["SESSION_STORE", "STORE"] }
        {
            let Output { status, stderr, .. } =
                accounts(&[]).env_remove("SESSION_STORE").env(name, store).output().unwrap();
            let stderr_text = String::from_utf8(stderr).unwrap();
            assert_eq!(status.code(), Some(2), "{name}={store}: {stderr_text}");
            assert!(
                stderr_text.contains(remedy) && stderr_text.contains(name),
                "{name}={store}: {stderr_text}"
            );
            assert!(
                !stderr_text.contains("hunter2") && !stderr_text.contains("panicked"),
                "{stderr_text}"
            );
        }
    }
    let Output { status, stderr, .. } =
        accounts(&[("SESSION_STORE", "none"), ("STORE", "memory")]).output().unwrap();
    let stderr_text = String::from_utf8(stderr).unwrap();
    assert!(status.code() == Some(2) && stderr_text.contains("unset STORE"), "{stderr_text}");
    let without = [("SESSION_STORE", "none"), ("SESSION_MAX_PER_SUBJECT", "3")];
    let Output { status, stderr, .. } = accounts(&without).output().unwrap();
    let stderr_text = String::from_utf8(stderr).unwrap();
    assert!(status.code() == Some(2) && stderr_text.contains("it needs a store"), "{stderr_text}");
}

/// A temporary folder.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn store(&self) -> String {
        format!("sqlite:{}", self.0.join("sessions.sqlite").display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const SECRET: (&str, &str) = ("SESSION_SECRET", "thirty-two bytes, for tests only!");

#[test]
#[cfg_attr(not(feature = "sqlite"), ignore = "needs the feature sqlite")]
fn demo_session_signed_out_in_one_process_is_rejected_in_another() {
    let folder = Folder::new("accounts-two");
    let store = folder.store();
    let settings = [SECRET, ("SESSION_STORE", &store), ("SESSION_RENEW_AFTER", "10m")];
    let (one, other) = (Site::start(&settings), Site::start(&settings));
    let (laptop, phone) = (sign_in(&one, "ada"), sign_in(&other, "ada"));
    assert!(is_signed_in(&other, &laptop) && is_signed_in(&one, &phone));
    assert_eq!(devices(&one, &laptop).len(), 2);

    let stream = Stream::open(&one, &laptop);
    assert_eq!(other.post("/api/devices/end-others", &phone, "").json()["ended"], 1);
    assert!(stream.rest().contains("event: ended"));
    assert!(!is_signed_in(&one, &laptop) && is_signed_in(&one, &phone));
}

#[test]
#[cfg_attr(not(feature = "sqlite"), ignore = "needs the feature sqlite")]
fn demo_sessions_in_a_file_survive_a_restart() {
    let folder = Folder::new("accounts-restart");
    let store = folder.store();
    let settings = [SECRET, ("STORE", &*store)];
    let start = || Site::start_with(accounts(&settings).env_remove("SESSION_STORE"));
    let site = start();
    let (ada, grace, linus) =
        (sign_in(&site, "ada"), sign_in(&site, "grace"), sign_in(&site, "linus"));
    site.post("/sign-out", &grace, "");
    assert_eq!(site.stop(), Some(0));

    let site = start();
    assert_signed_out(&site, &grace);
    assert!(is_signed_in(&site, &ada) && is_signed_in(&site, &linus));
    site.post("/sign-out", &linus, "");
    // Dropping kills the process.
    drop(site);
    let site = start();
    assert_signed_out(&site, &grace);
    assert_signed_out(&site, &linus);
    assert!(is_signed_in(&site, &ada), "acknowledged sessions are kept");
    assert_eq!(devices(&site, &ada).len(), 1);
}

#[test]
fn demo_default_store_is_the_best_of_the_build() {
    let site = Site::start_with(accounts(&[]).env_remove("SESSION_STORE"));
    let output = site.output.iter().take(2).collect::<Vec<_>>().concat();
    let expected = if cfg!(feature = "sqlite") {
        "/examples/accounts.sqlite"
    } else if cfg!(feature = "memory") {
        "in the memory of this process"
    } else {
        "in cookies alone"
    };
    assert!(output.contains(expected), "{output}");
    assert_eq!(site.stop(), Some(0));
}

/// A key that was generated at each start would sign all users out, and leave their cookies in the
/// browser.
#[cfg(feature = "sqlite")]
#[test]
fn demo_keeps_a_generated_key_beside_its_sqlite_file() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = std::env::temp_dir().join(format!("accounts-key-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let store = format!("sqlite:{}", folder.join("sessions.sqlite").display());
    for (algorithm, kid) in [("HS256", Some("kept")), ("EdDSA", None)] {
        let settings = [("SESSION_STORE", &*store), ("SESSION_ALGORITHM", algorithm)];
        let first = Site::start(&settings);
        let ada = sign_in(&first, "ada");
        assert_eq!(first.stop(), Some(0));
        let second = Site::start(&settings);
        assert!(is_signed_in(&second, &ada), "{algorithm}");
        drop(second);
        let file = folder.join(format!("sessions.sqlite.{algorithm}.jwk"));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let key: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(kid.is_none(), key["kid"].as_str().unwrap() != "kept");
        fs::write(&file, "{").unwrap();
        let Output { status, stderr, .. } = accounts(&settings).output().unwrap();
        let problem = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(2), "{problem}");
    }
    fs::remove_dir_all(&folder).unwrap();
}

//! The demo from the point of view of its visitors and its operator: the built example, over plain TCP.
//!
//! `cargo test` builds examples; `cargo test --test accounts` alone runs the one that was built last.
#![cfg(all(unix, feature = "axum", any(feature = "aws-lc-rs", feature = "rust-crypto")))]
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod bearer;
mod site;
mod stores;

use std::{
    fs,
    io::Read as _,
    process::{Command, Output},
};

use self::site::{BROWSER, FORM, HttpResponse, Site, accounts, cookie_line};

#[test]
fn demo_visit_works_from_sign_in_to_sign_out() {
    let site = Site::start(&[("SESSION_INACTIVITY_TIMEOUT", "1h")]);

    let home = site.get("/", BROWSER);
    assert!(home.body.contains("You are not signed in"), "{}", home.body);
    assert!(home.header("content-security-policy").starts_with("default-src 'none'; "));
    assert_eq!(site.get("/api/public", "").json(), serde_json::json!({ "signed_in": false }));
    assert_eq!(site.get("/api/me", "").status(), "401");
    let guarded = site.get("/me?tab=2", BROWSER);
    let form = guarded.header("location");
    assert_eq!((guarded.status(), form), ("303", "/sign-in?redirect_url=%2Fme%3Ftab%3D2"));
    let form = site.get(form, BROWSER);
    assert!(form.body.contains("name=\"redirect_url\" value=\"/me?tab=2\""), "{}", form.body);

    let signed_in = site.post("/sign-in", "", "user=ada&redirect_url=%2Fme%3Ftab%3D2");
    assert_eq!((signed_in.status(), signed_in.header("location")), ("303", "/me?tab=2"));
    assert!(signed_in.header("set-cookie").ends_with("; Path=/; Max-Age=3600"));
    let ada = signed_in.cookie();

    let page = site.get("/me", &ada);
    assert_eq!(page.header("cache-control"), "private, no-store");
    let me = site.get("/api/me", &ada).json();
    assert!(page.body.contains(me["session_id"].as_str().unwrap()), "{}", page.body);
    assert_eq!((&me["subject"], &me["claims"]["name"]), (&"ada".into(), &"Ada Fernhill".into()));
    let seconds = |field: &str| me[field].as_u64().unwrap();
    assert_eq!(seconds("expires_at"), seconds("last_active_at") + 3600);
    assert!(seconds("signed_in_at") <= seconds("last_active_at"));

    let role = site.post("/api/role", &ada, "role=%3Cb%3Echief%3C%2Fb%3E");
    assert_eq!((role.status(), &role.json()["role"]), ("200", &"<b>chief</b>".into()));
    let ada = role.cookie();
    assert_eq!(site.get("/api/me", &ada).json()["claims"]["role"], "<b>chief</b>");
    assert!(!site.get("/me", &ada).body.contains("<b>"), "user input is escaped");
    let headers = format!("{ada}Content-Type: application/json\r\n");
    assert_eq!(site.send("POST", "/api/role", &headers, r#"{"role": "lead"}"#).status(), "200");
    assert_eq!(site.post("/api/role", &ada, "role=%0A").status(), "422");
    let cross_origin = format!("{ada}Origin: http://127.0.0.1:1\r\n{FORM}");
    assert_eq!(site.send("POST", "/api/role", &cross_origin, "role=x").status(), "403");

    assert_eq!(site.get("/api/slow?ms=1", &ada).json()["ms"], 1);
    for wrong in ["", "?ms=", "?ms=60001", "?ms=-1", "?ms=1&ms=1"] {
        let response = site.get(&format!("/api/slow{wrong}"), &ada);
        assert_eq!(response.status(), "400", "{wrong}");
    }

    let id = format!("session_id={}", me["session_id"].as_str().unwrap());
    let signed_out = site.post("/sign-out", &ada, &id);
    assert_eq!((signed_out.status(), signed_out.header("location")), ("303", "/"));
    assert!(signed_out.header("set-cookie").ends_with("Max-Age=0"));
    assert_eq!(site.get("/api/me", &ada).status(), "401", "a copied cookie is rejected");

    assert_eq!(site.stop(), Some(0));
}

/// A browser with its cookies.
struct Browser<'a> {
    site: &'a Site,
    cookies: Vec<(String, String)>,
}

impl Browser<'_> {
    fn get(&mut self, path: &str) -> HttpResponse {
        let response = self.site.get(path, &format!("{}{BROWSER}", cookie_line(&self.cookies)));
        self.cookies = response.cookies(&self.cookies);
        response
    }

    /// Sends a form and returns the redirect target.
    fn post(&mut self, path: &str, form: &str) -> String {
        let headers = format!("{}{BROWSER}", cookie_line(&self.cookies));
        let response = self.site.post(path, &headers, form);
        self.cookies = response.cookies(&self.cookies);
        assert_eq!(response.status(), "303", "{path} {form}: {}", response.head);
        response.header("location").to_owned()
    }
}

#[test]
fn demo_switches_between_accounts_until_signing_out_of_all() {
    let site = Site::start(&[]);
    let mut browser = Browser { site: &site, cookies: Vec::new() };
    assert_eq!(browser.post("/sign-in", "user=ada"), "/me");
    let form = browser.get("/sign-in").body;
    assert!(form.contains("Signed in from this browser: Ada Fernhill."), "{form}");
    assert!(form.contains("value=\"grace\" required checked"), "ada is signed in already: {form}");
    assert_eq!(browser.post("/sign-in", "user=grace"), "/me");

    let list = browser.get("/session").json();
    let subjects: Vec<_> = list["sessions"].as_array().unwrap().iter().collect();
    let [grace, ada] = *subjects else { panic!("{list}") };
    assert_eq!((&grace["subject"], &ada["subject"]), (&"grace".into(), &"ada".into()));
    assert_eq!(list["active"], grace["session_id"]);
    let (grace, ada) = (grace["session_id"].as_str().unwrap(), ada["session_id"].as_str().unwrap());

    let me = browser.get("/me").body;
    let switch =
        format!("name=\"session_id\" value=\"{ada}\"><input type=\"hidden\" name=\"redirect_url\"");
    assert!(me.contains("<h1>Grace Tolmark</h1>"), "{me}");
    assert_eq!(me.matches(&switch).count(), 2, "in the header and on the page: {me}");
    assert!(me.contains("name=\"scope\" value=\"browser\""), "{me}");
    let form = format!("session_id={ada}&redirect_url=/me");
    assert_eq!(browser.post("/session/switch", &form), "/me");
    assert!(browser.get("/me").body.contains("<h1>Ada Fernhill</h1>"));

    assert_eq!(browser.post("/sign-out", &format!("session_id={ada}")), "/sign-in/choose");
    let home = browser.get("/").body;
    assert!(home.contains("Signed in from this browser: Grace Tolmark."), "{home}");
    let guarded = browser.get("/me");
    let choose = guarded.header("location");
    assert_eq!((guarded.status(), choose), ("303", "/sign-in/choose?redirect_url=%2Fme"));
    let chooser = browser.get(choose);
    assert_eq!(chooser.status(), "200");
    assert!(chooser.body.contains("Grace Tolmark") && chooser.body.contains(grace));
    assert!(!chooser.body.contains("Ada Fernhill"), "{}", chooser.body);
    let policy = chooser.header("content-security-policy");
    assert!(policy.contains("style-src 'sha256-"), "the chooser keeps its style: {policy}");

    assert_eq!(
        browser.post("/session/switch", &format!("session_id={grace}&redirect_url=/me")),
        "/me"
    );
    assert!(browser.get("/me").body.contains("<h1>Grace Tolmark</h1>"));
    assert_eq!(browser.post("/sign-out", "scope=browser"), "/");
    assert!(browser.get("/").body.contains("You are not signed in"));
    assert_eq!(browser.get("/session").json()["sessions"], serde_json::json!([]));
}

#[test]
fn demo_second_factor_activates_a_new_session() {
    let site = Site::start(&[]);
    let mut browser = Browser { site: &site, cookies: Vec::new() };
    let step = browser.post("/sign-in", "user=margaret&redirect_url=/?a=b");
    assert_eq!(step, "/sign-in/second-factor?redirect_url=%2F%3Fa%3Db");
    let guarded = browser.get("/me");
    let location = "/sign-in/second-factor?redirect_url=%2Fme";
    assert_eq!((guarded.status(), guarded.header("location")), ("303", location));
    let script = site.get("/api/me", &cookie_line(&browser.cookies));
    assert_eq!((script.status(), &script.json()["tasks"][0]), ("403", &"second-factor".into()));
    assert!(!site.get("/api/public", &cookie_line(&browser.cookies)).body.contains("true"));
    let pending = browser.get("/session").json();
    assert_eq!(pending["sessions"][0]["status"], "pending");

    let page = browser.get(&step).body;
    assert!(page.contains("name=\"redirect_url\" value=\"/?a=b\""), "{page}");
    let stolen = cookie_line(&browser.cookies);
    let headers = format!("{stolen}{BROWSER}");
    let wrong = site.post("/sign-in/second-factor", &headers, "code=000000");
    assert_eq!((wrong.status(), wrong.header("set-cookie")), ("422", ""), "{}", wrong.head);
    let done = "code=314159&redirect_url=/?a=b";
    assert_eq!(browser.post("/sign-in/second-factor", done), "/?a=b");
    assert!(browser.get("/me").body.contains("<h1>Margaret Ashcombe</h1>"));
    let list = browser.get("/session").json();
    assert_eq!(list["sessions"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(list["sessions"][0]["status"], "active");
    assert_ne!(list["active"], pending["active"]);
    assert_eq!(site.get("/api/me", &stolen).status(), "401", "the pending session is revoked");
    assert_eq!(browser.get("/sign-in/second-factor").header("location"), "/me");
}

#[test]
fn demo_impersonation_starts_and_returns_to_the_own_account() {
    let site = Site::start(&[]);
    let mut browser = Browser { site: &site, cookies: Vec::new() };
    browser.post("/sign-in", "user=grace");
    let headers = format!("{}{BROWSER}", cookie_line(&browser.cookies));
    assert_eq!(
        site.post("/support", &headers, "user=ada").status(),
        "403",
        "Grace may not impersonate"
    );
    browser.post("/sign-in", "user=ada");
    let own = browser.get("/session").json()["active"].clone();
    assert!(browser.get("/support").body.contains("<option value=\"linus\">"));
    assert_eq!(browser.post("/support", "user=linus"), "/me");
    let me = browser.get("/me").body;
    assert!(me.contains("<h1>Linus Oakby</h1>"), "{me}");
    assert!(me.contains("You act as Linus Oakby; you are ada."), "{me}");
    assert!(!me.contains("action=\"/api/role\""), "{me}");
    let list = browser.get("/session").json();
    assert_eq!(list["sessions"][0]["actor"]["sub"], "ada");
    for path in ["/api/role", "/api/password", "/support"] {
        let headers = cookie_line(&browser.cookies);
        let rejected = site.post(path, &headers, "role=x&user=grace");
        assert_eq!((rejected.status(), &rejected.json()["code"]), ("403", &"impersonated".into()));
    }
    let script = site.get("/api/devices", &cookie_line(&browser.cookies));
    assert_eq!((script.status(), &script.json()["code"]), ("403", &"impersonated".into()));
    assert_eq!(browser.post("/support/end", ""), "/me");
    assert!(browser.get("/me").body.contains("<h1>Ada Fernhill</h1>"));
    let list = browser.get("/session").json();
    assert_eq!((&list["active"], list["sessions"].as_array().unwrap().len()), (&own, 2));
}

#[test]
fn demo_without_multi_session_replaces_the_account() {
    let site = Site::start(&[("SESSION_MULTI", "off")]);
    let signed_in = site.post("/sign-in", "", "user=ada");
    let [(name, _)] = &*signed_in.cookies(&[]) else { panic!("{}", signed_in.head) };
    assert_eq!(name, "__Host-session");
    let mut browser = Browser { site: &site, cookies: signed_in.cookies(&[]) };
    let form = browser.get("/sign-in").body;
    assert!(form.contains("signed in as Ada Fernhill. Signing in ends that session."), "{form}");
    assert!(!form.contains("Add account"), "{form}");
    assert_eq!(browser.post("/sign-in", "user=grace"), "/me");
    assert!(browser.get("/").body.contains("Hello, Grace"));
    let ada = site.get("/api/me", &signed_in.cookie());
    assert_eq!(ada.status(), "401", "the next sign-in replaces the account");
    assert_eq!(browser.get("/session").json()["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(browser.get("/sign-in/choose").status(), "404");
    assert_eq!(browser.post("/sign-out", ""), "/");
    assert!(browser.cookies.is_empty());
}

#[test]
fn demo_prints_what_happens_to_sessions_in_words() {
    let site = Site::start(&[("SESSION_RENEW_AFTER", "1s")]);
    let mut browser = Browser { site: &site, cookies: Vec::new() };
    browser.post("/sign-in", "user=ada");
    let ada = browser.get("/session").json()["active"].as_str().unwrap().to_owned();
    for user in ["grace", "linus", "barbara", "emil", "donald"] {
        let location = browser.post("/sign-in", &format!("user={user}"));
        let made_room = location.starts_with("/sign-in/made-room?user=ada&");
        assert_eq!(made_room, user == "donald", "{location}");
    }
    let list = browser.get("/session").json();
    let sessions = list["sessions"].as_array().unwrap();
    let other = sessions.iter().find(|session| session["subject"] == "grace").unwrap();
    let other = other["session_id"].as_str().unwrap();
    browser.post("/session/switch", &format!("session_id={other}"));
    browser.post("/sign-out", &format!("session_id={other}"));
    site.terminate();
    let output: Vec<_> = site.output.iter().collect();
    let output = output.join("\n");
    let (ada, other) = (&ada[..8], &other[..8]);
    for line in [
        format!(" Ada Fernhill signed in, session {ada}\n"),
        format!(" Ada Fernhill, session {ada}, was signed out to make room for session "),
        format!(" A browser switched to Grace Tolmark, session {other}\n"),
        format!(" Grace Tolmark signed out, session {other}"),
    ] {
        assert!(output.contains(&line), "{line} in {output}");
    }
}

/// Over plain HTTP, Safari discards cookies that are marked Secure.
#[test]
fn demo_on_loopback_signs_in_without_secure_cookies_and_warns() {
    let by_default = |command: &mut Command| {
        let mut site = Site::of(command.env_remove("SESSION_INSECURE_COOKIES").spawn().unwrap());
        let signed_in = site.post("/sign-in", "", "user=ada");
        site.terminate();
        let mut warnings = String::new();
        site.process.stderr.take().unwrap().read_to_string(&mut warnings).unwrap();
        (signed_in.head, warnings)
    };
    let (head, warnings) = by_default(&mut accounts(&[("SESSION_MULTI", "off")]));
    let cookie = head.lines().find(|line| line.starts_with("set-cookie: session=")).unwrap();
    assert!(!cookie.contains("Secure"), "{cookie}");
    // Warnings are written by the feature `tracing`.
    let is_logged = |text: &str, warnings: &str| {
        assert!(!cfg!(feature = "tracing") || warnings.contains(text), "{warnings}");
    };
    is_logged("cookie.insecure_for_development", &warnings);

    // With an origin, the switch has to be set explicitly, and never with https.
    let origin = ("SESSION_ORIGIN", "http://127.0.0.1:3000");
    let (head, warnings) = by_default(&mut accounts(&[("SESSION_MULTI", "off"), origin]));
    assert!(head.contains("403"), "{head}");
    is_logged("WebKit (Safari) drops Secure cookies", &warnings);
    is_logged("warning=\"refused_origin\"", &warnings);
    let production =
        [("SESSION_ORIGIN", "https://app.example.com"), ("SESSION_INSECURE_COOKIES", "on")];
    let Output { status, stderr, .. } = accounts(&production).output().unwrap();
    let problem = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{problem}");
    assert!(
        problem.contains("SESSION_INSECURE_COOKIES") && problem.contains("remove it"),
        "{problem}"
    );
}

#[test]
fn demo_sign_in_page_reports_that_the_browser_kept_no_cookie() {
    let site = Site::start(&[]);
    let says_so = |page: &str| page.contains("your browser did not keep the cookie");
    let navigation = format!(
        "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nReferer: {}/sign-in\r\n",
        site.origin()
    );
    let back = site.get("/me", &navigation);
    let location = "/sign-in?redirect_url=%2Fme&cookie_missing=1";
    assert_eq!((back.status(), back.header("location")), ("303", location));
    assert!(says_so(&site.get(location, "").body));
    assert!(!says_so(&site.get("/sign-in?redirect_url=%2Fme", "").body));
}

#[test]
fn demo_chooser_is_served_below_its_own_sign_in_url_only() {
    for (sign_in, choose, status) in [
        ("/login?from=x", "/login/choose?from=x", "200"),
        ("https://id.example/sign-in", "https://id.example/sign-in/choose", "404"),
    ] {
        let site = Site::start(&[("SESSION_SIGN_IN_URL", sign_in)]);
        let mut browser = Browser { site: &site, cookies: Vec::new() };
        browser.post("/sign-in", "user=ada");
        browser.post("/sign-in", "user=grace");
        assert_eq!(browser.post("/sign-out", ""), choose);
        let path = choose.strip_prefix("https://id.example").unwrap_or(choose);
        assert_eq!(browser.get(path).status(), status, "{path}");
    }
}

#[test]
fn demo_serves_the_react_page_or_build_instructions() {
    let site = Site::start(&[]);
    let moved = site.get("/react", BROWSER);
    assert_eq!((moved.status(), moved.header("location")), ("308", "/react/"));
    let page = site.get("/react/", BROWSER);
    let dist = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/react/dist");
    if let Ok(index) = fs::read_to_string(format!("{dist}/index.html")) {
        assert_eq!((page.status(), page.header("cache-control")), ("200", "no-cache"));
        assert_eq!(page.body, index);
        // No inline script or style, which the policy would reject.
        assert!(!index.contains("<style") && !index.contains("<script>"), "{index}");
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'self'; "), "{policy}");
        assert!(policy.contains("; script-src 'self'; ") && !policy.contains("unsafe"), "{policy}");

        let mut names = index.split('"').filter(|name| name.starts_with("/react/assets/"));
        for (end, kind) in [(".js", "text/javascript"), (".css", "text/css")] {
            let name = names.find(|name| name.ends_with(end)).expect(end);
            let asset = site.get(name, "");
            assert_eq!((asset.status(), asset.header("content-type")), ("200", kind));
            assert!(asset.header("cache-control").ends_with("immutable"), "{}", asset.head);
        }
    } else {
        assert_eq!(page.status(), "404");
        assert!(page.body.contains("npm ci\nnpm run build"), "{}", page.body);
        assert_eq!(page.header("cache-control"), "private, no-store");
    }

    for outside in [
        "/react/../package.json",
        "/react/%2e%2e/package.json",
        "/react/..%2fpackage.json",
        "/react/assets/..%2f..%2fpackage.json",
        "/react/..%5cpackage.json",
        "/react//etc/hostname",
        "/react/%2fetc%2fhostname",
        "/react/package.json",
        "/react/assets",
        "/react/assets/",
    ] {
        let response = site.get(outside, BROWSER);
        assert_eq!(response.status(), "404", "{outside}: {}", response.head);
        assert!(response.body.contains("There is no such page"), "{outside}: {}", response.body);
    }
}

#[test]
fn demo_sign_in_form_validates_its_fields() {
    let allowed = "https://a.example,https://b.example:8443";
    let site = Site::start(&[("SESSION_ALLOWED_REDIRECT_ORIGINS", allowed)]);
    for (redirect_url, location) in [
        ("", "/me"),
        ("/?a=b", "/?a=b"),
        (&site.origin(), &site.origin()),
        ("https://b.example:8443/x", "https://b.example:8443/x"),
        ("https://b.example/", "/me"),
        ("//a.example", "/me"),
        ("/\\a.example", "/me"),
    ] {
        let form = format!("user=grace&redirect_url={redirect_url}");
        let response = site.post("/sign-in", "", &form);
        assert_eq!((response.status(), response.header("location")), ("303", location));
    }
    for (field, age) in [("", 7), ("&duration=usual", 7), ("&duration=month", 30)] {
        let response = site.post("/sign-in", "", &format!("user=grace{field}"));
        let cookie = response.header("set-cookie");
        // A second may start between the sign-in and the response.
        let has_max_age = |age: u32| cookie.ends_with(&format!("; Max-Age={age}"));
        let age = age * 24 * 3600;
        assert!(has_max_age(age) || has_max_age(age - 1), "{field}: {}", response.head);
    }
    let hour = site.post("/sign-in", "", "user=grace&duration=hour");
    assert!(!hour.header("set-cookie").contains("Max-Age"), "{}", hour.head);
    let unknown = site.post("/sign-in", "", "user=grace&duration=year");
    assert_eq!((unknown.status(), unknown.header("set-cookie")), ("422", ""), "{}", unknown.head);
    for form in ["", "user=", "user=mallory&redirect_url=%22%3E%3Cscript%3E"] {
        let response = site.post("/sign-in", "", form);
        assert_eq!((response.status(), response.header("set-cookie")), ("422", ""), "{form}");
        assert!(response.body.contains("ada, grace, linus, barbara, emil, margaret, donald"));
        assert!(response.body.contains("<form") && !response.body.contains("<script"), "{form}");
    }
    assert_eq!(site.post("/sign-in", "", "user=ada&user=ada").status(), "422");
    let json = format!("Origin: {}\r\nContent-Type: application/json\r\n", site.origin());
    assert_eq!(site.send("POST", "/sign-in", &json, r#"{"user": "ada"}"#).status(), "415");
    let cross_origin = format!("Origin: https://evil.example\r\n{FORM}");
    assert_eq!(site.send("POST", "/sign-in", &cross_origin, "user=ada").status(), "403");
    assert_eq!(site.get("/nowhere", BROWSER).status(), "404");
}

#[test]
fn demo_reports_all_invalid_settings_together() {
    let wrong = [
        ("LISTEN", "localhost"),
        ("SESSION_SECRET", "too short"),
        ("SESSION_INACTIVITY_TIMEOUT", "2h"),
        ("SESSION_MAXIMUM_LIFETIME", "1h"),
        ("SESSION_RENEW_AFTER", "60"),
        ("SESSION_MULTI", "maybe"),
        ("SESSION_ORIGIN", "http://example.com"),
        ("SESSION_ALLOWED_REDIRECT_ORIGINS", "https://a.example/"),
        ("SESSION_SIGN_IN_URL", "//evil.example"),
        ("SESSION_AFTER_SIGN_OUT_URL", "javascript:1"),
        ("SESSION_AFTER_MULTI_SESSION_SINGLE_SIGN_OUT_URL", "bye"),
        ("SESSION_TASKS_URL", "//evil.example"),
        ("SESSION_REVERIFY_URL", "confirm"),
        ("SESSION_NOT_BEFORE", "yesterday"),
        ("SESSION_STORE", "mysql://ada:hunter2@localhost"),
        ("SESSION_MAX_PER_SUBJECT", "0"),
        ("SESSION_MAX_PER_SUBJECT_POLICY", "never"),
        ("SESSION_OUTAGE_GRACE", "1h"),
    ];
    let Output { status, stdout, stderr } = accounts(&wrong).output().unwrap();
    let output = String::from_utf8(stderr).unwrap();
    assert_eq!((status.code(), stdout.as_slice()), (Some(2), &b""[..]), "{output}");
    for (name, _) in wrong {
        assert!(output.contains(name), "{name} in: {output}");
    }
    // The head line, and the two lifetimes that contradict each other are one problem.
    assert_eq!(output.lines().count(), wrong.len(), "{output}");
    assert!(!output.contains("panicked") && !output.contains("too short"), "{output}");
    assert!(!output.contains("hunter2"), "{output}");
}

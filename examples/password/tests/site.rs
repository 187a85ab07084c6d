//! The site from the point of view of its users, with a clock that the tests move, and once as a process.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::connect_info::MockConnectInfo,
    http::{
        Request, StatusCode,
        header::{CONTENT_TYPE, COOKIE, LOCATION, ORIGIN, RETRY_AFTER, SET_COOKIE},
    },
};
use http_body_util::BodyExt as _;
use password_example::{Attempts, NewUserError, Role, Users};
use sqlx::{SqlitePool, sqlite::SqliteConnectOptions};
use tower::ServiceExt as _;
use tower_auth_session::{KeyRing, SigningKey, testing::ManualClock, time::Timestamp};

const SITE: &str = "http://127.0.0.1:3000";
const ADA: &str = "correct horse battery";
const GRACE: &str = "staple of the admiral";

/// An empty database of this test.
fn database(test: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.sqlite"));
    for ending in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{ending}", path.display()));
    }
    path
}

/// The site with a member, `ada`, and an administrator, `grace`.
struct Site {
    router: Router,
    clock: ManualClock,
    users: Users,
    pool: SqlitePool,
}

impl Site {
    async fn new(test: &str) -> Self {
        let options = SqliteConnectOptions::new().filename(database(test)).create_if_missing(true);
        let pool = SqlitePool::connect_with(options).await.unwrap();
        password_example::migrate(&pool).await.unwrap();
        let users = Users::new(pool.clone());
        users.add("ada", ADA, Role::Member).await.unwrap();
        users.add("grace", GRACE, Role::Admin).await.unwrap();
        let clock = ManualClock::at(Timestamp::from_unix_seconds(1_800_000_000));
        let keys =
            KeyRing::new(SigningKey::hs256("1", "a key of 32 bytes for these tests").unwrap());
        let sessions = password_example::sessions(keys, SITE, &pool, clock.clone()).unwrap();
        let router = password_example::site(sessions, pool.clone(), Arc::new(Attempts::default()));
        let client = SocketAddr::from(([192, 0, 2, 1], 1));
        Self { router: router.layer(MockConnectInfo(client)), clock, users, pool }
    }

    /// A browser in which the user has signed in.
    async fn signed_in(&self, name: &str, password: &str) -> Browser {
        let mut browser = Browser::default();
        let page = browser.sign_in(self, name, password).await;
        assert_eq!(
            (page.status, &*page.location),
            (StatusCode::SEE_OTHER, "/account"),
            "{}",
            page.text
        );
        browser
    }
}

#[derive(Default)]
struct Browser {
    cookie: Option<String>,
}

struct Page {
    status: StatusCode,
    location: String,
    text: String,
}

impl Browser {
    async fn send(&mut self, site: &Site, mut request: Request<Body>) -> Page {
        if let Some(cookie) = &self.cookie {
            request.headers_mut().insert(COOKIE, cookie.parse().unwrap());
        }
        request.headers_mut().insert("sec-fetch-mode", "navigate".parse().unwrap());
        let response = site.router.clone().oneshot(request).await.unwrap();
        for set in response.headers().get_all(SET_COOKIE) {
            let set = set.to_str().unwrap();
            let pair = set.split(';').next().unwrap().to_owned();
            self.cookie = (!set.contains("Max-Age=0")).then_some(pair);
        }
        let status = response.status();
        let header = |name| response.headers().get(name).map(|it| it.to_str().unwrap().to_owned());
        assert_eq!(header(RETRY_AFTER).is_some(), status == StatusCode::TOO_MANY_REQUESTS);
        let location = header(LOCATION).unwrap_or_default();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Page { status, location, text: String::from_utf8(body.to_vec()).unwrap() }
    }

    async fn get(&mut self, site: &Site, path: &str) -> Page {
        self.send(site, Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn post(&mut self, site: &Site, path: &str, form: &str) -> Page {
        self.post_from(site, SITE, path, form).await
    }

    async fn post_from(&mut self, site: &Site, origin: &str, path: &str, form: &str) -> Page {
        let request = Request::post(path)
            .header("host", SITE.strip_prefix("http://").unwrap())
            .header(ORIGIN, origin)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form.to_owned()));
        self.send(site, request.unwrap()).await
    }

    async fn sign_in(&mut self, site: &Site, name: &str, password: &str) -> Page {
        self.post(site, "/sign-in", &format!("name={name}&password={password}")).await
    }
}

#[tokio::test]
async fn user_signs_in_and_returns_to_the_requested_page() {
    let site = Site::new("return").await;
    let mut browser = Browser::default();
    let page = browser.get(&site, "/account").await;
    assert_eq!(page.location, "/sign-in?redirect_url=%2Faccount");
    let page = browser.get(&site, &page.location).await;
    assert!(page.text.contains(r#"name="redirect_url" value="/account""#), "{}", page.text);
    let form = format!("name=Ada&password={ADA}&redirect_url=%2Faccount");
    let page = browser.post(&site, "/sign-in", &form).await;
    assert_eq!((page.status, &*page.location), (StatusCode::SEE_OTHER, "/account"));
    let page = browser.get(&site, "/account").await;
    assert!(page.text.contains("<h1>ada</h1>"), "{}", page.text);
    assert_eq!(page.text.matches("<li>").count(), 1, "one session");

    // Another site is no page to return to.
    let form = format!("name=ada&password={ADA}&redirect_url=https%3A%2F%2Fevil.example");
    let page = Browser::default().post(&site, "/sign-in", &form).await;
    assert_eq!(page.location, "/account");

    let page = browser.post(&site, "/sign-out", "").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert_eq!(browser.get(&site, "/account").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn path_without_a_route_is_404_for_every_visitor() {
    let site = Site::new("no_route").await;
    let mut ada = site.signed_in("ada", ADA).await;
    assert_eq!(Browser::default().get(&site, "/acount").await.status, StatusCode::NOT_FOUND);
    assert_eq!(ada.get(&site, "/acount").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn wrong_passwords_and_unknown_names_look_alike() {
    let site = Site::new("wrong").await;
    let mut seen = Vec::new();
    for (name, password) in
        [("ada", GRACE), ("nobody", ADA), ("ada", ""), ("ada", &"x".repeat(300))]
    {
        let mut browser = Browser::default();
        let page = browser.sign_in(&site, name, password).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(page.text.contains("The name or the password is wrong."));
        assert_eq!(browser.cookie, None);
        seen.push(page.text.replace(name, "NAME"));
    }
    assert!(seen.iter().all(|text| *text == seen[0]));
}

#[tokio::test]
async fn attempts_are_limited_for_each_name() {
    let site = Site::new("attempts").await;
    for _ in 0..5 {
        let page = Browser::default().sign_in(&site, "ada", "a wrong password").await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let page = Browser::default().sign_in(&site, "ADA", ADA).await;
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS);
    site.signed_in("grace", GRACE).await;

    // The form that changes the password has the same limit.
    let mut grace = site.signed_in("grace", GRACE).await;
    let form = "current=wrong&new=a new and long password";
    for expected in [422, 422, 422, 429] {
        assert_eq!(grace.post(&site, "/account/password", form).await.status, expected);
    }
}

#[tokio::test]
async fn new_password_ends_all_other_sessions() {
    let site = Site::new("change").await;
    let mut here = site.signed_in("ada", ADA).await;
    let mut elsewhere = site.signed_in("ada", ADA).await;
    let new = "a new and long password";
    for (current, wanted) in [("wrong", new), (ADA, "short")] {
        let form = format!("current={current}&new={wanted}");
        let page = here.post(&site, "/account/password", &form).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", page.text);
    }
    assert_eq!(elsewhere.get(&site, "/account").await.status, StatusCode::OK);

    let page = here.post(&site, "/account/password", &format!("current={ADA}&new={new}")).await;
    assert!(page.text.contains("1 other sessions were signed out"), "{}", page.text);
    assert_eq!(here.get(&site, "/account").await.status, StatusCode::OK);
    assert_eq!(elsewhere.get(&site, "/account").await.status, StatusCode::SEE_OTHER);
    let page = Browser::default().sign_in(&site, "ada", ADA).await;
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS, "the limit counts all attempts");
    // The limit is one of the process; another one has counted nothing.
    let sessions = password_example::sessions(
        KeyRing::new(SigningKey::hs256("1", "a key of 32 bytes for these tests").unwrap()),
        SITE,
        &site.pool,
        site.clock.clone(),
    );
    let router =
        password_example::site(sessions.unwrap(), site.pool.clone(), Arc::new(Attempts::default()));
    let router = router.layer(MockConnectInfo(SocketAddr::from(([192, 0, 2, 1], 1))));
    let site = Site { router, ..site };
    let page = Browser::default().sign_in(&site, "ada", ADA).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "the old password");
    site.signed_in("ada", new).await;
}

#[tokio::test]
async fn disabled_user_is_out_within_a_minute() {
    let site = Site::new("disabled").await;
    let mut ada = site.signed_in("ada", ADA).await;
    let mut grace = site.signed_in("grace", GRACE).await;
    let page = grace.get(&site, "/admin/users").await;
    assert!(page.text.contains(r#"action="/admin/users/1""#), "{}", page.text);
    let page = grace.post(&site, "/admin/users/1", "action=disable").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);

    let page = Browser::default().sign_in(&site, "ada", ADA).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    let page = Browser::default().sign_in(&site, "ada", "a wrong password").await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);

    site.clock.advance(Duration::from_secs(60));
    assert_eq!(ada.get(&site, "/account").await.status, StatusCode::SEE_OTHER);
    assert_eq!(grace.get(&site, "/account").await.status, StatusCode::OK);
    // The session was revoked: enabling the user again does not bring it back.
    grace.post(&site, "/admin/users/1", "action=enable").await;
    assert_eq!(ada.get(&site, "/account").await.status, StatusCode::SEE_OTHER);
    site.signed_in("ada", ADA).await;
}

#[tokio::test]
async fn role_reaches_the_guards_within_a_minute() {
    let site = Site::new("role").await;
    let mut ada = site.signed_in("ada", ADA).await;
    for _ in 0..2 {
        assert_eq!(ada.get(&site, "/admin/users").await.status, StatusCode::FORBIDDEN);
        let page = ada.post(&site, "/admin/users/2", "action=disable").await;
        assert_eq!(page.status, StatusCode::FORBIDDEN);
        site.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(ada.get(&site, "/account").await.status, StatusCode::OK);
    let sql = "UPDATE users SET role = 'admin' WHERE name = 'ada'";
    sqlx::query(sql).execute(&site.pool).await.unwrap();
    assert_eq!(ada.get(&site, "/admin/users").await.status, StatusCode::FORBIDDEN);
    site.clock.advance(Duration::from_secs(60));
    assert_eq!(ada.get(&site, "/admin/users").await.status, StatusCode::OK);
}

#[tokio::test]
async fn forms_of_other_sites_are_refused() {
    let site = Site::new("csrf").await;
    let mut grace = site.signed_in("grace", GRACE).await;
    let evil = "https://evil.example";
    for (path, form) in [
        ("/admin/users/1", "action=disable"),
        ("/account/password", "current=a&new=b"),
        ("/sign-in", "name=ada&password=x"),
        ("/sign-out", ""),
    ] {
        let page = grace.post_from(&site, evil, path, form).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{path}");
    }
    site.signed_in("ada", ADA).await;
}

#[tokio::test]
async fn new_users_need_a_free_name_and_a_long_password() {
    let site = Site::new("new").await;
    let add = async |name: &str, password: &str| site.users.add(name, password, Role::Member).await;
    assert!(matches!(add("Ada", ADA).await, Err(NewUserError::Name)));
    assert!(matches!(add(" ", ADA).await, Err(NewUserError::Name)));
    assert!(matches!(add("bob", "fourteen chars").await, Err(NewUserError::Password)));
    assert!(matches!(add("bob", &"x".repeat(257)).await, Err(NewUserError::Password)));
    let name = "the name of a user";
    assert!(matches!(add(name, "The name of a User").await, Err(NewUserError::Password)));
    add("<b>bob</b>", ADA).await.unwrap();
    let mut grace = site.signed_in("grace", GRACE).await;
    assert!(!grace.get(&site, "/admin/users").await.text.contains("<b>"), "names are escaped");
    let row: (String,) = sqlx::query_as("SELECT password_hash FROM users WHERE name = 'ada'")
        .fetch_one(&site.pool)
        .await
        .unwrap();
    assert!(row.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", row.0);
}

/// The program, as README.md starts it.
#[test]
fn process_adds_a_user_and_serves_the_site() {
    let path = database("process");
    let program = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_password-example"));
        command.env("DATABASE", &path).env("LISTEN", "127.0.0.1:0");
        command.env_remove("ORIGIN").env_remove("SESSION_SECRET");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        command
    };
    let run = |arguments: &[&str], input: &str| {
        let mut process = program().args(arguments).spawn().unwrap();
        process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        process.wait_with_output().unwrap()
    };
    assert!(!run(&["add", "ada", "admin"], "short\n").status.success());
    let added = run(&["add", "ada", "admin"], &format!("{ADA}\n"));
    assert_eq!(String::from_utf8_lossy(&added.stdout), "ada was added\n");
    assert!(!run(&["remove", "ada"], "").status.success());

    struct Running(std::process::Child);
    impl Drop for Running {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let mut process = Running(program().spawn().unwrap());
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
    let send = |method: &str, path: &str, headers: &str, body: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\n\
             Connection: close\r\nAccept: text/html\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n{headers}\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    };
    let form = format!("name=ada&password={}", ADA.replace(' ', "+"));
    let signed_in = send("POST", "/sign-in", "", &form);
    assert!(signed_in.starts_with("HTTP/1.1 303"), "{signed_in}");
    let cookie = signed_in.split("set-cookie: ").nth(1).unwrap().split(';').next().unwrap();
    let users = send("GET", "/admin/users", &format!("Cookie: {cookie}\r\n"), "");
    assert!(users.contains("<li>ada Admin"), "{users}");
    assert!(send("GET", "/admin/users", "", "").contains("location: /sign-in"));
}

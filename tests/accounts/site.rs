//! The built demo as a process, and HTTP requests to it over plain TCP.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use serde_json::Value;

/// The store of all tests that are not about stores, which must not matter to them.
const STORE: &str = if cfg!(feature = "memory") { "memory" } else { "none" };

/// The example with only these settings.
pub(crate) fn accounts(settings: &[(&str, &str)]) -> Command {
    // The test is target/PROFILE/deps/accounts-HASH.
    let path: PathBuf = env::current_exe().unwrap().ancestors().nth(2).unwrap().into();
    let path = path.join("examples/accounts");
    assert!(path.exists(), "no {}: cargo build --example accounts", path.display());
    let mut command = Command::new(path);
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("SESSION_") {
            command.env_remove(name);
        }
    }
    command.env_remove("STORE").env("SESSION_STORE", STORE);
    // The cookies of production, although the tests use plain HTTP.
    command.env("SESSION_INSECURE_COOKIES", "off");
    command.env("LISTEN", "127.0.0.1:0").envs(settings.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A running example. It is killed when this is dropped.
pub(crate) struct Site {
    pub(crate) process: Child,
    pub(crate) address: String,
    /// The lines that it prints after the address.
    pub(crate) output: Receiver<String>,
}

impl Site {
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_with(&mut accounts(settings))
    }

    pub(crate) fn start_with(command: &mut Command) -> Self {
        Self::of(command.stderr(Stdio::inherit()).spawn().unwrap())
    }

    /// A process that was started a moment ago.
    pub(crate) fn of(mut process: Child) -> Self {
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (sender, output) = mpsc::channel();
        // Reads all lines, also those that no test needs: the process would wait once the pipe is full.
        thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        });
        // Lines with events may come before the address.
        let mut lines = output.iter();
        let address =
            lines.find_map(|line| Some(line.strip_prefix("listening on http://")?.into()));
        let address: String = address.expect("a line with the address");
        Self { process, address, output }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> HttpResponse {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let (host, length) = (&self.address, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
             Content-Length: {length}\r\n{headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").expect("a complete head");
        HttpResponse { head: head.to_owned(), body: body.to_owned() }
    }

    pub(crate) fn get(&self, path: &str, headers: &str) -> HttpResponse {
        self.send("GET", path, headers, "")
    }

    /// Sends a form from one of the site's own pages.
    pub(crate) fn post(&self, path: &str, cookie: &str, form: &str) -> HttpResponse {
        let headers = format!("{cookie}Origin: {}\r\n{FORM}", self.origin());
        self.send("POST", path, &headers, form)
    }

    /// Sends SIGTERM to the process.
    pub(crate) fn terminate(&self) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    /// Stops the process and returns its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.terminate();
        self.process.wait().unwrap().code()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) struct HttpResponse {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl HttpResponse {
    pub(crate) fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(found, _)| *found == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect(&self.body)
    }

    /// The cookies of a browser after this response, if it had `before`.
    pub(crate) fn cookies(&self, before: &[(String, String)]) -> Vec<(String, String)> {
        let mut after = before.to_vec();
        for line in self.head.lines() {
            let Some(set) = line.strip_prefix("set-cookie: ") else { continue };
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            after.retain(|(name_before, _)| name_before != name);
            if !set.ends_with("Max-Age=0") {
                after.push((name.to_owned(), value.to_owned()));
            }
        }
        after
    }

    /// The `Cookie` line of a browser that had no cookies before this response.
    pub(crate) fn cookie(&self) -> String {
        cookie_line(&self.cookies(&[]))
    }
}

pub(crate) fn cookie_line(cookies: &[(String, String)]) -> String {
    let pairs: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if pairs.is_empty() { String::new() } else { format!("Cookie: {}\r\n", pairs.join("; ")) }
}

pub(crate) const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
pub(crate) const BROWSER: &str = "Accept: text/html\r\n";

//! Two processes with one key file that each reads when it gets to it, and one browser that is sent to
//! one or the other. This very binary is the second process.

use std::{
    io::{BufRead as _, BufReader, Write as _, stdin},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};
use tower::{Layer as _, service_fn};
use tower_auth_session::{KeyFile, SessionLayer, SignIn};

use super::{Folder, builder, kid, new, old, who};
use crate::support::{Browser, COOKIE, User, get, layer_on, seconds, subject, user};

const FILE: &str = "TEST_KEY_FILE";
/// libtest writes lines of its own.
const ANSWER: &str = "node: ";

/// One node, driven by lines: `reload`, `advance` or a cookie.
struct Node {
    keys: KeyFile,
    layer: SessionLayer<User>,
    clock: tower_auth_session::ManualClock,
    runtime: tokio::runtime::Runtime,
}

impl Node {
    fn new(file: &std::path::Path) -> Self {
        let keys = KeyFile::open(file).unwrap();
        let (layer, clock) = layer_on(builder(keys.ring()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { keys, layer, clock, runtime }
    }

    fn hear(&self, line: &str) -> Value {
        match line {
            "reload" => json!(self.keys.reload()),
            "advance" => {
                self.clock.advance(seconds(10));
                Value::Null
            }
            cookie => {
                let (name, value) = cookie.split_once('=').unwrap();
                let mut browser = Browser { cookies: [(name.into(), value.into())].into() };
                let service = self.layer.layer(service_fn(who));
                let response = self.runtime.block_on(browser.send(&service, get("/")));
                json!({ "who": response.text(), "cookie": browser.cookie_header() })
            }
        }
    }
}

/// Runs in the second process only.
#[test]
#[ignore = "the second process of the test below"]
fn the_other_node() {
    let Some(file) = std::env::var_os(FILE) else { return };
    let node = Node::new(file.as_ref());
    for line in stdin().lines() {
        println!("\n{ANSWER}{}", node.hear(&line.unwrap()));
    }
}

struct OtherNode {
    child: Child,
    says: BufReader<ChildStdout>,
    hears: Option<ChildStdin>,
}

impl OtherNode {
    fn start(folder: &Folder) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "keys::shared_key_file::the_other_node", "--ignored", "--nocapture"])
            .env(FILE, folder.file())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let says = BufReader::new(child.stdout.take().unwrap());
        let hears = child.stdin.take();
        Self { child, says, hears }
    }

    fn hear(&mut self, line: &str) -> Value {
        writeln!(self.hears.as_mut().unwrap(), "{line}").unwrap();
        loop {
            let mut response = String::new();
            assert_ne!(self.says.read_line(&mut response).unwrap(), 0, "the other node is gone");
            if let Some(response) = response.strip_prefix(ANSWER) {
                return serde_json::from_str(response).unwrap();
            }
        }
    }
}

impl Drop for OtherNode {
    fn drop(&mut self) {
        self.hears = None;
        let _ = self.child.wait();
    }
}

/// Sends the browser to both nodes, 10 s apart so that each renews, and says whose keys signed.
fn visit_both(here: &Node, there: &mut OtherNode, cookie: &mut String) -> [String; 2] {
    let mut signed = Vec::new();
    for at_home in [true, false] {
        for line in ["advance", cookie.clone().as_str()] {
            let (one, other) = (here, &mut *there);
            let response = if line == "advance" {
                other.hear(line);
                one.hear(line)
            } else if at_home {
                one.hear(line)
            } else {
                other.hear(line)
            };
            if line != "advance" {
                assert_eq!(response["who"], "application: ada", "{at_home}");
                let renewed = response["cookie"].as_str().expect("no cookie is removed").to_owned();
                assert_ne!(renewed, *cookie, "it is renewed");
                *cookie = renewed;
            }
        }
        signed.push(kid(cookie.strip_prefix(COOKIE).unwrap().trim_start_matches('=')));
    }
    signed.try_into().unwrap()
}

#[test]
fn a_rotation_half_way_refuses_nobody() {
    let folder = Folder::new("two");
    folder.write(&json!({ "keys": [old()] }).to_string());
    let here = Node::new(&folder.file());
    let mut there = OtherNode::start(&folder);
    let ada = Browser::signed_in(&here.layer, SignIn::new(subject("ada"), user("Ada")));
    let mut cookie = ada.cookie_header().unwrap();
    assert_eq!(visit_both(&here, &mut there, &mut cookie), ["old", "old"]);

    // Published: one node has read it, then both.
    folder.write_both("old");
    assert_eq!(here.hear("reload"), true);
    assert_eq!(visit_both(&here, &mut there, &mut cookie), ["old", "old"]);
    assert_eq!(there.hear("reload"), true);
    assert_eq!(visit_both(&here, &mut there, &mut cookie), ["old", "old"]);

    // Promoted: for a while each node signs with another key.
    folder.write_both("new");
    assert_eq!(here.hear("reload"), true);
    assert_eq!(visit_both(&here, &mut there, &mut cookie), ["new", "old"]);
    assert_eq!(visit_both(&here, &mut there, &mut cookie), ["new", "old"]);
    assert_eq!(there.hear("reload"), true);
    assert_eq!(visit_both(&here, &mut there, &mut cookie), ["new", "new"]);

    // Retired: the session has moved on, and one node may be late in this too.
    folder.write(&json!({ "keys": [new()] }).to_string());
    assert_eq!(there.hear("reload"), true);
    assert_eq!(visit_both(&here, &mut there, &mut cookie), ["new", "new"]);
    assert_eq!(here.hear("reload"), true);
    assert_eq!(visit_both(&here, &mut there, &mut cookie), ["new", "new"]);
    let first = ada.cookie_header().unwrap();
    for response in [here.hear(&first), there.hear(&first)] {
        assert_eq!(response, json!({ "who": "application: signed out", "cookie": first }));
    }
}

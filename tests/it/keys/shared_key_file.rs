//! Two processes read one key file at different times, and the requests of one browser reach either of
//! them. The second process is this test binary.

use std::{
    io::{BufRead as _, BufReader, Write as _, stdin},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};
use tower::{Layer as _, service_fn};
use tower_auth_session::{SessionLayer, SignIn, keys::KeyFile};

use super::{Folder, builder, current_user, kid, new, old};
use crate::support::{Browser, COOKIE, User, get, layer_on, seconds, subject, user};

const FILE: &str = "TEST_KEY_FILE";
/// Marks the node's output, because libtest writes lines too.
const OUTPUT_PREFIX: &str = "node: ";

/// One node, controlled by lines: `reload`, `advance` or a cookie.
struct Node {
    keys: KeyFile,
    layer: SessionLayer<User>,
    clock: tower_auth_session::testing::ManualClock,
    runtime: tokio::runtime::Runtime,
}

impl Node {
    fn new(file: &std::path::Path) -> Self {
        let keys = KeyFile::open(file).unwrap();
        let (layer, clock) = layer_on(builder(keys.ring()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { keys, layer, clock, runtime }
    }

    fn execute(&self, line: &str) -> Value {
        match line {
            "reload" => json!(self.keys.reload()),
            "advance" => {
                self.clock.advance(seconds(10));
                Value::Null
            }
            cookie => {
                let (name, value) = cookie.split_once('=').unwrap();
                let mut browser = Browser { cookies: [(name.into(), value.into())].into() };
                let service = self.layer.layer(service_fn(current_user));
                let response = self.runtime.block_on(browser.send(&service, get("/")));
                json!({ "who": response.text(), "cookie": browser.cookie_header() })
            }
        }
    }
}

/// Runs in the second process only.
#[test]
#[ignore = "the second process of another test"]
fn second_node_process() {
    let Some(file) = std::env::var_os(FILE) else { return };
    let node = Node::new(file.as_ref());
    for line in stdin().lines() {
        println!("\n{OUTPUT_PREFIX}{}", node.execute(&line.unwrap()));
    }
}

struct OtherNode {
    child: Child,
    output: BufReader<ChildStdout>,
    input: Option<ChildStdin>,
}

impl OtherNode {
    fn start(folder: &Folder) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "keys::shared_key_file::second_node_process",
                "--ignored",
                "--nocapture",
            ])
            .env(FILE, folder.file())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let input = child.stdin.take();
        Self { child, output, input }
    }

    fn execute(&mut self, line: &str) -> Value {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        loop {
            let mut response = String::new();
            assert_ne!(
                self.output.read_line(&mut response).unwrap(),
                0,
                "the second node has exited"
            );
            if let Some(response) = response.strip_prefix(OUTPUT_PREFIX) {
                return serde_json::from_str(response).unwrap();
            }
        }
    }
}

impl Drop for OtherNode {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}

/// Sends a request to each node, 10 s apart so that each renews, and returns the keys that signed.
fn visit_both(first_node: &Node, second_node: &mut OtherNode, cookie: &mut String) -> [String; 2] {
    let mut signed = Vec::new();
    for to_first_node in [true, false] {
        for line in ["advance", cookie.clone().as_str()] {
            let (one, other) = (first_node, &mut *second_node);
            let response = if line == "advance" {
                other.execute(line);
                one.execute(line)
            } else if to_first_node {
                one.execute(line)
            } else {
                other.execute(line)
            };
            if line != "advance" {
                assert_eq!(response["who"], "application: ada", "{to_first_node}");
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
fn sessions_stay_valid_while_two_processes_rotate_keys() {
    let folder = Folder::new("two");
    folder.write(&json!({ "keys": [old()] }).to_string());
    let first_node = Node::new(&folder.file());
    let mut second_node = OtherNode::start(&folder);
    let ada = Browser::signed_in(&first_node.layer, SignIn::new(subject("ada"), user("Ada")));
    let mut cookie = ada.cookie_header().unwrap();
    assert_eq!(visit_both(&first_node, &mut second_node, &mut cookie), ["old", "old"]);

    // Publish: first one node has read the file, then both.
    folder.write_both("old");
    assert_eq!(first_node.execute("reload"), true);
    assert_eq!(visit_both(&first_node, &mut second_node, &mut cookie), ["old", "old"]);
    assert_eq!(second_node.execute("reload"), true);
    assert_eq!(visit_both(&first_node, &mut second_node, &mut cookie), ["old", "old"]);

    // Promote: meanwhile each node signs with another key.
    folder.write_both("new");
    assert_eq!(first_node.execute("reload"), true);
    assert_eq!(visit_both(&first_node, &mut second_node, &mut cookie), ["new", "old"]);
    assert_eq!(visit_both(&first_node, &mut second_node, &mut cookie), ["new", "old"]);
    assert_eq!(second_node.execute("reload"), true);
    assert_eq!(visit_both(&first_node, &mut second_node, &mut cookie), ["new", "new"]);

    // Retire: the session has the new key, and one node may be late again.
    folder.write(&json!({ "keys": [new()] }).to_string());
    assert_eq!(second_node.execute("reload"), true);
    assert_eq!(visit_both(&first_node, &mut second_node, &mut cookie), ["new", "new"]);
    assert_eq!(first_node.execute("reload"), true);
    assert_eq!(visit_both(&first_node, &mut second_node, &mut cookie), ["new", "new"]);
    let first = ada.cookie_header().unwrap();
    for response in [first_node.execute(&first), second_node.execute(&first)] {
        assert_eq!(response, json!({ "who": "application: signed out", "cookie": first }));
    }
}

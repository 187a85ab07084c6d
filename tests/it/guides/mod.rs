//! Lists and programs in `docs` agree with the source: problem codes, events, fields of log lines, tests
//! named for auditors, and programs that are also run here.

mod cart;
mod csrf;
mod examples;
mod presets;
mod testing;
mod what_goes_where;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use http::{Request, StatusCode};
use proc_macro2::{TokenStream, TokenTree};
use tower_auth_session::{
    KeyRing, SessionEngine, SessionLifetime, SignIn, testing::cookie_of, time::Timestamp,
};

use crate::{
    documents::{documents, files, read, table},
    support::{START, key, subject},
};

/// The tokens of a source file; those of groups follow their opening delimiter.
fn tokens(path: &str) -> Vec<String> {
    fn flatten(stream: TokenStream, into: &mut Vec<String>) {
        for tree in stream {
            match tree {
                TokenTree::Group(group) => {
                    into.push("(".to_owned());
                    flatten(group.stream(), into);
                    into.push(")".to_owned());
                }
                other => into.push(other.to_string()),
            }
        }
    }
    let mut all = Vec::new();
    flatten(read(path).parse().unwrap(), &mut all);
    all
}

fn sources(folder: &str) -> Vec<String> {
    let mut sources = files(folder, ".rs");
    sources.retain(|path| !path.ends_with("tests.rs"));
    sources
}

fn text_of(literal: &str) -> Option<&str> {
    literal.strip_prefix('"')?.strip_suffix('"')
}

#[test]
fn programs_of_documents_are_the_files_that_they_name() {
    let mut count = 0;
    for document in documents() {
        for rest in read(&document).split("<!-- file: ").skip(1) {
            let (path, rest) = rest.split_once(" -->").unwrap();
            let (_, block) = rest.split_once("```rust").unwrap();
            let (block, _) = block.split_once('\n').unwrap().1.split_once("```").unwrap();
            // Functions that a test in another file calls are visible to it.
            let file = read(path).replace("pub(super) fn", "fn");
            assert!(block == file, "{document} differs from {path}");
            count += 1;
        }
    }
    assert_eq!(count, 5);
}

#[test]
fn problem_codes_in_troubleshooting_are_those_of_the_source() {
    let mut codes = BTreeMap::new();
    for path in sources("src") {
        let tokens = tokens(&path);
        for window in tokens.windows(8) {
            if let ["bad_request", "(", code] = [&*window[0], &*window[1], &*window[2]]
                && let Some(code) = text_of(code)
            {
                codes.insert(code.to_owned(), "BAD_REQUEST".to_owned());
            }
            // `StatusCode::NAME, "code"` or `status: StatusCode::NAME, code: "code"`.
            if window[..3] != ["StatusCode", ":", ":"] || window[4] != "," {
                continue;
            }
            let code = if window[5] == "code" { &window[7] } else { &window[5] };
            if let Some(code) = text_of(code) {
                codes.insert(code.to_owned(), window[3].clone());
            }
        }
    }
    assert!(codes.len() > 20, "{codes:?}");
    let listed: BTreeMap<_, _> =
        table("docs/troubleshooting.md", "| `code` | status | meaning | what to do |")
            .into_iter()
            .flat_map(|(codes, cells)| {
                let status: StatusCode = cells[0].parse().unwrap();
                let name = status.canonical_reason().unwrap().to_uppercase().replace(' ', "_");
                let codes: Vec<_> = codes.split(", ").map(str::to_owned).collect();
                codes.into_iter().map(move |code| (code, name.clone()))
            })
            .collect();
    assert_eq!(listed, codes);
}

#[test]
fn events_in_the_guide_are_those_of_the_source_with_their_levels() {
    let source: TokenStream = read("src/engine/event.rs").parse().unwrap();
    let mut trees = source
        .into_iter()
        .skip_while(|tree| !matches!(tree, TokenTree::Ident(name) if name == "SessionEvent"));
    let Some(TokenTree::Group(body)) = trees.nth(1) else { panic!("no enum SessionEvent") };
    let mut variants = BTreeSet::new();
    for tree in body.stream() {
        if let TokenTree::Ident(name) = tree {
            variants.insert(name.to_string());
        }
    }

    let tokens = tokens("src/engine/logging/mod.rs");
    let levels: BTreeMap<_, _> = (0..tokens.len())
        .filter(|at| tokens[*at] == "SessionEvent" && tokens[at + 1] == ":")
        .map(|at| {
            let macro_at = at + tokens[at..].iter().position(|it| it == "tracing").unwrap();
            (tokens[at + 3].clone(), vec![tokens[macro_at + 3].to_uppercase()])
        })
        .collect();
    assert_eq!(levels.keys().cloned().collect::<BTreeSet<_>>(), variants, "events are logged");
    let listed: BTreeMap<_, _> = table("docs/events.md", "| event | when | level |")
        .into_iter()
        .map(|(event, cells)| (event, vec![cells[1].clone()]))
        .collect();
    assert_eq!(listed, levels);
}

/// The names of the fields in the calls of logging macros of a file: of lines, and of spans.
fn fields(path: &str) -> [BTreeSet<String>; 2] {
    fn visit(stream: TokenStream, found: &mut [BTreeSet<String>; 2]) {
        let trees: Vec<_> = stream.into_iter().collect();
        for (at, tree) in trees.iter().enumerate() {
            let TokenTree::Group(group) = tree else { continue };
            let is_macro = at >= 2 && trees[at - 1].to_string() == "!";
            let name = if is_macro { trees[at - 2].to_string() } else { String::new() };
            let (kind, skipped) = match name.as_str() {
                "error" | "warn" | "info" | "debug" | "trace" => (0, 0),
                "warning" | "warning_once" => (0, 2),
                "debug_span" => (1, 0),
                _ => {
                    visit(group.stream(), found);
                    continue;
                }
            };
            let arguments: Vec<_> = group.stream().into_iter().collect();
            let is_comma =
                |tree: &TokenTree| matches!(tree, TokenTree::Punct(it) if it.as_char() == ',');
            for argument in arguments.split(is_comma).skip(skipped) {
                let text: Vec<_> = argument.iter().map(ToString::to_string).collect();
                let text = match text.first().map(String::as_str) {
                    Some("?" | "%") => &text[1..],
                    _ => &text[..],
                };
                let Some(field) = text.first().filter(|it| *it != "target") else { continue };
                // The message, whose arguments are no fields, except for a span's name.
                if field.starts_with('"') && kind == 0 {
                    break;
                }
                if text.len() == 1 || text[1] == "=" {
                    found[kind].insert(field.clone());
                }
            }
        }
    }
    let mut found = [BTreeSet::new(), BTreeSet::new()];
    visit(read(path).parse().unwrap(), &mut found);
    found[1].retain(|name| !name.starts_with('"'));
    found
}

#[test]
fn fields_of_log_lines_in_the_guide_are_those_of_the_source() {
    let mut used = [BTreeSet::new(), BTreeSet::new()];
    for path in sources("src") {
        for (used, found) in used.iter_mut().zip(fields(&path)) {
            used.extend(found);
        }
    }
    for (head, used) in
        [("| field | content |", &used[0]), ("| field of the span | content |", &used[1])]
    {
        let listed: BTreeSet<_> = table("docs/events.md", head)
            .keys()
            .flat_map(|names| names.split(", ").map(str::to_owned))
            .collect();
        assert_eq!(&listed, used, "{head}");
    }
}

#[test]
fn tests_that_the_auditors_page_names_exist() {
    let sources: String =
        [files("tests", ".rs"), files("src", ".rs")].concat().iter().map(read).collect();
    let rows = table("docs/auditing.md", "| requirement | L | what meets it | tests |");
    let sections: BTreeSet<_> = rows.keys().map(|it| it.split(' ').next().unwrap()).collect();
    let all = [
        "7.1.1", "7.1.2", "7.1.3", "7.2.1", "7.2.2", "7.2.3", "7.2.4", "7.3.1", "7.3.2", "7.4.1",
        "7.4.2", "7.4.3", "7.4.4", "7.4.5", "7.5.1", "7.5.2", "7.5.3", "7.6.1", "7.6.2",
    ];
    assert_eq!(sections, BTreeSet::from(all));
    for (requirement, cells) in rows {
        for test in cells[2].split(", ") {
            assert!(sources.contains(&format!("fn {test}(")), "{requirement}: no test {test}");
        }
    }
}

#[test]
fn presets_of_the_auditors_page_end_sessions_at_their_limits() {
    const HOUR: u64 = 3600;
    let start = Timestamp::from_unix_seconds(START);
    let check = |lifetime: SessionLifetime, inactivity: u64, maximum: u64| {
        let ring = KeyRing::new(key("presets"));
        let engine = SessionEngine::<()>::builder(ring).lifetime(lifetime).build().unwrap();
        let ada = SignIn::new(subject("ada"), ());
        let cookie = cookie_of(&engine, ada, start).unwrap();
        let request = Request::get("/").header("cookie", cookie).body(()).unwrap();
        let at = |seconds| start.saturating_add(Duration::from_secs(seconds));
        assert!(engine.open(&request, at(inactivity - 1)).session().is_some());
        assert!(engine.open(&request, at(inactivity)).session().is_none());

        // An active user.
        let ada = SignIn::new(subject("ada"), ());
        let mut cookie = cookie_of(&engine, ada, start).unwrap();
        let mut now = 0;
        let ended = loop {
            now += inactivity / 2;
            let request = Request::get("/").header("cookie", &cookie).body(()).unwrap();
            let jar = engine.open(&request, at(now));
            if jar.session().is_none() {
                break now;
            }
            let mut response = http::Response::new(());
            engine.close(&jar, &mut response, at(now)).unwrap();
            if let Some(set) = response.headers().get("set-cookie") {
                let pair = set.to_str().unwrap().split(';').next().unwrap();
                cookie = pair.parse().unwrap();
            }
        };
        assert!((maximum..maximum + inactivity).contains(&ended), "{ended}");
    };
    check(presets::aal1(), 7 * 24 * HOUR, 30 * 24 * HOUR);
    check(presets::aal2(), HOUR, 24 * HOUR);
    check(presets::aal3(), HOUR / 4, 12 * HOUR);
}

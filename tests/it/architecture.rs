//! Rules for the source tree. A new file needs no entry here: only a new folder does.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::LazyLock,
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Folders (and files at the level of folders) from the ground up. Each imports only from lines
/// above its own, and from its own. Re-exports (`pub use`) do not count.
const LAYERS: &[&[&str]] = &[
    &["error", "time", "random"],
    &["engine/encoding"],
    &["config"],
    &["engine/redirect", "engine/keys"],
    &["engine/session", "engine/multi_session"],
    &["engine/token", "engine/cookie", "engine/flow", "engine/revocation"],
    &["engine/sign_in", "engine/event"],
    &["engine/logging"],
    &["engine/bearer", "engine/device_bound", "engine/issuer"],
    &["engine/request"],
    &["engine/session_engine"],
    &["engine/prove", "engine/validate", "engine/issue", "engine/issue_bearer", "engine/revoke"],
    &["engine/jar"],
    &["engine/open", "engine/close", "engine/builder"],
    &["engine"],
    &["claims_source", "key_sources", "pages", "store"],
    &["rejection"],
    &["endpoints", "user_agent"],
    &["middleware"],
    &[
        "extract",
        "error_responses",
        "testing",
        "bearer",
        "claims",
        "event",
        "flow",
        "keys",
        "verify_only",
        "lib",
    ],
];

/// What the engine must not name: time, randomness and I/O come in as values.
const IMPURE: &[&[&str]] = &[
    &["std", "env"],
    &["std", "fs"],
    &["std", "io"],
    &["std", "net"],
    &["std", "os"],
    &["std", "process"],
    &["std", "thread"],
    &["futures"],
    &["getrandom"],
    &["rand"],
    &["tokio"],
    &["Instant"],
    &["SystemTime"],
    &["SystemClock"],
    &["OsRandom"],
    &["async"],
    &["println"],
    &["eprintln"],
    &["dbg"],
];

/// Names that look impure and are not: file, name, reason.
const PURE_NEVERTHELESS: &[(&str, &str, &str)] = &[
    ("engine/redirect/origin.rs", "std::net", "parses addresses and opens no connection"),
    ("engine/session/device.rs", "std::net", "holds an address and opens no connection"),
    ("engine/builder/mod.rs", "OsRandom", "the default for a value that is passed in"),
    ("engine/logging/rate_limit.rs", "SystemClock", "limits log lines, and decides no request"),
    ("engine/jar/mod.rs", "async", "returns the future that the layer supplies"),
    ("engine/request/session.rs", "async", "returns the future that the layer supplies"),
];

/// A longer file usually does two jobs. Comments, blank lines and tests do not count.
const MAX_LINES_OF_CODE: usize = 500;

#[test]
fn folder_imports_only_from_earlier_layers() {
    let sources = sources();
    let files: BTreeSet<_> = sources.iter().map(|source| source.module.clone()).collect();
    let mut problems = Vec::new();
    for source in sources {
        let Some(own) = layer(&source.module) else {
            problems.push(format!("{} is in no layer: add its folder", source.file));
            continue;
        };
        for path in source.paths.iter().filter(|path| path.is_import_or_use) {
            let Some(target) = resolve(&source.module, &path.segments, &files) else { continue };
            if layer(&target).is_some_and(|other| other > own) {
                let path = path.segments.join("::");
                problems.push(format!("{} names {path}, which is in a later layer", source.file));
            }
        }
    }
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn engine_names_no_io_clock_or_randomness() {
    let mut problems = Vec::new();
    let mut excused = BTreeSet::new();
    for source in sources().iter().filter(|source| source.file.starts_with("engine/")) {
        let words = source.words.iter().map(|word| vec![word.clone()]);
        for name in source.paths.iter().map(|path| path.segments.clone()).chain(words) {
            let Some(impure) = IMPURE.iter().find(|impure| {
                impure.len() <= name.len() && impure.iter().zip(&name).all(|(a, b)| a == b)
            }) else {
                continue;
            };
            let name = impure.join("::");
            match PURE_NEVERTHELESS.iter().find(|(file, of, _)| *file == source.file && *of == name)
            {
                Some(excuse) => _ = excused.insert(excuse),
                None => problems.push(format!("{} names {name}", source.file)),
            }
        }
    }
    for excuse in PURE_NEVERTHELESS.iter().filter(|excuse| !excused.contains(excuse)) {
        problems.push(format!("{} no longer names {}: remove the exception", excuse.0, excuse.1));
    }
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn file_has_at_most_500_lines_of_code() {
    let long: Vec<_> = sources()
        .iter()
        .filter(|source| source.lines.len() > MAX_LINES_OF_CODE)
        .map(|source| format!("{} has {} lines of code", source.file, source.lines.len()))
        .collect();
    assert!(long.is_empty(), "\n{}\n", long.join("\n"));
}

#[test]
fn type_name_is_used_for_one_type() {
    let mut homes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources() {
        for name in &source.types {
            homes.entry(name.clone()).or_default().push(source.file.clone());
        }
    }
    let twice: Vec<_> = homes
        .iter()
        .filter(|(_, files)| files.len() > 1)
        .map(|(name, files)| format!("{name}: {}", files.join(", ")))
        .collect();
    assert!(twice.is_empty(), "\n{}\n", twice.join("\n"));
}

#[test]
fn constructor_is_not_named_of() {
    let mut problems = Vec::new();
    for source in sources() {
        for name in
            source.constructors.iter().filter(|name| *name == "of" || name.starts_with("of_"))
        {
            problems.push(format!("{}: {name} returns Self: name it new or from_*", source.file));
        }
    }
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// The layer of a module: that of its longest listed prefix.
fn layer(module: &str) -> Option<usize> {
    let mut best: Option<(usize, usize)> = None;
    for (at, entries) in LAYERS.iter().enumerate() {
        for entry in *entries {
            let is_inside = module == *entry || module.starts_with(&format!("{entry}/"));
            if is_inside && best.is_none_or(|(length, _)| entry.len() > length) {
                best = Some((entry.len(), at));
            }
        }
    }
    best.map(|(_, at)| at)
}

/// The module of this crate that `segments` lead to, seen from `module`.
fn resolve(module: &str, segments: &[String], files: &BTreeSet<String>) -> Option<String> {
    let mut base: Vec<&str> = match segments.first()?.as_str() {
        "crate" => Vec::new(),
        "self" | "super" if module != "lib" => module.split('/').collect(),
        _ => return None,
    };
    for segment in segments.iter().map(String::as_str) {
        match segment {
            "crate" | "self" => {}
            "super" => _ = base.pop(),
            name => base.push(name),
        }
    }
    (1..=base.len()).rev().map(|count| base[..count].join("/")).find(|path| files.contains(path))
}

/// What one source file says, without its unit tests.
#[derive(Default)]
struct Source {
    /// Below `src`, such as `engine/jar/mod.rs`.
    file: String,
    /// Such as `engine/jar`.
    module: String,
    paths: Vec<NamedPath>,
    words: BTreeSet<String>,
    types: Vec<String>,
    /// Associated functions without a receiver that return `Self`.
    constructors: Vec<String>,
    lines: BTreeSet<usize>,
    /// How many inline modules (`mod name { .. }`) enclose what is read.
    inline_modules: usize,
}

struct NamedPath {
    segments: Vec<String>,
    /// False for `pub use`.
    is_import_or_use: bool,
}

fn sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(read_sources);
    &SOURCES
}

fn read_sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let file = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
                let stem = file.trim_end_matches(".rs");
                let name = stem.rsplit('/').next().unwrap();
                if name == "tests" || name.ends_with("_tests") || name == "wycheproof" {
                    continue;
                }
                let module = stem.trim_end_matches("/mod").to_owned();
                let mut source = Source { file, module, ..Source::default() };
                let tokens = fs::read_to_string(&path).unwrap().parse().unwrap();
                source.read(tokens, false);
                found.push(source);
            }
        }
    }
    assert!(found.len() > 100, "the source tree was not found");
    found
}

impl Source {
    /// Reads items. `in_impl` is true inside of an `impl` or `trait`, where `type` is no type of the
    /// crate's own.
    fn read(&mut self, tokens: TokenStream, in_impl: bool) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut at = 0;
        let (mut opens_impl, mut opens_module) = (false, false);
        while at < tokens.len() {
            // Attributes: `#[cfg(test)]` drops the item, documentation is not code.
            if is_punct(&tokens[at], '#')
                && let Some(TokenTree::Group(group)) = tokens.get(at + 1)
                && group.delimiter() == Delimiter::Bracket
            {
                let text = group.stream().to_string().replace(' ', "");
                if text == "cfg(test)" {
                    at = end_of_item(&tokens, at + 2);
                    continue;
                }
                if !text.starts_with("doc=") {
                    self.lines.insert(tokens[at].span().start().line);
                }
                at += 2;
                continue;
            }
            self.lines.insert(tokens[at].span().start().line);
            self.lines.insert(tokens[at].span().end().line);
            match &tokens[at] {
                TokenTree::Ident(ident) => {
                    let word = ident.to_string();
                    let next = tokens.get(at + 1);
                    match word.as_str() {
                        "use" if !matches!(next, Some(TokenTree::Punct(_))) => {
                            let end = (at..tokens.len()).find(|at| is_punct(&tokens[*at], ';'));
                            let end = end.unwrap_or(tokens.len());
                            let is_public = at > 0
                                && matches!(&tokens[at - 1], TokenTree::Ident(before) if before == "pub");
                            self.read_use(&tokens[at + 1..end], &[], !is_public);
                            for token in &tokens[at..end] {
                                self.lines.insert(token.span().end().line);
                            }
                            at = end;
                            continue;
                        }
                        "struct" | "enum" | "union" | "trait" | "type" => {
                            if let Some(TokenTree::Ident(name)) = next
                                && name.to_string().starts_with(char::is_uppercase)
                                && !(in_impl && word == "type")
                            {
                                self.types.push(name.to_string());
                            }
                            opens_impl = word == "trait";
                        }
                        "impl" => opens_impl = true,
                        "fn" if in_impl => self.read_constructor(&tokens[at + 1..]),
                        "fn" => opens_impl = false,
                        "mod" => (opens_impl, opens_module) = (false, true),
                        _ => {}
                    }
                    let (segments, end) = path_from(&tokens, at);
                    if segments.len() > 1 {
                        self.add_path(segments, true);
                    } else {
                        self.words.insert(word);
                    }
                    at = end;
                }
                TokenTree::Group(group) => {
                    let is_body = group.delimiter() == Delimiter::Brace;
                    let depth = usize::from(is_body && opens_module);
                    self.inline_modules += depth;
                    self.read(group.stream(), is_body && opens_impl || in_impl && !is_body);
                    self.inline_modules -= depth;
                    at += 1;
                    if is_body {
                        (opens_impl, opens_module) = (false, false);
                    }
                }
                _ => at += 1,
            }
        }
    }

    /// Reads the tree of one `use`.
    fn read_use(&mut self, tokens: &[TokenTree], prefix: &[String], is_import: bool) {
        for part in tokens.split(|token| is_punct(token, ',')) {
            let mut segments = prefix.to_vec();
            for token in part {
                match token {
                    TokenTree::Ident(ident) if ident == "as" => break,
                    TokenTree::Ident(ident) => segments.push(ident.to_string()),
                    TokenTree::Group(group) => {
                        let inner: Vec<_> = group.stream().into_iter().collect();
                        self.read_use(&inner, &segments, is_import);
                        segments.clear();
                    }
                    _ => {}
                }
            }
            if !segments.is_empty() && segments.len() > prefix.len() {
                self.add_path(segments, is_import);
            }
        }
    }

    /// In an inline module `super` is the file itself.
    fn add_path(&mut self, mut segments: Vec<String>, is_import_or_use: bool) {
        let supers = segments.iter().take_while(|segment| *segment == "super").count();
        for segment in segments.iter_mut().take(supers.min(self.inline_modules)) {
            "self".clone_into(segment);
        }
        self.paths.push(NamedPath { segments, is_import_or_use });
    }

    /// Notes an associated function of the form `name(no self) -> ..Self..`.
    fn read_constructor(&mut self, after_fn: &[TokenTree]) {
        let Some(TokenTree::Ident(name)) = after_fn.first() else { return };
        let signature: Vec<_> = after_fn
            .iter()
            .take_while(|token| {
                !is_punct(token, ';')
                    && !matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
            })
            .map(ToString::to_string)
            .collect();
        let text = signature.join(" ");
        let (arguments, returns) = text.split_once("- >").unwrap_or((&text, ""));
        let has_receiver =
            arguments.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == "self");
        let returns_self = returns
            .split(" where ")
            .next()
            .unwrap()
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .any(|w| w == "Self");
        if !has_receiver && returns_self {
            self.constructors.push(name.to_string());
        }
    }
}

fn is_punct(token: &TokenTree, char: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == char)
}

/// The place behind the item that begins at `at`: behind its `;` or its braces.
fn end_of_item(tokens: &[TokenTree], at: usize) -> usize {
    let is_end = |token: &TokenTree| {
        is_punct(token, ';')
            || matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
    };
    (at..tokens.len()).find(|at| is_end(&tokens[*at])).map_or(tokens.len(), |end| end + 1)
}

/// The path that begins at `at`, and the place behind it.
fn path_from(tokens: &[TokenTree], mut at: usize) -> (Vec<String>, usize) {
    let mut segments = vec![tokens[at].to_string()];
    at += 1;
    while let (Some(a), Some(b), Some(TokenTree::Ident(next))) =
        (tokens.get(at), tokens.get(at + 1), tokens.get(at + 2))
        && is_punct(a, ':')
        && is_punct(b, ':')
    {
        segments.push(next.to_string());
        at += 3;
    }
    (segments, at)
}

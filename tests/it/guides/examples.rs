//! Every public type and method has an example: a type has a compiled code block on its page of
//! rustdoc, a method a call in its own documentation or in that of its type.

use std::collections::BTreeMap;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::sources;
use crate::documents::read;

#[derive(Default)]
struct Api {
    /// The examples of each type.
    examples: BTreeMap<String, String>,
    methods: Vec<Method>,
}

/// Types without an example of their own or of their methods, because no handler, builder or operator
/// uses them: a store implements or returns them, and the contract tests check its rules, or they have no
/// public name.
const WITHOUT_EXAMPLE: [&str; 16] = [
    "CreateOutcome",
    "FeedCursor",
    "FeedPage",
    "FeedStart",
    "InvalidLineageId",
    "Lineage",
    "LineageId",
    "LineageRequest",
    "NoBody",
    "NotFound",
    "OnCopy",
    "RenewOutcome",
    "RenewRequest",
    "Revocation",
    "Revoke",
    "SessionStore",
];

struct Method {
    /// Empty for a function.
    of: String,
    name: String,
    examples: String,
}

impl Api {
    /// Items that are `pub` are public: the lint `unreachable_pub` refuses others.
    fn read_items(&mut self, stream: TokenStream, of: Option<&str>) {
        let trees: Vec<_> = stream.into_iter().collect();
        let mut docs = Vec::new();
        let mut at = 0;
        while at < trees.len() {
            match &trees[at] {
                TokenTree::Punct(hash) if hash.as_char() == '#' => {
                    if let Some(TokenTree::Group(attribute)) = trees.get(at + 1) {
                        docs.extend(doc_of(&attribute.to_string()));
                        at += 1;
                    }
                }
                TokenTree::Ident(word) if word == "pub" => {
                    let is_restricted = matches!(
                        trees.get(at + 1),
                        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis
                    );
                    if !is_restricted {
                        self.read_public(&trees[at + 1..], of, &docs);
                    }
                    at = end_of_item(&trees, at);
                    docs.clear();
                }
                TokenTree::Ident(word) if word == "impl" && of.is_none() => {
                    let end = end_of_item(&trees, at);
                    if let (Some(name), TokenTree::Group(body)) =
                        (type_of_impl(&trees[at + 1..end]), &trees[end])
                    {
                        self.read_items(body.stream(), Some(&name));
                    }
                    at = end;
                    docs.clear();
                }
                TokenTree::Ident(_) => {
                    at = end_of_item(&trees, at);
                    docs.clear();
                }
                _ => {}
            }
            at += 1;
        }
    }

    fn read_public(&mut self, item: &[TokenTree], of: Option<&str>, docs: &[String]) {
        let words: Vec<_> = item.iter().take(4).map(ToString::to_string).collect();
        let Some(keyword) = words
            .iter()
            .position(|word| ["fn", "struct", "enum", "trait"].contains(&word.as_str()))
        else {
            return;
        };
        let Some(TokenTree::Ident(name)) = item.get(keyword + 1) else { return };
        let (name, examples) = (name.to_string(), code_in(docs));
        if words[keyword] == "fn" {
            self.methods.push(Method { of: of.unwrap_or_default().to_owned(), name, examples });
        } else {
            self.examples.entry(name).or_default().push_str(&examples);
        }
    }

    fn has_example(&self, method: &Method) -> bool {
        let of_type = self.examples.get(&method.of).map_or("", String::as_str);
        [&method.examples, of_type].iter().any(|text| is_called(text, method))
    }
}

/// The text of an attribute `doc`, also below `cfg_attr` unless its condition is negated.
fn doc_of(attribute: &str) -> Option<String> {
    let inner = attribute.strip_prefix('[')?;
    let is_negated = inner.starts_with("cfg_attr") && inner.contains("not");
    let (_, text) = inner.split_once("doc =").filter(|_| !is_negated)?;
    let literal = text.trim().trim_end_matches([']', ')', ' ']);
    let content = literal.strip_prefix('"')?.strip_suffix('"')?;
    Some(content.replace("\\\"", "\"").replace("\\n", "\n"))
}

/// The code of the blocks that rustdoc compiles.
fn code_in(docs: &[String]) -> String {
    let mut code = String::new();
    let mut block = None;
    for line in docs {
        let line = line.trim_start();
        if let Some(tag) = line.strip_prefix("```") {
            block = match block {
                None => Some(["", "no_run", "rust"].contains(&tag.trim())),
                Some(_) => None,
            };
        } else if block == Some(true) {
            code += line;
            code.push('\n');
        }
    }
    code
}

fn is_called(text: &str, method: &Method) -> bool {
    text.match_indices(&method.name).any(|(at, name)| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        let is_path = before.ends_with(['.', ':']);
        let is_name = before.ends_with([' ', '(', '\n']) && !before.ends_with("fn ");
        (is_path || method.of.is_empty() && is_name)
            && (after.starts_with('(') || after.starts_with("::<"))
    })
}

/// Where an item that starts at `at` ends: at its body in braces, or at a semicolon.
fn end_of_item(trees: &[TokenTree], at: usize) -> usize {
    let is_end = |tree: &TokenTree| match tree {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => punct.as_char() == ';',
        _ => false,
    };
    trees[at..].iter().position(is_end).map_or(trees.len() - 1, |length| at + length)
}

/// The type of an inherent `impl`.
fn type_of_impl(header: &[TokenTree]) -> Option<String> {
    let mut depth = 0;
    let mut name = None;
    let mut previous = String::new();
    for tree in header {
        match tree.to_string().as_str() {
            "<" => depth += 1,
            // Not that of `->`.
            ">" if previous != "-" => depth -= 1,
            "where" if depth == 0 => break,
            "for" if depth == 0 => return None,
            word if depth == 0 && matches!(tree, TokenTree::Ident(_)) => {
                name = Some(word.to_owned());
            }
            _ => {}
        }
        previous = tree.to_string();
    }
    name
}

#[test]
fn every_public_method_has_an_example_that_is_compiled() {
    let mut api = Api::default();
    for path in sources("src") {
        api.read_items(read(&path).parse().unwrap(), None);
    }
    let missing: Vec<_> = api
        .methods
        .iter()
        .filter(|method| !WITHOUT_EXAMPLE.contains(&method.of.as_str()))
        .filter(|method| !api.has_example(method))
        .map(|method| format!("{}::{}", method.of, method.name))
        .collect();
    assert!(api.methods.len() > 300, "methods are found");
    assert!(missing.is_empty(), "of {} without: {missing:#?}", api.methods.len());
}

#[test]
fn every_public_type_has_an_example_that_is_compiled() {
    let mut api = Api::default();
    for path in sources("src") {
        api.read_items(read(&path).parse().unwrap(), None);
    }
    let mut without: BTreeMap<_, _> = api
        .examples
        .iter()
        .filter(|(_, text)| text.is_empty())
        .map(|(name, _)| (name.as_str(), ()))
        .collect();
    for method in api.methods.iter().filter(|method| !method.examples.is_empty()) {
        without.remove(method.of.as_str());
    }
    for name in WITHOUT_EXAMPLE {
        assert!(without.remove(name).is_some(), "{name} has an example, or does not exist");
    }
    assert!(api.examples.len() > 140, "types are found");
    assert!(without.is_empty(), "of {} without: {:#?}", api.examples.len(), without.keys());
}

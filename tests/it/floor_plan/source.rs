//! Reads the files under `src/` as the compiler's lexer does: comments, strings and what is
//! `#[cfg(test)]` are no code.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A module's or an item's path, without the leading `crate`.
pub(crate) type Name = Vec<String>;

/// One file under `src/`, as far as it is no test.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// Relative to `src/`, with `/`.
    pub(crate) file: String,
    /// Every path that it mentions, `use` trees taken apart.
    pub(crate) mentions: Vec<Mention>,
    /// Every word of it.
    pub(crate) words: BTreeSet<String>,
    /// The lines that hold code.
    pub(crate) lines: BTreeSet<usize>,
    module: Name,
    inline_modules: BTreeSet<Name>,
    test_modules: BTreeSet<Name>,
    /// What `use` calls things, by module and name.
    aliases: BTreeMap<(Name, String), Mention>,
}

/// A path as it stands in the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mention {
    pub(crate) path: Name,
    /// The module that it stands in.
    within: Name,
    /// It is a `pub use` of a module, not a use.
    pub(crate) reexport: bool,
}

/// All of `src/`.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) files: Vec<Source>,
}

impl Tree {
    pub(crate) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut paths = Vec::new();
        list(&root, &mut paths);
        let sources = paths.iter().map(|path| {
            let file: Vec<_> = path.strip_prefix(&root).unwrap().iter().collect();
            let file: Vec<_> = file.iter().map(|part| part.to_str().unwrap()).collect();
            Source::read(&file.join("/"), &fs::read_to_string(path).unwrap())
        });
        Self::of(sources.collect())
    }

    /// Leaves out files that are test modules, and all below them.
    pub(crate) fn of(sources: Vec<Source>) -> Self {
        let tests: BTreeSet<_> =
            sources.iter().flat_map(|source| source.test_modules.clone()).collect();
        let is_test = |source: &Source| tests.iter().any(|test| source.module.starts_with(test));
        let mut files: Vec<_> = sources.into_iter().filter(|source| !is_test(source)).collect();
        files.sort_by(|a, b| a.file.cmp(&b.file));
        for source in &files {
            let hides = source.aliases.keys().any(|(_, name)| name == "*");
            assert!(!hides, "{}: a glob import hides where names come from", source.file);
        }
        Self { files }
    }

    /// The file where what `mention` names is written: behind every re-export and import. `None` for
    /// names of other crates and of the language.
    pub(crate) fn home(&self, mention: &Mention) -> Option<&Source> {
        let path = self.absolute(mention)?;
        let mut module = Name::new();
        for (at, name) in path.iter().enumerate() {
            let mut inner = module.clone();
            inner.push(name.clone());
            if self.is_module(&inner) {
                module = inner;
            } else if let Some(alias) = self.alias(&module, name) {
                let mut further = alias.clone();
                further.path.extend_from_slice(&path[at + 1..]);
                return self.home(&further);
            } else {
                break;
            }
        }
        self.file_of(&module)
    }

    fn absolute(&self, mention: &Mention) -> Option<Name> {
        let mut base = mention.within.clone();
        let mut rest = &mention.path[..];
        match rest.first()?.as_str() {
            "crate" => {
                base.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {}
            first => {
                let mut inner = base.clone();
                inner.push(first.to_owned());
                if !self.is_module(&inner) {
                    // `use http;` names itself.
                    let alias = self.alias(&base, first).filter(|alias| alias.path != [first])?;
                    let mut base = self.absolute(alias)?;
                    base.extend_from_slice(&rest[1..]);
                    return Some(base);
                }
            }
        }
        while rest.first().is_some_and(|name| name == "super") {
            base.pop();
            rest = &rest[1..];
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    fn is_module(&self, module: &Name) -> bool {
        self.files
            .iter()
            .any(|source| source.module == *module || source.inline_modules.contains(module))
    }

    fn alias(&self, module: &Name, name: &str) -> Option<&Mention> {
        let key = (module.clone(), name.to_owned());
        self.files.iter().find_map(|source| source.aliases.get(&key))
    }

    fn file_of(&self, module: &Name) -> Option<&Source> {
        let at = |module: &[String]| self.files.iter().find(|source| source.module == module);
        (0..=module.len()).rev().find_map(|length| at(&module[..length]))
    }
}

fn list(directory: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

impl Source {
    pub(crate) fn read(file: &str, text: &str) -> Self {
        let mut module: Name = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
            module.pop();
        }
        let mut source = Self { file: file.to_owned(), module: module.clone(), ..Self::default() };
        let tokens = text.parse().unwrap_or_else(|error| panic!("{file}: {error}"));
        source.walk(tokens, &module, true);
        source
    }

    /// `items`: directly in a module, where `use` gives names to the module.
    fn walk(&mut self, tokens: TokenStream, module: &Name, items: bool) {
        let trees: Vec<_> = tokens.into_iter().collect();
        let (mut at, mut public) = (0, false);
        while at < trees.len() {
            let rest = &trees[at..];
            if let Some(length) = self.attribute(rest) {
                at += length;
            } else if let Some(length) = test_only(rest) {
                if let [_, _, item @ ..] = rest
                    && let Some(name) = module_of(item)
                {
                    self.test_modules.insert(below(module, &name));
                }
                at += length;
            } else if is(rest, 0, "pub") {
                // `pub(in crate::engine)` says who may look, and is no use of it.
                at += 1 + usize::from(is_group(rest.get(1), Delimiter::Parenthesis));
                self.see(&rest[0]);
                public = true;
                continue;
            } else if is(rest, 0, "use") && !is(rest, 1, "<") {
                let end = rest.iter().position(|tree| text(tree) == ";").expect("a whole `use`");
                rest[..=end].iter().for_each(|tree| self.see(tree));
                let tree: Vec<_> = rest[1..end].to_vec();
                self.use_tree(&tree, &Name::new(), module, (items, public));
                at += end + 1;
            } else if is(rest, 0, "mod") && is_group(rest.get(2), Delimiter::Brace) {
                let inner = below(module, &text(&rest[1]));
                self.inline_modules.insert(inner.clone());
                rest[..2].iter().for_each(|tree| self.see(tree));
                self.group(&rest[2], &inner, true);
                at += 3;
            } else if let (path, length @ 1..) = path(rest)
                && !follows_colons(&trees, at)
            {
                rest[..length].iter().for_each(|tree| self.see(tree));
                if path.len() > 1 {
                    self.mentions.push(Mention { path, within: module.clone(), reexport: false });
                }
                at += length;
            } else {
                match &rest[0] {
                    group @ TokenTree::Group(_) => self.group(group, module, false),
                    other => self.see(other),
                }
                at += 1;
            }
            public = false;
        }
    }

    fn group(&mut self, tree: &TokenTree, module: &Name, items: bool) {
        if let TokenTree::Group(group) = tree {
            self.lines.insert(group.span_open().start().line);
            self.lines.insert(group.span_close().end().line);
            self.walk(group.stream(), module, items);
        }
    }

    /// The length of an attribute that does not make a test of what follows.
    fn attribute(&mut self, trees: &[TokenTree]) -> Option<usize> {
        let inner = usize::from(is(trees, 1, "!"));
        if !is(trees, 0, "#") || !is_group(trees.get(1 + inner), Delimiter::Bracket) {
            return None;
        }
        let content: String = trees[1 + inner].to_string().split_whitespace().collect();
        if content == "[cfg(test)]" {
            return None;
        }
        if !content.starts_with("[doc=") {
            trees[..2 + inner].iter().for_each(|tree| self.see(tree));
        }
        Some(2 + inner)
    }

    fn use_tree(
        &mut self,
        tree: &[TokenTree],
        prefix: &Name,
        module: &Name,
        (items, public): (bool, bool),
    ) {
        let mut path = prefix.clone();
        let mut at = 0;
        while at < tree.len() {
            match &tree[at] {
                TokenTree::Group(group) => {
                    let trees: Vec<_> = group.stream().into_iter().collect();
                    for branch in trees.split(|tree| text(tree) == ",") {
                        if !branch.is_empty() {
                            self.use_tree(branch, &path, module, (items, public));
                        }
                    }
                    return;
                }
                TokenTree::Ident(name) if name == "as" => break,
                TokenTree::Ident(name) => path.push(name.to_string()),
                TokenTree::Punct(punct) if punct.as_char() == '*' => path.push("*".to_owned()),
                _ => {}
            }
            at += 1;
        }
        if path.len() > 1 && path.last().is_some_and(|name| name == "self") {
            path.pop();
        }
        let name = match tree.get(at + 1) {
            Some(name) => text(name),
            None => path.last().cloned().unwrap_or_default(),
        };
        let mention = Mention { path, within: module.clone(), reexport: items && public };
        if items {
            self.aliases.entry((module.clone(), name)).or_insert_with(|| mention.clone());
        }
        self.mentions.push(mention);
    }

    /// Counts the words and the lines of `tree`.
    fn see(&mut self, tree: &TokenTree) {
        let span = tree.span();
        match tree {
            TokenTree::Group(group) => {
                self.lines.insert(group.span_open().start().line);
                self.lines.insert(group.span_close().end().line);
                group.stream().into_iter().for_each(|tree| self.see(&tree));
                return;
            }
            TokenTree::Ident(word) => drop(self.words.insert(word.to_string())),
            _ => {}
        }
        self.lines.extend(span.start().line..=span.end().line);
    }
}

/// The length of an item with its `#[cfg(test)]`. Statements and fields count as code nevertheless.
fn test_only(trees: &[TokenTree]) -> Option<usize> {
    let attribute = |at: usize| {
        (is(trees, at, "#") && is_group(trees.get(at + 1), Delimiter::Bracket)).then_some(at + 2)
    };
    let mut start = attribute(0)?;
    while let Some(next) = attribute(start) {
        start = next;
    }
    let item = &trees[start..];
    let ends_at_semicolon = item
        .iter()
        .take(4)
        .any(|tree| matches!(text(tree).as_str(), "use" | "const" | "static" | "type"));
    let starts_item = ["pub", "use", "mod", "fn", "const", "static", "struct", "enum", "impl"];
    let first = item.first().map(text).unwrap_or_default();
    if !starts_item.contains(&first.as_str()) {
        return None;
    }
    let end = item.iter().position(|tree| {
        text(tree) == ";" || (!ends_at_semicolon && is_group(Some(tree), Delimiter::Brace))
    });
    Some(start + end? + 1)
}

/// The name of a module that `item`, possibly with attributes, declares.
fn module_of(item: &[TokenTree]) -> Option<String> {
    let at = item.iter().position(|tree| text(tree) == "mod")?;
    item[..at].iter().all(|tree| matches!(text(tree).as_str(), "#" | "pub" | "")).then_some(())?;
    item.get(at + 1).map(text)
}

/// A path at the start of `trees`, and how many of them it takes.
fn path(trees: &[TokenTree]) -> (Name, usize) {
    let (mut path, mut at) = (Name::new(), 0);
    while let Some(TokenTree::Ident(name)) = trees.get(at) {
        path.push(name.to_string());
        at += 1;
        if !(is(trees, at, ":") && is(trees, at + 1, ":")) {
            break;
        }
        if !matches!(trees.get(at + 2), Some(TokenTree::Ident(_))) {
            break;
        }
        at += 2;
    }
    (path, at)
}

fn follows_colons(trees: &[TokenTree], at: usize) -> bool {
    at >= 2 && is(trees, at - 1, ":") && is(trees, at - 2, ":")
}

fn below(module: &Name, name: &str) -> Name {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

fn is(trees: &[TokenTree], at: usize, wanted: &str) -> bool {
    trees.get(at).is_some_and(|tree| text(tree) == wanted)
}

fn is_group(tree: Option<&TokenTree>, delimiter: Delimiter) -> bool {
    matches!(tree, Some(TokenTree::Group(group)) if group.delimiter() == delimiter)
}

/// A word or a sign; nothing for groups and literals.
fn text(tree: &TokenTree) -> String {
    match tree {
        TokenTree::Ident(word) => word.to_string(),
        TokenTree::Punct(punct) => punct.as_char().to_string(),
        TokenTree::Group(_) | TokenTree::Literal(_) => String::new(),
    }
}

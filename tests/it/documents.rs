//! Facts that several documents state are the same in all of them, and every link has a target.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use http::{Method, Request};
use http_body_util::Full;
use tower::{Layer as _, ServiceExt as _};
use tower_auth_session::{
    Algorithm, KeyRing, SessionEngine, SessionLayer, SessionOptions, SigningKey,
};

use crate::support::{ORIGIN, probe::now_or_never};

const FEATURES: &str = "| feature | adds | default |";
const SETTINGS: &str = "| setting | environment variable | default |";
const ENDPOINTS: &str = "| method, default path | purpose |";
const STEPS: &str = "| step | checks | time |";

/// The files below a folder whose names end in this way, by their paths.
pub(crate) fn files(folder: impl AsRef<Path>, ending: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![folder.as_ref().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = folder.join(&name);
            if name.starts_with('.') || ["target", "node_modules", "wycheproof"].contains(&&*name) {
                continue;
            }
            if root.join(&path).is_dir() {
                folders.push(path);
            } else if name.ends_with(ending) {
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    assert!(!found.is_empty(), "no {ending} in the folder");
    found
}

/// The Markdown files of the repository, apart from what other projects wrote.
pub(crate) fn documents() -> Vec<String> {
    files("", ".md")
}

pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) type Rows = BTreeMap<String, Vec<String>>;

/// The rows of the table with this head, by their first cell. The marks of comments, code and links
/// are removed, so that a table in rustdoc can be compared with one in Markdown.
pub(crate) fn table(path: &str, head: &str) -> Rows {
    let text = read(path);
    let rows: Vec<_> = text
        .lines()
        .map(|line| line.trim_start().trim_start_matches("//!").trim_start_matches("///").trim())
        .skip_while(|line| *line != head)
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line[1..line.len() - 1].split('|').map(plain).collect::<Vec<_>>())
        .collect();
    assert!(!rows.is_empty(), "{path} has no table {head:?}");
    let count = rows.len();
    let rows: Rows = rows.into_iter().map(|row| (row[0].clone(), row[1..].to_vec())).collect();
    assert_eq!(rows.len(), count, "{path} repeats a row of {head:?}");
    rows
}

/// A text without the marks of links and code.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        let (label, after) = link.split_once(']').unwrap();
        plain.extend([before, label]);
        rest = match after.strip_prefix('(') {
            Some(target) => target.split_once(')').unwrap().1,
            None => after,
        };
    }
    plain += rest;
    plain.replace('`', "").trim().to_owned()
}

/// The lines outside of code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    })
}

/// The fragments by which forges and rustdoc address the headings of a text.
fn anchors(text: &str) -> BTreeSet<String> {
    let heading = |line: &str| {
        let title = plain(line.strip_prefix('#')?.trim_start_matches('#')).to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        Some(kept.map(|c| if c == ' ' { '-' } else { c }).collect())
    };
    prose(text).filter_map(heading).collect()
}

#[test]
fn feature_tables_match_cargo_toml() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let features = manifest["features"].as_table().unwrap();
    let defaults = features["default"].as_array().unwrap();
    let declared: BTreeMap<_, _> = features
        .keys()
        .filter(|name| *name != "default")
        .map(|name| {
            let is_default = defaults.iter().any(|default| default.as_str() == Some(name));
            (name.as_str(), if is_default { "yes" } else { "" })
        })
        .collect();

    let guide = table("docs/settings.md", FEATURES);
    let listed: BTreeMap<_, _> =
        guide.iter().map(|(name, cells)| (name.as_str(), cells[1].as_str())).collect();
    assert_eq!(listed, declared, "docs/settings.md and Cargo.toml");
    assert_eq!(table("src/lib.rs", FEATURES), guide, "src/lib.rs and docs/settings.md");
}

#[test]
fn setting_tables_match_the_options() {
    let guide = table("docs/settings.md", SETTINGS);
    let debug = format!("{:?}", SessionOptions::default());
    let fields: BTreeSet<_> =
        debug.split(": None").filter_map(|it| it.split(' ').next_back()).collect();
    let listed: BTreeSet<_> = guide.keys().map(String::as_str).chain(["}"]).collect();
    assert_eq!(listed, fields, "docs/settings.md and SessionOptions");

    for (setting, cells) in &guide {
        let value = match setting.as_str() {
            "inactivity_timeout"
            | "maximum_lifetime"
            | "renew_after"
            | "copied_cookies_grace"
            | "bound_for"
            | "binding_tolerance" => "90s",
            "copied_cookies" => "step_up",
            "device_bound" => "required",
            "multi_session" => "on",
            "not_before" => "2026-11-23T22:00:00Z",
            "origin" | "allowed_redirect_origins" => "https://a.example",
            _ => "/page",
        };
        let env = SessionOptions::from_vars("SESSION_", [(&cells[0], value)]).unwrap();
        let debug = format!("{:?}", env.options);
        assert!(debug.contains(&format!("{setting}: Some(")), "{} sets {debug}", cells[0]);
    }
    assert_eq!(
        table("src/config/options.rs", SETTINGS),
        guide,
        "src/config/options.rs and docs/settings.md"
    );

    let demo = read("examples/accounts/main.rs");
    for cells in guide.values() {
        assert!(demo.contains(&format!("//! | `{}` |", cells[0])), "the demo lacks {}", cells[0]);
    }
}

#[test]
fn endpoint_table_matches_the_paths_served_by_the_layer() {
    let keys = KeyRing::new(SigningKey::generate("k1", Algorithm::EdDsa).unwrap());
    let engine =
        SessionEngine::<()>::builder(keys).origin(ORIGIN).multi_session(true).build().unwrap();
    let is_served = |method: &str, path: &str| {
        let application = tower::service_fn(|_: Request<Full<bytes::Bytes>>| async {
            Ok::<_, std::convert::Infallible>(
                http::Response::builder()
                    .status(418)
                    .body(Full::<bytes::Bytes>::default())
                    .unwrap(),
            )
        });
        let layer = SessionLayer::new(engine.clone());
        let request = Request::builder().method(method).uri(path).body(Full::default()).unwrap();
        let response = now_or_never(layer.layer(application).oneshot(request)).unwrap();
        response.status() != 418
    };
    assert!(!is_served("GET", "/"), "the application's path");

    let table = table("src/lib.rs", ENDPOINTS);
    let listed: BTreeSet<_> = table.keys().map(|key| key.split_once(' ').unwrap()).collect();
    for (method, path) in &listed {
        assert!(is_served(method, path), "{method} {path}");
    }
    let routes = read("src/engine/request/routes.rs");
    let variants = routes.split_once("pub enum Endpoint {").unwrap().1.split_once('}').unwrap().0;
    let count = variants.lines().filter(|line| line.ends_with(',') && !line.contains("//")).count();
    assert_eq!(listed.len(), count, "a row for each variant of `Endpoint`");
    // Whatever other documents mention is in the table.
    for document in documents() {
        for code in read(&document).split('`').skip(1).step_by(2) {
            if let Some((method, path)) = code.split_once(' ')
                && method
                    .parse::<Method>()
                    .is_ok_and(|method| [Method::GET, Method::POST].contains(&method))
                && path.starts_with('/')
            {
                assert!(listed.contains(&(method, path)), "{document}: {code}");
            }
        }
    }
}

#[test]
fn documents_have_a_title_and_links_with_targets() {
    for document in documents() {
        let text = read(&document);
        let titles = prose(&text).filter(|line| line.starts_with("# ")).count();
        assert!(text.starts_with("# ") && titles == 1, "{document}: one title, in the first line");

        let inline = prose(&text)
            .flat_map(|line| line.split("](").skip(1))
            .map(|link| link.split(')').next().unwrap());
        let references = prose(&text)
            .filter_map(|line| line.strip_prefix('[')?.split_once("]: "))
            .map(|it| it.1);
        for link in inline.chain(references).filter(|link| !link.starts_with("http")) {
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = Path::new(&document).parent().unwrap().join(path);
            let target = if path.is_empty() { Path::new(&document) } else { &target };
            assert!(
                Path::new(env!("CARGO_MANIFEST_DIR")).join(target).exists(),
                "{document}: {link}"
            );
            assert!(
                fragment.is_empty() || anchors(&read(target)).contains(fragment),
                "{document}: {link}"
            );
        }
    }
}

/// Forges show the lines that rustdoc hides, and do not resolve paths of items.
#[test]
fn documents_have_no_syntax_that_only_rustdoc_understands() {
    for document in documents() {
        let text = read(&document);
        assert!(!text.contains("](crate::"), "{document}: a link to an item");
        for block in text.split("```rust").skip(1) {
            let code = block.split("```").next().unwrap();
            let hidden = code.lines().find(|line| line.starts_with("# ") || *line == "#");
            assert_eq!(hidden, None, "{document}: a hidden line");
        }
    }
}

/// The tables of these documents have items of other projects in their first column.
const COMPARED: [&str; 2] = ["docs/coming-from-clerk.md", "docs/migration.md"];

/// rustdoc has no page `stores.md`: a guide links by reference, and its module resolves the reference.
#[test]
fn links_between_guides_work_in_rustdoc_too() {
    let library = read("src/lib.rs");
    let mut count = 0;
    let (guides, _) = library.split_once("#[cfg(all(doctest").unwrap();
    for module in guides.split_inclusive(" {}\n") {
        let Some((docs, rest)) = module.split_once("include_str!(\"../") else { continue };
        let path = rest.split('"').next().unwrap();
        let text = read(path);
        for line in prose(&text) {
            let targets = line.split("](").skip(1).map(|it| it.split(')').next().unwrap());
            assert!(!targets.into_iter().any(|it| it.contains(".md")), "{path}: {line}");
            let Some((name, _)) = line.strip_prefix('[').and_then(|it| it.split_once("]: ")) else {
                continue;
            };
            let resolved = docs.contains(&format!("/// [{name}]: crate::guide::"));
            assert!(resolved, "src/lib.rs does not resolve [{name}] of {path}");
            count += 1;
        }
    }
    assert!(count > 20, "references are found");
}

/// Inline code is not compiled: the names and the source files in it must exist.
#[test]
fn names_and_files_in_documents_exist() {
    let mut sources =
        [".rs", ".toml", ".ts", ".tsx", ".js"].map(|ending| files("", ending)).concat();
    sources.extend(files("scripts", ""));
    let text: String = sources.iter().map(read).collect();
    let names: BTreeSet<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();

    let mut unknown = BTreeSet::new();
    for document in documents() {
        let text = read(&document);
        // The table of old names ends with the first release.
        let (kept, old_names) = text.split_once("## Names before 0.1").unwrap_or((&text, ""));
        let rest = old_names.split_once("\n## ").map_or("", |(_, rest)| rest);
        let lines = prose(kept).chain(prose(rest)).map(|line| match line.strip_prefix("| ") {
            Some(row) if COMPARED.contains(&&*document) => {
                row.split_once(" | ").map_or("", |(_, own)| own)
            }
            _ => line,
        });
        let prose = lines.collect::<Vec<_>>().join("\n");
        for code in prose.split('`').skip(1).step_by(2) {
            if code.ends_with(".rs") && !sources.iter().any(|source| source.ends_with(code)) {
                unknown.insert(format!("{document}: {code}"));
            }
            if code.contains('/') {
                continue;
            }
            for name in code.split(|c: char| !c.is_alphanumeric() && c != '_') {
                let is_name = name.contains('_') || code.contains("::");
                if is_name && !names.contains(name) {
                    unknown.insert(format!("{document}: {name}"));
                }
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn every_step_of_scripts_test_is_documented_and_runs_in_ci() {
    let script = read("scripts/test");
    let steps = script.split_once("\nsteps=(").unwrap().1.split_once(')').unwrap().0;
    let steps: BTreeSet<_> = steps.split(' ').map(str::to_owned).collect();

    let contributing: BTreeSet<_> = table("CONTRIBUTING.md", STEPS).into_keys().collect();
    assert_eq!(contributing, steps, "CONTRIBUTING.md and scripts/test");
    let usage = script.split_once("Usage: scripts/test").unwrap().1;
    for step in &steps {
        assert!(usage.contains(&format!("\n  {step} ")), "the usage of scripts/test lacks {step}");
    }
    let workflow = read(".github/workflows/ci.yml");
    let ci: BTreeSet<_> = workflow
        .split("{steps: ")
        .skip(1)
        .flat_map(|job| job.split([',', '}']).next().unwrap().split(' '))
        .map(str::to_owned)
        .collect();
    assert_eq!(ci, steps, ".github/workflows/ci.yml and scripts/test");
}

/// `scripts/bench` writes the page from its template and the results.
#[test]
fn performance_page_has_the_text_of_its_template() {
    let (page, template) = (read("docs/PERFORMANCE.md"), read("benches/page.template"));
    let mut lines = page.lines();
    for line in template.lines().filter(|line| !line.starts_with('{')) {
        assert!(lines.any(|other| other == line), "docs/PERFORMANCE.md lacks the line {line:?}");
    }
}

#[test]
fn comparison_has_the_figures_of_the_performance_page() {
    let page = "docs/PERFORMANCE.md";
    let counted = table(page, "| | instructions |");
    let timed = table(page, "| | µs min | median | max | allocations |");
    let compared = table("docs/comparison.md", "| | instructions | µs, median | allocations |");
    for (service, figures) in compared {
        let (counted, timed) = (&counted[&service][0], &timed[&service]);
        assert_eq!(figures, [&**counted, &timed[1], &timed[3]], "{service}");
    }
}

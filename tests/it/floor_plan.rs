//! The source tree itself: which file may import which, what the engine may touch, how long a file
//! may be.

mod source;

use self::source::{Source, Tree};

/// The files from the ground up: each imports only what stands before it, on its own floor too, so
/// nothing runs in a ring. A path counts for the file where the thing is written, behind every
/// re-export on the way, so a module may re-export what is inside it. Calling a method is no import.
const FLOORS: &[(&str, &[&str])] = &[
    (
        "values that all else is made of: errors, instants, random bytes, durations as people write them",
        &["error.rs", "time.rs", "random.rs", "limit.rs"],
    ),
    (
        "what an operator decides, from code, files and the environment",
        &[
            "options.rs",
            "options/setting.rs",
            "options/de/value.rs",
            "options/de.rs",
            "options/env.rs",
        ],
    ),
    (
        "formats on the wire, each on its own",
        &[
            "engine/percent.rs",
            "engine/json.rs",
            "engine/der.rs",
            "engine/request.rs",
            "engine/caching.rs",
        ],
    ),
    (
        "keys: read, found strong enough, tied to one algorithm, named, and put to use",
        &[
            "engine/algorithm.rs",
            "engine/weak.rs",
            "engine/material.rs",
            "engine/pkcs.rs",
            "engine/pem.rs",
            "engine/crypto.rs",
            "engine/public_jwk.rs",
            "engine/kid.rs",
            "engine/jwk.rs",
            "engine/keys.rs",
            "engine/key_set.rs",
            "engine/ring.rs",
            "engine/ring/file.rs",
            "engine/ring/publication.rs",
            "engine/ring/rotation.rs",
            "engine/jws.rs",
        ],
    ),
    (
        "rules about a session: its name, its end, its cookie, and which sites it trusts",
        &[
            "engine/id.rs",
            "engine/task.rs",
            "engine/actor.rs",
            "engine/factor.rs",
            "engine/standing.rs",
            "engine/device.rs",
            "engine/limits.rs",
            "engine/lifetime.rs",
            "engine/set_cookie.rs",
            "engine/cookie.rs",
            "engine/cookie_header.rs",
            "engine/several.rs",
            "engine/origin.rs",
            "engine/cross_origin.rs",
            "engine/redirect.rs",
            "engine/redirect/sign_out.rs",
            "engine/paths.rs",
            "engine/issuer/cookies.rs",
            "engine/issuer/remote.rs",
        ],
    ),
    (
        "claims: into a token's payload and out of it",
        &[
            "engine/claims/mod.rs",
            "engine/claims/bearer.rs",
            "engine/claims/mismatch.rs",
            "engine/claims/name.rs",
            "engine/claims/names.rs",
            "engine/claims/picked.rs",
            "engine/claims/rest.rs",
            "engine/claims/decode.rs",
            "engine/claims/members.rs",
            "engine/claims/content.rs",
            "engine/claims/serializer.rs",
            "engine/claims/encode.rs",
            "engine/claims/round_trip.rs",
        ],
    ),
    (
        "what an application is told: sessions, sign-ins, events, lines in a log",
        &[
            "engine/bearer/wanted.rs",
            "engine/bearer.rs",
            "engine/identity.rs",
            "engine/issuer.rs",
            "engine/issuer/gate.rs",
            "engine/issuer/rules.rs",
            "engine/issuer/trust.rs",
            "engine/touch.rs",
            "engine/record.rs",
            "engine/session.rs",
            "engine/sign_in.rs",
            "engine/event.rs",
            "logging.rs",
        ],
    ),
    (
        "the engine: what it knows, and what it does with a request's cookies and a response's",
        &[
            "engine/recent.rs",
            "engine/heard.rs",
            "engine/ended.rs",
            "engine/bell.rs",
            "engine/renewed.rs",
            "engine/bearer/authorization.rs",
            "engine/bearer/issuer.rs",
            "engine/cache.rs",
            "engine/state.rs",
            "engine/knowledge.rs",
            "engine/mint.rs",
            "engine/account.rs",
            "engine/jar/state.rs",
            "engine/jar/phase.rs",
            "engine/jar/way.rs",
            "engine/browser.rs",
            "engine/jar.rs",
            "engine/jar/acting.rs",
            "engine/jar/accounts.rs",
            "engine/jar/claims.rs",
            "engine/jar/stored.rs",
            "engine/jar/enter.rs",
            "engine/jar/handle.rs",
            "engine/jar/sign.rs",
            "engine/glance.rs",
            "engine/jar/tasks.rs",
            "engine/jar/step_up.rs",
            "engine/bearer/mint.rs",
            "engine/bearer/open.rs",
            "engine/verifier.rs",
            "engine/open.rs",
            "engine/write.rs",
            "engine/close.rs",
            "engine/builder.rs",
            "engine/builder/bearer.rs",
            "engine/builder/options.rs",
            "engine/builder/origins.rs",
            "engine/builder/endpoints.rs",
            "engine/builder/memory.rs",
            "engine/builder/several.rs",
            "engine/builder/standing.rs",
            "engine/mod.rs",
        ],
    ),
    (
        "around the engine: keys that it makes, claims that it is given, bodies and refusals",
        &[
            "keygen.rs",
            "key_file.rs",
            "claims_source.rs",
            "jwks.rs",
            "jwks/http.rs",
            "body.rs",
            "rejection/client.rs",
            "rejection/problem.rs",
            "rejection.rs",
        ],
    ),
    (
        "stores: what they are asked, and those of this crate",
        &[
            "store/error.rs",
            "store/record.rs",
            "store/operation.rs",
            "store/feed.rs",
            "store/mod.rs",
            "store/memory/entry.rs",
            "store/memory/feed.rs",
            "store/memory/shelf.rs",
            "store/memory.rs",
            "store/redis/failure.rs",
            "store/redis/keys.rs",
            "store/redis/link.rs",
            "store/redis/script.rs",
            "store/redis/answer.rs",
            "store/redis/confirm.rs",
            "store/redis/feed.rs",
            "store/redis/operation.rs",
            "store/redis/ending.rs",
            "store/redis.rs",
            "store/sql/fault.rs",
            "store/sql/prefix.rs",
            "store/sql/row.rs",
            "store/sql/statements.rs",
            "store/sql/dialect.rs",
            "store/sql/work.rs",
            "store/sql/migrate.rs",
            "store/sql/feed.rs",
            "store/sql/ends.rs",
            "store/sql/lives.rs",
            "store/sql/mod.rs",
            "store/sql/store.rs",
            "store/sqlite.rs",
            "store/postgres.rs",
            "store/contract/stage.rs",
            "store/contract/lives.rs",
            "store/contract/ends.rs",
            "store/contract/subjects.rs",
            "store/contract/feed.rs",
            "store/contract/many.rs",
            "store/contract/revival.rs",
            "store/contract/mod.rs",
        ],
    ),
    (
        "requests that the layer answers itself",
        &[
            "endpoints/params.rs",
            "endpoints/read_body.rs",
            "endpoints/reply.rs",
            "endpoints/sessions.rs",
            "endpoints/jwks.rs",
            "endpoints/token.rs",
            "endpoints/chooser/html.rs",
            "endpoints/chooser.rs",
            "endpoints/answer.rs",
            "endpoints/asked.rs",
            "endpoints/sign_out.rs",
            "endpoints/switch.rs",
            "endpoints/call.rs",
            "endpoints/mod.rs",
        ],
    ),
    (
        "tower: the guard and the layer",
        &[
            "guard.rs",
            "user_agent.rs",
            "middleware/breaker.rs",
            "middleware/deadline.rs",
            "middleware/keeper.rs",
            "middleware/confirmations.rs",
            "middleware/ends.rs",
            "middleware/key_fetcher.rs",
            "middleware/wiring.rs",
            "middleware/copies.rs",
            "middleware/issuers.rs",
            "middleware/claims.rs",
            "middleware/lives.rs",
            "middleware/bearer.rs",
            "middleware/settle.rs",
            "middleware/watch.rs",
            "middleware/future.rs",
            "middleware/service.rs",
            "middleware/layer.rs",
            "middleware/background.rs",
            "middleware/sessions.rs",
            "middleware/endpoints.rs",
            "middleware/router.rs",
            "middleware/mod.rs",
        ],
    ),
    ("frameworks, applications and their tests", &["extract.rs", "testing.rs", "lib.rs"]),
];

/// What the engine must not touch, as paths and as words: time, randomness and the world come in as
/// values.
const IMPURE: &[&str] = &[
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "futures",
    "getrandom",
    "rand",
    "tokio",
    "Instant",
    "SystemTime",
    "SystemClock",
    "OsRandom",
    "dbg",
    "eprint",
    "eprintln",
    "print",
    "println",
];

/// Impure by name only: file, what, why.
const PURE_NEVERTHELESS: &[(&str, &str, &str)] = &[
    ("engine/origin.rs", "std::net::Ipv4Addr", "reads an address, connects to none"),
    ("engine/origin.rs", "std::net::Ipv6Addr", "reads an address, connects to none"),
    ("engine/device.rs", "std::net::IpAddr", "names an address, connects to none"),
    ("engine/builder.rs", "OsRandom", "what the engine is given unless told otherwise"),
];

/// Past this a file has two jobs. Comments, blank lines and tests do not count.
const MAX_LINES_OF_CODE: usize = 250;

#[test]
fn files_import_only_what_stands_below_them() {
    let tree = Tree::read();
    let order: Vec<_> = FLOORS.iter().flat_map(|(_, files)| *files).copied().collect();
    let place = |file: &str| order.iter().position(|listed| *listed == file);
    let floor = |file: &str| {
        FLOORS
            .iter()
            .find(|(_, files)| files.contains(&file))
            .map_or("no floor", |(floor, _)| floor)
    };
    let mut problems = Vec::new();
    for (at, file) in order.iter().enumerate() {
        if order[..at].contains(file) {
            problems.push(format!("{file} is in the floor plan twice"));
        }
        if !tree.files.iter().any(|source| source.file == *file) {
            problems.push(format!("{file} is in the floor plan, but not in src/"));
        }
    }
    for source in &tree.files {
        let Some(own) = place(&source.file) else {
            problems.push(format!("{} is not in the floor plan: find its floor", source.file));
            continue;
        };
        for mention in &source.mentions {
            let Some(home) = tree.home(mention) else { continue };
            let upwards = place(&home.file).is_some_and(|other| other > own);
            if upwards && !(mention.reexport && is_below(&home.file, &source.file)) {
                problems.push(format!(
                    "{} ({}) names {} of {} ({}), which stands above it",
                    source.file,
                    floor(&source.file),
                    mention.path.join("::"),
                    home.file,
                    floor(&home.file),
                ));
            }
        }
    }
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// Whether `file` is part of the module that `parent` is the face of: `a/b.rs` of `a.rs`, `a/mod.rs`
/// and `lib.rs`.
fn is_below(file: &str, parent: &str) -> bool {
    let folder = parent.trim_end_matches(".rs").trim_end_matches("mod").trim_end_matches("lib");
    file.starts_with(folder)
}

#[test]
fn the_engine_is_pure() {
    let tree = Tree::read();
    let mut problems = Vec::new();
    let mut excused = Vec::new();
    for source in tree.files.iter().filter(|source| source.file.starts_with("engine/")) {
        let paths = source
            .mentions
            .iter()
            .filter(|mention| tree.home(mention).is_none())
            .map(|mention| mention.path.join("::"));
        for name in paths.chain(source.words.iter().cloned()) {
            let inside = |impure: &&&str| {
                name.strip_prefix(**impure)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            };
            if IMPURE.iter().find(inside).is_none() {
                continue;
            }
            let excuse = PURE_NEVERTHELESS
                .iter()
                .position(|(file, excused, _)| (*file, *excused) == (&*source.file, &*name));
            match excuse {
                Some(at) => excused.push(at),
                None => problems.push(format!("{} touches {name}", source.file)),
            }
        }
    }
    for (at, (file, name, _)) in PURE_NEVERTHELESS.iter().enumerate() {
        if !excused.contains(&at) {
            problems.push(format!("{file} no longer touches {name}: take its excuse away"));
        }
    }
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn no_file_has_two_jobs() {
    let long: Vec<_> = Tree::read()
        .files
        .iter()
        .filter(|source| source.lines.len() > MAX_LINES_OF_CODE)
        .map(|source| format!("{} has {} lines of code: split it", source.file, source.lines.len()))
        .collect();
    assert!(long.is_empty(), "\n{}\n", long.join("\n"));
}

#[test]
fn the_reader_sees_what_the_compiler_sees() {
    let read = |files: &[(&str, &str)]| {
        Tree::of(files.iter().map(|(file, text)| Source::read(file, text)).collect())
    };
    let tree = read(&[
        ("lib.rs", "mod a; mod b; pub use a::{Thing, inner::Deep};"),
        (
            "a/mod.rs",
            "mod inner; mod tests_of_it; use inner::Deep as D;\n#[cfg(test)]\nmod tests;\npub struct Thing;",
        ),
        (
            "a/inner.rs",
            "pub struct Deep;\n\n/// Not crate::b::X.\nfn f() { /* crate::b */ let _ = \"crate::b::X\"; }",
        ),
        ("a/tests_of_it.rs", "use super::D;"),
        ("a/tests.rs", "use super::*;"),
        (
            "b.rs",
            "use http;\nuse std::{fmt::{self, Debug}, sync as s};\npub(in crate::a) fn f(_: crate::Thing) -> impl Fn() + use<> {\n\
             macro!(crate::a::inner::g(self::h)); super::Deep; s::Arc; http::Uri }\n\
             mod h { use super::super::a::{inner::{Deep, self}}; }\n\
             #[cfg(test)] mod tests { use crate::c::C; }\n#[cfg(test)]\nuse crate::d::D;\n",
        ),
    ]);
    let homes = |file: &str| -> Vec<_> {
        let source = tree.files.iter().find(|source| source.file == file).unwrap();
        let home = |mention| tree.home(mention).map_or("-", |home| &home.file);
        source.mentions.iter().map(|mention| (mention.path.join("::"), home(mention))).collect()
    };
    let names: Vec<_> = tree.files.iter().map(|source| &*source.file).collect();
    assert_eq!(names, ["a/inner.rs", "a/mod.rs", "a/tests_of_it.rs", "b.rs", "lib.rs"]);
    assert_eq!(homes("a/inner.rs"), []);
    assert_eq!(homes("a/tests_of_it.rs"), [("super::D".to_owned(), "a/inner.rs")]);
    let expected = [
        ("http", "-"),
        ("std::fmt", "-"),
        ("std::fmt::Debug", "-"),
        ("std::sync", "-"),
        ("crate::Thing", "a/mod.rs"),
        ("crate::a::inner::g", "a/inner.rs"),
        ("self::h", "b.rs"),
        ("super::Deep", "a/inner.rs"),
        ("s::Arc", "-"),
        ("http::Uri", "-"),
        ("super::super::a::inner::Deep", "a/inner.rs"),
        ("super::super::a::inner", "a/inner.rs"),
    ];
    assert_eq!(homes("b.rs"), expected.map(|(path, home)| (path.to_owned(), home)));
    let inner = tree.files.iter().find(|source| source.file == "a/inner.rs").unwrap();
    assert_eq!(inner.lines.iter().copied().collect::<Vec<_>>(), [1, 4]);
}

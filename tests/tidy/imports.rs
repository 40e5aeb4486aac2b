//! Who may know whom.
//!
//! ```text
//!   client --> wire <-- core <-- gateway          main --> cli --> server --> reactor --> logging --> config, escape
//!                 `-------`---------`------------ the root package: all of them; nobody: the root package
//!                                                cli --> bench, which knows no broker from inside
//!                                                cli, journal --> store, which knows files and nobody
//!                                                server --> journal --> reactor
//! ```

use super::rule::{Findings, Rule};
use super::rust_source::{RustSource, words};

pub(crate) const RULES: &[Rule] = &[
    DEPENDENCIES,
    PATHS,
    MODULES,
    CLIENT_STANDS_ALONE,
    LOCKED_SOURCES,
    CORE_KNOWS_NO_PROTOCOL,
    SOCKETS,
    FILES,
    UNSAFE,
    FORBIDDEN_UNSAFE,
];

/// A crate under src: its package, its directory, and the crates of ours that it may depend on.
const CRATES: [(&str, &str, &[&str]); 4] = [
    ("fanwire-wire", "src/wire/", &[]),
    ("fanwire-core", "src/core/", &["fanwire-wire"]),
    ("fanwire-gateway", "src/gateway/", &["fanwire-wire", "fanwire-core"]),
    ("fanwire-client", "src/client/", &["fanwire-wire"]),
];

/// A module of the root package, and those that it may import.
const MODULES_OF_ROOT: [(&str, &[&str]); 9] = [
    ("escape", &[]),
    ("bench", &["escape"]),
    ("config", &["escape"]),
    ("store", &[]),
    ("logging", &["escape", "config"]),
    ("reactor", &["escape", "config", "logging"]),
    ("journal", &["escape", "config", "logging", "reactor", "store"]),
    ("server", &["escape", "config", "logging", "reactor", "journal"]),
    ("cli", &["escape", "bench", "config", "logging", "server", "store"]),
];

/// Files that may contain `unsafe`: allocators that count, so that tests see what allocates, the ring between
/// reactors, which loom checks, stores into a mapped file, asking which of its pages are in memory, the map of the
/// bench's floors, and the call that cuts a file system's power.
const UNSAFE_FILES: &[&str] = &[
    "src/bench/mapped.rs",
    "src/client/tests/allocation.rs",
    "src/core/tests/allocation.rs",
    "src/reactor/mailbox/ring.rs",
    "src/store/forgetting.rs",
    "src/store/mapped.rs",
    "tests/allocation.rs",
    "tests/end_to_end/private_disk.rs",
];

/// Ways to the operating system's sockets.
const SOCKET_CRATES: [&str; 2] = ["mio", "socket2"];
const SOCKET_TYPES: [&str; 4] = ["TcpStream", "TcpListener", "UnixStream", "UnixListener"];

/// Ways to the operating system's files.
const FILE_CRATES: [&str; 2] = ["fs", "memmap2"];

const PROTOCOLS: [&str; 13] = [
    "mqtt",
    "websocket",
    "websockets",
    "http",
    "https",
    "redis",
    "resp",
    "valkey",
    "sse",
    "longpoll",
    "tls",
    "stomp",
    "amqp",
];

/// The crate whose directory holds the path.
fn crate_of(path: &str) -> Option<(&'static str, &'static [&'static str])> {
    CRATES.iter().find(|(_, directory, _)| path.starts_with(directory)).map(|(name, _, allowed)| (*name, *allowed))
}

const DEPENDENCIES: Rule = Rule {
    name: "crates depend only downwards, in Cargo.toml",
    remedy: "move what is needed down into wire or core, or up into who uses it; a new crate gets a row in CRATES of \
             tests/tidy/imports.rs",
    check: |tree, findings| {
        for manifest in tree.manifests().filter(|manifest| manifest.path.starts_with("src/")) {
            let Some((name, allowed)) = crate_of(manifest.path) else {
                findings.file(manifest.path, "is a crate without a row in CRATES");
                continue;
            };
            if manifest.package() != Some(name) {
                findings.file(manifest.path, format_args!("should be the package {name}"));
            }
            for dependency in manifest.dependencies() {
                if dependency.package.starts_with("fanwire") && !allowed.contains(&&*dependency.package) {
                    findings.file(manifest.path, format_args!("must not depend on {}", dependency.package));
                }
            }
        }
    },
    bad: &[
        &[("src/wire/Cargo.toml", "package.name = 'fanwire-wire'\ndependencies.fanwire-core.workspace = true")],
        &[("src/core/Cargo.toml", "package.name = 'fanwire-core'\n[dev-dependencies]\nfanwire-gateway = '1'")],
        &[("src/core/Cargo.toml", "package.name = 'fanwire-core'\n[dependencies]\nx = { package = 'fanwire' }")],
        &[("src/client/Cargo.toml", "package.name = 'fanwire-client'\ntarget.a.dependencies.fanwire = '1'")],
        &[("src/store/Cargo.toml", "package.name = 'fanwire-store'")],
    ],
    good: &[
        &[("src/gateway/Cargo.toml", "package.name = 'fanwire-gateway'\ndependencies.fanwire-core = '1'")],
        &[("Cargo.toml", "package.name = 'fanwire'\ndependencies.fanwire-client.workspace = true")],
    ],
};

const PATHS: Rule = Rule {
    name: "crates name only what they may depend on, in code",
    remedy: "move what is needed down into wire or core, or up into who uses it",
    check: |tree, findings| {
        for (path, source) in tree.rust() {
            let Some((own, allowed)) = crate_of(path) else { continue };
            for (place, word) in source.words() {
                let is_root = word == "fanwire" && source.code[place + word.len()..].starts_with("::");
                let package = word.replace('_', "-");
                let is_ours = is_root || package.starts_with("fanwire-");
                if is_ours && package != own && !allowed.contains(&&*package) {
                    findings.at(path, source.line_of(place), format_args!("{own} must not use {word}"));
                }
            }
        }
    },
    bad: &[
        &[("src/core/shard.rs", "use fanwire_gateway::Native;")],
        &[("src/client/tests/x.rs", "fn f() { fanwire::config::Config::default(); }")],
        &[("src/wire/lib.rs", "pub use fanwire_core as core;")],
    ],
    good: &[
        &[("src/gateway/native.rs", "//! Not fanwire_client.\nuse fanwire_core::Shard;\nuse fanwire_wire::Frame;")],
        &[("src/client/url.rs", "const SCHEME: &str = \"fanwire://\";")],
        &[("tests/cli.rs", "use fanwire_client::Client;")],
    ],
};

const MODULES: Rule = Rule {
    name: "modules of the root package import only downwards",
    remedy: "hand it in from above instead, or move it down; a new module gets a row in MODULES_OF_ROOT of \
             tests/tidy/imports.rs, and in the map in src/lib.rs",
    check: |tree, findings| {
        for (path, source) in tree.rust().filter(|(path, _)| path.starts_with("src/") && crate_of(path).is_none()) {
            let module = path["src/".len()..].split('/').next().unwrap_or_default().trim_end_matches(".rs");
            if matches!(module, "lib" | "main") {
                continue;
            }
            let Some((_, allowed)) = MODULES_OF_ROOT.iter().find(|(name, _)| *name == module) else {
                findings.file(path, "is in a module without a row in MODULES_OF_ROOT");
                continue;
            };
            for (place, imported) in imports_from_root(source) {
                if imported != module && !allowed.contains(&imported) {
                    findings.at(path, source.line_of(place), format_args!("{module} must not import {imported}"));
                }
            }
            let is_cli = module == "cli";
            for (place, word) in source.words().filter(|(_, word)| !is_cli && *word == "fanwire_client") {
                findings.at(path, source.line_of(place), format_args!("only cli uses {word}: the broker is no client"));
            }
        }
    },
    bad: &[
        &[("src/reactor/mod.rs", "use crate::config::Config;\nuse crate::cli::run;")],
        &[("src/config/keys.rs", "use crate::{escape::visible, logging::Line};")],
        &[("src/server.rs", "use fanwire_client::Client;")],
        &[("src/metrics.rs", "//! New.")],
    ],
    good: &[
        &[("src/cli/serve.rs", "use crate::{logging, server::{Bound, Server}};\nuse fanwire_client::Client;")],
        &[("src/server.rs", "use crate::reactor::Reactor;")],
        &[("src/lib.rs", "pub mod cli;")],
    ],
};

/// What follows each `crate::`, and each first name in a `crate::{...}`.
fn imports_from_root(source: &RustSource) -> Vec<(usize, &str)> {
    let code = &source.code;
    let mut found = Vec::new();
    for (place, _) in source.words().filter(|(_, word)| *word == "crate") {
        let Some(rest) = code[place..].strip_prefix("crate::") else { continue };
        let Some(group) = rest.strip_prefix('{') else {
            found.extend(words(rest).next().map(|(_, name)| (place, name)));
            continue;
        };
        let (mut depth, mut part_begin) = (0, 0);
        for (offset, byte) in group.bytes().enumerate() {
            match byte {
                b'{' => depth += 1,
                b'}' if depth > 0 => depth -= 1,
                b',' | b'}' if depth == 0 => {
                    found.extend(words(&group[part_begin..offset]).next().map(|(_, name)| (place, name)));
                    part_begin = offset + 1;
                }
                _ => {}
            }
            if byte == b'}' && part_begin == offset + 1 {
                break;
            }
        }
    }
    found
}

const CLIENT_STANDS_ALONE: Rule = Rule {
    name: "the client is made of wire and std alone, and wire of std alone",
    remedy: "write it with std, or keep it out of the client: whoever embeds the client should get nothing else",
    check: |tree, findings| {
        for manifest in tree.manifests() {
            let wanted: &[&str] = match manifest.package() {
                Some("fanwire-client") => &["fanwire-wire"],
                Some("fanwire-wire") => &[],
                _ => continue,
            };
            let dependencies = manifest.dependencies().into_iter().filter(|dependency| !dependency.is_for_tests);
            let found: Vec<String> = dependencies.map(|dependency| dependency.package).collect();
            if found != wanted {
                findings.file(manifest.path, format_args!("depends on {found:?}, should be {wanted:?}"));
            }
        }
    },
    bad: &[
        &[("src/client/Cargo.toml", "package.name = 'fanwire-client'\n[dependencies]\nfanwire-wire = '1'\nrand = '1'")],
        &[("src/client/Cargo.toml", "package.name = 'fanwire-client'")],
        &[("src/wire/Cargo.toml", "package.name = 'fanwire-wire'\n[target.'cfg(unix)'.build-dependencies]\ncc = '1'")],
    ],
    good: &[
        &[("src/client/Cargo.toml", "package.name = 'fanwire-client'\ndependencies.fanwire-wire.workspace = true")],
        &[("src/wire/Cargo.toml", "package.name = 'fanwire-wire'\n[dev-dependencies]\nproptest = '1'")],
    ],
};

const LOCKED_SOURCES: Rule = Rule {
    name: "every dependency is a released one",
    remedy: "depend on a released version, and lock it without a private mirror configured as the source",
    check: |tree, findings| {
        for (path, text) in tree.texts().filter(|(path, _)| path.ends_with("Cargo.lock")) {
            for (index, line) in text.lines().enumerate() {
                let source = line.strip_prefix("source = ");
                if source.is_some_and(|source| !source.starts_with("\"registry+")) {
                    findings.at(path, index + 1, line);
                }
            }
        }
    },
    bad: &[&[("fuzz/Cargo.lock", "[[package]]\nname = \"a\"\nsource = \"git+https://example.com/a\"")]],
    good: &[&[("Cargo.lock", "[[package]]\nsource = \"registry+https://example.com/index\"")]],
};

const CORE_KNOWS_NO_PROTOCOL: Rule = Rule {
    name: "core does not know any protocol's name",
    remedy: "say what is meant in core's own words (session, encoding, delivery); what only one protocol needs belongs \
             into its gateway",
    check: |tree, findings| {
        for (path, text) in tree.texts().filter(|(path, _)| path.starts_with("src/core/")) {
            for (index, line) in text.lines().enumerate() {
                for (_, word) in words(line) {
                    if let Some(protocol) = named_protocol(word) {
                        findings.at(path, index + 1, format_args!("{word} speaks of {protocol}"));
                    }
                }
            }
        }
    },
    bad: &[
        &[("src/core/session.rs", "//! Outlives its connection, as MQTT wants it.")],
        &[("src/core/session.rs", "enum Encoding { Native, WebSocket }")],
        &[("src/core/session.rs", "fn render_sse_event() {}")],
        &[("src/core/Cargo.toml", "[dependencies]\nhttp = '1'")],
    ],
    good: &[
        &[("src/core/session.rs", "fn assert_session() { assert!(true); }")],
        &[("src/gateway/mqtt.rs", "//! MQTT to commands.")],
    ],
};

/// A protocol in `word`, `some_word_here` or `SomeWordHere`.
fn named_protocol(word: &str) -> Option<&'static str> {
    let whole = word.to_lowercase().replace('_', "");
    let mut parts = vec![whole];
    for part in word.split('_') {
        let starts = part.char_indices().filter(|(_, character)| character.is_uppercase()).map(|(place, _)| place);
        let mut cuts: Vec<usize> = starts.chain([0, part.len()]).collect();
        cuts.sort_unstable();
        parts.push(part.to_lowercase());
        parts.extend(cuts.windows(2).map(|cut| part[cut[0]..cut[1]].to_lowercase()));
    }
    let contains = |protocol: &str| parts.iter().any(|part| part == protocol) || parts[0].contains("websocket");
    PROTOCOLS.into_iter().find(|protocol| contains(protocol))
}

const SOCKETS: Rule = Rule {
    name: "sockets are touched in the reactor alone",
    remedy: "move the call into src/reactor, which owns every socket system call; server.rs may start and signal, and \
             client and bench are peers of brokers with sockets of their own",
    check: |tree, findings| {
        let allowed = ["src/reactor/", "src/server.rs", "src/client/", "src/bench/"];
        let in_question = |path: &str| path.starts_with("src/") && !allowed.iter().any(|place| path.starts_with(place));
        for (path, source) in tree.rust().filter(|(path, _)| in_question(path)) {
            for (place, word) in source.words() {
                let is_path = source.code[place + word.len()..].starts_with("::");
                if (is_path && SOCKET_CRATES.contains(&word)) || SOCKET_TYPES.contains(&word) {
                    findings.at(path, source.line_of(place), format_args!("uses {word}"));
                }
            }
        }
    },
    bad: &[
        &[("src/core/shard.rs", "use mio::Poll;")],
        &[("src/config/rules.rs", "fn f() { std::net::TcpListener::bind(address); }")],
    ],
    good: &[
        &[("src/reactor/socket.rs", "use socket2::SockRef;\nuse mio::net::TcpStream;")],
        &[("src/core/shard.rs", "//! No mio::Poll here.\nfn mio() {}")],
    ],
};

const FILES: Rule = Rule {
    name: "files are touched in the store alone",
    remedy: "move the call into src/store, which owns every file system call; config, cli, logging and bench may read \
             and write what is their own, and the listener keeps a descriptor in reserve",
    check: |tree, findings| {
        let allowed =
            ["src/store/", "src/config/", "src/cli/", "src/logging/", "src/bench/", "src/reactor/listener.rs"];
        let is_test = |path: &str| path.contains("/tests/") || path.ends_with("/tests.rs");
        let in_question = |path: &str| {
            path.starts_with("src/") && !is_test(path) && !allowed.iter().any(|place| path.starts_with(place))
        };
        for (path, source) in tree.rust().filter(|(path, _)| in_question(path)) {
            for (place, word) in source.words().filter(|(_, word)| FILE_CRATES.contains(word)) {
                findings.at(path, source.line_of(place), format_args!("uses {word}"));
            }
        }
    },
    bad: &[
        &[("src/reactor/poll.rs", "use std::fs::File;")],
        &[("src/server.rs", "fn f() { rustix::fs::fsync(file); }")],
        &[("src/core/journal/log.rs", "use std::{fs, io};")],
        &[("src/reactor/journal.rs", "use memmap2::Mmap;")],
    ],
    good: &[
        &[("src/store/file.rs", "use std::fs::File;\nuse memmap2::MmapRaw;")],
        &[("src/reactor/tests/house.rs", "fn f() { std::fs::read(path); }")],
        &[("src/reactor/poll.rs", "//! No std::fs here.")],
    ],
};

const UNSAFE: Rule = Rule {
    name: "unsafe stands only where it is known",
    remedy: "find a safe way; if there is none, write the SAFETY argument and add the file to UNSAFE_FILES of \
             tests/tidy/imports.rs",
    check: |tree, findings| {
        let mut unused = UNSAFE_FILES.to_vec();
        for (path, source) in tree.rust() {
            for (place, _) in source.words().filter(|(_, word)| *word == "unsafe") {
                unused.retain(|known| *known != path);
                if !UNSAFE_FILES.contains(&path) {
                    findings.at(path, source.line_of(place), "unsafe");
                }
            }
        }
        if tree.is_whole {
            unused.iter().for_each(|path| findings.file(path, "has no unsafe any more: take it off UNSAFE_FILES"));
        }
    },
    bad: &[&[("src/reactor/flush.rs", "fn f() { unsafe { g() } }")]],
    good: &[
        &[("src/client/tests/allocation.rs", "unsafe impl A for B {}")],
        &[("src/core/lib.rs", "//! No unsafe.\n#![forbid(unsafe_code)]")],
    ],
};

const FORBIDDEN_UNSAFE: Rule = Rule {
    name: "the crates forbid unsafe code",
    remedy: "put #![forbid(unsafe_code)] into the crate's lib.rs",
    check: |tree, findings: &mut Findings| {
        for (path, source) in tree.rust() {
            let is_root = CRATES.iter().any(|(_, directory, _)| path.strip_prefix(directory) == Some("lib.rs"));
            if is_root && !source.code.contains("#![forbid(unsafe_code)]") {
                findings.file(path, "does not forbid unsafe code");
            }
        }
    },
    bad: &[&[("src/core/lib.rs", "//! #![forbid(unsafe_code)]\nmod shard;")]],
    good: &[&[("src/core/lib.rs", "#![forbid(unsafe_code)]\nmod shard;")]],
};

#[test]
fn imports_are_found_in_groups_too() {
    let source = RustSource::new("use crate::{a, b::{c, d}, e::f};\nfn g() { crate::h::i(); }\nuse crate::j::{k, l};");
    let names: Vec<&str> = imports_from_root(&source).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["a", "b", "e", "h", "j"]);
}

#[test]
fn a_protocol_is_found_in_every_spelling() {
    for word in ["http", "HttpSession", "is_http", "HTTP", "WebSocket", "web_socket", "render_sse"] {
        assert!(named_protocol(word).is_some(), "{word}");
    }
    for word in ["assert", "session", "socket", "essential", "response"] {
        assert!(named_protocol(word).is_none(), "{word}");
    }
}

//! Where things lie and what they are called.

use super::rule::{Findings, Rule};
use super::rust_source::RustSource;
use super::tree::Tree;
use std::collections::BTreeSet;

pub(crate) const RULES: &[Rule] = &[TOP, DECLARED, MODULE_DOCS, NAMES];

const TOP_NAMES: [&str; 15] = [
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "benches",
    "examples",
    "fuzz",
    "protocol.md",
    "rustfmt.toml",
    "src",
    "tests",
];

/// Names that say nothing about what they hold.
const EMPTY_NAMES: [&str; 8] = ["util", "utils", "utility", "utilities", "helper", "helpers", "common", "misc"];

const TOP: Rule = Rule {
    name: "nothing but the given names stands at the top",
    remedy: "put it where it belongs: code under src, tests under tests, text into README.md or protocol.md",
    check: |tree, findings| {
        let names: BTreeSet<&str> = tree.paths().filter_map(|path| path.split('/').next()).collect();
        names.iter().filter(|name| !TOP_NAMES.contains(name)).for_each(|name| findings.file(name, "is not expected"));
    },
    bad: &[&[("scripts/run.sh", "")], &[("notes.md", "")]],
    good: &[&[("README.md", ""), ("src/lib.rs", ""), (".ci/run", "")]],
};

const DECLARED: Rule = Rule {
    name: "every Rust file is part of a crate",
    remedy: "declare it with mod, or delete it: the compiler never sees it",
    check: |tree, findings| {
        let reached = reached_files(tree);
        for (path, _) in tree.rust().filter(|(path, _)| !reached.contains(*path)) {
            findings.file(path, "is declared nowhere");
        }
    },
    bad: &[
        &[MANIFEST, ("src/lib.rs", "//! mod b;"), ("src/b.rs", "")],
        &[MANIFEST, ("src/lib.rs", "mod b;"), ("src/b.rs", "mod c;"), ("src/c.rs", "")],
        &[MANIFEST, ("tests/t.rs", "mod t {\n}"), ("tests/t/u.rs", "")],
    ],
    good: &[
        &[MANIFEST, ("src/main.rs", "mod b;"), ("src/b.rs", "mod c;"), ("src/b/c.rs", "")],
        &[MANIFEST, ("src/lib.rs", "pub mod b;"), ("src/b/mod.rs", "mod c;"), ("src/b/c.rs", "")],
        &[MANIFEST, ("tests/t.rs", "mod t {\n mod u;\n}"), ("tests/t/u.rs", "")],
        &[MANIFEST, ("tests/t.rs", "#[path = \"t/u.rs\"]\nmod v;"), ("tests/t/u.rs", "")],
        &[MANIFEST, ("examples/e.rs", ""), ("benches/b/main.rs", "mod c;"), ("benches/b/c.rs", "")],
        &[("a/Cargo.toml", "package.name = 'a'\n[[bin]]\npath = 'b/c.rs'"), ("a/b/c.rs", "")],
    ],
};

/// A manifest for samples.
const MANIFEST: (&str, &str) = ("Cargo.toml", "package.name = 'a'");

/// All files that the compiler gets to see.
fn reached_files(tree: &Tree) -> BTreeSet<String> {
    let mut open: Vec<String> =
        tree.rust().map(|(path, _)| path.to_owned()).filter(|path| is_root(tree, path)).collect();
    let roots: BTreeSet<String> = open.iter().cloned().collect();
    let mut reached = BTreeSet::new();
    while let Some(path) = open.pop() {
        let source = tree.rust().find(|(known, _)| *known == path).map(|(_, source)| source);
        if let Some(source) = source {
            open.extend(declared_files(tree, &path, source, roots.contains(&path)));
            reached.insert(path);
        }
    }
    reached
}

/// Whether a package begins with this file: one of its named targets, or one that cargo finds by itself.
fn is_root(tree: &Tree, path: &str) -> bool {
    tree.manifests().filter(|manifest| manifest.package().is_some()).any(|manifest| {
        let Some(inner) = path.strip_prefix(manifest.directory()) else { return false };
        let parts: Vec<&str> = inner.split('/').collect();
        let is_found = match parts[..] {
            [directory, file] => {
                matches!((directory, file), ("src", "lib.rs" | "main.rs") | ("tests" | "examples" | "benches", _))
            }
            ["src", "bin", _] => true,
            [directory, _, file] => matches!((directory, file), ("tests" | "examples" | "benches", "main.rs")),
            _ => inner == "build.rs",
        };
        is_found || manifest.target_paths().iter().any(|target| target == path)
    })
}

/// The files behind the `mod name;` of a file that exist.
fn declared_files(tree: &Tree, path: &str, source: &RustSource, is_root: bool) -> Vec<String> {
    let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
    let children = match file {
        _ if is_root => directory.to_owned(),
        "mod.rs" => directory.to_owned(),
        _ => format!("{directory}/{}", file.trim_end_matches(".rs")),
    };
    let mut found = Vec::new();
    for declaration in declarations(source) {
        let place = format!("{children}/{}", declaration.inside);
        let place = place.trim_end_matches('/');
        let candidates = match declaration.path {
            Some(given) => vec![format!("{directory}/{given}")],
            None => vec![format!("{place}/{}.rs", declaration.name), format!("{place}/{}/mod.rs", declaration.name)],
        };
        found.extend(candidates.into_iter().filter(|candidate| tree.contains(candidate)));
    }
    found
}

/// A `mod name;`.
struct Declaration<'a> {
    name: &'a str,
    /// The modules with a body that it stands in, each ended with `/`.
    inside: String,
    /// What a `#[path]` before it says.
    path: Option<&'a str>,
}

fn declarations(source: &RustSource) -> Vec<Declaration<'_>> {
    let mut found = Vec::new();
    let mut bodies: Vec<(&str, usize)> = Vec::new();
    let words: Vec<(usize, &str)> = source.words().collect();
    for pair in words.windows(2) {
        let [(place, "mod"), (name_place, name)] = *pair else { continue };
        bodies.retain(|(_, end)| *end > place);
        let after = name_place + name.len();
        if source.code[after..].trim_start().starts_with('{') {
            bodies.push((name, end_of_body(&source.code, after)));
        } else if source.code[after..].starts_with(';') {
            let inside = bodies.iter().map(|(module, _)| format!("{module}/")).collect();
            found.push(Declaration { name, inside, path: path_attribute(source, place) });
        }
    }
    found
}

/// The place of the brace that closes the first one from here.
fn end_of_body(code: &str, from: usize) -> usize {
    let mut depth = 0;
    for (offset, byte) in code.as_bytes()[from..].iter().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return from + offset,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// The string of a `#[path = "..."]` in the attributes before a place.
fn path_attribute(source: &RustSource, place: usize) -> Option<&str> {
    let begin = source.code[..place].rfind([';', '}', '{']).map_or(0, |end| end + 1);
    let attribute = begin + source.code[begin..place].find("#[path")?;
    source.text[attribute..place].split('"').nth(1)
}

const MODULE_DOCS: Rule = Rule {
    name: "every Rust file opens with its module doc",
    remedy: "begin with //! and say what the file is, why it is, and what always holds in it; a picture helps",
    check: |tree, findings| {
        for (path, source) in tree.rust().filter(|(_, source)| !source.text.starts_with("//! ")) {
            let opening = source.text.lines().next().unwrap_or_default();
            findings.at(path, 1, format_args!("opens with {opening:?}"));
        }
    },
    bad: &[
        &[("src/a.rs", "use std::io;\n")],
        &[("tests/a.rs", "// A test.\n")],
        &[("src/a.rs", "\n//! Late.\n")],
        &[("src/a.rs", "")],
    ],
    good: &[&[("src/a.rs", "//! What it is.\nuse std::io;\n")]],
};

const NAMES: Rule = Rule {
    name: "no name is an empty drawer",
    remedy: "name it after what it holds: a noun of the domain",
    check: |tree, findings| {
        for (path, _) in tree.texts() {
            let mut names = path.split('/').map(|part| part.split('.').next().unwrap_or(part));
            if let Some(name) = names.find(|name| is_empty_name(name)) {
                findings.file(path, format_args!("{name:?} says nothing"));
            }
        }
        for (path, source) in tree.rust() {
            note_empty_modules(path, source, findings);
        }
    },
    bad: &[
        &[("src/utils.rs", "")],
        &[("tests/common/mod.rs", "")],
        &[("src/string_helpers.rs", "")],
        &[("src/lib.rs", "mod helpers {}")],
    ],
    good: &[&[("src/topic.rs", "mod grammar {}\nfn common_prefix() {}")]],
};

fn is_empty_name(name: &str) -> bool {
    name.split(['_', '-']).any(|part| EMPTY_NAMES.contains(&&*part.to_lowercase()))
}

fn note_empty_modules(path: &str, source: &RustSource, findings: &mut Findings) {
    let words: Vec<(usize, &str)> = source.words().collect();
    for pair in words.windows(2) {
        if let [(place, "mod"), (_, name)] = *pair
            && is_empty_name(name)
        {
            findings.at(path, source.line_of(place), format_args!("mod {name} says nothing"));
        }
    }
}

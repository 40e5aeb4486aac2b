//! What the text says and how it is set.

use super::rule::{Findings, Rule};
use super::rust_source::{line_of, words};

pub(crate) const RULES: &[Rule] = &[UNFINISHED_CODE, UNFINISHED_TEXT, MACHINE_PATHS, TYPOGRAPHY, LINE_ENDS];

/// Code that says: not yet.
const UNFINISHED: [&str; 5] = ["todo!", "unimplemented!", "dbg!", "#[ignore", "allow(dead_code"];
/// Words of comments that say: not yet.
const REMINDERS: [&str; 4] = ["TODO", "FIXME", "XXX", "HACK"];

/// Where machines keep what is nobody else's: directories below the root of the file system.
const PRIVATE_PLACES: [&str; 8] = ["work", "root", "home", "tmp", "mnt", "Users", "var/folders", "private"];

/// Characters that word processors leave behind, or that nobody sees.
const DEBRIS: [(char, &str); 13] = [
    ('\u{2014}', "an em dash: use a colon, a comma or two sentences"),
    ('\u{2013}', "an en dash: write \"to\" or -"),
    ('\u{2012}', "a figure dash: write -"),
    ('\u{2018}', "a curly quote"),
    ('\u{2019}', "a curly apostrophe"),
    ('\u{201c}', "a curly quote"),
    ('\u{201d}', "a curly quote"),
    ('\u{a0}', "a space that does not break"),
    ('\u{200b}', "a space without width"),
    ('\u{200d}', "a joiner without width"),
    ('\u{feff}', "a byte order mark"),
    ('\u{fffd}', "a replacement character: something was decoded wrongly"),
    ('\t', "a tab: indent with spaces"),
];

const UNFINISHED_CODE: Rule = Rule {
    name: "nothing is left unfinished in code",
    remedy: "finish it or leave it out; what is unused is deleted, and a test that can't pass is no test",
    check: |tree, findings| {
        for (path, source) in tree.rust() {
            // The macros and attributes may be spaced in any way.
            for (index, line) in source.code.lines().enumerate() {
                let dense: String = line.split_whitespace().collect();
                let dense = dense.replace("expect(dead_code", "allow(dead_code").replace("(ignore", "#[ignore");
                if let Some(found) = UNFINISHED.iter().find(|found| dense.contains(*found)) {
                    findings.at(path, index + 1, found);
                }
            }
        }
    },
    bad: &[
        &[("src/a.rs", "fn f() { todo!() }")],
        &[("src/a.rs", "fn f() { unimplemented! ( \"later\" ) }")],
        &[("src/a.rs", "fn f() { dbg!(1); }")],
        &[("tests/a.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}")],
        &[("src/a.rs", "#![allow(dead_code)]")],
        &[("src/a.rs", "#[expect(dead_code)]")],
    ],
    good: &[&[("src/a.rs", "//! No todo!() here.\nconst S: &str = \"dbg!\";\nfn ignore() {}")]],
};

const UNFINISHED_TEXT: Rule = Rule {
    name: "no reminders in comments and documents",
    remedy: "do it, or write down as a fact what does not work yet",
    check: |tree, findings| {
        for (path, text) in tree.texts().filter(|(path, _)| !path.ends_with(".rs")) {
            note_reminders(path, text, findings);
        }
        for (path, source) in tree.rust() {
            note_reminders(path, &source.comments, findings);
        }
    },
    bad: &[
        &[("src/a.rs", "// FIXME: later")],
        &[("src/a.rs", "/// XXX")],
        &[("README.md", "TODO: write this.")],
        &[("Cargo.toml", "# HACK")],
    ],
    good: &[&[("src/a.rs", "const S: &str = \"XXX\"; // Todo lists are a topic, XXXL is a size.")]],
};

fn note_reminders(path: &str, text: &str, findings: &mut Findings) {
    for (place, word) in words(text).filter(|(_, word)| REMINDERS.contains(word)) {
        findings.at(path, line_of(text, place), word);
    }
}

const MACHINE_PATHS: Rule = Rule {
    name: "no path of one machine stands in a file",
    remedy: "write it relative to the top, or ask for it: CARGO_TARGET_TMPDIR in integration tests, std::env::temp_dir",
    check: |tree, findings| {
        for (path, text) in tree.texts() {
            for (index, line) in text.lines().enumerate() {
                if let Some(place) = PRIVATE_PLACES.iter().find(|place| names_place(line, place)) {
                    findings.at(path, index + 1, format_args!("a path in the directory {place} of one machine"));
                }
            }
        }
    },
    bad: &[
        &[("README.md", concat!("cd /", "root/fanwire"))],
        &[("src/a.rs", concat!("const A: &str = \"/", "tmp/a.sock\";"))],
        &[(".ci/run", concat!("export CARGO_TARGET_DIR=/", "work/target"))],
        &[("Cargo.toml", concat!("fanwire = { path = '/", "home' }"))],
    ],
    good: &[&[
        ("README.md", "src/home/tmp/a, https://example.com/root/x"),
        ("src/a.rs", "// topics/tmp /tmpfs a/root /homes"),
    ]],
};

/// Whether the line holds the absolute path, and not a longer one that it is part of.
fn names_place(line: &str, place: &str) -> bool {
    line.match_indices(&format!("/{place}")).any(|(begin, found)| {
        let before = line[..begin].chars().next_back();
        let after = line[begin + found.len()..].chars().next();
        let continues = |character: char| character.is_alphanumeric() || "_-.".contains(character);
        !before.is_some_and(|before| continues(before) || "}>*+~".contains(before)) && !after.is_some_and(continues)
    })
}

const TYPOGRAPHY: Rule = Rule {
    name: "text is set with the characters of a keyboard",
    remedy: "replace it as the finding says; in tests of such characters write them as \\u{...}",
    check: |tree, findings| {
        for (path, text) in tree.texts().filter(|(path, _)| !is_licence(path)) {
            for (index, line) in text.lines().enumerate() {
                for (_, what) in DEBRIS.iter().filter(|(character, _)| line.contains(*character)) {
                    findings.at(path, index + 1, what);
                }
            }
        }
    },
    bad: &[
        &[("README.md", "fast \u{2014} really")],
        &[("src/a.rs", "//! The broker\u{2019}s")],
        &[("src/a.rs", "\tlet a = 1;")],
        &[("src/a.rs", "\u{feff}//! A.")],
    ],
    good: &[&[("README.md", "fast: 5 \u{b5}s, \"really\""), ("LICENSE-APACHE", "\tlicence")]],
};

const LINE_ENDS: Rule = Rule {
    name: "lines end where they end",
    remedy: "take off the spaces and carriage returns, and end the file with one line end",
    check: |tree, findings| {
        for (path, text) in tree.texts().filter(|(path, _)| !is_licence(path)) {
            for (index, line) in text.split('\n').enumerate() {
                if line.trim_end() != line {
                    findings.at(path, index + 1, "spaces at the end");
                }
            }
            if !text.is_empty() && (!text.ends_with('\n') || text.ends_with("\n\n")) {
                findings.file(path, "should end with one line end");
            }
        }
    },
    bad: &[
        &[("src/a.rs", "fn f() {} \n")],
        &[("README.md", "a\r\nb\r\n")],
        &[("README.md", "a")],
        &[("README.md", "a\n\n")],
    ],
    good: &[&[("README.md", "a\n\nb\n"), ("src/a.rs", ""), ("LICENSE-MIT", "as it came ")]],
};

/// The texts of licences stay as their authors set them.
fn is_licence(path: &str) -> bool {
    path.starts_with("LICENSE-")
}

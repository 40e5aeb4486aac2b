//! Whatever refers to something else has to find it there.

use super::rule::Rule;
use super::rust_source::{line_of, words};
use super::tree::Tree;
use std::collections::BTreeSet;

pub(crate) const RULES: &[Rule] = &[SECTIONS, LINKS, COMMANDS];

const PROTOCOL: &str = "protocol.md";
const SECTION_WORDS: [&str; 4] = ["section", "sections", "Section", "Sections"];
/// How far a section's number may stand from the name of the document.
const REACH_BYTES: usize = 40;
/// What else has sections.
const OTHER_DOCUMENTS: [&str; 4] = ["MQTT", "RFC", "TOML", "CommonMark"];

/// The README's one command to run the broker, and its one command to run all tests.
const RUN_COMMAND: &str = "cargo run --release -- serve";
const TEST_COMMAND: &str = "cargo test --workspace";

const SECTIONS: Rule = Rule {
    name: "every cited section of protocol.md exists",
    remedy: "look up the section's number; when sections move, everything that cites them moves too",
    check: |tree, findings| {
        let Some(protocol) = tree.text(PROTOCOL) else { return };
        let known: BTreeSet<&str> = protocol.lines().filter_map(section_of_heading).collect();
        for (path, text) in tree.texts() {
            for citation in citations(text, path == PROTOCOL) {
                if !known.contains(citation.section) {
                    let line = line_of(text, citation.place);
                    findings.at(path, line, format_args!("{PROTOCOL} has no section {}", citation.section));
                }
            }
        }
    },
    bad: &[
        &[("protocol.md", "## 1. One\n"), ("src/a.rs", concat!("//! As protocol", ".md, section 2 says."))],
        &[("protocol.md", "## 1. One\n"), ("src/a.rs", concat!("//! protocol", ".md sections 1 and 1.1"))],
        &[("protocol.md", "## 1. One\n"), ("README.md", concat!("section 9 of [protocol", ".md](protocol.md)"))],
        &[("protocol.md", "## 1. One\nSee section 1.2.\n")],
        &[("protocol.md", "## 1. One\nA filter (6.1) matches.\n")],
    ],
    good: &[
        &[("protocol.md", "## 1. One\n### 1.1 Two\nSections 1 to 1.1; MQTT 5.0 section 4.7 (version 2.0).")],
        &[("protocol.md", "## 1. One\n"), ("src/a.rs", "// See section 7 of the manual.")],
        &[("protocol.md", "## 1. One\n"), ("src/a.rs", concat!("//! protocol", ".md section 1.\n//! MQTT section 3"))],
    ],
};

/// The number of a heading such as `### 5.3 PUBLISH` or `## 6. Topics`.
fn section_of_heading(line: &str) -> Option<&str> {
    let number = line.strip_prefix('#')?.trim_start_matches('#').split_whitespace().next()?;
    let number = number.trim_end_matches('.');
    number.starts_with(|first: char| first.is_ascii_digit()).then_some(number)
}

/// A section's number and where it stands.
struct Citation<'a> {
    place: usize,
    section: &'a str,
}

/// The sections of protocol.md that a text cites; `inside`: the text is protocol.md, which need not name itself.
fn citations(text: &str, inside: bool) -> Vec<Citation<'_>> {
    let mut found = Vec::new();
    for (place, _) in words(text).filter(|(_, word)| SECTION_WORDS.contains(word)) {
        let before = &text[text.floor_char_boundary(place.saturating_sub(REACH_BYTES))..place];
        let after = &text[place..text.floor_char_boundary(place + REACH_BYTES)];
        let is_foreign = OTHER_DOCUMENTS.iter().any(|name| before.contains(name));
        let names_protocol = before.contains(PROTOCOL) || (after.contains(" of ") && after.contains(PROTOCOL));
        if !is_foreign && (inside || names_protocol) {
            found.extend(numbers_from(text, place));
        }
    }
    if inside {
        found.extend(parenthesised(text));
    }
    found
}

/// The numbers after `section` or `sections`: `5`, `5.3 and 5.5`, `5.2 to 5.4`.
fn numbers_from(text: &str, place: usize) -> Vec<Citation<'_>> {
    let mut found = Vec::new();
    let mut rest = text[place..].trim_start_matches(|character: char| character.is_alphabetic());
    loop {
        let number = leading_section(rest.trim_start_matches([' ', '\n', '[']));
        if number.is_empty() {
            return found;
        }
        let begin = number.as_ptr() as usize - text.as_ptr() as usize;
        found.push(Citation { place: begin, section: number });
        let after = &text[begin + number.len()..];
        let Some(joined) = [" and ", " to ", ", "].iter().find_map(|joint| after.strip_prefix(joint)) else {
            return found;
        };
        rest = joined;
    }
}

/// `(5.3)` and `(5.2 to 5.4)`, which is how protocol.md cites itself in passing.
fn parenthesised(text: &str) -> Vec<Citation<'_>> {
    let mut found = Vec::new();
    for (place, _) in text.match_indices('(') {
        let section = leading_section(&text[place + 1..]);
        let after = &text[place + 1 + section.len()..];
        if section.contains('.') && (after.starts_with(')') || after.starts_with(" to ")) {
            found.extend(numbers_from(text, place + 1));
        }
    }
    found
}

/// The `5.3` of `5.3. And so on`.
fn leading_section(text: &str) -> &str {
    let end = text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    text[..end].trim_end_matches('.')
}

const LINKS: Rule = Rule {
    name: "links in documents lead somewhere",
    remedy: "correct the path, from the document that links, or the heading's anchor",
    check: |tree, findings| {
        for (path, text) in tree.texts().filter(|(path, _)| path.ends_with(".md")) {
            for (line, target) in links(text).filter(|(_, target)| !target.contains("://")) {
                if !leads_somewhere(tree, path, target) {
                    findings.at(path, line, format_args!("nothing is at {target}"));
                }
            }
        }
    },
    bad: &[
        &[("README.md", "[a](src/nothing.rs)")],
        &[("README.md", "[a](protocol.md#nowhere)"), ("protocol.md", "# Here\n")],
        &[("README.md", "# Here\n[a](#there)")],
    ],
    good: &[&[
        ("README.md", "[a](protocol.md#52-ping-pong), [b](src), [c](#a-b), [d](https://example.com)\n## A `b`\n"),
        ("protocol.md", "### 5.2 PING, PONG\n```text\n[x](y)\n```\n"),
        ("src/lib.rs", ""),
    ]],
};

/// Line and target of every `[text](target)` outside of fences.
fn links(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let prose = prose(text);
    prose.into_iter().flat_map(|(line, prose)| {
        let targets = prose.match_indices("](").map(move |(place, _)| &prose[place + 2..]);
        targets.filter_map(move |target| Some((line, target.split_once(')')?.0)))
    })
}

/// The lines outside of fences, with their numbers.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut is_fenced = false;
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let is_fence = line.trim_start().starts_with("```");
        is_fenced ^= is_fence;
        if !is_fence && !is_fenced {
            found.push((index + 1, line));
        }
    }
    found
}

fn leads_somewhere(tree: &Tree, from: &str, target: &str) -> bool {
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let directory = from.rsplit_once('/').map_or("", |(directory, _)| directory);
    let path = match file {
        "" => from.to_owned(),
        _ if directory.is_empty() => file.to_owned(),
        _ => format!("{directory}/{file}"),
    };
    let Some(anchor) = anchor else { return tree.leads_to(&path) };
    let Some(text) = tree.text(&path) else { return false };
    prose(text).iter().any(|(_, line)| line.starts_with('#') && slug(line) == anchor)
}

/// A heading as an anchor.
fn slug(heading: &str) -> String {
    let title = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = title.chars().filter(|character| character.is_alphanumeric() || " -_".contains(*character));
    kept.map(|character| if character == ' ' { '-' } else { character }).collect()
}

const COMMANDS: Rule = Rule {
    name: "the README has one command to run and one to test, and CI runs the same tests",
    remedy: "keep each command once, on a line of its own in a fence, and let .ci/run call the README's test command",
    check: |tree, findings| {
        let Some(readme) = tree.text("README.md") else {
            return findings.file("README.md", "is missing");
        };
        for (wanted, start) in [(RUN_COMMAND, "cargo run"), (TEST_COMMAND, "cargo test")] {
            let found: Vec<&str> = commands(readme).filter(|command| command.starts_with(start)).collect();
            if found != [wanted] {
                findings.file("README.md", format_args!("has {found:?}, should have {wanted:?} once"));
            }
        }
        let ci = tree.text(".ci/run").unwrap_or_default();
        if !ci.lines().any(|line| line.trim() == TEST_COMMAND || line.trim().ends_with(&format!(" {TEST_COMMAND}"))) {
            findings.file(".ci/run", format_args!("does not call {TEST_COMMAND}"));
        }
    },
    bad: &[
        &[("README.md", "```sh\ncargo run --release -- serve\n```\n"), (".ci/run", "cargo test --workspace\n")],
        &[("README.md", samples::README), (".ci/run", "cargo test\n")],
        &[("README.md", samples::README_THAT_TESTS_TWICE), (".ci/run", "cargo test --workspace\n")],
        &[("src/lib.rs", "")],
    ],
    good: &[&[("README.md", samples::README), (".ci/run", "stage tests\n  cargo test --workspace\n")]],
};

/// The lines in fences, without a prompt.
fn commands(text: &str) -> impl Iterator<Item = &str> {
    let prose: BTreeSet<usize> = prose(text).into_iter().map(|(line, _)| line).collect();
    let fenced = text.lines().enumerate().filter(move |(index, _)| !prose.contains(&(index + 1)));
    fenced.map(|(_, line)| line.trim().trim_start_matches("$ "))
}

mod samples {
    pub(super) const README: &str =
        "```sh\n$ cargo run --release -- serve\n```\n\n```sh\ncargo test --workspace\n```\n";
    pub(super) const README_THAT_TESTS_TWICE: &str =
        "```sh\ncargo run --release -- serve\ncargo test --workspace\ncargo test --doc\n```\n";
}

#[test]
fn citations_are_found_in_every_form() {
    let sections = |text: &'static str, inside| -> Vec<&str> {
        citations(text, inside).into_iter().map(|citation| citation.section).collect()
    };
    let inside = sections("see sections 5.3, 5.4 and 6. Then (4.1 to 4.3), (2 bytes), connection 7.", true);
    assert_eq!(inside, ["5.3", "5.4", "6", "4.1", "4.3"]);
    assert_eq!(sections(concat!("protocol", ".md, section 5.3; and a selection of 7"), false), ["5.3"]);
    assert!(sections("section 5.3 of another book", false).is_empty());
}

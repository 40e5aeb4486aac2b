//! How long things may be. What was longer when the rule came is listed with its length, and may only shrink.

use super::rule::{Findings, Rule};

pub(crate) const RULES: &[Rule] = &[FILES, FUNCTIONS, LINES];

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_CHARACTERS_MAX: usize = 120;

/// Files over the bound: path, nothing, lines.
const LONG_FILES: &[Exception] = &[];

/// Functions over the bound: path, name, lines.
const LONG_FUNCTIONS: &[Exception] = &[];

/// What is longer than the bound, and how long it is.
type Exception = (&'static str, &'static str, usize);

const FILES: Rule = Rule {
    name: "files stay short enough to be read at once",
    remedy: "split it by noun; LONG_FILES of tests/tidy/size.rs is for what was longer before, and its entries shrink",
    check: |tree, findings| {
        let lengths = tree.rust().map(|(path, source)| (path, "", source.text.lines().count()));
        let lengths: Vec<(&str, &str, usize)> = lengths.collect();
        check(&lengths, FILE_LINES_MAX, LONG_FILES, tree.is_whole, findings);
    },
    bad: &[&[("src/a.rs", samples::LINES_601)]],
    good: &[&[("src/a.rs", samples::LINES_600)], &[("protocol.md", samples::LINES_601)]],
};

const FUNCTIONS: Rule = Rule {
    name: "functions stay short enough to be read at once",
    remedy: "split it by stage; LONG_FUNCTIONS of tests/tidy/size.rs is for what was longer before, and its entries \
             shrink",
    check: |tree, findings| {
        let mut lengths = Vec::new();
        for (path, source) in tree.rust() {
            lengths.extend(source.functions().iter().map(|function| (path, function.name, function.line_count)));
        }
        check(&lengths, FUNCTION_LINES_MAX, LONG_FUNCTIONS, tree.is_whole, findings);
    },
    bad: &[&[("tests/a.rs", samples::FUNCTION_OF_71_LINES)]],
    good: &[&[("tests/a.rs", samples::FUNCTION_OF_70_LINES)]],
};

/// Compares lengths with the bound and its exceptions; with `all`, an exception that is not needed is a finding too.
fn check(lengths: &[(&str, &str, usize)], bound: usize, exceptions: &[Exception], all: bool, findings: &mut Findings) {
    for (path, name, length) in lengths {
        let exception = exceptions.iter().find(|exception| (exception.0, exception.1) == (*path, *name));
        let listed = exception.map(|(.., listed)| *listed);
        let what = if name.is_empty() { "the file" } else { name };
        match listed {
            None if *length > bound => findings.file(path, format_args!("{what}: {length} lines, {bound} at most")),
            Some(listed) if *length > listed => {
                findings.file(path, format_args!("{what}: {length} lines, and was {listed}: it may only shrink"));
            }
            Some(listed) if *length < listed => {
                findings.file(path, format_args!("{what} shrank to {length} lines: say so in its entry, or delete it"));
            }
            _ => {}
        }
    }
    let is_known =
        |exception: &&Exception| lengths.iter().any(|known| (known.0, known.1) == (exception.0, exception.1));
    for (path, name, _) in exceptions.iter().filter(|exception| all && !is_known(exception)) {
        findings.file(path, format_args!("{name} is listed as too long and is gone: delete its entry"));
    }
}

const LINES: Rule = Rule {
    name: "lines fit the page",
    remedy: "break it: rustfmt does not break comments and strings",
    check: |tree, findings| {
        for (path, source) in tree.rust() {
            for (index, line) in source.text.lines().enumerate() {
                let length = line.chars().count();
                if length > LINE_CHARACTERS_MAX && !is_table_row(line) {
                    findings.at(path, index + 1, format_args!("{length} characters, {LINE_CHARACTERS_MAX} at most"));
                }
            }
        }
    },
    bad: &[&[("src/a.rs", samples::LINE_OF_121)]],
    good: &[&[("src/a.rs", samples::LINE_OF_120)]],
};

/// A row of a table in a doc comment can't be broken.
fn is_table_row(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("//! |") || line.starts_with("/// |")
}

#[test]
fn exceptions_shrink_and_never_grow() {
    let found = |length, all, exceptions: &[Exception]| {
        let mut findings = Findings::default();
        check(&[("a.rs", "f", length)], 70, exceptions, all, &mut findings);
        findings.to_string()
    };
    assert_eq!(found(90, true, &[("a.rs", "f", 90)]), "");
    assert!(found(91, true, &[("a.rs", "f", 90)]).contains("may only shrink"));
    assert!(found(89, true, &[("a.rs", "f", 90)]).contains("shrank to 89"));
    assert!(found(60, true, &[("a.rs", "f", 60), ("a.rs", "g", 90)]).contains("g is listed"));
    assert_eq!(found(60, false, &[("b.rs", "g", 90)]), "");
}

/// Texts of exact lengths.
mod samples {
    pub(super) const LINES_600: &str = text(&[b'\n'; 600]);
    pub(super) const LINES_601: &str = text(&[b'\n'; 601]);
    pub(super) const LINE_OF_120: &str = text(&[b'/'; 120]);
    pub(super) const LINE_OF_121: &str = text(&[b'/'; 121]);
    pub(super) const FUNCTION_OF_70_LINES: &str = text(&function::<77>());
    pub(super) const FUNCTION_OF_71_LINES: &str = text(&function::<78>());

    /// `fn f(){`, line ends, `}`: seven lines less than bytes.
    const fn function<const BYTES: usize>() -> [u8; BYTES] {
        let mut bytes = [b'\n'; BYTES];
        bytes.split_at_mut(7).0.copy_from_slice(b"fn f(){");
        bytes[BYTES - 1] = b'}';
        bytes
    }

    const fn text(bytes: &'static [u8]) -> &'static str {
        match str::from_utf8(bytes) {
            Ok(text) => text,
            Err(_) => panic!("the samples are text"),
        }
    }
}

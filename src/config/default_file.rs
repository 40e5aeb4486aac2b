//! The default file: every key with its meaning, its range and its default, as `fanwire config default` prints it.

use super::keys::{JOURNAL, JOURNAL_KEYS, KEYS, Key, Kind};
use super::{Config, Journal};
use std::fmt::Write;

const HEAD: &str = "\
# The configuration of a Fanwire broker: every key, with its default. Delete what you do not change.
#
#   fanwire config check FILE      says what is wrong with a file
#   fanwire serve --config FILE    starts a broker with it
#
# Sizes are \"64KiB\": B, KiB, MiB, GiB. Times are \"25s\": ms, s, m, h.
";

/// There is no journal by default, so its keys stand behind a mark.
const JOURNAL_HEAD: &str = "
# A journal keeps the messages of some topics, to be replayed and resumed from. Each has a table of its own; there are
# none by default. Remove the mark # in front of [[journal]] and of the keys that you need.
#[[journal]]
";

/// The text of the default file. It reads back to the defaults.
pub fn default_file() -> String {
    let mut text = HEAD.to_owned();
    let mut section = "";
    for key in KEYS {
        if key.section != section {
            section = key.section;
            write_line(&mut text, &format!("\n[{section}]"));
        } else {
            text.push('\n');
        }
        write_key(&mut text, key, &Config::default(), "");
    }
    text.push_str(JOURNAL_HEAD);
    for (index, key) in JOURNAL_KEYS.iter().enumerate() {
        assert!(key.section == JOURNAL);
        if index > 0 {
            text.push('\n');
        }
        write_key(&mut text, key, &example(), "#");
    }
    text
}

/// A journal as it may be.
fn example() -> Journal {
    let filters = vec!["match/#".to_owned(), "orders/+/log".to_owned()];
    Journal { name: "events".to_owned(), filters, ..Journal::unnamed() }
}

/// Writes a key with its value; what `mark` says stands in front of it.
fn write_key<T>(text: &mut String, key: &Key<T>, target: &T, mark: &str) {
    for line in key.meaning.lines() {
        write_line(text, &format!("# {}", line.trim_start()));
    }
    match &key.kind {
        Kind::Number { unit, range, .. } => {
            let (least, most) = (unit.print(*range.start()), unit.print(*range.end()));
            write_line(text, &format!("# From {least} to {most}."));
        }
        Kind::Choice { words, .. } => write_line(text, &format!("# One of \"{}\".", words.join("\", \""))),
        Kind::Switch { .. } | Kind::Text { .. } | Kind::Texts { .. } | Kind::Tokens { .. } => {}
    }
    write_line(text, &format!("{mark}{} = {}", key.name, key.kind.print(target)));
}

fn write_line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a string can't fail");
}

//! The default file: every key with its meaning, its range and its default, as `fanwire config default` prints it.

use super::Config;
use super::keys::{KEYS, Key, Kind};
use std::fmt::Write;

const HEAD: &str = "\
# The configuration of a Fanwire broker: every key, with its default. Delete what you do not change.
#
#   fanwire config check FILE      says what is wrong with a file
#   fanwire serve --config FILE    starts a broker with it
#
# Sizes are \"64KiB\": B, KiB, MiB, GiB. Times are \"25s\": ms, s, m, h.
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
        write_key(&mut text, key);
    }
    text
}

fn write_key(text: &mut String, key: &Key) {
    for line in key.meaning.lines() {
        write_line(text, &format!("# {}", line.trim_start()));
    }
    match &key.kind {
        Kind::Number { unit, range, .. } => {
            let (least, most) = (unit.print(*range.start()), unit.print(*range.end()));
            write_line(text, &format!("# From {least} to {most}."));
        }
        Kind::Choice { words, .. } => write_line(text, &format!("# One of \"{}\".", words.join("\", \""))),
        Kind::Switch { .. } | Kind::Address { .. } | Kind::Tokens { .. } => {}
    }
    write_line(text, &format!("{} = {}", key.name, key.kind.print(&Config::default())));
}

fn write_line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a string can't fail");
}

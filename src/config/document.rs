//! The raw file: TOML taken apart into entries that know their line, before anybody asks what they mean.

use super::{Origin, Problem};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The entries of a file, in its order.
pub(super) struct Document<'text> {
    pub(super) entries: Vec<Entry<'text>>,
}

/// One `key = value`.
pub(super) struct Entry<'text> {
    /// The table it stands in; empty: above all tables.
    pub(super) section: String,
    pub(super) name: String,
    pub(super) value: DeValue<'text>,
    /// Where the key stands, from 1.
    pub(super) line: usize,
}

impl<'text> Document<'text> {
    /// Takes the text apart, or says where it stops being TOML. `is_section` tells tables that hold keys of ours
    /// from keys that somebody gave a table as a value.
    pub(super) fn parse(text: &'text str, is_section: impl Fn(&str) -> bool) -> Result<Document<'text>, Problem> {
        let table = DeTable::parse(text).map_err(|error| Problem {
            origin: error.span().map_or(Origin::File, |span| Origin::Line(line_of(text, span.start))),
            message: syntax_message(error.message()),
        })?;
        let mut entries = Vec::new();
        for (key, value) in table.into_inner() {
            let (name, line) = (key.get_ref().to_string(), line_of(text, key.span().start));
            match value.into_inner() {
                DeValue::Table(inner) if is_section(&name) => entries.extend(section_entries(text, &name, inner)),
                value => entries.push(Entry { section: String::new(), name, value, line }),
            }
        }
        entries.sort_by_key(|entry| entry.line);
        Ok(Document { entries })
    }
}

fn section_entries<'text>(text: &str, section: &str, table: DeTable<'text>) -> impl Iterator<Item = Entry<'text>> {
    table.into_iter().map(move |(key, value): (Spanned<_>, Spanned<_>)| Entry {
        section: section.to_owned(),
        name: key.get_ref().to_string(),
        line: line_of(text, key.span().start),
        value: value.into_inner(),
    })
}

/// The parser's own words on one line; it says of a repeated key only that it is one.
fn syntax_message(message: &str) -> String {
    let message = message.trim().replace('\n', ", ");
    if message == "duplicate key" {
        "this key stands twice; remove one".to_owned()
    } else {
        format!("not TOML: {message}")
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

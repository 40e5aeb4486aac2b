//! The raw file: TOML taken apart into entries that know their line, before anybody asks what they mean.

use super::{Origin, Problem};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What a file holds, in its order.
pub(super) struct Document<'text> {
    /// Keys that stand once.
    pub(super) entries: Vec<Entry<'text>>,
    /// Tables of a section that stands any number of times.
    pub(super) tables: Vec<Table<'text>>,
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

/// One `[[section]]`.
pub(super) struct Table<'text> {
    pub(super) entries: Vec<Entry<'text>>,
    /// Where it begins, from 1.
    pub(super) line: usize,
}

/// How often a section stands in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occurs {
    /// At most once: `[section]`.
    Once,
    /// Any number of times: `[[section]]`.
    Repeatedly,
}

impl<'text> Document<'text> {
    /// Takes the text apart, or says where it stops being TOML. `occurs` tells tables that hold keys of ours from keys
    /// that somebody gave a table as a value.
    pub(super) fn parse(text: &'text str, occurs: impl Fn(&str) -> Option<Occurs>) -> Result<Document<'text>, Problem> {
        let table = DeTable::parse(text).map_err(|error| Problem {
            origin: error.span().map_or(Origin::File, |span| Origin::Line(line_of(text, span.start))),
            message: syntax_message(error.message()),
        })?;
        let (mut entries, mut tables) = (Vec::new(), Vec::new());
        for (key, value) in table.into_inner() {
            let (name, line) = (key.get_ref().to_string(), line_of(text, key.span().start));
            match (value.into_inner(), occurs(&name)) {
                (DeValue::Table(inner), Some(Occurs::Once)) => entries.extend(section_entries(text, &name, inner)),
                (DeValue::Array(list), Some(Occurs::Repeatedly)) if are_tables(&list) => {
                    tables.extend(list.into_iter().map(|item| section_table(text, &name, item)));
                }
                (value, _) => entries.push(Entry { section: String::new(), name, value, line }),
            }
        }
        entries.sort_by_key(|entry| entry.line);
        tables.sort_by_key(|table| table.line);
        Ok(Document { entries, tables })
    }
}

/// Whether a list is what several `[[section]]` come to, or one of inline tables, which means the same.
pub(super) fn are_tables(list: &[Spanned<DeValue<'_>>]) -> bool {
    !list.is_empty() && list.iter().all(|item| item.get_ref().is_table())
}

fn section_table<'text>(text: &str, section: &str, item: Spanned<DeValue<'text>>) -> Table<'text> {
    let line = line_of(text, item.span().start);
    let DeValue::Table(inner) = item.into_inner() else { unreachable!("a list of tables holds tables") };
    let mut entries: Vec<Entry<'text>> = section_entries(text, section, inner).collect();
    entries.sort_by_key(|entry| entry.line);
    Table { entries, line }
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

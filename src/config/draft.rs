//! A configuration in the making: values, where each one came from, and what was wrong on the way.

use super::document::{Document, Entry};
use super::keys::{KEYS, Key, Kind, Unit};
use super::quantity::{parse_size, parse_time_ms};
use super::{Config, Origin, Problem, Token, Tokens};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use toml::de::DeValue;

/// What the command line of `fanwire serve` overrides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--listen`
    pub listen: Option<SocketAddr>,
    /// `--reactors`
    pub reactors: Option<u32>,
    /// `--open`
    pub open: bool,
}

/// Values on their way to a [`Config`].
#[derive(Default)]
pub(super) struct Draft {
    pub(super) config: Config,
    pub(super) problems: Vec<Problem>,
    /// Keys that were set, by path.
    origins: BTreeMap<String, Origin>,
}

impl Draft {
    /// Takes over what a file says.
    pub(super) fn read(&mut self, text: &str) {
        match Document::parse(text, is_section) {
            Ok(document) => document.entries.iter().for_each(|entry| self.take(entry)),
            Err(problem) => self.problems.push(problem),
        }
    }

    /// Takes over what the command line says.
    pub(super) fn override_with(&mut self, flags: &Flags) {
        if let Some(listen) = flags.listen {
            self.config.listen = listen;
            self.origins.insert("listen".to_owned(), Origin::Flag("--listen"));
        }
        if let Some(reactors) = flags.reactors {
            self.config.reactors = reactors;
            self.origins.insert("reactors".to_owned(), Origin::Flag("--reactors"));
        }
        if flags.open {
            self.config.open = true;
            self.origins.insert("open".to_owned(), Origin::Flag("--open"));
        }
    }

    /// Where the value of a key came from.
    pub(super) fn origin(&self, path: &str) -> Origin {
        self.origins.get(path).copied().unwrap_or(Origin::File)
    }

    fn take(&mut self, entry: &Entry<'_>) {
        let origin = Origin::Line(entry.line);
        let known = KEYS.iter().find(|key| key.section == entry.section && key.name == entry.name);
        let outcome = match known {
            None => Err(unknown(entry)),
            Some(key) => set(&mut self.config, key, &entry.value).map(|()| {
                self.origins.insert(key.path(), origin);
            }),
        };
        if let Err(message) = outcome {
            self.problems.push(Problem { origin, message });
        }
    }
}

fn is_section(name: &str) -> bool {
    KEYS.iter().any(|key| !key.section.is_empty() && key.section == name)
}

fn set(config: &mut Config, key: &Key, value: &DeValue<'_>) -> Result<(), String> {
    let named = |message: String| format!("{}: {message}", key.path());
    let expected = |form: &str| named(format!("expected {form}, found {}", found(value)));
    match &key.kind {
        Kind::Switch { set, .. } => set(config, value.as_bool().ok_or_else(|| expected("true or false"))?),
        Kind::Address { set, .. } => {
            let form = "an IP address and a port such as \"127.0.0.1:7311\" or \"[::1]:7311\"";
            let address = value.as_str().and_then(|text| text.parse().ok());
            set(config, address.ok_or_else(|| expected(form))?);
        }
        Kind::Tokens { set, .. } => set(config, tokens(value).map_err(named)?),
        Kind::Choice { words, set, .. } => {
            let index = value.as_str().and_then(|text| words.iter().position(|word| *word == text));
            set(config, index.ok_or_else(|| expected(&format!("one of \"{}\"", words.join("\", \""))))?);
        }
        Kind::Number { unit, range, set, .. } => {
            let number = number(*unit, key.name, value).map_err(|form| expected(&form))?;
            set(config, within(range, *unit, number).map_err(named)?);
        }
    }
    Ok(())
}

/// The number, or the form it should have had.
fn number(unit: Unit, name: &str, value: &DeValue<'_>) -> Result<u64, String> {
    match (unit, value) {
        (Unit::Count, DeValue::Integer(integer)) => parse_integer(integer.as_str(), integer.radix()),
        // A bare number is only unmistakable where the key's own name carries the unit.
        (Unit::Size, DeValue::Integer(integer)) if name.contains("bytes") => {
            parse_integer(integer.as_str(), integer.radix())
        }
        (Unit::Size, DeValue::String(text)) => parse_size(text).map_err(|error| error.to_string()),
        (Unit::Time, DeValue::String(text)) => parse_time_ms(text).map_err(|error| error.to_string()),
        (Unit::Count, _) => Err("a whole number".to_owned()),
        (Unit::Size, _) => Err("a size such as \"64KiB\"".to_owned()),
        (Unit::Time, _) => Err("a time such as \"25s\"".to_owned()),
    }
}

fn parse_integer(digits: &str, radix: u32) -> Result<u64, String> {
    u64::from_str_radix(digits, radix).map_err(|_| "a whole number from 0".to_owned())
}

fn within(range: &RangeInclusive<u64>, unit: Unit, number: u64) -> Result<u64, String> {
    if range.contains(&number) {
        return Ok(number);
    }
    let (least, most) = (unit.print(*range.start()), unit.print(*range.end()));
    Err(format!("{} is out of range; allowed is {least} to {most}", unit.print(number)))
}

/// The tokens of a list. No message repeats what was found: it may be a real secret with a typing error.
fn tokens(value: &DeValue<'_>) -> Result<Tokens, String> {
    let list = value.as_array().ok_or_else(|| "expected a list such as [\"a-long-secret\"]".to_owned())?;
    let mut tokens: Vec<Token> = Vec::new();
    for (index, item) in list.iter().enumerate() {
        let place = index + 1;
        let text = item.get_ref().as_str().ok_or_else(|| format!("token {place} of the list is not a string"))?;
        let token = Token::new(text).map_err(|error| format!("token {place} of the list: {error}"))?;
        if let Some(same) = tokens.iter().position(|known| *known == token) {
            return Err(format!("token {place} of the list repeats token {}", same + 1));
        }
        tokens.push(token);
    }
    Ok(Tokens::new(tokens))
}

/// A value as an error shows it.
fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.chars().count() <= 40 => format!("{text:?}"),
        DeValue::Integer(integer) => format!("the number {integer}"),
        DeValue::Boolean(value) => value.to_string(),
        other => format!("a {}", other.type_str()),
    }
}

fn unknown(entry: &Entry<'_>) -> String {
    if entry.section.is_empty() && is_section(&entry.name) {
        return format!("`{0}` is a section: write [{0}] and its keys below it", entry.name);
    }
    let place = if entry.section.is_empty() { String::new() } else { format!(" in [{}]", entry.section) };
    let what = if matches!(entry.value, DeValue::Table(_)) { "section" } else { "key" };
    let advice = match nearest(entry) {
        Some(advice) => advice,
        None => "every key there is: fanwire config default".to_owned(),
    };
    format!("unknown {what} `{}`{place}; {advice}", entry.name)
}

/// What the writer may have meant: a name a few letters away, first in the same section, then in another.
fn nearest(entry: &Entry<'_>) -> Option<String> {
    let distance = |name: &str| strsim::damerau_levenshtein(&entry.name.to_lowercase(), name);
    if matches!(entry.value, DeValue::Table(_)) {
        let sections = KEYS.iter().map(|key| key.section).filter(|section| !section.is_empty());
        let section = sections.min_by_key(|section| distance(section))?;
        return is_near(distance(section), section).then(|| format!("did you mean [{section}]?"));
    }
    let key = KEYS.iter().min_by_key(|key| (distance(key.name), key.section != entry.section))?;
    if !is_near(distance(key.name), key.name) {
        return None;
    }
    Some(match (key.section == entry.section, key.section) {
        (true, _) => format!("did you mean `{}`?", key.name),
        (false, "") => format!("did you mean `{}`, above all sections?", key.name),
        (false, section) => format!("did you mean `{}` in [{section}]?", key.name),
    })
}

fn is_near(distance: usize, name: &str) -> bool {
    distance <= (name.len() / 3).max(2)
}

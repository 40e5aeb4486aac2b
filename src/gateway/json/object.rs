//! An object being written: names, texts, numbers.

/// Digits of the largest number.
const DIGITS_MAX: usize = 20;

/// An object whose brace is open.
pub(super) struct Object<'out> {
    out: &'out mut Vec<u8>,
}

impl<'out> Object<'out> {
    /// Opens an object of this type.
    pub(super) fn begin(kind: &str, out: &'out mut Vec<u8>) -> Self {
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.push(b'"');
        Object { out }
    }

    pub(super) fn end(self) {
        self.out.push(b'}');
    }

    /// Any text.
    pub(super) fn text(mut self, name: &'static str, value: &str) -> Self {
        self.name(name);
        push_text(value, self.out);
        self
    }

    /// A word of ours, which needs no look.
    pub(super) fn word(mut self, name: &'static str, word: &'static str) -> Self {
        self.name(name);
        self.out.push(b'"');
        self.out.extend_from_slice(word.as_bytes());
        self.out.push(b'"');
        self
    }

    pub(super) fn number(mut self, name: &'static str, value: impl Into<u64>) -> Self {
        self.name(name);
        push_number(value.into(), self.out);
        self
    }

    /// A number that is left out if there is none.
    pub(super) fn optional(self, name: &'static str, value: Option<u64>) -> Self {
        match value {
            Some(value) => self.number(name, value),
            None => self,
        }
    }

    /// A number that is left out where it says nothing.
    pub(super) fn unless_zero(self, name: &'static str, value: u64) -> Self {
        self.optional(name, (value > 0).then_some(value))
    }

    /// A number that takes the same room whatever it is: blanks stand before it.
    pub(super) fn padded_number(mut self, name: &'static str, value: u64) -> Self {
        self.name(name);
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(value);
        self.out.resize(self.out.len() + DIGITS_MAX - digits.len(), b' ');
        self.out.extend_from_slice(digits.as_bytes());
        self
    }

    pub(super) fn flag(mut self, name: &'static str, value: bool) -> Self {
        self.name(name);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
        self
    }

    /// What is written by others, a comma and a name included.
    pub(super) fn with(self, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        write(self.out);
        self
    }

    fn name(&mut self, name: &'static str) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

/// Appends a number.
pub(super) fn push_number(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a text in quotes.
pub(super) fn push_text(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some((run, special, behind)) = split_at_special(rest) {
        out.extend_from_slice(run);
        push_escaped(special, out);
        rest = behind;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Appends a byte that can't stand in a text as it is.
#[inline]
fn push_escaped(special: u8, out: &mut Vec<u8>) {
    match special {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', special]),
        control => push_control(control, out),
    }
}

fn push_control(control: u8, out: &mut Vec<u8>) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    match control {
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        _ => {
            out.extend_from_slice(b"\\u00");
            let digits = [control >> 4, control & 0x0F];
            out.extend(digits.iter().filter_map(|digit| HEX.get(usize::from(*digit))));
        }
    }
}

/// The bytes before the first one that can't stand in a text as it is, that one, and what follows; `None` when all
/// can.
fn split_at_special(bytes: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let (words, tail) = bytes.as_chunks::<8>();
    let in_words = words.iter().enumerate().find_map(|(index, word)| {
        let found = specials(u64::from_le_bytes(*word));
        (found != 0).then(|| index * 8 + found.trailing_zeros() as usize / 8)
    });
    let place = in_words.or_else(|| Some(words.len() * 8 + tail.iter().position(|byte| is_special(*byte))?))?;
    let (run, rest) = bytes.split_at_checked(place)?;
    let (special, behind) = rest.split_first()?;
    Some((run, *special, behind))
}

const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Eight bytes at once: the highest bit of each special one is set. Of the bits above the lowest one some may be set
/// for nothing, since a difference borrows from the byte above it.
const fn specials(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    let quotes = word ^ (ONES * b'"' as u64);
    let slashes = word ^ (ONES * b'\\' as u64);
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    let equal = (quotes.wrapping_sub(ONES) & !quotes) | (slashes.wrapping_sub(ONES) & !slashes);
    (controls | equal) & HIGHS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_comes_back_wherever_it_stands() {
        let characters = (0..0x100).filter_map(char::from_u32).chain(['\u{2028}', '\u{fffd}', '\u{1f600}']);
        for character in characters {
            for before in 0..20 {
                let text = format!("{}{character}{}\"{character}", "x".repeat(before), "~".repeat(20 - before));
                let mut out = Vec::new();
                push_text(&text, &mut out);
                assert!(out.iter().all(|byte| *byte >= 0x20), "{text:?}");
                assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
            }
        }
    }

    #[test]
    fn a_padded_number_has_one_length() {
        for value in [0, 9, 10, 1 << 53, u64::MAX] {
            let mut out = Vec::new();
            Object::begin("x", &mut out).padded_number("n", value).end();
            assert_eq!(out.len(), b"{\"type\":\"x\",\"n\":}".len() + DIGITS_MAX);
            let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(read["n"].as_u64(), Some(value));
        }
    }
}

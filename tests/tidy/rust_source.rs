//! Rust source with code, comments and strings told apart, by a scanner that knows just enough of the language.
//!
//! Masking keeps every byte's place: what does not belong becomes spaces, line ends stay. So a place in the code is
//! the same place in the text.

use std::ops::Range;

/// A source file.
pub(crate) struct RustSource {
    pub(crate) text: String,
    /// The text without comments, strings and characters.
    pub(crate) code: String,
    /// The comments, doc comments among them, and nothing else.
    pub(crate) comments: String,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function<'a> {
    pub(crate) name: &'a str,
    /// The line of its `fn`, from 1.
    pub(crate) line: usize,
    /// From there to the closing brace.
    pub(crate) line_count: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

impl RustSource {
    pub(crate) fn new(text: &str) -> RustSource {
        let pieces = pieces(text);
        let mask = |kept: Kind| {
            let mut bytes = text.as_bytes().to_vec();
            for (_, range) in pieces.iter().filter(|(kind, _)| *kind != kept) {
                let masked = bytes[range.clone()].iter_mut().filter(|byte| **byte != b'\n');
                masked.for_each(|byte| *byte = b' ');
            }
            String::from_utf8(bytes).expect("pieces end between characters")
        };
        RustSource { text: text.to_owned(), code: mask(Kind::Code), comments: mask(Kind::Comment) }
    }

    /// The words of the code with their places: identifiers, keywords, numbers.
    pub(crate) fn words(&self) -> impl Iterator<Item = (usize, &str)> {
        words(&self.code)
    }

    pub(crate) fn line_of(&self, place: usize) -> usize {
        line_of(&self.text, place)
    }

    /// All functions with a body, nested ones too.
    pub(crate) fn functions(&self) -> Vec<Function<'_>> {
        let mut found = Vec::new();
        let mut words = self.words().peekable();
        while let Some((place, word)) = words.next() {
            let Some(&(name_place, name)) = words.peek().filter(|_| word == "fn") else { continue };
            // `fn(u8)` is a type, and `fn $name` a macro's.
            if self.code[place + 2..name_place].trim().is_empty()
                && let Some(end) = self.body_end(name_place)
            {
                let (first, last) = (self.line_of(place), self.line_of(end));
                found.push(Function { name, line: first, line_count: last - first + 1 });
            }
        }
        found
    }

    /// The place of the brace that closes the body of the function whose signature begins here.
    fn body_end(&self, signature: usize) -> Option<usize> {
        let (mut brackets, mut braces) = (0, 0);
        for (offset, byte) in self.code.as_bytes()[signature..].iter().enumerate() {
            match byte {
                b'(' | b'[' => brackets += 1,
                b')' | b']' => brackets -= 1,
                b';' if brackets == 0 && braces == 0 => return None,
                b'{' => braces += 1,
                b'}' => {
                    braces -= 1;
                    if braces == 0 && brackets == 0 {
                        return Some(signature + offset);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// The line of a place, from 1.
pub(crate) fn line_of(text: &str, place: usize) -> usize {
    text.as_bytes()[..place].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Runs of letters, digits and underscores, with their places.
pub(crate) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_of_word = |character: char| character.is_alphanumeric() || character == '_';
    text.split(move |character| !is_of_word(character))
        .filter(|word| !word.is_empty())
        .map(move |word| (word.as_ptr() as usize - text.as_ptr() as usize, word))
}

/// The whole text, cut where its kind changes.
fn pieces(text: &str) -> Vec<(Kind, Range<usize>)> {
    let bytes = text.as_bytes();
    let mut pieces = Vec::new();
    let mut place = 0;
    while place < bytes.len() {
        let (kind, length) = piece(text, place);
        pieces.push((kind, place..place + length));
        place += length;
    }
    pieces
}

/// What begins here, and how long it is.
fn piece(text: &str, place: usize) -> (Kind, usize) {
    let rest = &text[place..];
    let follows_word =
        text[..place].chars().next_back().is_some_and(|before| before.is_alphanumeric() || before == '_');
    if rest.starts_with("//") {
        (Kind::Comment, rest.find('\n').unwrap_or(rest.len()))
    } else if rest.starts_with("/*") {
        (Kind::Comment, block_comment_length(rest))
    } else if let Some(length) = raw_string_length(rest).filter(|_| !follows_word) {
        (Kind::Literal, length)
    } else if rest.starts_with('"') {
        (Kind::Literal, quoted_length(rest, '"'))
    } else if is_character(rest) {
        (Kind::Literal, quoted_length(rest, '\''))
    } else {
        (Kind::Code, rest.chars().next().map_or(1, char::len_utf8))
    }
}

/// Block comments nest.
fn block_comment_length(rest: &str) -> usize {
    let (mut depth, mut place) = (0, 0);
    while place < rest.len() {
        if rest[place..].starts_with("/*") {
            depth += 1;
            place += 2;
        } else if rest[place..].starts_with("*/") {
            depth -= 1;
            place += 2;
            if depth == 0 {
                break;
            }
        } else {
            place += rest[place..].chars().next().map_or(1, char::len_utf8);
        }
    }
    place
}

/// `r"..."`, `br#"..."#` and the like; `None` when none begins here.
fn raw_string_length(rest: &str) -> Option<usize> {
    let after_prefix = ["r", "br", "cr"].iter().find_map(|prefix| rest.strip_prefix(prefix))?;
    let opened = after_prefix.trim_start_matches('#');
    let hashes = after_prefix.len() - opened.len();
    let content = opened.strip_prefix('"')?;
    let closing = format!("\"{}", "#".repeat(hashes));
    let end = content.find(&closing).map_or(content.len(), |end| end + closing.len());
    Some(rest.len() - content.len() + end)
}

/// A quote opens a character, unless it begins a lifetime.
fn is_character(rest: &str) -> bool {
    let mut characters = rest.chars();
    characters.next() == Some('\'') && (characters.next() == Some('\\') || characters.next() == Some('\''))
}

/// From quote to quote, with escapes.
fn quoted_length(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (place, character) in rest.char_indices().skip(1) {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if character == quote => return place + quote.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_comments_and_literals_are_told_apart() {
        let source =
            RustSource::new("a /* b /* c */ d */ \"e // \\\" f\" 'g' '\\'' b'h' r#\"i \" j\"# k<'l> // m 'n\no");
        let words: Vec<&str> = source.words().map(|(_, word)| word).collect();
        assert_eq!(words, ["a", "b", "k", "l", "o"], "the b is the prefix of a byte");
        assert_eq!(source.comments.split_whitespace().collect::<String>(), "/*b/*c*/d*///m'n");
        assert_eq!((source.code.len(), source.line_of(source.code.len() - 1)), (source.text.len(), 2));
    }

    #[test]
    fn functions_end_with_their_body() {
        let text = "fn one(a: [u8; 2]) -> u8 {\n  if a { 1 }\n  // }\n}\ntrait T {\n  fn two();\n}\ntype F = fn(u8);\n\
                    impl U {\n  const fn three()\n  where\n  {\n    fn four() { \"{\" }\n  }\n}\n";
        let found = RustSource::new(text);
        let function = |name, line, line_count| Function { name, line, line_count };
        assert_eq!(found.functions(), [function("one", 1, 4), function("three", 10, 5), function("four", 13, 1)]);
    }
}

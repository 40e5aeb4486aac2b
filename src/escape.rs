//! Foreign text made safe to show: in a log line, on a terminal, in an error.
//!
//! Names and payloads come from strangers. A line break would forge a second log line, an escape sequence would drive
//! the reader's terminal, and a direction mark would make a text read as another; all of them are written out as
//! `\u{..}` or a short escape. What is left is what it seems.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with everything that is not plainly visible written out.
pub fn visible(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_hidden) {
        let mut shown = String::with_capacity(text.len() + 16);
        text.chars().for_each(|character| push_visible(&mut shown, character));
        Cow::Owned(shown)
    } else {
        Cow::Borrowed(text)
    }
}

/// The text as one word of a shell's command, so that what is advised works when it is typed.
pub fn typed(text: &str) -> String {
    // Only a zero byte can't be typed.
    let word = shlex::try_quote(text).unwrap_or(Cow::Borrowed(text));
    visible(&word).into_owned()
}

/// The text between quotes, with quotes and backslashes inside it escaped too, so that it ends where it ends.
pub fn quoted(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + 2);
    shown.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            shown.push('\\');
        }
        push_visible(&mut shown, character);
    }
    shown.push('"');
    shown
}

fn push_visible(shown: &mut String, character: char) {
    match character {
        '\n' => shown.push_str("\\n"),
        '\r' => shown.push_str("\\r"),
        '\t' => shown.push_str("\\t"),
        _ if is_hidden(character) => {
            write!(shown, "\\u{{{:x}}}", u32::from(character)).expect("writing to a string can't fail");
        }
        _ => shown.push(character),
    }
}

/// Whether a character is not plainly seen: controls, line and paragraph separators, direction marks and overrides,
/// zero-width characters. All of them lie below U+10000.
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_forge_a_line_or_drive_a_terminal_is_written_out() {
        assert_eq!(visible("plain räume/日本 🎲"), "plain räume/日本 🎲");
        assert!(matches!(visible("plain"), Cow::Borrowed(_)));
        assert_eq!(visible("a\nb\r\tc"), "a\\nb\\r\\tc");
        assert_eq!(visible("\x1b[31mred\x07\x7f\u{9b}"), "\\u{1b}[31mred\\u{7}\\u{7f}\\u{9b}");
        assert_eq!(visible("abc\u{202e}cba\u{2028}\u{feff}"), "abc\\u{202e}cba\\u{2028}\\u{feff}");
    }

    #[test]
    fn quotes_can_not_be_left_from_inside() {
        assert_eq!(quoted("a\" peer=b\\"), "\"a\\\" peer=b\\\\\"");
        assert_eq!(quoted("a\nb"), "\"a\\nb\"");
        assert_eq!(quoted(""), "\"\"");
    }
}

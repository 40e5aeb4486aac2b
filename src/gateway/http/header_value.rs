//! Values of header fields that can't end their line (RFC 9110 section 5.5).

/// Visible ASCII, spaces and tabs, and neither of these at an end: what every recipient reads alike. Whoever has one
/// may write it into a head, whoever it is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderValue<'v>(&'v str);

impl<'v> HeaderValue<'v> {
    /// `None` for anything that could be read as more than a value: line ends, other controls, bytes beyond ASCII.
    pub const fn new(text: &'v str) -> Option<Self> {
        let bytes = text.as_bytes();
        let is_whole = bytes.len() == bytes.trim_ascii().len();
        if is_whole && is_plain(bytes) { Some(HeaderValue(text)) } else { None }
    }

    /// A value of this broker's own.
    ///
    /// # Panics
    /// When it is none, which a constant tells at compile time.
    pub const fn own(text: &'static str) -> HeaderValue<'static> {
        match HeaderValue::new(text) {
            Some(value) => value,
            None => HeaderValue::refuse(),
        }
    }

    #[expect(clippy::panic, reason = "a value of our own that is none is our mistake, whatever a peer sends")]
    const fn refuse() -> HeaderValue<'static> {
        panic!("a header value has a control character, or a space at an end")
    }

    /// The text.
    pub const fn as_str(self) -> &'v str {
        self.0
    }
}

const fn is_plain(mut bytes: &[u8]) -> bool {
    while let [first, rest @ ..] = bytes {
        if !matches!(*first, b'\t' | b' '..=b'~') {
            return false;
        }
        bytes = rest;
    }
    true
}

/// Whether this is a token (RFC 9110 section 5.6.2): a method, a field's name.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_token_byte(*byte))
}

/// Whether the byte may stand in a token.
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_can_end_its_line_or_be_read_in_two_ways() {
        for right in ["", "a", "text/html; charset=utf-8", "a\tb", "~"] {
            assert_eq!(HeaderValue::new(right).map(HeaderValue::as_str), Some(right));
        }
        for wrong in ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "\0", "a\x7f", "\u{e4}", " a", "a ", "\ta", "\u{2028}"] {
            assert_eq!(HeaderValue::new(wrong), None, "{wrong:?}");
        }
    }
}

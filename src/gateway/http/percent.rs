//! Percent-encoding, of one level of a path or one value of a query (RFC 3986 section 2.1).
//!
//! Strict: a percent sign stands before two hexadecimal digits or the text is wrong. A plus sign is itself, in queries
//! too, since topic filters are full of them: a space is `%20`.

use std::borrow::Cow;

/// A percent sign without two hexadecimal digits behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadPercent;

/// The bytes that an encoded text stands for; borrowed where nothing is encoded.
pub fn decode(text: &[u8]) -> Result<Cow<'_, [u8]>, BadPercent> {
    if !text.contains(&b'%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return Ok(Cow::Owned(decoded)),
            [b'%', high, low, behind @ ..] => {
                let (high, low) = (hex_digit(*high).ok_or(BadPercent)?, hex_digit(*low).ok_or(BadPercent)?);
                decoded.push(high << 4 | low);
                behind
            }
            [b'%', ..] => return Err(BadPercent),
            [byte, behind @ ..] => {
                decoded.push(*byte);
                behind
            }
        };
    }
}

/// The value of a hexadecimal digit.
pub(super) const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Appends the encoding of one level or value: everything but the unreserved characters (RFC 3986 section 2.3), the
/// slash too. A level that is `.`, `..` or empty can't stand in a path, encoded or not: [`is_path_level`] tells.
pub fn encode(bytes: &[u8], out: &mut String) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            out.push(char::from(*byte));
        } else {
            let digits = [byte >> 4, byte & 0xF].map(|digit| DIGITS.get(usize::from(digit)).copied());
            out.push('%');
            out.extend(digits.into_iter().flatten());
        }
    }
}

/// Whether a decoded level can stand in a path: clients resolve `.` and `..`, even encoded (RFC 3986 section 5.2.4 and
/// the WHATWG's URL standard), and many on the way merge slashes.
pub fn is_path_level(level: &[u8]) -> bool {
    !matches!(level, b"" | b"." | b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_to_itself_whatever_the_bytes() {
        let all: Vec<u8> = (0..=255).collect();
        let mut encoded = String::new();
        encode(&all, &mut encoded);
        assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)), "{encoded}");
        assert_eq!(decode(encoded.as_bytes()).as_deref(), Ok(&all[..]));
        assert_eq!(decode(encoded.to_lowercase().as_bytes()).unwrap().len(), all.len(), "digits in either case");
    }

    #[test]
    fn every_byte_has_its_encoding_and_nothing_else_is_one() {
        for byte in 0..=255_u8 {
            assert_eq!(decode(format!("a%{byte:02x}b").as_bytes()).as_deref(), Ok(&[b'a', byte, b'b'][..]));
        }
        for wrong in ["%", "%4", "a%4", "%g0", "%0g", "%%41", "%+1", "%-1", "% 1", "%u0041", "%4%31"] {
            assert_eq!(decode(wrong.as_bytes()), Err(BadPercent), "{wrong}");
        }
        assert_eq!(decode(b"+%2B+").as_deref(), Ok(&b"+++"[..]));
        assert_eq!(decode(b"%252e").as_deref(), Ok(&b"%2e"[..]), "once, not twice");
    }

    #[test]
    fn nothing_encoded_costs_nothing() {
        assert!(matches!(decode(b"room"), Ok(Cow::Borrowed(b"room"))));
    }
}

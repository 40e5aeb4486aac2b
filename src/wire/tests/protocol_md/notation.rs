//! The notation of the vectors: bytes in hex, texts in quotes (protocol.md appendix B).
//!
//! ```text
//!  hex   := byte or byte*count, separated by blanks          0d 08 61*200
//!  text  := "..." or "..."*count, with \xNN, \" and \\       "rooms/lobby" "a"*200 "\xff"
//! ```

/// Bytes of one field after which it is written as a repetition, when it is one.
const RUN_BYTES_MIN: usize = 32;

/// Reads hex.
pub(crate) fn bytes_of_hex(hex: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for token in hex.split_ascii_whitespace() {
        let (byte, count) = repeated(token);
        let byte = u8::from_str_radix(byte, 16).unwrap_or_else(|_| panic!("{token:?} is not a byte in hex"));
        bytes.extend(std::iter::repeat_n(byte, count));
    }
    bytes
}

/// Writes a text in quotes.
pub(crate) fn quote(bytes: &[u8]) -> String {
    if let Some((first, count)) = run_of(bytes) {
        return format!("{}*{count}", quote(&[first]));
    }
    let mut quoted = String::from("\"");
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(byte)]),
            0x20..=0x7E => quoted.push(char::from(byte)),
            _ => quoted += &format!("\\x{byte:02x}"),
        }
    }
    quoted + "\""
}

/// Writes hex.
pub(crate) fn hex_of_bytes(bytes: &[u8]) -> String {
    if let Some((first, count)) = run_of(bytes) {
        return format!("{first:02x}*{count}");
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// Takes a text in quotes off the front of a line: its bytes and what follows.
pub(crate) fn take_quoted(line: &str) -> (Vec<u8>, &str) {
    let mut rest = line.strip_prefix('"').unwrap_or_else(|| panic!("{line:?} does not begin with a quote"));
    let mut bytes = Vec::new();
    loop {
        let mut characters = rest.chars();
        match characters.next().unwrap_or_else(|| panic!("{line:?} has no closing quote")) {
            '"' => break,
            '\\' => match characters.next() {
                Some('x') => {
                    bytes.extend(bytes_of_hex(&rest[2..4]));
                    characters = rest[4..].chars();
                }
                Some(escaped @ ('"' | '\\')) => bytes.push(escaped as u8),
                other => panic!("{line:?}: unknown escape {other:?}"),
            },
            plain => bytes.extend(plain.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        rest = characters.as_str();
    }
    let (times, rest) = rest[1..].split_once(' ').unwrap_or((&rest[1..], ""));
    let (_, count) = repeated(times);
    (bytes.repeat(count), rest.trim_start())
}

fn repeated(token: &str) -> (&str, usize) {
    match token.split_once('*') {
        Some((one, count)) => (one, count.parse().unwrap_or_else(|_| panic!("{token:?}: what stands behind * counts"))),
        None => (token, 1),
    }
}

fn run_of(bytes: &[u8]) -> Option<(u8, usize)> {
    let first = *bytes.first()?;
    (bytes.len() >= RUN_BYTES_MIN && bytes.iter().all(|byte| *byte == first)).then_some((first, bytes.len()))
}

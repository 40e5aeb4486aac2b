//! protocol.md, as far as the vectors of appendix D need it: blocks, tables, and the frames of the native vectors.

/// The text of the specification.
const TEXT: &str = include_str!("../../../../protocol.md");

/// What stands between empty lines in the fenced blocks whose info string is `info`.
pub(crate) fn paragraphs(info: &str) -> Vec<Vec<&'static str>> {
    let mut found = Vec::new();
    let mut lines = TEXT.lines();
    while let Some(line) = lines.next() {
        let Some(opened) = line.strip_prefix("```") else { continue };
        let body: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
        if opened == info {
            found.extend(body.split(|line| line.is_empty()).map(<[_]>::to_vec));
        }
    }
    found
}

/// The first column of the first table under a heading.
pub(crate) fn first_column(heading: &str) -> Vec<&'static str> {
    let mut lines = TEXT.lines().skip_while(|line| *line != heading).skip_while(|line| !line.starts_with('|'));
    assert!(lines.by_ref().take(2).count() == 2, "protocol.md has no table under {heading:?}");
    lines.take_while(|line| line.starts_with('|')).filter_map(|row| row.split('|').nth(1)).map(str::trim).collect()
}

/// The bytes of a native vector.
pub(crate) fn native(name: &str) -> Vec<u8> {
    let title = format!("name: {name}");
    let vectors = paragraphs("vector");
    let vector = vectors.iter().find(|lines| lines[0] == title);
    let vector = vector.unwrap_or_else(|| panic!("no native vector is called {name:?}"));
    let lines = vector.iter().skip_while(|line| **line != "hex:").skip(1);
    lines.flat_map(|line| bytes_of_hex(line.split(';').next().unwrap_or_default())).collect()
}

/// Reads hex, in which `61*200` is the byte 61 two hundred times.
pub(crate) fn bytes_of_hex(hex: &str) -> Vec<u8> {
    let tokens = hex.split_ascii_whitespace().map(|token| token.split_once('*').unwrap_or((token, "1")));
    let wrong = |token: &str| -> ! { panic!("{token:?} is not a byte in hex, or not a count") };
    let runs = tokens.map(|(byte, count)| {
        let byte = u8::from_str_radix(byte, 16).unwrap_or_else(|_| wrong(byte));
        std::iter::repeat_n(byte, count.parse().unwrap_or_else(|_| wrong(count)))
    });
    runs.flatten().collect()
}

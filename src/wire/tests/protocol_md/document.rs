//! protocol.md taken apart: its tables, its fenced blocks, its headings.
//!
//! Knows Markdown only as far as that file uses it, and is strict: what it can't find is a failure with a name.

/// The text of the specification.
pub(crate) const TEXT: &str = include_str!("../../../../protocol.md");

/// The fenced blocks whose info string is `info`: where each begins (a line number, from 1) and its lines.
pub(crate) fn blocks(info: &str) -> Vec<(usize, Vec<&'static str>)> {
    let mut found = Vec::new();
    let mut lines = TEXT.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let Some(opened) = line.strip_prefix("```") else { continue };
        let body: Vec<_> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        if opened == info {
            found.push((index + 1, body));
        }
    }
    assert!(!found.is_empty(), "protocol.md has no ```{info} block");
    found
}

/// The first columns of the table whose header row begins with these cells.
pub(crate) fn table<const COLUMNS: usize>(header: [&str; COLUMNS]) -> Vec<[&'static str; COLUMNS]> {
    let lines: Vec<_> = TEXT.lines().collect();
    let at = lines.iter().position(|line| cells(line).starts_with(&header));
    let rows = rows_behind(&lines, at.unwrap_or_else(|| panic!("protocol.md has no table {header:?}")));
    rows.iter().map(|row| *row.first_chunk().unwrap_or_else(|| panic!("{row:?} has too few cells"))).collect()
}

/// The rows of the first table behind a heading.
pub(crate) fn table_under(heading: &str) -> Vec<Vec<&'static str>> {
    let lines: Vec<_> = TEXT.lines().collect();
    let at = lines.iter().position(|line| *line == heading);
    let at = at.unwrap_or_else(|| panic!("protocol.md has no heading {heading:?}"));
    let table = lines[at..].iter().position(|line| line.starts_with('|'));
    rows_behind(&lines, at + table.unwrap_or_else(|| panic!("no table under {heading:?}")))
}

/// Whether a section has a heading of its own.
pub(crate) fn has_section(number: &str) -> bool {
    let names = |line: &str| line.trim_start_matches('#').trim_start().split(' ').next() == Some(number);
    TEXT.lines().any(|line| line.starts_with('#') && (names(line) || names(&line.replacen(". ", " ", 1))))
}

fn rows_behind(lines: &[&'static str], header: usize) -> Vec<Vec<&'static str>> {
    let rows: Vec<_> =
        lines[header + 2..].iter().take_while(|line| line.starts_with('|')).map(|line| cells(line)).collect();
    assert!(!rows.is_empty(), "the table in line {} is empty", header + 1);
    rows
}

fn cells(line: &'static str) -> Vec<&'static str> {
    match line.strip_prefix('|').and_then(|line| line.strip_suffix('|')) {
        Some(inner) => inner.split('|').map(|cell| cell.trim().trim_matches('`')).collect(),
        None => Vec::new(),
    }
}

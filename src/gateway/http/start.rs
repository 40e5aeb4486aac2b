//! The words for where in a journal to start: of `?from=`, and of `--from` on the command line.

use fanwire_wire::frame::Start;
use std::time::UNIX_EPOCH;

/// What is taken, for help and errors.
pub const FORMS: &str = "first, last, last:N, seq:N, pos:N, time:2026-01-31T12:00:00Z, resume:EPOCH:N or live";

/// Reads a start; or says what would be right.
pub fn parse(text: &str) -> Result<Start, String> {
    let (word, value) = text.split_once(':').map_or((text, None), |(word, value)| (word, Some(value)));
    match (word, value) {
        ("live", None) => Ok(Start::Live),
        ("first", None) => Ok(Start::First),
        ("last", None) => Ok(Start::LastValue),
        ("last", Some(count)) => Ok(Start::Last { count: number(count, "last:N, such as last:100")? }),
        ("seq", Some(sequence)) => Ok(Start::Sequence { sequence: number(sequence, "seq:N, such as seq:1041")? }),
        ("pos", Some(position)) => Ok(Start::Position { position: number(position, "pos:N, such as pos:70000")? }),
        ("time", Some(time)) => parse_time(time),
        ("resume", Some(place)) => parse_place(place),
        _ => Err(format!("a start is one of: {FORMS}")),
    }
}

/// Times before 1970 are 1970.
fn parse_time(text: &str) -> Result<Start, String> {
    let time = humantime::parse_rfc3339_weak(text)
        .map_err(|error| format!("{error}; a time is RFC 3339 in UTC, such as time:2026-01-31T12:00:00Z"))?;
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Start::Time { time_us: u64::try_from(since.as_micros()).unwrap_or(u64::MAX) })
}

fn parse_place(text: &str) -> Result<Start, String> {
    const FORM: &str = "resume:EPOCH:N, with the epoch and the last seq (one topic) or position (a wildcard) received";
    let (epoch, last) = text.split_once(':').ok_or_else(|| format!("it is {FORM}"))?;
    Ok(Start::Resume { epoch: number(epoch, FORM)?, last: number(last, FORM)? })
}

fn number<N: std::str::FromStr>(text: &str, form: &str) -> Result<N, String> {
    digits(text).ok_or_else(|| format!("\"{}\" is no such number: it is {form}", text.escape_debug()))
}

/// A number of digits alone: the standard library takes a sign too.
pub(super) fn digits<N: std::str::FromStr>(text: &str) -> Option<N> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_start_has_its_word() {
        for (text, start) in [
            ("live", Start::Live),
            ("first", Start::First),
            ("last", Start::LastValue),
            ("last:5", Start::Last { count: 5 }),
            ("seq:1041", Start::Sequence { sequence: 1041 }),
            ("pos:70000", Start::Position { position: 70_000 }),
            ("time:2026-01-01T00:00:00Z", Start::Time { time_us: 1_767_225_600_000_000 }),
            ("time:2026-01-01T00:00:00.25Z", Start::Time { time_us: 1_767_225_600_250_000 }),
            ("resume:3:1041", Start::Resume { epoch: 3, last: 1041 }),
        ] {
            assert_eq!(parse(text), Ok(start), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_what_would_be_right() {
        for (text, hint) in [
            ("yesterday", "first, last"),
            ("first:1", "first, last"),
            ("last:many", "last:100"),
            ("last:-1", "last:100"),
            ("last:+1", "last:100"),
            ("last:4294967296", "last:100"),
            ("seq:", "seq:1041"),
            ("seq:18446744073709551616", "seq:1041"),
            ("time:noon", "RFC 3339"),
            ("resume:3", "EPOCH"),
            ("resume:3:x\u{1b}", "\\u{1b}"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}

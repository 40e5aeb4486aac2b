//! Sizes and times as people write them: `"64KiB"`, `"25s"`.
//!
//! One number and one unit, nothing else: no fractions, no sums, no unit that means two things (`M` is a month to
//! some and a mebibyte to others). Printing is canonical, the largest unit that divides the value, so that what
//! `fanwire config default` prints is what a reader would have written.

/// Bytes, from the smallest unit to the largest.
const SIZE_UNITS: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
/// Milliseconds, from the smallest unit to the largest.
const TIME_UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

/// What a size or time should have looked like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a whole number followed by a unit of sizes.
    #[error("a size is a whole number and one of B, KiB, MiB, GiB, such as \"64KiB\"")]
    NotASize,
    /// Not a whole number followed by a unit of times.
    #[error("a time is a whole number and one of ms, s, m, h, such as \"25s\"")]
    NotATime,
}

/// Reads a size: bytes.
pub fn parse_size(text: &str) -> Result<u64, QuantityError> {
    parse(text, &SIZE_UNITS).ok_or(QuantityError::NotASize)
}

/// Reads a time: milliseconds.
pub fn parse_time_ms(text: &str) -> Result<u64, QuantityError> {
    parse(text, &TIME_UNITS).ok_or(QuantityError::NotATime)
}

/// Writes a size the one way [`parse_size`] would choose to read it.
pub fn print_size(bytes: u64) -> String {
    print(bytes, &SIZE_UNITS)
}

/// Writes a size for people: three digits of it, in the unit that suits.
pub fn show_size(bytes: u64) -> String {
    let (unit, factor) = *SIZE_UNITS.iter().rev().find(|(_, factor)| bytes >= *factor).unwrap_or(&SIZE_UNITS[0]);
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let value = bytes as f64 / factor as f64;
    let digits = match value {
        _ if factor == 1 => 0,
        value if value < 10.0 => 2,
        value if value < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$}{unit}")
}

/// Writes a time the one way [`parse_time_ms`] would choose to read it.
pub fn print_time_ms(time_ms: u64) -> String {
    // "0s" reads better than "0ms", and is what people write.
    if time_ms == 0 { "0s".to_owned() } else { print(time_ms, &TIME_UNITS) }
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start_matches(' '))?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn print(value: u64, units: &[(&str, u64)]) -> String {
    let largest = units.iter().rev().find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor));
    let (unit, factor) = largest.unwrap_or(&units[0]);
    format!("{}{unit}", value / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_back_and_is_the_shortest_form() {
        for (bytes, text) in [(0, "0B"), (1, "1B"), (1_000, "1000B"), (65_536, "64KiB"), (1 << 30, "1GiB")] {
            assert_eq!(print_size(bytes), text);
            assert_eq!(parse_size(text), Ok(bytes));
        }
        for (time_ms, text) in [(0, "0s"), (1, "1ms"), (1_500, "1500ms"), (25_000, "25s"), (7_200_000, "2h")] {
            assert_eq!(print_time_ms(time_ms), text);
            assert_eq!(parse_time_ms(text), Ok(time_ms));
        }
        assert_eq!(parse_size("64 KiB"), Ok(65_536));
    }

    #[test]
    fn sizes_for_people_have_three_digits() {
        let shown = [0, 999, 1024, 1536, 65_536, 100 << 20, 5 << 30, u64::MAX].map(show_size);
        assert_eq!(shown, ["0B", "999B", "1.00KiB", "1.50KiB", "64.0KiB", "100MiB", "5.00GiB", "17179869184GiB"]);
    }

    #[test]
    fn anything_but_one_number_and_one_known_unit_is_refused() {
        for wrong in ["", "KiB", "64", "64kb", "64K", "64M", "1.5MiB", "-1B", "+1B", "1KiB1B", "64KiB ", " 64KiB", "٣B"]
        {
            assert_eq!(parse_size(wrong), Err(QuantityError::NotASize), "{wrong:?}");
        }
        for wrong in ["", "s", "10", "10sec", "1m30s", "1.5s", "-1s", "10 seconds", "1d", "1M"] {
            assert_eq!(parse_time_ms(wrong), Err(QuantityError::NotATime), "{wrong:?}");
        }
        assert_eq!(parse_size("18446744073709551615GiB"), Err(QuantityError::NotASize));
        assert_eq!(parse_time_ms("99999999999999999999s"), Err(QuantityError::NotATime));
    }
}

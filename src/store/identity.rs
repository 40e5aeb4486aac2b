//! Which boot of the machine this is, what time it has, and names that nothing else has.

use fanwire_core::journal::Opening;
use std::fs::File;
use std::io::{self, Read};
use std::time::{SystemTime, UNIX_EPOCH};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Names the machine's current boot: what was written to a file since it began is still there, synced or not, as long
/// as its file system was not taken away meanwhile. Where the machine does not tell, every call names another boot:
/// then nobody relies on what was not synced.
pub fn boot_id() -> io::Result<[u8; 16]> {
    match std::fs::read_to_string(BOOT_ID).ok().and_then(|text| parse(text.trim())) {
        Some(id) => Ok(id),
        None => random_id(),
    }
}

/// Sixteen random bytes, to name a journal.
pub fn random_id() -> io::Result<[u8; 16]> {
    let mut id = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut id)?;
    Ok(id)
}

/// What a journal that is opened now has to know of the machine.
pub fn opening(repair: bool) -> io::Result<Opening> {
    Ok(Opening { now_us: now_us(), boot: boot_id()?, fresh_id: random_id()?, repair })
}

/// The wall clock, in microseconds since 1970-01-01 UTC.
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The number of a UUID as text.
fn parse(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.split('-').collect();
    let is_one = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(&digits, 16).ok().filter(|_| is_one)?;
    Some(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::{boot_id, parse, random_id};

    #[test]
    fn a_boot_has_one_name_and_random_names_differ() {
        assert_eq!(boot_id().expect("reads"), boot_id().expect("reads"));
        assert_ne!(random_id().expect("reads"), random_id().expect("reads"));
    }

    #[test]
    fn a_uuid_is_a_number() {
        let bytes = parse("00010203-0405-0607-0809-0a0b0c0d0e0f").expect("is one");
        assert_eq!(bytes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        for text in ["", "none", "+0010203-0405-0607-0809-0a0b0c0d0e0f", "00010203-0405-0607-0809-0a0b0c0d0e0f0"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}

//! What the files of a journal's directory are called.
//!
//! ```text
//!  journal                        what the journal is, and how its last life ended
//!  {base}.segment  .index  .snapshot      records; where they are; what was known just before them
//!  {base}.{offset}.cut            bytes that a recovery took out of a segment, kept aside
//!  {anything}.making              not finished; removed at the next start
//! ```
//!
//! Bases have twenty digits, so that names sort as positions do. A file of another name is nobody's business here: it
//! is neither read nor removed.

/// The file with the journal's identity and state.
pub const STATE: &str = "journal";
/// What a file is called until it is complete and synced, after its own name.
const MAKING: &str = ".making";
/// The next segment, whose base nobody knows yet.
pub const PREPARED: &str = "next.segment.making";
/// Digits of a base.
const BASE_DIGITS: usize = 20;

/// What a file is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Records from this base on.
    Segment(u64),
    /// The index of the segment with this base.
    Index(u64),
    /// What was known just before this base.
    Snapshot(u64),
    /// Bytes that a recovery kept aside.
    Cut,
    /// The journal's state.
    State,
    /// Not finished when its maker ended.
    Making,
    /// None of the journal's.
    Other,
}

/// The name of a segment.
pub fn segment(base: u64) -> String {
    format!("{base:020}.segment")
}

/// The name of a segment's index.
pub fn index(base: u64) -> String {
    format!("{base:020}.index")
}

/// The name of the snapshot of what was known just before a base.
pub fn snapshot(base: u64) -> String {
    format!("{base:020}.snapshot")
}

/// The name for bytes that are cut out of a segment from an offset on. `attempt` counts from 1, should an earlier cut
/// at the same place have the name already.
pub fn cut(base: u64, offset: u32, attempt: u32) -> String {
    if attempt == 1 { format!("{base:020}.{offset}.cut") } else { format!("{base:020}.{offset}.{attempt}.cut") }
}

/// What a file is called while it is made.
pub fn making(name: &str) -> String {
    format!("{name}{MAKING}")
}

/// What a file of this name is.
pub fn kind(name: &str) -> Kind {
    if name == STATE {
        return Kind::State;
    }
    if name.ends_with(MAKING) {
        return Kind::Making;
    }
    let Some((digits, rest)) = name.split_at_checked(BASE_DIGITS) else {
        return Kind::Other;
    };
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Kind::Other;
    }
    let Ok(base) = digits.parse() else {
        return Kind::Other;
    };
    match rest {
        ".segment" => Kind::Segment(base),
        ".index" => Kind::Index(base),
        ".snapshot" => Kind::Snapshot(base),
        _ if rest.starts_with('.') && rest.ends_with(".cut") => Kind::Cut,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_they_name() {
        assert_eq!(segment(7), "00000000000000000007.segment");
        assert_eq!(kind(&segment(u64::MAX)), Kind::Segment(u64::MAX));
        assert_eq!(kind(&index(1)), Kind::Index(1));
        assert_eq!(kind(&snapshot(1)), Kind::Snapshot(1));
        assert_eq!(kind(&making(&snapshot(1))), Kind::Making);
        assert_eq!(kind(PREPARED), Kind::Making);
        assert_eq!(kind(&cut(1, 64, 1)), Kind::Cut);
        assert_eq!(kind(&cut(1, 64, 2)), Kind::Cut);
        assert_eq!(kind(STATE), Kind::State);
        for other in ["", "lock", "1.segment", "x0000000000000000007.segment", "99999999999999999999.segment", "é"] {
            assert_eq!(kind(other), Kind::Other, "{other}");
        }
        assert_eq!(kind("00000000000000000007.segment.bak"), Kind::Other);
    }
}

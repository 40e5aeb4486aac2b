//! What a client brings back to go on: which session it polled, which answer it has got, and how far that came.
//!
//! ```text
//!  1-7-5f1c...e0-12-90021-1795400299626614.41-_
//!  | | |         |  |     |                   `- the second topic is live; x: nothing is known of it
//!  | | |         |  |     `- epoch and number behind which the first topic goes on without the session
//!  | | |         |  `------- what tells whether the topics are still the same
//!  | | |         `---------- the answer that it came with
//!  | | `-------------------- the session's secret: who knows it may read on
//!  | `---------------------- its slot
//!  `------------------------ its reactor
//! ```
//!
//! To clients it is opaque. Nothing in it has to be believed: who forges a place asks for what `from=` gives anybody,
//! and who forges the rest finds no session.

use sha1::{Digest, Sha1};
use std::fmt;

/// Digits of a secret.
const SECRET_DIGITS: usize = 32;

/// A cursor, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The reactor that has the session.
    pub reactor: u8,
    /// Where it has it.
    pub slot: u32,
    /// What nobody can guess.
    pub secret: u128,
    /// The number of the answer.
    pub answer: u64,
    /// The [`fingerprint`] of the topics.
    pub topics: u32,
    /// By topic, in the request's order: where it goes on without the session.
    pub places: Vec<Place>,
}

/// Where a topic goes on without its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Behind a record of its journal, as a resumed start takes it.
    Behind {
        /// The epoch that the number is of.
        epoch: u64,
        /// A sequence for an exact filter, else a position.
        last: u64,
    },
    /// Live: it has no journal to go on from.
    Live,
    /// Nowhere: it is over, or is a journal's and no record of it has come yet.
    Unknown,
}

impl Cursor {
    /// Reads what a client has brought back; nothing if no broker gave it out.
    pub fn parse(text: &str) -> Option<Cursor> {
        let mut parts = text.split('-');
        Some(Cursor {
            reactor: number(parts.next()?)?,
            slot: number(parts.next()?)?,
            secret: secret(parts.next()?)?,
            answer: number(parts.next()?)?,
            topics: number(parts.next()?)?,
            places: parts.map(Place::parse).collect::<Option<_>>()?,
        })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cursor { reactor, slot, secret, answer, topics, places } = self;
        write!(formatter, "{reactor}-{slot}-{secret:0SECRET_DIGITS$x}-{answer}-{topics}")?;
        places.iter().try_for_each(|place| write!(formatter, "-{place}"))
    }
}

impl Place {
    /// Reads one of the places that are in what a client has brought back.
    pub(crate) fn parse(text: &str) -> Option<Place> {
        match text {
            "_" => Some(Place::Live),
            "x" => Some(Place::Unknown),
            _ => {
                let (epoch, last) = text.split_once('.')?;
                Some(Place::Behind { epoch: number(epoch)?, last: number(last)? })
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Behind { epoch, last } => write!(formatter, "{epoch}.{last}"),
            Place::Live => formatter.write_str("_"),
            Place::Unknown => formatter.write_str("x"),
        }
    }
}

/// What tells whether a request has the same topics in the same order as the one before.
pub fn fingerprint<'a>(topics: impl Iterator<Item = &'a [u8]>) -> u32 {
    // No topic holds a zero byte.
    let digest = topics.fold(Sha1::new(), |digest, topic| digest.chain_update(topic).chain_update([0])).finalize();
    digest.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Digits alone: the standard library takes a sign too.
pub(crate) fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn secret(text: &str) -> Option<u128> {
    let is_one = text.len() == SECRET_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        let behind = Place::Behind { epoch: u64::MAX, last: 0 };
        for places in [vec![], vec![Place::Unknown], vec![behind, Place::Live]] {
            let cursor = Cursor { reactor: 63, slot: u32::MAX, secret: 0xABC, answer: 7, topics: u32::MAX, places };
            assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        }
    }

    #[test]
    fn what_nobody_gave_out_is_no_cursor() {
        let secret = "0".repeat(SECRET_DIGITS);
        for text in ["", "-", "1", "1-2", "1-2-3-4", "1-2-3-4-5", "last"] {
            assert_eq!(Cursor::parse(text), None, "{text:?}");
        }
        assert!(Cursor::parse(&format!("0-0-{secret}-0-0")).is_some());
        for text in [
            format!("256-0-{secret}-0-0"),
            format!("0-4294967296-{secret}-0-0"),
            format!("0-0-{secret}0-0-0"),
            format!("0-0-+{}-0-0", &secret[1..]),
            format!("0-0-{secret}-+1-0"),
            format!("0-0-{secret}-0"),
            format!("0-0-{secret}-0-4294967296"),
            format!("0-0-{secret}-0-0-"),
            format!("0-0-{secret}-0-0-1"),
            format!("0-0-{secret}-0-0-1.2.3"),
            format!("0-0-{secret}-0-0-1.x"),
        ] {
            assert_eq!(Cursor::parse(&text), None, "{text:?}");
        }
    }

    #[test]
    fn topics_are_the_same_only_in_their_order() {
        let of = |topics: &[&str]| fingerprint(topics.iter().map(|topic| topic.as_bytes()));
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
        for others in [&["b", "a"][..], &["a"], &["ab"], &["a", "b", "c"]] {
            assert_ne!(of(&["a", "b"]), of(others));
        }
    }
}

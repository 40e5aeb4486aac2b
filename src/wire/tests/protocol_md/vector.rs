//! The vectors of protocol.md, read (their form: appendix B).
//!
//! ```text
//!  name: PING                     what it shows
//!  to: broker                     which way it travels
//!  frame: PING                    what it decodes to, or PREFACE ...
//!  error: MALFORMED_FRAME         ... or the code it is refused with
//!  hex:
//!  09             ; length = 9    a field, or free words where there is an error
//! ```

use crate::document;
use crate::notation::bytes_of_hex;
use fanwire_wire::Direction;

/// The value of `frame` for the eight bytes that open a connection.
pub(crate) const PREFACE: &str = "PREFACE";

/// One vector.
#[derive(Debug, Default)]
pub(crate) struct Vector {
    pub(crate) name: &'static str,
    pub(crate) to: &'static str,
    pub(crate) frame: &'static str,
    /// The name of a code; empty when the vector is valid.
    pub(crate) error: &'static str,
    pub(crate) lines: Vec<Line>,
}

/// Bytes and what stands beside them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) bytes: Vec<u8>,
    pub(crate) comment: String,
}

impl Vector {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.lines.iter().flat_map(|line| line.bytes.iter().copied()).collect()
    }

    pub(crate) fn towards(&self) -> Direction {
        match self.to {
            "broker" => Direction::ToBroker,
            "client" => Direction::ToClient,
            other => panic!("{}: `to: {other}` is neither broker nor client", self.name),
        }
    }

    pub(crate) fn is_preface(&self) -> bool {
        self.frame == PREFACE
    }
}

/// The vectors that decode.
pub(crate) fn valid() -> Vec<Vector> {
    all().into_iter().filter(|vector| vector.error.is_empty()).collect()
}

/// The vectors that are refused.
pub(crate) fn invalid() -> Vec<Vector> {
    all().into_iter().filter(|vector| !vector.error.is_empty()).collect()
}

/// Every vector in the order of the text.
pub(crate) fn all() -> Vec<Vector> {
    let blocks = document::blocks("vector");
    let vectors =
        blocks.iter().flat_map(|(line, lines)| lines.split(|line| line.is_empty()).map(|lines| read(lines, *line)));
    vectors.collect()
}

fn read(lines: &[&'static str], at: usize) -> Vector {
    let mut vector = Vector::default();
    let mut lines = lines.iter();
    for line in lines.by_ref().take_while(|line| **line != "hex:") {
        match line.split_once(": ") {
            Some(("name", value)) => vector.name = value,
            Some(("to", value)) => vector.to = value,
            Some(("frame", value)) => vector.frame = value,
            Some(("error", value)) => vector.error = value,
            _ => panic!("protocol.md, in the block of line {at}: {line:?} is no `key: value` of a vector"),
        }
    }
    for line in lines {
        match line.split_once(';') {
            Some((hex, comment)) => {
                vector.lines.push(Line { bytes: bytes_of_hex(hex), comment: comment.trim().to_owned() });
            }
            // A line without a comment goes on with the field above.
            None => vector.lines.last_mut().expect("the first line has a comment").bytes.extend(bytes_of_hex(line)),
        }
    }
    assert!(!vector.name.is_empty() && !vector.lines.is_empty(), "protocol.md, line {at}: a vector has a name and hex");
    vector
}

//! A publisher that can send a message again without harm: the journal takes each of its numbers once.
//!
//! ```text
//!  Producer --stamp--> Stamp { id, number } --Message::once--> PUBLISH --connection lost--> unknown
//!                                                   |
//!                                                   +-- the same message again --> ACK, duplicate or not
//! ```
//!
//! The number belongs to the message and not to the attempt, so it is drawn once and sent as often as it takes. The
//! journal remembers a producer's last 128 numbers: from its oldest one without an answer to its newest there may be no
//! more than that (protocol.md section 5.3), answered ones between them included. On one connection a publish beyond
//! waits, or would block; what a lost connection left unknown is the caller's to send again before anything newer.

use crate::error::Error;
pub use fanwire_wire::frame::Producer as Stamp;

/// Numbers of one producer that a journal remembers.
pub(crate) const NUMBERS_REMEMBERED: u64 = 128;

/// Numbers the messages of one publisher, over all its connections.
///
/// One producer is one writer at a time: two that use one id at once take each other's messages for duplicates.
#[derive(Debug, PartialEq, Eq)]
pub struct Producer {
    id: u64,
    last: u64,
}

impl Producer {
    /// A producer that begins with number 1. The id is chosen once and at random; 0 is none.
    ///
    /// A service that does not keep its numbers over a restart takes a new id with each start.
    pub fn new(id: u64) -> Result<Producer, Error> {
        Producer::behind(id, 0)
    }

    /// A producer that goes on behind a number it has kept.
    pub fn behind(id: u64, last: u64) -> Result<Producer, Error> {
        if id == 0 {
            let rule = "a producer's id is any number but 0".to_owned();
            return Err(Error::Invalid { what: "producer", given: id.to_string(), rule });
        }
        Ok(Producer { id, last })
    }

    /// The id and number of the next message, for [`Message::once`](crate::Message::once).
    ///
    /// # Panics
    /// After 2^64 - 1 messages.
    pub const fn stamp(&mut self) -> Stamp {
        self.last = self.last.checked_add(1).expect("no producer lives that long");
        Stamp { id: self.id, number: self.last }
    }

    /// The number given last; 0 before the first. Worth keeping over restarts, for [`Producer::behind`].
    pub const fn last(&self) -> u64 {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_on_from_where_they_were() {
        let mut producer = Producer::new(7).unwrap();
        assert_eq!(producer.stamp(), Stamp { id: 7, number: 1 });
        assert_eq!(producer.stamp(), Stamp { id: 7, number: 2 });
        let mut again = Producer::behind(7, producer.last()).unwrap();
        assert_eq!(again.stamp(), Stamp { id: 7, number: 3 });
        assert!(matches!(Producer::new(0), Err(Error::Invalid { what: "producer", .. })));
    }
}

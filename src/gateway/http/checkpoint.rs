//! How far a stream of several topics has come: the id of its events, and the `Last-Event-ID` that comes back.
//!
//! ```text
//!  90021-1795400299626614-41.7-_-x
//!  |     |                |    | `- of the third topic nothing has come yet
//!  |     |                |    `--- the second one is live: there is nothing to go on from
//!  |     |                `-------- epoch and number behind which the first one goes on
//!  |     `------------------------- when its first stream has begun, in microseconds since 1970
//!  `------------------------------- what tells whether the topics are still the same
//! ```
//!
//! Nothing in it has to be believed: who forges a place asks for what `from=` gives anybody.

use crate::poll::{Place, fingerprint, number};
use fanwire_wire::frame::Start;
use std::fmt;

/// A publisher's clock was read before the stream's own, if it took longer to be heard.
const SINCE_MARGIN_US: u64 = 1_000_000;

/// A place for each topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checkpoint {
    topics: u32,
    since_us: u64,
    /// A client has brought it back.
    is_brought: bool,
    /// By topic, in the request's order.
    pub(super) places: Vec<Place>,
}

impl Checkpoint {
    /// Of a stream that begins, before it was told anything.
    pub(super) fn new(filters: &[&[u8]], wall_us: u64) -> Self {
        Checkpoint {
            topics: fingerprint(filters.iter().copied()),
            since_us: wall_us.saturating_sub(SINCE_MARGIN_US),
            is_brought: false,
            places: vec![Place::Unknown; filters.len()],
        }
    }

    /// Reads what a client has brought back; nothing if it is none for these topics.
    pub(super) fn parse(text: &str, filters: &[&[u8]]) -> Option<Self> {
        let mut parts = text.split('-');
        let checkpoint = Checkpoint {
            topics: number(parts.next()?)?,
            since_us: number(parts.next()?)?,
            is_brought: true,
            places: parts.map(Place::parse).collect::<Option<_>>()?,
        };
        let is_theirs =
            checkpoint.topics == fingerprint(filters.iter().copied()) && checkpoint.places.len() == filters.len();
        is_theirs.then_some(checkpoint)
    }

    /// Where the topics begin, which were asked to begin at `asked` when there was no checkpoint.
    pub(super) fn starts(&self, asked: Start) -> Vec<Start> {
        let start = |place: &Place| match *place {
            Place::Behind { epoch, last } => Start::Resume { epoch, last },
            // Nothing was told of it yet, but whatever came since is its stream's.
            Place::Unknown if self.is_brought && asked == Start::Live => Start::Time { time_us: self.since_us },
            Place::Unknown | Place::Live => asked,
        };
        self.places.iter().map(start).collect()
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.topics, self.since_us)?;
        self.places.iter().try_for_each(|place| write!(formatter, "-{place}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILTERS: [&[u8]; 3] = [b"a", b"b/#", b"c"];

    #[test]
    fn a_checkpoint_comes_back_as_it_went_for_the_same_topics_alone() {
        let mut checkpoint = Checkpoint::new(&FILTERS, 5_000_000);
        checkpoint.is_brought = true;
        assert_eq!(Checkpoint::parse(&checkpoint.to_string(), &FILTERS), Some(checkpoint.clone()));
        checkpoint.places[0] = Place::Behind { epoch: u64::MAX, last: 7 };
        checkpoint.places[1] = Place::Live;
        let text = checkpoint.to_string();
        assert!(text.ends_with("-4000000-18446744073709551615.7-_-x"), "{text}");
        assert_eq!(Checkpoint::parse(&text, &FILTERS), Some(checkpoint));
        assert_eq!(Checkpoint::parse(&text, &[b"a", b"c", b"b/#"]), None);
        for bad in ["", "1-7", "x", &text[..text.len() - 2], &format!("{text}-x"), &format!("+{text}")] {
            assert_eq!(Checkpoint::parse(bad, &FILTERS), None, "{bad:?}");
        }
    }

    #[test]
    fn a_topic_that_nothing_has_come_of_goes_on_from_when_its_stream_began() {
        let mut checkpoint = Checkpoint::new(&FILTERS, 5_000_000);
        assert_eq!(checkpoint.starts(Start::Live), [Start::Live; 3], "it begins");
        checkpoint.places[1] = Place::Live;
        checkpoint.places[2] = Place::Behind { epoch: 3, last: 4 };
        let brought = Checkpoint::parse(&checkpoint.to_string(), &FILTERS).unwrap();
        let resume = Start::Resume { epoch: 3, last: 4 };
        assert_eq!(brought.starts(Start::Live), [Start::Time { time_us: 4_000_000 }, Start::Live, resume]);
        assert_eq!(brought.starts(Start::First), [Start::First, Start::First, resume]);
    }
}

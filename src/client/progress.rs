//! How far a subscription has come in its journal, so that a new connection goes on exactly behind it.
//!
//! ```text
//!  exact filter    RECORD, HISTORY            last = sequence
//!  wildcard        RECORD_NAMED, HISTORY      last = position
//!                  RECORD, by an exact twin   position not told: the topic's sequence goes to `ahead`
//! ```
//!
//! A record that reaches a wildcard by the topic id of another subscription has no position. Resuming behind the last
//! position that was told then brings it again, and `ahead` tells that it is known: nobody hears a record twice.
//!
//! Invariant: without an epoch nothing is noted, since nothing could be resumed.

use crate::options::SubscribeOptions;
use fanwire_wire::frame::{Outcome, Policy, Start};
use std::collections::HashMap;

/// A record as deliveries name it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) topic: &'a str,
    pub(crate) sequence: u64,
    /// Not told by topic id.
    pub(crate) position: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Progress {
    /// Whether the filter is one topic, whose sequences count; else positions do.
    is_exact: bool,
    /// 0 while the filter lies in no journal, as far as is known.
    epoch: u64,
    /// The last record that was told; 0 when there was none.
    last: u64,
    /// Topics whose records were told up to this sequence, without a position.
    ahead: HashMap<Box<str>, u64>,
}

impl Progress {
    pub(crate) fn new(is_exact: bool) -> Progress {
        Progress { is_exact, epoch: 0, last: 0, ahead: HashMap::new() }
    }

    /// SUBSCRIBED came. Whatever is not resumed begins anew.
    pub(crate) fn begin(&mut self, outcome: Outcome, epoch: u64) {
        self.epoch = epoch;
        if outcome != Outcome::Resumed {
            self.last = 0;
            self.ahead.clear();
        }
    }

    /// The epoch that the subscription's records belong to.
    pub(crate) const fn epoch(&self) -> Option<u64> {
        if self.epoch == 0 { None } else { Some(self.epoch) }
    }

    /// Whether a record of the history was told already.
    pub(crate) fn has_told(&self, place: Place<'_>) -> bool {
        self.ahead.get(place.topic).is_some_and(|sequence| place.sequence <= *sequence)
    }

    /// A record is told.
    pub(crate) fn advance(&mut self, place: Place<'_>) {
        if self.epoch == 0 {
            return;
        }
        match place.position {
            _ if self.is_exact => self.last = place.sequence,
            Some(position) => {
                self.last = position;
                self.ahead.remove(place.topic);
            }
            None => match self.ahead.get_mut(place.topic) {
                Some(sequence) => *sequence = place.sequence,
                None => {
                    self.ahead.insert(place.topic.into(), place.sequence);
                }
            },
        }
    }

    /// The place behind which the subscription goes on.
    pub(crate) const fn place(&self) -> Option<Start> {
        match (self.epoch, self.last) {
            (0, _) | (_, 0) => None,
            (epoch, last) => Some(Start::Resume { epoch, last }),
        }
    }

    /// Where the next connection starts: behind the last record if the subscription wants every one, else as asked.
    /// Under a rate the last one of a wildcard is not behind all others: what is newest is asked for anew.
    pub(crate) fn start(&self, options: &SubscribeOptions) -> Start {
        let wants_every_record = options.start != Start::Live || options.policy == Policy::CatchUp;
        match self.place() {
            _ if !wants_every_record => Start::Live,
            Some(_) if !self.is_exact && options.max_rate_hz > 0 => Start::LastValue,
            place => place.unwrap_or(options.start),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn place(topic: &str, sequence: u64, position: Option<u64>) -> Place<'_> {
        Place { topic, sequence, position }
    }

    #[test]
    fn an_exact_subscription_goes_on_behind_its_sequence_and_a_wildcard_behind_its_position() {
        for (is_exact, last) in [(true, 4), (false, 70)] {
            let mut progress = Progress::new(is_exact);
            progress.advance(place("a", 3, Some(60)));
            assert_eq!(progress.place(), None, "no journal is known");
            progress.begin(Outcome::History, 9);
            assert_eq!(progress.start(&SubscribeOptions::first()), Start::First, "nothing was told yet");
            progress.advance(place("a", 4, Some(70)));
            let behind = Start::Resume { epoch: 9, last };
            assert_eq!(progress.start(&SubscribeOptions::first()), behind);
            assert_eq!(progress.start(&SubscribeOptions::default()), Start::Live, "live was all it wanted");
            progress.begin(Outcome::Resumed, 9);
            assert_eq!(progress.place(), Some(behind));
            progress.begin(Outcome::ResetEpoch, 10);
            assert_eq!(progress.place(), None, "the old place means nothing in another past");
        }
    }

    #[test]
    fn a_wildcard_under_a_rate_goes_on_with_what_is_newest() {
        for (is_exact, start) in [(true, Start::Resume { epoch: 9, last: 4 }), (false, Start::LastValue)] {
            let mut progress = Progress::new(is_exact);
            progress.begin(Outcome::History, 9);
            let options = SubscribeOptions { policy: Policy::Conflate, max_rate_hz: 10, ..SubscribeOptions::first() };
            assert_eq!(progress.start(&options), Start::First);
            progress.advance(place("a", 4, Some(70)));
            assert_eq!(progress.start(&options), start);
        }
    }

    #[test]
    fn what_came_without_a_position_is_known_when_it_comes_again() {
        let mut progress = Progress::new(false);
        progress.begin(Outcome::History, 9);
        progress.advance(place("a", 1, Some(10)));
        progress.advance(place("b", 7, None));
        progress.advance(place("b", 8, None));
        progress.begin(Outcome::Resumed, 9);
        assert_eq!(progress.place(), Some(Start::Resume { epoch: 9, last: 10 }));
        assert!(progress.has_told(place("b", 8, Some(12))));
        assert!(!progress.has_told(place("b", 9, Some(13))) && !progress.has_told(place("a", 2, Some(14))));
        progress.advance(place("b", 9, Some(13)));
        assert!(progress.ahead.is_empty(), "a position is behind everything before it");
        progress.advance(place("b", 10, None));
        progress.begin(Outcome::ResetRetention, 9);
        assert!(!progress.has_told(place("b", 3, Some(5))), "after a reset everything is told");
    }
}

//! Publishes that asked for an ack, until each is settled: acked, refused, or ended with the connection.
//!
//! On the wire they are numbered from 1 on every connection, without the number being written. Towards the caller
//! they keep counting over reconnects: `id = base + number`.
//!
//! Invariants: `window[i]` says whether number `settled_through + 1 + i` is settled; its front is never settled.
//! `stamped` is in the order of the numbers, and none of it is.

use crate::event::{Event, PublishId};
use crate::producer::{NUMBERS_REMEMBERED, Stamp};
use fanwire_wire::frame::Ack;
use fanwire_wire::{Code, Violation};
use std::collections::VecDeque;

/// An ack for something that was never sent, or is settled already.
const WRONG_NUMBER: Violation = Violation(Code::UnexpectedFrame);

#[derive(Debug, Default)]
pub(crate) struct Publishes {
    /// Publishes of earlier connections.
    base: u64,
    settled_through: u64,
    window: VecDeque<bool>,
    /// Those of producers: their numbers here, and what they are called there.
    stamped: VecDeque<(u64, Stamp)>,
}

impl Publishes {
    /// One more was put into the stream.
    pub(crate) fn sent(&mut self, stamp: Option<Stamp>) -> PublishId {
        self.window.push_back(false);
        self.stamped.extend(stamp.map(|stamp| (self.last_number(), stamp)));
        PublishId(self.base + self.last_number())
    }

    /// Whether some publish of a producer has no answer, and would be forgotten by the journal if this one came there
    /// before it is sent again.
    pub(crate) fn must_wait(&self, stamp: Stamp) -> bool {
        let unanswered = self.stamped.iter().filter(|(_, known)| known.id == stamp.id);
        let oldest = unanswered.map(|(_, known)| known.number).min();
        oldest.is_some_and(|oldest| stamp.number.saturating_sub(oldest) >= NUMBERS_REMEMBERED)
    }

    pub(crate) fn acknowledge(&mut self, ack: Ack, is_duplicate: bool) -> Result<Event<'static>, Violation> {
        self.settle(ack.first, u64::from(ack.count))?;
        // A topic without a journal has no sequence, and a journal's sequences count from 1.
        let first_sequence = (ack.first_sequence > 0).then_some(ack.first_sequence);
        let first = PublishId(self.base + ack.first);
        Ok(Event::Acked { first, count: ack.count, level: ack.level, first_sequence, is_duplicate })
    }

    pub(crate) fn refuse(&mut self, number: u64) -> Result<PublishId, Violation> {
        self.settle(number, 1)?;
        Ok(PublishId(self.base + number))
    }

    pub(crate) fn in_flight(&self) -> bool {
        !self.window.is_empty()
    }

    /// The connection ended and its last `unsent` acked publishes had not left: tells what became of each that was
    /// not settled, in ranges.
    pub(crate) fn end(&mut self, unsent: u64, on_event: &mut dyn FnMut(Event<'_>)) {
        let sent_through = self.last_number().checked_sub(unsent).expect("what is unsent was numbered");
        let mut number = self.settled_through + 1;
        while number <= self.last_number() {
            if self.is_settled(number) {
                number += 1;
                continue;
            }
            let left = number <= sent_through;
            let begin = number;
            let side_end = if left { sent_through } else { self.last_number() };
            while number <= side_end && !self.is_settled(number) {
                number += 1;
            }
            let (first, count) = (PublishId(self.base + begin), number - begin);
            on_event(if left {
                Event::PublishesUnknown { first, count }
            } else {
                Event::PublishesUnsent { first, count }
            });
        }
        self.base += self.last_number();
        self.settled_through = 0;
        self.window.clear();
        self.stamped.clear();
    }

    fn last_number(&self) -> u64 {
        self.settled_through + self.window.len() as u64
    }

    fn is_settled(&self, number: u64) -> bool {
        self.index(number).is_none_or(|index| self.window[index])
    }

    fn index(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.settled_through + 1)?).ok()
    }

    fn settle(&mut self, first: u64, count: u64) -> Result<(), Violation> {
        let begin = self.index(first).ok_or(WRONG_NUMBER)?;
        let count = usize::try_from(count).map_err(|_| WRONG_NUMBER)?;
        let end = begin.checked_add(count).filter(|end| *end <= self.window.len()).ok_or(WRONG_NUMBER)?;
        if self.window.range(begin..end).any(|settled| *settled) {
            return Err(WRONG_NUMBER);
        }
        self.window.range_mut(begin..end).for_each(|settled| *settled = true);
        while self.window.front() == Some(&true) {
            self.window.pop_front();
            self.settled_through += 1;
        }
        if !self.stamped.is_empty() {
            let (window, settled_through) = (&self.window, self.settled_through);
            let is_open = |number: u64| {
                let index = number.checked_sub(settled_through + 1).and_then(|index| usize::try_from(index).ok());
                index.is_some_and(|index| !window[index])
            };
            self.stamped.retain(|(number, _)| is_open(*number));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanwire_wire::frame::AckLevel;

    fn ack(first: u64, count: u32) -> Ack {
        Ack { first, count, level: AckLevel::Routed, first_sequence: 0 }
    }

    fn ended(publishes: &mut Publishes, unsent: u64) -> Vec<(&'static str, u64, u64)> {
        let mut fates = Vec::new();
        publishes.end(unsent, &mut |event| match event {
            Event::PublishesUnknown { first, count } => fates.push(("unknown", first.number(), count)),
            Event::PublishesUnsent { first, count } => fates.push(("unsent", first.number(), count)),
            other => panic!("{other:?}"),
        });
        fates
    }

    #[test]
    fn ranges_settle_in_any_order_and_each_number_once() {
        let mut publishes = Publishes::default();
        (1..=10).for_each(|number| assert_eq!(publishes.sent(None), PublishId(number)));
        assert!(publishes.acknowledge(ack(4, 3), false).is_ok());
        assert!(publishes.acknowledge(ack(1, 2), false).is_ok());
        assert_eq!(publishes.refuse(3), Ok(PublishId(3)));
        assert_eq!(publishes.settled_through, 6);
        for wrong in [ack(6, 1), ack(1, 1), ack(10, 2), ack(11, 1), ack(5, 4), ack(7, u32::MAX), ack(u64::MAX - 9, 1)] {
            assert_eq!(publishes.acknowledge(wrong, false).unwrap_err(), WRONG_NUMBER, "{wrong:?}");
        }
        assert!(publishes.acknowledge(ack(7, 4), false).is_ok());
        assert!(!publishes.in_flight());
        assert_eq!(ended(&mut publishes, 0), []);
    }

    #[test]
    fn a_producers_numbers_span_no_more_than_a_journal_remembers_however_many_are_answered() {
        let mut publishes = Publishes::default();
        let stamp = |id, number| Stamp { id, number };
        for number in 1..=128 {
            publishes.sent(Some(stamp(7, number)));
        }
        // The first one waits for the disk.
        assert!(publishes.acknowledge(ack(2, 127), false).is_ok());
        assert_eq!(
            [stamp(7, 128), stamp(7, 129), stamp(8, 129)].map(|stamp| publishes.must_wait(stamp)),
            [false, true, false]
        );
        assert!(publishes.acknowledge(ack(1, 1), false).is_ok());
        assert!(!publishes.must_wait(stamp(7, 129)) && publishes.stamped.is_empty());
        publishes.sent(Some(stamp(7, 200)));
        publishes.sent(Some(stamp(7, 129)));
        assert!(publishes.must_wait(stamp(7, 257)), "the oldest is not the one that was sent first");
        ended(&mut publishes, 0);
        assert!(!publishes.must_wait(stamp(7, 257)));
    }

    #[test]
    fn at_the_end_everything_open_is_unknown_or_unsent_and_ids_count_on() {
        let mut publishes = Publishes::default();
        for _ in 1..=10 {
            publishes.sent(None);
        }
        publishes.acknowledge(ack(2, 1), false).unwrap();
        publishes.acknowledge(ack(5, 2), false).unwrap();
        assert_eq!(
            ended(&mut publishes, 2),
            [("unknown", 1, 1), ("unknown", 3, 2), ("unknown", 7, 2), ("unsent", 9, 2)]
        );
        assert_eq!(publishes.sent(None), PublishId(11));
        assert!(matches!(
            publishes.acknowledge(ack(1, 1), false),
            Ok(Event::Acked { first: PublishId(11), count: 1, .. })
        ));
    }

    #[test]
    fn the_first_number_of_a_connection_is_one() {
        let mut publishes = Publishes::default();
        publishes.sent(None);
        assert!(publishes.acknowledge(ack(0, 1), false).is_err());
    }
}

//! Events that blocking calls heard while they waited for something else, in order, bounded in bytes.

use crate::error::Refusal;
use crate::event::Event;
use std::collections::VecDeque;

#[derive(Debug)]
pub(crate) struct Backlog {
    events: VecDeque<Event<'static>>,
    bytes: usize,
    bytes_max: usize,
}

impl Backlog {
    pub(crate) const fn new(bytes_max: usize) -> Self {
        Backlog { events: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// Takes every event: what is read from the socket must not be lost. Whoever fills the backlog asks
    /// [`Backlog::is_full`] before it reads on, so the bound is passed by one read at the most.
    pub(crate) fn push(&mut self, event: Event<'static>) {
        self.bytes += event.kept_bytes();
        self.events.push_back(event);
    }

    pub(crate) fn pop(&mut self) -> Option<Event<'static>> {
        let event = self.events.pop_front()?;
        self.release(&event);
        Some(event)
    }

    /// Takes the first event from index `scanned` on that is wanted. `scanned` moves on, so that going through all
    /// wanted events looks at each event once.
    pub(crate) fn take(&mut self, scanned: &mut usize, wanted: impl Fn(&Event<'_>) -> bool) -> Option<Event<'static>> {
        while let Some(event) = self.events.get(*scanned) {
            if wanted(event) {
                let event = self.events.remove(*scanned)?;
                self.release(&event);
                return Some(event);
            }
            *scanned += 1;
        }
        None
    }

    pub(crate) fn first_refusal(&self) -> Option<Refusal> {
        self.events.iter().find_map(|event| match event {
            Event::Refused { refusal, .. } => Some(refusal.clone()),
            _ => None,
        })
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.bytes >= self.bytes_max
    }

    pub(crate) const fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    fn release(&mut self, event: &Event<'_>) {
        self.bytes -= event.kept_bytes();
        // A flood's memory does not stay for ever.
        if self.events.is_empty() {
            assert!(self.bytes == 0, "an empty backlog holds no bytes");
            self.events.shrink_to(64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pong(token: u64) -> Event<'static> {
        Event::Pong { token, clock_us: 0 }
    }

    fn token(event: Option<Event<'static>>) -> Option<u64> {
        match event? {
            Event::Pong { token, .. } => Some(token),
            _ => None,
        }
    }

    #[test]
    fn taking_out_of_the_middle_keeps_the_order_of_the_rest() {
        let mut backlog = Backlog::new(1024);
        (1..=6).for_each(|number| backlog.push(pong(number)));
        let even = |event: &Event<'_>| matches!(event, Event::Pong { token, .. } if token % 2 == 0);
        let mut scanned = 0;
        for expected in [2, 4, 6] {
            assert_eq!(token(backlog.take(&mut scanned, even)), Some(expected));
        }
        assert!(backlog.take(&mut scanned, even).is_none());
        assert_eq!(scanned, backlog.len());
        for expected in [1, 3, 5] {
            assert_eq!(token(backlog.pop()), Some(expected));
        }
        assert!(backlog.pop().is_none());
    }

    #[test]
    fn it_is_full_at_its_bound_and_empty_after_everything_left() {
        let mut backlog = Backlog::new(2 * pong(0).kept_bytes());
        backlog.push(pong(1));
        assert!(!backlog.is_full());
        backlog.push(pong(2));
        assert!(backlog.is_full());
        backlog.pop();
        assert!(!backlog.is_full());
    }
}

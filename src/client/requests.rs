//! Requests in flight, by correlation id. Each ends exactly once: with its RESPONSE or with the connection.

use crate::error::Error;
use crate::event::RequestId;
use fanwire_wire::{Code, Violation};
use std::collections::HashMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// Somebody wants to hear the outcome.
    Wanted,
    /// Nobody waits any more; the id stays taken until the broker has answered.
    Abandoned,
}

#[derive(Debug, Default)]
pub(crate) struct Requests {
    waiting: HashMap<u32, Waiting>,
    next: u32,
}

impl Requests {
    /// Takes a free correlation id.
    pub(crate) fn begin(&mut self, requests_max: u32) -> Result<RequestId, Error> {
        let given = self.waiting.len() as u64 + 1;
        if given > u64::from(requests_max) {
            return Err(Error::Limit { what: "requests_max", given, max: u64::from(requests_max) });
        }
        // Terminates: fewer ids are taken than there are.
        while self.waiting.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let request = RequestId(self.next);
        self.waiting.insert(request.0, Waiting::Wanted);
        self.next = self.next.wrapping_add(1);
        Ok(request)
    }

    /// The outcome of this request need not be told.
    pub(crate) fn abandon(&mut self, request: RequestId) {
        if let Some(waiting) = self.waiting.get_mut(&request.0) {
            *waiting = Waiting::Abandoned;
        }
    }

    /// A response came: the request it ends, or `None` when nobody wants to hear of it.
    pub(crate) fn end(&mut self, correlation: u32) -> Result<Option<RequestId>, Violation> {
        match self.waiting.remove(&correlation) {
            Some(Waiting::Wanted) => Ok(Some(RequestId(correlation))),
            Some(Waiting::Abandoned) => Ok(None),
            None => Err(Violation(Code::UnexpectedFrame)),
        }
    }

    pub(crate) fn in_flight(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The connection ended: every request that somebody waits for, oldest first as far as ids tell.
    pub(crate) fn end_all(&mut self) -> Vec<RequestId> {
        let wanted = self.waiting.drain().filter(|(_, waiting)| *waiting == Waiting::Wanted);
        let mut ended: Vec<RequestId> = wanted.map(|(correlation, _)| RequestId(correlation)).collect();
        ended.sort_unstable();
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_in_flight_is_not_given_again_even_when_the_counter_wraps() {
        let mut requests = Requests { next: u32::MAX, ..Requests::default() };
        assert_eq!(requests.begin(9).unwrap(), RequestId(u32::MAX));
        assert_eq!(requests.begin(9).unwrap(), RequestId(0));
        requests.next = u32::MAX;
        assert_eq!(requests.begin(9).unwrap(), RequestId(1));
        assert_eq!(requests.end(0), Ok(Some(RequestId(0))));
        assert_eq!(requests.end(0), Err(Violation(Code::UnexpectedFrame)));
    }

    #[test]
    fn an_abandoned_request_counts_until_its_answer_and_is_not_told() {
        let mut requests = Requests::default();
        let first = requests.begin(1).unwrap();
        requests.abandon(first);
        assert!(matches!(requests.begin(1), Err(Error::Limit { what: "requests_max", given: 2, max: 1 })));
        assert_eq!(requests.end(first.0), Ok(None));
        let second = requests.begin(1).unwrap();
        assert_eq!(requests.end_all(), [second]);
        assert!(!requests.in_flight());
    }
}

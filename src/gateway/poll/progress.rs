//! How far each topic of a poll has come, as its objects tell, so that it can go on without its session. The same of a
//! stream of events that has several.
//!
//! A message that several filters match comes once, and is the next record of those that are live. One that is being
//! read from its journal does not count it: it comes to that one as history (protocol.md section 5.5).

use super::cursor::Place;
use super::session::Wish;
use fanwire_wire::frame::Start;
use fanwire_wire::{Limits, TopicFilter, TopicName};
use serde::Deserialize;
use std::borrow::Cow;

/// One topic of a poll.
#[derive(Debug)]
pub(crate) struct Progress {
    filter: Box<[u8]>,
    is_exact: bool,
    /// What it is told of several topics comes in the order of their journal. At a rate each topic has its own pace.
    is_ordered: bool,
    /// It begins with records, so that an empty history means that all that comes is new.
    begins_at_records: bool,
    /// It was told what became of it.
    pub(super) is_told: bool,
    /// What is released is for it; otherwise it is served from its journal.
    is_live: bool,
    is_over: bool,
    /// 0 without a journal.
    epoch: u64,
    last: Option<u64>,
}

/// What an object tells of places.
#[derive(Debug, Deserialize)]
struct Told<'a> {
    #[serde(rename = "type", borrow)]
    kind: &'a str,
    #[serde(default)]
    subscription: u32,
    /// Of an error: the subscription.
    #[serde(default)]
    reference: u64,
    #[serde(default, borrow)]
    topic: Cow<'a, str>,
    sequence: Option<u64>,
    position: Option<u64>,
    #[serde(default)]
    outcome: &'a str,
    #[serde(default)]
    epoch: u64,
}

impl Progress {
    pub(crate) fn new(wish: &Wish) -> Self {
        let Wish { filter, start, max_rate_hz, .. } = wish;
        let is_exact = !filter.contains(&b'+') && !filter.contains(&b'#');
        Progress {
            filter: filter.clone(),
            is_exact,
            is_ordered: is_exact || *max_rate_hz == 0,
            begins_at_records: matches!(start, Start::First | Start::LastValue | Start::Last { .. }),
            is_told: false,
            is_live: false,
            is_over: false,
            epoch: 0,
            last: match *start {
                Start::Resume { last, .. } => Some(last),
                _ => None,
            },
        }
    }

    /// Where it goes on without its session.
    pub(crate) fn place(&self) -> Place {
        match self.last {
            _ if self.is_over || !self.is_told => Place::Unknown,
            _ if self.epoch == 0 => Place::Live,
            _ if !self.is_ordered => Place::Unknown,
            Some(last) => Place::Behind { epoch: self.epoch, last },
            None => Place::Unknown,
        }
    }

    fn take(&mut self, told: &Told<'_>) {
        match told.kind {
            "subscribed" => {
                self.is_told = true;
                self.is_live = told.outcome == "live";
                self.epoch = told.epoch;
                if told.outcome.starts_with("reset") {
                    self.last = None;
                }
            }
            "caught_up" => {
                self.is_live = true;
                match told.position.unwrap_or(0) {
                    // Nothing was there yet.
                    0 if self.begins_at_records && self.last.is_none() => self.last = Some(0),
                    0 => {}
                    position if !self.is_exact => self.advance(position),
                    _ => {}
                }
            }
            "cursor" => self.is_live = false,
            "history" => self.advance_by(told),
            // It is over, and does not go on anywhere.
            "unsubscribed" | "error" => {
                self.is_told = true;
                self.is_over = true;
            }
            _ => {}
        }
    }

    fn advance_by(&mut self, told: &Told<'_>) {
        if let Some(number) = if self.is_exact { told.sequence } else { told.position } {
            self.advance(number);
        }
    }

    fn advance(&mut self, number: u64) {
        self.last = Some(self.last.map_or(number, |last| last.max(number)));
    }

    fn matches(&self, topic: &str, limits: &Limits) -> bool {
        let names = TopicFilter::new(&self.filter, limits).ok().zip(TopicName::new(topic.as_bytes(), limits).ok());
        names.is_some_and(|(filter, topic)| filter.matches(topic))
    }
}

/// Notes what an object of the broker's own tells of all topics of a poll, whose subscriptions are numbered from 1.
pub(crate) fn note(topics: &mut [Progress], object: &[u8], limits: &Limits) {
    // Most messages are of no journal, and tell nothing.
    if topics.iter().all(|topic| topic.is_told && topic.epoch == 0) && object.starts_with(br#"{"type":"message""#) {
        return;
    }
    let Ok(told) = serde_json::from_slice::<Told<'_>>(object) else { return };
    match told.kind {
        "message" if told.sequence.is_some() => {
            let is_only = topics.len() == 1;
            let live = topics.iter_mut().filter(|topic| topic.is_live && topic.epoch > 0);
            live.filter(|topic| is_only || topic.matches(&told.topic, limits))
                .for_each(|topic| topic.advance_by(&told));
        }
        _ => {
            let number = if told.kind == "error" { told.reference } else { u64::from(told.subscription) };
            let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
            if let Some(topic) = index.and_then(|index| topics.get_mut(index)) {
                topic.take(&told);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanwire_wire::frame::Policy;

    #[test]
    fn several_topics_at_a_rate_are_told_in_no_order_and_have_no_place() {
        let told = [
            r#"{"type":"subscribed","subscription":1,"outcome":"live","epoch":7}"#,
            r#"{"type":"message","topic":"a/b","sequence":3,"position":12,"payload":""}"#,
        ];
        for (max_rate_hz, place) in [(0, Place::Behind { epoch: 7, last: 12 }), (1, Place::Unknown)] {
            let filter = b"a/+"[..].into();
            let group = Box::default();
            let wish = Wish { filter, group, policy: Policy::Conflate, max_rate_hz, start: Start::Live };
            let mut topics = [Progress::new(&wish)];
            told.iter().for_each(|object| note(&mut topics, object.as_bytes(), &Limits::default()));
            assert_eq!(topics[0].place(), place);
        }
    }

    fn topics(filters: &[&str], start: Start) -> Vec<Progress> {
        let wish = |filter: &&str| Wish {
            filter: filter.as_bytes().into(),
            group: Box::default(),
            policy: Policy::CatchUp,
            max_rate_hz: 0,
            start,
        };
        filters.iter().map(|filter| Progress::new(&wish(filter))).collect()
    }

    fn note_all(topics: &mut [Progress], objects: &[&str]) -> Vec<Option<(u64, u64)>> {
        let pair = |place| match place {
            Place::Behind { epoch, last } => Some((epoch, last)),
            Place::Live | Place::Unknown => None,
        };
        objects.iter().for_each(|object| note(topics, object.as_bytes(), &Limits::default()));
        topics.iter().map(|topic| pair(topic.place())).collect()
    }

    #[test]
    fn an_exact_filter_goes_by_sequence_and_a_wildcard_by_position_of_the_same_message() {
        let mut topics = topics(&["a/b", "a/+", "c"], Start::Live);
        let places = note_all(
            &mut topics,
            &[
                r#"{"type":"subscribed","subscription":1,"outcome":"live","epoch":3}"#,
                r#"{"type":"subscribed","subscription":2,"outcome":"live","epoch":3}"#,
                r#"{"type":"subscribed","subscription":3,"outcome":"live","epoch":3}"#,
                r#"{"type":"message","topic":"a/b","sequence":4,"position":9,"payload":"x"}"#,
            ],
        );
        assert_eq!(places, [Some((3, 4)), Some((3, 9)), None]);
    }

    #[test]
    fn who_is_served_from_the_journal_does_not_count_what_others_get_live() {
        let mut topics = topics(&["a", "#"], Start::First);
        let places = note_all(
            &mut topics,
            &[
                r#"{"type":"subscribed","subscription":1,"outcome":"history","epoch":3}"#,
                r#"{"type":"caught_up","subscription":1,"position":0}"#,
                r#"{"type":"subscribed","subscription":2,"outcome":"history","epoch":3}"#,
                r#"{"type":"history","subscription":2,"topic":"b","sequence":1,"position":2,"time_us":1,"payload":""}"#,
                r#"{"type":"message","topic":"a","sequence":1,"position":50,"payload":"\n"}"#,
            ],
        );
        assert_eq!(places, [Some((3, 1)), Some((3, 2))]);
        let places = note_all(
            &mut topics,
            &[
                r#"{"type":"caught_up","subscription":2,"position":50}"#,
                r#"{"type":"cursor","subscription":1,"position":51}"#,
                r#"{"type":"message","topic":"a","sequence":2,"position":51}"#,
            ],
        );
        assert_eq!(places, [Some((3, 1)), Some((3, 51))], "the first has fallen back");
    }

    #[test]
    fn a_topic_that_is_over_or_of_no_journal_has_no_place_and_a_reset_forgets_it() {
        let mut topics = topics(&["a", "b", "c"], Start::Resume { epoch: 2, last: 7 });
        let places = note_all(
            &mut topics,
            &[
                r#"{"type":"subscribed","subscription":1,"outcome":"resumed","epoch":2}"#,
                r#"{"type":"error","scope":"subscription","code":1,"reference":2}"#,
                r#"{"type":"subscribed","subscription":3,"outcome":"reset-epoch","epoch":4}"#,
            ],
        );
        assert_eq!(places, [Some((2, 7)), None, None]);
        assert!(topics.iter().all(|topic| topic.is_told));
        let over = note_all(&mut topics, &[r#"{"type":"unsubscribed","subscription":1,"code":204}"#]);
        assert_eq!(over, [None, None, None]);
        let mut live = self::topics(&["a"], Start::Live);
        assert_eq!(live[0].place(), Place::Unknown);
        note_all(&mut live, &[r#"{"type":"subscribed","subscription":1,"outcome":"live"}"#]);
        assert_eq!(live[0].place(), Place::Live);
    }

    #[test]
    fn an_object_that_is_none_of_ours_tells_nothing() {
        let mut topics = topics(&["a"], Start::Live);
        let objects =
            ["", "{", "[]", "{}", r#"{"type":"subscribed","subscription":0}"#, r#"{"type":"gap","subscription":9}"#];
        assert_eq!(note_all(&mut topics, &objects), [None]);
        assert!(!topics[0].is_told);
    }
}

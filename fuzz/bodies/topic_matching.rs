//! The filter tree, the topics and their routes inside of a shard, against asking every filter by itself.

use fanwire_core::{Command, SessionId, Settings, Shard, Slices, Target, Time, command};
use fanwire_gateway::NATIVE;
use fanwire_wire::frame::{AckLevel, Frame, Policy, Start, split_frame};
use fanwire_wire::{Direction, Limits, TopicFilter, TopicName, decode};

/// Lines beyond this are not looked at.
const LINES_MAX: usize = 100;
const SUBSCRIBERS_MAX: usize = 24;
/// Lines between two sweeps of the invariants.
const SWEEP_LINES: usize = 8;

/// Lines of text: `+a/#` subscribes somebody to a filter, `-` ends the subscription that the number of bytes behind
/// it chooses, and anything else is a name to publish to.
pub fn topic_matching(data: &[u8]) {
    // So few remembered topics that routes are forgotten all the time.
    let settings = Settings { topics_cached_max: 3, ..Settings::default() };
    let shard = Shard::new(settings, fanwire_gateway::encodings(), Time::default());
    let mut run = Run { shard, limits: settings.limits, subscribers: Vec::new() };
    let publisher = run.shard.open_session(NATIVE);
    for (number, line) in data.split(|byte| *byte == b'\n').take(LINES_MAX).enumerate() {
        match line.split_first() {
            Some((b'+', filter)) if run.subscribers.len() < SUBSCRIBERS_MAX => run.subscribe(filter),
            Some((b'-', rest)) if !run.subscribers.is_empty() => run.unsubscribe(rest.len()),
            _ => run.publish(publisher, line),
        }
        if number.is_multiple_of(SWEEP_LINES) {
            run.shard.check_invariants();
        }
    }
    for (session, _) in std::mem::take(&mut run.subscribers) {
        run.shard.remove_session(session);
    }
    run.shard.remove_session(publisher);
    run.shard.finish_turn();
    run.shard.check_invariants();
    assert!(run.shard.is_at_rest() && run.shard.session_count() == 0);
    assert!(run.shard.topic_count() <= 3, "what nobody holds is forgotten");
}

struct Run {
    shard: Shard,
    limits: Limits,
    /// One session for each filter, so that nothing merges.
    subscribers: Vec<(SessionId, Vec<u8>)>,
}

impl Run {
    fn subscribe(&mut self, filter: &[u8]) {
        let session = self.shard.open_session(NATIVE);
        let wish = command::Subscribe {
            subscription: 1,
            filter,
            group: &[],
            policy: Policy::Disconnect,
            no_echo: false,
            responder: false,
            max_rate_hz: 0,
            start: Start::Live,
        };
        self.shard.handle(session, &Command::Subscribe(wish)).expect("a wrong filter is a refusal");
        self.shard.finish_turn();
        let answer = self.take(session);
        let frame = only_frame(&answer).expect("every SUBSCRIBE is answered");
        match (TopicFilter::new(filter, &self.limits), frame) {
            (Ok(known), Frame::Subscribed(told)) => assert_eq!(told.topic_id != 0, known.is_exact()),
            (Err(code), Frame::Error(refusal)) => {
                assert_eq!(refusal.code, code.number());
                return self.shard.remove_session(session);
            }
            (checked, frame) => panic!("{checked:?} was answered by {frame:?}"),
        }
        self.subscribers.push((session, filter.to_vec()));
    }

    fn unsubscribe(&mut self, choice: usize) {
        let (session, _) = self.subscribers.swap_remove(choice % self.subscribers.len());
        self.shard.remove_session(session);
        self.shard.finish_turn();
    }

    fn publish(&mut self, publisher: SessionId, topic: &[u8]) {
        let target = Target::Name(topic);
        let publish = Command::Publish { target, ack: AckLevel::None, headers: &[], payloads: &[b"!"] };
        self.shard.handle(publisher, &publish).expect("a wrong name is a refusal");
        self.shard.finish_turn();
        let refused = !self.take(publisher).is_empty();
        let name = TopicName::publishable(topic, &self.limits);
        assert_eq!(refused, name.is_err());
        for (session, filter) in &self.subscribers {
            let got = take(&mut self.shard, *session);
            let filter = TopicFilter::new(filter, &self.limits).expect("it was accepted");
            let wants = name.is_ok_and(|name| filter.matches(name));
            let named = match only_frame(&got) {
                None => None,
                Some(Frame::Message(_)) => Some(filter.as_str().as_bytes()),
                Some(Frame::MessageNamed(message)) => Some(message.topic),
                Some(frame) => panic!("{frame:?} instead of a message"),
            };
            assert_eq!(named, wants.then_some(topic), "{:?} under {:?}", topic.escape_ascii(), filter.as_str());
        }
    }

    fn take(&mut self, session: SessionId) -> Vec<u8> {
        take(&mut self.shard, session)
    }
}

/// Reads all that waits for a session.
fn take(shard: &mut Shard, session: SessionId) -> Vec<u8> {
    let mut slices = Slices::new();
    shard.front(session, &mut slices);
    let bytes = slices.concat();
    drop(slices);
    shard.advance(session, bytes.len(), false);
    assert!(shard.is_flushed(session));
    bytes
}

fn only_frame(bytes: &[u8]) -> Option<Frame<'_>> {
    let (frame, size) = split_frame(bytes, u32::MAX).expect("the shard frames rightly")?;
    assert_eq!(size, bytes.len(), "one frame for one command");
    Some(decode(frame, Direction::ToClient).expect("the shard's frames are right").frame)
}

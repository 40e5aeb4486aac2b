//! Requests: a question to one responder, and exactly one end for each.
//!
//! ```text
//!  requester's shard                a home of responders              the responder's shard
//!   Request(correlation) --Ask-->   pick  -------------Pick-------->  Call(handle)
//!   deadline timer                  nobody: the next home                |  deadline timer
//!   Response(reply)      <----------------------Answer---------------  Reply(handle)
//!   Response(RESPONDER_GONE)  <-----------------Answer---------------  the responder's session ends
//!   Response(NO_RESPONDERS ...) <-----Answer--- nobody anywhere
//!   Response(DEADLINE_EXCEEDED)    the timer fires
//! ```
//!
//! All three may be the same shard; the way is the same. What the requester waits for (`Asked`) and what the responder
//! owes (`Owed`) are two things that end by themselves: an answer to a request that is over is late, and is counted and
//! otherwise ignored.
//!
//! A handle counts the calls of one session, so one that was never given is told from one whose request is over: the
//! first is a violation, the second a late reply.

use crate::arena::{CallKey, RequestKey, SessionKey, SubscriptionKey};
use crate::encoding::Event;
use crate::groups::Pick;
use crate::mail::{Asker, Asking, Errand, Note, Parcel};
use crate::session::Dialogue;
use crate::shard::{Handled, Shard, Timer};
use crate::time::Time;
use crate::wheel::TimerKey;
use fanwire_wire::frame::Scope;
use fanwire_wire::{Code, Violation};
use std::time::Duration;

/// What a request carries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) correlation: u32,
    pub(crate) deadline_ms: u32,
    pub(crate) topic: &'a [u8],
    pub(crate) headers: &'a [u8],
    pub(crate) payload: &'a [u8],
}

/// A request that a session of this shard waits for.
pub(crate) struct Asked {
    requester: SessionKey,
    correlation: u32,
    /// Tells it from others under the same key.
    serial: u64,
    timer: TimerKey,
}

/// An answer that a session of this shard owes.
pub(crate) struct Owed {
    responder: SessionKey,
    handle: u64,
    asker: Asker,
    timer: TimerKey,
}

impl Shard {
    pub(crate) fn request(&mut self, session: SessionKey, question: &Question<'_>) -> Result<Handled, Violation> {
        let asked = self.sessions[session].dialogue().map(|dialogue| &dialogue.asked);
        if asked.is_some_and(|asked| asked.contains_key(&question.correlation)) {
            return Err(Violation(Code::DuplicateCorrelation));
        }
        let in_flight = asked.map_or(0, hashbrown::HashMap::len);
        if let Err(code) = self.check_question(in_flight, question) {
            self.refusal = Some(code);
            self.fail_request(session, question.correlation, code);
            return Ok(Handled::Done);
        }
        let spot = self.topics.spot_of(question.topic, self.topics.hash_of(question.topic));
        let homes = self.exchange.seat.responding(spot);
        if self.must_wait(session, homes & !self.exchange.seat.bit(), None) {
            return Ok(Handled::Postponed);
        }
        self.ask(session, homes, question);
        Ok(Handled::Done)
    }

    fn check_question(&self, in_flight: usize, question: &Question<'_>) -> Result<(), Code> {
        let limits = &self.settings.limits;
        if in_flight >= limits.requests_max as usize {
            return Err(Code::TooManyRequests);
        }
        if question.deadline_ms == 0 || question.deadline_ms > limits.deadline_ms_max {
            return Err(Code::DeadlineOutOfRange);
        }
        if question.headers.len() > limits.headers_bytes_max as usize {
            return Err(Code::HeadersTooLarge);
        }
        self.admit_name(question.topic).map(|_| ())
    }

    /// Notes what is asked, and sends it on its way: to this shard's own responders first.
    fn ask(&mut self, session: SessionKey, homes: u64, question: &Question<'_>) {
        let deadline = self.now + Duration::from_millis(u64::from(question.deadline_ms));
        let key = self.asked.next_key();
        self.request_serials += 1;
        let serial = self.request_serials;
        let timer = self.wheel.insert(deadline, Timer::Asked(key));
        let correlation = question.correlation;
        self.asked.insert(Asked { requester: session, correlation, serial, timer });
        self.dialogue_of(session).asked.insert(correlation, key);
        let asker = Asker { shard: self.exchange.seat.number(), key, serial };
        let parcel =
            Parcel { topic: crate::mail::text(question.topic), headers: question.headers, payload: question.payload };
        self.pass_on(Asking { asker, homes, is_busy: false, deadline }, parcel);
    }

    /// Puts a request to a responder of a group that lives here, or lets it go on.
    pub(crate) fn look_for_responder(&mut self, mut asking: Asking, parcel: Parcel<'_>) {
        if asking.deadline <= self.now {
            // Its asker tells that itself, and nobody should work for what is over.
            return;
        }
        let Ok(topic) = self.admit_name(parcel.topic.as_bytes()) else {
            unreachable!("it was admitted where it was asked");
        };
        let errand = Errand::Request(asking);
        for group in self.groups_of_name(topic) {
            if !self.groups.get(group).responder {
                continue;
            }
            match self.pick(group, &errand, parcel.bytes() as u32) {
                Pick::Member(member) => return self.send_pick(group, member, Errand::Request(asking), false, parcel),
                Pick::Full(_) | Pick::Behind(_) => asking.is_busy = true,
                Pick::Nobody => {}
            }
        }
        self.pass_on(asking, parcel);
    }

    /// A request that this shard cannot put to anybody else goes on to the next one that may have a responder, or ends.
    pub(crate) fn pass_on(&mut self, asking: Asking, parcel: Parcel<'_>) {
        let asker = asking.asker;
        // Its asker did not wait for lanes of this shard, so it may not fill them.
        let homes = self.exchange.open_among(asking.homes);
        let is_busy = asking.is_busy || homes != asking.homes;
        if homes == 0 {
            let code = if is_busy { Code::RespondersBusy } else { Code::NoResponders };
            return self.tell(asker.shard, Note::Answer { asker, code: Some(code) }, Parcel::default());
        }
        let own = self.exchange.seat.number();
        // The next one in a circle, so that nobody's responders are everybody's first.
        let next = (own as u32 + homes.rotate_right(u32::from(own)).trailing_zeros()) % 64;
        let asking = Asking { homes: homes & !(1 << next), is_busy, ..asking };
        self.tell(next as u8, Note::Ask(asking), parcel);
    }

    /// Puts a request to the responder that was picked.
    pub(crate) fn call(&mut self, member: SubscriptionKey, asking: Asking, parcel: Parcel<'_>) {
        self.counters.requests += 1;
        let responder = self.subscriptions[member].session;
        let key = self.owed.next_key();
        let timer = self.wheel.insert(asking.deadline, Timer::Owed(key));
        let dialogue = self.dialogue_of(responder);
        dialogue.handles += 1;
        let handle = dialogue.handles;
        dialogue.called.insert(handle, key);
        self.owed.insert(Owed { responder, handle, asker: asking.asker, timer });
        let Parcel { topic, headers, payload } = parcel;
        let event = Event::Call {
            subscription: self.subscriptions[member].number,
            handle,
            deadline_ms: self.milliseconds_to(asking.deadline),
            topic,
            headers,
            payload,
        };
        self.enqueue_event(responder, &event);
    }

    /// What is left until a deadline: at least one, for who is asked has to answer at once.
    fn milliseconds_to(&self, deadline: Time) -> u32 {
        u32::try_from(deadline.since(self.now).as_millis()).unwrap_or(u32::MAX).max(1)
    }

    pub(crate) fn reply(
        &mut self,
        session: SessionKey,
        handle: u64,
        headers: &[u8],
        payload: &[u8],
    ) -> Result<Handled, Violation> {
        let Some(dialogue) = self.sessions[session].dialogue() else {
            return Err(Violation(Code::UnknownReplyHandle));
        };
        if handle == 0 || handle > dialogue.handles {
            return Err(Violation(Code::UnknownReplyHandle));
        }
        let Some(key) = dialogue.called.get(&handle).copied() else {
            self.counters.late_replies += 1;
            return Ok(Handled::Done);
        };
        if headers.len() > self.settings.limits.headers_bytes_max as usize {
            self.refuse(session, Scope::Reply, Code::HeadersTooLarge, handle);
            return Ok(Handled::Done);
        }
        let way = 1 << self.owed[key].asker.shard & !self.exchange.seat.bit();
        if self.must_wait(session, way, None) {
            return Ok(Handled::Postponed);
        }
        let Owed { asker, .. } = self.end_owed(key);
        self.tell(asker.shard, Note::Answer { asker, code: None }, Parcel { topic: "", headers, payload });
        if self.sessions[session].owes_room {
            self.tell_room(session);
        }
        Ok(Handled::Done)
    }

    /// A request of this shard has its end, unless it had one before.
    pub(crate) fn take_answer(&mut self, asker: Asker, code: Option<Code>, parcel: Parcel<'_>) {
        if self.asked.get(asker.key).is_none_or(|asked| asked.serial != asker.serial) {
            self.counters.late_replies += u64::from(code.is_none());
            return;
        }
        let Asked { requester, correlation, .. } = self.end_asked(asker.key);
        match code {
            Some(code) => self.fail_request(requester, correlation, code),
            None => {
                let Parcel { headers, payload, .. } = parcel;
                self.enqueue_event(requester, &Event::Response { correlation, code: None, headers, payload });
            }
        }
    }

    /// The deadline has come first.
    pub(crate) fn expire_asked(&mut self, key: RequestKey) {
        let Asked { requester, correlation, .. } = self.forget_asked(key);
        self.fail_request(requester, correlation, Code::DeadlineExceeded);
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn expire_owed(&mut self, key: CallKey) {
        let Owed { responder, .. } = self.forget_owed(key);
        if self.sessions[responder].owes_room {
            self.tell_room(responder);
        }
    }

    /// A session leaves: whom it owes an answer is told, and what it asked is nobody's any more.
    pub(crate) fn end_dialogue(&mut self, session: SessionKey) {
        let Some(dialogue) = self.sessions[session].existing_more_mut().and_then(|more| more.dialogue.take()) else {
            return;
        };
        for key in dialogue.asked.into_values() {
            self.end_asked(key);
        }
        for key in dialogue.called.into_values() {
            let Owed { asker, .. } = self.end_owed(key);
            self.tell(asker.shard, Note::Answer { asker, code: Some(Code::ResponderGone) }, Parcel::default());
        }
    }

    fn fail_request(&mut self, requester: SessionKey, correlation: u32, code: Code) {
        self.counters.requests_failed += 1;
        let event = Event::Response { correlation, code: Some(code), headers: &[], payload: &[] };
        self.enqueue_event(requester, &event);
    }

    fn end_asked(&mut self, key: RequestKey) -> Asked {
        let asked = self.forget_asked(key);
        self.wheel.cancel(asked.timer);
        asked
    }

    fn forget_asked(&mut self, key: RequestKey) -> Asked {
        let asked = self.asked.remove(key);
        if let Some(dialogue) = self.sessions[asked.requester].dialogue_mut() {
            dialogue.asked.remove(&asked.correlation);
        }
        asked
    }

    fn end_owed(&mut self, key: CallKey) -> Owed {
        let owed = self.forget_owed(key);
        self.wheel.cancel(owed.timer);
        owed
    }

    fn forget_owed(&mut self, key: CallKey) -> Owed {
        let owed = self.owed.remove(key);
        if let Some(dialogue) = self.sessions[owed.responder].dialogue_mut() {
            dialogue.called.remove(&owed.handle);
        }
        owed
    }

    fn dialogue_of(&mut self, session: SessionKey) -> &mut Dialogue {
        let seed = self.settings.seed;
        self.sessions[session].more_mut().dialogue.get_or_insert_with(|| Box::new(Dialogue::new(seed)))
    }
}

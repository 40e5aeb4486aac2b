//! Requests: a question to one responder, and exactly one end for each.
//!
//! ```text
//!  requester                 shard                          responder
//!   Request(correlation) --> pick, deadline timer --> Call(handle)
//!                                |                         |
//!   Response(reply)      <--- first of ---------------- Reply(handle)
//!   Response(DEADLINE_EXCEEDED)   | timer fires
//!   Response(RESPONDER_GONE)      | responder's session ends
//!   Response(NO_RESPONDERS ...)   | nobody to pick
//! ```
//!
//! A handle counts the calls of one session, so one that was never given is told from one whose request is over: the
//! first is a violation, the second a late reply, which is counted and otherwise ignored.

use crate::arena::{RequestKey, SessionKey, SubscriptionKey};
use crate::encoding::Event;
use crate::groups::Pick;
use crate::session::Dialogue;
use crate::shard::{Shard, Timer};
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

pub(crate) struct Request {
    pub(crate) requester: SessionKey,
    pub(crate) correlation: u32,
    pub(crate) responder: SessionKey,
    pub(crate) handle: u64,
    timer: TimerKey,
}

impl Shard {
    pub(crate) fn request(&mut self, session: SessionKey, question: &Question<'_>) -> Result<(), Violation> {
        let asked = self.sessions[session].dialogue.as_ref().map(|dialogue| &dialogue.asked);
        if asked.is_some_and(|asked| asked.contains_key(&question.correlation)) {
            return Err(Violation(Code::DuplicateCorrelation));
        }
        let in_flight = asked.map_or(0, hashbrown::HashMap::len);
        match self.find_responder(in_flight, question) {
            Ok(responder) => self.call(session, responder, question),
            Err(code) => {
                // That nobody answers is no fault of who asks.
                if !matches!(code, Code::NoResponders | Code::RespondersBusy) {
                    self.refusal = Some(code);
                }
                self.fail_request(session, question.correlation, code);
            }
        }
        Ok(())
    }

    fn find_responder(&mut self, in_flight: usize, question: &Question<'_>) -> Result<SubscriptionKey, Code> {
        let limits = self.settings.limits;
        if in_flight >= limits.requests_max as usize {
            return Err(Code::TooManyRequests);
        }
        if question.deadline_ms == 0 || question.deadline_ms > limits.deadline_ms_max {
            return Err(Code::DeadlineOutOfRange);
        }
        if question.headers.len() > limits.headers_bytes_max as usize {
            return Err(Code::HeadersTooLarge);
        }
        let topic = self.admit_name(question.topic)?;
        let groups = self.groups_of_name(topic);
        let bytes = (question.topic.len() + question.headers.len() + question.payload.len()) as u32;
        let mut refusal = Code::NoResponders;
        for group in groups {
            if !self.groups.get(group).responder {
                continue;
            }
            match self.pick(group, None, bytes) {
                Pick::Member(member) => return Ok(member),
                Pick::Full(_) => refusal = Code::RespondersBusy,
                Pick::Nobody => {}
            }
        }
        Err(refusal)
    }

    fn call(&mut self, requester: SessionKey, member: SubscriptionKey, question: &Question<'_>) {
        self.counters.requests += 1;
        let responder = self.subscriptions[member].session;
        let deadline = self.now + Duration::from_millis(u64::from(question.deadline_ms));
        let key = self.requests.next_key();
        let timer = self.wheel.insert(deadline, Timer::Deadline(key));
        let dialogue = self.dialogue_of(responder);
        dialogue.handles += 1;
        let handle = dialogue.handles;
        dialogue.called.insert(handle, key);
        self.dialogue_of(requester).asked.insert(question.correlation, key);
        let correlation = question.correlation;
        self.requests.insert(Request { requester, correlation, responder, handle, timer });
        // Admitted names are text.
        let topic = std::str::from_utf8(question.topic).expect("an admitted name is UTF-8");
        let event = Event::Call {
            subscription: self.subscriptions[member].number,
            handle,
            deadline_ms: question.deadline_ms,
            topic,
            headers: question.headers,
            payload: question.payload,
        };
        self.enqueue_event(responder, &event);
    }

    pub(crate) fn reply(
        &mut self,
        session: SessionKey,
        handle: u64,
        headers: &[u8],
        payload: &[u8],
    ) -> Result<(), Violation> {
        let Some(dialogue) = self.sessions[session].dialogue.as_ref() else {
            return Err(Violation(Code::UnknownReplyHandle));
        };
        if handle == 0 || handle > dialogue.handles {
            return Err(Violation(Code::UnknownReplyHandle));
        }
        let Some(key) = dialogue.called.get(&handle).copied() else {
            self.counters.late_replies += 1;
            return Ok(());
        };
        if headers.len() > self.settings.limits.headers_bytes_max as usize {
            self.refuse(session, Scope::Reply, Code::HeadersTooLarge, handle);
            return Ok(());
        }
        let Request { requester, correlation, .. } = self.end_request(key);
        self.enqueue_event(requester, &Event::Response { correlation, code: None, headers, payload });
        Ok(())
    }

    /// The deadline has come first.
    pub(crate) fn expire_request(&mut self, key: RequestKey) {
        let Request { requester, correlation, .. } = self.forget_request(key);
        self.fail_request(requester, correlation, Code::DeadlineExceeded);
    }

    /// A session leaves: whom it owes an answer is told, and what it asked is nobody's any more.
    pub(crate) fn end_dialogue(&mut self, session: SessionKey) {
        let Some(dialogue) = self.sessions[session].dialogue.take() else {
            return;
        };
        for key in dialogue.asked.into_values() {
            self.end_request(key);
        }
        for key in dialogue.called.into_values() {
            // One that the session asked of itself is over already.
            if self.requests.get(key).is_some_and(|request| request.responder == session) {
                let Request { requester, correlation, .. } = self.end_request(key);
                self.fail_request(requester, correlation, Code::ResponderGone);
            }
        }
    }

    fn fail_request(&mut self, requester: SessionKey, correlation: u32, code: Code) {
        self.counters.requests_failed += 1;
        let event = Event::Response { correlation, code: Some(code), headers: &[], payload: &[] };
        self.enqueue_event(requester, &event);
    }

    fn end_request(&mut self, key: RequestKey) -> Request {
        let request = self.forget_request(key);
        self.wheel.cancel(request.timer);
        request
    }

    fn forget_request(&mut self, key: RequestKey) -> Request {
        let request = self.requests.remove(key);
        if let Some(dialogue) = &mut self.sessions[request.requester].dialogue {
            dialogue.asked.remove(&request.correlation);
        }
        if let Some(dialogue) = &mut self.sessions[request.responder].dialogue {
            dialogue.called.remove(&request.handle);
        }
        request
    }

    fn dialogue_of(&mut self, session: SessionKey) -> &mut Dialogue {
        let seed = self.settings.seed;
        self.sessions[session].dialogue.get_or_insert_with(|| Box::new(Dialogue::new(seed)))
    }
}

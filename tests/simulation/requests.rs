//! Requests: each to one responder, each with one end, and the first of what may end it wins.

use crate::interest::Subscription;
use crate::oracle::{Oracle, SubscriptionIndex};
use crate::said::{Body, Uid};
use crate::transit::Moving;
use crate::{grammar, oracle::Connection};
use fanwire_core::Time;
use fanwire_wire::Code;
use fanwire_wire::frame::{Call, Response};
use std::collections::BTreeMap;
use std::time::Duration;

/// A timer fires at the first millisecond behind its time.
const TIMER_TICK: Duration = Duration::from_millis(1);

/// A request that the broker has taken in.
pub(crate) struct Request {
    requester: Uid,
    topic: Vec<u8>,
    body: Body,
    deadline: Time,
    deadline_ms: u32,
    turn: u64,
    /// The moment at which it was taken in.
    moment: u64,
    /// Who may answer it.
    responders: Vec<SubscriptionIndex>,
    /// Whether one of them had an empty queue when the turn began.
    is_sure: bool,
    /// Whether the requester may have too many in flight.
    may_be_too_many: bool,
    /// What it may be refused with, whoever responds.
    faults: Vec<Code>,
    /// Who got it.
    called: Option<Uid>,
    /// What was answered, and when, in the order in which the broker took it in.
    replies: Vec<(Body, Time)>,
    /// The first answer came to the requester's node before the deadline.
    is_answered_there: bool,
    /// That its responder was gone was known there before the deadline.
    is_gone_there: bool,
    /// It ended at its deadline.
    is_expired: bool,
}

#[derive(Default)]
pub(crate) struct Requests {
    list: Vec<Request>,
    /// Those before it had rested already.
    settled: usize,
    by_identity: BTreeMap<(Uid, u32), usize>,
}

impl Oracle {
    pub(crate) fn ask(&mut self, uid: Uid, correlation: u32, deadline_ms: u32, topic: &[u8], body: &Body) {
        self.totals.requests += 1;
        let mut faults = grammar::topic_faults(topic, &self.limits);
        if deadline_ms == 0 || deadline_ms > self.limits.deadline_ms_max {
            faults.push(Code::DeadlineOutOfRange);
        }
        if body.headers_bytes > self.limits.headers_bytes_max {
            faults.push(Code::HeadersTooLarge);
        }
        let mut responders = Vec::new();
        if let Ok(name) = std::str::from_utf8(topic) {
            for uid in self.alive.iter().copied() {
                responders.extend(self.matching(uid, name, |subscription| subscription.responder));
            }
        }
        let is_clear =
            |index: &SubscriptionIndex| self.connections[self.subscriptions[*index].connection as usize].is_clear;
        let asked = &self.connections[uid as usize].asked;
        let in_flight_at_most: usize = asked.values().map(std::collections::VecDeque::len).sum();
        let request = Request {
            requester: uid,
            topic: topic.to_vec(),
            body: *body,
            deadline: self.now + Duration::from_millis(deadline_ms.into()),
            deadline_ms,
            turn: self.turn,
            moment: self.moment,
            is_sure: responders.iter().any(is_clear),
            responders,
            may_be_too_many: in_flight_at_most >= self.limits.requests_max as usize,
            faults,
            called: None,
            replies: Vec::new(),
            is_answered_there: false,
            is_gone_there: false,
            is_expired: false,
        };
        let index = self.requests.list.len();
        self.requests.list.push(request);
        self.requests.by_identity.insert((body.author, body.serial), index);
        self.connection(uid).asked.entry(correlation).or_default().push_back(index);
    }

    pub(crate) fn observe_call(&mut self, uid: Uid, call: &Call<'_>) {
        let identity = Body::identity(call.payload);
        let Some(index) = self.requests.by_identity.get(&identity).copied() else {
            panic!("connection {uid}: called for {identity:?}, which nobody asked");
        };
        let Some(subscription) = self.connection(uid).standing.get(&call.subscription).copied() else {
            panic!("connection {uid}: a call for subscription {}, which does not stand", call.subscription);
        };
        let may_be_called = self.may_be_called(&self.requests.list[index], subscription);
        let request = &mut self.requests.list[index];
        assert!(may_be_called, "connection {uid}: {identity:?} is not for this responder");
        assert!(request.called.is_none(), "connection {uid}: {identity:?} was put to {:?} already", request.called);
        assert!(request.faults.is_empty(), "connection {uid}: {identity:?} is to be refused: {:?}", request.faults);
        assert_eq!(call.topic, request.topic, "connection {uid}: the topic of {identity:?}");
        assert!(call.headers == request.body.headers() && call.payload == request.body.payload());
        assert!(
            (1..=request.deadline_ms).contains(&call.deadline_ms),
            "connection {uid}: what is left of the deadline"
        );
        request.called = Some(uid);
        let connection = self.connection(uid);
        connection.calls.push(index);
        assert_eq!(call.handle, connection.calls.len() as u64, "connection {uid}: handles are counted from 1");
    }

    /// On one node, who responded when it was asked; on several, who did at any time since.
    fn may_be_called(&self, request: &Request, index: SubscriptionIndex) -> bool {
        request.responders.contains(&index) || (self.is_spread() && self.responds(request, index, request.moment))
    }

    /// Whether a subscription is of a responder for a request, and was at some time since.
    fn responds(&self, request: &Request, index: SubscriptionIndex, since: u64) -> bool {
        let Subscription { responder, ended, ref filter, .. } = self.subscriptions[index];
        let is_there = responder && ended.is_none_or(|ended| ended > since);
        is_there && std::str::from_utf8(&request.topic).is_ok_and(|name| grammar::matches(filter, name))
    }

    /// A reply was taken in, late or not.
    pub(crate) fn reply(&mut self, uid: Uid, handle: u64, body: &Body) {
        let now = self.now;
        let index = self.connection(uid).calls[handle as usize - 1];
        self.totals.replies += 1;
        self.requests.list[index].replies.push((*body, now));
        let requester = self.requests.list[index].requester;
        let (from, to) = (self.connections[uid as usize].home, self.connections[requester as usize].home);
        match self.requests.list[index].replies.len() {
            1 if from == to => self.note_answer_came(index),
            1 => self.transit.send(from, to, Moving::Answer(index)),
            _ => {}
        }
    }

    /// The first answer to a request is where it was asked.
    pub(crate) fn note_answer_came(&mut self, index: usize) {
        let now = self.now;
        let request = &mut self.requests.list[index];
        let is_in_time = request.replies.first().is_some_and(|(_, at)| *at < request.deadline);
        request.is_answered_there = is_in_time && now < request.deadline;
    }

    /// A connection has ended, and with it the calls that it has not answered.
    pub(crate) fn end_calls(&mut self, uid: Uid) {
        let from = self.connections[uid as usize].home;
        for index in self.connections[uid as usize].calls.clone() {
            let Request { requester, ref replies, .. } = self.requests.list[index];
            let to = self.connections[requester as usize].home;
            match replies.is_empty() {
                true if from == to => self.note_gone(index),
                true => self.transit.send(from, to, Moving::Gone(index)),
                false => {}
            }
        }
    }

    /// Where a request was asked it is known that nobody will answer it.
    pub(crate) fn note_gone(&mut self, index: usize) {
        let now = self.now;
        let request = &mut self.requests.list[index];
        request.is_gone_there = now < request.deadline;
    }

    pub(crate) fn observe_response(&mut self, uid: Uid, response: &Response<'_>) {
        let correlation = response.correlation;
        let asked = &mut self.connection(uid).asked;
        let Some(index) = asked.get_mut(&correlation).and_then(std::collections::VecDeque::pop_front) else {
            panic!("connection {uid}: a response to {correlation}, which is not in flight");
        };
        asked.retain(|_, requests| !requests.is_empty());
        self.totals.answered += u64::from(response.code == 0);
        let request = &self.requests.list[index];
        let told = Code::from_number(response.code);
        let is_expired = told == Some(Code::DeadlineExceeded);
        let is_right = match told {
            None => {
                let (reply, at) = request.replies.first().expect("a reply was given before it is told");
                assert!(response.headers == reply.headers() && response.payload == reply.payload());
                *at < request.deadline + TIMER_TICK
            }
            Some(code) => self.may_fail(request, code),
        };
        let Request { faults, replies, called, deadline, .. } = request;
        assert!(
            is_right,
            "connection {uid}: request {correlation} ended with {told:?}; faults {faults:?}, called {called:?}, \
             deadline {deadline:?}, replies {replies:?}",
        );
        self.requests.list[index].is_expired = is_expired;
    }

    /// At rest: a request that ended at its deadline was put to somebody, if somebody was there all the time and had
    /// room. Between nodes its deadline may come while it is still on its way, and then nobody is called.
    pub(crate) fn settle_calls(&mut self) {
        if self.is_spread() {
            return;
        }
        for request in &self.requests.list[self.requests.settled..] {
            let of = |index: &SubscriptionIndex| &self.subscriptions[*index];
            let perhaps: Vec<_> =
                (0..self.subscriptions.len()).filter(|index| self.responds(request, *index, self.rested_at)).collect();
            let is_steady = |index: &SubscriptionIndex| {
                let stood = of(index).stands_since.is_some_and(|since| since < request.moment);
                stood && of(index).ended.is_none() && !self.connections[of(index).connection as usize].was_loaded
            };
            // A call that was read by nobody went with its responder.
            let is_lost = perhaps.iter().any(|index| self.connections[of(index).connection as usize].end.is_some());
            let is_owed = perhaps.iter().any(is_steady) && !is_lost;
            let is_lost_on_its_way = request.is_expired && request.called.is_none() && is_owed;
            assert!(!is_lost_on_its_way, "a request of connection {} was put to nobody", request.requester);
        }
        self.requests.settled = self.requests.list.len();
    }

    fn may_fail(&self, request: &Request, code: Code) -> bool {
        let owner = |index: &SubscriptionIndex| -> &Connection {
            &self.connections[self.subscriptions[*index].connection as usize]
        };
        let was_answered = request.replies.first().is_some_and(|(_, at)| *at < request.deadline);
        if was_answered {
            // The way back takes its time between nodes: the deadline may be there first.
            return code == Code::DeadlineExceeded && !request.is_answered_there && self.now >= request.deadline;
        }
        match code {
            Code::TooManyRequests => request.may_be_too_many,
            Code::DeadlineExceeded => {
                request.faults.is_empty() && self.now >= request.deadline && !request.is_gone_there
            }
            Code::NoResponders | Code::RespondersBusy | Code::ResponderGone if self.is_spread() => {
                request.faults.is_empty() && self.may_fail_on_its_way(request, code)
            }
            // Who closes in this turn may have been picked no more; whoever ended later was there to be picked.
            Code::NoResponders => {
                let is_going = |index| owner(index).is_lost && owner(index).ended_turn == request.turn;
                request.faults.is_empty() && request.responders.iter().all(is_going)
            }
            Code::RespondersBusy => !request.responders.is_empty() && !request.is_sure,
            Code::ResponderGone => match request.called {
                Some(uid) => self.connections[uid as usize].end.is_some(),
                None => request.responders.iter().any(|index| owner(index).end.is_some()),
            },
            code => request.faults.contains(&code),
        }
    }

    /// Between nodes a request meets whoever responds where and when it comes there. Who was told SUBSCRIBED before it
    /// was asked, and is still there, was there to be met.
    fn may_fail_on_its_way(&self, request: &Request, code: Code) -> bool {
        let owner = |index: &SubscriptionIndex| &self.connections[self.subscriptions[*index].connection as usize];
        let all = 0..self.subscriptions.len();
        let perhaps: Vec<_> = all.filter(|index| self.responds(request, *index, request.moment)).collect();
        let is_steady = |index: &&SubscriptionIndex| {
            let Subscription { stands_since, ended, .. } = self.subscriptions[**index];
            ended.is_none() && stands_since.is_some_and(|since| since < request.moment)
        };
        let mut steady = perhaps.iter().filter(is_steady);
        match code {
            Code::NoResponders => steady.next().is_none(),
            Code::RespondersBusy => {
                // The way to a responder may be full as well; and that one is gone may not be known everywhere yet.
                let was_full = self.full_at.is_some_and(|at| at >= request.moment);
                let lately = self.rested_at.min(request.moment);
                let has_responders = (0..self.subscriptions.len()).any(|index| self.responds(request, index, lately));
                // Nor is it known who responds behind a full way.
                was_full || (has_responders && steady.all(|index| owner(index).was_loaded))
            }
            _ => match request.called {
                Some(uid) => self.connections[uid as usize].end.is_some(),
                None => perhaps.iter().any(|index| owner(index).end.is_some()),
            },
        }
    }

    /// Who asked, for the trace of a request that was never answered.
    pub(crate) fn describe_request(&self, index: usize) -> String {
        let Request { requester, deadline, called, .. } = &self.requests.list[index];
        format!("of connection {requester}, deadline {deadline:?}, called {called:?}")
    }
}

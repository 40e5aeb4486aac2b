//! Requests between reactors: everybody can ask everybody, and every way in which a request ends is told to who asked,
//! wherever the responder and its group are.

use super::memory::NARROW;
use super::peer::{HELLO, Peer, subscribe};
use super::process::eventually;
use super::reactors::{Outgoing, REACTORS, broker_of_several, peers, writer_of};
use fanwire_wire::Code;
use fanwire_wire::frame::{Frame, Ping, Reply, Request, Response, Subscribe, Unsubscribe};
use std::collections::BTreeMap;
use std::net::Shutdown;

const DEADLINE_MS: u32 = 60_000;

const fn ask<'a>(topic: &'a str, correlation: u32, payload: &'a [u8]) -> Request<'a> {
    Request { correlation, deadline_ms: DEADLINE_MS, topic: topic.as_bytes(), headers: b"", payload }
}

fn respond<'a>(filter: &'a str, group: &'a str) -> Subscribe<'a> {
    Subscribe { group: group.as_bytes(), responder: true, ..subscribe(1, filter) }
}

#[track_caller]
fn next_call(responder: &mut Peer) -> (u64, Vec<u8>) {
    match responder.frame() {
        Frame::Call(call) => (call.handle, call.payload.to_vec()),
        other => panic!("no call: {other:?}"),
    }
}

#[track_caller]
fn expect_failed(requester: &mut Peer, correlation: u32, code: Code) {
    let expected = Response { correlation, code: code.number(), headers: b"", payload: b"" };
    assert_eq!(requester.frame(), Frame::from(expected));
}

#[track_caller]
fn expect_answered(requester: &mut Peer, correlation: u32, payload: &[u8]) {
    let expected = Response { correlation, code: 0, headers: b"", payload };
    assert_eq!(requester.frame(), Frame::from(expected));
}

/// Answers the next calls: each with its question and who answers.
fn answer(responder: &mut Peer, count: usize, name: &[u8]) {
    let mut outgoing = Outgoing::default();
    for _ in 0..count {
        let (handle, question) = next_call(responder);
        outgoing.add(Reply { handle, headers: b"", payload: &[&question, name].concat() });
    }
    outgoing.write_to(responder.stream());
}

/// The answers to these correlations, in any order.
#[track_caller]
fn take_responses(requester: &mut Peer, count: usize) -> BTreeMap<u32, (u16, Vec<u8>)> {
    let mut responses = BTreeMap::new();
    for _ in 0..count {
        match requester.frame() {
            Frame::Response(response) => {
                let said = (response.code, response.payload.to_vec());
                assert!(responses.insert(response.correlation, said).is_none(), "each request ends once");
            }
            other => panic!("{other:?}"),
        }
    }
    responses
}

/// Groups of many names, so that their homes are on every reactor.
#[test]
fn every_reactor_asks_every_reactor() {
    const GROUPS: usize = 8;
    const QUESTIONS: usize = 10;
    let broker = broker_of_several("");
    let (mut responders, mut requesters) = (peers(&broker, REACTORS), peers(&broker, REACTORS));
    for (group, is_wildcard) in (0..GROUPS).flat_map(|group| [(group, false), (group, true)]) {
        let topics: Vec<String> = (0..REACTORS).map(|number| format!("ask-{group}/{number}/{is_wildcard}")).collect();
        for (responder, topic) in responders.iter_mut().zip(&topics) {
            let filter = if is_wildcard { topic.replace("true", "+") } else { topic.clone() };
            responder.subscribe(respond(&filter, &format!("group-{group}")));
        }
        for requester in &mut requesters {
            let mut outgoing = Outgoing::default();
            for (correlation, topic) in (0..).zip(topics.iter().cycle().take(REACTORS * QUESTIONS)) {
                outgoing.add(ask(topic, correlation, &correlation.to_le_bytes()));
            }
            outgoing.write_to(requester.stream());
        }
        for (number, responder) in (0_u8..).zip(&mut responders) {
            answer(responder, REACTORS * QUESTIONS, &[number]);
        }
        for requester in &mut requesters {
            for (correlation, (code, payload)) in take_responses(requester, REACTORS * QUESTIONS) {
                let name = correlation as u8 % REACTORS as u8;
                assert_eq!((code, payload), (0, [&correlation.to_le_bytes()[..], &[name]].concat()));
            }
        }
        for responder in &mut responders {
            responder.send(Unsubscribe { subscription: 1 });
            assert!(matches!(responder.frame(), Frame::Unsubscribed(_)));
        }
    }
}

/// The promise of SUBSCRIBED holds for responders, and what it gave is gone with UNSUBSCRIBED.
#[test]
fn a_responder_is_there_as_soon_as_it_knows_and_gone_as_soon_as_it_knows() {
    const ROUNDS: u32 = 200;
    let broker = broker_of_several("");
    let (mut responders, mut requesters) = (peers(&broker, REACTORS), peers(&broker, REACTORS));
    for round in 0..ROUNDS {
        let number = round as usize;
        let filter = ["ask/it", "ask/+", "+/it", "#"][number / REACTORS % 4];
        let responder = &mut responders[number % REACTORS];
        let group = format!("group-{}", round % 7);
        responder.subscribe(respond(filter, &group));
        for requester in &mut requesters {
            requester.send(ask("ask/it", round, b"?"));
        }
        answer(responder, REACTORS, b"!");
        for requester in &mut requesters {
            expect_answered(requester, round, b"?!");
        }
        responder.send(Unsubscribe { subscription: 1 });
        assert!(matches!(responder.frame(), Frame::Unsubscribed(_)));
        for requester in &mut requesters {
            requester.send(ask("ask/it", round, b"?"));
            expect_failed(requester, round, Code::NoResponders);
        }
    }
    responders.iter_mut().for_each(Peer::expect_quiet);
}

#[test]
fn who_asked_is_told_when_the_responder_goes_wherever_both_are() {
    let broker = broker_of_several("");
    let mut requesters = peers(&broker, REACTORS);
    for round in 0..3 * REACTORS as u32 {
        // On the next reactor each time.
        let mut responder = Peer::welcomed(broker.address());
        responder.subscribe(respond("ask/+", &format!("group-{round}")));
        for requester in &mut requesters {
            requester.send(ask("ask/it", 1, b"?"));
            requester.send(ask("ask/else", 2, b"?"));
        }
        for _ in 0..2 * REACTORS {
            next_call(&mut responder);
        }
        match round % 3 {
            0 => responder.reset(),
            1 => responder.end_output(),
            _ => drop(responder),
        }
        for requester in &mut requesters {
            let gone = (Code::ResponderGone.number(), Vec::new());
            assert_eq!(take_responses(requester, 2), BTreeMap::from([(1, gone.clone()), (2, gone)]));
        }
    }
}

/// Calls that stand in a responder's queue unread are told of like those that were read.
#[test]
fn a_deadline_ends_a_request_and_an_answer_that_comes_later_is_nobody_s() {
    let broker = broker_of_several("");
    let (mut responders, mut requesters) = (peers(&broker, REACTORS), peers(&broker, REACTORS));
    for (number, responder) in responders.iter_mut().enumerate() {
        responder.subscribe(respond("ask", &format!("group-{number}")));
        for requester in &mut requesters {
            requester.send(Request { deadline_ms: 20, ..ask("ask", 9, b"") });
        }
        for requester in &mut requesters {
            expect_failed(requester, 9, Code::DeadlineExceeded);
        }
        answer(responder, REACTORS, b"late");
        responder.expect_quiet();
        requesters.iter_mut().for_each(Peer::expect_quiet);
        responder.send(Unsubscribe { subscription: 1 });
        assert!(matches!(responder.frame(), Frame::Unsubscribed(_)));
    }
}

/// Asks until the only responder, which does not read, takes no more. Returns how often it was asked, and how many of
/// these were refused so far.
fn ask_until_busy(requester: &mut Peer) -> (u32, usize) {
    for correlation in 0..5_000 {
        requester.send(ask("ask", correlation, &[7; 4_000]));
        requester.send(Ping { time: 0 });
        let mut refused = 0;
        loop {
            match requester.frame() {
                Frame::Response(response) if response.code == Code::RespondersBusy.number() => refused += 1,
                Frame::Pong(_) => break,
                other => panic!("{other:?}"),
            }
        }
        if refused > 0 {
            return (correlation + 1, refused);
        }
    }
    panic!("a responder that does not read took everything");
}

/// Reads again, and answers everything until its own side is closed.
fn answer_all(mut responder: Peer) {
    while let Some(frame) = responder.next_frame() {
        match frame {
            Frame::Call(call) => {
                let handle = call.handle;
                responder.send(Reply { handle, headers: b"", payload: b"" });
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn responders_that_are_full_are_busy_until_they_have_read() {
    for place in 0..REACTORS {
        let broker = broker_of_several(&format!("{NARROW}requests_max = 10000\n"));
        let mut requester = Peer::welcomed(broker.address());
        let between = peers(&broker, place);
        let mut responder = Peer::connect_narrow(broker.address()).greet(HELLO);
        responder.subscribe(respond("ask", "narrow"));
        let (asked, refused) = ask_until_busy(&mut requester);
        let output = writer_of(&responder);
        std::thread::scope(|scope| {
            scope.spawn(|| answer_all(responder));
            let rest = take_responses(&mut requester, asked as usize - refused);
            let answered = rest.values().filter(|(code, _)| *code == 0).count();
            let busy = rest.values().filter(|(code, _)| *code == Code::RespondersBusy.number()).count();
            assert!(answered > 0 && answered + busy == rest.len(), "{answered} and {busy} of {}", rest.len());
            eventually("room for another question", || {
                requester.send(ask("ask", 0, b""));
                let (code, _) = take_responses(&mut requester, 1).remove(&0).expect("the answer");
                (code == 0).then_some(())
            });
            output.shutdown(Shutdown::Write).expect("connected");
        });
        drop(between);
    }
}

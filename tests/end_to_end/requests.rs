//! Requests and replies that go wrong: strangers' handles, answers twice or too late, ends that leave.

use super::broker::Broker;
use super::peer::{Peer, bytes_of, subscribe};
use super::scene::Scene;
use fanwire_wire::Code;
use fanwire_wire::frame::{Frame, Reply, Request, Response, Subscribe};

const DEADLINE_MS: u32 = 60_000;

const fn request(correlation: u32, deadline_ms: u32) -> Request<'static> {
    Request { correlation, deadline_ms, topic: b"ask", headers: b"", payload: b"question" }
}

const fn reply(handle: u64, payload: &[u8]) -> Reply<'_> {
    Reply { handle, headers: b"", payload }
}

fn responder(broker: &Broker) -> Peer {
    let mut peer = Peer::welcomed(broker.address());
    peer.subscribe(Subscribe { group: b"g", responder: true, ..subscribe(1, "ask") });
    peer
}

#[track_caller]
fn next_call(responder: &mut Peer) -> u64 {
    match responder.frame() {
        Frame::Call(call) => call.handle,
        other => panic!("no call: {other:?}"),
    }
}

#[track_caller]
fn expect_response(requester: &mut Peer, correlation: u32, outcome: Result<&[u8], Code>) {
    let (code, payload) = outcome.map_or_else(|code| (code.number(), &b""[..]), |payload| (0, payload));
    let expected = Response { correlation, code, headers: b"", payload };
    assert_eq!(requester.frame(), Frame::from(expected));
}

#[test]
fn a_handle_that_was_never_given_ends_the_connection() {
    let mut scene = Scene::new("");
    scene.closes(&bytes_of(reply(1, b"x")), Code::UnknownReplyHandle);
    let mut responder = responder(&scene.broker);
    let mut requester = scene.welcomed();
    requester.send(request(1, DEADLINE_MS));
    let handle = next_call(&mut responder);
    // The handle of another connection's call is nobody else's.
    scene.closes(&bytes_of(reply(handle, b"forged")), Code::UnknownReplyHandle);
    scene.breaks(responder, &bytes_of(reply(handle + 1, b"x")), Code::UnknownReplyHandle);
    expect_response(&mut requester, 1, Err(Code::ResponderGone));
    requester.expect_quiet();
}

#[test]
fn a_correlation_in_flight_ends_the_connection() {
    let mut scene = Scene::new("");
    let mut responder = responder(&scene.broker);
    let mut requester = scene.welcomed();
    requester.send(request(7, DEADLINE_MS));
    let handle = next_call(&mut responder);
    scene.breaks(requester, &bytes_of(request(7, DEADLINE_MS)), Code::DuplicateCorrelation);
    // Whom the answer was for is gone.
    responder.send(reply(handle, b"late"));
    responder.expect_quiet();
}

#[test]
fn answers_come_in_any_order_and_only_the_first_counts() {
    let broker = Broker::start("");
    let mut responder = responder(&broker);
    let mut requester = Peer::welcomed(broker.address());
    for correlation in [30, 10, 20] {
        requester.send(request(correlation, DEADLINE_MS));
    }
    let handles = [next_call(&mut responder), next_call(&mut responder), next_call(&mut responder)];
    responder.send(reply(handles[2], b"third"));
    responder.send(reply(handles[2], b"again"));
    responder.send(reply(handles[0], b"first"));
    responder.expect_quiet();
    expect_response(&mut requester, 20, Ok(b"third"));
    expect_response(&mut requester, 30, Ok(b"first"));
    // A correlation that is over may be used again.
    requester.send(request(20, DEADLINE_MS));
    let handle = next_call(&mut responder);
    responder.send(reply(handle, b"anew"));
    expect_response(&mut requester, 20, Ok(b"anew"));
    responder.send(reply(handles[1], b"second"));
    expect_response(&mut requester, 10, Ok(b"second"));
    requester.expect_quiet();
}

#[test]
fn an_answer_after_the_deadline_is_ignored() {
    let broker = Broker::start("");
    let mut responder = responder(&broker);
    let mut requester = Peer::welcomed(broker.address());
    requester.send(request(1, 50));
    let handle = next_call(&mut responder);
    expect_response(&mut requester, 1, Err(Code::DeadlineExceeded));
    responder.send(reply(handle, b"late"));
    responder.expect_quiet();
    requester.expect_quiet();
}

#[test]
fn a_request_that_nobody_can_answer_is_told_at_once() {
    let mut scene = Scene::new("[limits]\nrequests_max = 3\ndeadline_max = \"1m\"\n");
    let mut requester = scene.welcomed();
    requester.send(request(1, DEADLINE_MS));
    expect_response(&mut requester, 1, Err(Code::NoResponders));
    // Subscribers are no responders.
    let mut subscriber = scene.welcomed();
    subscriber.subscribe(subscribe(1, "ask"));
    subscriber.subscribe(Subscribe { group: b"g", ..subscribe(2, "ask") });
    requester.send(request(2, DEADLINE_MS));
    expect_response(&mut requester, 2, Err(Code::NoResponders));
    subscriber.expect_quiet();
    let mut responder = responder(&scene.broker);
    for deadline_ms in [0, 60_001, u32::MAX] {
        requester.send(request(3, deadline_ms));
        expect_response(&mut requester, 3, Err(Code::DeadlineOutOfRange));
    }
    scene.is_told(&requester, Code::DeadlineOutOfRange);
    for correlation in 10..13 {
        requester.send(request(correlation, DEADLINE_MS));
        next_call(&mut responder);
    }
    requester.send(request(13, DEADLINE_MS));
    expect_response(&mut requester, 13, Err(Code::TooManyRequests));
    scene.is_told(&requester, Code::TooManyRequests);
    drop(responder);
    let mut gone = Vec::new();
    for _ in 0..3 {
        match requester.frame() {
            Frame::Response(response) if response.code == Code::ResponderGone.number() => {
                gone.push(response.correlation);
            }
            other => panic!("{other:?}"),
        }
    }
    gone.sort_unstable();
    assert_eq!(gone, [10, 11, 12]);
    scene.witness.is_served();
}

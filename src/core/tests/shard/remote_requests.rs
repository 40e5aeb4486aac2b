//! Requests whose requester, responders' home and responder are on different shards.

use crate::row::{Row, group_at};
use crate::shell::wish;
use fanwire_core::{Command, SessionId, command};
use fanwire_wire::frame::Policy;
use std::time::Duration;

fn respond(row: &mut Row, shard: usize, session: SessionId, group: &str) {
    let wish = command::Subscribe { group: group.as_bytes(), responder: true, ..wish(1, "time", Policy::Disconnect) };
    row[shard].subscribe(session, wish);
    row.settle();
    assert_eq!(row[shard].received(session), ["subscribed 1"]);
    row[shard].resumed();
}

fn ask(row: &mut Row, shard: usize, session: SessionId, correlation: u32) {
    let request = Command::Request { correlation, deadline_ms: 1_000, topic: b"time", headers: b"", payload: b"now?" };
    row[shard].command(session, &request);
}

fn answer(row: &mut Row, shard: usize, session: SessionId, handle: u64) {
    row[shard].command(session, &Command::Reply { handle, headers: b"", payload: b"noon" });
}

#[test]
fn a_request_finds_its_responder_wherever_all_three_are() {
    let group = group_at(1, 3, "time", true);
    for (at, by) in [(0, 2), (0, 0), (1, 2), (2, 1), (1, 1)] {
        let mut row = Row::new(3);
        let (requester, responder) = (row[at].open(), row[by].open());
        respond(&mut row, by, responder, &group);
        for round in 1..=3 {
            ask(&mut row, at, requester, 7);
            row.settle();
            assert_eq!(row[by].received(responder), [format!("call {round}: now?")], "{at} asks {by}");
            answer(&mut row, by, responder, round);
            row.settle();
            assert_eq!(row[at].received(requester), ["reply 7: noon"], "{at} asks {by}");
        }
        assert!((0..3).all(|shard| row[shard].shard.is_at_rest()));
    }
}

#[test]
fn a_request_passes_homes_whose_responders_are_gone_or_going() {
    let mut row = Row::new(3);
    let (requester, near, far) = (row[0].open(), row[1].open(), row[2].open());
    respond(&mut row, 1, near, &group_at(1, 3, "time", true));
    respond(&mut row, 2, far, &group_at(2, 3, "time", true));
    // It is under way to the first home when that one's last responder leaves.
    ask(&mut row, 0, requester, 1);
    row[1].shard.remove_session(near);
    row.settle();
    assert_eq!(row[2].received(far), ["call 1: now?"]);
    row[2].shard.remove_session(far);
    row.settle();
    assert_eq!(row[0].received(requester), ["no reply 1 RESPONDER_GONE"]);
    ask(&mut row, 0, requester, 2);
    row.settle();
    assert_eq!(row[0].received(requester), ["no reply 2 NO_RESPONDERS"]);
}

#[test]
fn a_call_that_comes_back_from_a_responder_that_left_goes_to_another() {
    let mut row = Row::new(3);
    let group = group_at(1, 3, "time", true);
    let (requester, leaves, stays) = (row[1].open(), row[0].open(), row[2].open());
    respond(&mut row, 0, leaves, &group);
    respond(&mut row, 2, stays, &group);
    ask(&mut row, 1, requester, 1);
    row[1].turn();
    row[0].shard.remove_session(leaves);
    row.settle();
    assert_eq!(row[2].received(stays), ["call 1: now?"]);
}

#[test]
fn the_deadline_ends_both_sides_and_what_comes_later_is_late() {
    let mut row = Row::new(2);
    let group = group_at(1, 2, "time", true);
    let (requester, responder) = (row[0].open(), row[1].open());
    respond(&mut row, 1, responder, &group);
    ask(&mut row, 0, requester, 1);
    row.settle();
    row[1].received(responder);
    row.pass(Duration::from_millis(1_002));
    row.settle();
    row.turn();
    assert_eq!(row[0].received(requester), ["no reply 1 DEADLINE_EXCEEDED"]);
    assert!(row[0].shard.is_at_rest() && row[1].shard.is_at_rest());
    answer(&mut row, 1, responder, 1);
    row.settle();
    assert!(row[0].received(requester).is_empty());
    assert_eq!(row[1].shard.counters().late_replies, 1);
}

#[test]
fn a_requester_that_left_is_not_answered() {
    let mut row = Row::new(2);
    let group = group_at(1, 2, "time", true);
    let (requester, responder) = (row[0].open(), row[1].open());
    respond(&mut row, 1, responder, &group);
    ask(&mut row, 0, requester, 1);
    row.settle();
    row[0].shard.remove_session(requester);
    let successor = row[0].open();
    ask(&mut row, 0, successor, 1);
    answer(&mut row, 1, responder, 1);
    row.settle();
    assert!(row[0].received(successor).is_empty(), "the answer was not for it");
    assert_eq!(row[0].shard.counters().late_replies, 1);
}

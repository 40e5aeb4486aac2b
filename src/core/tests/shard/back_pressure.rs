//! Somebody stands still, and whatever others want of it has a bound: what waits in a shard for another one grows by
//! nothing that a client can say again and again.

use crate::row::{Row, group_at};
use crate::shell::{long, settings, wish};
use fanwire_core::{Command, Handled, SessionId, Settings, command};
use fanwire_wire::frame::Policy;
use std::time::Duration;

/// What fills a lane in these tests.
const LANE_BYTES: u64 = 2_000;
/// The largest payload that is published here, and what it costs besides.
const MESSAGE_BYTES: usize = 1_200;

fn row(count: usize) -> Row {
    Row::with(count, Settings { mailbox_bytes_max: LANE_BYTES, ..settings() })
}

/// Subscribes in a group, and waits until that stands.
fn join(row: &mut Row, shard: usize, session: SessionId, wish: command::Subscribe<'_>) {
    row[shard].subscribe(session, wish);
    row.settle();
    assert_eq!(row[shard].received(session), ["subscribed 1"]);
    row[shard].resumed();
}

/// Publishes from shard 0, whose mail to the home on shard 1 is read, until the publisher has to wait.
fn publish_until_postponed(row: &mut Row, publisher: SessionId, topic: impl Fn(u32) -> String) {
    for number in 0..1_000 {
        if row[0].try_publish(publisher, &topic(number), &long("job", 1_000)) == Handled::Postponed {
            return;
        }
        row.turn();
        row.carry(0, 1);
    }
    panic!("{} bytes wait, and nobody", row[1].shard.mail_to(2).bytes());
}

#[test]
fn a_group_with_a_wildcard_behind_a_full_lane_makes_publishers_of_all_its_topics_wait() {
    for filter in ["jobs/+", "+/red", "#"] {
        let mut row = row(3);
        let group = group_at(1, 3, filter, false);
        let (publisher, member) = (row[0].open(), row[2].open());
        join(
            &mut row,
            2,
            member,
            command::Subscribe { group: group.as_bytes(), ..wish(1, filter, Policy::Disconnect) },
        );
        publish_until_postponed(&mut row, publisher, |number| match filter {
            "+/red" => format!("jobs-{number}/red"),
            _ => format!("jobs/{number}"),
        });
        let at_home = row[1].shard.mail_to(2).bytes();
        assert!(at_home < LANE_BYTES as usize + 2 * MESSAGE_BYTES, "{filter}: {at_home} bytes");
        row.settle();
        assert_eq!(row[0].resumed(), [publisher], "{filter}");
        assert!((0..3).all(|shard| row[shard].shard.is_at_rest()), "{filter}");
    }
}

#[test]
fn a_group_whose_members_are_known_to_be_full_is_no_way_around_a_full_lane() {
    let mut row = row(3);
    let group = group_at(1, 3, "jobs", false);
    let (publisher, near, member) = (row[0].open(), row[1].open(), row[2].open());
    row.join(2, member, &group, Policy::DropNewest);
    row[2].stop_reading(member);
    for _ in 0..40 {
        row[1].publish(near, "jobs", &long("large", 50_000));
        row.settle();
    }
    publish_until_postponed(&mut row, publisher, |_| "jobs".to_owned());
    let at_home = row[1].shard.mail_to(2).bytes();
    assert!(at_home < LANE_BYTES as usize + 2 * MESSAGE_BYTES, "{at_home} bytes");
    row.settle();
    assert_eq!(row[0].resumed(), [publisher]);
}

#[test]
fn a_request_does_not_go_on_to_a_home_behind_a_full_lane() {
    let mut row = row(3);
    let requester = row[0].open();
    let (near, far) = (row[1].open(), row[2].open());
    for (shard, responder) in [(1, near), (2, far)] {
        let (group, wish) = (group_at(shard, 3, "time", true), wish(1, "time", Policy::Disconnect));
        join(&mut row, shard, responder, command::Subscribe { group: group.as_bytes(), responder: true, ..wish });
    }
    // The first home asks its responder in vain: it reads nothing.
    row[1].stop_reading(near);
    let payload = long("now?", 1_000);
    for correlation in 0..1_000 {
        let request =
            Command::Request { correlation, deadline_ms: 1, topic: b"time", headers: b"", payload: payload.as_bytes() };
        row[0].command(requester, &request);
        row.turn();
        row.carry(0, 1);
        row.carry(1, 0);
        row.pass(Duration::from_millis(2));
        row.turn();
    }
    let at_home = row[1].shard.mail_to(2).bytes();
    assert!(at_home < LANE_BYTES as usize + 2 * MESSAGE_BYTES, "{at_home} bytes");
    row.settle();
    let received = row[0].received(requester);
    assert_eq!(received.len(), 1_000, "each has its end");
    assert!(received.iter().any(|line| line.ends_with("RESPONDERS_BUSY")), "{:?}", received.last());
}

#[test]
fn the_only_member_of_a_group_gets_its_messages_in_order_though_it_was_full_for_some() {
    let mut row = Row::new(2);
    let group = group_at(1, 2, "jobs", false);
    let (publisher, member) = (row[1].open(), row[0].open());
    row.join(0, member, &group, Policy::DropNewest);
    row[0].stop_reading(member);
    // Small ones find room where large ones found none.
    for number in 0..60 {
        let bytes = if number % 2 == 0 { 60_000 } else { 100 };
        row[1].publish(publisher, "jobs", &long(&format!("n{number:02}"), bytes));
    }
    row.turn();
    row.carry(1, 0);
    row[0].read_on(member);
    row.settle();
    let received = row[0].received(member);
    let picked: Vec<&String> = received.iter().filter(|line| line.starts_with("picked")).collect();
    assert!(picked.len() > 30 && picked.is_sorted(), "{picked:?}");
}

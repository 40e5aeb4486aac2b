//! Groups whose members, publishers and home are on different shards.

use crate::row::{Row, group_at};
use crate::shell::{long, settings, wish};
use fanwire_core::{Command, Handled, Settings, command};
use fanwire_wire::frame::Policy;

#[test]
fn a_member_is_told_that_it_is_one_when_the_home_has_it_and_waits_until_then() {
    let mut row = Row::new(2);
    let group = group_at(1, 2, "jobs", false);
    let (member, publisher) = (row[0].open(), row[0].open());
    row[0].subscribe(member, command::Subscribe { group: group.as_bytes(), ..wish(1, "jobs", Policy::Disconnect) });
    row.turn();
    assert!(row[0].received(member).is_empty() && row[0].shard.is_waiting(member));
    assert_eq!(row[0].try_publish(member, "elsewhere", "its next command"), Handled::Postponed);
    assert_eq!(row[0].try_publish(publisher, "jobs", "before SUBSCRIBED"), Handled::Done);
    row.settle();
    assert_eq!(row[0].received(member)[0], "subscribed 1");
    assert_eq!(row[0].resumed(), [member]);
    row[0].publish(publisher, "jobs", "after it");
    row.settle();
    assert_eq!(row[0].received(member), ["picked 1: after it"]);
}

#[test]
fn members_anywhere_take_turns() {
    let mut row = Row::new(3);
    let group = group_at(1, 3, "jobs", false);
    let publisher = row[2].open();
    let members: Vec<_> = (0..3).map(|shard| (shard, row[shard].open())).collect();
    for (shard, member) in &members {
        row.join(*shard, *member, &group, Policy::Disconnect);
    }
    for number in 0..30 {
        row[2].publish(publisher, "jobs", &format!("job-n{number:02}"));
    }
    row.settle();
    for (shard, member) in members {
        let received = row[shard].received(member);
        assert!(received.len() == 10 && received.is_sorted(), "{received:?}");
    }
}

#[test]
fn what_was_under_way_to_a_member_that_left_goes_to_another() {
    let mut row = Row::new(3);
    let group = group_at(1, 3, "jobs", false);
    let (publisher, stays, leaves) = (row[1].open(), row[0].open(), row[2].open());
    row.join(0, stays, &group, Policy::Disconnect);
    row.join(2, leaves, &group, Policy::Disconnect);
    for number in 0..10 {
        row[1].publish(publisher, "jobs", &number.to_string());
    }
    row[1].turn();
    row[2].shard.remove_session(leaves);
    row.settle();
    assert_eq!(row[0].received(stays).len(), 10, "everything, for nothing had been handed over");
    assert_eq!(row[1].shard.counters().returned, 5);
}

#[test]
fn the_last_member_takes_the_group_with_it_even_if_it_left_before_it_stood() {
    let mut row = Row::new(2);
    let group = group_at(1, 2, "jobs", false);
    let (publisher, member) = (row[0].open(), row[0].open());
    row[0].subscribe(member, command::Subscribe { group: group.as_bytes(), ..wish(1, "jobs", Policy::Disconnect) });
    row[0].shard.remove_session(member);
    row.settle();
    row[0].publish(publisher, "jobs", "nobody is there");
    assert!(!row[0].shard.has_mail(1), "the home has lowered its bit");
    assert!(row[0].shard.is_at_rest() && row[1].shard.is_at_rest());
}

#[test]
fn a_member_elsewhere_that_is_full_is_passed_over_until_it_has_room() {
    let mut row = Row::new(2);
    let group = group_at(1, 2, "jobs", false);
    let (publisher, near, far) = (row[1].open(), row[1].open(), row[0].open());
    row.join(1, near, &group, Policy::DropNewest);
    row.join(0, far, &group, Policy::DropNewest);
    row[0].stop_reading(far);
    for _ in 0..40 {
        row[1].publish(publisher, "jobs", &long("large", 50_000));
        row.settle();
    }
    let returned = row[1].shard.counters().returned;
    assert_eq!(returned, 1, "told once, and not asked again");
    let near_count = row[1].received(near).len();
    row[1].publish(publisher, "jobs", "one");
    row[1].publish(publisher, "jobs", "two");
    row.settle();
    assert_eq!(row[1].received(near), ["picked 1: one", "picked 1: two"]);
    row[0].read_on(far);
    row.settle();
    assert_eq!(row[0].received(far).len(), 40 - near_count, "what came back went to one of them, once");
    for number in 0..4 {
        row[1].publish(publisher, "jobs", &number.to_string());
    }
    row.settle();
    assert_eq!((row[1].received(near).len(), row[0].received(far).len()), (2, 2));
}

#[test]
fn when_all_members_are_full_the_policy_of_the_one_whose_turn_it_is_acts_wherever_it_is() {
    let mut row = Row::new(2);
    let group = group_at(1, 2, "jobs", false);
    let (publisher, far) = (row[1].open(), row[0].open());
    row.join(0, far, &group, Policy::DropNewest);
    row[0].stop_reading(far);
    for _ in 0..30 {
        row[1].publish(publisher, "jobs", &long("large", 50_000));
        row.settle();
    }
    row[0].read_on(far);
    row.settle();
    let received = row[0].received(far);
    let delivered = received.iter().filter(|line| line.starts_with("picked")).count();
    assert_eq!(received.last().unwrap(), &format!("gap 1 dropped {} conflated 0", 30 - delivered));
}

#[test]
fn a_group_behind_a_full_lane_makes_its_publishers_wait_and_loses_nothing() {
    let mut row = Row::with(3, Settings { mailbox_bytes_max: 2_000, ..settings() });
    let group = group_at(1, 3, "jobs", false);
    let (publisher, other, member) = (row[0].open(), row[0].open(), row[2].open());
    row.join(2, member, &group, Policy::Disconnect);
    let mut sent = 0;
    // The publisher's mail comes through, the home's to the member does not.
    while row[0].try_publish(publisher, "jobs", &format!("{sent:04}")) == Handled::Done {
        sent += 1;
        row.turn();
        row.carry(0, 1);
        assert!(sent < 1_000, "what the home holds has a bound");
    }
    assert_eq!(row[1].shard.counters().jams, 1);
    assert_eq!(row[0].try_publish(other, "other", "goes on"), Handled::Done);
    let at_home = row[1].shard.mail_to(2).bytes();
    assert!(at_home < 2_500, "{at_home} bytes");
    row.settle();
    assert_eq!(row[0].resumed(), [publisher]);
    row[0].publish(publisher, "jobs", &format!("{sent:04}"));
    row.settle();
    let expected: Vec<String> = (0..=sent).map(|number| format!("picked 1: {number}")).collect();
    assert_eq!(row[2].received(member), expected);
}

#[test]
fn a_no_echo_member_is_not_picked_for_its_own_message_on_any_shard() {
    let mut row = Row::new(2);
    let group = group_at(1, 2, "jobs", false);
    let (quiet, other) = (row[0].open(), row[1].open());
    for (shard, session) in [(0, quiet), (1, other)] {
        let wish = command::Subscribe { group: group.as_bytes(), no_echo: true, ..wish(1, "jobs", Policy::Disconnect) };
        row[shard].command(session, &Command::Subscribe(wish));
        row.settle();
        row[shard].received(session);
    }
    for _ in 0..4 {
        row[0].publish(quiet, "jobs", "of the quiet one");
    }
    row.settle();
    assert_eq!(row[1].received(other).len(), 4);
    for _ in 0..4 {
        row[1].publish(other, "jobs", "of the other");
    }
    row.settle();
    assert_eq!((row[0].received(quiet).len(), row[1].received(other).len()), (4, 0));
}

/// What comes back is picked again by who wrote it. That session is gone, and its slot is another's.
#[test]
fn a_no_echo_member_gets_what_the_session_wrote_that_had_its_slot_before() {
    let mut row = Row::new(3);
    let group = group_at(1, 3, "jobs", false);
    let (writer, leaves) = (row[0].open(), row[2].open());
    row.join(2, leaves, &group, Policy::Disconnect);
    row[0].publish(writer, "jobs", "of the one before");
    row.turn();
    row.carry(0, 1);
    let mut picked = row.take(1, 2);
    row[0].shard.remove_session(writer);
    let successor = row[0].open();
    assert_eq!(successor.slot(), writer.slot());
    let wish = command::Subscribe { group: group.as_bytes(), no_echo: true, ..wish(1, "jobs", Policy::Disconnect) };
    row[0].subscribe(successor, wish);
    row.turn();
    row.carry(0, 1);
    row[2].shard.remove_session(leaves);
    row.read(1, 2, &mut picked);
    row[1].shard.note_transit(2, 0);
    row.settle();
    assert_eq!(row[0].received(successor), ["subscribed 1", "picked 1: of the one before"]);
}

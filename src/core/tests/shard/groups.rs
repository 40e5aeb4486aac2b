//! Groups: each message to one member, whoever joins and leaves.

use crate::shell::{Shell, long, settings, wish};
use fanwire_core::command;
use fanwire_wire::frame::Policy;

/// Many groups of one filter come and go in an order of their own; the sweep after every turn finds each in its place.
#[test]
fn groups_of_one_filter_leave_in_any_order() {
    for filter in ["jobs/new", "jobs/+"] {
        let mut shell = Shell::new(settings());
        let (publisher, worker) = (shell.open(), shell.open());
        let names: Vec<String> = (0..6).map(|number| format!("group-{number}")).collect();
        for (number, name) in names.iter().enumerate() {
            let group = name.as_bytes();
            shell.subscribe(worker, command::Subscribe { group, ..wish(number as u32, filter, Policy::Disconnect) });
        }
        shell.turn();
        shell.received(worker);
        for (left, number) in [(5, 0), (4, 3), (3, 5), (2, 1), (1, 2), (0, 4)] {
            shell.unsubscribe(worker, number);
            shell.publish(publisher, "jobs/new", "job");
            shell.turn();
            let received = shell.received(worker);
            assert_eq!(received[0], format!("unsubscribed {number}"));
            assert_eq!(received.len() - 1, left, "{filter}: {received:?}");
        }
    }
}

/// Messages to a crowd that does not read cost much and render nothing: the turn has to end all the same, so that
/// others get theirs.
#[test]
fn a_crowd_of_full_members_ends_the_turn() {
    let mut shell = Shell::new(settings());
    let (publisher, crowd) = (shell.open(), shell.open());
    let names: Vec<String> = (0..500).map(|number| format!("group-{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        let group = name.as_bytes();
        shell.subscribe(crowd, command::Subscribe { group, ..wish(number as u32, "jobs", Policy::DropNewest) });
    }
    shell.turn();
    shell.stop_reading(crowd);
    shell.publish(publisher, "jobs", &long("large", 60_000));
    shell.turn();
    let mut count = 0;
    while !shell.shard.wants_flush() {
        shell.publish(publisher, "jobs", &long("large", 60_000));
        count += 1;
        assert!(count <= 100, "every message asks 500 members");
    }
    shell.turn();
    assert!(!shell.shard.wants_flush());
}

//! Publishes that come together: as few as a bound may be passed by, and one after the other for everybody.

use crate::shell::{Shell, settings, wish};
use fanwire_core::command::Subscribe;
use fanwire_core::settings::{RUN_BYTES_MAX, RUN_MESSAGES_MAX};
use fanwire_core::{Command, Target};
use fanwire_wire::frame::{AckLevel, Policy};
use std::time::Duration;

#[test]
fn publishes_come_one_by_one_where_groups_make_each_of_them_dear() {
    let mut shell = Shell::new(settings());
    let (publisher, member) = (shell.open(), shell.open());
    shell.command(publisher, &Command::Register { short_id: 0, topic: b"room/7" });
    assert_eq!(shell.shard.run_messages_max(publisher, 0), RUN_MESSAGES_MAX);
    assert_eq!(shell.shard.run_messages_max(publisher, 1), 1, "nobody has registered it");
    for filter in ["room/7", "room/+"] {
        shell.subscribe(member, Subscribe { group: b"workers", ..wish(1, filter, Policy::Disconnect) });
        assert_eq!(shell.shard.run_messages_max(publisher, 0), 1, "{filter}");
        shell.unsubscribe(member, 1);
        assert_eq!(shell.shard.run_messages_max(publisher, 0), RUN_MESSAGES_MAX, "{filter}");
    }
}

#[test]
fn a_run_is_shorter_where_the_name_is_long() {
    let mut shell = Shell::new(settings());
    let publisher = shell.open();
    let name = "n".repeat(200);
    shell.command(publisher, &Command::Register { short_id: 0, topic: name.as_bytes() });
    assert_eq!(shell.shard.run_messages_max(publisher, 0), RUN_BYTES_MAX / 200);
}

#[test]
fn a_run_is_conflated_to_its_last_message_and_is_nothing_to_whoever_published_it() {
    let mut shell = Shell::new(settings());
    let (publisher, newest, others) = (shell.open(), shell.open(), shell.open());
    shell.subscribe(newest, Subscribe { max_rate_hz: 1, ..wish(1, "room/7", Policy::Conflate) });
    for session in [publisher, others] {
        shell.subscribe(session, Subscribe { no_echo: true, ..wish(1, "room/7", Policy::Disconnect) });
    }
    shell.publish(publisher, "room/7", "before");
    shell.turn();
    for session in [publisher, newest, others] {
        shell.received(session);
    }
    let payloads: &[&[u8]] = &[b"one", b"two", b"three"];
    let target = Target::Name(b"room/7");
    shell.command(publisher, &Command::Publish { target, ack: AckLevel::Routed, headers: b"", payloads });
    shell.turn();
    assert_eq!(shell.received(publisher), ["acked 1 count 3"]);
    assert_eq!(shell.received(others), ["id: one", "id: two", "id: three"]);
    shell.pass(Duration::from_secs(1));
    shell.turn();
    shell.turn();
    assert_eq!(shell.received(newest), ["gap 1 dropped 0 conflated 2", "id: three"]);
}

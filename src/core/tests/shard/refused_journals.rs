//! A journal that could not be opened: what it would have to do is refused, and nothing else suffers.

use crate::shell::{Shell, settings, wish};
use fanwire_core::journal::plan::{Plan, Planned};
use fanwire_core::{Command, Handled, Seat, SessionId, Target, command};
use fanwire_wire::frame::{AckLevel, Policy, Start};

/// A shard that knows of a journal of `kept/#`, and of one of `lost/#` that is refused.
fn shell() -> Shell {
    let planned = |filter: &str, epoch, is_refused| Planned {
        filters: vec![filter.into()],
        is_volatile: false,
        epoch,
        is_refused,
    };
    let plan = Plan::new(vec![planned("kept/#", 7, false), planned("lost/#", 0, true)]);
    Shell::planned(settings(), Seat::row_with_journals(1).remove(0), plan)
}

fn publish(shell: &mut Shell, session: SessionId, topic: &str, ack: AckLevel) {
    let target = Target::Name(topic.as_bytes());
    let command = Command::Publish { target, ack, headers: b"", payloads: &[b"one", b"two"] };
    let handled = shell.shard.handle(session, &command).expect("the tests break no protocol");
    assert_eq!(handled, Handled::Done, "nothing has to wait");
}

#[test]
fn publishes_to_a_refused_journal_are_refused_by_the_plan_and_never_reach_the_journal_thread() {
    let mut shell = shell();
    let publisher = shell.open();
    for ack in [AckLevel::None, AckLevel::Routed, AckLevel::Journaled, AckLevel::Durable] {
        publish(&mut shell, publisher, "lost/1", ack);
    }
    shell.turn();
    let refused = |number| format!("refused {number} JOURNAL_FAILED");
    let expected: Vec<String> = [0, 0, 1, 2, 3, 4, 5, 6].map(refused).into();
    assert_eq!(shell.received(publisher), expected);
    assert!(!shell.shard.has_submissions(), "nobody there has a place for them");
    publish(&mut shell, publisher, "kept/1", AckLevel::Journaled);
    assert!(shell.shard.has_submissions(), "the other journal takes its own");
}

#[test]
fn a_refused_journal_lets_listen_and_has_no_history() {
    let mut shell = shell();
    let session = shell.open();
    for (subscription, policy) in (1..).zip([Policy::Disconnect, Policy::CatchUp]) {
        shell.subscribe(session, wish(subscription, "lost/#", policy));
    }
    let starts = [Start::First, Start::LastValue, Start::Position { position: 9 }, Start::Resume { epoch: 7, last: 9 }];
    for (subscription, start) in (3..).zip(starts) {
        shell.subscribe(session, command::Subscribe { start, ..wish(subscription, "lost/+", Policy::CatchUp) });
    }
    shell.turn();
    let expected = [
        "subscribed 1",
        "subscribed 2",
        "refused 3 JOURNAL_FAILED",
        "refused 4 JOURNAL_FAILED",
        "refused 5 JOURNAL_FAILED",
        "refused 6 JOURNAL_FAILED",
    ];
    assert_eq!(shell.received(session), expected);
    assert!(!shell.shard.has_submissions(), "nobody there could answer");
    shell.unsubscribe(session, 2);
    shell.turn();
    assert_eq!(shell.received(session), ["unsubscribed 2"]);
    shell.subscribe(session, command::Subscribe { start: Start::First, ..wish(2, "kept/+", Policy::CatchUp) });
    assert!(shell.shard.has_submissions(), "the other journal is asked");
}

#[test]
fn live_topics_go_on_beside_a_refused_journal_and_under_filters_that_cross_it() {
    let mut shell = shell();
    let session = shell.open();
    shell.subscribe(session, wish(1, "#", Policy::Disconnect));
    shell.publish(session, "lost/1", "never seen");
    shell.publish(session, "live/1", "seen");
    shell.turn();
    assert_eq!(shell.received(session), ["subscribed 1", "refused 0 JOURNAL_FAILED", "live/1: seen"]);
}

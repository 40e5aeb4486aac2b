//! Full queues: what is dropped, what is told of it, and who has to go.

use crate::shell::{Shell, long, settings, wish};
use fanwire_core::{SessionId, Settings, command};
use fanwire_wire::Code;
use fanwire_wire::frame::Policy;

/// Values that waited for the socket stand in the queue each behind a GAP of its own. When they are dropped in turn,
/// because more comes than the queue holds, what is left is one GAP, not a row of them.
#[test]
fn gaps_without_a_message_between_them_become_one() {
    let mut shell = Shell::new(settings());
    let (publisher, player) = (shell.open(), shell.open());
    shell.subscribe(player, wish(1, "state/+", Policy::Conflate));
    shell.turn();
    shell.stop_reading(player);
    shell.publish(publisher, "state/first", "first");
    shell.turn();
    for number in 0..8 {
        let topic = format!("state/{number}");
        shell.publish(publisher, &topic, "early");
        shell.publish(publisher, &topic, &long("late", 40_000));
    }
    shell.turn();
    // The socket takes what was queued, and what waited for it follows.
    shell.read_on(player);
    assert!(shell.write_once(player));
    for _ in 0..8 {
        shell.publish(publisher, "state/more", &long("more", 40_000));
    }
    shell.turn();
    let received = shell.received(player);
    let (first, gap) = (&received[..2], &received[2]);
    assert_eq!(first, ["subscribed 1", "state/first: first"]);
    assert!(gap.starts_with("gap 1 dropped"), "{received:?}");
    let gaps: Vec<&String> = received.iter().filter(|line| line.starts_with("gap")).collect();
    let messages = received.len() - 2 - gaps.len();
    assert_eq!(messages + gaps.iter().map(|line| missing(line)).sum::<usize>(), 8 * 2 + 8, "{received:?}");
    assert!(
        received.windows(2).all(|pair| !(pair[0].starts_with("gap") && pair[1].starts_with("gap"))),
        "{received:?}"
    );
}

/// A session that subscribes to a topic of its own and does not read.
fn open_deaf(shell: &mut Shell, topic: &str) -> SessionId {
    let session = shell.open();
    shell.subscribe(session, wish(1, topic, Policy::DropNewest));
    shell.turn();
    shell.stop_reading(session);
    session
}

fn load(shell: &mut Shell, session: SessionId, topic: &str, bytes: usize) {
    for _ in 0..bytes / 50_000 {
        shell.publish(session, topic, &long("load", 50_000));
    }
}

#[test]
fn the_largest_queues_go_when_all_together_are_too_much() {
    let mut shell = Shell::new(Settings { queue_bytes_total_max: 500_000, ..settings() });
    let loads = [("a", 100_000), ("b", 250_000), ("c", 150_000), ("d", 300_000)];
    let sessions = loads.map(|(topic, _)| open_deaf(&mut shell, topic));
    for (session, (topic, bytes)) in sessions.into_iter().zip(loads) {
        load(&mut shell, session, topic, bytes);
    }
    let closures = shell.closures();
    assert_eq!(closures, [(sessions[3], Code::QueueOverflow), (sessions[1], Code::QueueOverflow)]);
    assert!(shell.shard.queue_bytes_total() <= 500_000);
}

/// Who half-closes and does not read keeps a queue that is flushed as far as it goes. It must not cost the others
/// their connections.
#[test]
fn the_queue_of_a_session_that_has_left_goes_before_a_smaller_one_of_somebody_who_is_there() {
    let mut shell = Shell::new(Settings { queue_bytes_total_max: 500_000, ..settings() });
    let (gone, there) = (open_deaf(&mut shell, "gone"), open_deaf(&mut shell, "there"));
    load(&mut shell, gone, "gone", 400_000);
    shell.turn();
    shell.shard.end_session(gone);
    load(&mut shell, there, "there", 200_000);
    assert_eq!(shell.closures(), [(gone, Code::QueueOverflow)]);
    assert!(shell.shard.queue_bytes(there) >= 200_000);
}

/// What one session holds for conflation counts like what is queued, so it has to be freed like it.
#[test]
fn a_closed_session_gives_up_the_values_it_held() {
    let mut shell = Shell::new(Settings { queue_bytes_total_max: 500_000, ..settings() });
    let (player, other) = (shell.open(), open_deaf(&mut shell, "other"));
    shell.subscribe(player, wish(1, "state/+", Policy::Conflate));
    shell.turn();
    shell.stop_reading(player);
    shell.publish(other, "state/0", "first");
    shell.turn();
    for number in 0..8 {
        shell.publish(other, &format!("state/{number}"), &long("held", 50_000));
    }
    load(&mut shell, other, "other", 200_000);
    assert_eq!(shell.closures(), [(player, Code::QueueOverflow)]);
    assert!(shell.shard.queue_bytes(player) < 1_000);
}

/// Between the full queue and the close lies the rest of the turn. An answer to what it still says would stand behind
/// messages that are missing without a GAP.
#[test]
fn a_slow_consumer_is_told_nothing_more_but_the_reason() {
    let mut shell = Shell::new(settings());
    let (publisher, slow) = (shell.open(), shell.open());
    shell.subscribe(slow, wish(1, "a", Policy::Disconnect));
    shell.turn();
    shell.received(slow);
    shell.stop_reading(slow);
    load(&mut shell, publisher, "a", 500_000);
    shell.turn();
    shell.read_on(slow);
    shell.unsubscribe(slow, 1);
    shell.turn();
    let received = shell.received(slow);
    assert!(received.iter().all(|line| line == "id: load"), "{received:?}");
}

/// One connection that is closed is counted once, however much was on its way to it.
#[test]
fn a_slow_consumer_is_counted_once() {
    let mut shell = Shell::new(settings());
    let (publishers, slow) = ([shell.open(), shell.open()], shell.open());
    shell.subscribe(slow, command::Subscribe { no_echo: true, ..wish(1, "a", Policy::Disconnect) });
    shell.turn();
    shell.stop_reading(slow);
    for _ in 0..20 {
        shell.publish(publishers[0], "a", &long("load", 30_000));
        shell.publish(slow, "a", "its own, which parts what the others wrote");
        shell.publish(publishers[1], "a", &long("load", 30_000));
    }
    assert_eq!(shell.closures(), [(slow, Code::SlowConsumer)]);
    assert_eq!(shell.shard.counters().slow_closed, 1);
}

/// Offering bytes to a socket that is known to be full costs a system call a turn for each slow reader.
#[test]
fn a_full_socket_is_left_alone_until_it_takes_bytes_again() {
    let mut shell = Shell::new(settings());
    let publisher = shell.open();
    let deaf = open_deaf(&mut shell, "quiet");
    shell.publish(publisher, "quiet", "first");
    shell.turn();
    shell.publish(publisher, "quiet", "second");
    shell.shard.finish_turn();
    assert!(!shell.shard.has_dirty(), "its socket has refused the first");
    shell.read_on(deaf);
    assert!(shell.shard.has_dirty());
    shell.turn();
    let received = shell.received(deaf);
    let words: Vec<&str> = received.iter().filter_map(|line| line.rsplit(' ').next()).collect();
    assert!(words.ends_with(&["first", "second"]), "{received:?}");
}

/// Dropped and conflated messages of a GAP's line.
fn missing(line: &str) -> usize {
    line.split(' ').skip(2).filter_map(|word| word.parse::<usize>().ok()).sum()
}

/// A peer that has not even been greeted could not make sense of the reason why it has to go.
#[test]
fn the_first_thing_said_to_a_session_is_never_thrown_away() {
    let mut shell = Shell::new(Settings { queue_bytes_total_max: 100_000, ..settings() });
    let (publisher, newcomer) = (shell.open(), shell.open());
    shell.shard.send(newcomer, |out| out.extend_from_slice(b"hello\n"));
    shell.subscribe(newcomer, wish(1, "a", Policy::Disconnect));
    shell.stop_reading(newcomer);
    load(&mut shell, publisher, "a", 200_000);
    assert_eq!(shell.closures(), [(newcomer, Code::QueueOverflow)]);
    shell.shard.end_session(newcomer);
    shell.shard.send(newcomer, |out| out.extend_from_slice(b"goodbye\n"));
    shell.read_on(newcomer);
    shell.turn();
    let received = shell.received(newcomer);
    assert_eq!(
        (received.first().map(String::as_str), received.last().map(String::as_str)),
        (Some("hello"), Some("goodbye"))
    );
}

/// A GAP takes room, too, and each of many subscriptions may have to tell one when the queue is full already.
#[test]
fn the_gaps_of_many_subscriptions_stay_within_the_reserve() {
    let mut shell = Shell::new(settings());
    let (publisher, deaf) = (shell.open(), shell.open());
    let topics: Vec<String> = (0..9_000).map(|number| format!("topic/{number}")).collect();
    for (number, topic) in topics.iter().enumerate() {
        shell.subscribe(deaf, wish(number as u32, topic, Policy::DropNewest));
    }
    shell.turn();
    shell.stop_reading(deaf);
    load(&mut shell, publisher, "topic/0", 500_000);
    for _ in 0..50 {
        shell.publish(publisher, "topic/0", &long("load", 1_000));
    }
    for topic in &topics {
        shell.publish(publisher, topic, &long("lost", 1_000));
    }
    let bound = settings().limits.queue_bytes_max + fanwire_core::settings::CONTROL_BYTES_RESERVE;
    let closures = shell.closures();
    assert_eq!(closures, [(deaf, Code::QueueOverflow)]);
    assert!(shell.shard.queue_bytes(deaf) <= bound + 100, "{} of {bound}", shell.shard.queue_bytes(deaf));
}

/// The least `queue_bytes_max` is enough for whoever reads everything, however a turn's messages spread over topics.
#[test]
fn no_turn_is_too_much_for_a_socket_that_takes_everything() {
    for (topic_count, bytes) in [(1, 4), (1, 64_000), (300, 1_000), (10_000, 4), (10_000, 40)] {
        let mut shell = Shell::new(settings());
        let (publisher, reader) = (shell.open(), shell.open());
        let topics: Vec<String> = (0..topic_count).map(|number| format!("topic/{number}")).collect();
        for (number, topic) in topics.iter().enumerate() {
            shell.subscribe(reader, wish(number as u32, topic, Policy::Disconnect));
        }
        shell.turn();
        for topic in topics.iter().cycle() {
            if shell.shard.wants_flush() {
                break;
            }
            shell.publish(publisher, topic, &long("", bytes));
        }
        assert_eq!(shell.closures(), [], "{topic_count} topics, {bytes} bytes");
        assert_eq!(shell.shard.counters().dropped, 0);
    }
}

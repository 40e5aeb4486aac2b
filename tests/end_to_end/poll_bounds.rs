//! Long polls at their bounds: of sessions, queues, answers and cursors.

use super::broker::Broker;
use super::peer::Peer;
use super::poll::{MEMORY, Poller, payload_of, payloads_of, say};
use super::process::eventually;
use super::web::{Answer, ask};
use serde_json::Value;

#[test]
fn sessions_are_bounded_and_one_that_nobody_polls_makes_room() {
    let broker = Broker::start(&format!("{MEMORY}[http]\npoll_sessions_max = 2\npoll_session_time_max = \"1s\"\n"));
    let mut live = Poller::begun(&broker, "topic=chat");
    let mut kept = Poller::begun(&broker, "topic=match/1");
    let mut peer = Peer::welcomed(broker.address());
    say(&mut peer, "match/1", "one");
    assert_eq!(kept.messages(1), ["one"]);
    let other = Poller::new(&broker, "topic=other");
    other.peek("0s").refuses(503, "UNAVAILABLE");
    // As long as they are polled, they stay.
    for _ in 0..5 {
        assert_eq!((live.poll("300ms"), kept.poll("300ms")), (Vec::new(), Vec::new()));
        other.peek("0s").refuses(503, "UNAVAILABLE");
    }
    say(&mut peer, "match/1", "two");
    // Nobody polls them any more: others get their places, until those go too.
    accepted(&other);
    accepted(&other);
    let answer = accepted(&live);
    answer.refuses(410, "CURSOR_GONE");
    // A journal has what came meanwhile.
    let answer = accepted(&kept);
    let mut told = kept.take(&answer);
    while !told.iter().any(|object| object["type"] == "history") {
        told.extend(kept.poll("20s"));
    }
    let history: Vec<Value> = told.into_iter().filter(|object| object["type"] == "history").collect();
    assert_eq!(payloads_of(&history), ["two"]);
}

/// The answer, once there is room for a session.
#[track_caller]
fn accepted(poller: &Poller) -> Answer {
    eventually("room for a session", || Some(poller.peek("0s")).filter(|answer| answer.status != 503))
}

/// A queue that holds a few messages.
fn narrow(journals: &str) -> Broker {
    Broker::start(&format!(
        "[limits]\nframe_bytes_max = \"8KiB\"\nheaders_bytes_max = \"1KiB\"\nqueue_bytes_max = \"400KiB\"\n{journals}"
    ))
}

#[test]
fn who_polls_too_slowly_is_told_how_much_is_missing() {
    const COUNT: u32 = 400;
    let broker = narrow("");
    let mut peer = Peer::welcomed(broker.address());
    for policy in ["drop-oldest", "drop-newest", "conflate"] {
        let mut poller = Poller::begun(&broker, &format!("topic=chat&policy={policy}"));
        for number in 1..=COUNT {
            say(&mut peer, "chat", &format!("{number:04000}"));
        }
        let (mut told, mut missing) = (Vec::new(), 0);
        while told.len() as u64 + missing < u64::from(COUNT) {
            for object in poller.poll("20s") {
                match object["type"].as_str() {
                    Some("message") => told.push(payload_of(&object).parse::<u32>().expect("a number")),
                    Some("gap") => {
                        missing += object["dropped"].as_u64().unwrap() + object["conflated"].as_u64().unwrap();
                    }
                    _ => panic!("{object}"),
                }
            }
        }
        assert!(missing > 0 && told.is_sorted(), "{policy}: {missing}");
        let last = told.last().copied();
        assert!(if policy == "drop-newest" { told[0] == 1 } else { last == Some(COUNT) }, "{policy}: {told:?}");
    }
}

#[test]
fn what_a_journal_has_is_not_lost_on_who_polls_too_slowly() {
    const COUNT: u32 = 400;
    let broker = narrow(MEMORY);
    let mut peer = Peer::welcomed(broker.address());
    for query in ["topic=match/1", "topic=match/%2B"] {
        let mut poller = Poller::begun(&broker, query);
        for number in 1..=COUNT {
            say(&mut peer, "match/1", &format!("{number:04000}"));
        }
        let told: Vec<u32> =
            poller.messages(COUNT as usize).iter().map(|text| text.parse().expect("a number")).collect();
        assert!(told.into_iter().eq(1..=COUNT));
    }
}

#[test]
fn a_policy_that_disconnects_ends_the_session() {
    let broker = narrow("");
    let poller = Poller::begun(&broker, "topic=chat&policy=disconnect");
    let mut peer = Peer::welcomed(broker.address());
    for _ in 0..300 {
        say(&mut peer, "chat", &"x".repeat(4_000));
    }
    poller.peek("20s").refuses(410, "CURSOR_GONE");
}

/// Control characters take six letters in JSON.
#[test]
fn records_that_grow_in_json_beyond_a_queue_are_told_whole() {
    let broker = Broker::start(MEMORY);
    let mut peer = Peer::welcomed(broker.address());
    let payload = "\u{1}".repeat(400_000);
    (0..3).for_each(|_| say(&mut peer, "match/1", &payload));
    let history = ask(broker.address(), "GET", "/v1/topics/match/1", "", b"");
    let lines: Vec<Value> = history.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(payloads_of(&lines), vec![payload.clone(); 3]);
    let mut poller = Poller::begun(&broker, "topic=match/1&from=first&limit=1");
    assert_eq!(poller.messages(3), vec![payload.clone(); 3]);
    say(&mut peer, "match/1", &payload);
    assert_eq!(poller.messages(1), [payload]);
}

#[test]
fn the_cursor_of_as_many_topics_as_there_may_be_fits_into_a_request() {
    let broker = Broker::start(MEMORY);
    let mut peer = Peer::welcomed(broker.address());
    let query = |count: u32| (1..=count).map(|number| format!("topic=match/{number}")).collect::<Vec<_>>().join("&");
    Poller::new(&broker, &query(65)).peek("0s").refuses(400, "BAD_PARAMETER");
    let mut poller = Poller::begun(&broker, &query(64));
    (1..=64).for_each(|number| say(&mut peer, &format!("match/{number}"), "x"));
    assert_eq!(poller.messages(64).len(), 64);
    assert_eq!(poller.poll("0s"), Vec::<Value>::new());
}

//! The command line against a running broker: what the quick start promises, verb by verb, and how each ends.

use super::broker::Broker;
use super::process::{Ended, Process, fanwire};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Starts a verb that talks to this broker.
fn start(broker: &Broker, arguments: &[&str]) -> Process {
    let mut command = fanwire(arguments);
    command.env("FANWIRE_SERVER", broker.url());
    Process::start(command)
}

/// Starts `sub` and waits until its subscriptions stand.
fn subscriber(broker: &Broker, filters: &[&str], more: &[&str]) -> Process {
    let process = start(broker, &[&["sub"], filters, more].concat());
    for filter in filters {
        process.wait_for_err(&[&format!("subscribed to {filter}")]);
    }
    process
}

fn responder(broker: &Broker, arguments: &[&str]) -> Process {
    let process = start(broker, &[&["reply"], arguments].concat());
    process.wait_for_err(&["answering requests"]);
    process
}

/// Runs a verb to its end.
#[track_caller]
fn run(broker: &Broker, arguments: &[&str], input: &[u8], status: i32) -> Ended {
    let mut process = start(broker, arguments);
    if !input.is_empty() {
        process.write(input);
    }
    expect_status(process.end(), status)
}

#[track_caller]
fn expect_status(ended: Ended, status: i32) -> Ended {
    assert_eq!(ended.status.code(), Some(status), "{}", ended.err);
    ended
}

#[test]
fn a_message_is_shown_as_text_raw_and_json() {
    let broker = Broker::start("");
    let text = subscriber(&broker, &["chat/#"], &["--count", "2"]);
    let raw = subscriber(&broker, &["chat/#"], &["--count", "2", "--format", "raw"]);
    let json = subscriber(&broker, &["chat/#"], &["--count", "2", "--format", "json"]);
    run(&broker, &["pub", "chat/lobby", "hello"], b"", 0);
    run(&broker, &["pub", "chat/lobby"], b"\xff\x00", 0);
    assert_eq!(expect_status(text.end(), 0).out, b"chat/lobby: hello\nchat/lobby: \xff\x00\n");
    assert_eq!(expect_status(raw.end(), 0).out, b"hello\xff\x00");
    let lines = String::from_utf8(expect_status(json.end(), 0).out).expect("text");
    let objects: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let expected =
        [json!({"topic": "chat/lobby", "payload": "hello"}), json!({"topic": "chat/lobby", "payload_base64": "/wA="})];
    assert_eq!(objects, expected);
}

#[test]
fn lines_repeats_and_paces_come_out_in_order() {
    let broker = Broker::start("");
    let sub = subscriber(&broker, &["log/app"], &["--count", "1010", "--format", "text"]);
    run(&broker, &["pub", "log/app", "--lines"], b"one\ntwo\n\nlast", 0);
    run(&broker, &["pub", "log/app", "again", "--repeat", "1000"], b"", 0);
    run(&broker, &["pub", "log/app", "--lines", "--repeat", "2", "--rate", "1000"], b"a\nb\nc\n", 0);
    let out = String::from_utf8(expect_status(sub.end(), 0).out).expect("text");
    let mut expected = "log/app: one\nlog/app: two\nlog/app: \nlog/app: last\n".to_owned();
    expected.push_str(&"log/app: again\n".repeat(1_000));
    expected.push_str("log/app: a\nlog/app: a\nlog/app: b\nlog/app: b\nlog/app: c\nlog/app: c\n");
    assert_eq!(out, expected);
}

#[test]
fn an_acknowledged_publish_says_how_many_were_routed() {
    let broker = Broker::start("");
    let ended = run(&broker, &["pub", "orders/7", "paid", "--ack", "routed", "--repeat", "20000"], b"", 0);
    assert!(ended.err.contains("20000 messages routed"), "{}", ended.err);
}

#[test]
fn a_message_that_several_filters_match_is_shown_once() {
    let broker = Broker::start("");
    let sub = subscriber(&broker, &["a/b", "a/+", "#"], &["--count", "2"]);
    run(&broker, &["pub", "a/b", "both"], b"", 0);
    run(&broker, &["pub", "c", "one"], b"", 0);
    assert_eq!(expect_status(sub.end(), 0).out, b"a/b: both\nc: one\n");
}

#[test]
fn members_of_a_group_share_the_messages() {
    let broker = Broker::start("");
    let member = || subscriber(&broker, &["jobs/new"], &["--group", "workers", "--count", "50"]);
    let (first, second) = (member(), member());
    run(&broker, &["pub", "jobs/new", "job", "--repeat", "100"], b"", 0);
    assert_eq!(expect_status(first.end(), 0).out, b"jobs/new: job\n".repeat(50));
    assert_eq!(expect_status(second.end(), 0).out, b"jobs/new: job\n".repeat(50));
}

#[test]
fn a_request_is_answered_by_an_echo_or_a_command() {
    let broker = Broker::start("");
    let echo = responder(&broker, &["ping", "--echo"]);
    let upper = responder(&broker, &["upper/+", "--exec", "sh -c 'printf %s: \"$FANWIRE_TOPIC\"; tr a-z A-Z'"]);
    assert_eq!(run(&broker, &["request", "ping", "who's there?"], b"", 0).out, b"who's there?");
    assert_eq!(run(&broker, &["request", "ping"], b"from\xffstdin", 0).out, b"from\xffstdin");
    assert_eq!(run(&broker, &["request", "upper/case", "quiet"], b"", 0).out, b"upper/case:QUIET");
    for process in [echo, upper] {
        process.signal(Signal::TERM);
        expect_status(process.end(), 0);
    }
    let nobody = run(&broker, &["request", "ping", "hello?"], b"", 1);
    assert!(nobody.err.contains("nobody answers"), "{}", nobody.err);
}

#[test]
fn a_command_that_fails_gives_no_reply_and_harms_nobody() {
    let broker = Broker::start("");
    let reply = responder(&broker, &["maybe", "--exec", "sh -c 'grep yes'"]);
    let failed = run(&broker, &["request", "maybe", "no", "--timeout", "200ms"], b"", 1);
    assert!(failed.err.contains("deadline"), "{}", failed.err);
    reply.wait_for_err(&["no reply on maybe", "exit status: 1"]);
    assert_eq!(run(&broker, &["request", "maybe", "yes", "--timeout", "30s"], b"", 0).out, b"yes\n");
}

#[test]
fn ctrl_c_ends_a_subscriber_well() {
    let broker = Broker::start("");
    let sub = subscriber(&broker, &["#"], &[]);
    run(&broker, &["pub", "a", "before the end"], b"", 0);
    sub.wait_for_out("a: before the end");
    sub.signal(Signal::INT);
    expect_status(sub.end(), 0);
}

#[test]
fn a_subscriber_outlives_its_broker() {
    let broker = Broker::start("");
    let address = broker.address().to_string();
    let sub = subscriber(&broker, &["news"], &[]);
    broker.kill();
    sub.wait_for_err(&["the connection is lost"]);
    let broker = Broker::start_at(&address, "");
    sub.wait_for_err(&["connected again"]);
    // Connected is not yet subscribed again: a message tells.
    let mut publisher = start(&broker, &["pub", "news", "--lines"]);
    super::process::eventually("a message after the reconnect", || {
        publisher.write(b"back\n");
        sub.out().contains("news: back").then_some(())
    });
    publisher.end_input();
    expect_status(publisher.end(), 0);
}

#[test]
fn a_publisher_that_loses_its_broker_fails() {
    let broker = Broker::start("");
    let mut publisher = start(&broker, &["pub", "a", "--lines", "--ack", "routed"]);
    publisher.write(b"first\n");
    let sub = subscriber(&broker, &["#"], &[]);
    publisher.write(b"second\n");
    sub.wait_for_out("a: second");
    broker.kill();
    // The verb waits for its next line and notices then.
    publisher.write(b"third\n");
    let ended = expect_status(publisher.end(), 1);
    assert!(ended.err.contains("messages were acknowledged"), "{}", ended.err);
}

#[test]
fn a_token_opens_the_door_and_a_wrong_one_does_not() {
    let broker = Broker::start("tokens = [\"open-sesame\"]\n");
    assert!(broker.banner().contains("authenticated: 1 token"), "{}", broker.banner());
    let url = |token: &str| format!("fanwire://{token}@{}", broker.address());
    let with = |token: &str, status| {
        let process = Process::start(fanwire(&["pub", "a", "x", "--server", &url(token)]));
        expect_status(process.end(), status)
    };
    with("open-sesame", 0);
    let refused = with("open-barley", 1);
    assert!(refused.err.contains("BAD_CREDENTIALS") && !refused.err.contains("barley"), "{}", refused.err);
    let missing = run(&broker, &["pub", "a", "x"], b"", 1);
    assert!(missing.err.contains("fanwire://token@host:port"), "{}", missing.err);
}

#[test]
fn what_the_broker_refuses_fails_the_verb() {
    let broker = Broker::start("[limits]\ntopic_levels_max = 2\nsubscriptions_max = 1\n");
    for verb in ["pub", "request"] {
        let refused = run(&broker, &[verb, "a/b/c", "x"], b"", 2);
        assert!(refused.err.contains("levels"), "{}", refused.err);
    }
    let refused = run(&broker, &["sub", "a/b", "c", "--count", "1"], b"", 1);
    assert!(refused.err.contains("subscriptions_max of 1"), "{}", refused.err);
    let large = run(&broker, &["pub", "a"], &vec![b'x'; 1 << 21], 1);
    assert!(large.err.contains("frame_bytes_max"), "{}", large.err);
}

#[test]
fn a_broker_runs_with_the_default_file() {
    let ended = expect_status(Process::start(fanwire(&["config", "default"])).end(), 0);
    let broker = Broker::start(&String::from_utf8(ended.out).expect("text"));
    assert!(broker.banner().contains("OPEN: everyone on this machine"), "{}", broker.banner());
    run(&broker, &["pub", "a", "x", "--ack", "routed"], b"", 0);
}

#[test]
fn an_address_that_is_taken_is_told() {
    let broker = Broker::start("");
    let address = broker.address().to_string();
    let ended = expect_status(Process::start(fanwire(&["serve", "--listen", &address])).end(), 1);
    for expected in [&address, "is another broker running there?", "--listen"] {
        assert!(ended.err.contains(expected), "{}", ended.err);
    }
    assert!(ended.out.is_empty(), "a broker that can't listen announces nothing");
}

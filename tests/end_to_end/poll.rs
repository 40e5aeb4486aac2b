//! Long polls: sessions that outlive their sockets, cursors that lose and repeat nothing, and gaps that are told.

use super::broker::Broker;
use super::journal_scene::{DataDirectory, configuration};
use super::peer::{Peer, publish};
use super::process::eventually;
use super::reactors::broker_of_several;
use super::web::{Answer, Web, ask, request};
use fanwire_wire::frame::{AckLevel, Frame};
use rustix::process::Signal;
use serde_json::Value;
use std::net::SocketAddr;

pub(super) const MEMORY: &str = "[[journal]]\nname = \"events\"\ntopics = [\"match/#\"]\nstore = \"memory\"\n";

/// A client that polls, each time on whatever connection it is given.
pub(super) struct Poller {
    pub(super) address: SocketAddr,
    /// Without cursor and wait.
    pub(super) query: String,
    pub(super) cursor: Option<String>,
}

impl Poller {
    pub(super) fn new(broker: &Broker, query: &str) -> Poller {
        Poller { address: broker.address(), query: query.to_owned(), cursor: None }
    }

    /// The same, and has polled once: its topics have begun.
    #[track_caller]
    pub(super) fn begun(broker: &Broker, query: &str) -> Poller {
        let mut poller = Poller::new(broker, query);
        let told = poller.poll("0s");
        assert!(told.iter().any(|object| object["type"] == "subscribed"), "{told:?}");
        poller
    }

    pub(super) fn target(&self, wait: &str) -> String {
        let after = self.cursor.as_ref().map_or_else(String::new, |cursor| format!("&after={cursor}"));
        format!("/v1/poll?{}&wait={wait}{after}", self.query)
    }

    /// What is answered, which is not taken for arrived.
    #[track_caller]
    pub(super) fn peek(&self, wait: &str) -> Answer {
        ask(self.address, "GET", &self.target(wait), "", b"")
    }

    #[track_caller]
    pub(super) fn take(&mut self, answer: &Answer) -> Vec<Value> {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.field("Content-Type"), Some("application/json"));
        assert_eq!(answer.field("Cache-Control"), Some("no-store"));
        let body = answer.json();
        self.cursor = Some(body["cursor"].as_str().expect("a cursor").to_owned());
        body["messages"].as_array().expect("a list").clone()
    }

    /// One poll on a connection of its own.
    #[track_caller]
    pub(super) fn poll(&mut self, wait: &str) -> Vec<Value> {
        let answer = self.peek(wait);
        self.take(&answer)
    }

    /// Polls until so many messages have come; notices are read over, but for gaps.
    #[track_caller]
    pub(super) fn messages(&mut self, count: usize) -> Vec<String> {
        let mut payloads = Vec::new();
        while payloads.len() < count {
            for object in self.poll("20s") {
                match object["type"].as_str() {
                    Some("message" | "history" | "group") => payloads.push(payload_of(&object)),
                    Some("subscribed" | "caught_up" | "cursor") => {}
                    _ => panic!("{object}"),
                }
            }
        }
        payloads
    }
}

pub(super) fn payload_of(object: &Value) -> String {
    object["payload"].as_str().expect("text").to_owned()
}

pub(super) fn payloads_of(objects: &[Value]) -> Vec<String> {
    objects.iter().map(payload_of).collect()
}

pub(super) fn numbers(range: std::ops::RangeInclusive<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Publishes and waits until it is where it should be.
#[track_caller]
pub(super) fn say(peer: &mut Peer, topic: &str, payload: &str) {
    peer.send(publish(topic, AckLevel::Routed, payload.as_bytes()));
    assert!(matches!(peer.frame(), Frame::Ack(_)));
}

/// A connection whose poll is read and waits, if its session is on the reactor that has the connection.
#[track_caller]
fn waiting(poller: &Poller) -> Web {
    let mut web = Web::connect(poller.address);
    // What comes in one piece is read in one.
    web.say([request("GET", "/healthz", "", b""), request("GET", &poller.target("25s"), "", b"")].concat());
    assert_eq!(web.answer().text(), "ok\n");
    web
}

#[test]
fn a_first_poll_tells_at_once_how_its_topics_begin_and_later_ones_what_came() {
    let broker = broker_of_several(MEMORY);
    let mut poller = Poller::new(&broker, "topic=chat/%2B&topic=match/1");
    let told = poller.poll("0s");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|object| object["type"] == "subscribed" && object["outcome"] == "live"), "{told:?}");
    assert_eq!(poller.poll("0s"), Vec::<Value>::new(), "nothing is an answer too");
    let mut peer = Peer::welcomed(broker.address());
    for topic in ["chat/a", "match/1", "chat/b"] {
        say(&mut peer, topic, topic);
    }
    // They were queued while nobody asked; each reactor's come as soon as they are there.
    let mut told = Vec::new();
    while told.len() < 3 {
        told.extend(poller.poll("20s"));
    }
    let of_journal = |object: &&Value| object["topic"] == "match/1";
    assert_eq!(told.iter().find(of_journal).map(|object| object["sequence"].clone()), Some(1.into()));
    let live: Vec<Value> = told.into_iter().filter(|object| object["topic"] != "match/1").collect();
    assert_eq!(payloads_of(&live), ["chat/a", "chat/b"]);
}

#[test]
fn a_poll_waits_for_what_comes_and_no_longer_than_it_says() {
    let broker = Broker::start("");
    let mut poller = Poller::begun(&broker, "topic=chat");
    assert_eq!(poller.poll("10ms"), Vec::<Value>::new());
    let mut peer = Peer::welcomed(broker.address());
    let mut web = waiting(&poller);
    say(&mut peer, "chat", "hello");
    let answer = web.answer();
    assert_eq!(payloads_of(&poller.take(&answer)), ["hello"]);
    // The connection serves on, and its next poll too.
    say(&mut peer, "chat", "again");
    let answer = web.get(&poller.target("20s"));
    assert_eq!(payloads_of(&poller.take(&answer)), ["again"]);
    web.is_served();
}

#[test]
fn a_session_is_found_from_whatever_reactor_a_socket_lands_on() {
    let broker = broker_of_several(MEMORY);
    let mut pollers = [Poller::begun(&broker, "topic=chat"), Poller::begun(&broker, "topic=match/%23")];
    let mut peer = Peer::welcomed(broker.address());
    for number in 1..=40_u32 {
        say(&mut peer, "chat", &number.to_string());
        say(&mut peer, "match/1", &number.to_string());
        for poller in &mut pollers {
            assert_eq!(poller.messages(1), [number.to_string()]);
        }
    }
    // One connection that asks for both of them in turn wanders, with what stands before and behind the requests.
    let mut web = Web::connect(broker.address());
    for number in 41..=60_u32 {
        say(&mut peer, "chat", &number.to_string());
        say(&mut peer, "match/1", &number.to_string());
        let mut bytes = request("GET", "/healthz", "", b"");
        for poller in &pollers {
            bytes.extend(request("GET", &poller.target("20s"), "", b""));
        }
        bytes.extend(request("POST", "/v1/topics/elsewhere", "", b"behind"));
        web.say(bytes);
        assert_eq!(web.answer().text(), "ok\n");
        for poller in &mut pollers {
            let answer = web.answer();
            assert_eq!(payloads_of(&poller.take(&answer)), [number.to_string()]);
        }
        assert_eq!(web.answer_to("POST").json()["ack"], "routed");
    }
}

#[test]
fn single_bytes_make_the_same_request_before_and_behind_a_move() {
    let broker = broker_of_several("");
    let mut poller = Poller::begun(&broker, "topic=chat");
    let mut peer = Peer::welcomed(broker.address());
    let mut webs: Vec<Web> = (0..4).map(|_| Web::connect(broker.address())).collect();
    for (number, web) in webs.iter_mut().enumerate() {
        say(&mut peer, "chat", &number.to_string());
        let poll = request("GET", &poller.target("20s"), "", b"");
        for byte in [poll, request("GET", "/healthz", "", b"")].concat() {
            web.say([byte]);
        }
        let answer = web.answer();
        assert_eq!(payloads_of(&poller.take(&answer)), [number.to_string()]);
        assert_eq!(web.answer().text(), "ok\n");
    }
}

#[test]
fn an_answer_that_is_lost_is_given_again_as_it_was() {
    let broker = broker_of_several(MEMORY);
    let mut peer = Peer::welcomed(broker.address());
    for topic in ["chat", "match/1"] {
        let mut poller = Poller::begun(&broker, &format!("topic={topic}"));
        say(&mut peer, topic, "one");
        let first = poller.peek("20s");
        say(&mut peer, topic, "two");
        (0..5).for_each(|_| assert_eq!(poller.peek("20s").body, first.body));
        let before = poller.cursor.clone();
        assert_eq!(payloads_of(&poller.take(&first)), ["one"]);
        assert_eq!(payloads_of(&poller.poll("20s")), ["two"]);
        poller.poll("0s");
        // Whoever is two answers behind has missed one that nobody has any more.
        poller.cursor = before;
        poller.peek("0s").refuses(410, "CURSOR_GONE");
    }
}

#[test]
fn two_polls_in_a_pipeline_are_one_answer_and_the_same_again() {
    let broker = Broker::start("");
    let mut poller = Poller::begun(&broker, "topic=chat");
    say(&mut Peer::welcomed(broker.address()), "chat", "one");
    let mut web = Web::connect(broker.address());
    web.say(request("GET", &poller.target("20s"), "", b"").repeat(3));
    let answers: Vec<Answer> = (0..3).map(|_| web.answer()).collect();
    assert!(answers.iter().all(|answer| answer.body == answers[0].body), "{answers:?}");
    assert_eq!(payloads_of(&poller.take(&answers[0])), ["one"]);
}

#[test]
fn a_socket_that_goes_while_its_poll_waits_takes_nothing_along() {
    let broker = broker_of_several(MEMORY);
    let mut peer = Peer::welcomed(broker.address());
    for topic in ["chat", "match/1"] {
        let mut poller = Poller::begun(&broker, &format!("topic={topic}"));
        for number in 1..=20_u32 {
            let mut web = Web::connect(broker.address());
            web.say(request("GET", &poller.target("25s"), "", b""));
            if number % 2 == 0 {
                drop(web);
                say(&mut peer, topic, &number.to_string());
            } else {
                say(&mut peer, topic, &number.to_string());
                drop(web);
            }
            if number % 5 == 0 {
                assert_eq!(poller.messages(5), numbers(number - 4..=number));
            }
        }
    }
}

#[test]
fn who_ends_its_side_behind_a_poll_gets_what_there_is_on_whatever_reactor_the_session_is() {
    let broker = broker_of_several("");
    let mut peer = Peer::welcomed(broker.address());
    let mut poller = Poller::begun(&broker, "topic=chat");
    for number in 1..=12_u32 {
        say(&mut peer, "chat", &number.to_string());
        let mut web = Web::connect(broker.address());
        // What is asked for in front leaves something to be written before the connection may move.
        web.say([request("GET", "/console.js", "", b""), request("GET", &poller.target("25s"), "", b"")].concat());
        web.end_output();
        assert_eq!(web.answer().status, 200);
        let answer = web.answer();
        assert_eq!(payloads_of(&poller.take(&answer)), [number.to_string()]);
    }
}

#[test]
fn a_second_poll_takes_the_first_one_s_place_and_the_first_is_told() {
    let broker = Broker::start("reactors = 1\n");
    let mut poller = Poller::begun(&broker, "topic=chat");
    let mut peer = Peer::welcomed(broker.address());
    let mut waits: Option<Web> = None;
    for _ in 0..6 {
        let web = waiting(&poller);
        if let Some(mut older) = waits.replace(web) {
            older.answer().refuses(409, "SUPERSEDED");
            older.is_served();
        }
    }
    say(&mut peer, "chat", "hello");
    let answer = waits.expect("one waits").answer();
    assert_eq!(payloads_of(&poller.take(&answer)), ["hello"]);
}

/// The same from other reactors: one of two is told, whichever came to the session before the other.
#[test]
fn of_two_polls_from_anywhere_one_waits_and_one_is_told() {
    let broker = broker_of_several("");
    let mut poller = Poller::begun(&broker, "topic=chat");
    let mut peer = Peer::welcomed(broker.address());
    for number in 0..10_u32 {
        let mut webs = [(); 2].map(|()| Web::connect(broker.address()));
        for web in &mut webs {
            web.say(request("GET", &poller.target("25s"), "", b""));
        }
        let has_word = |web: &Web| {
            web.stream().set_nonblocking(true).expect("an option");
            let has_word = web.stream().peek(&mut [0]).is_ok();
            web.stream().set_nonblocking(false).expect("an option");
            has_word
        };
        let told = eventually("one to be told", || webs.iter().position(has_word));
        webs[told].answer().refuses(409, "SUPERSEDED");
        say(&mut peer, "chat", &number.to_string());
        let answer = webs[1 - told].answer();
        assert_eq!(payloads_of(&poller.take(&answer)), [number.to_string()]);
    }
}

/// Kill after kill, with answers lost on the way: nothing is missing and nothing comes twice.
fn resumes_over_kills(query: &str, topics: [&str; 2]) {
    const KILLS: u32 = 3;
    const EACH: u32 = 100;
    let data = DataDirectory::new();
    let config = configuration(data.path(), "");
    let (mut told, mut cursor, mut number) = (Vec::new(), None, 0);
    for kill in 0..=KILLS {
        let broker = Broker::start(&config);
        let mut poller = Poller { cursor: cursor.take(), ..Poller::new(&broker, query) };
        let mut peer = Peer::welcomed(broker.address());
        for _ in 0..EACH {
            number += 1;
            peer.send(publish(topics[number as usize % 2], AckLevel::Durable, number.to_string().as_bytes()));
            assert!(matches!(peer.frame(), Frame::Ack(_)));
        }
        let until = if kill == KILLS { number } else { number - EACH / 2 };
        while told.len() < until as usize {
            // Each answer is lost once.
            drop(poller.peek("20s"));
            for object in poller.poll("20s") {
                match object["type"].as_str() {
                    Some("message" | "history") => told.push(payload_of(&object)),
                    Some("subscribed") if kill > 0 => assert_eq!(object["outcome"], "resumed"),
                    Some("subscribed" | "caught_up" | "cursor") => {}
                    _ => panic!("{object}"),
                }
            }
        }
        cursor = poller.cursor.take();
        broker.kill();
    }
    assert_eq!(told, numbers(1..=number));
}

#[test]
fn a_topic_resumes_over_kills_without_a_gap_and_without_a_duplicate() {
    resumes_over_kills("topic=match/1&from=first&limit=7", ["match/1", "match/1"]);
}

#[test]
fn a_wildcard_resumes_over_kills_without_a_gap_and_without_a_duplicate() {
    resumes_over_kills("topic=match/%23&from=first", ["match/1", "match/2"]);
}

#[test]
fn a_live_topic_beside_one_of_a_journal_begins_anew_after_a_kill_and_says_so() {
    let data = DataDirectory::new();
    let config = configuration(data.path(), "");
    let broker = Broker::start(&config);
    let mut poller = Poller::begun(&broker, "topic=chat&topic=match/1");
    let mut peer = Peer::welcomed(broker.address());
    for number in 1..=2_u32 {
        peer.send(publish("match/1", AckLevel::Durable, number.to_string().as_bytes()));
        assert!(matches!(peer.frame(), Frame::Ack(_)));
        if number == 1 {
            assert_eq!(poller.messages(1), ["1"]);
        }
    }
    broker.kill();
    let broker = Broker::start(&config);
    poller.address = broker.address();
    let mut told = Vec::new();
    while !told.iter().any(|object: &Value| object["type"] == "history") {
        told.extend(poller.poll("20s"));
    }
    let outcomes: Vec<(u64, &str)> = told
        .iter()
        .filter(|object| object["type"] == "subscribed")
        .map(|object| (object["subscription"].as_u64().unwrap(), object["outcome"].as_str().unwrap()))
        .collect();
    assert!(outcomes.contains(&(1, "live")) && outcomes.contains(&(2, "resumed")), "{told:?}");
    let history: Vec<Value> = told.into_iter().filter(|object| object["type"] == "history").collect();
    assert_eq!(payloads_of(&history), ["2"]);
}

#[test]
fn a_journal_in_memory_tells_by_its_epoch_that_it_began_anew_and_live_topics_by_a_refusal() {
    let broker = Broker::start(MEMORY);
    let mut kept = Poller::begun(&broker, "topic=match/1");
    let mut live = Poller::begun(&broker, "topic=chat");
    let mut peer = Peer::welcomed(broker.address());
    say(&mut peer, "match/1", "one");
    say(&mut peer, "chat", "one");
    assert_eq!((kept.messages(1), live.messages(1)), (vec!["one".to_owned()], vec!["one".to_owned()]));
    broker.kill();
    let broker = Broker::start(MEMORY);
    (kept.address, live.address) = (broker.address(), broker.address());
    let told = kept.poll("20s");
    assert!(told[0]["outcome"].as_str().expect("a name").starts_with("reset-"), "{told:?}");
    let refusal = live.peek("20s").refuses(410, "CURSOR_GONE");
    assert_eq!(refusal["retry"], "now");
    live.cursor = None;
    assert_eq!(live.poll("0s")[0]["type"], "subscribed");
}

#[test]
fn history_comes_in_answers_of_the_size_that_is_asked_for() {
    let broker = Broker::start(MEMORY);
    let mut peer = Peer::welcomed(broker.address());
    numbers(1..=30).iter().for_each(|number| say(&mut peer, "match/1", number));
    let mut poller = Poller::new(&broker, "topic=match/1&from=first&limit=4");
    let mut told = Vec::new();
    while told.len() < 30 {
        let objects = poller.poll("20s");
        assert!((1..=4).contains(&objects.len()), "{objects:?}");
        told.extend(objects.iter().filter(|object| object["type"] == "history").map(payload_of));
    }
    assert_eq!(told, numbers(1..=30));
    say(&mut peer, "match/1", "31");
    assert_eq!(poller.messages(1), ["31"]);
}

#[test]
fn a_group_s_member_may_poll() {
    let broker = broker_of_several("");
    let mut pollers = ["a", "b"].map(|_| Poller::begun(&broker, "topic=work/%23&group=g"));
    let mut peer = Peer::welcomed(broker.address());
    numbers(1..=20).iter().for_each(|number| say(&mut peer, "work/1", number));
    let mut told = Vec::new();
    while told.len() < 20 {
        for poller in &mut pollers {
            told.extend(poller.poll("0s").iter().map(payload_of));
        }
    }
    told.sort_unstable_by_key(|number| number.parse::<u32>().expect("a number"));
    assert_eq!(told, numbers(1..=20));
}

#[test]
fn a_drain_answers_who_waits_and_ends_sessions() {
    let broker = Broker::start("[drain]\ndeadline = \"10s\"\n");
    let mut poller = Poller::begun(&broker, "topic=chat");
    let mut web = waiting(&poller);
    let mut idle = Web::connect(broker.address());
    idle.is_served();
    broker.signal(Signal::TERM);
    let answer = web.answer();
    assert_eq!(answer.field("Connection"), Some("close"));
    let told = poller.take(&answer);
    assert_eq!((told.len(), &told[0]["type"], &told[0]["name"]), (1, &"goaway".into(), &"DRAINING".into()), "{told:?}");
    web.expect_end();
    idle.get(&poller.target("20s")).refuses(503, "DRAINING");
    drop((web, idle));
    assert_eq!(broker.end().status.code(), Some(0));
}

/// The session had begun in a journal, and forgot with that what its queue was charged for the answer.
#[test]
fn a_drain_ends_a_session_whose_answer_is_kept_though_its_topic_began_in_a_journal() {
    let broker = Broker::start(MEMORY);
    let poller = Poller::begun(&broker, "topic=match/1&from=first");
    say(&mut Peer::welcomed(broker.address()), "match/1", "x");
    assert_eq!(poller.peek("20s").status, 200);
    broker.signal(Signal::TERM);
    assert_eq!(broker.end().status.code(), Some(0));
}

#[test]
fn what_is_no_poll_is_refused() {
    let broker = Broker::start(MEMORY);
    for (query, status, name) in [
        ("", 400, "BAD_PARAMETER"),
        ("topic=a&after=x", 400, "BAD_PARAMETER"),
        ("topic=a&wait=soon", 400, "BAD_PARAMETER"),
        ("topic=a&limit=0", 400, "BAD_PARAMETER"),
        ("topic=a%23", 400, "INVALID_FILTER"),
        ("topic=a&from=first", 422, "START_UNAVAILABLE"),
        ("topic=a&policy=catch-up", 422, "POLICY_UNAVAILABLE"),
        ("topic=match/1&max_rate_hz=5", 422, "RATE_UNAVAILABLE"),
        ("topic=a&after=0-0-00000000000000000000000000000000-0-0", 400, "BAD_PARAMETER"),
    ] {
        ask(broker.address(), "GET", &format!("/v1/poll?{query}"), "", b"").refuses(status, name);
    }
    ask(broker.address(), "POST", "/v1/poll?topic=a", "", b"").refuses(405, "METHOD_NOT_ALLOWED");
    let mut poller = Poller::begun(&broker, "topic=a&topic=b");
    poller.query = "topic=b&topic=a".to_owned();
    poller.peek("0s").refuses(400, "BAD_PARAMETER");
    poller.query = "topic=a&topic=b".to_owned();
    assert_eq!(poller.poll("0s"), Vec::<Value>::new());
    // Whoever guesses at secrets and reactors finds nothing.
    let cursor = poller.cursor.take().expect("a cursor");
    let parts: Vec<&str> = cursor.split('-').collect();
    for (part, guess) in [(0, "9"), (1, "70000"), (2, "0123456789abcdef0123456789abcdef"), (3, "7")] {
        let mut forged = parts.clone();
        forged[part] = guess;
        poller.cursor = Some(forged.join("-"));
        poller.peek("0s").refuses(410, "CURSOR_GONE");
    }
}

//! Server-sent events, as `EventSource` would read them: subscribe, break, resume.

use super::broker::Broker;
use super::journal_scene::{DataDirectory, configuration};
use super::peer::{Peer, publish, subscribe};
use super::web::{Web, ask, request};
use fanwire_wire::frame::{AckLevel, Frame};
use rustix::process::Signal;
use serde_json::{Value, json};

const MEMORY: &str = "[[journal]]\nname = \"events\"\ntopics = [\"match/#\"]\nstore = \"memory\"\n";

/// What `EventSource` makes of some lines (HTML standard, section 9.2.6).
#[derive(Debug, Default)]
struct Told {
    id: Option<String>,
    event: Option<String>,
    data: Option<Value>,
    /// There was a comment, which nobody is told of.
    is_heartbeat: bool,
    retry: Option<u64>,
}

/// A stream of events.
struct Stream {
    web: Web,
}

impl Stream {
    #[track_caller]
    fn open(broker: &Broker, query: &str) -> Stream {
        Stream::resume(broker, query, None)
    }

    /// Goes on behind the event that had this id.
    #[track_caller]
    fn resume(broker: &Broker, query: &str, id: Option<&str>) -> Stream {
        let mut web = Web::connect(broker.address());
        let fields = id.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
        web.say(request("GET", &format!("/v1/sse?{query}"), &fields, b""));
        let (status, head) = web.head();
        assert_eq!(status, 200, "{query} {id:?}: {head}");
        assert!(head.contains("\r\nContent-Type: text/event-stream\r\n"), "{head}");
        assert!(head.contains("\r\nCache-Control: no-store\r\n"), "{head}");
        let mut stream = Stream { web };
        assert_eq!(stream.told().retry, Some(1_000), "how long to wait before a stream is resumed");
        stream
    }

    /// The next block of lines.
    #[track_caller]
    fn told(&mut self) -> Told {
        let block = self.web.take_through(b"\n\n");
        let block = String::from_utf8(block).expect("a stream of events is UTF-8");
        assert!(!block.contains('\r'), "{block:?}");
        let mut told = Told::default();
        for line in block.lines().filter(|line| !line.is_empty()) {
            match line.split_once(": ") {
                Some(("id", id)) => told.id = Some(id.to_owned()),
                Some(("event", event)) => told.event = Some(event.to_owned()),
                Some(("data", data)) => told.data = Some(serde_json::from_str(data).expect("JSON")),
                Some(("retry", time_ms)) => told.retry = time_ms.parse().ok(),
                _ if line.starts_with(':') => told.is_heartbeat = true,
                _ => panic!("{block:?}"),
            }
        }
        told
    }

    /// The next event, which is no heartbeat.
    #[track_caller]
    fn event(&mut self) -> (Option<String>, String, Value) {
        loop {
            let told = self.told();
            if let Some(data) = told.data {
                return (told.id, told.event.unwrap_or_else(|| "message".to_owned()), data);
            }
        }
    }

    #[track_caller]
    fn notice(&mut self, event: &str) -> Value {
        let (id, found, data) = self.event();
        assert_eq!((id, &*found), (None, event), "{data}");
        data
    }

    /// How the next subscription of several begins.
    #[track_caller]
    fn begun(&mut self) -> String {
        let (_, event, data) = self.event();
        assert_eq!(event, "subscribed", "{data}");
        data["outcome"].as_str().expect("a name").to_owned()
    }

    /// The next message: its id and payload. Notices in between are read over.
    #[track_caller]
    fn message(&mut self) -> (Option<String>, String) {
        loop {
            let (id, event, data) = self.event();
            match &*event {
                "message" => return (id, data["payload"].as_str().expect("text").to_owned()),
                "caught_up" | "cursor" | "subscribed" => {}
                _ => panic!("{event}: {data}"),
            }
        }
    }
}

/// Publishes and waits until it is kept.
#[track_caller]
fn say(peer: &mut Peer, topic: &str, ack: AckLevel, payload: &str) {
    peer.send(publish(topic, ack, payload.as_bytes()));
    assert!(matches!(peer.frame(), Frame::Ack(_)));
}

#[test]
fn a_live_stream_tells_what_is_published_and_has_no_ids_where_nothing_is_kept() {
    let broker = Broker::start("reactors = 2\n");
    let mut streams: Vec<Stream> = (0..2).map(|_| Stream::open(&broker, "topic=chat/%2B")).collect();
    for stream in &mut streams {
        assert_eq!(stream.notice("subscribed"), json!({"type": "subscribed", "subscription": 1, "outcome": "live"}));
    }
    let mut peer = Peer::welcomed(broker.address());
    for payload in ["hello", "", "two\nlines\r\n\r\ndata: forged\n\n", "\u{e9}\u{0}"] {
        say(&mut peer, "chat/a", AckLevel::Routed, payload);
        for stream in &mut streams {
            assert_eq!(stream.message(), (None, payload.to_owned()));
        }
    }
    peer.send(publish("chat/a", AckLevel::None, b"\xff"));
    assert_eq!(streams[0].event().2, json!({"type": "message", "topic": "chat/a", "payload_base64": "/w=="}));
}

#[test]
fn several_live_topics_share_a_stream() {
    let broker = Broker::start(MEMORY);
    let mut stream = Stream::open(&broker, "topic=chat&topic=match/%2B&topic=news/%23");
    (0..3).for_each(|_| assert_eq!(stream.begun(), "live"));
    let mut peer = Peer::welcomed(broker.address());
    for topic in ["chat", "match/1", "news/a/b", "match/1"] {
        say(&mut peer, topic, AckLevel::Routed, topic);
        assert_eq!(stream.message().1, topic);
    }
    let target = "/v1/sse?topic=match/1&from=tomorrow";
    ask(broker.address(), "GET", target, "", b"").refuses(400, "BAD_PARAMETER");
    let target = "/v1/sse?topic=match/1&topic=chat&from=first";
    ask(broker.address(), "GET", target, "", b"").refuses(422, "START_UNAVAILABLE");
    let many: String = (0..65).map(|number| format!("topic=match/{number}&")).collect();
    let target = format!("/v1/sse?{many}from=first");
    ask(broker.address(), "GET", &target, "", b"").refuses(400, "BAD_PARAMETER");
    ask(broker.address(), "GET", "/v1/sse?topic=chat&from=first", "", b"").refuses(422, "START_UNAVAILABLE");
    for id in ["x", "1", "1-2-3", "-1"] {
        let fields = format!("Last-Event-ID: {id}\r\n");
        ask(broker.address(), "GET", "/v1/sse?topic=match/1", &fields, b"").refuses(400, "BAD_PARAMETER");
    }
}

/// `EventSource` comes back by itself and brings the last id that it saw; an answer other than 200 ends it for good.
#[test]
fn a_stream_of_several_topics_is_not_refused_for_an_id_that_is_none_of_its_own() {
    let broker = Broker::start(MEMORY);
    let mut peer = Peer::welcomed(broker.address());
    let query = "topic=match/1&topic=match/2";
    let mut other = Stream::open(&broker, "topic=match/2&topic=match/1");
    say(&mut peer, "match/1", AckLevel::Routed, "zero");
    let (id, _) = other.message();
    for id in [id.as_deref(), Some("1-1"), Some("x")] {
        let mut stream = Stream::resume(&broker, query, id);
        (0..2).for_each(|_| assert_eq!(stream.begun(), "live", "what was missed is not claimed"));
        say(&mut peer, "match/2", AckLevel::Routed, "two");
        assert_eq!(stream.message().1, "two");
    }
}

/// Each id tells of all topics, those of which nothing has come included.
#[test]
fn a_stream_of_several_topics_that_broke_goes_on_with_each_of_them_where_it_was() {
    let data = DataDirectory::new();
    let config = configuration(data.path(), "");
    let query = "topic=match/1&topic=chat&topic=match/quiet&topic=match/wild/%2B";
    let broker = Broker::start(&config);
    let mut stream = Stream::open(&broker, query);
    (0..4).for_each(|_| assert_eq!(stream.begun(), "live"));
    let mut peer = Peer::welcomed(broker.address());
    let mut id = None;
    for topic in ["match/1", "chat", "match/wild/a", "match/1"] {
        let ack = if topic == "chat" { AckLevel::Routed } else { AckLevel::Durable };
        say(&mut peer, topic, ack, topic);
        let (told, payload) = stream.message();
        assert_eq!((told.is_some(), &*payload), (topic != "chat", topic), "an id where a place has moved");
        id = told.or(id);
    }
    broker.kill();
    stream.web.wait_for_loss();

    let broker = Broker::start(&config);
    let mut peer = Peer::welcomed(broker.address());
    let missed = ["match/quiet", "match/wild/b", "match/1"];
    missed.iter().for_each(|topic| say(&mut peer, topic, AckLevel::Durable, &format!("{topic} missed")));
    let mut stream = Stream::resume(&broker, query, id.as_deref());
    let mut outcomes = Vec::new();
    let mut told = Vec::new();
    while told.len() < missed.len() {
        match stream.event() {
            (_, event, data) if event == "subscribed" => {
                outcomes.push((data["subscription"].as_u64(), data["outcome"].as_str().expect("a name").to_owned()));
            }
            (_, event, data) if event == "message" => {
                told.push(data["payload"].as_str().expect("text").to_owned());
            }
            (_, event, data) => assert_eq!(event, "caught_up", "{data}"),
        }
    }
    told.sort();
    assert_eq!(told, ["match/1 missed", "match/quiet missed", "match/wild/b missed"]);
    let expected = [(1, "resumed"), (2, "live"), (3, "history"), (4, "resumed")];
    outcomes.sort();
    assert_eq!(outcomes, expected.map(|(number, outcome)| (Some(number), outcome.to_owned())));
    say(&mut peer, "chat", AckLevel::Routed, "and on");
    assert_eq!(stream.message().1, "and on");
}

/// The ids are those of what was read, whether it came live or, where the queue was full, from the journal.
#[test]
fn a_stream_of_several_topics_that_falls_behind_resumes_over_kills_without_a_gap_and_without_a_duplicate() {
    const KILLS: usize = 2;
    const EACH: usize = 2_000;
    let data = DataDirectory::new();
    let config = configuration(data.path(), "").replace("[limits]", "[limits]\nqueue_bytes_max = \"400KiB\"");
    let query = "topic=match/1&topic=match/2/%2B&policy=catch-up";
    let mut told: [Vec<usize>; 2] = Default::default();
    let (mut id, mut published, mut has_fallen_behind) = (None, 0, false);
    let padding = "p".repeat(6_000);
    for kill in 0..=KILLS {
        let broker = Broker::start(&config);
        let mut stream = Stream::resume(&broker, query, id.as_deref());
        (0..2).for_each(|_| assert_eq!(stream.begun(), if kill == 0 { "live" } else { "resumed" }));
        let mut peer = Peer::welcomed(broker.address());
        // Nothing is read meanwhile, of much more than sockets and the queue hold.
        for _ in 0..EACH {
            let topic = ["match/1", "match/2/x"][published % 2];
            peer.send(publish(topic, AckLevel::None, format!("{published}:{padding}").as_bytes()));
            published += 1;
        }
        say(&mut peer, "match/other", AckLevel::Durable, "all before it is kept");
        let until = if kill == KILLS { published } else { published - EACH / 2 };
        while told[0].len() + told[1].len() < until {
            let (now, event, data) = stream.event();
            id = now.or(id);
            match &*event {
                "message" => {
                    let payload = data["payload"].as_str().expect("text");
                    let number: usize = payload.split(':').next().and_then(|text| text.parse().ok()).expect("a number");
                    let next = told[number % 2].last().map_or(number % 2, |last| last + 2);
                    assert_eq!(number, next, "none is missing, and none comes twice");
                    told[number % 2].push(number);
                }
                "cursor" => has_fallen_behind = true,
                _ => assert_eq!(event, "caught_up", "{data}"),
            }
        }
        if kill < KILLS {
            broker.kill();
            stream.web.wait_for_loss();
        }
    }
    assert!(has_fallen_behind, "the queue was full");
}

/// The same for one topic, whatever was asked for when it began.
#[test]
fn any_stream_of_one_topic_can_come_back_with_the_ids_that_it_was_given() {
    let broker = Broker::start(MEMORY);
    let mut peer = Peer::welcomed(broker.address());
    for query in [
        "topic=match/1",
        "topic=match/%23",
        "topic=match/1&from=first",
        "topic=match/1&policy=drop-oldest",
        "topic=match/1&policy=drop-newest",
        "topic=match/1&policy=disconnect",
        "topic=match/1&policy=conflate",
        "topic=match/1&policy=conflate&max_rate_hz=50",
        "topic=match/1&group=g",
    ] {
        let mut stream = Stream::open(&broker, query);
        say(&mut peer, "match/1", AckLevel::Routed, "before");
        let (id, _) = stream.message();
        drop(stream);
        say(&mut peer, "match/1", AckLevel::Routed, "while it was away");
        let mut stream = Stream::resume(&broker, query, id.as_deref());
        if id.is_none() {
            assert!(query.contains("group"), "{query}");
            continue;
        }
        while stream.message().1 != "while it was away" {
            assert!(query.contains("first"), "{query}: what was seen comes again");
        }
    }
}

/// Kill after kill, with whatever was on its way: nothing is missing and nothing comes twice.
fn resumes_over_kills(query: &str, topics: [&str; 2]) {
    const KILLS: u32 = 3;
    const EACH: u32 = 200;
    let data = DataDirectory::new();
    let config = configuration(data.path(), "");
    let (mut told, mut last, mut number) = (Vec::new(), None::<String>, 0);
    for kill in 0..=KILLS {
        let broker = Broker::start(&config);
        let mut stream = Stream::resume(&broker, query, last.as_deref());
        if kill > 0 {
            assert_eq!(stream.notice("subscribed")["outcome"], "resumed", "{query} {last:?}");
        }
        let mut peer = Peer::welcomed(broker.address());
        for _ in 0..EACH {
            number += 1;
            say(&mut peer, topics[number as usize % 2], AckLevel::Durable, &number.to_string());
        }
        // It has read some of it when its broker is gone, and all of it in the end.
        let until = if kill == KILLS { number } else { number - EACH / 2 };
        while told.last() != Some(&until) {
            let (id, payload) = stream.message();
            assert!(id.is_some(), "a record has an id");
            last = id;
            told.push(payload.parse::<u32>().expect("a number"));
        }
        if kill < KILLS {
            broker.kill();
            stream.web.wait_for_loss();
        }
    }
    assert_eq!(told, (1..=number).collect::<Vec<u32>>());
}

#[test]
fn a_stream_of_one_topic_resumes_over_kills_without_a_gap_and_without_a_duplicate() {
    resumes_over_kills("topic=match/1&from=first", ["match/1", "match/1"]);
}

#[test]
fn a_stream_of_a_wildcard_resumes_over_kills_without_a_gap_and_without_a_duplicate() {
    resumes_over_kills("topic=match/%23&from=first", ["match/1", "match/2"]);
}

#[test]
fn a_history_comes_first_and_then_what_is_new_with_ids_that_go_on() {
    let broker = Broker::start(MEMORY);
    let mut peer = Peer::welcomed(broker.address());
    for number in 1..=10 {
        say(&mut peer, "match/1", AckLevel::Routed, &number.to_string());
        say(&mut peer, "match/2", AckLevel::Routed, "another one's");
    }
    let mut exact = Stream::open(&broker, "topic=match/1&from=first");
    let mut wild = Stream::open(&broker, "topic=match/%23&from=first");
    let epoch = exact.notice("subscribed")["epoch"].as_u64().expect("a number");
    for sequence in 1..=10 {
        assert_eq!(exact.message(), (Some(format!("{epoch}-{sequence}")), sequence.to_string()));
    }
    assert_eq!(exact.notice("caught_up")["position"], 19);
    for position in 1..=20 {
        assert_eq!(wild.message().0, Some(format!("{epoch}-{position}")));
    }
    say(&mut peer, "match/1", AckLevel::Routed, "new");
    assert_eq!(exact.message(), (Some(format!("{epoch}-11")), "new".to_owned()));
    assert_eq!(wild.message(), (Some(format!("{epoch}-21")), "new".to_owned()));
    let mut from = Stream::open(&broker, "topic=match/1&from=last:2");
    assert_eq!((from.message().1, from.message().1), ("10".to_owned(), "new".to_owned()));
}

/// A place of another life is told as such, and the stream goes on.
#[test]
fn an_id_of_another_past_is_told_as_a_reset() {
    let broker = Broker::start(MEMORY);
    let mut peer = Peer::welcomed(broker.address());
    say(&mut peer, "match/1", AckLevel::Routed, "one");
    let mut stream = Stream::resume(&broker, "topic=match/1", Some("1-7"));
    let outcome = stream.notice("subscribed")["outcome"].as_str().expect("a name").to_owned();
    assert!(outcome.starts_with("reset-"), "{outcome}");
    assert_eq!(stream.message().1, "one");
}

#[test]
fn a_silent_stream_has_a_heartbeat() {
    let broker = Broker::start("");
    let mut stream = Stream::open(&broker, "topic=chat");
    stream.notice("subscribed");
    let told = stream.told();
    assert!(told.is_heartbeat && told.data.is_none() && told.id.is_none(), "{told:?}");
}

#[test]
fn a_drain_is_told_and_ends_the_stream() {
    let broker = Broker::start("[drain]\ndeadline = \"300ms\"\nreconnect_min = \"2s\"\nreconnect_max = \"4s\"\n");
    let mut stream = Stream::open(&broker, "topic=chat");
    stream.notice("subscribed");
    let mut peer = Peer::welcomed(broker.address());
    peer.subscribe(subscribe(1, "chat"));
    broker.signal(Signal::TERM);
    let told = stream.told();
    assert_eq!(told.event.as_deref(), Some("goaway"));
    let data = told.data.expect("when to come back");
    let window = (&data["name"], &data["reconnect_min_ms"], &data["reconnect_max_ms"]);
    assert_eq!(window, (&json!("DRAINING"), &json!(2_000), &json!(4_000)), "{data}");
    let retry = told.retry.expect("how long EventSource waits");
    assert!((2_000..=4_000).contains(&retry), "{retry}");
    // Until its deadline, whatever is published is still told; who then has not left is let go.
    peer.send(publish("chat", AckLevel::Routed, b"late"));
    assert_eq!(stream.message().1, "late");
    drop(peer);
    while stream.web.hear() {}
    let count = stream.web.unread();
    let rest = String::from_utf8(stream.web.take(count)).expect("text");
    assert!(rest.ends_with("\n\n"), "no event is cut: {rest:?}");
    assert!(rest.starts_with("event: error\ndata: {"), "why it ends: {rest:?}");
    drop(stream);
    assert_eq!(broker.end().status.code(), Some(0));
}

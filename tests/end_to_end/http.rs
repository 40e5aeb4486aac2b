//! HTTP as programs and people use it: publish, ask, read a history, and every refusal with its status and its words.

use super::broker::Broker;
use super::journal_scene::{DataDirectory, configuration};
use super::peer::{Peer, publish, subscribe};
use super::process::eventually;
use super::web::{Answer, Web, ask, request};
use fanwire_client::{Client, Event, SubscribeOptions};
use fanwire_wire::frame::{AckLevel, Frame, Reply, Subscribe};
use rustix::process::Signal;
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};

const MEMORY: &str = "[[journal]]\nname = \"events\"\ntopics = [\"match/#\"]\nstore = \"memory\"\n";

#[test]
fn a_probe_is_told_that_the_broker_lives_and_whether_it_wants_work() {
    let broker = Broker::start("[drain]\ndeadline = \"1h\"\n");
    let mut probe = Web::connect(broker.address());
    let mut peer = Peer::welcomed(broker.address());
    assert_eq!(probe.get("/healthz").status, 200);
    let answer = probe.get("/readyz");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), json!({"ready": true, "draining": false, "journals_failed": []}));
    broker.signal(Signal::TERM);
    assert!(matches!(peer.frame(), Frame::Goaway(_)));
    eventually("every reactor to drain", || broker.log().contains("\"draining\"").then_some(()));
    let answer = probe.get("/readyz");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json(), json!({"ready": false, "draining": true, "journals_failed": []}));
    assert_eq!(answer.field("Connection"), Some("close"), "a broker that goes down takes no further request");
    probe.expect_end();
    drop((probe, peer));
    assert_eq!(broker.end().status.code(), Some(0));
}

#[test]
fn a_publish_is_acknowledged_at_the_level_that_it_asks_for() {
    let data = DataDirectory::new();
    let broker = Broker::start(&configuration(data.path(), ""));
    let mut subscriber = Peer::welcomed(broker.address());
    subscriber.subscribe(subscribe(1, "#"));
    let mut web = Web::connect(broker.address());
    for (ack, status, body) in [
        ("none", 202, json!({"ack": "none"})),
        ("routed", 200, json!({"ack": "routed", "sequence": 2})),
        ("journaled", 200, json!({"ack": "journaled", "sequence": 3})),
        ("durable", 200, json!({"ack": "durable", "sequence": 4})),
    ] {
        let answer = web.post(&format!("/v1/topics/match/1?ack={ack}"), ack.as_bytes());
        assert_eq!((answer.status, answer.json()), (status, body), "{ack}");
        assert!(matches!(subscriber.frame(), Frame::RecordNamed(record) if record.payload == ack.as_bytes()), "{ack}");
    }
    let answer = web.ask("POST", "/v1/topics/match/1", "Fanwire-Ack: journaled\r\n", b"by a field");
    assert_eq!(answer.json(), json!({"ack": "journaled", "sequence": 5}));
    let answer = web.post("/v1/topics/chat/lobby", b"nobody keeps it");
    assert_eq!(answer.json(), json!({"ack": "routed"}), "routed is what is asked for if nothing is said");
    web.post("/v1/topics/chat/lobby?ack=durable", b"").refuses(422, "ACK_LEVEL_UNAVAILABLE");
    web.is_served();
}

#[test]
fn a_publish_behind_another_sequence_is_a_conflict_that_tells_the_actual_one() {
    let broker = Broker::start(MEMORY);
    let mut web = Web::connect(broker.address());
    assert_eq!(web.post("/v1/topics/match/1?expect=0", b"one").json()["sequence"], 1);
    assert_eq!(web.ask("POST", "/v1/topics/match/1", "Fanwire-Expect: 1\r\n", b"two").json()["sequence"], 2);
    let body = web.post("/v1/topics/match/1?expect=1", b"late").refuses(409, "CONFLICT");
    assert_eq!((body["actual"].as_u64(), body["code"].as_u64()), (Some(2), Some(107)));
    assert_eq!(web.get("/v1/topics/match/1").text().lines().count(), 2, "what is refused is not kept");
}

#[test]
fn a_producer_s_publish_is_there_once_however_often_it_is_sent() {
    let broker = Broker::start(MEMORY);
    let mut web = Web::connect(broker.address());
    for number in 1..=3 {
        let target = format!("/v1/topics/match/1?producer=77:{number}");
        let first = json!({"ack": "routed", "sequence": number});
        let again = json!({"ack": "routed", "sequence": number, "duplicate": true});
        assert_eq!(web.post(&target, b"x").json(), first);
        assert_eq!(ask(broker.address(), "POST", &target, "", b"x").json(), again);
    }
    assert_eq!(web.get("/v1/topics/match/1").text().lines().count(), 3);
}

#[test]
fn every_refusal_has_its_status_and_says_what_to_do() {
    let broker = Broker::start("[limits]\ndeadline_max = \"10s\"\n");
    for (method, target, status, name) in [
        ("GET", "/nothing", 404, "NOT_FOUND"),
        ("GET", "/v1/topics/../../etc/passwd", 400, "BAD_PARAMETER"),
        ("GET", "/fanwire.js/../../etc/passwd", 404, "NOT_FOUND"),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404, "NOT_FOUND"),
        ("DELETE", "/v1/topics/a", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/healthz", 405, "METHOD_NOT_ALLOWED"),
        ("BREW", "/healthz", 501, "METHOD_UNKNOWN"),
        ("GET", "/v1/ws", 426, "UPGRADE_REQUIRED"),
        ("POST", "/v1/topics/a?ack=loudly", 400, "BAD_PARAMETER"),
        ("POST", "/v1/topics/a?exqect=1", 400, "BAD_PARAMETER"),
        ("POST", "/v1/topics/a?ack=none&ack=none", 400, "BAD_PARAMETER"),
        ("POST", "/v1/topics/a?producer=0:1", 400, "BAD_PARAMETER"),
        ("POST", "/v1/topics/a%2", 400, "BAD_PARAMETER"),
        ("POST", "/v1/topics/a%2Fb", 400, "BAD_PARAMETER"),
        ("POST", "/v1/topics/a//b", 400, "BAD_PARAMETER"),
        ("POST", "/v1/topics", 400, "BAD_PARAMETER"),
        ("POST", "/v1/topics/a/%2B", 400, "INVALID_TOPIC"),
        ("POST", "/v1/topics/a%00b", 400, "INVALID_TOPIC"),
        ("POST", "/v1/topics/a%0D%0AX-Injected:%201", 400, "INVALID_TOPIC"),
        ("POST", "/v1/topics/a%FF", 400, "INVALID_TOPIC"),
        ("POST", "/v1/topics/$sys", 403, "RESERVED_TOPIC"),
        ("POST", "/v1/request/a?deadline=0s", 400, "DEADLINE_OUT_OF_RANGE"),
        ("POST", "/v1/request/a?deadline=11s", 400, "DEADLINE_OUT_OF_RANGE"),
        ("POST", "/v1/request/a?deadline=soon", 400, "BAD_PARAMETER"),
        ("GET", "/v1/topics/a", 422, "START_UNAVAILABLE"),
        ("GET", "/v1/topics/a?from=live", 400, "BAD_PARAMETER"),
        ("GET", "/v1/topics/a?from=yesterday", 400, "BAD_PARAMETER"),
        ("GET", "/v1/sse", 400, "BAD_PARAMETER"),
        ("GET", "/v1/sse?topic=a%23b", 400, "INVALID_FILTER"),
    ] {
        let answer = ask(broker.address(), method, target, "", b"");
        answer.refuses(status, name);
        assert!(answer.field("X-Injected").is_none());
        assert_eq!(answer.field("Allow").is_some(), status == 405, "{answer:?}");
    }
}

#[test]
fn any_topic_can_be_published_to_by_its_percent_encoding() {
    let broker = Broker::start("");
    let mut subscriber = Peer::welcomed(broker.address());
    subscriber.subscribe(subscribe(1, "#"));
    let mut web = Web::connect(broker.address());
    for (target, topic) in [
        ("/v1/topics/a%20b/%C3%A9%22", "a b/é\""),
        ("/v1/topics/%61/b+c", "a/b+c"),
        ("/v1/topics?topic=a%2Fb", "a/b"),
        ("/v1/topics?topic=./..", "./.."),
        ("/v1/topics/%25%32%30", "%20"),
        ("/v1/topics/a?ack=routed", "a"),
    ] {
        let answer = web.post(target, topic.as_bytes());
        if answer.status != 200 {
            // A plus sign may stand in no level of a name.
            assert!(topic.contains('+'), "{target}: {answer:?}");
            answer.refuses(400, "INVALID_TOPIC");
            continue;
        }
        match subscriber.frame() {
            Frame::MessageNamed(message) => {
                assert_eq!((message.topic, message.payload), (topic.as_bytes(), topic.as_bytes()), "{target}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_request_is_answered_by_a_native_responder() {
    let broker = Broker::start("reactors = 2\n");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut responder = Client::connect(&broker.url()).expect("a broker");
        let options = SubscribeOptions::responder("clocks");
        responder.subscribe("time/+", options).expect("a subscription");
        scope.spawn(|| {
            let mut responder = responder;
            while !is_over.load(Ordering::Relaxed) {
                let mut calls = Vec::new();
                let waited = responder.wait(std::time::Duration::from_millis(20), |event| {
                    if let Event::Call(call) = event {
                        calls.push((call.handle, call.payload.to_vec()));
                    }
                });
                waited.expect("the broker lives");
                for (handle, question) in calls {
                    responder.respond(&handle, &[b"12:00 ", &question[..]].concat()).expect("the broker lives");
                }
            }
        });
        // From both reactors.
        for _ in 0..4 {
            let mut web = Web::connect(broker.address());
            for question in ["UTC", "", "\u{e9}\r\n\r\n"] {
                let answer = web.post("/v1/request/time/now?deadline=20s", question.as_bytes());
                assert_eq!((answer.status, answer.text()), (200, &*format!("12:00 {question}")));
                assert_eq!(answer.field("Content-Type"), Some("application/octet-stream"));
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_request_without_a_reply_tells_why() {
    let broker = Broker::start("reactors = 2\n");
    let mut web = Web::connect(broker.address());
    let body = web.post("/v1/request/time/now", b"?").refuses(503, "NO_RESPONDERS");
    assert_eq!((body["retry"].as_str(), body["retry_after_ms"].as_u64()), (Some("after"), Some(1_000)));
    let mut responder = Peer::welcomed(broker.address());
    responder.subscribe(Subscribe { group: b"g", responder: true, ..subscribe(1, "time/now") });
    web.post("/v1/request/time/now?deadline=20ms", b"?").refuses(504, "DEADLINE_EXCEEDED");
    let handle = match responder.frame() {
        Frame::Call(call) => call.handle,
        other => panic!("{other:?}"),
    };
    // An answer that is late is nobody's: the next question gets its own.
    responder.send(Reply { handle, headers: b"", payload: b"late" });
    responder.expect_quiet();
    web.say(request("POST", "/v1/request/time/now", "", b"again"));
    let handle = match responder.frame() {
        Frame::Call(call) => call.handle,
        other => panic!("{other:?}"),
    };
    responder.send(Reply { handle, headers: b"", payload: b"in time" });
    assert_eq!(web.answer().text(), "in time");
    web.say(request("POST", "/v1/request/time/now", "", b"?"));
    assert!(matches!(responder.frame(), Frame::Call(_)));
    drop(responder);
    web.answer().refuses(502, "RESPONDER_GONE");
    web.is_served();
}

/// The sequences of an answer's lines.
#[track_caller]
fn sequences(answer: &Answer) -> Vec<u64> {
    assert_eq!((answer.status, answer.field("Content-Type")), (200, Some("application/jsonl")), "{answer:?}");
    let sequence = |line: &str| {
        let record: serde_json::Value = serde_json::from_str(line).expect("an object a line");
        assert_eq!((&record["type"], &record["topic"]), (&json!("history"), &json!("match/1")));
        let sequence = record["sequence"].as_u64().expect("a number");
        assert_eq!(record["payload"], format!("point {sequence}"));
        sequence
    };
    answer.text().lines().map(sequence).collect()
}

#[test]
fn a_history_comes_as_json_lines_from_where_and_as_far_as_it_is_asked_for() {
    let broker = Broker::start(MEMORY);
    let mut web = Web::connect(broker.address());
    for number in 1..=50 {
        assert_eq!(web.post("/v1/topics/match/1", format!("point {number}").as_bytes()).json()["sequence"], number);
        web.post("/v1/topics/match/2", b"another one's");
    }
    for (query, expected) in [
        ("", 1..=50),
        ("?limit=3", 1..=3),
        ("?from=last", 50..=50),
        ("?from=last:7", 44..=50),
        ("?from=seq:40", 40..=50),
        ("?from=seq:40&limit=2", 40..=41),
        ("?from=pos:3&limit=1", 2..=2),
        ("?from=time:2000-01-01T00:00:00Z&limit=1", 1..=1),
    ] {
        let answer = web.get(&format!("/v1/topics/match/1{query}"));
        assert_eq!(sequences(&answer), expected.collect::<Vec<u64>>(), "{query}");
    }
    assert_eq!(web.get("/v1/topics/match/nothing").body, b"", "a topic without records has an empty history");
    let old = Web::connect(broker.address()).stream().try_clone().expect("a descriptor");
    let mut old = Web::from(old);
    old.say("GET /v1/topics/match/1?limit=2 HTTP/1.0\r\nHost: localhost\r\n\r\n");
    let answer = old.answer();
    assert_eq!((answer.field("Transfer-Encoding"), sequences(&answer)), (None, vec![1, 2]), "1.0 has no chunks");
}

#[test]
fn a_limit_of_nothing_gives_nothing() {
    let broker = Broker::start(MEMORY);
    let mut web = Web::connect(broker.address());
    web.post("/v1/topics/match/1", b"point 1");
    let answer = web.get("/v1/topics/match/1?limit=0");
    assert!(answer.body.is_empty() || answer.status == 400, "{answer:?}");
}

/// The same requests in one write, and byte by byte.
#[test]
fn however_requests_are_cut_the_answers_are_the_same() {
    let broker = Broker::start(MEMORY);
    let chunked = "POST /v1/topics/match/1 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3;name=value\r\nove\r\n1\r\nr\r\n0\r\nTrailer: x\r\n\r\n";
    let asked = [
        request("POST", "/v1/topics/match/1?ack=none", "", b"one"),
        request("GET", "/healthz", "", b""),
        chunked.as_bytes().to_vec(),
        request("GET", "/v1/topics/live/1", "", b""),
        request("POST", "/v1/request/nobody", "", b"?"),
        request("GET", "/nothing", "", b""),
        request("GET", "/readyz", "", b""),
    ];
    let bytes = asked.concat();
    let mut expected: Option<Vec<(u16, Vec<u8>)>> = None;
    for piece_bytes in [bytes.len(), 1, 7, 100] {
        let mut web = Web::connect(broker.address());
        bytes.chunks(piece_bytes).for_each(|piece| web.say(piece));
        let mut answers: Vec<(u16, Vec<u8>)> = Vec::new();
        for _ in &asked {
            let answer = web.answer();
            answers.push((answer.status, answer.body));
        }
        // The sequence is the only thing that goes on.
        answers[2].1 = Vec::new();
        let statuses: Vec<u16> = answers.iter().map(|(status, _)| *status).collect();
        assert_eq!(statuses, [202, 200, 200, 422, 503, 404, 200], "{piece_bytes} bytes a write");
        assert_eq!(expected.get_or_insert_with(|| answers.clone()), &answers, "{piece_bytes} bytes a write");
    }
    let history = ask(broker.address(), "GET", "/v1/topics/match/1", "", b"");
    assert_eq!(history.text().matches("\"payload\":\"over\"").count(), 4);
}

#[test]
fn hundreds_of_pipelined_requests_are_all_answered_in_order() {
    const REQUESTS: usize = 500;
    let broker = Broker::start(MEMORY);
    let mut web = Web::connect(broker.address());
    let ask = |number: usize| match number % 3 {
        0 => request("GET", "/healthz", "", b""),
        1 => request("POST", "/v1/topics/match/1", "", b"x"),
        _ => request("GET", "/v1/topics/match/1?from=last", "", b""),
    };
    web.say((0..REQUESTS).map(ask).collect::<Vec<_>>().concat());
    for number in 0..REQUESTS {
        let answer = web.answer();
        let told = match number % 3 {
            0 => "ok\n".to_owned(),
            1 => format!("{{\"ack\":\"routed\",\"sequence\":{}}}", number / 3 + 1),
            _ => format!("\"sequence\":{},", number / 3 + 1),
        };
        assert!(answer.text().contains(&told), "{number}: {answer:?}");
    }
}

#[test]
fn a_connection_is_kept_unless_either_side_wants_it_to_end() {
    let broker = Broker::start("");
    let mut web = Web::connect(broker.address());
    assert!((0..10).all(|_| web.get("/healthz").field("Connection").is_none()));
    let answer = web.ask("GET", "/healthz", "Connection: close\r\n", b"");
    assert_eq!((answer.status, answer.field("Connection")), (200, Some("close")));
    web.expect_end();
    let mut old = Web::connect(broker.address());
    old.say("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(old.answer().field("Connection"), Some("keep-alive"));
    old.say("GET /healthz HTTP/1.0\r\n\r\n");
    assert_eq!(old.answer().field("Connection"), Some("close"));
    old.expect_end();
    let mut web = Web::connect(broker.address());
    let answer = web.ask("POST", "/v1/topics/a", "Connection: close\r\n", b"last");
    assert_eq!((answer.status, answer.field("Connection")), (200, Some("close")));
    web.expect_end();
}

/// As `nc -N` and many a script do it.
#[test]
fn who_ends_its_side_behind_its_requests_still_gets_all_answers() {
    let data = DataDirectory::new();
    let broker = Broker::start(&configuration(data.path(), ""));
    let mut web = Web::connect(broker.address());
    web.say(request("POST", "/v1/topics/match/1?ack=durable", "", b"x"));
    web.end_output();
    assert_eq!(web.answer().json(), json!({"ack": "durable", "sequence": 1}));
    web.expect_end();
    let mut web = Web::connect(broker.address());
    let asked = [
        request("POST", "/v1/topics/match/1?ack=durable", "", b"x"),
        request("GET", "/healthz", "", b""),
        request("POST", "/v1/topics/match/1?ack=journaled", "", b"x"),
        request("GET", "/v1/topics/match/1", "", b""),
    ];
    web.say([&asked.concat()[..], b"GET /half"].concat());
    web.end_output();
    assert_eq!(web.answer().json()["sequence"], 2);
    assert_eq!(web.answer().text(), "ok\n");
    assert_eq!(web.answer().json()["sequence"], 3);
    assert_eq!(web.answer().text().lines().count(), 3);
    web.expect_end();
}

#[test]
fn who_has_ended_its_side_becomes_no_websocket() {
    let data = DataDirectory::new();
    let broker = Broker::start(&configuration(data.path(), ""));
    let mut web = Web::connect(broker.address());
    let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: fanwire.v1\r\n";
    let publish = request("POST", "/v1/topics/match/1?ack=durable", "", b"x");
    web.say([publish, request("GET", "/v1/ws", fields, b"")].concat());
    web.end_output();
    assert_eq!(web.answer().json()["ack"], "durable");
    web.answer().refuses(400, "BAD_REQUEST");
    web.expect_end();
}

#[test]
fn whoever_asks_for_much_at_once_gets_it_as_it_reads() {
    const COUNT: usize = 200;
    let broker = Broker::start("");
    let mut web = Web::connect(broker.address());
    web.say(request("GET", "/fanwire.js", "", b"").repeat(COUNT));
    for _ in 0..COUNT {
        assert_eq!(web.answer().status, 200);
    }
}

#[test]
fn a_request_that_is_not_answered_when_the_broker_ends_is_told_so() {
    let broker = Broker::start("[drain]\ndeadline = \"1s\"\n");
    let mut responder = Peer::welcomed(broker.address());
    responder.subscribe(Subscribe { group: b"g", responder: true, ..subscribe(1, "ask") });
    let mut web = Web::connect(broker.address());
    web.say(request("POST", "/v1/request/ask?deadline=600s", "", b"?"));
    assert!(matches!(responder.frame(), Frame::Call(_)));
    broker.signal(Signal::TERM);
    web.answer().refuses(503, "DRAINING");
}

/// Who has gone looks the same, and a reply may be allowed very long.
#[test]
fn who_ends_its_side_behind_what_others_have_to_answer_is_not_waited_for() {
    let data = DataDirectory::new();
    let broker = Broker::start(&configuration(data.path(), ""));
    let mut responder = Peer::welcomed(broker.address());
    responder.subscribe(Subscribe { group: b"g", responder: true, ..subscribe(1, "time/now") });
    let publish = || request("POST", "/v1/topics/match/1?ack=durable", "", b"x");
    let waits = [
        request("POST", "/v1/request/time/now?deadline=600s", "", b"?"),
        request("GET", "/v1/poll?topic=match/1&wait=600s", "", b""),
        request("GET", "/v1/sse?topic=match/1", "", b""),
        b"POST /v1/topics/match/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf".to_vec(),
    ];
    for wait in waits {
        let mut web = Web::connect(broker.address());
        web.say([publish(), wait].concat());
        web.end_output();
        assert_eq!(web.answer().json()["ack"], "durable");
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut web.stream(), &mut rest).expect("it ends");
    }
}

#[test]
fn who_waits_for_continue_is_told_to_go_on_or_refused_before_the_body() {
    let broker = Broker::start("");
    let mut web = Web::connect(broker.address());
    let head = |target: &str, length: u32, expectation: &str| {
        format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nExpect: {expectation}\r\n\r\n"
        )
    };
    web.say(head("/v1/topics/a", 5, "100-continue"));
    assert_eq!(web.head().0, 100);
    web.say("hello");
    assert_eq!(web.answer().status, 200);
    web.say(head("/v1/topics/a", 0, "100-continue"));
    assert_eq!(web.head().0, 200, "nobody waits for an empty body");
    for (target, length, expectation, status) in [
        ("/v1/topics/a", 5, "200-maybe", 417),
        ("/nothing", 5, "100-continue", 404),
        ("/v1/topics/a", 2_000_000, "100-continue", 413),
    ] {
        let mut web = Web::connect(broker.address());
        web.say(head(target, length, expectation));
        let answer = web.answer();
        assert_eq!((answer.status, answer.field("Connection")), (status, Some("close")));
        web.expect_end();
    }
}

#[test]
fn head_gets_the_head_of_get_and_options_says_what_may_be_asked() {
    let broker = Broker::start("");
    let mut web = Web::connect(broker.address());
    for target in ["/healthz", "/readyz", "/nothing"] {
        let (got, head) = (web.get(target), web.ask("HEAD", target, "", b""));
        assert_eq!((got.status, got.field("Content-Length")), (head.status, head.field("Content-Length")));
    }
    for (target, methods) in [
        ("/healthz", "GET, HEAD, OPTIONS"),
        ("/v1/topics/a", "GET, POST, OPTIONS"),
        ("/v1/request/a", "POST, OPTIONS"),
        ("/v1/sse", "GET, OPTIONS"),
    ] {
        let answer = web.ask("OPTIONS", target, "", b"");
        assert_eq!((answer.status, answer.field("Allow")), (204, Some(methods)));
        assert!(answer.field("Access-Control-Allow-Origin").is_none(), "nobody else's page was allowed: {answer:?}");
    }
    web.is_served();
}

#[test]
fn what_is_published_by_either_side_is_heard_by_the_other() {
    let broker = Broker::start(&format!("reactors = 2\n{MEMORY}"));
    let mut peers: Vec<Peer> = (0..2).map(|_| Peer::welcomed(broker.address())).collect();
    for peer in &mut peers {
        peer.subscribe(subscribe(1, "chat"));
    }
    for _ in 0..4 {
        assert_eq!(ask(broker.address(), "POST", "/v1/topics/chat", "", b"from the web").status, 200);
    }
    for peer in &mut peers {
        for _ in 0..4 {
            assert!(matches!(peer.frame(), Frame::Message(message) if message.payload == b"from the web"));
        }
    }
    peers[0].send(publish("match/1", AckLevel::Routed, b"native"));
    assert!(matches!(peers[0].frame(), Frame::Ack(_)));
    assert!(ask(broker.address(), "GET", "/v1/topics/match/1", "", b"").text().contains("\"native\""));
}

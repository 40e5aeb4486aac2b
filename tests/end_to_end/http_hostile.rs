//! The web side under attack: other people's pages, callers without a token, requests that two readers would part
//! differently, giants, sluggards, and who leaves in the middle.

use super::broker::Broker;
use super::peer::{Peer, Witness, publish, subscribe};
use super::process::{PATIENCE, eventually};
use super::web::{Answer, JSON, NATIVE, Socket, Web, ask, request, upgrade};
use fanwire_wire::frame::{AckLevel, Frame, Reply, Request, Subscribe};
use std::net::SocketAddr;
use std::time::Duration;

const MEMORY: &str = "[[journal]]\nname = \"events\"\ntopics = [\"match/#\"]\nstore = \"memory\"\n";
/// Every route that reads or changes state, with the fields that it needs.
const ROUTES: [(&str, &str, bool); 8] = [
    ("GET", "/", true),
    ("GET", "/v1/ws", true),
    ("GET", "/v1/sse?topic=match/1", false),
    ("GET", "/v1/poll?topic=match/1", false),
    ("GET", "/v1/topics/match/1", false),
    ("POST", "/v1/topics/match/1", false),
    ("POST", "/v1/request/match/1", false),
    ("GET", "/metrics", false),
];

/// The answer on this route to a caller with these fields, Host among them.
#[track_caller]
fn ask_as(address: SocketAddr, route: (&str, &str, bool), fields: &str) -> Answer {
    let (method, target, is_upgrade) = route;
    let upgrade = if is_upgrade { upgrade(JSON) } else { String::new() };
    let length = if method == "POST" { "Content-Length: 1\r\n" } else { "" };
    let body = if method == "POST" { "x" } else { "" };
    let mut web = Web::connect(address);
    web.say(format!("{method} {target} HTTP/1.1\r\n{fields}{upgrade}{length}\r\n{body}"));
    // A stream has no end.
    let (status, head) = web.head();
    let mut answer = Answer { status, head, body: Vec::new() };
    if let Some(length) = answer.field("Content-Length") {
        let length = length.parse().expect("a length");
        answer.body = web.take(length);
    }
    answer
}

#[test]
fn another_page_reaches_nothing_on_any_route() {
    let broker = Broker::start(MEMORY);
    let port = broker.address().port();
    for route in ROUTES {
        for (fields, status, name) in [
            // DNS rebinding: the name is the attacker's, the address ours.
            (format!("Host: evil.example:{port}\r\n"), 421, "HOST_REFUSED"),
            (format!("Host: evil.example:{port}\r\nOrigin: http://evil.example:{port}\r\n"), 421, "HOST_REFUSED"),
            (format!("Host: localhost.evil.example:{port}\r\n"), 421, "HOST_REFUSED"),
            (format!("Host: 127.1:{port}\r\n"), 421, "HOST_REFUSED"),
            (format!("Host: 10.0.0.1:{port}\r\n"), 421, "HOST_REFUSED"),
            // Cross-site, other ports of this machine, and pages without an origin.
            (format!("Host: localhost:{port}\r\nOrigin: https://evil.example\r\n"), 403, "ORIGIN_REFUSED"),
            (format!("Host: localhost:{port}\r\nOrigin: http://localhost:1\r\n"), 403, "ORIGIN_REFUSED"),
            (format!("Host: localhost:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"), 403, "ORIGIN_REFUSED"),
            (format!("Host: localhost:{port}\r\nOrigin: null\r\n"), 403, "ORIGIN_REFUSED"),
            (
                format!("Host: localhost:{port}\r\nOrigin: http://localhost:{port}.evil.example\r\n"),
                403,
                "ORIGIN_REFUSED",
            ),
            (format!("Host: localhost:{port}\r\nSec-Fetch-Site: cross-site\r\n"), 403, "ORIGIN_REFUSED"),
            (format!("Host: localhost:{port}\r\nSec-Fetch-Site: same-site\r\n"), 403, "ORIGIN_REFUSED"),
            // Whoever stands in front may believe the other one.
            (format!("Host: localhost:{port}\r\nHost: evil.example\r\n"), 400, "BAD_REQUEST"),
            (String::new(), 400, "BAD_REQUEST"),
        ] {
            let answer = ask_as(broker.address(), route, &fields);
            let body = answer.refuses(status, name);
            assert!(answer.field("Access-Control-Allow-Origin").is_none(), "{route:?} {fields:?}: {body}");
        }
    }
    let told = ask(broker.address(), "GET", "/v1/topics/match/1", "", b"");
    assert_eq!((told.status, told.text()), (200, ""), "nothing of all that was published");
}

#[test]
fn the_broker_s_own_page_reaches_every_route() {
    let broker = Broker::start(MEMORY);
    let port = broker.address().port();
    for route in ROUTES.into_iter().filter(|(_, target, _)| !["/metrics", "/v1/poll?topic=match/1"].contains(target)) {
        for host in [format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
            let fields = format!("Host: {host}\r\nOrigin: http://{host}\r\nSec-Fetch-Site: same-origin\r\n");
            let answer = ask_as(broker.address(), route, &fields);
            assert!([101, 200, 503].contains(&answer.status), "{route:?} {fields:?}: {answer:?}");
            assert_ne!(answer.status == 503, route.1 != "/v1/request/match/1", "{answer:?}");
        }
    }
}

#[test]
fn a_foreign_preflight_is_refused_before_anything_is_asked() {
    let broker = Broker::start("");
    let fields = "Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n";
    let answer = ask(broker.address(), "OPTIONS", "/v1/topics/a", fields, b"");
    answer.refuses(403, "ORIGIN_REFUSED");
    assert!(answer.field("Access-Control-Allow-Origin").is_none());
}

#[test]
fn without_a_token_there_is_nothing_but_a_sign_of_life() {
    let broker = Broker::start(&format!("tokens = [\"s3cret\"]\n{MEMORY}"));
    let address = broker.address();
    for (method, target, _) in ROUTES.into_iter().filter(|(_, _, is_upgrade)| !is_upgrade) {
        for fields in
            ["", "Authorization: Bearer wrong\r\n", "Authorization: Bearer\r\n", "Authorization: Basic czNjcmV0\r\n"]
        {
            let answer = ask(address, method, target, fields, b"");
            answer.refuses(401, "BAD_CREDENTIALS");
            assert_eq!(answer.field("WWW-Authenticate"), Some("Bearer realm=\"fanwire\""));
        }
        let twice = "Authorization: Bearer s3cret\r\nAuthorization: Bearer s3cret\r\n";
        ask(address, method, target, twice, b"").refuses(400, "BAD_REQUEST");
    }
    assert_eq!(ask(address, "GET", "/healthz", "", b"").status, 200);
    let bearer = "Authorization: bearer s3cret\r\n";
    assert_eq!(ask(address, "POST", "/v1/topics/match/1", bearer, b"x").status, 200);
    assert_eq!(ask(address, "GET", "/v1/topics/match/1", bearer, b"").text().lines().count(), 1);
    assert!(!broker.log().contains("s3cret") && !broker.banner().contains("s3cret"));
}

#[test]
fn a_websocket_brings_its_token_with_the_upgrade_or_with_hello() {
    let broker = Broker::start("tokens = [\"s3cret\"]\n");
    let address = broker.address();
    // By subprotocol, which is all that a page can set, and never echoed.
    Socket::open(address, "fanwire.token.czNjcmV0, fanwire.json.v1").greet();
    let mut web = Web::connect(address);
    let fields = format!("Authorization: Bearer s3cret\r\n{}", upgrade(NATIVE));
    assert_eq!(web.ask("GET", "/v1/ws", &fields, b"").status, 101);
    let mut socket = Socket::open(address, JSON);
    socket.tell(r#"{"type":"hello","token":"s3cret"}"#);
    assert_eq!(socket.object_of("welcome")["open"], false);
    for hello in [r#"{"type":"hello"}"#, r#"{"type":"hello","token":"wrong"}"#] {
        let mut socket = Socket::open(address, JSON);
        socket.tell(hello);
        assert_eq!(socket.object_of("error")["name"], "BAD_CREDENTIALS");
        socket.expect_closed(1008, "BAD_CREDENTIALS");
    }
    let wrong = upgrade("fanwire.token.d3Jvbmc, fanwire.json.v1");
    ask(address, "GET", "/v1/ws", &wrong, b"").refuses(401, "BAD_CREDENTIALS");
}

/// What two readers could part differently is refused, the connection ends, and what stands behind is never taken for
/// a request.
#[test]
fn a_smuggled_request_is_never_seen() {
    let broker = Broker::start(MEMORY);
    let mut witness = Witness::of(&broker);
    let smuggled = "POST /v1/topics/match/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx";
    let post =
        |fields: &str, body: &str| format!("POST /v1/topics/a HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n{body}");
    for (what, bytes) in [
        ("both lengths", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
        ("both lengths, the other way round", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")),
        ("two lengths", post("Content-Length: 0\r\nContent-Length: 5\r\n", "")),
        ("two equal lengths", post("Content-Length: 0\r\nContent-Length: 0\r\n", "")),
        ("a list of lengths", post("Content-Length: 0, 0\r\n", "")),
        ("a signed length", post("Content-Length: +0\r\n", "")),
        ("a negative length", post("Content-Length: -1\r\n", "")),
        ("a length in hexadecimal", post("Content-Length: 0x0\r\n", "")),
        ("a length beyond all", post("Content-Length: 99999999999999999999\r\n", "")),
        ("a space before the colon", post("Content-Length : 0\r\n", "")),
        ("a folded field", post("X: y\r\n Content-Length: 5\r\n", "")),
        ("chunked twice", post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n")),
        ("not chunked in the end", post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n")),
        ("a coding with a tab", post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n")),
        ("two codings", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n")),
        ("a signed chunk size", post("Transfer-Encoding: chunked\r\n", "+0\r\n\r\n")),
        ("a chunk size with a space", post("Transfer-Encoding: chunked\r\n", " 0\r\n\r\n")),
        ("a chunk size in C", post("Transfer-Encoding: chunked\r\n", "0x0\r\n\r\n")),
        ("no chunk size", post("Transfer-Encoding: chunked\r\n", "\r\n\r\n")),
        ("an endless chunk size", post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n")),
        ("a chunk that ends in a bare LF", post("Transfer-Encoding: chunked\r\n", "0\n\r\n")),
        ("an extension with a bare LF", post("Transfer-Encoding: chunked\r\n", "0;a\nb\r\n\r\n")),
        ("a chunk that is longer than it says", post("Transfer-Encoding: chunked\r\n", "1\r\nab\r\n0\r\n\r\n")),
        ("a bare LF", "GET /healthz HTTP/1.1\nHost: localhost\n\n".to_owned()),
        ("a bare CR", "GET /healthz HTTP/1.1\rHost: localhost\r\n\r\n".to_owned()),
        ("a control", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: \0\r\n\r\n".to_owned()),
        ("a space too many", "GET  /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned()),
        ("a version that is none", "GET /healthz HTTP/1.1x\r\nHost: localhost\r\n\r\n".to_owned()),
        ("two hosts", "GET http://a.localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned()),
        (
            "a body that nobody reads",
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n".to_owned(),
        ),
        ("1.0 and chunks", "POST /v1/topics/a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned()),
    ] {
        let mut web = Web::connect(broker.address());
        web.say(bytes);
        web.pour(smuggled);
        let answer = web.answer();
        assert!([400, 413, 501].contains(&answer.status), "{what}: {answer:?}");
        assert_eq!(answer.field("Connection"), Some("close"), "{what}");
        web.expect_end();
    }
    assert_eq!(ask(broker.address(), "GET", "/v1/topics/match/1", "", b"").text(), "");
    witness.is_served();
}

#[test]
fn giants_are_refused_before_they_are_held() {
    let broker = Broker::start("[limits]\nframe_bytes_max = \"8KiB\"\nheaders_bytes_max = \"1KiB\"\n");
    let mut witness = Witness::of(&broker);
    let long = "x".repeat(20_000);
    for (bytes, status, name) in [
        (format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n"), 431, "HEAD_TOO_LARGE"),
        (format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(65)), 431, "HEAD_TOO_LARGE"),
        (format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"), 414, "TARGET_TOO_LONG"),
        (format!("{} / HTTP/1.1\r\n\r\n", long.to_uppercase()), 414, "TARGET_TOO_LONG"),
        (String::from_utf8(request("POST", "/v1/topics/a", "", long.as_bytes())).expect("text"), 413, "BODY_TOO_LARGE"),
        (
            format!(
                "POST /v1/topics/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4e20\r\n{long}\r\n"
            ),
            413,
            "BODY_TOO_LARGE",
        ),
    ] {
        let mut web = Web::connect(broker.address());
        web.pour(&bytes);
        web.pour([b'x'; 300_000]);
        web.answer().refuses(status, name);
        web.expect_end();
        witness.is_served();
    }
}

#[test]
fn a_body_with_a_topic_may_not_pass_what_a_frame_may() {
    let broker = Broker::start("[limits]\nframe_bytes_max = \"8KiB\"\nheaders_bytes_max = \"1KiB\"\n");
    let mut native = Peer::welcomed(broker.address());
    native.subscribe(subscribe(1, "#"));
    let mut socket = Socket::json(broker.address());
    socket.subscribe(r##"{"type":"subscribe","subscription":1,"filter":"#"}"##);
    let body = vec![b'x'; 8 * 1024];
    let answer = ask(broker.address(), "POST", "/v1/topics/a", "", &body);
    if answer.status == 200 {
        assert!(matches!(native.frame(), Frame::MessageNamed(message) if message.payload == body));
        assert_eq!(socket.object_of("message")["payload"].as_str().map(str::len), Some(body.len()));
    } else {
        assert_eq!(answer.status, 413, "{answer:?}");
    }
}

#[test]
fn sluggards_are_timed_out() {
    let broker = Broker::start("[limits]\nhandshake_time_max = \"200ms\"\nframe_time_max = \"300ms\"\n");
    let mut silent = Web::connect(broker.address());
    let mut head = Web::connect(broker.address());
    head.say("GET /healthz HTTP/1.1\r\nHos");
    let mut body = Web::connect(broker.address());
    body.say("POST /v1/topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhel");
    let mut chunks = Web::connect(broker.address());
    chunks.say("POST /v1/topics/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
    let mut second = Web::connect(broker.address());
    second.is_served();
    second.say("GET /healthz HT");
    for web in [&mut head, &mut body, &mut chunks, &mut second] {
        let answer = web.answer();
        answer.refuses(408, "REQUEST_TIMEOUT");
        assert_eq!(answer.field("Connection"), Some("close"));
        web.expect_end();
    }
    // One who says nothing may speak any protocol: it is told in the broker's own.
    while silent.hear() {}
    let mut socket = Socket::open(broker.address(), JSON);
    assert_eq!(socket.object_of("error")["name"], "HANDSHAKE_TIMEOUT");
    socket.expect_closed(1008, "HANDSHAKE_TIMEOUT");
}

/// A byte now and then does not buy more time.
#[test]
fn a_head_that_trickles_is_timed_out_all_the_same() {
    let broker = Broker::start("[limits]\nhandshake_time_max = \"300ms\"\n");
    let mut web = Web::connect(broker.address());
    web.say("GET /healthz HTTP/1.1\r\nX: ");
    web.stream().set_read_timeout(Some(Duration::from_millis(20))).expect("an option");
    eventually("the answer", || {
        web.pour("x");
        web.stream().peek(&mut [0]).is_ok().then_some(())
    });
    web.stream().set_read_timeout(Some(PATIENCE)).expect("an option");
    web.answer().refuses(408, "REQUEST_TIMEOUT");
}

#[test]
fn thousands_of_idle_upgrades_hold_nobody_up() {
    const SOCKETS: usize = 2_000;
    let broker = Broker::start("reactors = 2\n");
    let mut witness = Witness::of(&broker);
    let mut sockets: Vec<Socket> = Vec::with_capacity(SOCKETS);
    for number in 0..SOCKETS {
        sockets.push(Socket::json(broker.address()));
        if number % 100 == 0 {
            witness.is_served();
        }
    }
    let descriptors = broker.descriptor_count();
    assert!(descriptors > SOCKETS);
    sockets.iter_mut().step_by(50).for_each(Socket::expect_quiet);
    witness.is_served();
    drop(sockets);
    eventually("their descriptors", || (broker.descriptor_count() < descriptors - SOCKETS + 10).then_some(()));
    witness.is_served();
}

/// Many times, since what is left behind each time would be seen by then.
#[test]
fn who_leaves_in_the_middle_of_a_history_leaves_nothing_behind() {
    const ROUNDS: usize = 200;
    let broker = Broker::start(&format!("{MEMORY}max_bytes = \"32MiB\"\n"));
    let mut publisher = Peer::welcomed(broker.address());
    for _ in 0..1_000 {
        publisher.send(publish("match/1", AckLevel::None, &[b'x'; 16_000]));
    }
    publisher.expect_quiet();
    let mut witness = Witness::of(&broker);
    let leave = || {
        let mut web = Web::connect(broker.address());
        web.say(request("GET", "/v1/topics/match/1?limit=1000000", "", b""));
        assert_eq!(web.head().0, 200);
        assert!(web.chunk().is_some());
    };
    (0..ROUNDS / 10).for_each(|_| leave());
    let (descriptors, bytes) = (broker.descriptor_count(), broker.resident_bytes());
    (0..ROUNDS).for_each(|_| leave());
    eventually("their descriptors", || (broker.descriptor_count() <= descriptors).then_some(()));
    let grown = broker.resident_bytes().saturating_sub(bytes);
    assert!(grown < 16 << 20, "{grown} bytes of {ROUNDS} readers are still there");
    witness.is_served();
}

#[test]
fn who_leaves_in_the_middle_of_a_request_leaves_nothing_behind() {
    const ROUNDS: u32 = 200;
    let broker = Broker::start("[limits]\nrequests_max = 4\n");
    let mut responder = Peer::welcomed(broker.address());
    responder.subscribe(Subscribe { group: b"g", responder: true, ..subscribe(1, "ask") });
    for round in 0..ROUNDS {
        let mut web = Web::connect(broker.address());
        web.say(request("POST", "/v1/request/ask?deadline=600s", "", b"?"));
        assert!(matches!(responder.frame(), Frame::Call(_)), "{round}");
    }
    let mut native = Peer::welcomed(broker.address());
    native.send(Request { correlation: 1, deadline_ms: 1_000, topic: b"ask", headers: b"", payload: b"?" });
    let handle = match responder.frame() {
        Frame::Call(call) => call.handle,
        other => panic!("{other:?}"),
    };
    responder.send(Reply { handle, headers: b"", payload: b"!" });
    assert!(matches!(native.frame(), Frame::Response(response) if response.code == 0));
    // The sockets, the listener and what else it needs: nothing of those who left.
    eventually("their descriptors", || (broker.descriptor_count() < 60).then_some(()));
}

/// Whoever asks and then pours on is not read without end.
#[test]
fn what_is_sent_behind_a_request_in_flight_is_not_held_without_bound() {
    const POURED_BYTES: usize = 64 << 20;
    let broker = Broker::start("[limits]\npartial_bytes_total_max = \"1GiB\"\n");
    let mut responder = Peer::welcomed(broker.address());
    responder.subscribe(Subscribe { group: b"g", responder: true, ..subscribe(1, "ask") });
    let mut witness = Witness::of(&broker);
    let bytes = broker.resident_bytes();
    let mut web = Web::connect(broker.address());
    web.say(request("POST", "/v1/request/ask?deadline=600s", "", b"?"));
    let handle = match responder.frame() {
        Frame::Call(call) => call.handle,
        other => panic!("{other:?}"),
    };
    let pouring = Web::from(web.stream().try_clone().expect("a descriptor"));
    std::thread::scope(|scope| {
        let poured = scope.spawn(move || {
            let ping = request("GET", "/healthz", "", b"");
            let block = ping.repeat(1 + 65_536 / ping.len());
            pouring.stream().set_write_timeout(Some(Duration::from_millis(500))).expect("an option");
            let mut poured = 0;
            while poured < POURED_BYTES && std::io::Write::write_all(&mut pouring.stream(), &block).is_ok() {
                poured += block.len();
            }
            poured
        });
        let poured = poured.join().expect("it only writes");
        let grown = broker.resident_bytes().saturating_sub(bytes);
        assert!(poured < POURED_BYTES && grown < 8 << 20, "{poured} bytes were taken and {grown} are held");
    });
    witness.is_served();
    responder.send(Reply { handle, headers: b"", payload: b"!" });
    assert_eq!(web.answer().text(), "!");
    assert_eq!(web.answer().text(), "ok\n", "what was held is served in its turn");
}

/// What it holds back is its own doing, and no reason to read nobody.
#[test]
fn who_runs_ahead_of_its_answers_holds_up_nobody_else() {
    let broker = Broker::start(
        "[limits]\npartial_bytes_total_max = \"64KiB\"\nframe_bytes_max = \"8KiB\"\nheaders_bytes_max = \"1KiB\"\n",
    );
    let mut responder = Peer::welcomed(broker.address());
    responder.subscribe(Subscribe { group: b"g", responder: true, ..subscribe(1, "ask") });
    let mut witness = Witness::of(&broker);
    for _ in 0..4 {
        let mut web = Web::connect(broker.address());
        web.say(request("POST", "/v1/request/ask?deadline=600s", "", b"?"));
        assert!(matches!(responder.frame(), Frame::Call(_)));
        let ping = request("GET", "/healthz", "", b"");
        web.pour(ping.repeat(1 + 200_000 / ping.len()));
        witness.is_served();
        // Together they would hold too much: the largest has to go.
        web.wait_for_loss();
        witness.is_served();
    }
}

//! What operators look at: figures, probes, and who may see them.

use super::broker::Broker;
use super::journal_scene::{DataDirectory, configuration};
use super::peer::{Peer, publish, subscribe};
use super::process::eventually;
use super::web::{Answer, Web, ask};
use fanwire_wire::frame::{AckLevel, Frame, Policy, Subscribe};
use serde_json::{Value, json};
use std::net::SocketAddr;

const MEMORY: &str = "[[journal]]\nname = \"events\"\ntopics = [\"match/#\"]\nstore = \"memory\"\n";

/// What the console would be told.
#[track_caller]
fn stats(address: SocketAddr) -> Value {
    let answer = ask(address, "GET", "/v1/stats", "", b"");
    assert_eq!((answer.status, answer.field("Content-Type")), (200, Some("application/json")), "{answer:?}");
    assert_eq!(answer.field("Cache-Control"), Some("no-store"));
    answer.json()
}

/// The value of a line of `/metrics`, summed over reactors.
#[track_caller]
fn metric(address: SocketAddr, name: &str, label: &str) -> f64 {
    let answer = ask(address, "GET", "/metrics", "", b"");
    assert_eq!(answer.field("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let lines = answer.text().lines().filter(|line| !line.starts_with('#') && line.contains(label));
    let values = lines.filter_map(|line| {
        let (labelled, value) = line.rsplit_once(' ')?;
        let found = labelled.split('{').next()?;
        (found == name).then(|| value.parse::<f64>().expect("a number"))
    });
    values.sum()
}

#[track_caller]
fn expect_message(subscriber: &mut Peer) {
    let frame = subscriber.frame();
    let is_one = matches!(frame, Frame::Message(_) | Frame::MessageNamed(_) | Frame::Record(_) | Frame::RecordNamed(_));
    assert!(is_one, "{frame:?}");
}

#[test]
fn figures_follow_what_happens_on_every_reactor() {
    const MESSAGES: u64 = 40;
    let broker = Broker::start(&format!("reactors = 2\n{MEMORY}"));
    let address = broker.address();
    let mut subscribers: Vec<Peer> = (0..4).map(|_| Peer::welcomed(address)).collect();
    for subscriber in &mut subscribers {
        subscriber.subscribe(subscribe(1, "#"));
    }
    let mut publisher = Peer::welcomed(address);
    for _ in 0..MESSAGES / 2 {
        publisher.send(publish("match/1", AckLevel::Routed, b"kept"));
        publisher.send(publish("chat/1", AckLevel::Routed, b"live"));
    }
    for subscriber in &mut subscribers {
        (0..MESSAGES).for_each(|_| expect_message(subscriber));
    }
    let told = eventually("the last turn's figures", || {
        Some(stats(address)).filter(|told| told["deliveries"] == MESSAGES * 4)
    });
    assert_eq!((&told["messages_in"], &told["bytes_in"]), (&json!(MESSAGES), &json!(MESSAGES * 4)));
    assert_eq!((&told["subscriptions"], &told["connections"]["native"]), (&json!(4), &json!(5)));
    assert_eq!((&told["open"], &told["draining"]), (&json!(true), &json!(false)));
    assert!(told["server_name"].as_str().expect("a name").starts_with("fanwire/"));
    assert!(told["bytes_out"].as_u64() > Some(MESSAGES * 4 * 4) && told["uptime_us"].as_u64() > Some(0));
    let reactors = told["reactors"].as_array().expect("a list");
    assert_eq!(reactors.len(), 2);
    let sum = |field: &str| reactors.iter().filter_map(|reactor| reactor[field].as_u64()).sum::<u64>();
    assert_eq!((sum("subscriptions"), sum("deliveries")), (4, MESSAGES * 4));
    assert!(reactors.iter().all(|reactor| reactor["turns"].as_u64() > Some(0)), "both have turned: {told}");
    let journal = &told["journals"][0];
    assert_eq!((&journal["name"], &journal["filters"]), (&json!("events"), &json!(["match/#"])));
    assert_eq!((&journal["store"], &journal["state"]), (&json!("memory"), &json!("open")));
    assert_eq!((&journal["appended"], &journal["records"], &journal["topics"]), (&json!(20), &json!(20), &json!(1)));
    assert_eq!(metric(address, "fanwire_deliveries_total", "reactor"), (MESSAGES * 4) as f64);
    assert_eq!(metric(address, "fanwire_connections", "protocol=\"native\""), 5.0);
    assert_eq!(metric(address, "fanwire_journal_appended_total", "events"), 20.0);
    drop(subscribers);
    eventually("the figures to fall", || (stats(address)["connections"]["native"] == 1).then_some(()));
}

#[test]
fn connections_are_counted_by_what_they_speak() {
    let broker = Broker::start("");
    let address = broker.address();
    let mut stream = Web::connect(address);
    stream.say("GET /v1/sse?topic=a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(stream.head().0, 200);
    let upgrade = |subprotocol: &str| {
        let mut web = Web::connect(address);
        web.say(format!(
            "GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
             Sec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
        ));
        assert_eq!(web.head().0, 101);
        web
    };
    let (_frames, _json) = (upgrade("fanwire.v1"), upgrade("fanwire.json.v1"));
    let (_native, _silent) = (Peer::welcomed(address), Web::connect(address));
    let expected =
        json!({"opening": 1, "native": 1, "websocket": 1, "websocket_json": 1, "sse": 1, "poll": 0, "http": 1});
    let mut asking = Web::connect(address);
    eventually("each in its row", || (asking.get("/v1/stats").json()["connections"] == expected).then_some(()));
    assert!(metric(address, "fanwire_connections_accepted_total", "") >= 6.0);
}

#[test]
fn the_busiest_topics_are_told_once_somebody_has_asked_wherever_they_are_published() {
    let broker = Broker::start(&format!("reactors = 2\n{MEMORY}"));
    let address = broker.address();
    let mut subscribers: Vec<Peer> = (0..4).map(|_| Peer::welcomed(address)).collect();
    for subscriber in &mut subscribers {
        subscriber.subscribe(subscribe(1, "room/busy"));
    }
    let mut publishers: Vec<Peer> = (0..2).map(|_| Peer::welcomed(address)).collect();
    assert_eq!(stats(address)["top_topics"], json!([]), "nobody has asked before");
    let found = eventually("all three topics", || {
        for publisher in &mut publishers {
            publisher.send(publish("room/busy", AckLevel::None, b"x"));
            publisher.send(publish("room/nobody", AckLevel::None, b"x"));
            publisher.send(publish("match/1", AckLevel::None, b"x"));
        }
        for subscriber in &mut subscribers {
            (0..2).for_each(|_| expect_message(subscriber));
        }
        let told = stats(address)["top_topics"].as_array().expect("a list").clone();
        // Each reactor tells its own when it has its next turn.
        (told.len() == 3 && told[0]["subscribers"] == 4).then_some(told)
    });
    assert_eq!(found[0]["topic"], "room/busy", "{found:?}");
    let (messages, deliveries) = (found[0]["messages"].as_u64(), found[0]["deliveries"].as_u64());
    assert!(messages > Some(0) && deliveries > messages, "{found:?}");
    let others: Vec<&Value> = found[1..].iter().map(|row| &row["deliveries"]).collect();
    assert_eq!(others, [&json!(0), &json!(0)], "published, and nobody wants them");
}

#[test]
fn what_is_dropped_is_counted_by_the_policy_that_dropped_it() {
    let broker = Broker::start("[limits]\nqueue_bytes_max = \"512KiB\"\nframe_bytes_max = \"64KiB\"\n");
    let address = broker.address();
    let mut slow = Peer::welcomed(address);
    slow.subscribe(Subscribe { policy: Policy::DropNewest, ..subscribe(1, "big") });
    let mut publisher = Peer::welcomed(address);
    eventually("a full queue", || {
        for _ in 0..20 {
            publisher.send(publish("big", AckLevel::Routed, &[7; 60_000]));
            publisher.frame();
        }
        (metric(address, "fanwire_dropped_total", "drop-newest") > 0.0).then_some(())
    });
    assert_eq!(metric(address, "fanwire_dropped_total", "drop-oldest"), 0.0);
    assert!(metric(address, "fanwire_queue_bytes", "reactor") > 0.0);
    // A violation closes, and is counted by its code.
    let mut rude = Peer::welcomed(address);
    rude.pour(&[0xFF; 64]);
    eventually("its closing", || (metric(address, "fanwire_connections_closed_total", "code") > 0.0).then_some(()));
}

/// Asks for what tells about others.
fn ask_figures(address: SocketAddr, fields: &str) -> [Answer; 3] {
    ["/", "/metrics", "/v1/stats"].map(|target| ask(address, "GET", target, fields, b""))
}

#[test]
fn what_tells_about_others_is_for_this_machine_alone_and_not_for_who_asks_through_a_proxy_on_it() {
    let broker = Broker::start("");
    for field in ["X-Forwarded-For: 192.0.2.7", "Forwarded: for=192.0.2.7", "X-Real-IP: 192.0.2.7", "Via: 1.1 proxy"] {
        for answer in ask_figures(broker.address(), &format!("{field}\r\n")) {
            answer.refuses(403, "LOOPBACK_ONLY");
        }
        for target in ["/fanwire.js", "/healthz", "/readyz"] {
            assert_eq!(ask(broker.address(), "GET", target, &format!("{field}\r\n"), b"").status, 200);
        }
    }
    assert!(ask_figures(broker.address(), "").iter().all(|answer| answer.status == 200));
}

/// An address of this machine that is not loopback, if it has one.
fn outer_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: the kernel only chooses an address.
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[test]
fn who_is_not_on_this_machine_sees_figures_at_the_address_for_operators_or_with_a_token() {
    let Some(outer) = outer_address() else { return println!("skipped: this machine has no address but loopback") };
    let broker = Broker::start_at("0.0.0.0:0", "open = true\n[http]\nadmin_listen = \"0.0.0.0:0\"\n");
    let at = |port: u16| SocketAddr::new(outer, port);
    for answer in ask_figures(at(broker.address().port()), "") {
        answer.refuses(403, "LOOPBACK_ONLY");
    }
    let admin = broker.admin_address();
    assert!(ask_figures(at(admin.port()), "").iter().all(|answer| answer.status == 200));
    assert!(ask_figures(at(admin.port()), "X-Forwarded-For: 192.0.2.7\r\n").iter().all(|answer| answer.status == 200));
    assert_eq!(ask(at(admin.port()), "POST", "/v1/topics/a", "", b"x").status, 200, "it serves all the rest, too");
    let broker = Broker::start_at("0.0.0.0:0", "tokens = [\"secret\"]\n");
    let address = at(broker.address().port());
    for answer in ask_figures(address, "") {
        answer.refuses(401, "BAD_CREDENTIALS");
    }
    assert!(ask_figures(address, "Authorization: Bearer secret\r\n").iter().all(|answer| answer.status == 200));
}

#[test]
fn a_broker_without_a_journal_that_it_should_have_is_not_ready_and_names_it() {
    let data = DataDirectory::new();
    std::fs::create_dir_all(data.path()).expect("a directory");
    std::fs::write(data.path().join("events"), "no directory").expect("a file");
    let broker = Broker::start(&configuration(data.path(), ""));
    let answer = ask(broker.address(), "GET", "/readyz", "", b"");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.json(), json!({"ready": false, "draining": false, "journals_failed": ["events"]}));
    assert_eq!(ask(broker.address(), "GET", "/healthz", "", b"").status, 200, "it lives");
    assert_eq!(stats(broker.address())["journals"][0]["state"], "failed");
}

#[test]
fn a_file_that_the_caller_has_is_not_sent_again() {
    let broker = Broker::start("");
    let mut web = Web::connect(broker.address());
    for target in ["/", "/console.js", "/console.css", "/fanwire.js", "/fanwire.d.ts"] {
        let answer = web.get(target);
        let tag = answer.field("ETag").expect("a tag").to_owned();
        assert_eq!((answer.status, answer.field("Cache-Control")), (200, Some("no-cache")));
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let answer = web.ask("GET", target, &format!("If-None-Match: {known}\r\n"), b"");
            assert_eq!((answer.status, answer.field("ETag")), (304, Some(&*tag)), "{known}");
            assert_eq!((answer.field("Content-Length"), answer.body.len()), (None, 0));
        }
        let answer = web.ask("GET", target, "If-None-Match: \"other\"\r\n", b"");
        assert_eq!((answer.status, answer.body.is_empty()), (200, false));
    }
    let answer = web.ask("GET", "/healthz", "If-None-Match: *\r\n", b"");
    assert_eq!((answer.status, answer.field("ETag")), (200, None), "what is no file has no versions");
}

#[test]
fn how_long_http_may_be_idle_and_streams_silent_is_configured() {
    let broker = Broker::start("[http]\nidle_time_max = \"1s\"\nheartbeat_period = \"1s\"\n");
    let mut stream = Web::connect(broker.address());
    stream.say("GET /v1/sse?topic=a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(stream.head().0, 200);
    let mut idle = Web::connect(broker.address());
    assert_eq!(idle.get("/healthz").status, 200);
    idle.expect_end();
    for _ in 0..2 {
        let line = stream.take_through(b"\n:");
        assert!(!line.is_empty(), "a comment tells that it is alive");
    }
}

#[test]
fn hosts_and_origins_of_the_allow_lists_are_served_and_no_others() {
    let broker = Broker::start(
        "[http]\nhosts = [\"broker.example\", \"proxy.example:8443\"]\norigins = [\"https://app.example\"]\n",
    );
    let mut web = Web::connect(broker.address());
    let mut status = |fields: &str| {
        web.say(format!("POST /v1/topics/a HTTP/1.1\r\n{fields}Content-Length: 0\r\n\r\n"));
        let answer = web.answer();
        let cors = answer.field("Access-Control-Allow-Origin").map(str::to_owned);
        if answer.field("Connection") == Some("close") {
            web = Web::connect(broker.address());
        }
        (answer.status, cors)
    };
    let app = Some("https://app.example".to_owned());
    for (fields, expected) in [
        ("Host: broker.example\r\n", (200, None)),
        ("Host: BROKER.example:7311\r\n", (200, None)),
        ("Host: proxy.example:8443\r\n", (200, None)),
        ("Host: proxy.example:8444\r\n", (421, None)),
        ("Host: evil.example\r\n", (421, None)),
        ("Host: broker.example\r\nOrigin: https://app.example\r\n", (200, app.clone())),
        ("Host: localhost\r\nOrigin: https://app.example:443\r\n", (200, Some("https://app.example:443".to_owned()))),
        ("Host: broker.example\r\nOrigin: https://broker.example\r\n", (200, None)),
        ("Host: broker.example\r\nOrigin: http://app.example\r\n", (403, None)),
        ("Host: broker.example\r\nOrigin: https://evil.example\r\n", (403, None)),
        ("Host: broker.example\r\nOrigin: null\r\n", (403, None)),
        ("Host: broker.example\r\nSec-Fetch-Site: cross-site\r\n", (403, None)),
    ] {
        assert_eq!(status(fields), expected, "{fields}");
    }
    let preflight = "Host: broker.example\r\nOrigin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n";
    let mut web = Web::connect(broker.address());
    web.say(format!("OPTIONS /v1/topics/a HTTP/1.1\r\n{preflight}\r\n"));
    let answer = web.answer();
    assert_eq!((answer.status, answer.field("Access-Control-Allow-Origin")), (204, app.as_deref()));
    assert_eq!(answer.field("Access-Control-Allow-Methods"), Some("GET, POST, OPTIONS"));
}

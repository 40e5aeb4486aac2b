//! What paths, methods and queries lead to.

use crate::{get, head, reason, request};
use fanwire_gateway::http::route::Audience;
use fanwire_gateway::http::{Cause, Method, Methods, Reason, Refusal, Route, percent};
use fanwire_wire::frame::{AckLevel, Policy, Producer, Start};
use fanwire_wire::{Limits, TopicName};
use proptest::prelude::*;
use std::time::Duration;

fn refusal(request: &str) -> Refusal {
    Route::find(&head(request)).expect_err(request)
}

/// The topic that a POST to this target is for.
fn topic(target: &str) -> Result<Vec<u8>, Refusal> {
    let request = request("POST", target, "");
    match Route::find(&head(&request))? {
        Route::Publish { topic, .. } | Route::Request { topic, .. } => Ok(topic.into_owned()),
        other => panic!("{target}: {other:?}"),
    }
}

#[test]
fn every_path_leads_where_the_table_says() {
    for (path, route) in [
        ("/", Route::Console),
        ("/?transport=sse", Route::Console),
        ("/fanwire.js?v=1", Route::Script),
        ("/fanwire.d.ts", Route::ScriptTypes),
        ("/healthz", Route::Health),
        ("/readyz", Route::Readiness),
        ("/metrics", Route::Metrics),
        ("/v1/stats", Route::Stats),
    ] {
        for method in ["GET", "HEAD"] {
            assert_eq!(Route::find(&head(&request(method, path, ""))), Ok(route.clone()), "{path}");
        }
    }
    for path in ["/", "/v1/ws"] {
        let upgrade = get(path, "Connection: upgrade\r\nUpgrade: websocket\r\n");
        assert_eq!(Route::find(&head(&upgrade)), Ok(Route::WebSocket));
    }
    assert!(matches!(Route::find(&head(&get("/v1/sse?topic=a", ""))), Ok(Route::Sse(_))));
    assert!(matches!(Route::find(&head(&get("/v1/poll?topic=a", ""))), Ok(Route::Poll(_))));
    assert!(matches!(Route::find(&head(&get("/v1/topics/a", ""))), Ok(Route::History { .. })));
    assert_eq!(reason(&refusal(&get("/v1/ws", ""))), Reason::UpgradeRequired);
}

#[test]
fn nothing_is_a_file() {
    for path in [
        "/index.html",
        "//",
        "/../etc/passwd",
        "/fanwire.js/",
        "/./fanwire.js",
        "/%2e%2e/etc/passwd",
        "/%66anwire.js",
        "/fanwire.js%00",
        "/FANWIRE.JS",
        "/healthz/",
        "/v1",
        "/v1/",
        "/v1/topic/a",
        "/v1/topicsa",
        "/v2/sse",
        "/..%2f..%2fetc/passwd",
        "/fanwire.js/../../etc/passwd",
        "\\..\\",
        "/v1/sse/a",
    ] {
        if path.starts_with('/') {
            assert_eq!(reason(&refusal(&get(path, ""))), Reason::NotFound, "{path}");
        }
    }
}

#[test]
fn a_method_that_is_not_taken_is_told_which_are() {
    for (method, path, methods) in [
        ("POST", "/", Methods::Read),
        ("DELETE", "/v1/topics/a", Methods::GetAndPost),
        ("HEAD", "/v1/topics/a", Methods::GetAndPost),
        ("HEAD", "/v1/sse?topic=a", Methods::Get),
        ("POST", "/v1/poll", Methods::Get),
        ("GET", "/v1/request/a", Methods::Post),
        ("TRACE", "/healthz", Methods::Read),
    ] {
        let refusal = refusal(&request(method, path, ""));
        assert_eq!((reason(&refusal), refusal.allow), (Reason::MethodNotAllowed, Some(methods)), "{method} {path}");
        let options = request("OPTIONS", path, "");
        assert_eq!(Route::find(&head(&options)), Ok(Route::Options(methods)));
        assert!(methods.contains(Method::Options));
    }
    assert_eq!(Route::find(&head(&request("OPTIONS", "*", ""))), Ok(Route::Options(Methods::All)));
    assert_eq!(reason(&refusal(&request("BREW", "/", ""))), Reason::MethodUnknown);
    assert_eq!(reason(&refusal(&request("get", "/", ""))), Reason::MethodUnknown);
    assert_eq!(reason(&refusal(&request("DELETE", "/nothing", ""))), Reason::NotFound);
}

#[test]
fn a_topic_has_one_spelling_in_a_path_and_any_in_a_query() {
    for (target, name) in [
        ("/v1/topics/a", "a"),
        ("/v1/topics/chat/lobby", "chat/lobby"),
        ("/v1/request/a%20b/%C3%A4", "a b/\u{e4}"),
        ("/v1/topics/a+b/%2B/%23", "a+b/+/#"),
        ("/v1/topics/...", "..."),
        ("/v1/topics/%252e", "%2e"),
        ("/v1/topics?topic=/a//b/", "/a//b/"),
        ("/v1/topics?topic=a%2Fb", "a/b"),
        ("/v1/request?topic=..&deadline=5s", ".."),
        ("/v1/topics?ack=none&topic=%24sys", "$sys"),
    ] {
        assert_eq!(topic(target).map(|topic| String::from_utf8(topic).unwrap()), Ok(name.to_owned()), "{target}");
    }
    for target in [
        "/v1/topics",
        "/v1/topics/",
        "/v1/topics//",
        "/v1/topics/a/",
        "/v1/topics//a",
        "/v1/topics/a//b",
        "/v1/topics/.",
        "/v1/topics/..",
        "/v1/topics/../metrics",
        "/v1/topics/a/%2e%2e/b",
        "/v1/topics/%2E",
        "/v1/topics/.%2e",
        "/v1/topics/a%2Fb",
        "/v1/topics/a%2fb",
        "/v1/topics/%",
        "/v1/topics/%4",
        "/v1/topics/%zz",
        "/v1/topics/a?topic=b",
        "/v1/topics?topic=a&topic=b",
        "/v1/topics?topic=%",
        "/v1/topics?topics=a",
        "/v1/topics?topic=a&topic=",
    ] {
        assert_eq!(topic(target).map_err(|refusal| reason(&refusal)), Err(Reason::BadParameter), "{target}");
    }
}

#[test]
fn a_topic_can_not_end_a_line_of_an_answer() {
    let evil = "a\r\nSet-Cookie: b=c\r\n\r\n<script>";
    let mut target = "/v1/topics?topic=a&".to_owned();
    percent::encode(evil.as_bytes(), &mut target);
    let mut out = Vec::new();
    let exchange = fanwire_gateway::http::Exchange::closing();
    refusal(&request("POST", &target, "")).write(exchange, fanwire_gateway::http::Cors::None, &mut out);
    let answer = String::from_utf8(out).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(!head.contains("Set-Cookie") && !body.contains("<script>") && body.trim_end().lines().count() == 1);
    // As a topic it is decoded, and it is the grammar that refuses it.
    let target = target.replace("topic=a&", "topic=");
    assert_eq!(topic(&target).as_deref(), Ok(evil.as_bytes()));
    assert!(TopicName::new(evil.as_bytes(), &Limits::default()).is_err());
}

#[test]
fn parameters_have_types() {
    let text = get(
        "/v1/poll?topic=a/%23&topic=b/+/c&from=last:5&policy=catch-up&group=g&max_rate_hz=20&after=c%3A1\
                    &wait=25s&limit=10",
        "",
    );
    let Ok(Route::Poll(query)) = Route::find(&head(&text)) else { panic!("a poll") };
    assert_eq!(query.topics().collect::<Vec<_>>(), [&b"a/#"[..], b"b/+/c"]);
    assert_eq!(query.start(), Ok(Some(Start::Last { count: 5 })));
    assert_eq!((query.policy(), query.group()), (Ok(Some(Policy::CatchUp)), Some(&b"g"[..])));
    assert_eq!((query.max_rate_hz(), query.after()), (Ok(Some(20)), Ok(Some("c:1"))));
    assert_eq!((query.wait(), query.limit()), (Ok(Some(Duration::from_secs(25))), Ok(Some(10))));

    let text = request("POST", "/v1/topics/a?ack=durable", "Fanwire-Expect: 0\r\nfanwire-producer: 7:1\r\n");
    let Ok(Route::Publish { query, .. }) = Route::find(&head(&text)) else { panic!("a publish") };
    assert_eq!((query.ack(), query.expect()), (Ok(Some(AckLevel::Durable)), Ok(Some(0))));
    assert_eq!(query.producer(), Ok(Some(Producer { id: 7, number: 1 })));

    let text = request("POST", "/v1/request/a", "Fanwire-Deadline: 250ms\r\n");
    let Ok(Route::Request { query, .. }) = Route::find(&head(&text)) else { panic!("a request") };
    assert_eq!(query.deadline(), Ok(Some(Duration::from_millis(250))));
    assert_eq!((query.start(), query.wait(), query.ack()), (Ok(None), Ok(None), Ok(None)));
}

#[test]
fn a_parameter_that_is_wrong_is_named() {
    for (target, name) in [
        ("/v1/sse?topic=a&form=last", "form"),
        ("/v1/sse?topic=a&wait=5s", "wait"),
        ("/v1/sse?topic=a&from", "from"),
        ("/v1/sse?topic=a&from=live&from=last", "from"),
        ("/v1/sse?topic=a&&from=last", "\\\"\\\""),
        ("/v1/sse?topic=a&", "\\\"\\\""),
        ("/v1/sse?Topic=a", "Topic"),
        ("/v1/sse", "topic"),
        ("/v1/sse?", "topic"),
        ("/v1/sse?topic=a&gro%=1", "gro%"),
        ("/v1/topics/a?limit=1&expect=1", "expect"),
    ] {
        let refusal = refusal(&get(target, ""));
        assert_eq!(reason(&refusal), Reason::BadParameter, "{target}");
        assert!(refusal.body().contains(name), "{target}: {}", refusal.body());
    }
    let both = request("POST", "/v1/topics/a?ack=routed", "Fanwire-Ack: durable\r\n");
    assert!(refusal(&both).body().contains("ack is said twice"));
    assert!(refusal(&get(&format!("/v1/sse?{}=1", "a".repeat(5_000)), "")).body().len() < 300);
}

#[test]
fn a_value_that_is_wrong_is_told_with_what_would_be_right() {
    type Getter = fn(&fanwire_gateway::http::Query<'_>) -> Option<Refusal>;
    let cases: [(&str, Getter, &str); 12] = [
        ("from=yesterday", |query| query.start().err(), "first, last"),
        ("from=seq:+1", |query| query.start().err(), "seq:1041"),
        ("policy=drop", |query| query.policy().err(), "drop-oldest"),
        ("max_rate_hz=70000", |query| query.max_rate_hz().err(), "number"),
        ("after=%ff", |query| query.after().err(), "UTF-8"),
        ("wait=25", |query| query.wait().err(), "25s"),
        ("wait=2.5s", |query| query.wait().err(), "25s"),
        ("wait=s", |query| query.wait().err(), "25s"),
        ("wait=99999999999s", |query| query.wait().err(), "25s"),
        ("limit=-1", |query| query.limit().err(), "number"),
        ("limit=1%0d%0aX:1", |query| query.limit().err(), "\\\\r\\\\n"),
        ("limit=%20", |query| query.limit().err(), "number"),
    ];
    for (parameter, getter, hint) in cases {
        let text = get(&format!("/v1/poll?topic=a&{parameter}"), "");
        let Ok(Route::Poll(query)) = Route::find(&head(&text)) else { panic!("{parameter}") };
        let refusal = getter(&query).expect(parameter);
        assert_eq!(refusal.cause, Cause::Reason(Reason::BadParameter));
        assert!(refusal.body().contains(hint), "{parameter}: {}", refusal.body());
    }
    for producer in ["7", "0:1", "1:0", ":1", "1:", "1:2:3", "a:1"] {
        let text = request("POST", &format!("/v1/topics/a?producer={producer}"), "");
        let Ok(Route::Publish { query, .. }) = Route::find(&head(&text)) else { panic!("{producer}") };
        assert!(query.producer().is_err(), "{producer}");
    }
}

#[test]
fn only_what_tells_nothing_is_for_anybody() {
    let audience = |path: &str| Route::find(&head(&get(path, ""))).unwrap().audience();
    for (path, expected) in [
        ("/fanwire.js", Audience::Anybody),
        ("/healthz", Audience::Anybody),
        ("/readyz", Audience::Clients),
        ("/v1/sse?topic=a", Audience::Clients),
        ("/v1/topics/a", Audience::Clients),
        ("/", Audience::Operators),
        ("/metrics", Audience::Operators),
        ("/v1/stats", Audience::Operators),
    ] {
        assert_eq!(audience(path), expected, "{path}");
    }
}

proptest! {
    #[test]
    fn every_topic_is_reached_by_its_path_or_its_query(
        name in proptest::collection::vec("[a-c%+#. \u{e4}\r\n\0]{0,3}", 1..5),
    ) {
        let is_path = name.iter().all(|level| percent::is_path_level(level.as_bytes()));
        let name = name.join("/");
        let mut by_query = "/v1/topics?topic=".to_owned();
        percent::encode(name.as_bytes(), &mut by_query);
        prop_assert_eq!(topic(&by_query), Ok(name.as_bytes().to_vec()));
        let mut by_path = "/v1/topics".to_owned();
        for level in name.split('/') {
            by_path.push('/');
            percent::encode(level.as_bytes(), &mut by_path);
        }
        if is_path {
            prop_assert_eq!(topic(&by_path), Ok(name.as_bytes().to_vec()));
        } else {
            prop_assert!(topic(&by_path).is_err());
        }
    }
}

//! Request heads: the good ones and what becomes of them, and those that somebody might read otherwise.

use crate::{get, head, reason, request};
use fanwire_gateway::http::head::FIELDS_MAX;
use fanwire_gateway::http::{BodyKind, Head, HeadLimits, HeadReader, Method, Reason, Refusal, Version};
use proptest::prelude::*;

/// Reads a request that arrives in pieces of so many bytes.
fn read(request: &[u8], piece_bytes: usize) -> Result<Option<(Head<'_>, usize)>, Refusal> {
    let mut reader = HeadReader::default();
    let mut end = 0;
    while end < request.len() {
        end = request.len().min(end + piece_bytes);
        if let Some(found) = reader.read(&request[..end])? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn refusal(request: &str) -> Refusal {
    let whole = read(request.as_bytes(), request.len().max(1));
    let whole = whole.map(|found| found.map(|found| found.1)).expect_err(request);
    for piece_bytes in [1, 2, 7] {
        assert_eq!(read(request.as_bytes(), piece_bytes).err(), Some(whole.clone()), "{request:?} by {piece_bytes}");
    }
    whole
}

#[test]
fn a_head_says_what_to_do_and_how_it_ends() {
    let text = "POST /v1/topics/a%20b?ack=routed HTTP/1.1\r\nHost: LocalHost:7400\r\nContent-Length: 5\r\n\
                X-List: a, b,,\r\nx-list:c \r\nExpect: 100-Continue\r\nX-Bytes: \t\u{e4} \r\n\r\nhello";
    for piece_bytes in 1..=text.len() {
        let (head, used) = read(text.as_bytes(), piece_bytes).unwrap().unwrap();
        assert_eq!(&text[used..], "hello");
        assert_eq!((head.method, head.path, head.query), (Method::Post, "/v1/topics/a%20b", Some("ack=routed")));
        assert_eq!((head.version, head.body), (Version::Http11, BodyKind::Sized(5)));
        assert!(head.keeps_alive && head.expects_continue && !head.wants_websocket());
        assert_eq!(head.list("X-LIST").collect::<Vec<_>>(), [b"a", b"b", b"c"]);
        assert_eq!(head.all("x-bytes").next(), Some("\u{e4}".as_bytes()));
        assert_eq!(head.single("Content-Length"), Ok(Some("5")));
        assert_eq!(head.single("absent"), Ok(None));
        assert!(head.single("x-list").is_err() && head.single("x-bytes").is_err());
    }
}

#[test]
fn framing_and_persistence_follow_from_version_and_fields() {
    for (fields, body, keeps_alive, expects_continue) in [
        ("", BodyKind::None, true, false),
        ("Content-Length: 0\r\nExpect: 100-continue\r\n", BodyKind::Sized(0), true, false),
        ("Content-Length: 18446744073709551615\r\n", BodyKind::Sized(u64::MAX), true, false),
        ("Content-Length: 007\r\n", BodyKind::Sized(7), true, false),
        ("Transfer-Encoding: Chunked\r\nExpect: 100-continue\r\n", BodyKind::Chunked, true, true),
        ("Connection: close\r\n", BodyKind::None, false, false),
        ("Connection: keep-alive\r\nConnection: upgrade, CLOSE\r\n", BodyKind::None, false, false),
        ("Connection: closed\r\n", BodyKind::None, true, false),
    ] {
        let text = request("POST", "/", fields);
        let head = head(&text);
        let read = (head.body, head.keeps_alive, head.expects_continue);
        assert_eq!(read, (body, keeps_alive, expects_continue), "{fields}");
    }
    let old = head("POST / HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\nExpect: x\r\n\r\n");
    assert!(!old.keeps_alive && !old.expects_continue && old.authority.is_none());
    assert!(head("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keeps_alive);
    assert_eq!(refusal("POST / HTTP/1.0\r\n\r\n").cause, Reason::LengthRequired.into_cause());
}

trait IntoCause {
    fn into_cause(self) -> fanwire_gateway::http::Cause;
}

impl IntoCause for Reason {
    fn into_cause(self) -> fanwire_gateway::http::Cause {
        Refusal::from(self).cause
    }
}

#[test]
fn whole_urls_and_asterisks_are_targets_too() {
    let text = get("http://LOCALHOST:7400/v1/poll?topic=a", "");
    let absolute = head(&text);
    assert_eq!((absolute.path, absolute.query), ("/v1/poll", Some("topic=a")));
    assert_eq!(head(&get("https://localhost:7400", "")).path, "/");
    assert!(head("GET http://localhost/ HTTP/1.0\r\n\r\n").authority.is_some());
    let text = request("OPTIONS", "*", "");
    assert_eq!((head(&text).method, head(&text).path), (Method::Options, "*"));
    assert_eq!(head(&get("//evil.example/..", "")).path, "//evil.example/..", "a path, and none that is known");
}

/// Shapes that a proxy and a server have been seen to read differently.
#[test]
fn whatever_could_be_read_in_two_ways_is_refused() {
    for fields in [
        // Where the body ends.
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\ncontent-length: 6\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 5,6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 5.0\r\n",
        "Content-Length: \r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: \u{0665}\r\n",
        "Transfer-Encoding: \r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked,\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: \u{b}chunked\r\n",
        "Transfer-Encoding: chunked\r\n Content-Length: 5\r\n",
        "Transfer-Encoding\r\n",
        // Where a line ends, and a name.
        "X: a\nContent-Length: 5\r\n",
        "X: a\rContent-Length: 5\r\n",
        "X: a\r\r\nY: b\r\n",
        "X: a\r\n\tb\r\n",
        " X: a\r\n",
        "Content-Length : 5\r\n",
        "Transfer-Encoding\t: chunked\r\n",
        "X Y: a\r\n",
        ": a\r\n",
        "X\r\n",
        "X\0: a\r\n",
        "X: a\0b\r\n",
        "X: a\u{7f}b\r\n",
        "X: a\u{1b}b\r\n",
        "(X): a\r\n",
        "\u{e4}: a\r\n",
        // Who is meant.
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nHost: b\r\n",
        "Host: \r\n",
        "Host: a/b\r\n",
        "Host: a, b\r\n",
        "Host: user@a\r\n",
        "Host: a:b\r\n",
        "Host: \u{e4}\r\n",
    ] {
        assert_eq!(reason(&refusal(&request("POST", "/v1/topics/a", fields))), Reason::BadRequest, "{fields:?}");
    }
    assert_eq!(reason(&refusal("GET / HTTP/1.1\r\n\r\n")), Reason::BadRequest, "no Host");
    assert_eq!(reason(&refusal("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n")), Reason::BadRequest);
    for fields in ["Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: x ,\tChunked\r\n"] {
        assert_eq!(reason(&refusal(&request("POST", "/", fields))), Reason::TransferCodingUnknown, "{fields:?}");
    }
    let expectation = refusal(&request("POST", "/", "Content-Length: 1\r\nExpect: 200-ok\r\n"));
    assert_eq!(reason(&expectation), Reason::ExpectationFailed);
}

#[test]
fn a_request_line_has_three_parts_and_nothing_else() {
    let host = "\r\nHost: a\r\n\r\n";
    for line in [
        "GET /",
        "GET",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET / a HTTP/1.1",
        "G(T / HTTP/1.1",
        "GET a HTTP/1.1",
        "GET ?a HTTP/1.1",
        "GET * HTTP/1.1",
        "GET /a#b HTTP/1.1",
        "GET /\u{e4} HTTP/1.1",
        "GET /\0 HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1.1x",
        "GET / HTTP/11",
        "GET / HTTP/1,1",
        "GET / XTTP/1.1",
        "GET ftp://a/ HTTP/1.1",
        "GET http:///a HTTP/1.1",
        "GET http://a?b HTTP/1.1",
        "GET / HTTP/1.",
        "GET http://user@a/ HTTP/1.1",
        "GET http://b/ HTTP/1.1",
        "GET localhost:80 HTTP/1.1",
        "GET //[ HTTP/1.1\n",
        "GET / HTTP/1.1\nX: a",
        "OPTIONS *?a HTTP/1.1",
    ] {
        assert_eq!(reason(&refusal(&format!("{line}{host}"))), Reason::BadRequest, "{line:?}");
    }
    for version in ["2.0", "1.2", "0.9", "3.0"] {
        let request = format!("GET / HTTP/{version}{host}");
        assert_eq!(reason(&refusal(&request)), Reason::VersionUnsupported, "{version}");
    }
    assert_eq!(reason(&refusal("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")), Reason::VersionUnsupported);
    let connect = "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(reason(&refusal(connect)), Reason::MethodUnknown);
}

#[test]
fn no_head_is_longer_than_its_limits_however_it_comes() {
    let limits = HeadLimits::default();
    let longest_target = format!("/{}", "a".repeat(limits.target_bytes_max - 1));
    assert_eq!(head(&get(&longest_target, "")).path.len(), limits.target_bytes_max);
    let longer = get(&format!("{longest_target}a"), "");
    assert_eq!(reason(&refusal(&longer)), Reason::TargetTooLong);
    assert_eq!(reason(&refusal(&"a".repeat(9_000))), Reason::TargetTooLong, "a line that never ends");
    let many = |count: usize| get("/", &"X: a\r\n".repeat(count));
    assert_eq!(head(&many(FIELDS_MAX - 1)).all("x").count(), FIELDS_MAX - 1, "and Host");
    assert_eq!(reason(&refusal(&many(FIELDS_MAX))), Reason::HeadTooLarge);
    let bare = get("/", "X: \r\n").len();
    let of_bytes = |bytes: usize| get("/", &format!("X: {}\r\n", "a".repeat(bytes - bare)));
    assert_eq!(read(of_bytes(limits.head_bytes_max).as_bytes(), 1).unwrap().unwrap().1, limits.head_bytes_max);
    assert_eq!(reason(&refusal(&of_bytes(limits.head_bytes_max + 1))), Reason::HeadTooLarge);
    assert_eq!(reason(&refusal(&get("/", &"X: a\r\n".repeat(10_000)))), Reason::HeadTooLarge);
    let small = HeadLimits { head_bytes_max: 30, target_bytes_max: 10 };
    let refused = HeadReader::new(small).read(get("/", "").as_bytes()).unwrap_err();
    assert_eq!(reason(&refused), Reason::HeadTooLarge);
}

#[test]
fn a_few_empty_lines_may_stand_before_a_request() {
    let request = get("/", "");
    assert_eq!(read(format!("\r\n\r\n{request}").as_bytes(), 1).unwrap().unwrap().1, request.len() + 4);
    assert_eq!(reason(&refusal(&format!("{}{request}", "\r\n".repeat(5)))), Reason::BadRequest);
    assert_eq!(reason(&refusal(&format!("\n{request}"))), Reason::BadRequest);
    let mut reader = HeadReader::default();
    assert!(matches!(reader.read(b"\r\n"), Ok(None)));
    assert!(!reader.is_begun(), "an empty line is no request");
    assert!(matches!(reader.read(b"\r\nG"), Ok(None)));
    assert!(reader.is_begun());
}

#[test]
fn upgrades_tokens_and_versions_are_read_from_lists() {
    let upgrade = get("/v1/ws", "Connection: keep-alive, Upgrade\r\nUpgrade: h2c, WebSocket\r\n");
    assert!(head(&upgrade).wants_websocket());
    assert!(!head(&upgrade.replace("GET", "POST")).wants_websocket());
    assert!(!head(&upgrade.replace("HTTP/1.1", "HTTP/1.0")).wants_websocket());
    assert!(!head(&get("/", "Connection: upgrade\r\nUpgrade: websockets\r\n")).wants_websocket());

    let token = |field: &str| head(&get("/", field)).bearer_token().map(|token| token.map(str::to_owned));
    assert_eq!(token("Authorization: bearer  s3cret\r\n"), Ok(Some("s3cret".to_owned())));
    assert_eq!(token(""), Ok(None));
    for wrong in ["Authorization: Basic YTpi\r\n", "Authorization: s3cret\r\n", "Authorization: Bearer\r\n"] {
        assert_eq!(token(wrong).unwrap_err().status().number(), 401, "{wrong}");
    }
    assert!(token("Authorization: Bearer a\r\nAuthorization: Bearer b\r\n").is_err());

    let has = |field: &str| head(&get("/", field)).has_version("\"v1\"");
    assert!(has("If-None-Match: \"v0\", W/\"v1\"\r\n") && has("If-None-Match: *\r\n"));
    assert!(!has("If-None-Match: \"v10\"\r\n") && !has(""));
}

proptest! {
    /// Bytes that heads are made of, so that some of them are heads.
    #[test]
    fn any_bytes_in_any_pieces_are_read_the_same(
        lines in proptest::collection::vec(
            "(GET|POST) (/|\\*|/a\\?b) HTTP/1.[01]|Host: a|Content-Length: [0-9a]|Transfer-Encoding: chunked|[ :]{0,3}",
            0..6,
        ),
        ends in proptest::collection::vec("\r\n|\r\n|\r\n|\r\n|\n|\r", 6),
        piece_bytes in 1_usize..20,
    ) {
        let mut text: String = lines.iter().zip(&ends).flat_map(|(line, end)| [line.as_str(), end]).collect();
        text.push_str("\r\n");
        let found = |piece_bytes| {
            let found = read(text.as_bytes(), piece_bytes);
            found.map(|found| found.map(|(head, used)| (head.path.to_owned(), head.body, head.keeps_alive, used)))
        };
        prop_assert_eq!(found(piece_bytes), found(text.len()));
    }
}

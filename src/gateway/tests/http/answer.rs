//! Answers, as a client reads them: whatever is asked how, it finds the end.

use crate::{get, head, request};
use fanwire_gateway::http::answer::PagePolicy;
use fanwire_gateway::http::{Answer, Cache, Exchange, Framing, HeaderValue, MediaType, Status};

fn exchange(request: &str) -> Exchange {
    Exchange::of(&head(request))
}

fn sized(exchange: Exchange) -> String {
    let mut out = Vec::new();
    let mut answer = Answer::begin(exchange, Status::OK, &mut out);
    answer.cache(Cache::Never);
    answer.sized(MediaType::Json, b"{}");
    String::from_utf8(out).unwrap()
}

fn streamed(exchange: Exchange, framing: Framing) -> (String, bool) {
    let mut out = Vec::new();
    let stream = Answer::begin(exchange, Status::OK, &mut out).streamed(MediaType::EventStream, framing);
    for piece in [&b"one"[..], b"", b"0123456789abcdef"] {
        stream.chunk(piece, &mut out);
    }
    stream.end(&mut out);
    (String::from_utf8(out).unwrap(), stream.keeps_alive())
}

#[test]
fn a_sized_answer_is_whole() {
    assert_eq!(
        sized(exchange(&get("/", "")).at(784_111_777_000_000)),
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nCache-Control: no-store\r\n\
         Content-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n\
         Cross-Origin-Resource-Policy: same-origin\r\nContent-Security-Policy: default-src 'none'; sandbox\r\n\
         Content-Length: 2\r\n\r\n{}"
    );
}

#[test]
fn a_head_gets_the_head_that_a_get_would_get() {
    let (of_get, of_head) = (sized(exchange(&get("/", ""))), sized(exchange(&request("HEAD", "/", ""))));
    assert_eq!(of_get, format!("{of_head}{{}}"));
    let (stream, keeps_alive) = streamed(exchange(&request("HEAD", "/", "")), Framing::Chunked);
    assert!(stream.ends_with("\r\n\r\n") && !stream.contains("0123") && keeps_alive, "{stream}");
}

#[test]
fn connections_end_when_one_side_wants_it() {
    for (request, connection) in [
        (get("/", ""), None),
        (get("/", "Connection: close\r\n"), Some("close")),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), Some("close")),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_owned(), Some("keep-alive")),
    ] {
        let answer = sized(exchange(&request));
        let told = answer.lines().find_map(|line| line.strip_prefix("Connection: "));
        assert_eq!(told, connection, "{request}");
    }
    assert!(sized(exchange(&get("/", "")).and_close()).contains("Connection: close\r\n"));
    assert!(sized(Exchange::closing()).contains("Connection: close\r\n"));
}

#[test]
fn a_stream_is_chunked_unless_its_end_is_that_of_the_connection() {
    let (stream, keeps_alive) = streamed(exchange(&get("/", "")), Framing::Chunked);
    let (head, body) = stream.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Transfer-Encoding: chunked") && !head.contains("Content-Length") && keeps_alive);
    assert_eq!(body, "3\r\none\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n");
    let old = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    for (exchange, framing) in [(exchange(&get("/", "")), Framing::UntilClose), (exchange(old), Framing::Chunked)] {
        let (stream, keeps_alive) = streamed(exchange, framing);
        let (head, body) = stream.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("Connection: close") && !head.contains("Transfer-Encoding") && !keeps_alive, "{head}");
        assert_eq!(body, "one0123456789abcdef");
    }
}

#[test]
fn statuses_without_a_body_say_no_length() {
    for (status, has_length) in [(Status::NO_CONTENT, false), (Status::NOT_MODIFIED, false), (Status::ACCEPTED, true)] {
        let mut out = Vec::new();
        Answer::begin(exchange(&get("/", "")), status, &mut out).bodiless();
        let answer = String::from_utf8(out).unwrap();
        assert_eq!(answer.contains("Content-Length: 0\r\n"), has_length, "{answer}");
        assert!(answer.ends_with("\r\n\r\n") && !answer.contains("Transfer-Encoding"));
    }
}

#[test]
fn a_switch_is_no_answer_with_an_end() {
    let mut out = Vec::new();
    let mut answer = Answer::begin(exchange(&get("/", "")), Status::SWITCHING_PROTOCOLS, &mut out);
    answer.header("Sec-WebSocket-Accept", HeaderValue::own("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    answer.switching();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
         Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    );
}

#[test]
fn pages_run_their_own_and_nothing_else_runs_at_all() {
    let answer = |media| {
        let mut out = Vec::new();
        Answer::begin(exchange(&get("/", "")), Status::OK, &mut out).sized(media, b"");
        String::from_utf8(out).unwrap()
    };
    let policy = PagePolicy { script_hashes: "'sha256-abc='", style_hashes: "" };
    let page = answer(MediaType::Html(policy));
    assert!(page.contains("default-src 'self'; script-src 'self' 'sha256-abc='; style-src 'self' ;"), "{page}");
    assert!(page.contains("frame-ancestors 'none'") && !page.contains("unsafe"), "{page}");
    let told = answer(MediaType::Told(HeaderValue::new("text/html").unwrap()));
    assert!(told.contains("default-src 'none'; sandbox\r\n") && told.contains("nosniff"), "{told}");
}

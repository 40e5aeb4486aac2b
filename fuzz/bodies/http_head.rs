//! Request heads of HTTP, whole and in pieces: what is taken is what a reader without any leniency reads out of the
//! same bytes, and whatever it asks for, the answer's head is this broker's own.

use super::bytes::Bytes;
use fanwire_gateway::http::{
    Answer, BodyKind, Cors, Exchange, Head, HeadReader, Method, Methods, OriginRules, Query, Refusal, Route, Status,
    Version,
};

/// The first byte chooses how the rest is cut, which is requests without bodies, one behind the other.
pub fn http_head(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let piece_bytes = usize::from(bytes.byte()) + 1;
    let mut input = bytes.rest();
    loop {
        let whole = read(input, input.len().max(1));
        let pieces = read(input, piece_bytes);
        let outline = |found: &Result<Option<(Head<'_>, usize)>, Refusal>| {
            found.clone().map(|found| found.map(|(head, used)| (format!("{head:?}"), used)))
        };
        assert_eq!(outline(&whole), outline(&pieces), "pieces of {piece_bytes}");
        match whole {
            Err(refusal) => return check_refusal(&refusal, Exchange::closing()),
            Ok(None) => return,
            Ok(Some((head, used))) => {
                check_reading(&head, &input[..used]);
                serve(&head);
                input = &input[used..];
            }
        }
    }
}

fn read(input: &[u8], piece_bytes: usize) -> Result<Option<(Head<'_>, usize)>, Refusal> {
    let mut reader = HeadReader::default();
    let mut end = 0;
    while end < input.len() {
        end = input.len().min(end + piece_bytes);
        if let Some(found) = reader.read(&input[..end])? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// A head as a reader without leniency has it: lines, three words, names before the first colon.
struct Strict<'a> {
    words: [&'a str; 3],
    fields: Vec<(String, &'a [u8])>,
}

impl<'a> Strict<'a> {
    fn read(mut bytes: &'a [u8]) -> Strict<'a> {
        while let Some(rest) = bytes.strip_prefix(b"\r\n") {
            bytes = rest;
        }
        let mut lines = Vec::new();
        while let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") {
            lines.push(&bytes[..end]);
            bytes = &bytes[end + 2..];
        }
        assert!(bytes.is_empty(), "it ends with a line");
        assert_eq!(lines.pop(), Some(&b""[..]), "which is empty");
        assert!(lines.iter().all(|line| !line.is_empty() && !line.contains(&b'\r') && !line.contains(&b'\n')));
        let words = std::str::from_utf8(lines[0]).expect("the first line is ASCII").split(' ').collect::<Vec<_>>();
        let fields = lines[1..].iter().map(|line| {
            let colon = line.iter().position(|byte| *byte == b':').expect("a field has a colon");
            let name = std::str::from_utf8(&line[..colon]).expect("a name is ASCII");
            assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()), "{name:?}");
            (name.to_ascii_lowercase(), line[colon + 1..].trim_ascii())
        });
        Strict { words: words.try_into().expect("three words"), fields: fields.collect() }
    }

    fn all(&self, name: &str) -> Vec<&'a [u8]> {
        self.fields.iter().filter(|(known, _)| known == name).map(|(_, value)| *value).collect()
    }
}

fn check_reading(head: &Head<'_>, bytes: &[u8]) {
    let strict = Strict::read(bytes);
    let [_, target, version] = strict.words;
    assert_eq!(head.version == Version::Http11, version == "HTTP/1.1");
    let path = head.query.map_or(head.path.to_owned(), |query| format!("{}?{query}", head.path));
    assert!(target.ends_with(&path) || (path == "/" && target.contains("://")), "{target} {path}");
    assert!(path.starts_with('/') || (path == "*" && head.method == Method::Options), "{path}");
    for (name, _) in &strict.fields {
        assert_eq!(head.all(name).map(<[u8]>::trim_ascii).collect::<Vec<_>>(), strict.all(name), "{name}");
    }
    match (&strict.all("content-length")[..], &strict.all("transfer-encoding")[..]) {
        ([], []) => assert_eq!(head.body, BodyKind::None),
        ([length], []) => {
            assert!(length.iter().all(u8::is_ascii_digit));
            let length = std::str::from_utf8(length).ok().and_then(|length| length.parse().ok());
            assert_eq!(Some(head.body), length.map(BodyKind::Sized));
        }
        ([], [coding]) => {
            assert!(coding.eq_ignore_ascii_case(b"chunked") && head.body == BodyKind::Chunked);
        }
        _ => panic!("two ways to tell the end of a body"),
    }
    let hosts = strict.all("host").len();
    assert!(hosts == 1 || (hosts == 0 && head.version == Version::Http10));
}

/// What a connection does with a head, as far as it needs no session.
fn serve(head: &Head<'_>) {
    let exchange = Exchange::of(head).at(1_767_225_600_000_000);
    let lists = [["https://app.example".to_owned()], ["*".to_owned()]];
    for origins in lists {
        let rules = OriginRules::new([], [], origins).expect("the rules are right");
        match rules.check(head) {
            Ok(cors) => check_options(exchange, cors),
            Err(refusal) => check_refusal(&refusal, exchange),
        }
    }
    let _ = (head.bearer_token(), head.wants_websocket(), head.has_version("\"1\""));
    match Route::find(head) {
        Err(refusal) => check_refusal(&refusal, exchange),
        Ok(Route::Sse(query) | Route::Poll(query)) => {
            assert!(query.topics().next().is_some());
            ask_all(&query, exchange);
        }
        Ok(Route::Publish { query, .. } | Route::History { query, .. } | Route::Request { query, .. }) => {
            assert!(query.topics().next().is_none());
            ask_all(&query, exchange);
        }
        Ok(_) => {}
    }
}

fn ask_all(query: &Query<'_>, exchange: Exchange) {
    let refusals = [
        query.start().err(),
        query.policy().err(),
        query.max_rate_hz().err(),
        query.after().err(),
        query.wait().err(),
        query.limit().err(),
        query.ack().err(),
        query.expect().err(),
        query.producer().err(),
        query.deadline().err(),
    ];
    refusals.iter().flatten().for_each(|refusal| check_refusal(refusal, exchange));
}

fn check_refusal(refusal: &Refusal, exchange: Exchange) {
    let mut out = Vec::new();
    refusal.write(exchange, Cors::None, &mut out);
    check_answer(&out);
    let body = refusal.body();
    assert!(body.trim_end_matches('\n').chars().all(|character| !character.is_control()), "{body:?}");
    assert!(body.len() < 2_000, "as long as it takes: {body}");
}

fn check_options(exchange: Exchange, cors: Cors<'_>) {
    let mut out = Vec::new();
    Answer::begin(exchange, Status::NO_CONTENT, &mut out).options(Methods::All, cors);
    check_answer(&out);
}

/// Nothing that came in has added a line to what goes out.
fn check_answer(out: &[u8]) {
    const NAMES: [&str; 22] = [
        "Date",
        "Vary",
        "Allow",
        "Cache-Control",
        "Content-Type",
        "Content-Length",
        "Connection",
        "Upgrade",
        "Retry-After",
        "WWW-Authenticate",
        "Sec-WebSocket-Version",
        "X-Content-Type-Options",
        "Cross-Origin-Resource-Policy",
        "Content-Security-Policy",
        "Access-Control-Allow-Origin",
        "Access-Control-Expose-Headers",
        "Access-Control-Allow-Methods",
        "Access-Control-Allow-Headers",
        "Access-Control-Max-Age",
        "Access-Control-Allow-Private-Network",
        "Referrer-Policy",
        "Cross-Origin-Opener-Policy",
    ];
    let end = out.windows(4).position(|four| four == b"\r\n\r\n").expect("the head ends");
    let head = std::str::from_utf8(&out[..end]).expect("the head is ASCII");
    let mut names = Vec::new();
    for line in head.split("\r\n").skip(1) {
        let (name, value) = line.split_once(": ").expect("a field has a colon");
        assert!(NAMES.contains(&name) && !names.contains(&name), "{head}");
        assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{head}");
        names.push(name);
    }
}

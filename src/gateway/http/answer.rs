//! Answers: status line, header fields, and a body that is sized or streamed (RFC 9112 sections 4, 6 and 7).
//!
//! ```text
//!  Answer::begin -> header, number, cache, cors ... -> sized | bodiless | streamed | switching
//!                                                                          |
//!                                               Stream::chunk* , Stream::end
//! ```
//!
//! An answer is appended to bytes that are the caller's, and complete once one of the last four was called. Framing
//! and `Connection` follow from the [`Exchange`], which is what the request said of them: HEAD gets no body, HTTP/1.0
//! gets no chunks but the connection's end, statuses without a body get no length.
//!
//! Nothing that a peer sent gets into a head but as a [`HeaderValue`] or a number. What is no page can do nothing in a
//! browser, whatever a peer published into it: its type is fixed (`nosniff`), it runs nothing (a policy of `sandbox`),
//! and other origins can't embed it.

use super::date::HttpDate;
use super::head::{Head, Version};
use super::header_value::{HeaderValue, is_token};
use super::method::{Method, Methods};
use super::origin::{Cors, PREFLIGHT_HEADERS};
use super::status::Status;
use std::io::Write;

/// Says that the body may come now.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How long a browser may remember what a preflight told, in seconds.
const PREFLIGHT_SECONDS: u64 = 600;

/// What of a request its answer depends on; outlives the buffer that the request was in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    is_head: bool,
    version: Version,
    keeps_alive: bool,
    wall_us: Option<u64>,
}

impl Exchange {
    /// The exchange that this request begins.
    pub fn of(head: &Head<'_>) -> Self {
        Exchange {
            is_head: head.method == Method::Head,
            version: head.version,
            keeps_alive: head.keeps_alive,
            wall_us: None,
        }
    }

    /// The exchange with a peer whose request could not be read: it closes.
    pub const fn closing() -> Self {
        Exchange { is_head: false, version: Version::Http11, keeps_alive: false, wall_us: None }
    }

    /// With a date, of the wall clock in microseconds since 1970-01-01 UTC.
    #[must_use]
    pub const fn at(mut self, wall_us: u64) -> Self {
        self.wall_us = Some(wall_us);
        self
    }

    /// The same, but the connection ends with it: what is left of the request will not be read.
    #[must_use]
    pub const fn and_close(mut self) -> Self {
        self.keeps_alive = false;
        self
    }

    /// Whether another request may follow a sized answer.
    pub const fn keeps_alive(self) -> bool {
        self.keeps_alive
    }
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType<'v> {
    /// One JSON object.
    Json,
    /// JSON objects, one a line.
    JsonLines,
    /// Server-sent events.
    EventStream,
    /// A page of this broker's own.
    Html(PagePolicy),
    /// An ECMAScript module of this broker's own.
    JavaScript,
    /// Types for it.
    TypeScript,
    /// A style sheet of this broker's own.
    Style,
    /// Metrics in Prometheus' text format.
    Metrics,
    /// Plain text.
    Text,
    /// Whatever bytes.
    Bytes,
    /// What a publisher or a responder said that it is.
    Told(HeaderValue<'v>),
}

/// What a page may run besides scripts and styles of its own origin: those inline ones whose hashes these are, each as
/// a source of the policy (`'sha256-...'`), parted by spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PagePolicy {
    /// Inline scripts.
    pub script_hashes: &'static str,
    /// Inline styles.
    pub style_hashes: &'static str,
}

impl<'v> MediaType<'v> {
    /// The value of `Content-Type`.
    pub const fn value(self) -> HeaderValue<'v> {
        const JSON: HeaderValue<'static> = HeaderValue::own("application/json");
        const JSON_LINES: HeaderValue<'static> = HeaderValue::own("application/jsonl");
        const EVENT_STREAM: HeaderValue<'static> = HeaderValue::own("text/event-stream");
        const HTML: HeaderValue<'static> = HeaderValue::own("text/html; charset=utf-8");
        const JAVASCRIPT: HeaderValue<'static> = HeaderValue::own("text/javascript; charset=utf-8");
        const TYPESCRIPT: HeaderValue<'static> = HeaderValue::own("application/typescript; charset=utf-8");
        const STYLE: HeaderValue<'static> = HeaderValue::own("text/css; charset=utf-8");
        const METRICS: HeaderValue<'static> = HeaderValue::own("text/plain; version=0.0.4; charset=utf-8");
        const TEXT: HeaderValue<'static> = HeaderValue::own("text/plain; charset=utf-8");
        const BYTES: HeaderValue<'static> = HeaderValue::own("application/octet-stream");
        match self {
            MediaType::Json => JSON,
            MediaType::JsonLines => JSON_LINES,
            MediaType::EventStream => EVENT_STREAM,
            MediaType::Html(_) => HTML,
            MediaType::JavaScript => JAVASCRIPT,
            MediaType::TypeScript => TYPESCRIPT,
            MediaType::Style => STYLE,
            MediaType::Metrics => METRICS,
            MediaType::Text => TEXT,
            MediaType::Bytes => BYTES,
            MediaType::Told(value) => value,
        }
    }
}

/// Whether an answer may be kept (RFC 9111 section 5.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// By nobody: messages, metrics, refusals.
    Never,
    /// If it is asked for each time whether it is still right: pages and scripts, which have an entity tag.
    Revalidated,
}

/// How the end of a stream is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// By a last chunk; with HTTP/1.0 by the connection's end all the same.
    Chunked,
    /// By the connection's end: for streams that end with it anyhow, and whose bytes are shared with others.
    UntilClose,
}

/// An answer whose head is being written.
#[must_use = "an answer is complete once its body was given, if only that there is none"]
#[derive(Debug)]
pub struct Answer<'o> {
    out: &'o mut Vec<u8>,
    exchange: Exchange,
    status: Status,
    offers_websocket: bool,
}

impl<'o> Answer<'o> {
    /// Begins an answer behind what is there.
    pub fn begin(exchange: Exchange, status: Status, out: &'o mut Vec<u8>) -> Self {
        let mut answer = Answer { out, exchange, status, offers_websocket: false };
        answer.write(format_args!("HTTP/1.1 {status}\r\n"));
        if let Some(wall_us) = exchange.wall_us {
            answer.write(format_args!("Date: {}\r\n", HttpDate(wall_us)));
        }
        answer
    }

    /// A field. Its name is this broker's own; framing, connection, type and origin have functions of their own.
    pub fn header(&mut self, name: &'static str, value: HeaderValue<'_>) -> &mut Self {
        assert!(is_token(name.as_bytes()), "{name:?} is no field's name");
        self.write(format_args!("{name}: {}\r\n", value.as_str()))
    }

    /// A field that is a number.
    pub fn number(&mut self, name: &'static str, value: u64) -> &mut Self {
        assert!(is_token(name.as_bytes()), "{name:?} is no field's name");
        self.write(format_args!("{name}: {value}\r\n"))
    }

    /// Says who may keep the answer.
    pub fn cache(&mut self, cache: Cache) -> &mut Self {
        self.write(match cache {
            Cache::Never => format_args!("Cache-Control: no-store\r\n"),
            Cache::Revalidated => format_args!("Cache-Control: no-cache\r\n"),
        })
    }

    /// Says which version of a file this is.
    pub fn entity_tag(&mut self, tag: &str) -> &mut Self {
        match HeaderValue::new(tag) {
            Some(tag) => self.header("ETag", tag),
            None => self,
        }
    }

    /// Says which origins' pages may read the answer.
    pub fn cors(&mut self, cors: Cors<'_>) -> &mut Self {
        match cors {
            Cors::Any => self.write(format_args!("Access-Control-Allow-Origin: *\r\n")),
            // A cache must not hand one origin's answer to another.
            Cors::None => self.write(format_args!("Vary: Origin\r\n")),
            Cors::Origin(origin) => {
                self.write(format_args!("Access-Control-Allow-Origin: {}\r\nVary: Origin\r\n", origin.as_str()))
            }
        };
        match cors {
            Cors::None => self,
            Cors::Any | Cors::Origin(_) => self.write(format_args!("Access-Control-Expose-Headers: Retry-After\r\n")),
        }
    }

    /// Says that a WebSocket would be spoken here.
    pub fn offer_websocket(&mut self) -> &mut Self {
        self.offers_websocket = true;
        self
    }

    /// Ends the answer with a body of this type: all of it here. For a HEAD, this is what a GET would get.
    pub fn sized(mut self, media: MediaType<'_>, body: &[u8]) {
        assert!(!self.status.is_bodiless(), "{} has no body", self.status);
        self.describe(media);
        self.number("Content-Length", body.len() as u64);
        self.connection(self.exchange.keeps_alive);
        self.write(format_args!("\r\n"));
        if !self.exchange.is_head {
            self.out.extend_from_slice(body);
        }
    }

    /// Ends the answer without a body.
    pub fn bodiless(mut self) {
        if !self.status.is_bodiless() {
            self.number("Content-Length", 0);
        }
        self.connection(self.exchange.keeps_alive);
        self.write(format_args!("\r\n"));
    }

    /// Ends the head; the body of this type follows piece by piece.
    pub fn streamed(mut self, media: MediaType<'_>, framing: Framing) -> Stream {
        assert!(!self.status.is_bodiless(), "{} has no body", self.status);
        self.describe(media);
        let framing = if self.exchange.version == Version::Http10 { Framing::UntilClose } else { framing };
        let keeps_alive = self.exchange.keeps_alive && framing == Framing::Chunked;
        if framing == Framing::Chunked {
            self.write(format_args!("Transfer-Encoding: chunked\r\n"));
        }
        self.connection(keeps_alive);
        self.write(format_args!("\r\n"));
        Stream { framing, is_silent: self.exchange.is_head, keeps_alive }
    }

    /// Ends the answer with the switch to WebSocket (RFC 6455 section 4.2.2). Its status is 101.
    pub fn switching(mut self) {
        assert_eq!(self.status, Status::SWITCHING_PROTOCOLS, "only 101 switches");
        self.write(format_args!("Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"));
    }

    /// Answers OPTIONS: what the resource takes, and to a page of an allowed origin, that it may ask for it (the Fetch
    /// standard's CORS preflight).
    pub fn options(mut self, methods: Methods, cors: Cors<'_>) {
        let names = HeaderValue::own(methods.names());
        self.cors(cors).header("Allow", names);
        if cors != Cors::None {
            self.header("Access-Control-Allow-Methods", names);
            self.header("Access-Control-Allow-Headers", PREFLIGHT_HEADERS);
            self.number("Access-Control-Max-Age", PREFLIGHT_SECONDS);
            // Without it, browsers may keep pages of the open network from brokers on private ones, allowed or not.
            self.header("Access-Control-Allow-Private-Network", const { HeaderValue::own("true") });
        }
        self.bodiless();
    }

    /// Type and policies of the body.
    fn describe(&mut self, media: MediaType<'_>) {
        self.header("Content-Type", media.value());
        self.write(format_args!("X-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\n"));
        match media {
            MediaType::Html(policy) => self.describe_page(policy),
            // Policies mean nothing to a module: that of the page holds.
            MediaType::JavaScript | MediaType::TypeScript => {}
            _ => {
                self.write(format_args!("Content-Security-Policy: default-src 'none'; sandbox\r\n"));
            }
        }
    }

    /// Nothing from outside, nothing sent outside, and in nobody's frame.
    fn describe_page(&mut self, policy: PagePolicy) {
        let PagePolicy { script_hashes, style_hashes } = policy;
        self.write(format_args!(
            "Content-Security-Policy: default-src 'self'; script-src 'self' {script_hashes}; \
             style-src 'self' {style_hashes}; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'\r\nReferrer-Policy: no-referrer\r\nCross-Origin-Opener-Policy: same-origin\r\n"
        ));
    }

    /// RFC 9112 section 9.3: silence keeps a connection of HTTP/1.1, and ends one of 1.0.
    fn connection(&mut self, keeps_alive: bool) {
        let option = match (keeps_alive, self.exchange.version) {
            (false, _) => Some("close"),
            (true, Version::Http10) => Some("keep-alive"),
            (true, Version::Http11) => None,
        };
        match (option, self.offers_websocket) {
            (None, false) => self,
            (Some(option), false) => self.write(format_args!("Connection: {option}\r\n")),
            (None, true) => self.write(format_args!("Connection: upgrade\r\nUpgrade: websocket\r\n")),
            (Some(option), true) => self.write(format_args!("Connection: upgrade, {option}\r\nUpgrade: websocket\r\n")),
        };
    }

    fn write(&mut self, arguments: std::fmt::Arguments<'_>) -> &mut Self {
        // Writing to a vector can't fail.
        let _ = self.out.write_fmt(arguments);
        self
    }
}

/// A body that is sent piece by piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    framing: Framing,
    /// The request was a HEAD: the head was all.
    is_silent: bool,
    keeps_alive: bool,
}

impl Stream {
    /// Appends a piece; nothing for an empty one, which would be the end.
    pub fn chunk(self, piece: &[u8], out: &mut Vec<u8>) {
        if self.is_silent || piece.is_empty() {
            return;
        }
        match self.framing {
            Framing::UntilClose => out.extend_from_slice(piece),
            Framing::Chunked => {
                // Writing to a vector can't fail.
                let _ = write!(out, "{:x}\r\n", piece.len());
                out.extend_from_slice(piece);
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Appends the end.
    pub fn end(self, out: &mut Vec<u8>) {
        if self.framing == Framing::Chunked && !self.is_silent {
            out.extend_from_slice(b"0\r\n\r\n");
        }
    }

    /// Whether another request may follow its end. If not, the connection's end is the end of the body.
    pub const fn keeps_alive(self) -> bool {
        self.keeps_alive
    }
}

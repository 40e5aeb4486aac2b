//! The web side from outside: an HTTP client and a WebSocket one that say whatever bytes a test makes them say, and
//! read answers by the rules.

use super::process::PATIENCE;
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

/// Bytes of one read.
const READ_BYTES: usize = 64 * 1024;

/// One connection and what it has heard.
pub(crate) struct Web {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What a request came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The fields as they came, with the line ends before them.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.split("\r\n").filter_map(|line| line.split_once(": "));
        fields.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("text")
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert!(self.body.ends_with(b"}\n"), "a terminal's next line is its own: {self:?}");
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// It refuses by this status and name, in the one form that refusals have.
    #[track_caller]
    pub(crate) fn refuses(&self, status: u16, name: &str) -> Value {
        let body = self.json();
        assert_eq!((self.status, body["name"].as_str()), (status, Some(name)), "{self:?}");
        assert_eq!(self.field("Content-Type"), Some("application/json"));
        assert!(body["code"].is_u64() && body["message"].is_string(), "{body}");
        let retry = body["retry"].as_str().expect("a class");
        assert!(["never", "now", "after"].contains(&retry), "{body}");
        assert_eq!(self.field("Retry-After").is_some(), retry == "after", "{self:?}");
        body
    }
}

impl Web {
    pub(crate) fn connect(address: SocketAddr) -> Web {
        Web::from(TcpStream::connect(address).expect("the broker accepts"))
    }

    pub(crate) fn from(stream: TcpStream) -> Web {
        stream.set_nodelay(true).expect("an option");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        stream.set_write_timeout(Some(PATIENCE)).expect("an option");
        Web { stream, buffer: Vec::new() }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(crate) fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the broker reads");
    }

    /// Writes as long as somebody takes it.
    pub(crate) fn pour(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    pub(crate) fn end_output(&self) {
        self.stream.shutdown(Shutdown::Write).expect("connected");
    }

    /// Asks by method, target and fields that each end their line; an empty body is not announced.
    #[track_caller]
    pub(crate) fn ask(&mut self, method: &str, target: &str, fields: &str, body: &[u8]) -> Answer {
        self.say(request(method, target, fields, body));
        self.answer_to(method)
    }

    #[track_caller]
    pub(crate) fn get(&mut self, target: &str) -> Answer {
        self.ask("GET", target, "", b"")
    }

    #[track_caller]
    pub(crate) fn post(&mut self, target: &str, body: &[u8]) -> Answer {
        self.ask("POST", target, "", body)
    }

    #[track_caller]
    pub(crate) fn answer(&mut self) -> Answer {
        self.answer_to("GET")
    }

    /// The next answer, read as long as it says that it is.
    #[track_caller]
    pub(crate) fn answer_to(&mut self, method: &str) -> Answer {
        let (status, head) = self.head();
        let mut answer = Answer { status, head, body: Vec::new() };
        if method == "HEAD" || matches!(status, 100..=199 | 204 | 304) {
            return answer;
        }
        if answer.field("Transfer-Encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk() {
                answer.body.extend(chunk);
            }
        } else if let Some(length) = answer.field("Content-Length") {
            let length = length.parse().expect("a length");
            answer.body = self.take(length);
        } else {
            while self.hear() {}
            answer.body = std::mem::take(&mut self.buffer);
        }
        answer
    }

    /// Status and fields of the next answer; its body is not touched.
    #[track_caller]
    pub(crate) fn head(&mut self) -> (u16, String) {
        let head = self.take_through(b"\r\n\r\n");
        let head = String::from_utf8(head).expect("heads are ASCII");
        assert!(head.starts_with("HTTP/1.1 "), "no answer: {head:?}");
        let status = head[9..12].parse().expect("a status");
        (status, head)
    }

    /// The next chunk of a body; none at its end.
    #[track_caller]
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = self.take_through(b"\r\n");
        let size = str::from_utf8(&size).expect("digits").trim_end();
        let size = usize::from_str_radix(size, 16).expect("a size");
        let chunk = self.take(size);
        assert_eq!(self.take(2), b"\r\n");
        (size > 0).then_some(chunk)
    }

    /// So many bytes.
    #[track_caller]
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(self.hear(), "the broker left in the middle of {:?}", String::from_utf8_lossy(&self.buffer));
        }
        self.buffer.drain(..count).collect()
    }

    /// Everything up to this, and this.
    #[track_caller]
    pub(crate) fn take_through(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(place) = self.buffer.windows(end.len()).position(|window| window == end) {
                return self.take(place + end.len());
            }
            assert!(self.hear(), "the broker left in the middle of {:?}", String::from_utf8_lossy(&self.buffer));
        }
    }

    /// Reads once. False at the end. A reset is the one end that must never be.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> bool {
        let mut read = [0; READ_BYTES];
        let count = self.stream.read(&mut read);
        let count = count.unwrap_or_else(|error| panic!("nothing came from the broker: {error}"));
        self.buffer.extend_from_slice(&read[..count]);
        count > 0
    }

    /// Bytes that were heard and not looked at.
    pub(crate) fn unread(&self) -> usize {
        self.buffer.len()
    }

    /// The broker ends the connection, and says nothing before.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        let is_over = self.buffer.is_empty() && !self.hear();
        assert!(is_over, "something was said: {:?}", String::from_utf8_lossy(&self.buffer));
    }

    /// As [`Web::expect_end`], of a broker that was killed: that may be a reset too.
    pub(crate) fn wait_for_loss(&mut self) {
        let mut read = [0; READ_BYTES];
        loop {
            match self.stream.read(&mut read) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => {
                    assert_ne!(error.kind(), ErrorKind::WouldBlock, "the connection stands");
                    return;
                }
            }
        }
    }

    /// The connection still serves.
    #[track_caller]
    pub(crate) fn is_served(&mut self) {
        assert_eq!(self.get("/healthz").text(), "ok\n");
    }
}

/// A request's bytes.
pub(crate) fn request(method: &str, target: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let length = match (method, body) {
        ("POST", _) => format!("Content-Length: {}\r\n", body.len()),
        _ => String::new(),
    };
    let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{length}{fields}\r\n");
    [head.as_bytes(), body].concat()
}

/// A question on a connection of its own.
#[track_caller]
pub(crate) fn ask(address: SocketAddr, method: &str, target: &str, fields: &str, body: &[u8]) -> Answer {
    Web::connect(address).ask(method, target, fields, body)
}

pub(crate) const NATIVE: &str = "fanwire.v1";
pub(crate) const JSON: &str = "fanwire.json.v1";

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// The fields of an upgrade.
pub(crate) fn upgrade(subprotocols: &str) -> String {
    format!(
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {subprotocols}\r\n"
    )
}

/// A client's frame; `is_last`: no fragment follows.
pub(crate) fn fragment(opcode: u8, is_last: bool, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
    let mut frame = vec![opcode | if is_last { 0x80 } else { 0 }];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=0xFFFF => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A WebSocket.
pub(crate) struct Socket {
    web: Web,
}

impl From<Web> for Socket {
    /// A connection whose upgrade was answered.
    fn from(web: Web) -> Socket {
        Socket { web }
    }
}

/// Everything about messages is whole messages: a broker that fragments would be a surprise.
impl Socket {
    #[track_caller]
    pub(crate) fn open(address: SocketAddr, subprotocol: &str) -> Socket {
        Socket::open_on(Web::connect(address), subprotocol)
    }

    #[track_caller]
    pub(crate) fn open_on(mut web: Web, subprotocol: &str) -> Socket {
        let answer = web.ask("GET", "/v1/ws", &upgrade(subprotocol), b"");
        assert_eq!(answer.status, 101, "{answer:?}");
        assert_eq!(answer.field("Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        let chosen = subprotocol.split(", ").find(|name| !name.starts_with("fanwire.token."));
        assert_eq!(answer.field("Sec-WebSocket-Protocol"), chosen);
        Socket { web }
    }

    /// Open with this offer of an extension, and what of it was agreed on.
    #[track_caller]
    pub(crate) fn open_offering(address: SocketAddr, subprotocol: &str, offer: &str) -> (Socket, Option<String>) {
        let mut web = Web::connect(address);
        let fields = format!("{}Sec-WebSocket-Extensions: {offer}\r\n", upgrade(subprotocol));
        let answer = web.ask("GET", "/v1/ws", &fields, b"");
        assert_eq!(answer.status, 101, "{answer:?}");
        (Socket { web }, answer.field("Sec-WebSocket-Extensions").map(str::to_owned))
    }

    /// Open and welcomed, in JSON.
    #[track_caller]
    pub(crate) fn json(address: SocketAddr) -> Socket {
        Socket::open(address, JSON).greet()
    }

    #[track_caller]
    pub(crate) fn greet(mut self) -> Socket {
        self.tell(r#"{"type":"hello"}"#);
        assert_eq!(self.object()["type"], "welcome");
        self
    }

    pub(crate) fn web(&mut self) -> &mut Web {
        &mut self.web
    }

    pub(crate) fn send(&mut self, opcode: u8, payload: &[u8]) {
        self.web.say(fragment(opcode, true, payload));
    }

    /// Says an object of JSON.
    pub(crate) fn tell(&mut self, json: &str) {
        self.send(TEXT, json.as_bytes());
    }

    /// The next frame: its opcode and payload.
    #[track_caller]
    pub(crate) fn frame(&mut self) -> (u8, Vec<u8>) {
        let (first, payload) = self.raw_frame();
        assert_eq!(first & 0xF0, 0x80, "a whole message without extensions");
        (first & 0x0F, payload)
    }

    /// The same with all of the first byte.
    #[track_caller]
    pub(crate) fn raw_frame(&mut self) -> (u8, Vec<u8>) {
        let head = self.web.take(2);
        let length = match head[1] {
            length @ 0..=125 => length.into(),
            126 => u16::from_be_bytes(self.web.take(2).try_into().expect("2 bytes")).into(),
            127 => u64::from_be_bytes(self.web.take(8).try_into().expect("8 bytes")) as usize,
            _ => panic!("a broker does not mask"),
        };
        (head[0], self.web.take(length))
    }

    /// The next message, which has to be an object.
    #[track_caller]
    pub(crate) fn object(&mut self) -> Value {
        let (opcode, payload) = self.frame();
        assert_eq!(opcode, TEXT, "{:?}", String::from_utf8_lossy(&payload));
        serde_json::from_slice(&payload).expect("the broker speaks JSON")
    }

    /// The next message, which has to be an object of this type.
    #[track_caller]
    pub(crate) fn object_of(&mut self, kind: &str) -> Value {
        let object = self.object();
        assert_eq!(object["type"], kind, "{object}");
        object
    }

    #[track_caller]
    pub(crate) fn subscribe(&mut self, json: &str) -> Value {
        self.tell(json);
        self.object_of("subscribed")
    }

    /// Nothing was said, and what was sent before is handled.
    #[track_caller]
    pub(crate) fn expect_quiet(&mut self) {
        self.send(PING, b"quiet");
        assert_eq!(self.frame(), (PONG, b"quiet".to_vec()));
    }

    /// The connection ends with this code and reason; what comes before is not looked at.
    #[track_caller]
    pub(crate) fn expect_closed(&mut self, close_code: u16, reason: &str) {
        loop {
            let (opcode, payload) = self.frame();
            if opcode == CLOSE {
                let number = u16::from_be_bytes([payload[0], payload[1]]);
                let told = String::from_utf8_lossy(&payload[2..]).into_owned();
                assert_eq!((number, told.split(' ').next()), (close_code, Some(reason)));
                break;
            }
        }
        self.web.end_output();
        self.web.expect_end();
    }
}

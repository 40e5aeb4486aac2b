//! Peers that speak raw frames: [`Peer`] says whatever a test makes it say, [`Witness`] is the innocent other
//! connection that has to be served whatever the first one does.

use super::broker::Broker;
use super::process::{PATIENCE, eventually};
use fanwire_wire::frame::{
    Ack, AckLevel, Direction, Frame, Hello, Message, Ping, Policy, Publish, Scope, Start, Subscribe, decode,
    split_frame,
};
use fanwire_wire::limits::{DELIVERY_BYTES_EXTRA, FRAME_BYTES_CEILING};
use fanwire_wire::preface::PREFACE_BYTES;
use fanwire_wire::{ClientPreface, Code, ServerPreface};
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Bytes of one read.
const READ_BYTES: usize = 64 * 1024;

/// One TCP connection and what it has heard.
pub(crate) struct Peer {
    stream: TcpStream,
    /// Where reads go first.
    read: Box<[u8]>,
    buffer: Vec<u8>,
    /// Where the next frame begins.
    begin: usize,
    /// The broker's preface was read.
    is_greeted: bool,
}

/// A frame's bytes, length prefix included.
pub(crate) fn bytes_of<'a>(frame: impl Into<Frame<'a>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.into().encode(&mut bytes);
    bytes
}

/// A HELLO of nobody in particular.
pub(crate) const HELLO: Hello<'_> =
    Hello { keep_alive_ms: 0, client_name: "peer", client_version: "1", credentials: b"" };

/// A subscription without any special wish.
pub(crate) const fn subscribe(subscription: u32, filter: &str) -> Subscribe<'_> {
    Subscribe {
        subscription,
        policy: Policy::Disconnect,
        no_echo: false,
        responder: false,
        max_rate_hz: 0,
        start: Start::Live,
        filter: filter.as_bytes(),
        group: b"",
    }
}

/// A message without headers.
pub(crate) const fn publish<'a>(topic: &'a str, ack: AckLevel, payload: &'a [u8]) -> Publish<'a> {
    Publish { ack, topic: topic.as_bytes(), headers: b"", payload }
}

/// Connecting.
impl Peer {
    /// Connected, and silent.
    pub(crate) fn connect(address: SocketAddr) -> Peer {
        Peer::from(TcpStream::connect(address).expect("the broker accepts"))
    }

    /// Connected with small buffers on the way to this peer, so that not reading is noticed early.
    pub(crate) fn connect_narrow(address: SocketAddr) -> Peer {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(4_096).expect("a receive buffer");
        // The other side sizes its send buffer by segments, which are huge on loopback.
        socket.set_tcp_mss(536).expect("a segment size");
        socket.connect(&address.into()).expect("the broker accepts");
        Peer::from(socket.into())
    }

    pub(crate) fn from(stream: TcpStream) -> Peer {
        stream.set_nodelay(true).expect("an option");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        stream.set_write_timeout(Some(PATIENCE)).expect("an option");
        Peer { stream, read: vec![0; READ_BYTES].into(), buffer: Vec::new(), begin: 0, is_greeted: false }
    }

    /// Connected and welcomed.
    pub(crate) fn welcomed(address: SocketAddr) -> Peer {
        Peer::connect(address).greet(HELLO)
    }

    /// Says who it is and waits for the welcome.
    pub(crate) fn greet(mut self, hello: Hello<'_>) -> Peer {
        self.send_bytes(&ClientPreface::OURS.encode());
        self.send(hello);
        self.expect_preface();
        assert!(matches!(self.frame(), Frame::Welcome(_)));
        self
    }

    /// This side's address, as the broker's log names it.
    pub(crate) fn address(&self) -> SocketAddr {
        self.stream.local_addr().expect("connected")
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether the broker's preface was read.
    pub(crate) const fn is_greeted(&self) -> bool {
        self.is_greeted
    }
}

/// Speaking.
impl Peer {
    pub(crate) fn send<'a>(&mut self, frame: impl Into<Frame<'a>>) {
        self.send_bytes(&bytes_of(frame));
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the broker reads");
    }

    /// Writes as long as somebody takes it.
    pub(crate) fn pour(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Ends its own side; the other one may still speak.
    pub(crate) fn end_output(&self) {
        self.stream.shutdown(Shutdown::Write).expect("connected");
    }

    /// Goes without a farewell: the broker's next look at the connection finds a reset.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("an option");
    }

    /// Subscribes and waits until the subscription stands; returns the topic's id.
    pub(crate) fn subscribe(&mut self, wish: Subscribe<'_>) -> u32 {
        self.send(wish);
        match self.frame() {
            Frame::Subscribed(subscribed) if subscribed.subscription == wish.subscription => subscribed.topic_id,
            other => panic!("not SUBSCRIBED {}: {other:?}", wish.subscription),
        }
    }
}

/// Hearing.
impl Peer {
    /// The next frame; `None` at the broker's end of the connection.
    #[track_caller]
    pub(crate) fn next_frame(&mut self) -> Option<Frame<'_>> {
        let frame = loop {
            let split = split_frame(&self.buffer[self.begin..], FRAME_BYTES_CEILING + DELIVERY_BYTES_EXTRA);
            if let Some((frame, size)) = split.expect("the broker keeps the rules") {
                self.begin += size;
                break self.begin - frame.len()..self.begin;
            }
            if !self.hear() {
                assert_eq!(self.begin, self.buffer.len(), "the broker left in the middle of a frame");
                return None;
            }
        };
        Some(decode(&self.buffer[frame], Direction::ToClient).expect("the broker keeps the rules").frame)
    }

    /// Reads numbered messages, none of which may be missing, until the broker ends the connection for its slowness.
    /// Returns how many came.
    #[track_caller]
    pub(crate) fn hear_until_cut_off(&mut self, number_of: impl Fn(&[u8]) -> u64) -> u64 {
        let mut delivered = 0;
        loop {
            match self.frame() {
                Frame::Message(message) => {
                    assert_eq!(number_of(message.payload), delivered, "no silent loss");
                    delivered += 1;
                }
                Frame::Error(refusal) => {
                    assert_eq!((refusal.scope, refusal.code), (Scope::Connection, Code::SlowConsumer.number()));
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(self.next_frame().is_none(), "the reason is the last word");
        delivered
    }

    /// The next frame, which has to come.
    #[track_caller]
    pub(crate) fn frame(&mut self) -> Frame<'_> {
        self.next_frame().expect("the broker closed without a word")
    }

    /// Reads once. False at the end. A reset is the one end that must never be.
    #[track_caller]
    fn hear(&mut self) -> bool {
        self.buffer.drain(..self.begin);
        self.begin = 0;
        let count = self.stream.read(&mut self.read);
        let count = count.unwrap_or_else(|error| panic!("nothing came from the broker: {error}"));
        self.buffer.extend_from_slice(&self.read[..count]);
        count > 0
    }

    /// The broker's side of the preface.
    #[track_caller]
    pub(crate) fn preface(&mut self) -> ServerPreface {
        while self.buffer.len() < PREFACE_BYTES {
            assert!(self.hear(), "the broker closed without a preface");
        }
        let preface = ServerPreface::decode(&self.buffer).expect("the broker's magic").expect("all of it");
        self.begin = PREFACE_BYTES;
        self.is_greeted = true;
        preface
    }

    #[track_caller]
    fn expect_preface(&mut self) {
        assert_eq!(self.preface(), ServerPreface::ours(None));
    }

    /// The preface refuses with this code, and the connection ends.
    #[track_caller]
    pub(crate) fn expect_turned_away(&mut self, code: Code) {
        assert_eq!(self.preface(), ServerPreface::ours(Some(code)));
        assert!(self.next_frame().is_none(), "nothing follows a refusal");
    }

    /// The connection ends with this code as its last word.
    #[track_caller]
    pub(crate) fn expect_closed(&mut self, code: Code) {
        loop {
            match self.frame() {
                Frame::Error(refusal) if refusal.scope == Scope::Connection => {
                    assert_eq!(Code::from_number(refusal.code), Some(code));
                    assert_eq!(refusal.retry(), code.retry());
                    break;
                }
                _ => {}
            }
        }
        assert!(self.next_frame().is_none(), "nothing follows a farewell");
    }

    /// The next frame refuses one command with this code.
    #[track_caller]
    pub(crate) fn expect_refused(&mut self, scope: Scope, code: Code, reference: u64) {
        match self.frame() {
            Frame::Error(refusal) => {
                assert_eq!(Code::from_number(refusal.code), Some(code));
                assert_eq!((refusal.scope, refusal.reference), (scope, reference));
            }
            other => panic!("not refused with {code}: {other:?}"),
        }
    }

    /// The next frame answers a ping: everything sent before is handled, and nothing else was said.
    #[track_caller]
    pub(crate) fn expect_quiet(&mut self) {
        self.send(Ping { time: 4_711 });
        match self.frame() {
            Frame::Pong(pong) => assert_eq!(pong.time, 4_711),
            other => panic!("something was said: {other:?}"),
        }
    }

    /// Waits until exactly so many bytes have come, and leaves them unread.
    #[track_caller]
    pub(crate) fn wait_for_unread(&self, bytes: usize) {
        // With room for one too many.
        let mut unread = vec![0; bytes + 1];
        eventually("what is left unread", || {
            let count = self.stream.peek(&mut unread).expect("the broker speaks");
            (count == bytes).then_some(())
        });
    }

    /// Whether the broker has said something or ended, without waiting for it.
    pub(crate) fn has_word(&mut self) -> bool {
        self.stream.set_nonblocking(true).expect("an option");
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).expect("an option");
        match peeked {
            Ok(_) => true,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }
}

/// A connection that does everything right.
pub(crate) struct Witness {
    peer: Peer,
    topic: String,
    topic_id: u32,
    count: u64,
}

impl Witness {
    pub(crate) fn of(broker: &Broker) -> Witness {
        Witness::from(Peer::welcomed(broker.address()))
    }

    pub(crate) fn from(mut peer: Peer) -> Witness {
        let topic = format!("witness/{}", peer.address().port());
        let topic_id = peer.subscribe(subscribe(1, &topic));
        Witness { peer, topic, topic_id, count: 0 }
    }

    /// A message that it must never get.
    pub(crate) fn stray(&self) -> Publish<'_> {
        publish(&self.topic, AckLevel::None, b"stray")
    }

    /// Publishes to itself: it gets its message and its ack, and nothing else.
    #[track_caller]
    pub(crate) fn is_served(&mut self) {
        self.count += 1;
        let payload = self.count.to_le_bytes();
        self.peer.send(publish(&self.topic, AckLevel::Routed, &payload));
        let message = Message { topic_id: self.topic_id, headers: b"", payload: &payload };
        assert_eq!(self.peer.frame(), Frame::from(message));
        let ack = Ack { first: self.count, count: 1, level: AckLevel::Routed, first_sequence: 0 };
        assert_eq!(self.peer.frame(), Frame::from(ack));
    }
}

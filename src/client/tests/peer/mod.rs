//! A broker by script: one thread, one listener on a free port, each connection served line by line as a test says.
//!
//! A script panics when the client does something else than it expects; `Script::finish` passes that on.

use fanwire_wire::frame::{self, Outcome, Start, Subscribed, decode};
use fanwire_wire::preface::PREFACE_BYTES;
use fanwire_wire::{ClientPreface, Direction, Frame, Inbox, Limits, ServerPreface};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

/// Nothing in these tests takes this long unless it is stuck.
pub(crate) const GENEROUS: Duration = Duration::from_secs(20);

/// A script at work.
pub(crate) struct Script {
    thread: JoinHandle<()>,
    port: u16,
}

impl Script {
    /// Runs `script` with the listener on a thread of its own.
    pub(crate) fn start(script: impl FnOnce(&TcpListener) + Send + 'static) -> Script {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        Script { thread: std::thread::spawn(move || script(&listener)), port }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("fanwire://127.0.0.1:{}", self.port)
    }

    /// Waits for the script's end.
    pub(crate) fn finish(self) {
        self.thread.join().unwrap();
    }
}

/// The broker's end of a connection.
pub(crate) struct Peer {
    /// The socket, for what no method does.
    pub(crate) stream: TcpStream,
    inbox: Inbox,
    read: Vec<u8>,
    begin: usize,
}

impl Peer {
    /// Accepts a connection, as it is.
    pub(crate) fn accept(listener: &TcpListener) -> Peer {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(GENEROUS)).unwrap();
        stream.set_nodelay(true).unwrap();
        Peer { stream, inbox: Inbox::default(), read: Vec::new(), begin: 0 }
    }

    /// Accepts a connection and welcomes it.
    pub(crate) fn welcome(listener: &TcpListener) -> Peer {
        Peer::welcome_with(listener, |_| {})
    }

    /// Accepts a connection and welcomes it with a changed welcome.
    pub(crate) fn welcome_with(listener: &TcpListener, change: impl FnOnce(&mut frame::Welcome<'_>)) -> Peer {
        let mut peer = Peer::accept(listener);
        peer.expect_hello();
        let mut bytes = ServerPreface::ours(None).encode().to_vec();
        let mut welcome = frame::Welcome {
            version: 1,
            open: true,
            draining: false,
            connection_id: 7,
            server_time_us: 0,
            keep_alive_ms: 0,
            limits: Limits::default(),
            server_name: "script",
        };
        change(&mut welcome);
        Frame::from(welcome).encode(&mut bytes);
        peer.send_bytes(&bytes);
        peer
    }

    /// Reads preface and HELLO.
    pub(crate) fn expect_hello(&mut self) {
        let mut preface = [0; PREFACE_BYTES];
        self.stream.read_exact(&mut preface).unwrap();
        assert_eq!(ClientPreface::decode(&preface), Ok(Some(ClientPreface::OURS)));
        self.expect(|frame| assert!(matches!(frame, Frame::Hello(_)), "{frame:?}"));
    }

    /// Reads one frame and hands it to `look`; panics at the end of the stream.
    pub(crate) fn expect<T>(&mut self, look: impl FnOnce(Frame<'_>) -> T) -> T {
        let frame = self.next().expect("a frame, not the end of the stream");
        look(decode(&frame, Direction::ToBroker).unwrap().frame)
    }

    /// Reads SUBSCRIBE and confirms it; returns its id.
    pub(crate) fn expect_subscribe(&mut self, topic_id: u32) -> u32 {
        let (subscription, _) = self.expect_start();
        self.send(Subscribed { subscription, topic_id, outcome: Outcome::Live, epoch: 0 });
        subscription
    }

    /// Reads SUBSCRIBE; returns its id and where it wants to start.
    pub(crate) fn expect_start(&mut self) -> (u32, Start) {
        self.expect(|frame| match frame {
            Frame::Subscribe(subscribe) => (subscribe.subscription, subscribe.start),
            other => panic!("{other:?}"),
        })
    }

    /// One frame's bytes; `None` at the end of the stream.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let mut input = &self.read[self.begin..];
            let frame = self.inbox.next_frame(&mut input, u32::MAX).unwrap().map(<[u8]>::to_vec);
            self.begin = self.read.len() - input.len();
            if frame.is_some() {
                return frame;
            }
            self.read.resize(64 * 1024, 0);
            let count = self.stream.read(&mut self.read).unwrap();
            self.read.truncate(count);
            self.begin = 0;
            if count == 0 {
                return None;
            }
        }
    }

    /// Sends one frame.
    pub(crate) fn send<'a>(&mut self, frame: impl Into<Frame<'a>>) {
        let mut bytes = Vec::new();
        frame.into().encode(&mut bytes);
        self.send_bytes(&bytes);
    }

    /// Sends bytes that may be anything.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Reads until the client has half-closed, then closes; returns how many frames came.
    pub(crate) fn drain_and_close(mut self) -> usize {
        let mut frames = 0;
        while self.next().is_some() {
            frames += 1;
        }
        self.stream.shutdown(Shutdown::Write).unwrap();
        frames
    }
}

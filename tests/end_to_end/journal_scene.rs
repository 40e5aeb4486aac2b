//! The scene of a journal: a directory that outlives its brokers, their configuration, and connections that may end at
//! any moment because their broker is killed.

use super::peer::{HELLO, Peer, bytes_of};
use super::process::PATIENCE;
use fanwire_wire::ClientPreface;
use fanwire_wire::frame::{
    Direction, Frame, History, Outcome, Policy, Publish, PublishExtensions, Start, Subscribe, Subscribed, decode,
    split_frame,
};
use fanwire_wire::limits::{DELIVERY_BYTES_EXTRA, FRAME_BYTES_CEILING};
use fanwire_wire::preface::PREFACE_BYTES;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of one read.
const READ_BYTES: usize = 64 * 1024;
/// The smallest segments that frames of 8 KiB allow, so that a test sees many of them.
pub(crate) const SMALL_SEGMENTS: &str = "segment_bytes = \"80KiB\"";

/// A data directory that is gone with the test, and no sooner.
pub(crate) struct DataDirectory(PathBuf);

impl DataDirectory {
    pub(crate) fn new() -> DataDirectory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("data-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&path);
        DataDirectory(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Where the journal of [`configuration`] lies.
    pub(crate) fn events(&self) -> PathBuf {
        self.0.join("events")
    }
}

impl Drop for DataDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A broker of two reactors with one journal, `events`, of `match/#`; `keys` are more of that journal.
pub(crate) fn configuration(data: &Path, keys: &str) -> String {
    format!(
        "data = {data:?}\nreactors = 2\n\
         [limits]\nframe_bytes_max = \"8KiB\"\nheaders_bytes_max = \"1KiB\"\n\
         [[journal]]\nname = \"events\"\ntopics = [\"match/#\"]\n{keys}\n"
    )
}

/// A subscription that starts here.
pub(crate) const fn from(start: Start, subscription: u32, filter: &str) -> Subscribe<'_> {
    Subscribe {
        subscription,
        policy: Policy::Disconnect,
        no_echo: false,
        responder: false,
        max_rate_hz: 0,
        start,
        filter: filter.as_bytes(),
        group: b"",
    }
}

/// A publish that asks something of the journal.
pub(crate) fn asking(publish: Publish<'_>, asked: PublishExtensions) -> Vec<u8> {
    let mut bytes = Vec::new();
    Frame::from(publish).encode_with(asked.area().extensions(), &mut bytes);
    bytes
}

/// Subscribes and waits for how it begins.
#[track_caller]
pub(crate) fn subscribed(peer: &mut Peer, wish: Subscribe<'_>) -> Subscribed {
    peer.send(wish);
    match peer.frame() {
        Frame::Subscribed(subscribed) => subscribed,
        other => panic!("not SUBSCRIBED {}: {other:?}", wish.subscription),
    }
}

/// A record of a history, as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) topic: String,
    pub(crate) sequence: u64,
    pub(crate) position: u64,
    pub(crate) payload: Vec<u8>,
}

impl From<History<'_>> for Kept {
    fn from(history: History<'_>) -> Kept {
        let History { topic, sequence, position, payload, .. } = history;
        Kept {
            topic: String::from_utf8(topic.to_vec()).expect("names are text"),
            sequence,
            position,
            payload: payload.to_vec(),
        }
    }
}

/// All that a subscription on a connection of its own is told of the past, how it began, and in which epoch.
#[track_caller]
pub(crate) fn history_of(address: SocketAddr, start: Start, filter: &str) -> (Vec<Kept>, Outcome, u64) {
    let mut peer = Peer::welcomed(address);
    let Subscribed { outcome, epoch, .. } = subscribed(&mut peer, from(start, 1, filter));
    let mut kept = Vec::new();
    loop {
        match peer.frame() {
            Frame::History(history) => kept.push(Kept::from(history)),
            Frame::CaughtUp(caught_up) => {
                assert_eq!(caught_up.position, kept.last().map_or(0, |kept| kept.position), "CAUGHT_UP tells the last");
                return (kept, outcome, epoch);
            }
            other => panic!("{other:?} in a history"),
        }
    }
}

/// A connection whose broker may be killed at any moment: then it is over, and that is no failure.
pub(crate) struct Line {
    stream: TcpStream,
    read: Box<[u8]>,
    buffer: Vec<u8>,
    /// Where the next frame begins.
    begin: usize,
}

impl Line {
    /// A welcomed connection; none if the broker is gone.
    pub(crate) fn connect(address: SocketAddr) -> Option<Line> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        stream.set_write_timeout(Some(PATIENCE)).expect("an option");
        let mut line = Line { stream, read: vec![0; READ_BYTES].into(), buffer: Vec::new(), begin: 0 };
        let mut greeting = ClientPreface::OURS.encode().to_vec();
        greeting.extend(bytes_of(HELLO));
        line.send(&greeting)?;
        while line.buffer.len() < PREFACE_BYTES {
            line.hear()?;
        }
        line.begin = PREFACE_BYTES;
        matches!(line.frame()?, Frame::Welcome(_)).then_some(line)
    }

    /// Says this; none if nobody listens any more.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Option<()> {
        self.stream.write_all(bytes).ok()
    }

    /// The next frame; none at the end, which may be in the middle of one.
    #[track_caller]
    pub(crate) fn frame(&mut self) -> Option<Frame<'_>> {
        let frame = loop {
            let split = split_frame(&self.buffer[self.begin..], FRAME_BYTES_CEILING + DELIVERY_BYTES_EXTRA);
            if let Some((frame, size)) = split.expect("the broker keeps the rules") {
                self.begin += size;
                break self.begin - frame.len()..self.begin;
            }
            self.hear()?;
        };
        Some(decode(&self.buffer[frame], Direction::ToClient).expect("the broker keeps the rules").frame)
    }

    #[track_caller]
    fn hear(&mut self) -> Option<()> {
        self.buffer.drain(..self.begin);
        self.begin = 0;
        let count = match self.stream.read(&mut self.read) {
            Ok(0) => return None,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("the broker lives, and nothing came from it")
            }
            Err(_) => return None,
        };
        self.buffer.extend_from_slice(&self.read[..count]);
        Some(())
    }
}

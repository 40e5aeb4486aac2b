//! A broker of several reactors: where its connections are, and reading that takes whatever has come at once.
//!
//! Connections are shared out in turn as long as nobody leaves: the n-th is on reactor n modulo [`REACTORS`].

use super::broker::Broker;
use super::peer::{Peer, bytes_of};
use fanwire_wire::frame::{Direction, Frame, decode, split_frame};
use fanwire_wire::limits::{DELIVERY_BYTES_EXTRA, FRAME_BYTES_CEILING};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

pub(crate) const REACTORS: usize = 4;
/// Bytes of one read.
const READ_BYTES: usize = 64 * 1024;

/// A broker of [`REACTORS`] reactors, with this configuration besides.
pub(crate) fn broker_of_several(config: &str) -> Broker {
    Broker::start(&format!("reactors = {REACTORS}\n{config}"))
}

/// So many welcomed peers, the first on the first reactor if nobody was there.
pub(crate) fn peers(broker: &Broker, count: usize) -> Vec<Peer> {
    (0..count).map(|_| Peer::welcomed(broker.address())).collect()
}

/// How long the broker's threads have run so far; nothing where the machine does not count it.
pub(crate) fn running_time(broker: &Broker) -> Duration {
    let stat = broker.stat();
    let id = stat.split(' ').next().expect("a number");
    let tasks = std::fs::read_dir(format!("/proc/{id}/task")).expect("the broker lives").flatten();
    let counted = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
    Duration::from_nanos(counted.filter_map(|text| text.split(' ').next()?.parse::<u64>().ok()).sum())
}

/// How much of something a test does: what the environment says, or what fits into an ordinary run.
pub(crate) fn amount(variable: &str, ordinary: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return ordinary };
    text.parse().unwrap_or_else(|_| panic!("{variable} is to be a number"))
}

/// A welcomed connection whose two directions may be in two threads: a thread that waits for frames takes all that have
/// come.
pub(crate) struct Ear {
    stream: TcpStream,
    read: Box<[u8]>,
    buffer: Vec<u8>,
}

impl Ear {
    /// Of a peer that has heard everything that was said to it so far.
    pub(crate) fn of(peer: &Peer) -> Ear {
        Ear { stream: writer_of(peer), read: vec![0; READ_BYTES].into(), buffer: Vec::new() }
    }

    /// Waits for bytes, and gives each frame that is complete with them. False at the broker's end of the connection.
    #[track_caller]
    pub(crate) fn hear(&mut self, mut each: impl FnMut(Frame<'_>)) -> bool {
        let count = self.stream.read(&mut self.read);
        let count = count.unwrap_or_else(|error| panic!("nothing came from the broker: {error}"));
        self.buffer.extend_from_slice(&self.read[..count]);
        let mut begin = 0;
        loop {
            let split = split_frame(&self.buffer[begin..], FRAME_BYTES_CEILING + DELIVERY_BYTES_EXTRA);
            let Some((frame, size)) = split.expect("the broker keeps the rules") else { break };
            each(decode(frame, Direction::ToClient).expect("the broker keeps the rules").frame);
            begin += size;
        }
        self.buffer.drain(..begin);
        assert!(count > 0 || self.buffer.is_empty(), "the broker left in the middle of a frame");
        count > 0
    }
}

/// The way to the broker, for a thread that only writes.
pub(crate) fn writer_of(peer: &Peer) -> TcpStream {
    peer.stream().try_clone().expect("a descriptor")
}

/// Frames that go out with one write.
#[derive(Default)]
pub(crate) struct Outgoing(Vec<u8>);

impl Outgoing {
    pub(crate) fn add<'a>(&mut self, frame: impl Into<Frame<'a>>) {
        self.0.extend_from_slice(&bytes_of(frame));
    }

    pub(crate) fn write_to(&mut self, mut stream: &TcpStream) {
        stream.write_all(&self.0).expect("the broker reads");
        self.0.clear();
    }
}

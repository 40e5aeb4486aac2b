//! Reads the history of a topic over a connection of its own: looked at once, then only counted, so that what is timed
//! is the broker's sending and not this end's looking.

use super::adapter::{Ear, Fault, Progress, Target, Topics};
use super::brokers::Broker;
use super::error::BenchError;
use super::floors::READ_BYTES;
use super::targets::fanwire::{Replayed, ask_history, greet, hear_replay};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(10);

/// One topic's history.
#[derive(Debug, Clone)]
pub(super) struct Replayer {
    address: SocketAddr,
    question: Vec<u8>,
    /// What one replay brings: bytes on the wire, and records.
    pub(super) bytes: u64,
    pub(super) records: u64,
}

impl Replayer {
    /// Replays it once and looks at every record.
    pub(super) fn verified(broker: &Broker, topics: &Topics, topic: u32) -> Result<Replayer, BenchError> {
        let mut question = Vec::new();
        ask_history(topics, topic, &mut question);
        let mut replayer = Replayer { address: broker.address, question, bytes: 0, records: 0 };
        let mut socket = replayer.ask()?;
        let (mut held, mut filled, mut replayed) = (vec![0; 2 * READ_BYTES], 0, Replayed::default());
        while !replayed.is_over {
            if filled == held.len() {
                held.resize(2 * filled, 0);
            }
            let count = read(&mut socket, &mut held[filled..])?;
            filled += count;
            let used = hear_replay(&held[..filled], &mut replayed).map_err(failed)?;
            replayer.bytes += used as u64;
            held.copy_within(used..filled, 0);
            filled -= used;
        }
        replayer.records = replayed.records;
        Ok(replayer)
    }

    /// The same history from a broker at another address.
    pub(super) fn at(self, address: SocketAddr) -> Replayer {
        Replayer { address, ..self }
    }

    /// Replays it once more: how long it took from the question to the last byte, and how many there were. Ends early
    /// when told to.
    pub(super) fn timed(&self, is_over: &AtomicBool) -> Result<(Duration, u64), BenchError> {
        let mut socket = self.ask()?;
        let (begin, mut buffer, mut left) = (Instant::now(), vec![0; READ_BYTES], self.bytes);
        while left > 0 {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            let count = read(&mut socket, &mut buffer)? as u64;
            let Some(rest) = left.checked_sub(count) else {
                return Err(BenchError::Stuck("a replay brought more than the one before".to_owned()));
            };
            left = rest;
        }
        Ok((begin.elapsed(), self.bytes - left))
    }

    /// A connection that was welcomed and has asked.
    fn ask(&self) -> Result<TcpStream, BenchError> {
        let mut socket = connect(self.address)?;
        socket.write_all(&self.question)?;
        Ok(socket)
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream, BenchError> {
    let connect = |error| BenchError::Connect { number: 0, address, error };
    let mut socket = TcpStream::connect(address).map_err(connect)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut greeting = Vec::new();
    greet(&mut greeting);
    socket.write_all(&greeting)?;
    let (mut held, mut filled, mut progress, mut welcomed) =
        (vec![0; READ_BYTES], 0, Progress::default(), Welcomed(false));
    // Nothing but the welcome comes before something is asked.
    while !welcomed.0 {
        filled += read(&mut socket, &mut held[filled..])?;
        let used = Target::Fanwire.hear(&mut progress, &held[..filled], &mut welcomed).map_err(failed)?;
        held.copy_within(used..filled, 0);
        filled -= used;
    }
    Ok(socket)
}

/// Whether the connection stands.
struct Welcomed(bool);

impl Ear for Welcomed {
    fn delivered(&mut self, _payload: &[u8]) {}
    fn asked(&mut self, _handle: &[u8], _payload: &[u8]) {}
    fn answered(&mut self, _payload: &[u8]) {}
    fn confirmed(&mut self) {
        self.0 = true;
    }
    fn owes(&mut self, _bytes: &[u8]) {}
}

fn read(socket: &mut TcpStream, buffer: &mut [u8]) -> Result<usize, BenchError> {
    loop {
        match socket.read(buffer) {
            Ok(0) => return Err(closed("it closed the connection")),
            Ok(count) => return Ok(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(BenchError::Stuck(format!("a replay has stood still for {PATIENCE:?}")));
            }
            Err(error) => return Err(closed(&error.to_string())),
        }
    }
}

fn closed(reason: &str) -> BenchError {
    BenchError::Closed { target: Target::Fanwire.name(), number: 0, reason: reason.to_owned() }
}

fn failed(fault: Fault) -> BenchError {
    BenchError::Fault { target: Target::Fanwire, fault }
}

#[cfg(test)]
mod tests {
    use super::super::adapter::Level;
    use super::super::appender::{Appender, Plan};
    use super::*;
    use fanwire_wire::frame::{Ack, AckLevel, CaughtUp, History, Outcome, Start, Subscribed, Welcome, split_frame};
    use fanwire_wire::{ClientPreface, Direction, Frame, Limits, ServerPreface, decode};
    use std::net::TcpListener;
    use std::sync::{Arc, Mutex};

    const PREFACE_BYTES: usize = 8;
    const FRAME_BYTES_MAX: u32 = 1 << 20;

    /// A broker of one topic that keeps what it is told, for ever.
    #[derive(Debug, Default, Clone)]
    struct Keeper(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Keeper {
        fn start(&self) -> Broker {
            let (listener, keeper) = (TcpListener::bind("127.0.0.1:0").unwrap(), self.clone());
            let address = listener.local_addr().unwrap();
            std::thread::spawn(move || {
                for socket in listener.incoming() {
                    let keeper = keeper.clone();
                    std::thread::spawn(move || keeper.serve(socket.unwrap()));
                }
            });
            Broker::attached(Target::Fanwire, address, None)
        }

        fn serve(&self, mut socket: TcpStream) {
            let (mut held, mut greeted, mut published) = (Vec::new(), false, 0);
            let mut buffer = [0; 1_000];
            while let Ok(count @ 1..) = socket.read(&mut buffer) {
                held.extend_from_slice(&buffer[..count]);
                let mut out = Vec::new();
                if !greeted && held.len() >= PREFACE_BYTES {
                    assert_eq!(held[..PREFACE_BYTES], ClientPreface::OURS.encode());
                    held.drain(..PREFACE_BYTES);
                    out.extend_from_slice(&ServerPreface { version_min: 1, version_max: 1, code: 0 }.encode());
                    greeted = true;
                }
                let (first, mut acks) = (published + 1, 0);
                while let Some((frame, size)) = split_frame(&held, FRAME_BYTES_MAX).unwrap() {
                    match decode(frame, Direction::ToBroker).unwrap().frame {
                        Frame::Hello(_) => welcome().encode(&mut out),
                        Frame::PublishShort(publish) => {
                            assert_eq!(publish.ack, AckLevel::Journaled);
                            self.0.lock().unwrap().push(publish.payload.to_vec());
                            acks += 1;
                        }
                        Frame::Subscribe(subscribe) => self.replay(subscribe.start, &mut out),
                        _ => {}
                    }
                    held.drain(..size);
                }
                if acks > 0 {
                    let level = AckLevel::Journaled;
                    Frame::from(Ack { first, count: acks, level, first_sequence: first }).encode(&mut out);
                    published += u64::from(acks);
                }
                // Who has read enough may be gone.
                let _ = socket.write_all(&out);
            }
        }

        fn replay(&self, start: Start, out: &mut Vec<u8>) {
            assert_eq!(start, Start::First);
            let outcome = Outcome::History;
            Frame::from(Subscribed { subscription: 1, topic_id: 1, outcome, epoch: 1 }).encode(out);
            let kept = self.0.lock().unwrap();
            for (payload, sequence) in kept.iter().zip(1..) {
                let (position, topic) = (sequence, &b"bench/topic/0"[..]);
                let history = History { subscription: 1, sequence, position, time_us: 0, topic, headers: &[], payload };
                Frame::from(history).encode(out);
            }
            Frame::from(CaughtUp { subscription: 1, position: kept.len() as u64 }).encode(out);
        }
    }

    fn welcome() -> Frame<'static> {
        let (limits, server_name) = (Limits::default(), "keeper");
        let (version, open, draining, connection_id, server_time_us, keep_alive_ms) = (1, true, false, 1, 0, 0);
        Welcome { version, open, draining, connection_id, server_time_us, keep_alive_ms, limits, server_name }.into()
    }

    #[test]
    fn what_was_appended_within_the_window_comes_back_each_time() {
        let keeper = Keeper::default();
        let broker = keeper.start();
        let plan = Plan {
            publishers: 2,
            window: 10,
            topics: 0..2,
            payload_bytes: 64,
            level: Level::Journaled,
            space_bytes: 1 << 20,
        };
        let mut appender = Appender::connect(&broker, plan).unwrap();
        appender.append(777).unwrap();
        assert_eq!(keeper.0.lock().unwrap().len(), 777);
        let appended = appender.append_for(Duration::from_secs(3_600)).unwrap();
        // There was room for so many: that ends it, before its hour is over.
        let room = (1 << 20) / (64 + 160);
        assert!(appended.was_cut_short && appended.acknowledged <= room - 777, "{appended:?}");
        appender.append(0).unwrap();

        let replayer = Replayer::verified(&broker, &Topics::new(1, '/'), 0).unwrap();
        assert_eq!(replayer.records, room);
        let (_, bytes) = replayer.timed(&AtomicBool::new(false)).unwrap();
        assert_eq!(bytes, replayer.bytes);
        let (_, bytes) = replayer.timed(&AtomicBool::new(true)).unwrap();
        assert_eq!(bytes, 0);
    }
}

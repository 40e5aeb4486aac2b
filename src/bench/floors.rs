//! The floors of a journal: the least that keeping a record could cost, in the file system and the directory where
//! brokers keep theirs, one thread, no protocol and no checksum.
//!
//! ```text
//!  memory:  memcpy of a record into a mapped file, on and on         -> ns of CPU a record
//!  disk:    pwrite or store of a batch + fdatasync, on and on        -> syncs a second, latency of one
//!  wire:    sendfile of a cached file to one reader, on and on       -> bytes a second
//! ```
//!
//! Files have their space and their zeros beforehand, as a segment has: a sync has no length and no block to note.

use super::ground::Ground;
use super::histogram::Latencies;
use super::mapped::Mapped;
use rustix::fs::sendfile;
use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// What a log keeps of a record beside its payload: about what each of the brokers does.
pub(super) const RECORD_HEAD_BYTES: usize = 56;
/// Bytes of the file that records are copied to: several segments.
const MEMORY_BYTES: u64 = 256 << 20;
/// Bytes of the file that is synced: one segment.
const DISK_BYTES: u64 = 64 << 20;
/// Records between two looks at the clock.
const RECORDS_A_LOOK: u64 = 1_000;
/// Bytes of one read of who is sent a file, and of everybody who is replayed to: smaller ones would measure the reader.
pub(super) const READ_BYTES: usize = 256 * 1024;
/// What records are made of: not zeros, which a disk may know how to spare.
const FILLING: u8 = 0xA5;

/// How a floor gets its bytes to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// pwrite, then fdatasync.
    Pwrite,
    /// A store through a map, then fdatasync.
    Store,
}

/// What a loop has done.
#[derive(Debug)]
pub(super) struct Looped {
    /// How long.
    pub(super) seconds: f64,
    /// How often.
    pub(super) count: u64,
    /// Processor time of its thread.
    pub(super) cpu_ns: u64,
    /// How long each took, where that was looked at.
    pub(super) latencies: Latencies,
}

impl Looped {
    /// How often a second.
    pub(super) fn per_second(&self) -> f64 {
        self.count as f64 / self.seconds
    }

    /// Processor time of one.
    pub(super) fn cpu_ns_each(&self) -> f64 {
        self.cpu_ns as f64 / self.count as f64
    }
}

/// Copies records of so many bytes into a mapped file.
pub(super) fn copies(ground: &Ground, record_bytes: usize, duration: Duration) -> io::Result<Looped> {
    let mut mapped = Mapped::new(ground.zeroed("memory", MEMORY_BYTES)?)?;
    let record = vec![FILLING; record_bytes];
    let (mut at, mut count) = (0, 0);
    let (begin, begin_cpu_ns) = (Instant::now(), thread_cpu_ns());
    while begin.elapsed() < duration {
        for _ in 0..RECORDS_A_LOOK {
            if at + record_bytes > mapped.bytes().len() {
                (mapped, at) = (mapped.again()?, 0);
            }
            mapped.bytes()[at..at + record_bytes].copy_from_slice(&record);
            at += record_bytes;
        }
        count += RECORDS_A_LOOK;
    }
    let (seconds, cpu_ns) = (begin.elapsed().as_secs_f64(), thread_cpu_ns() - begin_cpu_ns);
    Ok(Looped { seconds, count, cpu_ns, latencies: Latencies::default() })
}

/// Writes batches of so many bytes one after the other and syncs each.
pub(super) fn syncs(ground: &Ground, way: Way, batch_bytes: usize, duration: Duration) -> io::Result<Looped> {
    match way {
        Way::Pwrite => {
            let file = ground.zeroed("written", DISK_BYTES)?;
            synced(batch_bytes, duration, |at, batch| {
                file.write_all_at(batch, at as u64)?;
                file.sync_data()
            })
        }
        Way::Store => {
            let mut mapped = Mapped::new(ground.zeroed("stored", DISK_BYTES)?)?;
            synced(batch_bytes, duration, |at, batch| {
                mapped.bytes()[at..at + batch.len()].copy_from_slice(batch);
                mapped.sync()
            })
        }
    }
}

fn synced(
    batch_bytes: usize,
    duration: Duration,
    mut keep: impl FnMut(usize, &[u8]) -> io::Result<()>,
) -> io::Result<Looped> {
    let end = usize::try_from(DISK_BYTES).expect("64 bits");
    let batch = vec![FILLING; batch_bytes.min(end)];
    let (mut at, mut count, mut latencies) = (0, 0, Latencies::default());
    let (begin, begin_cpu_ns) = (Instant::now(), thread_cpu_ns());
    while begin.elapsed() < duration {
        let before = Instant::now();
        keep(at, &batch)?;
        latencies.record(u64::try_from(before.elapsed().as_nanos()).unwrap_or(u64::MAX));
        at = if at + 2 * batch.len() > end { 0 } else { at + batch.len() };
        count += 1;
    }
    let (seconds, cpu_ns) = (begin.elapsed().as_secs_f64(), thread_cpu_ns() - begin_cpu_ns);
    Ok(Looped { seconds, count, cpu_ns, latencies })
}

/// Sends a cached file of so many bytes again and again to a reader on loopback, a connection each time; counts bytes.
pub(super) fn sends(ground: &Ground, file_bytes: u64, duration: Duration) -> io::Result<Looped> {
    let file = ground.zeroed("sent", file_bytes)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let (mut buffer, mut count, mut spent) = (vec![0; READ_BYTES], 0, Duration::ZERO);
    let mut cpu_ns = 0;
    while spent < duration {
        let sender = std::thread::scope(|scope| {
            let sender = scope.spawn(|| send(&listener, &file, file_bytes));
            let mut socket = TcpStream::connect(address)?;
            let begin = Instant::now();
            loop {
                match socket.read(&mut buffer)? {
                    0 => break,
                    read => count += read as u64,
                }
            }
            spent += begin.elapsed();
            sender.join().expect("the sender does not panic")
        });
        cpu_ns += sender?;
    }
    Ok(Looped { seconds: spent.as_secs_f64(), count, cpu_ns, latencies: Latencies::default() })
}

/// Sends the file to whoever comes next; the processor time that it took.
fn send(listener: &TcpListener, file: &File, file_bytes: u64) -> io::Result<u64> {
    let (socket, _) = listener.accept()?;
    let begin_cpu_ns = thread_cpu_ns();
    let mut at = 0;
    while at < file_bytes {
        let left = usize::try_from(file_bytes - at).expect("64 bits");
        sendfile(&socket, file, Some(&mut at), left)?;
    }
    Ok(thread_cpu_ns() - begin_cpu_ns)
}

fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let part = |value: i64| u64::try_from(value).expect("processor time does not run backwards");
    part(time.tv_sec) * 1_000_000_000 + part(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_floor_does_something_and_tells_what_it_took() {
        let ground = Ground::bare(&std::env::temp_dir(), 512 << 20).unwrap();
        let moment = Duration::from_millis(5);
        let copied = copies(&ground, 120, moment).unwrap();
        assert!(copied.count > 0 && copied.cpu_ns_each() > 0.0);
        for way in [Way::Pwrite, Way::Store] {
            let synced = syncs(&ground, way, 10_000, moment).unwrap();
            assert_eq!(synced.latencies.count(), synced.count);
            assert!(synced.per_second() > 0.0);
        }
        let sent = sends(&ground, 3 << 20, moment).unwrap();
        assert!(sent.count > 0 && sent.count.is_multiple_of(3 << 20), "{}", sent.count);
    }
}

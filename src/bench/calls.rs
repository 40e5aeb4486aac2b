//! How many system calls a broker makes, counted by perf where it is there and may look.
//!
//! The kernel's own counters in `/proc/PID/io` leave out `send` and `recv`, which most brokers use, and what one read
//! of the generator brings may have been several writes. So the tracepoints of the system calls are counted, in a short
//! run of its own behind the one that is timed: counting costs every call some time.
//!
//! How often a broker syncs is counted in the same way.

use std::io::{BufRead, BufReader, Read};
use std::ops::AddAssign;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Where the kernel lists its tracepoints.
const TRACEPOINTS: [&str; 2] = ["/sys/kernel/tracing/events/syscalls", "/sys/kernel/debug/tracing/events/syscalls"];
const WRITES: [&str; 5] = ["write", "writev", "sendto", "sendmsg", "sendmmsg"];
const READS: [&str; 5] = ["read", "readv", "recvfrom", "recvmsg", "recvmmsg"];
const POLLS: [&str; 7] = ["epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6"];
const SYNCS: [&str; 3] = ["fsync", "fdatasync", "msync"];
/// Runs beside the counting: says when it has begun, and lasts until this process lets go of it or ends.
const VIGIL: &str = "echo counting; exec cat >/dev/null";

/// Said where calls were to be counted and could not be.
pub const UNCOUNTED: &str = "messages per write are unknown: system calls are counted by perf, as root; msgs/read is \
    what a read of the generator brought";

/// System calls of a process, and the deliveries that they made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// Of the write family, sockets' included.
    pub writes: u64,
    /// Of the read family.
    pub reads: u64,
    /// Of those that wait for sockets.
    pub polls: u64,
    /// Of those that wait for a disk.
    pub syncs: u64,
    /// Messages that were delivered meanwhile.
    pub deliveries: u64,
}

impl Calls {
    /// Messages that one write carried.
    pub fn messages_per_write(self) -> f64 {
        self.deliveries as f64 / self.writes as f64
    }
}

impl AddAssign for Calls {
    fn add_assign(&mut self, other: Calls) {
        self.writes += other.writes;
        self.reads += other.reads;
        self.polls += other.polls;
        self.syncs += other.syncs;
        self.deliveries += other.deliveries;
    }
}

/// A perf at work.
#[derive(Debug)]
pub struct Counter {
    perf: Child,
    is_attached: bool,
}

impl Counter {
    /// Begins to count what all threads of a process read, write and wait for; `None` where that can't be done.
    pub fn attach(process: u32) -> Option<Counter> {
        Counter::attach_to(process, &[&WRITES, &READS, &POLLS])
    }

    /// Begins to count syncs alone.
    pub fn attach_to_syncs(process: u32) -> Option<Counter> {
        Counter::attach_to(process, &[&SYNCS])
    }

    fn attach_to(process: u32, families: &[&[&str]]) -> Option<Counter> {
        let events = events(families)?;
        let mut command = Command::new("perf");
        command.args(["stat", "--field-separator", ",", "--event", &events, "--pid", &process.to_string()]);
        command.args(["sh", "-c", VIGIL]).env("LC_ALL", "C");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut counter = Counter { perf: command.spawn().ok()?, is_attached: false };
        let mut line = String::new();
        BufReader::new(counter.perf.stdout.take()?).read_line(&mut line).ok()?;
        counter.is_attached = line.trim() == "counting";
        counter.is_attached.then_some(counter)
    }

    /// Ends the counting; `None` when perf has failed at it.
    pub fn finish(mut self) -> Option<Calls> {
        drop(self.perf.stdin.take());
        let mut text = String::new();
        self.perf.stderr.take()?.read_to_string(&mut text).ok()?;
        counted(&text)
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        // Once it counts, it ends with its vigil, whose input is closed here, and says what it has counted. Where it
        // has not come to that, nothing is known of what it waits for.
        drop(self.perf.stdin.take());
        if !self.is_attached {
            let _ = self.perf.kill();
        }
        let _ = self.perf.wait();
    }
}

/// The tracepoints of these calls that this kernel has, as perf names them.
fn events(families: &[&[&str]]) -> Option<String> {
    let directory = TRACEPOINTS.iter().map(Path::new).find(|directory| directory.is_dir())?;
    let known = families.iter().flat_map(|calls| calls.iter());
    let known = known.filter(|call| directory.join(format!("sys_enter_{call}")).is_dir());
    let events: Vec<String> = known.map(|call| format!("syscalls:sys_enter_{call}")).collect();
    (!events.is_empty()).then(|| events.join(","))
}

/// perf's lines: `count,unit,event,...`. A count that is no number could not be taken.
fn counted(text: &str) -> Option<Calls> {
    let mut calls = None;
    for line in text.lines() {
        let Some((count, call)) = line.split_once(',').and_then(|(count, rest)| {
            let call = rest.split(',').nth(1)?.strip_prefix("syscalls:sys_enter_")?;
            Some((count, call))
        }) else {
            continue;
        };
        let count: u64 = count.parse().ok()?;
        let part = match call {
            call if WRITES.contains(&call) => Calls { writes: count, ..Calls::default() },
            call if READS.contains(&call) => Calls { reads: count, ..Calls::default() },
            call if SYNCS.contains(&call) => Calls { syncs: count, ..Calls::default() },
            _ => Calls { polls: count, ..Calls::default() },
        };
        *calls.get_or_insert(Calls::default()) += part;
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_perf_prints_is_summed_by_family() {
        let text = "\n3,,syscalls:sys_enter_sendto,1000,100.00,,\n40,,syscalls:sys_enter_write,1000,100.00,,\n\
            5,,syscalls:sys_enter_recvfrom,1000,100.00,,\n6,,syscalls:sys_enter_epoll_wait,1000,100.00,,\n";
        assert_eq!(counted(text), Some(Calls { writes: 43, reads: 5, polls: 6, ..Calls::default() }));
        let calls = Calls { writes: 4, deliveries: 100, ..Calls::default() };
        assert_eq!(calls.messages_per_write(), 25.0);
    }

    #[test]
    fn what_could_not_be_counted_is_no_zero() {
        assert_eq!(counted("<not counted>,,syscalls:sys_enter_write,0,100.00,,\n"), None);
        assert_eq!(counted("perf: permission denied\n"), None);
    }

    /// And nobody waits for a perf that found nothing to count.
    #[test]
    fn nobody_can_be_attached_to_who_is_not_there() {
        assert!(Counter::attach(i32::MAX.unsigned_abs()).is_none());
    }

    /// Where perf may look, it sees what this process writes; elsewhere there is nothing to test.
    #[test]
    fn our_own_writes_are_counted() {
        let Some(counter) = Counter::attach(std::process::id()) else { return };
        let mut sink = std::fs::File::create("/dev/null").expect("it is always there");
        (0..50).for_each(|_| std::io::Write::write_all(&mut sink, b"x").expect("it takes everything"));
        let calls = counter.finish().expect("perf could attach");
        assert!(calls.writes >= 50, "{calls:?}");
    }
}

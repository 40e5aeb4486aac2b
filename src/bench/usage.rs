//! What a process has used: processor time and memory.
//!
//! Processor time is the first number of `/proc/PID/task/*/schedstat`, summed over the threads: user and system time
//! in nanoseconds, as the scheduler accounts for it, where `/proc/PID/stat` counts in ticks of 10 ms. A thread that
//! ends takes its time with it; brokers keep theirs.
//!
//! A thread's number grows when it stops running and at each tick of the timer, so that of a thread that runs while it
//! is looked at is old by up to a tick: at each end of a run, in opposite directions. One busy thread is off by a tick
//! at the most, 4 ms where the kernel ticks 250 times a second: 0.4 % of a run of one second, 0.2 % of two. `bench
//! doctor` measures the tick.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// Nanoseconds of one tick of `/proc/PID/stat`; Linux shows 100 a second on every common architecture.
const TICK_NS: u64 = 10_000_000;

/// How long the step of the processor time is looked for: several ticks of the slowest timer.
const STEP_SOUGHT: Duration = Duration::from_millis(50);

/// What a process has used up to a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time.
    pub cpu_ns: u64,
    /// Memory it occupies.
    pub resident_bytes: u64,
    /// The part of that which is the process' own: without files that it has mapped, which are the page cache's.
    pub anonymous_bytes: u64,
    /// The most that it has occupied so far.
    pub peak_bytes: u64,
}

impl Usage {
    /// Looks at a process.
    pub fn of(process: u32) -> io::Result<Usage> {
        let directory = Path::new("/proc").join(process.to_string());
        let status = fs::read_to_string(directory.join("status")).map_err(|error| gone(process, &error))?;
        Ok(Usage {
            cpu_ns: cpu_ns(&directory)?,
            resident_bytes: field(&status, "VmRSS:").unwrap_or(0) * 1_024,
            anonymous_bytes: field(&status, "RssAnon:").unwrap_or(0) * 1_024,
            peak_bytes: field(&status, "VmHWM:").unwrap_or(0) * 1_024,
        })
    }

    /// What was used since an earlier look; memory is that of the later one. A thread that has ended in between took
    /// its time with it, which may be more than the others used.
    #[must_use]
    pub fn since(&self, before: &Usage) -> Usage {
        Usage {
            cpu_ns: self.cpu_ns.saturating_sub(before.cpu_ns),
            resident_bytes: self.resident_bytes,
            anonymous_bytes: self.anonymous_bytes,
            peak_bytes: self.peak_bytes,
        }
    }

    /// Looks at this process.
    pub fn own() -> io::Result<Usage> {
        Usage::of(std::process::id())
    }
}

/// What a process has had read from disks so far, in bytes: what the page cache had does not count.
pub fn read_bytes(process: u32) -> io::Result<u64> {
    let path = Path::new("/proc").join(process.to_string()).join("io");
    let text = fs::read_to_string(path).map_err(|error| gone(process, &error))?;
    Ok(field(&text, "read_bytes:").unwrap_or(0))
}

/// The largest step in which the processor time of a running thread grows here, which is how old it may be; `None`
/// where the scheduler does not tell. A moment of work is spent on it.
pub fn step() -> Option<Duration> {
    let look = || running_ns(&fs::read_to_string("/proc/thread-self/schedstat").ok()?);
    let (begin, mut last_ns, mut step_ns) = (Instant::now(), look()?, 0);
    while begin.elapsed() < STEP_SOUGHT {
        let now_ns = look()?;
        step_ns = step_ns.max(now_ns.saturating_sub(last_ns));
        last_ns = now_ns;
    }
    Some(Duration::from_nanos(step_ns))
}

fn gone(process: u32, error: &io::Error) -> io::Error {
    let message = format!("process {process} can't be looked at ({error}): has the broker ended?");
    io::Error::new(error.kind(), message)
}

/// Processor time of those threads of a process whose names begin so; `None` where the scheduler does not tell, or no
/// thread is called so.
pub fn threads_cpu_ns(process: u32, name_begin: &str) -> io::Result<Option<u64>> {
    let directory = Path::new("/proc").join(process.to_string());
    threads_of(&directory, |name| name.starts_with(name_begin)).map_err(|error| gone(process, &error))
}

/// Processor time of those threads, as the scheduler tells.
fn threads_of(directory: &Path, is_meant: impl Fn(&str) -> bool) -> io::Result<Option<u64>> {
    let mut sum = None;
    for task in fs::read_dir(directory.join("task"))? {
        // A thread may end between the listing and the look.
        let task = task?.path();
        let Ok(text) = fs::read_to_string(task.join("schedstat")) else { continue };
        if fs::read_to_string(task.join("comm")).is_ok_and(|name| is_meant(name.trim_end())) {
            *sum.get_or_insert(0) += running_ns(&text).unwrap_or(0);
        }
    }
    Ok(sum)
}

fn cpu_ns(directory: &Path) -> io::Result<u64> {
    match threads_of(directory, |_| true)? {
        Some(sum) => Ok(sum),
        None => Ok(ticks(&fs::read_to_string(directory.join("stat"))?).unwrap_or(0) * TICK_NS),
    }
}

/// The first number of `schedstat`: nanoseconds on a processor.
fn running_ns(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// `utime + stime` of `stat`: fields 14 and 15, counted behind the name, which may hold anything.
fn ticks(text: &str) -> Option<u64> {
    let mut fields = text.rsplit_once(") ")?.1.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_proc_are_read() {
        assert_eq!(running_ns("123456789 42 7\n"), Some(123_456_789));
        let stat = "42 (a name) with) brackets) S 1 2 3 4 5 6 7 8 9 10 150 30 0 0 20\n";
        assert_eq!(ticks(stat), Some(180));
        assert_eq!(field("rchar: 5\nread_bytes: 4096\n", "read_bytes:"), Some(4_096));
        assert_eq!(field("Name:\tx\nVmRSS:\t    2048 kB\n", "VmRSS:"), Some(2_048));
    }

    #[test]
    fn a_thread_that_ended_does_not_make_time_run_backwards() {
        let before = Usage { cpu_ns: 9, resident_bytes: 1, anonymous_bytes: 1, peak_bytes: 1 };
        let after = Usage { cpu_ns: 7, resident_bytes: 5, anonymous_bytes: 4, peak_bytes: 6 };
        assert_eq!(after.since(&before), Usage { cpu_ns: 0, resident_bytes: 5, anonymous_bytes: 4, peak_bytes: 6 });
    }

    #[test]
    fn work_shows_in_our_own_usage() {
        let before = Usage::own().unwrap();
        let mut value = 1_u64;
        let after = loop {
            value = (0..1_000_000).fold(value, |value, step| value.wrapping_mul(31).wrapping_add(step));
            let after = Usage::own().unwrap();
            if after.cpu_ns > before.cpu_ns {
                break after;
            }
        };
        assert!(after.resident_bytes > 0, "{value}");
    }

    #[test]
    fn threads_are_told_apart_by_their_names() {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let (begun, begins) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("usage-test-7".to_owned());
        let work = move || {
            begun.send(()).expect("somebody waits for it");
            receiver.recv()
        };
        let thread = thread.spawn(work).unwrap();
        // A thread gives itself its name.
        begins.recv().unwrap();
        assert!(threads_cpu_ns(std::process::id(), "usage-test-").unwrap().is_some());
        assert!(threads_cpu_ns(std::process::id(), "nobody is called so").unwrap().is_none());
        drop(sender);
        thread.join().unwrap().unwrap_err();
    }

    #[test]
    fn a_running_thread_s_time_grows_in_steps() {
        let step = step().unwrap();
        assert!(step <= STEP_SOUGHT, "{step:?}");
    }

    #[test]
    fn who_is_gone_is_named() {
        let message = Usage::of(u32::MAX - 1).unwrap_err().to_string();
        assert!(message.contains("has the broker ended?"), "{message}");
    }
}

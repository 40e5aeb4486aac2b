//! The thread that writes the log, and the bounded queue in front of it.
//!
//! Invariants: [`Writer::write`] never waits; the queue holds at most [`LINES_MAX`] lines; a line that was not written
//! is counted, and the count is told in the log as soon as a line gets through again.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::time::Duration;

/// Lines that wait. Lines are bounded, so this bounds bytes.
const LINES_MAX: usize = 4_096;
/// Bytes written at once.
const BATCH_BYTES: usize = 64 * 1024;
/// How long the end of the process may wait for a log that nobody reads.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(1);

/// Where log lines go.
pub(super) struct Writer {
    queue: SyncSender<Entry>,
    lost: Arc<AtomicU64>,
}

enum Entry {
    Line(Vec<u8>),
    /// Answered when everything before it is written.
    Flush(Sender<()>),
}

impl Writer {
    /// Starts the thread. `tell_loss` makes the line that tells how many were lost since the last such line.
    pub(super) fn start(
        target: impl Write + Send + 'static,
        tell_loss: impl Fn(u64) -> Vec<u8> + Send + 'static,
    ) -> io::Result<Writer> {
        let (queue, entries) = sync_channel(LINES_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let output = Output { target, entries, lost: Arc::clone(&lost), told: 0, tell_loss };
        std::thread::Builder::new().name("log".to_owned()).spawn(move || output.run())?;
        Ok(Writer { queue, lost })
    }

    /// Takes a line, or counts it as lost when the queue is full.
    pub(super) fn write(&self, line: Vec<u8>) {
        if self.queue.try_send(Entry::Line(line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines lost so far.
    pub(super) fn lost_count(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until what was taken is written; gives up after a second, when nobody reads the log.
    pub(super) fn flush(&self) {
        let (done, is_done) = channel();
        match self.queue.try_send(Entry::Flush(done)) {
            Ok(()) => {
                let _ = is_done.recv_timeout(FLUSH_TIME_MAX);
            }
            // A full queue means a reader that stands still: its lines will not come out.
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
}

/// The thread's side.
struct Output<W, T> {
    target: W,
    entries: Receiver<Entry>,
    lost: Arc<AtomicU64>,
    told: u64,
    tell_loss: T,
}

impl<W: Write, T: Fn(u64) -> Vec<u8>> Output<W, T> {
    fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_BYTES);
        let mut waiting = Vec::new();
        while let Ok(entry) = self.entries.recv() {
            take(entry, &mut batch, &mut waiting);
            while batch.len() < BATCH_BYTES
                && let Ok(entry) = self.entries.try_recv()
            {
                take(entry, &mut batch, &mut waiting);
            }
            self.append_loss(&mut batch);
            // A log that can't be written has nowhere to say so; the next line is tried again.
            let _ = self.target.write_all(&batch).and_then(|()| self.target.flush());
            batch.clear();
            waiting.drain(..).for_each(|done: Sender<()>| {
                let _ = done.send(());
            });
        }
    }

    fn append_loss(&mut self, batch: &mut Vec<u8>) {
        let lost = self.lost.load(Ordering::Relaxed);
        if lost != self.told {
            batch.extend_from_slice(&(self.tell_loss)(lost - self.told));
            self.told = lost;
        }
    }
}

fn take(entry: Entry, batch: &mut Vec<u8>, waiting: &mut Vec<Sender<()>>) {
    match entry {
        Entry::Line(line) => batch.extend_from_slice(&line),
        Entry::Flush(done) => waiting.push(done),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, MutexGuard};
    use std::time::Instant;

    /// A log file that can be made to stand still: by holding its lock.
    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Paper {
        fn hold(&self) -> MutexGuard<'_, Vec<u8>> {
            self.0.lock().unwrap()
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.hold().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Flushes until the paper says what is expected, or fails long after it should.
    fn await_text(writer: &Writer, paper: &Paper, is_expected: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            writer.flush();
            let text = String::from_utf8(paper.hold().clone()).unwrap();
            if is_expected(&text) {
                return;
            }
            assert!(Instant::now() < deadline, "{} bytes written", text.len());
        }
    }

    #[test]
    fn lines_come_out_in_order_and_flush_waits_for_them() {
        let paper = Paper::default();
        let writer = Writer::start(paper.clone(), |_| Vec::new()).unwrap();
        for number in 0..1_000 {
            writer.write(format!("{number}\n").into_bytes());
        }
        let expected: String = (0..1_000).map(|number| format!("{number}\n")).collect();
        await_text(&writer, &paper, |text| text == expected);
        assert_eq!(writer.lost_count(), 0);
    }

    #[test]
    fn a_reader_that_stands_still_costs_lines_that_are_counted_and_told() {
        let paper = Paper::default();
        let writer = Writer::start(paper.clone(), |lost| format!("lost {lost}\n").into_bytes()).unwrap();
        let held = paper.hold();
        let mut written = 0;
        while writer.lost_count() < 1_000 {
            writer.write(b"line\n".to_vec());
            written += 1;
        }
        let lost = writer.lost_count();
        assert!(written - lost >= LINES_MAX as u64);
        drop(held);
        await_text(&writer, &paper, |text| {
            let told = text.lines().filter_map(|line| line.strip_prefix("lost "));
            let told: u64 = told.map(|count| count.parse::<u64>().unwrap()).sum();
            told == lost && text.matches("line\n").count() as u64 == written - lost
        });
    }
}

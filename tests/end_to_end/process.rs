//! A process of the binary under test. What it writes is gathered while it runs, so it never waits for its reader; it
//! is killed when it is dropped.

use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long anything that has to happen may take, on the slowest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at what has to happen.
const STEP: Duration = Duration::from_millis(2);

/// Waits until `look` finds something.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look)
}

/// Waits until `look` finds something, for as long as that may take.
#[track_caller]
fn within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < patience, "waited in vain for {what}");
        std::thread::sleep(STEP);
    }
}

/// The binary with these arguments, and nothing of the caller's environment that it looks at.
pub(crate) fn fanwire(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanwire"));
    command.args(arguments).env_remove("FANWIRE_SERVER").env_remove("FANWIRE_LOG");
    command
}

/// A process at work.
pub(crate) struct Process {
    child: Child,
    out: Gathered,
    err: Gathered,
}

/// What a process has left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Process {
    /// Starts a command; its standard input stays open for [`Process::write`].
    pub(crate) fn start(mut command: Command) -> Process {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let out = Gathered::from(child.stdout.take().expect("piped"));
        let err = Gathered::from(child.stderr.take().expect("piped"));
        Process { child, out, err }
    }

    /// Writes to standard input.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.child.stdin.as_mut().expect("standard input is open").write_all(bytes).expect("the process reads");
    }

    /// Ends standard input.
    pub(crate) fn end_input(&mut self) {
        self.child.stdin = None;
    }

    /// Standard output so far.
    pub(crate) fn out(&self) -> String {
        self.out.text()
    }

    /// Standard error so far.
    pub(crate) fn err(&self) -> String {
        self.err.text()
    }

    /// Waits until standard output holds so much of a text.
    #[track_caller]
    pub(crate) fn wait_for_out(&self, text: &str) {
        eventually(&format!("{text:?} on standard output"), || self.out().contains(text).then_some(()));
    }

    /// Waits until standard error holds a line with all of these texts, and returns it.
    #[track_caller]
    pub(crate) fn wait_for_err(&self, texts: &[&str]) -> String {
        let what = format!("{texts:?} on standard error");
        eventually(&what, || {
            self.err().lines().find(|line| texts.iter().all(|text| line.contains(text))).map(str::to_owned)
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process is there");
    }

    /// Whether the process has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("the child is ours").is_some()
    }

    /// Waits for the end, with standard input closed.
    #[track_caller]
    pub(crate) fn end(self) -> Ended {
        self.end_within(PATIENCE)
    }

    /// As [`Process::end`], for a process with much to do.
    #[track_caller]
    pub(crate) fn end_within(mut self, patience: Duration) -> Ended {
        self.end_input();
        let child = &mut self.child;
        let status = within(patience, "the end of a process", || child.try_wait().expect("the child is ours"));
        Ended { status, out: self.out.whole(), err: String::from_utf8(self.err.whole()).expect("text") }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already, which is what both are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pipe that a thread empties.
struct Gathered {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Gathered {
    fn from(mut pipe: impl Read + Send + 'static) -> Gathered {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let gathered = Arc::clone(&bytes);
        let thread = std::thread::spawn(move || {
            let mut chunk = [0; 8192];
            while let Ok(count) = pipe.read(&mut chunk) {
                if count == 0 {
                    return;
                }
                gathered.lock().expect("no holder panics").extend_from_slice(&chunk[..count]);
            }
        });
        Gathered { bytes, thread: Some(thread) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("no holder panics")).into_owned()
    }

    /// Everything, once the pipe has ended.
    fn whole(&mut self) -> Vec<u8> {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the thread only reads");
        }
        std::mem::take(&mut self.bytes.lock().expect("no holder panics"))
    }
}

//! A broker of one's own: the real binary on a free port of loopback, with a configuration file.

use super::process::{Ended, Process, eventually, fanwire};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A running broker; killed when it is dropped.
pub(crate) struct Broker {
    process: Process,
    address: SocketAddr,
    _file: ConfigFile,
}

impl Broker {
    /// On a free port, with this configuration.
    pub(crate) fn start(config: &str) -> Broker {
        Broker::start_at("127.0.0.1:0", config)
    }

    /// On this address, with this configuration.
    pub(crate) fn start_at(listen: &str, config: &str) -> Broker {
        let file = ConfigFile::new(config);
        let command = fanwire(&["serve", "--listen", listen, "--config", file.path()]);
        Broker::from(command, file)
    }

    /// On a free port, by a command that runs the broker's: with other eyes, or under supervision.
    pub(crate) fn start_by(config: &str, wrap: impl FnOnce(&Command) -> Command) -> Broker {
        let file = ConfigFile::new(config);
        let command = wrap(&fanwire(&["serve", "--listen", "127.0.0.1:0", "--config", file.path()]));
        Broker::from(command, file)
    }

    /// On a free port, with no more than so many open files.
    pub(crate) fn start_with_open_files(open_files_max: u32, config: &str) -> Broker {
        let file = ConfigFile::new(config);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {open_files_max} && exec \"$@\""), "sh"]);
        command.arg(env!("CARGO_BIN_EXE_fanwire")).args(["serve", "--listen", "127.0.0.1:0", "--config", file.path()]);
        command.env_remove("FANWIRE_LOG");
        Broker::from(command, file)
    }

    fn from(command: Command, file: ConfigFile) -> Broker {
        let mut process = Process::start(command);
        let address = eventually("the banner", || {
            let banner = process.out();
            let listening = banner.lines().find_map(|line| line.trim().strip_prefix("listening "));
            assert!(listening.is_some() || !process.has_ended(), "the broker did not start: {}", process.err());
            let address = listening?.split_whitespace().next()?.strip_prefix("fanwire://")?;
            // The banner ends with a command to try: until then the line may be cut.
            banner.contains("  try ").then(|| address.parse().expect("an address"))
        });
        Broker { process, address, _file: file }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address for operators.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        let banner = self.banner();
        let url = banner.lines().find_map(|line| line.trim().strip_prefix("admin ")).expect("a second address");
        url.trim().trim_start_matches("http://").trim_end_matches('/').parse().expect("an address")
    }

    /// Where clients find it.
    pub(crate) fn url(&self) -> String {
        format!("fanwire://{}", self.address)
    }

    pub(crate) fn banner(&self) -> String {
        self.process.out()
    }

    /// The log so far.
    pub(crate) fn log(&self) -> String {
        self.process.err()
    }

    /// Waits for a log line with all of these texts, and returns it.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, texts: &[&str]) -> String {
        self.process.wait_for_err(texts)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Stops it in the middle of whatever it does, and waits until none of its threads runs any more: the signal
    /// alone says nothing about when.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
        let tasks = format!("/proc/{}/task", self.process.id());
        eventually("every thread to stand still", || {
            let mut tasks = std::fs::read_dir(&tasks).expect("the broker lives").flatten();
            tasks.all(|task| is_stopped(&task.path().join("stat"))).then_some(())
        });
    }

    /// Ends it without any chance to say a word.
    pub(crate) fn kill(self) {
        self.process.signal(Signal::KILL);
        self.process.end();
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub(crate) fn end(self) -> Ended {
        self.process.end()
    }

    /// From now on it may open no more files than this.
    pub(crate) fn limit_open_files(&self, open_files_max: u64) {
        let id = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        let limit = Rlimit { current: Some(open_files_max), maximum: Some(open_files_max) };
        prlimit(id, Resource::Nofile, limit).expect("the broker is ours");
    }

    /// From now on no file of it may grow beyond this; none: to any size.
    pub(crate) fn limit_file_bytes(&self, bytes_max: Option<u64>) {
        let id = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        prlimit(id, Resource::Fsize, Rlimit { current: bytes_max, maximum: None }).expect("the broker is ours");
    }

    /// Whether its thread of this name is held by who traces it.
    pub(crate) fn is_held(&self, thread: &str) -> bool {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).expect("the broker lives");
        let text = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default();
        tasks
            .flatten()
            .map(|task| task.path())
            .any(|task| text(task.join("comm")).trim_end() == thread && text(task.join("stat")).contains(") t "))
    }

    /// Bytes that it has read so far, from files and pipes, by read calls.
    pub(crate) fn bytes_read(&self) -> u64 {
        let counts = std::fs::read_to_string(format!("/proc/{}/io", self.process.id())).expect("the broker lives");
        let line = counts.lines().find_map(|line| line.strip_prefix("rchar: ")).expect("the machine counts it");
        line.trim().parse().expect("a number")
    }

    /// Descriptors it holds open.
    pub(crate) fn descriptor_count(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).expect("the broker lives").count()
    }

    /// What the machine counts of it.
    pub(crate) fn stat(&self) -> String {
        std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("the broker lives")
    }

    /// Memory it occupies.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("the broker lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has a size");
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kibibytes * 1024
    }
}

/// Whether the thread that this file of /proc describes is stopped. Its name may hold anything, so the state is what
/// follows the last parenthesis; a thread that has ended does not run either.
fn is_stopped(stat: &Path) -> bool {
    let Ok(line) = std::fs::read_to_string(stat) else { return true };
    line.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

/// A file that goes away with the test.
struct ConfigFile(PathBuf);

impl ConfigFile {
    fn new(text: &str) -> ConfigFile {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("end-to-end-{}-{}.toml", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, text).expect("a temporary file");
        ConfigFile(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("text")
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

//! The brokers of a comparison: each a child process on a free port of loopback, with settings that are printed, one
//! thread that routes (NATS: one processor), no persistence and no limit that a run would touch, but where limits or
//! persistence are what is measured: there all have the same. Nothing is pinned: the broker and the generator share the
//! machine. They end with this process, and the directory of their settings is gone once they have read them: this
//! process may be interrupted at any time. What they keep on a disk is swept behind them, as [`super::ground`] says.

use super::adapter::Target;
use super::error::BenchError;
use super::ground::{Ground, fresh};
use super::program;
use super::storage::{Storage, Store};
use crate::escape::visible;
use rustix::process::{Signal, set_parent_process_death_signal};
use std::cell::RefCell;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long a broker may take until it accepts connections.
const START_PATIENCE: Duration = Duration::from_secs(15);
/// Between two attempts.
const START_STEP: Duration = Duration::from_millis(20);
/// How often a port may be taken by somebody else between its choice and the start.
const PORT_ATTEMPTS: u32 = 5;
/// The state of a listening socket in `/proc/PID/net/tcp`.
const LISTENING: &str = "0A";
/// Fanwire: reactors as asked, everything else as it comes, but for the log.
const FANWIRE_SETTINGS: &str = "[log]\nlevel = \"error\"\n";
const NATS_SETTINGS: &str =
    "max_connections: 1000000\nmax_subscriptions: 0\nping_interval: \"1h\"\nwrite_deadline: \"60s\"\n";
const NATS_QUEUE_BYTES_MAX: u64 = 256 << 20;
const REDIS_KEEPS_NOTHING: &str = "--appendonly no";
const REDIS_SETTINGS: [&str; 5] =
    ["--save \"\"", "--maxclients 1000000", "--tcp-backlog 4096", "--timeout 0", "--daemonize no"];
/// `user root` has an effect for root alone: a change of user would cut the leash.
const MOSQUITTO_SETTINGS: &str = "user root\nallow_anonymous true\npersistence false\n\
    max_connections -1\nset_tcp_nodelay true\nlog_type none\n";

/// A broker that listens.
#[derive(Debug)]
pub struct Broker {
    /// Whose protocol it speaks.
    pub target: Target,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its process, where it can be looked at.
    pub process: Option<u32>,
    /// What it calls itself.
    pub version: String,
    /// How it was started.
    pub settings: String,
    /// Ends with this value, before the ground under it.
    child: RefCell<Option<Running>>,
    ground: Option<Rc<Ground>>,
}

/// How brokers are started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Whether the floor has to tell messages apart: several publishers or topics.
    pub split: bool,
    /// Fanwire's reactors.
    pub reactors: u32,
    /// What may wait for one connection at the most, in bytes; `None`: as much as no run touches.
    pub queue_bytes_max: Option<u64>,
    /// What is kept on a disk; `None`: nothing.
    pub store: Option<Store>,
}

/// A child process, gone when it is dropped.
#[derive(Debug)]
struct Running {
    child: Child,
}

impl Broker {
    /// One that somebody else has started.
    pub fn attached(target: Target, address: SocketAddr, process: Option<u32>) -> Broker {
        let (version, settings) = ("unknown".to_owned(), "not started by this bench".to_owned());
        Broker { target, address, process, version, settings, child: RefCell::default(), ground: None }
    }

    /// Starts one, and waits until it accepts connections.
    pub fn start(target: Target, setup: &Setup) -> Result<Broker, BenchError> {
        let ground = setup.store.as_ref().map(|store| Ground::new(&store.data, store.space_bytes)).transpose()?;
        Broker::start_on(target, setup, ground.map(Rc::new))
    }

    /// Ends this one as a crash would, and starts another one on what it has left.
    pub fn again(&self, setup: &Setup) -> Result<Broker, BenchError> {
        drop(self.child.borrow_mut().take());
        Broker::start_on(self.target, setup, self.ground.clone())
    }

    fn start_on(target: Target, setup: &Setup, ground: Option<Rc<Ground>>) -> Result<Broker, BenchError> {
        let storage = Storage::of(target, setup, ground.as_deref())?;
        let mut broker = match target {
            Target::Floor if setup.store.is_some() => bare_loops(),
            Target::Floor => floor(setup)?,
            Target::Fanwire | Target::WebSocket | Target::Sse => fanwire(target, setup, &storage)?,
            Target::Nats => on_free_port(|port| nats(setup, &storage, port))?,
            Target::Redis => on_free_port(|port| redis(setup, &storage, port))?,
            Target::Mqtt => on_free_port(|port| mosquitto(setup, port))?,
        };
        if let Some(ground) = &ground {
            broker.settings.push_str(&format!("; {}", ground.line()));
        }
        broker.ground = ground;
        Ok(broker)
    }

    /// Where its data lie.
    ///
    /// # Panics
    /// When it was started without a store.
    pub fn ground(&self) -> &Ground {
        self.ground.as_deref().expect("a broker that keeps something has a place for it")
    }

    /// The line that tells what this is.
    pub fn line(&self) -> String {
        format!("{}: {}; {}", self.target.name(), self.version, self.settings)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It fails only when the broker has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The floors of what is kept are loops in this very process.
fn bare_loops() -> Broker {
    Broker {
        target: Target::Floor,
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        process: None,
        version: "bare loops".to_owned(),
        settings: "one thread of the bench, in the same directory".to_owned(),
        child: RefCell::default(),
        ground: None,
    }
}

fn floor(setup: &Setup) -> Result<Broker, BenchError> {
    let mut command = own_binary()?;
    command.args(["bench", "floor-relay"]).args(setup.split.then_some("--split"));
    let mode = if setup.split { "split by topic" } else { "whole reads" };
    let settings = format!("a bare epoll relay, {mode}, one thread, 64 KiB reads, one write a subscriber and turn");
    announced(Target::Floor, "the floor relay", command, "listening ", settings)
}

fn fanwire(target: Target, setup: &Setup, storage: &Storage) -> Result<Broker, BenchError> {
    let directory = Directory::new()?;
    let queue = setup.queue_bytes_max.map(|bytes| format!("[limits]\nqueue_bytes_max = {bytes}\n")).unwrap_or_default();
    let file = directory.write("fanwire.toml", &format!("{FANWIRE_SETTINGS}{queue}"))?;
    let mut command = leashed(&std::env::current_exe()?)?;
    let reactors = setup.reactors.to_string();
    command.args(["serve", "--listen", "127.0.0.1:0", "--reactors", &reactors, "--config"]).arg(file);
    command.args(&storage.arguments);
    command.env_remove("FANWIRE_LOG");
    let queue = setup.queue_bytes_max.map(|bytes| format!(", queue_bytes_max = {bytes}")).unwrap_or_default();
    let told = &storage.told;
    let settings = format!("--reactors {reactors}, log level error{queue}{told}, everything else as it comes");
    announced(target, "fanwire serve", command, "fanwire://", settings)
}

fn nats(setup: &Setup, storage: &Storage, port: u16) -> Result<Broker, BenchError> {
    let program = program::find("nats-server", "nats-server")?;
    let directory = Directory::new()?;
    let queue_bytes_max = setup.queue_bytes_max.unwrap_or(NATS_QUEUE_BYTES_MAX);
    let settings = format!("{NATS_SETTINGS}max_pending: {queue_bytes_max}\n");
    let text = format!("listen: \"127.0.0.1:{port}\"\n{settings}{}", storage.text);
    let file = directory.write("nats.conf", &text)?;
    let version = program::version(&program, "-v");
    let mut command = leashed(&program)?;
    command.arg("-c").arg(file).env("GOMAXPROCS", "1");
    let settings = format!("GOMAXPROCS=1, {}{}", one_line(&settings), storage.told);
    started(Target::Nats, "nats-server", command, port, version, settings)
}

fn redis(setup: &Setup, storage: &Storage, port: u16) -> Result<Broker, BenchError> {
    let program = program::find("redis-server", "redis-server");
    let program = program.or_else(|_| program::find("valkey-server", "redis-server"))?;
    let directory = Directory::new()?;
    let version = program::version(&program, "--version");
    let mut command = leashed(&program)?;
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--logfile", "", "--dir"]);
    command.arg(storage.directory.as_deref().unwrap_or(&directory.0));
    let queue_bytes_max = setup.queue_bytes_max.unwrap_or(0);
    let kept = if storage.text.is_empty() { REDIS_KEEPS_NOTHING } else { &storage.text };
    let settings =
        format!("{} --client-output-buffer-limit pubsub {queue_bytes_max} 0 0 {kept}", REDIS_SETTINGS.join(" "));
    command.args(shlex::split(&settings).expect("the settings are well formed"));
    let settings = format!("RESP3, {settings}{}", storage.told);
    started(Target::Redis, "redis-server", command, port, version, settings)
}

fn mosquitto(setup: &Setup, port: u16) -> Result<Broker, BenchError> {
    let program = program::find("mosquitto", "mosquitto")?;
    let directory = Directory::new()?;
    let queue = match setup.queue_bytes_max {
        // It can bound messages and bytes; bytes are what the others count.
        Some(bytes) => format!("max_queued_messages 0\nmax_queued_bytes {bytes}\n"),
        None => "max_queued_messages 0\n".to_owned(),
    };
    let settings = format!("{MOSQUITTO_SETTINGS}{queue}");
    let text = format!("listener {port} 127.0.0.1\n{settings}");
    let file = directory.write("mosquitto.conf", &text)?;
    let version = program::version(&program, "-h");
    let mut command = leashed(&program)?;
    command.arg("-c").arg(file);
    let settings = format!("QoS 0, {}", one_line(&settings));
    started(Target::Mqtt, "mosquitto", command, port, version, settings)
}

/// Starts one of ours, which says where it listens.
fn announced(
    target: Target,
    program: &str,
    mut command: Command,
    mark: &str,
    settings: String,
) -> Result<Broker, BenchError> {
    let failed = |reason: String| BenchError::Start { program: program.to_owned(), reason };
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    let said = lines_of(child.stdout.take().expect("piped"));
    let mut complaints = child.stderr.take().expect("piped");
    let running = Running { child };
    let begin = Instant::now();
    loop {
        let line = match said.recv_timeout(START_PATIENCE.saturating_sub(begin.elapsed())) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                return Err(failed(format!("it has not said where it listens for {START_PATIENCE:?}")));
            }
            Err(RecvTimeoutError::Disconnected) => {
                let mut text = String::new();
                let _ = complaints.read_to_string(&mut text);
                return Err(failed(visible(text.trim()).into_owned()));
            }
        };
        let Some((_, rest)) = line.split_once(mark) else { continue };
        let address = rest.split_whitespace().next().and_then(|text| text.parse().ok());
        let address = address.ok_or_else(|| failed(format!("it listens at {rest:?}, which is no address")))?;
        // What it may complain of later must not fill the pipe.
        std::thread::spawn(move || io::copy(&mut complaints, &mut io::sink()));
        let process = Some(running.child.id());
        let version = format!("fanwire {}", env!("CARGO_PKG_VERSION"));
        return Ok(Broker {
            target,
            address,
            process,
            version,
            settings,
            child: RefCell::new(Some(running)),
            ground: None,
        });
    }
}

/// What a child says, line by line, read to its end: a pipe that is closed early would be the child's trouble.
fn lines_of(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // Once it is known where the child listens, nobody waits for more.
            let _ = sender.send(line);
        }
    });
    receiver
}

/// Starts one of the others, and waits until it listens: who answers at its port could be a stranger.
fn started(
    target: Target,
    program: &str,
    mut command: Command,
    port: u16,
    version: String,
    settings: String,
) -> Result<Broker, BenchError> {
    let failed = |reason: String| BenchError::Start { program: program.to_owned(), reason };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().map_err(|error| failed(error.to_string()))?;
    let mut running = Running { child };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let begin = Instant::now();
    while !listens(running.child.id(), port) {
        if let Some(status) = running.child.try_wait()? {
            return Err(failed(format!("it ended with {status}; its settings were: {settings}")));
        }
        if begin.elapsed() > START_PATIENCE {
            return Err(failed(format!("it does not listen at {address} after {START_PATIENCE:?}")));
        }
        std::thread::sleep(START_STEP);
    }
    let process = Some(running.child.id());
    Ok(Broker { target, address, process, version, settings, child: RefCell::new(Some(running)), ground: None })
}

/// A command that ends with this process, however this process ends: this very binary ties itself to its parent and
/// becomes the program.
fn leashed(program: &Path) -> Result<Command, BenchError> {
    let mut command = own_binary()?;
    command.args(["bench", "leash"]).arg(program);
    Ok(command)
}

/// Ties this process to the one that started it and becomes the program; returns only if it can't.
pub fn leash(words: &[OsString]) -> io::Error {
    let Some((program, arguments)) = words.split_first() else { return io::Error::other("no program is named") };
    match set_parent_process_death_signal(Some(Signal::KILL)) {
        Ok(()) => Command::new(program).args(arguments).exec(),
        Err(error) => error.into(),
    }
}

fn own_binary() -> Result<Command, BenchError> {
    Ok(Command::new(std::env::current_exe()?))
}

/// Starts something on a free port, and on another one when somebody has taken that in the meantime.
fn on_free_port<T>(mut start: impl FnMut(u16) -> Result<T, BenchError>) -> Result<T, BenchError> {
    let mut attempt = 1;
    loop {
        let port = free_port()?;
        match start(port) {
            Err(BenchError::Start { .. }) if attempt < PORT_ATTEMPTS && is_taken(port) => attempt += 1,
            outcome => return outcome,
        }
    }
}

fn is_taken(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
}

/// Whether this very process listens on this port of loopback.
fn listens(process: u32, port: u16) -> bool {
    let directory = Path::new("/proc").join(process.to_string());
    let sockets = fs::read_to_string(directory.join("net/tcp")).unwrap_or_default();
    let Some(inode) = listener_inode(&sockets, port) else { return false };
    let Ok(files) = fs::read_dir(directory.join("fd")) else { return false };
    let socket = PathBuf::from(format!("socket:[{inode}]"));
    files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|target| target == socket))
}

/// Which socket listens there: lines of `/proc/PID/net/tcp`, `number: address:port remote state ... inode ...`.
fn listener_inode(sockets: &str, port: u16) -> Option<&str> {
    let local = format!("0100007F:{port:04X}");
    sockets.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words.get(1) == Some(&local.as_str()) && words.get(3) == Some(&LISTENING)).then(|| words.get(9).copied())?
    })
}

fn free_port() -> Result<u16, BenchError> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn one_line(settings: &str) -> String {
    settings.trim().replace('\n', ", ")
}

/// A directory for what a broker needs.
#[derive(Debug)]
struct Directory(PathBuf);

impl Directory {
    fn new() -> Result<Directory, BenchError> {
        Ok(Directory(fresh(&std::env::temp_dir())?))
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, BenchError> {
        let file = self.0.join(name);
        fs::write(&file, text)?;
        Ok(file)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_ends_at_once_did_not_start() {
        let outcome = started(Target::Nats, "false", Command::new("false"), 1, String::new(), "none".to_owned());
        let message = outcome.unwrap_err().to_string();
        assert!(message.starts_with("false did not start: it ended with"), "{message}");
        let outcome = announced(Target::Floor, "true", Command::new("true"), "listening ", String::new());
        assert!(outcome.unwrap_err().to_string().starts_with("true did not start"), "it said nothing");
    }

    #[test]
    fn who_finds_its_port_taken_gets_another() {
        let (mut ports, mut strangers) = (Vec::new(), Vec::new());
        let failed = || BenchError::Start { program: "a peer".to_owned(), reason: "it ended".to_owned() };
        let outcome = on_free_port(|port| {
            ports.push(port);
            if ports.len() < 3 {
                strangers.push(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap());
                return Err(failed());
            }
            Ok(port)
        });
        assert_eq!((outcome.unwrap(), ports.len()), (ports[2], 3));
        let mut attempts = 0;
        let outcome: Result<(), BenchError> = on_free_port(|_| {
            attempts += 1;
            Err(failed())
        });
        assert!(outcome.is_err() && attempts == 1, "a failure of another kind is told at once");
    }

    #[test]
    fn a_listener_is_known_by_its_owner() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(listens(std::process::id(), port));
        drop(listener);
        assert!(!listens(std::process::id(), port));
        let line = "   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 4711 1 0 100\n";
        assert_eq!((listener_inode(line, 8_080), listener_inode(line, 8_081)), (Some("4711"), None));
    }

    #[test]
    fn a_directory_is_nobody_else_s_and_ends_with_its_value() {
        let (one, other) = (Directory::new().unwrap(), Directory::new().unwrap());
        assert_ne!(one.0, other.0);
        let file = one.write("name", "text").unwrap();
        drop(one);
        assert!(!file.exists() && other.0.exists());
    }
}

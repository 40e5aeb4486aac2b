//! The configuration: one TOML file, a few flags that override it, and nothing that is not checked.
//!
//! ```text
//!  file --Document (raw: keys, values, lines)--+
//!                                              +--> Draft (values and where each came from) --rules--> Config
//!  flags --------------------------------------+
//!  keys: the registry of every key, its unit, range, default and meaning ----> the default file
//! ```
//!
//! A `Config` that exists is valid: everything behind it asserts instead of checking again. The registry in `keys` is
//! the only list of keys there is; reading, range checks, the summary and the default file all come from it. A section
//! that stands once for each of several things, such as `[[journal]]`, has a registry of its own.
//!
//! Whatever is wrong is reported at once, not one error a run, and each problem says where it stands, what is allowed
//! and what to write instead. No message repeats a token.

mod default_file;
mod document;
mod draft;
mod journal;
mod journal_flag;
mod journal_rules;
mod keys;
pub mod quantity;
mod rules;
#[cfg(test)]
mod tests;
mod token;

pub use default_file::default_file;
pub use draft::Flags;
pub use journal::{Journal, Store, Sync};
pub use token::{NotAToken, Token, Tokens};

use fanwire_gateway::http::OriginRules;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A configuration file longer than this is not one.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The validated configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where to accept connections.
    pub listen: SocketAddr,
    /// Reactor threads; 0 for as many as suit the machine: see [`Config::reactor_count`].
    pub reactors: u32,
    /// Whether the operator said that anyone may connect, although the address is not loopback.
    pub open: bool,
    /// Who may connect.
    pub tokens: Tokens,
    /// Where the directories of journals on disk are; there is one if such a journal is.
    pub data: Option<PathBuf>,
    /// Topics whose messages are kept: at most 64 journals, no two of them with a topic in common.
    pub journals: Vec<Journal>,
    /// What is logged, and how.
    pub log: Log,
    /// What one client, and all of them together, may ask of the broker.
    pub limits: Limits,
    /// Under which names, and for which pages, HTTP is answered.
    pub http: Http,
    /// How sockets are set up.
    pub socket: Socket,
    /// How the broker goes down.
    pub drain: Drain,
}

/// Under which names, and for which pages, HTTP is answered, and how patiently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Host names besides those of loopback.
    pub hosts: Vec<String>,
    /// Origins of pages that may use the broker, besides its own; `*` for all.
    pub origins: Vec<String>,
    /// Where else to accept connections: their callers count as operators, wherever they are.
    pub admin_listen: Option<SocketAddr>,
    /// How long a connection may be idle between two requests.
    pub idle_time_max: Duration,
    /// How long a stream of events may be silent before it says that it is alive.
    pub heartbeat_period: Duration,
    /// Whether messages of a WebSocket are made smaller for clients that offer it.
    pub compression: bool,
    /// Sessions of long polls on all reactors together.
    pub poll_sessions_max: u32,
    /// How long the session of a long poll lives without a request.
    pub poll_session_time_max: Duration,
}

impl Default for Http {
    fn default() -> Self {
        Http {
            hosts: Vec::new(),
            origins: Vec::new(),
            admin_listen: None,
            idle_time_max: Duration::from_secs(60),
            heartbeat_period: Duration::from_secs(15),
            compression: false,
            poll_sessions_max: 4_096,
            poll_session_time_max: Duration::from_secs(60),
        }
    }
}

impl Http {
    /// The rules for a broker that listens there, or what is wrong with an entry.
    pub fn origin_rules(&self, listen: SocketAddr) -> Result<OriginRules, String> {
        let listened = [Some(listen), self.admin_listen].into_iter().flatten().map(|address| address.ip());
        OriginRules::new(listened, self.hosts.iter().cloned(), self.origins.iter().cloned())
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// The least important level that is written.
    pub level: LogLevel,
    /// For people or for programs.
    pub format: LogFormat,
}

/// How important a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Nothing at all.
    Off,
    /// The broker can't do what it was asked to.
    Error,
    /// Somebody should know: a peer misbehaves, a limit acts.
    Warn,
    /// The broker's own life: start, drain, stop.
    Info,
    /// Each connection.
    Debug,
    /// Each turn.
    Trace,
}

/// What a log line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// `Text` on a terminal, `Json` elsewhere.
    Auto,
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// Bounds. Those of one connection's protocol are announced in WELCOME; the others are the broker's own. Of those that
/// speak of all connections together, but for their number, each reactor keeps its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// What WELCOME announces.
    pub wire: fanwire_wire::Limits,
    /// Connections at one time; 0: as many as the open-file limit and the journals allow.
    pub connections_max: u32,
    /// Connections of one source address at one time; 0: no bound. Never applied to loopback.
    pub connections_per_address_max: u32,
    /// From accept to a complete HELLO.
    pub handshake_time_max: Duration,
    /// From the first byte of a frame to its last.
    pub frame_time_max: Duration,
    /// Bytes waiting for all connections together.
    pub queue_bytes_total_max: u64,
    /// Bytes of unfinished frames of all connections together.
    pub partial_bytes_total_max: u64,
    /// Bytes on their way between reactors.
    pub mailbox_bytes_total_max: u64,
    /// Subscriptions of all connections together.
    pub subscriptions_total_max: u32,
    /// Topics whose routes are kept.
    pub topics_cached_max: u32,
    /// How long a closing connection may stand still.
    pub linger_time_max: Duration,
}

/// How sockets are set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Socket {
    /// Silence after which the kernel probes a peer (SO_KEEPALIVE, TCP_KEEPIDLE). Whole seconds count.
    pub keepalive_idle: Duration,
    /// Unacknowledged bytes older than this end a connection (TCP_USER_TIMEOUT).
    pub user_timeout: Duration,
    /// Unsent bytes that the kernel takes of a connection whose subscriptions conflate or drop the oldest
    /// (TCP_NOTSENT_LOWAT).
    pub unsent_low_water: u32,
}

/// How the broker goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// How long clients have to leave by themselves.
    pub deadline: Duration,
    /// Clients are told to come back no earlier than this.
    pub reconnect_min: Duration,
    /// Clients are told to come back no later than this: each picks a moment between the two.
    pub reconnect_max: Duration,
}

/// Reactors that are started at the most without being asked for.
const DEFAULT_REACTORS_MAX: usize = 16;

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7311)),
            reactors: 0,
            open: false,
            tokens: Tokens::default(),
            data: None,
            journals: Vec::new(),
            log: Log { level: LogLevel::Info, format: LogFormat::Auto },
            limits: Limits {
                wire: fanwire_wire::Limits::default(),
                connections_max: 0,
                connections_per_address_max: 0,
                handshake_time_max: Duration::from_secs(5),
                frame_time_max: Duration::from_secs(10),
                queue_bytes_total_max: 256 * 1024 * 1024,
                partial_bytes_total_max: 64 * 1024 * 1024,
                mailbox_bytes_total_max: 64 * 1024 * 1024,
                subscriptions_total_max: 2_000_000,
                topics_cached_max: 65_536,
                linger_time_max: Duration::from_secs(1),
            },
            http: Http::default(),
            socket: Socket {
                keepalive_idle: Duration::from_secs(30),
                user_timeout: Duration::from_secs(60),
                unsent_low_water: 32 * 1024,
            },
            drain: Drain {
                deadline: Duration::from_secs(10),
                reconnect_min: Duration::from_millis(100),
                reconnect_max: Duration::from_secs(5),
            },
        }
    }
}

/// Reactors for so many cores.
fn reactors_for(cores: usize) -> u32 {
    (cores / 2).clamp(1, DEFAULT_REACTORS_MAX) as u32
}

impl Config {
    /// The defaults, overridden by the file, overridden by the flags.
    pub fn load(file: Option<&Path>, flags: &Flags) -> Result<Config, ConfigError> {
        match file {
            None => Config::from_text("", flags).map_err(|problems| ConfigError { file: None, problems }),
            Some(path) => read(path)
                .and_then(|text| Config::from_text(&text, flags))
                .map_err(|problems| ConfigError { file: Some(path.to_owned()), problems }),
        }
    }

    /// The defaults, overridden by the text of a file, overridden by the flags.
    pub fn from_text(text: &str, flags: &Flags) -> Result<Config, Vec<Problem>> {
        let mut draft = draft::Draft::default();
        draft.read(text);
        draft.override_with(flags);
        rules::settle(draft)
    }

    /// How many reactors run: as many as were asked for, or else half of the cores, but at most 16.
    ///
    /// The other half is for the kernel's part of the network work, for the other threads, and for whoever shares the
    /// machine: on two cores, with clients beside it, a second reactor carried a wide fan-out a fifth faster when
    /// saturated, but at 20 000 messages a second they arrived later, and each that crosses costs a hop.
    /// So 4 cores give 2 reactors, 16 give 8, and 64 give 16: each reactor with interest costs a publication one copy
    /// and one hop, so that more of them pay off only where traffic stays among few, which the owner knows and we
    /// do not.
    pub fn reactor_count(&self) -> u32 {
        match self.reactors {
            0 => reactors_for(std::thread::available_parallelism().map_or(1, usize::from)),
            count => count,
        }
    }

    /// The limits of one reactor: of what all connections have together, it gets an equal share.
    pub fn limits_of_one_reactor(&self) -> Limits {
        let (limits, reactors) = (self.limits, self.reactor_count());
        Limits {
            queue_bytes_total_max: limits.queue_bytes_total_max / u64::from(reactors),
            partial_bytes_total_max: limits.partial_bytes_total_max / u64::from(reactors),
            subscriptions_total_max: limits.subscriptions_total_max / reactors,
            topics_cached_max: limits.topics_cached_max / reactors,
            ..limits
        }
    }

    /// Where a journal on disk has its files.
    ///
    /// # Panics
    /// When the journal is one in memory.
    pub fn directory_of(&self, journal: &Journal) -> PathBuf {
        assert!(journal.store == Store::Disk, "journal {} is kept in memory", journal.name);
        self.data.as_ref().expect("journals on disk have a directory").join(&journal.name)
    }

    /// The keys whose value is not the default, as `key = value (default ...)`.
    pub fn changes(&self) -> Vec<String> {
        let default = Config::default();
        let values = keys::KEYS.iter().map(|key| (key, key.kind.print(self), key.kind.print(&default)));
        values
            .filter(|(_, value, usual)| value != usual)
            .map(|(key, value, usual)| format!("{} = {value} (default {usual})", key.path()))
            .collect()
    }
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, when there is one.
    pub file: Option<PathBuf>,
    /// What is wrong, in the order of the file; never empty.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where the value came from.
    pub origin: Origin,
    /// What is wrong with it, what is allowed, what to write instead.
    pub message: String,
}

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The file as a whole, or a default.
    File,
    /// A line of the file, from 1.
    Line(usize),
    /// A flag of the command line, with its dashes.
    Flag(&'static str),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(formatter)?;
            }
            match (problem.origin, &self.file) {
                (Origin::Flag(flag), _) => write!(formatter, "{flag}: ")?,
                (Origin::Line(line), Some(file)) => write!(formatter, "{}:{line}: ", file.display())?,
                (Origin::Line(line), None) => write!(formatter, "line {line}: ")?,
                (Origin::File, Some(file)) => write!(formatter, "{}: ", file.display())?,
                (Origin::File, None) => {}
            }
            formatter.write_str(&problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

fn read(path: &Path) -> Result<String, Vec<Problem>> {
    let whole = |message| vec![Problem { origin: Origin::File, message }];
    let unreadable =
        |error| whole(format!("can't be read ({error}); print one to start from with: fanwire config default"));
    let size_bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if size_bytes > FILE_BYTES_MAX {
        return Err(whole(format!("has {size_bytes} bytes; a configuration has at most {FILE_BYTES_MAX}")));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|_| whole("is not UTF-8 text".to_owned()))
}

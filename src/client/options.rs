//! What a caller may choose: about the client, about a subscription, about a message.

use crate::event::Publisher;
use crate::producer::Stamp;
use crate::url::ServerUrl;
use fanwire_wire::frame::{Policy, PublishExtensions, Start};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How the client connects and what it may take. Name what differs and leave the rest:
/// `Options { keep_alive: None, ..Options::to("fanwire://127.0.0.1:7311")? }`.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the broker is, and the token for it.
    pub server: ServerUrl,
    /// What this client is, for the broker's logs; up to 64 bytes. Default: `fanwire-client`.
    pub client_name: String,
    /// The client's own version; up to 64 bytes. Default: this crate's.
    pub client_version: String,
    /// After this much silence each side asks whether the other still lives; a peer that does not answer within the
    /// same time is gone. `None`: never ask, and find a vanished broker only by writing to it. Default: 30 s.
    pub keep_alive: Option<Duration>,
    /// How long one attempt to connect may take. Reconnects happen inside `poll` and `wait`, so this is also the
    /// longest that a `poll` without a connection can block, plus the time to look up a host that is a name.
    /// Default: 1 s; a game loop wants less, or an address in numbers on a network that answers.
    pub connect_timeout: Duration,
    /// How long the broker may take to welcome a new connection. Default: 5 s.
    pub handshake_timeout: Duration,
    /// How long `subscribe` waits for the broker, reconnects included. Default: 10 s.
    pub answer_timeout: Duration,
    /// How long a blocking write may stand still (not one byte taken) before it fails. Default: 30 s.
    pub write_timeout: Duration,
    /// How long `close` waits for the broker to take everything and close. Default: 10 s.
    pub close_timeout: Duration,
    /// Bytes of publishes, requests and answers that may wait to be written. A single message may be larger when
    /// nothing else waits. Default: 1 MiB.
    pub buffer_bytes_max: usize,
    /// Bytes of events that blocking calls may set aside for the next `poll`. Default: 64 MiB.
    pub backlog_bytes_max: usize,
    /// Whether a lost connection is made anew. Default: true.
    pub reconnect: bool,
    /// The first reconnect delay; doubles with every failure, and each delay is drawn from its upper half.
    /// Default: 100 ms.
    pub reconnect_delay_min: Duration,
    /// The longest reconnect delay. Default: 10 s.
    pub reconnect_delay_max: Duration,
    /// Seeds the jitter of reconnects. `None`: differs in every client. Default: `None`.
    pub seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            server: ServerUrl::default(),
            client_name: "fanwire-client".to_owned(),
            client_version: env!("CARGO_PKG_VERSION").to_owned(),
            keep_alive: Some(Duration::from_secs(30)),
            connect_timeout: Duration::from_secs(1),
            handshake_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(10),
            buffer_bytes_max: 1024 * 1024,
            backlog_bytes_max: 64 * 1024 * 1024,
            reconnect: true,
            reconnect_delay_min: Duration::from_millis(100),
            reconnect_delay_max: Duration::from_secs(10),
            seed: None,
        }
    }
}

impl Options {
    /// The defaults, towards this server.
    pub fn to(url: &str) -> Result<Options, crate::Error> {
        Ok(Options { server: url.parse()?, ..Options::default() })
    }
}

/// How a subscription behaves. The default: every message, own ones too, no group; a client that does not keep up
/// is disconnected rather than served with holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// What the broker does when this client does not keep up. Default: [`Policy::Disconnect`].
    pub policy: Policy,
    /// Whether this client's own messages stay away from it.
    pub no_echo: bool,
    /// Messages a second and topic at the most, the newest ones; 0: no bound. Needs [`Policy::Conflate`].
    pub max_rate_hz: u16,
    /// Shares the filter's messages with the other members of this group: each goes to one of them.
    pub group: Option<String>,
    /// Whether to answer requests instead of getting publications. Needs a group.
    pub responder: bool,
    /// Where to start. Everything but [`Start::Live`] needs a filter that lies inside one journal, and no group.
    ///
    /// A subscription that starts in the past, or has [`Policy::CatchUp`], goes on behind the last record it was
    /// told after a lost connection.
    pub start: Start,
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        SubscribeOptions {
            policy: Policy::Disconnect,
            no_echo: false,
            max_rate_hz: 0,
            group: None,
            responder: false,
            start: Start::Live,
        }
    }
}

impl SubscribeOptions {
    /// A responder: requests that match the filter come as `Event::Call`, each to one member of the group.
    pub fn responder(group: impl Into<String>) -> Self {
        SubscribeOptions { responder: true, group: Some(group.into()), ..SubscribeOptions::default() }
    }

    /// A member of a group that shares the filter's messages.
    pub fn member(group: impl Into<String>) -> Self {
        SubscribeOptions { group: Some(group.into()), ..SubscribeOptions::default() }
    }
}

/// Starts of subscriptions to journaled topics: history, [`Event::CaughtUp`](crate::Event::CaughtUp), then live. All
/// of them have [`Policy::CatchUp`]: who falls behind reads on in the journal and misses nothing.
impl SubscribeOptions {
    /// From any start; the others are short for this.
    pub fn starting(start: Start) -> Self {
        SubscribeOptions { start, policy: Policy::CatchUp, ..SubscribeOptions::default() }
    }

    /// From the oldest record there is.
    pub fn first() -> Self {
        SubscribeOptions::starting(Start::First)
    }

    /// From the newest record of each topic.
    pub fn last_value() -> Self {
        SubscribeOptions::starting(Start::LastValue)
    }

    /// From the newest `count` records of all matching topics together.
    pub fn last(count: u32) -> Self {
        SubscribeOptions::starting(Start::Last { count })
    }

    /// From this sequence of the filter's one topic; one beyond its last is the next record.
    pub fn sequence(sequence: u64) -> Self {
        SubscribeOptions::starting(Start::Sequence { sequence })
    }

    /// From this position of the journal, or the first record behind it.
    pub fn position(position: u64) -> Self {
        SubscribeOptions::starting(Start::Position { position })
    }

    /// From the first record that is not older. Times before 1970 are 1970.
    pub fn time(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        SubscribeOptions::starting(Start::Time { time_us: u64::try_from(since.as_micros()).unwrap_or(u64::MAX) })
    }

    /// From behind the last record received: a sequence for an exact filter, else a position, with its epoch.
    pub fn resume(epoch: u64, last: u64) -> Self {
        SubscribeOptions::starting(Start::Resume { epoch, last })
    }
}

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    Topic(&'a str),
    Publisher(Publisher),
}

/// A message on its way out: a publish, or a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    pub(crate) target: Target<'a>,
    pub(crate) headers: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) asked: PublishExtensions,
}

/// Nothing is asked of a journal.
const PLAIN: PublishExtensions = PublishExtensions { expect: None, producer: None };

impl<'a> Message<'a> {
    /// A message to a topic by its name.
    pub const fn new(topic: &'a str, payload: &'a [u8]) -> Self {
        Message { target: Target::Topic(topic), headers: &[], payload, asked: PLAIN }
    }

    /// A message to a registered topic, by its short id.
    pub const fn to(publisher: &Publisher, payload: &'a [u8]) -> Self {
        Message { target: Target::Publisher(*publisher), headers: &[], payload, asked: PLAIN }
    }

    /// Adds a headers block, built with `Headers::push`.
    #[must_use]
    pub const fn headers(mut self, block: &'a [u8]) -> Self {
        self.headers = block;
        self
    }

    /// To be accepted only if this is the last sequence of its journaled topic; 0: only as the topic's first record.
    /// Else the publish ends with [`Error::Conflict`](crate::Error::Conflict), which tells the actual one. A request
    /// asks nothing of a journal.
    #[must_use]
    pub const fn expect(mut self, sequence: u64) -> Self {
        self.asked.expect = Some(sequence);
        self
    }

    /// To be accepted only once by the journal of its topic, however often it is sent: the stamp is of
    /// [`Producer::stamp`](crate::Producer::stamp).
    #[must_use]
    pub const fn once(mut self, stamp: Stamp) -> Self {
        self.asked.producer = Some(stamp);
        self
    }
}

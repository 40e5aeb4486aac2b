//! What a caller may choose: about the client, about a subscription, about a message.

use crate::event::Publisher;
use crate::url::ServerUrl;
use fanwire_wire::frame::Policy;
use std::time::Duration;

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
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        SubscribeOptions { policy: Policy::Disconnect, no_echo: false, max_rate_hz: 0, group: None, responder: false }
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
}

impl<'a> Message<'a> {
    /// A message to a topic by its name.
    pub const fn new(topic: &'a str, payload: &'a [u8]) -> Self {
        Message { target: Target::Topic(topic), headers: &[], payload }
    }

    /// A message to a registered topic, by its short id.
    pub const fn to(publisher: &Publisher, payload: &'a [u8]) -> Self {
        Message { target: Target::Publisher(*publisher), headers: &[], payload }
    }

    /// Adds a headers block, built with `Headers::push`.
    #[must_use]
    pub const fn headers(mut self, block: &'a [u8]) -> Self {
        self.headers = block;
        self
    }
}

//! What the generator needs of a protocol, and nothing more: bytes to open with, bytes to publish, and an ear for the
//! bytes that come back.
//!
//! ```text
//!  open --------> bytes, and how many confirmations to wait for
//!  publish -----> bytes                 request, reply: the same, where a protocol knows them
//!  bytes --hear--> Ear: delivered, asked, answered, confirmed, owes        whole messages only; the rest comes again
//! ```
//!
//! Everything is data in, data out, with no allocation a message, so that the cost of an adapter is that of its
//! protocol. `hear` takes as many whole messages as the bytes hold and says how many bytes those were.

use super::targets::{fanwire, floor, mqtt, nats, redis, sse, websocket};
use std::ops::Range;

/// What the generator hears from a connection.
pub trait Ear {
    /// A message of a subscription.
    fn delivered(&mut self, payload: &[u8]);
    /// A request to be answered; the handle comes back with the reply.
    fn asked(&mut self, handle: &[u8], payload: &[u8]);
    /// The answer to a request.
    fn answered(&mut self, payload: &[u8]);
    /// A greeting or a subscription stands.
    fn confirmed(&mut self);
    /// So many appends, the oldest ones that were not acknowledged yet, have become what they asked for.
    fn acknowledged(&mut self, _count: u64) {}
    /// Bytes that the protocol wants back at once.
    fn owes(&mut self, bytes: &[u8]);
}

/// What the peer said that a benchmark can't go on from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The peer refused something, in its own words.
    #[error("the broker refused: {0}")]
    Refused(String),
    /// Bytes that the protocol does not allow, or this adapter does not know.
    #[error("the broker sent what {0} does not know: is this the right --target for that address?")]
    Unknown(&'static str),
}

/// What a connection wants to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interest {
    /// Nothing.
    Nothing,
    /// These topics, by their exact names, one subscription each.
    Topics(Range<u32>),
    /// Everything, by one wildcard.
    All,
}

/// What a connection is for, beside what it wants to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Publishing, hearing, both or neither.
    Member,
    /// Asks.
    Requester,
    /// Answers.
    Responder,
    /// Publishes to a journal, and hears what has become of it.
    Appender,
}

/// What an append has to survive before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The end of the broker's process.
    Journaled,
    /// The end of the machine.
    Durable,
}

/// How a connection opens.
#[derive(Debug, Clone)]
pub struct Opening<'a> {
    /// What it is for.
    pub part: Part,
    /// What it wants to hear.
    pub interest: Interest,
    /// Topics it may publish to.
    pub publishes: Range<u32>,
    /// Whether it wants to stay without what it published itself, where the protocol can do that.
    pub no_echo: bool,
    /// Whether old messages may be dropped when it does not read, where the protocol leaves a choice; otherwise it
    /// is to be disconnected.
    pub droppable: bool,
    /// The names of all topics.
    pub topics: &'a Topics,
}

/// The topics of a run, under names as the protocol spells them.
#[derive(Debug, Clone)]
pub struct Topics {
    names: String,
    ends: Vec<u32>,
    separator: char,
    by_name: bool,
}

impl Topics {
    /// So many topics, their levels split by this.
    pub fn new(count: u32, separator: char) -> Topics {
        let ends = Vec::with_capacity(count as usize);
        let mut topics = Topics { names: String::new(), ends, separator, by_name: false };
        for index in 0..count {
            topics.names.push_str(&format!("bench{separator}topic{separator}{index}"));
            topics.ends.push(u32::try_from(topics.names.len()).expect("fewer than 4 GiB of names"));
        }
        topics
    }

    /// The same, to be published to by name even where the protocol has something shorter.
    #[must_use]
    pub fn by_name(self) -> Topics {
        Topics { by_name: true, ..self }
    }

    /// Whether a protocol with so many short names may use them.
    pub fn fit(&self, short_names: u32) -> bool {
        !self.by_name && self.count() <= short_names
    }

    /// How many.
    pub fn count(&self) -> u32 {
        u32::try_from(self.ends.len()).expect("made from a u32")
    }

    /// The name of one.
    pub fn name(&self, index: u32) -> &str {
        let begin = index.checked_sub(1).map_or(0, |before| self.ends[before as usize]);
        &self.names[begin as usize..self.ends[index as usize] as usize]
    }

    /// A name beside the numbered ones.
    pub fn side_name(&self, name: &str) -> String {
        format!("bench{}{name}", self.separator)
    }
}

/// How far a conversation is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Whether the fixed bytes that open the peer's side are behind us.
    pub greeted: bool,
    /// On a stream whose messages have no length in front, the shape of the last one: the next is most likely alike.
    pub stream: Option<Shape>,
}

/// Where things lie in a message that ends with a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of the message, its mark included.
    pub bytes: usize,
    /// Where in it the payload begins.
    pub payload: usize,
}

/// One protocol.
pub trait Adapter {
    /// Appends everything that opens the connection, pipelined; how many confirmations will come.
    fn open(opening: &Opening<'_>, out: &mut Vec<u8>) -> u32;
    /// Appends a publication.
    fn publish(topics: &Topics, topic: u32, payload: &[u8], out: &mut Vec<u8>);
    /// Adds a publication to a journal, to be acknowledged.
    ///
    /// # Panics
    /// Where the protocol knows no journal.
    fn append(_topics: &Topics, _topic: u32, _level: Level, _payload: &[u8], _out: &mut Vec<u8>) {
        unreachable!("who has no journal objects to being asked for one");
    }
    /// Appends a request.
    fn request(topics: &Topics, sequence: u64, payload: &[u8], out: &mut Vec<u8>);
    /// Appends the answer to a request.
    fn reply(topics: &Topics, handle: &[u8], payload: &[u8], out: &mut Vec<u8>);
    /// Hears the whole messages at the front of the bytes; how many bytes they were.
    fn hear<E: Ear>(progress: &mut Progress, bytes: &[u8], ear: &mut E) -> Result<usize, Fault>;
}

/// Whom the generator speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// The bare relay.
    Floor,
    /// Fanwire, natively.
    Fanwire,
    /// Fanwire over WebSocket, in native frames.
    WebSocket,
    /// Fanwire's server-sent events; what is published goes natively.
    Sse,
    /// Redis or Valkey, RESP3 pub/sub.
    Redis,
    /// NATS.
    Nats,
    /// MQTT 3.1.1, QoS 0.
    Mqtt,
}

macro_rules! each {
    ($target:expr, $function:ident($($argument:expr),*)) => {
        match $target {
            Target::Floor => floor::Floor::$function($($argument),*),
            Target::Fanwire => fanwire::Fanwire::$function($($argument),*),
            Target::WebSocket => websocket::WebSocket::$function($($argument),*),
            Target::Sse => sse::Sse::$function($($argument),*),
            Target::Nats => nats::Nats::$function($($argument),*),
            Target::Redis => redis::Redis::$function($($argument),*),
            Target::Mqtt => mqtt::Mqtt::$function($($argument),*),
        }
    };
}

impl Target {
    /// Every target, in the order of tables.
    pub const ALL: [Target; 7] =
        [Target::Floor, Target::Fanwire, Target::WebSocket, Target::Sse, Target::Redis, Target::Nats, Target::Mqtt];

    /// Those that are other ways into Fanwire, and held against it and nobody else.
    pub const WEB: [Target; 2] = [Target::WebSocket, Target::Sse];

    /// The name on the command line and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Target::Floor => "floor",
            Target::Fanwire => "fanwire",
            Target::WebSocket => "ws",
            Target::Sse => "sse",
            Target::Nats => "nats",
            Target::Redis => "redis",
            Target::Mqtt => "mqtt",
        }
    }

    /// The target of this name.
    pub fn named(name: &str) -> Option<Target> {
        Target::ALL.into_iter().find(|target| target.name() == name)
    }

    /// What splits the levels of a topic.
    pub const fn separator(self) -> char {
        match self {
            Target::Nats => '.',
            Target::Redis => ':',
            Target::Floor | Target::Fanwire | Target::WebSocket | Target::Sse | Target::Mqtt => '/',
        }
    }

    /// Whether publishers can stay without their own messages.
    pub const fn has_no_echo(self) -> bool {
        matches!(self, Target::Fanwire | Target::WebSocket | Target::Nats)
    }

    /// Whether it is a way into Fanwire beside the native one.
    pub fn is_web(self) -> bool {
        Target::WEB.contains(&self)
    }

    /// See [`Adapter::open`].
    pub fn open(self, opening: &Opening<'_>, out: &mut Vec<u8>) -> u32 {
        each!(self, open(opening, out))
    }

    /// See [`Adapter::publish`].
    pub fn publish(self, topics: &Topics, topic: u32, payload: &[u8], out: &mut Vec<u8>) {
        each!(self, publish(topics, topic, payload, out));
    }

    /// See [`Adapter::append`].
    pub fn append(self, topics: &Topics, topic: u32, level: Level, payload: &[u8], out: &mut Vec<u8>) {
        each!(self, append(topics, topic, level, payload, out));
    }

    /// See [`Adapter::request`].
    pub fn request(self, topics: &Topics, sequence: u64, payload: &[u8], out: &mut Vec<u8>) {
        each!(self, request(topics, sequence, payload, out));
    }

    /// See [`Adapter::reply`].
    pub fn reply(self, topics: &Topics, handle: &[u8], payload: &[u8], out: &mut Vec<u8>) {
        each!(self, reply(topics, handle, payload, out));
    }

    /// See [`Adapter::hear`].
    pub fn hear<E: Ear>(self, progress: &mut Progress, bytes: &[u8], ear: &mut E) -> Result<usize, Fault> {
        each!(self, hear(progress, bytes, ear))
    }
}

/// What the tests of all adapters share: an ear that writes down what it hears.
#[cfg(test)]
pub(super) mod listening {
    use super::{Adapter, Ear, Fault, Interest, Opening, Part, Progress, Topics};

    #[derive(Debug, Default, PartialEq, Eq)]
    pub(crate) struct Notes(pub(crate) Vec<String>);

    impl Ear for Notes {
        fn delivered(&mut self, payload: &[u8]) {
            self.0.push(format!("delivered {}", payload.escape_ascii()));
        }
        fn asked(&mut self, handle: &[u8], payload: &[u8]) {
            self.0.push(format!("asked {} {}", handle.escape_ascii(), payload.escape_ascii()));
        }
        fn answered(&mut self, payload: &[u8]) {
            self.0.push(format!("answered {}", payload.escape_ascii()));
        }
        fn confirmed(&mut self) {
            self.0.push("confirmed".to_owned());
        }
        fn acknowledged(&mut self, count: u64) {
            self.0.push(format!("acknowledged {count}"));
        }
        fn owes(&mut self, bytes: &[u8]) {
            self.0.push(format!("owes {}", bytes.escape_ascii()));
        }
    }

    /// Hears the bytes whole, and cut at every place, and byte by byte: what is heard must be the same.
    pub(crate) fn hear_in_pieces<A: Adapter>(bytes: &[u8]) -> Result<Vec<String>, Fault> {
        let whole = hear_cut::<A>(&[bytes])?;
        for cut in 0..bytes.len() {
            assert_eq!(hear_cut::<A>(&[&bytes[..cut], &bytes[cut..]])?, whole, "cut at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(hear_cut::<A>(&single)?, whole, "byte by byte");
        Ok(whole)
    }

    fn hear_cut<A: Adapter>(pieces: &[&[u8]]) -> Result<Vec<String>, Fault> {
        let (mut progress, mut held, mut notes) = (Progress::default(), Vec::new(), Notes::default());
        for piece in pieces {
            held.extend_from_slice(piece);
            let used = A::hear(&mut progress, &held, &mut notes)?;
            held.drain(..used);
        }
        Ok(notes.0)
    }

    pub(crate) fn opened<A: Adapter>(part: Part, interest: Interest, topics: &Topics) -> (Vec<u8>, u32) {
        let mut out = Vec::new();
        let publishes = if interest == Interest::Nothing { 0..topics.count() } else { 0..0 };
        let opening = Opening { part, interest, publishes, no_echo: false, droppable: false, topics };
        let confirmations = A::open(&opening, &mut out);
        (out, confirmations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_have_names_in_the_spelling_of_their_protocol() {
        let topics = Topics::new(12, '.');
        assert_eq!((topics.count(), topics.name(0), topics.name(11)), (12, "bench.topic.0", "bench.topic.11"));
        assert_eq!(topics.side_name("ask"), "bench.ask");
    }

    #[test]
    fn targets_are_found_by_name() {
        for target in Target::ALL {
            assert_eq!(Target::named(target.name()), Some(target));
        }
        assert_eq!(Target::named("kafka"), None);
    }
}

//! Parameters: what a request says besides its path, in the query or, what concerns one message, in fields too.
//!
//! | key | value | field | taken by |
//! |---|---|---|---|
//! | `topic` | a filter, or a name; several for streams | | all |
//! | `from` | where to start: see [`start`] | | sse, poll, history |
//! | `policy` | `disconnect`, `drop-oldest`, `drop-newest`, `conflate` or `catch-up` | | sse, poll |
//! | `group` | a group's name | | sse, poll |
//! | `max_rate_hz` | messages a second and topic | | sse, poll |
//! | `after` | the cursor of the last answer | | poll |
//! | `wait` | how long to wait for messages: `25s`, `500ms` | | poll |
//! | `limit` | how many records at the most | | poll, history |
//! | `ack` | `none`, `routed`, `journaled` or `durable` | `Fanwire-Ack` | publish |
//! | `expect` | the topic's last sequence | `Fanwire-Expect` | publish |
//! | `producer` | `ID:NUMBER`, neither of them 0: published once however often it is sent | `Fanwire-Producer` | publish |
//! | `deadline` | how long to wait for the reply: `5s`, `500ms` | `Fanwire-Deadline` | request |
//!
//! A key that is not known is refused by its name, and so is one that stands twice: a misspelt `expect` must not
//! publish unconditionally. Values are percent-encoded; a plus sign is itself, so that filters can be typed, and a `#`
//! has to be `%23`, since it would end the URL.

use super::head::Head;
use super::percent;
use super::start::{self, digits};
use super::{Reason, Refusal};
use fanwire_wire::frame::{AckLevel, Policy, Producer, Start};
use std::borrow::Cow;
use std::time::Duration;

/// What a parameter is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table above tells what they mean")]
pub enum Key {
    Topic,
    From,
    Policy,
    Group,
    MaxRate,
    After,
    Wait,
    Limit,
    Ack,
    Expect,
    Producer,
    Deadline,
}

impl Key {
    /// The key in a query.
    pub const fn name(self) -> &'static str {
        match self {
            Key::Topic => "topic",
            Key::From => "from",
            Key::Policy => "policy",
            Key::Group => "group",
            Key::MaxRate => "max_rate_hz",
            Key::After => "after",
            Key::Wait => "wait",
            Key::Limit => "limit",
            Key::Ack => "ack",
            Key::Expect => "expect",
            Key::Producer => "producer",
            Key::Deadline => "deadline",
        }
    }

    /// The field that says the same.
    pub const fn field(self) -> Option<&'static str> {
        match self {
            Key::Ack => Some("Fanwire-Ack"),
            Key::Expect => Some("Fanwire-Expect"),
            Key::Producer => Some("Fanwire-Producer"),
            Key::Deadline => Some("Fanwire-Deadline"),
            _ => None,
        }
    }
}

/// Which parameters a resource takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// Those that stand once at the most.
    pub once: &'static [Key],
    /// Whether there are topics, and how many.
    pub topics: Topics,
}

/// How many topics a query names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topics {
    /// The path names it, or there is none.
    None,
    /// One.
    One,
    /// At least one.
    Several,
}

/// The parameters of a request, decoded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query<'b> {
    parameters: Vec<(Key, Cow<'b, [u8]>)>,
}

impl<'b> Query<'b> {
    /// Reads the query and the fields of a request.
    pub fn read(head: &Head<'b>, keys: Keys) -> Result<Self, Refusal> {
        let mut query = Query::default();
        for piece in head.query.filter(|text| !text.is_empty()).into_iter().flat_map(|text| text.split('&')) {
            query.read_piece(piece, keys)?;
        }
        for (key, field) in keys.once.iter().filter_map(|key| Some((*key, key.field()?))) {
            if let Some(value) = head.single(field)? {
                query.insert(key, Cow::Borrowed(value.as_bytes()))?;
            }
        }
        match (keys.topics, query.topics().count()) {
            (Topics::None, 0) | (Topics::One, 1) | (Topics::Several, 1..) => Ok(query),
            (Topics::None | Topics::One, 1..) => Err(bad("one topic is taken, in the path or as topic=")),
            (Topics::One | Topics::Several, 0) => Err(bad("topic is missing, such as topic=chat/lobby")),
        }
    }

    fn read_piece(&mut self, piece: &'b str, keys: Keys) -> Result<(), Refusal> {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let decode = |text: &'b str| {
            let decoded = percent::decode(text.as_bytes());
            decoded
                .map_err(|_| bad(format!("in {} a percent sign stands without two digits", quoted(piece.as_bytes()))))
        };
        let (name, value) = (decode(name)?, decode(value)?);
        let is_key = |key: &Key| key.name().as_bytes() == &*name;
        match keys.once.iter().copied().find(is_key) {
            Some(key) => self.insert(key, value),
            None if is_key(&Key::Topic) => {
                self.parameters.push((Key::Topic, value));
                Ok(())
            }
            None => Err(bad(format!("{} is no parameter here", quoted(&name)))),
        }
    }

    fn insert(&mut self, key: Key, value: Cow<'b, [u8]>) -> Result<(), Refusal> {
        if self.value(key).is_some() {
            return Err(bad(format!("{} is said twice", key.name())));
        }
        if value.is_empty() {
            return Err(bad(format!("{} has no value", key.name())));
        }
        self.parameters.push((key, value));
        Ok(())
    }

    fn value(&self, key: Key) -> Option<&[u8]> {
        self.parameters.iter().find(|(known, _)| *known == key).map(|(_, value)| &**value)
    }

    /// The topics or filters, whose grammar is the broker's to check.
    pub fn topics(&self) -> impl Iterator<Item = &[u8]> {
        self.parameters.iter().filter(|(key, _)| *key == Key::Topic).map(|(_, value)| &**value)
    }

    /// Takes the only topic out.
    pub(super) fn take_topic(&mut self) -> Cow<'b, [u8]> {
        let place = self.parameters.iter().position(|(key, _)| *key == Key::Topic);
        place.map_or(Cow::Borrowed(b""), |place| self.parameters.swap_remove(place).1)
    }

    /// Where to start.
    pub fn start(&self) -> Result<Option<Start>, Refusal> {
        let Some(text) = self.text(Key::From)? else { return Ok(None) };
        start::parse(text).map(Some).map_err(|error| bad(format!("from: {error}")))
    }

    /// What happens when the reader does not keep up.
    pub fn policy(&self) -> Result<Option<Policy>, Refusal> {
        self.one_of(
            Key::Policy,
            &[
                ("disconnect", Policy::Disconnect),
                ("drop-oldest", Policy::DropOldest),
                ("drop-newest", Policy::DropNewest),
                ("conflate", Policy::Conflate),
                ("catch-up", Policy::CatchUp),
            ],
        )
    }

    /// The group, whose grammar is the broker's to check.
    pub fn group(&self) -> Option<&[u8]> {
        self.value(Key::Group)
    }

    /// Messages a second and topic at the most.
    pub fn max_rate_hz(&self) -> Result<Option<u16>, Refusal> {
        self.number(Key::MaxRate)
    }

    /// The cursor of the last answer; whoever gave it out knows its form.
    pub fn after(&self) -> Result<Option<&str>, Refusal> {
        self.text(Key::After)
    }

    /// How long to wait for messages.
    pub fn wait(&self) -> Result<Option<Duration>, Refusal> {
        self.duration(Key::Wait)
    }

    /// How many records at the most.
    pub fn limit(&self) -> Result<Option<u32>, Refusal> {
        self.number(Key::Limit)
    }

    /// The acknowledgement asked for.
    pub fn ack(&self) -> Result<Option<AckLevel>, Refusal> {
        self.one_of(Key::Ack, &AckLevel::ALL.map(|level| (level.name(), level)))
    }

    /// The sequence that the topic's last record has to have.
    pub fn expect(&self) -> Result<Option<u64>, Refusal> {
        self.number(Key::Expect)
    }

    /// Which of its publishes this is to its producer.
    pub fn producer(&self) -> Result<Option<Producer>, Refusal> {
        let Some(text) = self.text(Key::Producer)? else { return Ok(None) };
        let pair = text.split_once(':').and_then(|(id, number)| Some((digits(id)?, digits(number)?)));
        match pair {
            Some((id, number)) if id != 0 && number != 0 => Ok(Some(Producer { id, number })),
            _ => Err(wrong(Key::Producer, text, "ID:NUMBER, such as 7:1041, neither of them 0")),
        }
    }

    /// How long to wait for the reply.
    pub fn deadline(&self) -> Result<Option<Duration>, Refusal> {
        self.duration(Key::Deadline)
    }

    fn text(&self, key: Key) -> Result<Option<&str>, Refusal> {
        let Some(value) = self.value(key) else { return Ok(None) };
        std::str::from_utf8(value).map(Some).map_err(|_| bad(format!("{} is not UTF-8", key.name())))
    }

    fn number<N: std::str::FromStr>(&self, key: Key) -> Result<Option<N>, Refusal> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        digits(text).map(Some).ok_or_else(|| wrong(key, text, "a number that is not too large"))
    }

    fn duration(&self, key: Key) -> Result<Option<Duration>, Refusal> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let read = match text.strip_suffix("ms") {
            Some(number) => digits::<u32>(number).map(|milliseconds| Duration::from_millis(milliseconds.into())),
            None => text.strip_suffix('s').and_then(digits::<u32>).map(|seconds| Duration::from_secs(seconds.into())),
        };
        read.map(Some).ok_or_else(|| wrong(key, text, "a duration, such as 25s or 500ms"))
    }

    fn one_of<V: Copy>(&self, key: Key, words: &[(&str, V)]) -> Result<Option<V>, Refusal> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| Some(*value)).ok_or_else(|| {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            wrong(key, text, &format!("one of: {}", words.join(", ")))
        })
    }
}

fn wrong(key: Key, text: &str, form: &str) -> Refusal {
    bad(format!("{} is {}, and should be {form}", key.name(), quoted(text.as_bytes())))
}

/// Peers' bytes for a message: as much as it takes to know them again.
pub(super) fn quoted(bytes: &[u8]) -> String {
    const CHARACTERS_MAX: usize = 60;
    let text = String::from_utf8_lossy(bytes);
    let (front, dots) = match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => (text.get(..end).unwrap_or_default(), "..."),
        None => (&*text, ""),
    };
    format!("\"{}{dots}\"", front.escape_debug())
}

fn bad(detail: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::from(Reason::BadParameter).because(detail)
}

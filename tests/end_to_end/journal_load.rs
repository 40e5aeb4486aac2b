//! Load on a journal, and the books about it: publishers that remember what they were promised, subscribers that resume
//! where they were, and the audit of both against what the journal holds.
//!
//! ```text
//!  Publisher: label, acked (label, sequence), unknown     --audit-->  log: one record a position, read from the first
//!  Listener:  every record, in the order that it was told --audit-->
//! ```
//!
//! Every record says whose it is, from which life of the broker, and the how-manieth: so it can be told what is
//! missing, what is there twice, and what came in another order.

use super::journal_scene::{Kept, Line, asking, from};
use super::peer::{bytes_of, publish};
use fanwire_wire::Code;
use fanwire_wire::frame::{AckLevel, Frame, Outcome, Ping, Producer, PublishExtensions, Refusal, Scope, Start};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where all publishers publish, besides each one's own topic.
pub(crate) const SHARED: &str = "match/all";
/// Publishes on their way at one time. Less than the window in which the journal knows a producer's again.
const WAVE_MAX: u64 = 48;

/// What a payload begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Label {
    pub(crate) publisher: u32,
    /// The life of the broker in which it was published first.
    pub(crate) life: u32,
    /// From 1, one more with each of this publisher.
    pub(crate) number: u64,
}

const LABEL_BYTES: usize = 16;

impl Label {
    /// Of any size from a few bytes to some hundred, so that batches and segments end anywhere.
    fn payload(self) -> Vec<u8> {
        let filler = self.number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 55;
        let mut payload = Vec::with_capacity(LABEL_BYTES + 512);
        payload.extend(self.publisher.to_le_bytes());
        payload.extend(self.life.to_le_bytes());
        payload.extend(self.number.to_le_bytes());
        payload.resize(LABEL_BYTES + filler as usize, self.number as u8);
        payload
    }

    #[track_caller]
    fn of(payload: &[u8]) -> Label {
        let number_at = |at: usize| u32::from_le_bytes(*payload[at..].first_chunk().expect("a label"));
        let number = u64::from(number_at(8)) | u64::from(number_at(12)) << 32;
        let label = Label { publisher: number_at(0), life: number_at(4), number };
        assert_eq!(label.payload(), payload, "a record came back as it was published");
        label
    }

    fn topic(self) -> String {
        if self.number.is_multiple_of(2) { SHARED.to_owned() } else { format!("match/{}", self.publisher) }
    }
}

/// One that publishes, and remembers.
pub(crate) struct Publisher {
    id: u32,
    ack: AckLevel,
    /// Whether it says so when it sends something again.
    is_producer: bool,
    life: u32,
    /// The first number of each life.
    begins: HashMap<u32, u64>,
    published: u64,
    /// What a producer was told nothing of yet, in the order of their numbers.
    unknown: BTreeMap<u64, Label>,
    acked: Vec<(Label, u64)>,
    /// The first code of a refusal, which ends a run.
    pub(crate) refused: Option<Code>,
}

impl Publisher {
    pub(crate) fn new(id: u32, ack: AckLevel) -> Publisher {
        Publisher {
            id,
            ack,
            is_producer: false,
            life: 0,
            begins: HashMap::new(),
            published: 0,
            unknown: BTreeMap::new(),
            acked: Vec::new(),
            refused: None,
        }
    }

    /// One that sends again what it was told nothing of.
    pub(crate) fn producer(id: u32, ack: AckLevel) -> Publisher {
        Publisher { is_producer: true, ..Publisher::new(id, ack) }
    }

    /// Publishes until the broker ends, says goodbye, or refuses. Counts what is acknowledged in `acks`.
    pub(crate) fn run(&mut self, address: SocketAddr, life: u32, acks: &AtomicU64) {
        self.life = life;
        self.refused = None;
        let _ = self.publish_waves(address, acks);
    }

    fn publish_waves(&mut self, address: SocketAddr, acks: &AtomicU64) -> Option<()> {
        let mut line = Line::connect(address)?;
        let mut publishes = 0;
        self.begins.insert(self.life, self.published + 1);
        loop {
            let wave = self.next_wave();
            let bytes: Vec<u8> = wave.iter().flat_map(|label| self.frame_of(*label)).collect();
            line.send(&bytes)?;
            if self.ack == AckLevel::None {
                line.send(&bytes_of(Ping { time: 0 }))?;
                self.hear_of(&mut line, BTreeMap::new(), acks)?;
                continue;
            }
            let first = publishes + 1;
            publishes += wave.len() as u64;
            self.hear_of(&mut line, (first..).zip(wave).collect(), acks)?;
        }
    }

    /// What it knows nothing of comes first; what follows is new.
    fn next_wave(&mut self) -> Vec<Label> {
        let mut wave: Vec<Label> = self.unknown.values().copied().collect();
        let more = self.published.wrapping_mul(0xD129_0D3B_35C4_59A5) >> 32;
        let end = self.published + 1 + more % (WAVE_MAX - wave.len().min(WAVE_MAX as usize - 1) as u64);
        for number in self.published + 1..=end {
            wave.push(Label { publisher: self.id, life: self.life, number });
        }
        self.published = end;
        if self.is_producer {
            self.unknown.extend(wave.iter().map(|label| (label.number, *label)));
        }
        wave
    }

    fn frame_of(&self, label: Label) -> Vec<u8> {
        let (topic, payload) = (label.topic(), label.payload());
        let id = u64::from(self.id) + 1;
        let producer = self.is_producer.then_some(Producer { id, number: label.number });
        asking(publish(&topic, self.ack, &payload), PublishExtensions { expect: None, producer })
    }

    /// Until everything of a wave is answered. None at the end of the connection, or of what can be published.
    fn hear_of(&mut self, line: &mut Line, mut told: BTreeMap<u64, Label>, acks: &AtomicU64) -> Option<()> {
        let mut is_over = false;
        loop {
            match line.frame()? {
                Frame::Ack(ack) => {
                    assert_eq!(ack.level, self.ack);
                    for (index, number) in (ack.first..ack.first + u64::from(ack.count)).enumerate() {
                        let label = told.remove(&number).expect("it is acknowledged once");
                        self.unknown.remove(&label.number);
                        self.acked.push((label, ack.first_sequence + index as u64));
                    }
                    acks.fetch_add(ack.count.into(), Ordering::Relaxed);
                }
                Frame::Error(refusal) => {
                    let Refusal { scope, reference, .. } = refusal;
                    assert!(matches!(scope, Scope::Publish | Scope::UnackedPublish), "{refusal:?}");
                    self.refused = Code::from_number(refusal.code);
                    is_over = true;
                    if scope == Scope::Publish {
                        told.remove(&reference).expect("it is refused once, and not acknowledged");
                    }
                }
                Frame::Pong(_) => return (!is_over).then_some(()),
                Frame::Goaway(_) => is_over = true,
                other => panic!("{other:?} to who publishes"),
            }
            if told.is_empty() && self.ack != AckLevel::None {
                return (!is_over).then_some(());
            }
        }
    }

    /// Whether it knows of everything that it ever sent what has become of it.
    pub(crate) fn knows_all(&self) -> bool {
        self.acked.len() as u64 == self.published
    }

    pub(crate) fn acked_count(&self) -> usize {
        self.acked.len()
    }
}

/// One that hears everything of a filter over all lives of the broker.
pub(crate) struct Listener {
    filter: &'static str,
    epoch: u64,
    records: Vec<Kept>,
    sequences: HashMap<String, u64>,
    /// How it began, each time.
    pub(crate) outcomes: Vec<Outcome>,
}

impl Listener {
    /// Of all topics of the journal, or of one.
    pub(crate) fn new(filter: &'static str) -> Listener {
        Listener { filter, epoch: 0, records: Vec::new(), sequences: HashMap::new(), outcomes: Vec::new() }
    }

    fn is_exact(&self) -> bool {
        !self.filter.contains('#')
    }

    fn start(&self) -> Start {
        match self.records.last() {
            None => Start::First,
            Some(last) if self.is_exact() => Start::Resume { epoch: self.epoch, last: last.sequence },
            Some(last) => Start::Resume { epoch: self.epoch, last: last.position },
        }
    }

    /// Hears what is told until the broker is gone, or until all history is told. A reset takes everything back.
    pub(crate) fn follow(&mut self, address: SocketAddr, until_caught_up: bool) {
        let _ = self.hear(address, until_caught_up);
    }

    fn hear(&mut self, address: SocketAddr, until_caught_up: bool) -> Option<()> {
        let mut line = Line::connect(address)?;
        line.send(&bytes_of(from(self.start(), 1, self.filter)))?;
        let mut is_live = false;
        let (filter, is_exact) = (self.filter, self.is_exact());
        loop {
            match line.frame()? {
                Frame::Subscribed(subscribed) => {
                    self.outcomes.push(subscribed.outcome);
                    if !matches!(subscribed.outcome, Outcome::History | Outcome::Resumed) {
                        self.records.clear();
                        self.sequences.clear();
                    }
                    assert!(self.epoch <= subscribed.epoch, "epochs only grow");
                    self.epoch = subscribed.epoch;
                }
                Frame::History(history) if !is_live => self.note(history.into()),
                Frame::CaughtUp(_) if !is_live && until_caught_up => return Some(()),
                Frame::CaughtUp(_) if !is_live => is_live = true,
                Frame::Record(record) if is_live && is_exact => self.note(Kept {
                    topic: filter.to_owned(),
                    sequence: record.sequence,
                    position: 0,
                    payload: record.payload.to_vec(),
                }),
                Frame::RecordNamed(record) if is_live && !is_exact => self.note(Kept {
                    topic: String::from_utf8(record.topic.to_vec()).expect("names are text"),
                    sequence: record.sequence,
                    position: record.position,
                    payload: record.payload.to_vec(),
                }),
                Frame::Goaway(_) => {}
                Frame::Unsubscribed(_) => return None,
                other => panic!(
                    "{other:?} to who listens to {filter}; live: {is_live}; {} records so far, {:?}",
                    self.records.len(),
                    self.outcomes
                ),
            }
        }
    }

    /// Nothing is left out and nothing comes twice: positions and sequences are contiguous from the very first.
    fn note(&mut self, record: Kept) {
        let sequence = self.sequences.entry(record.topic.clone()).or_default();
        assert_eq!(record.sequence, *sequence + 1, "the next sequence of {}", record.topic);
        *sequence += 1;
        if !self.is_exact() {
            assert_eq!(record.position, self.records.len() as u64 + 1, "the next position");
        }
        self.records.push(record);
    }

    pub(crate) fn records(&self) -> &[Kept] {
        &self.records
    }

    pub(crate) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What it was told is what the log holds, from its beginning.
    #[track_caller]
    pub(crate) fn agrees_with(&self, log: &[Kept]) {
        let mut held = log.iter().filter(|kept| !self.is_exact() || kept.topic == self.filter);
        for heard in &self.records {
            let held = held.next().unwrap_or_else(|| panic!("{heard:?} was told, and the log ends before it"));
            assert_eq!((&heard.topic, heard.sequence, &heard.payload), (&held.topic, held.sequence, &held.payload));
        }
    }
}

/// The log against the books: every position and every sequence once, what was acknowledged at its sequence, nothing
/// twice, and each publisher's in their order, without a hole. What is acknowledged at less than `level` may be
/// missing, from the end of its life on.
#[track_caller]
pub(crate) fn audit(log: &[Kept], publishers: &[Publisher], level: AckLevel) {
    let mut sequences: HashMap<&str, u64> = HashMap::new();
    let mut found: HashMap<Label, &Kept> = HashMap::new();
    let mut last: HashMap<(u32, u32), u64> = HashMap::new();
    for (position, kept) in (1..).zip(log) {
        assert_eq!(kept.position, position, "positions are contiguous");
        let sequence = sequences.entry(&kept.topic).or_default();
        *sequence += 1;
        assert_eq!(kept.sequence, *sequence, "sequences of {} are contiguous", kept.topic);
        let label = Label::of(&kept.payload);
        assert_eq!(label.topic(), kept.topic);
        assert!(found.insert(label, kept).is_none(), "{label:?} is there twice");
        let publisher = publishers.iter().find(|publisher| publisher.id == label.publisher).expect("one of these");
        let stream = (label.publisher, if publisher.is_producer { 0 } else { label.life });
        let first = if publisher.is_producer { 1 } else { publisher.begins[&label.life] };
        let expected = last.insert(stream, label.number).map_or(first, |before| before + 1);
        assert_eq!(label.number, expected, "{label:?} in its publisher's order");
    }
    for publisher in publishers {
        for (label, sequence) in &publisher.acked {
            match found.get(label) {
                Some(kept) => assert_eq!(kept.sequence, *sequence, "{label:?} is where its acknowledgement says"),
                None => assert!(publisher.ack < level, "{label:?} was acknowledged as {:?} and is lost", publisher.ack),
            }
        }
    }
}

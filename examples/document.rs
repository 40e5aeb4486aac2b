//! A text that several people write at once, sourced from its edits:
//! `cargo run --example document -- [WRITERS] [EDITS]`.
//!
//! ```text
//!  documents/ID/edits       insert 0 hello | delete 3 2 | insert 3 p ...     the truth: one total order, numbered
//!  documents/ID/snapshot    41 helpo                                         the text as of edit 41, now and then
//!
//!  open:   the newest snapshot, then the edits behind it (the tail), then what comes
//!  write:  look at the text, think of an edit, publish it *behind the edit that was looked at* (expected sequence)
//!            accepted --> it comes back like everybody's edits, and is applied then
//!            CONFLICT --> somebody was faster: read on to the actual sequence, think again
//! ```
//!
//! No lock and no server that knows what a text is: the journal orders edits and refuses those that were thought of too
//! early, so everybody who applies them in order has the same text. Each edit carries its writer's number, so that one
//! whose acknowledgement was lost with the connection can be sent again: the journal takes it once.
//!
//! The broker needs a journal for the topics: `fanwire serve --data DIR --journal 'documents=documents/#'`.

use fanwire_client::{AckLevel, Client, Code, Error, Event, Message, Producer, SubscribeOptions, SubscriptionId};
use std::env;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long the broker may take to acknowledge an edit, a lost connection included.
const PATIENCE: Duration = Duration::from_secs(10);
/// Edits between two snapshots: about what a reader who comes late has to apply at the most.
const SNAPSHOT_EVERY: u64 = 16;

fn main() -> ExitCode {
    let mut numbers = env::args().skip(1).map(|argument| argument.parse::<u64>());
    let (writers, edits) = (numbers.next().unwrap_or(Ok(4)), numbers.next().unwrap_or(Ok(50)));
    let (Ok(writers @ 1..=100), Ok(edits @ 1..=100_000)) = (writers, edits) else {
        eprintln!("usage: document [WRITERS, 1 to 100] [EDITS of each]");
        return ExitCode::from(2);
    };
    let server = env::var("FANWIRE_SERVER").unwrap_or_else(|_| "fanwire://127.0.0.1:7311".to_owned());
    match run(&server, writers, edits) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("document: {error}{}", hint(&error));
            ExitCode::FAILURE
        }
    }
}

fn hint(error: &Error) -> &'static str {
    match error.code() {
        Some(Code::StartUnavailable | Code::PolicyUnavailable | Code::AckLevelUnavailable) => {
            "; start the broker with: fanwire serve --data DIR --journal 'documents=documents/#'"
        }
        _ => "",
    }
}

/// Everybody writes, then everybody has the same text, and so has who comes late.
fn run(server: &str, writers: u64, edits: u64) -> Result<(), Error> {
    let name = format!("documents/{}", now_us());
    let total = writers * edits;
    let written: Result<Vec<Author>, Error> = thread::scope(|scope| {
        let write = |number| Author::open(server, &name, number)?.write(edits, total);
        let threads: Vec<_> = (1..=writers).map(|number| scope.spawn(move || write(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no author panics")).collect()
    });
    let written = written?;
    let text = &written[0].document.text;
    let conflicts: u64 = written.iter().map(|author| author.conflicts).sum();
    println!("{name}: {total} edits of {writers} writers, {conflicts} thought of too early and thought of again");
    println!("every writer has the same text: {}", written.iter().all(|author| author.document.text == *text));

    let mut late = Author::open(server, &name, writers + 1)?;
    late.read_to(total)?;
    println!("with the snapshot of edit {} and {} edits: {}", late.snapshot, late.applied, late.document.text == *text);
    let mut whole = Author::from_the_first_edit(server, &name)?;
    whole.read_to(total)?;
    println!("with all {} edits: {}", whole.applied, whole.document.text == *text);
    println!("\n{}", text.iter().collect::<String>());
    Ok(())
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// A text, and the sequence of the last edit in it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Document {
    text: Vec<char>,
    version: u64,
}

impl Document {
    /// `version text`, as snapshots have it.
    fn parse(snapshot: &[u8]) -> Option<Document> {
        let (version, text) = str::from_utf8(snapshot).ok()?.split_once(' ')?;
        Some(Document { text: text.chars().collect(), version: version.parse().ok()? })
    }

    fn snapshot(&self) -> String {
        format!("{} {}", self.version, self.text.iter().collect::<String>())
    }

    /// Whatever an edit says, everybody does the same: places beyond the text are its end, nonsense is nothing.
    fn apply(&mut self, sequence: u64, edit: &[u8]) {
        self.version = sequence;
        let words: Vec<&str> = str::from_utf8(edit).unwrap_or_default().splitn(3, ' ').collect();
        let [verb, place, what] = words[..] else { return };
        let place = place.parse().unwrap_or(usize::MAX).min(self.text.len());
        match verb {
            "insert" => {
                self.text.splice(place..place, what.chars());
            }
            "delete" => {
                let end = place.saturating_add(what.parse().unwrap_or(0)).min(self.text.len());
                self.text.drain(place..end);
            }
            _ => {}
        }
    }
}

/// One reader of the document, who may write too.
struct Author {
    client: Client,
    name: String,
    edits: SubscriptionId,
    document: Document,
    /// The edit that the text began with, and the edits that were applied to it.
    snapshot: u64,
    applied: u64,
    producer: Producer,
    number: u64,
    conflicts: u64,
}

impl Author {
    /// The newest snapshot, then the tail.
    fn open(server: &str, name: &str, number: u64) -> Result<Author, Error> {
        let mut client = Client::connect(server)?;
        let newest = client.subscribe(&format!("{name}/snapshot"), SubscribeOptions::last_value())?;
        let (mut document, mut is_read) = (Document::default(), false);
        while !is_read {
            client.wait(PATIENCE, |event| match event {
                Event::Message(snapshot) => document = Document::parse(&snapshot.payload).unwrap_or_default(),
                Event::CaughtUp { subscription, .. } => is_read |= subscription == newest,
                _ => {}
            })?;
        }
        client.unsubscribe(newest);
        Author::at(client, name, number, document)
    }

    /// Without a snapshot: the journal has everything.
    fn from_the_first_edit(server: &str, name: &str) -> Result<Author, Error> {
        Author::at(Client::connect(server)?, name, 0, Document::default())
    }

    fn at(mut client: Client, name: &str, number: u64, document: Document) -> Result<Author, Error> {
        let edits = client.subscribe(&format!("{name}/edits"), SubscribeOptions::sequence(document.version + 1))?;
        let (snapshot, name) = (document.version, name.to_owned());
        // The journal remembers producers, so each run has its own: the time, and the writer's number.
        let producer = Producer::new(now_us() << 8 | number)?;
        Ok(Author { client, name, edits, document, snapshot, applied: 0, producer, number, conflicts: 0 })
    }

    /// Writes so many edits, then reads everybody's.
    fn write(mut self, edits: u64, total: u64) -> Result<Author, Error> {
        let topic = format!("{}/edits", self.name);
        for _ in 0..edits {
            loop {
                let edit = self.think();
                let stamp = self.producer.stamp();
                let message = Message::new(&topic, edit.as_bytes()).expect(self.document.version).once(stamp);
                match self.client.publish_once(&message, AckLevel::Journaled, PATIENCE) {
                    Ok(acked) => {
                        let sequence = acked.sequence.unwrap_or(0);
                        self.read_to(sequence)?;
                        self.take_snapshot(sequence)?;
                        break;
                    }
                    Err(Error::Conflict { actual }) => {
                        self.conflicts += 1;
                        self.read_to(actual)?;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        self.client.flush()?;
        self.read_to(total)?;
        Ok(self)
    }

    /// An edit that fits the text as it is: a word at its end, or its oldest word gone when it is long.
    fn think(&self) -> String {
        let text = &self.document.text;
        match text.iter().position(|character| *character == ' ') {
            Some(word) if text.len() > 200 => format!("delete 0 {}", word + 1),
            _ => format!("insert {} {}.{} ", text.len(), self.number, self.producer.last() + 1),
        }
    }

    /// Whoever wrote an edit of a round number writes down the text. It may hold later edits already: a snapshot says
    /// itself which edit it is of, and readers apply what is behind it.
    fn take_snapshot(&mut self, sequence: u64) -> Result<(), Error> {
        if sequence.is_multiple_of(SNAPSHOT_EVERY) {
            let topic = format!("{}/snapshot", self.name);
            self.client.publish(&topic, self.document.snapshot().as_bytes())?;
        }
        Ok(())
    }

    /// Applies edits until the one with this sequence.
    fn read_to(&mut self, sequence: u64) -> Result<(), Error> {
        let (edits, document, applied) = (self.edits, &mut self.document, &mut self.applied);
        while document.version < sequence {
            let mut over = None;
            let told = self.client.wait(PATIENCE, |event| match event {
                Event::Message(edit) if edit.subscription == edits => {
                    document.apply(edit.sequence.unwrap_or(0), &edit.payload);
                    *applied += 1;
                }
                Event::Unsubscribed { subscription, refusal: Some(refusal) } if subscription == edits => {
                    over = Some(Error::Refused(refusal));
                }
                // The journal lost what was read, or removed what is missing: the oldest edit comes next.
                Event::Subscribed { subscription, outcome, .. } if subscription == edits && outcome.is_reset() => {
                    *document = Document::default();
                }
                _ => {}
            })?;
            match over {
                Some(error) => return Err(error),
                None if told == 0 => return Err(Error::Timeout { what: "an edit", after: PATIENCE }),
                None => {}
            }
        }
        Ok(())
    }
}

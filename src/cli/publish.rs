//! `fanwire pub`: one message, a message a line, or many at a pace.
//!
//! ```text
//!  payload | lines --pace--> client (buffers) --> broker
//!                              `--> tally: acks, refusals, the loss of the connection
//! ```
//!
//! The verb ends when the broker has taken everything, and says so with its status: a lost connection is never papered
//! over by a reconnect, because what was in flight may be missing.

use super::advice::with_advice;
use super::connection::{Server, parse_topic};
use super::pace::Pace;
use super::progress::Progress;
use super::{Failure, payload, tell};
use clap::ValueEnum;
use fanwire_client::{AckLevel, Client, Error, Event, Message, Refusal, Stamp, Subject};
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  fanwire pub chat/lobby 'hello, all'
  fanwire pub photos/new < cat.jpg
  tail -f app.log | fanwire pub logs/app --lines
  fanwire pub load/test x --repeat 100000 --rate 20000
  fanwire pub orders/7 paid --ack routed && echo every subscriber's queue has it

To a journal (the broker has journals: fanwire serve --journal 'NAME=FILTER'):
  fanwire pub orders/7 paid --ack durable                      and it survives the machine
  fanwire pub doc/7 'insert 3 x' --ack journaled --expect 41   refused unless record 41 is the newest
  fanwire pub orders/7 paid --ack durable --producer 8271:15   once, however often it is repeated

Standard error tells the sequence that the journal gave. Status 1: refused, or not known to have arrived; a repetition
with the same --producer is then safe.";

/// Publishes between two looks at what the broker says.
const LISTEN_EVERY: u64 = 256;
/// Publishes that may wait for their ack before the next one is sent.
const UNSETTLED_MAX: u64 = 16_384;
/// How long the broker may stay silent while acks are missing.
const ACK_PATIENCE: Duration = Duration::from_secs(10);

/// Publish a message, or one a line
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Publish {
    /// The topic to publish to
    #[arg(value_parser = parse_topic)]
    topic: String,
    /// The payload; standard input when absent
    #[arg(conflicts_with = "lines")]
    payload: Option<OsString>,
    /// What to wait for before the verb is done with a message
    #[arg(long, value_enum, default_value_t)]
    ack: Ack,
    /// Publish only if this is the topic's last sequence; 0: only as its first record
    ///
    /// Of several messages, each further one expects one more. A refusal tells the actual sequence.
    #[arg(long, value_name = "SEQ")]
    expect: Option<u64>,
    /// Have the journal take the message once: a producer's id, chosen once and at random, and its number
    ///
    /// Of several messages, each further one has the next number. Repeat a message with the same number when it is
    /// not known whether it arrived: the journal remembers a producer's last 128 numbers.
    #[arg(long, value_name = "ID:NUMBER", value_parser = parse_stamp)]
    producer: Option<Stamp>,
    /// Make each line of standard input a message, as it comes
    #[arg(long)]
    lines: bool,
    /// Publish each message this many times
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    repeat: u64,
    /// Publish at most this many messages a second, evenly
    #[arg(long, value_name = "R", value_parser = Pace::parse)]
    rate: Option<Pace>,
    #[command(flatten)]
    server: Server,
}

/// What an acknowledgement means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Ack {
    /// Nothing: the broker has taken it, and a refusal still fails the verb
    #[default]
    None,
    /// It stands in the queue of every subscriber; how many did is told at the end
    Routed,
    /// The topic's journal holds it: it survives the broker's process
    Journaled,
    /// The topic's journal has synced it: it survives the machine
    Durable,
}

impl Ack {
    const fn level(self) -> AckLevel {
        match self {
            Ack::None => AckLevel::None,
            Ack::Routed => AckLevel::Routed,
            Ack::Journaled => AckLevel::Journaled,
            Ack::Durable => AckLevel::Durable,
        }
    }

    /// What becomes of an acknowledged message.
    const fn word(self) -> &'static str {
        match self {
            Ack::None => "handed over",
            acknowledged => acknowledged.level().name(),
        }
    }
}

fn parse_stamp(text: &str) -> Result<Stamp, String> {
    let numbers = text.split_once(':').and_then(|(id, number)| Some((id.parse().ok()?, number.parse().ok()?)));
    match numbers {
        Some((id @ 1.., number @ 1..)) => Ok(Stamp { id, number }),
        _ => Err("a producer is ID:NUMBER, two numbers from 1 on, such as 8271:15".to_owned()),
    }
}

impl Publish {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut publisher = Publisher::new(self.server.connect_once()?, &self);
        let outcome = if self.lines {
            payload::each_line(|line, more_at_hand| publisher.publish(line, self.repeat, more_at_hand))
        } else {
            payload::whole(self.payload).and_then(|payload| publisher.publish(&payload, self.repeat, true))
        };
        outcome.and_then(|()| publisher.finish())
    }
}

/// The connection and how far the work is.
struct Publisher {
    client: Client,
    topic: String,
    ack: Ack,
    /// What the next message asks of a journal.
    expect: Option<u64>,
    stamp: Option<Stamp>,
    pace: Option<Pace>,
    begin: Instant,
    sent: u64,
    /// What the work amounts to, when that is known.
    total: Option<u64>,
    tally: Tally,
    progress: Option<Progress>,
}

impl Publisher {
    fn new(client: Client, arguments: &Publish) -> Publisher {
        Publisher {
            client,
            topic: arguments.topic.clone(),
            ack: arguments.ack,
            expect: arguments.expect,
            stamp: arguments.producer,
            pace: arguments.rate,
            begin: Instant::now(),
            sent: 0,
            total: (!arguments.lines).then_some(arguments.repeat),
            tally: Tally::default(),
            progress: io::stderr().is_terminal().then(Progress::default),
        }
    }

    /// Publishes one payload so many times. `more_at_hand`: another one follows at once.
    fn publish(&mut self, payload: &[u8], repeat: u64, more_at_hand: bool) -> Result<(), Failure> {
        for _ in 0..repeat {
            self.keep_pace()?;
            self.send(payload).map_err(|error| self.failed(&error))?;
            self.sent += 1;
            if self.sent.is_multiple_of(LISTEN_EVERY) {
                self.listen(Duration::ZERO)?;
                self.show_progress();
            }
        }
        if !more_at_hand {
            self.listen(Duration::ZERO)?;
        }
        while self.unsettled() > UNSETTLED_MAX {
            self.await_acks()?;
        }
        Ok(())
    }

    fn send(&mut self, payload: &[u8]) -> Result<(), Error> {
        let mut message = Message::new(&self.topic, payload);
        if let Some(sequence) = self.expect {
            message = message.expect(sequence);
        }
        if let Some(stamp) = self.stamp {
            message = message.once(stamp);
        }
        match self.ack {
            Ack::None => self.client.publish_message(&message)?,
            acked => self.client.send_acked(&message, acked.level()).map(|_| ())?,
        }
        self.expect = self.expect.map(|sequence| sequence.saturating_add(1));
        self.stamp = self.stamp.map(|stamp| Stamp { number: stamp.number.saturating_add(1), ..stamp });
        Ok(())
    }

    /// Waits until the next message is due; what was sent goes out meanwhile.
    fn keep_pace(&mut self) -> Result<(), Failure> {
        let Some(pace) = self.pace else { return Ok(()) };
        loop {
            let wait = pace.wait(self.sent, self.begin.elapsed());
            if wait.is_zero() {
                return Ok(());
            }
            self.listen(wait)?;
            self.show_progress();
        }
    }

    /// Writes what is buffered and hears what the broker says, for as long as there is nothing.
    fn listen(&mut self, patience: Duration) -> Result<usize, Failure> {
        let tally = &mut self.tally;
        let heard = if patience.is_zero() {
            self.client.poll(|event| tally.hear(event))
        } else {
            self.client.wait(patience, |event| tally.hear(event))
        };
        match (heard, self.tally.lost.take()) {
            (_, Some(error)) | (Err(error), None) => Err(self.failed(&error)),
            (Ok(told), None) => Ok(told),
        }
    }

    fn await_acks(&mut self) -> Result<(), Failure> {
        self.show_progress();
        if self.listen(ACK_PATIENCE)? == 0 {
            let silent = Error::Timeout { what: "acks", after: ACK_PATIENCE };
            return Err(self.failed(&silent));
        }
        Ok(())
    }

    fn unsettled(&self) -> u64 {
        match self.ack {
            Ack::None => 0,
            _ => self.sent.saturating_sub(self.tally.settled()),
        }
    }

    /// Waits until the broker has everything, and says what became of it.
    fn finish(mut self) -> Result<(), Failure> {
        while self.unsettled() > 0 {
            self.await_acks()?;
        }
        self.listen(Duration::ZERO)?;
        self.clear_progress();
        if let Some(refusal) = &self.tally.refusal {
            let (refused, sent, refusal) = (self.tally.refused, self.sent, with_advice(refusal));
            return Err(Failure::Run(format!("{refused} of {sent} messages refused: {refusal}")));
        }
        self.client.close()?;
        if self.ack != Ack::None {
            tell(&self.tally.summary(self.ack));
        }
        Ok(())
    }

    /// A failure on the way, with what is known of the messages so far.
    fn failed(&self, error: &Error) -> Failure {
        self.clear_progress();
        if let usage @ Failure::Usage(_) = Failure::from(error.clone()) {
            return usage;
        }
        let known = match self.ack {
            _ if self.sent == 0 => "nothing was published".to_owned(),
            Ack::None => format!("{} messages were handed over, the last of which may not have arrived", self.sent),
            _ => format!("{} of {} messages were acknowledged", self.tally.acked, self.sent),
        };
        Failure::Run(format!("{error}; {known}"))
    }

    fn show_progress(&mut self) {
        let Some(progress) = &mut self.progress else { return };
        if let Some(line) = progress.line(self.sent, self.total, self.begin.elapsed()) {
            // Progress that can't be shown is no reason to stop.
            let _ = io::stderr().write_all(line.as_bytes());
        }
    }

    fn clear_progress(&self) {
        if let Some(progress) = &self.progress {
            let _ = io::stderr().write_all(progress.clear().as_bytes());
        }
    }
}

/// What the broker said about the publishes.
#[derive(Debug, Default)]
struct Tally {
    acked: u64,
    /// Of these, what the journal had accepted before.
    duplicates: u64,
    /// The highest sequence that a journal gave.
    sequence: Option<u64>,
    refused: u64,
    /// The first refusal: the others are most likely the same.
    refusal: Option<Refusal>,
    lost: Option<Error>,
}

impl Tally {
    fn hear(&mut self, event: Event<'_>) {
        match event {
            Event::Acked { count, first_sequence, is_duplicate, .. } => {
                self.acknowledge(count.into(), first_sequence, is_duplicate);
            }
            Event::Refused { subject: Subject::Publish(_) | Subject::UnackedPublish, refusal } => {
                self.refused += 1;
                self.refusal.get_or_insert(refusal);
            }
            Event::Disconnected { error, .. } => self.lost = Some(error),
            _ => {}
        }
    }

    fn acknowledge(&mut self, count: u64, first_sequence: Option<u64>, is_duplicate: bool) {
        self.acked += count;
        self.duplicates += if is_duplicate { count } else { 0 };
        self.sequence = self.sequence.max(first_sequence.map(|first| first.saturating_add(count.saturating_sub(1))));
    }

    fn summary(&self, ack: Ack) -> String {
        let messages = if self.acked == 1 { "message" } else { "messages" };
        let mut summary = format!("{} {messages} {}", self.acked, ack.word());
        match self.sequence {
            Some(sequence) if self.acked == 1 => summary += &format!(", sequence {sequence}"),
            Some(sequence) => summary += &format!(", the last with sequence {sequence}"),
            None => {}
        }
        match self.duplicates {
            0 => {}
            1 if self.acked == 1 => summary += "; it had been accepted before",
            duplicates => summary += &format!("; {duplicates} had been accepted before"),
        }
        summary
    }

    const fn settled(&self) -> u64 {
        self.acked + self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanwire_client::Retry;

    #[test]
    fn the_tally_counts_ranges_and_keeps_the_first_refusal() {
        let refusal = |code| Refusal { code, retry: Retry::Never, text: String::new(), actual: None };
        let mut tally = Tally::default();
        for code in [101, 103] {
            tally.hear(Event::Refused { subject: Subject::UnackedPublish, refusal: refusal(code) });
        }
        assert_eq!((tally.acked, tally.refused, tally.settled()), (0, 2, 2));
        assert_eq!(tally.refusal, Some(refusal(101)));
        tally.hear(Event::Disconnected { error: Error::Disconnected, publishes_unsent: 0, reconnect_in: None });
        assert!(tally.lost.is_some());
    }

    #[test]
    fn what_the_journal_said_is_summed_up() {
        let mut tally = Tally::default();
        tally.acknowledge(1, Some(5), true);
        assert_eq!(tally.summary(Ack::Durable), "1 message durable, sequence 5; it had been accepted before");
        tally.acknowledge(3, Some(6), false);
        let summed = "4 messages journaled, the last with sequence 8; 1 had been accepted before";
        assert_eq!(tally.summary(Ack::Journaled), summed);
        let mut live = Tally::default();
        live.acknowledge(2, None, false);
        assert_eq!(live.summary(Ack::Routed), "2 messages routed");
    }

    #[test]
    fn a_producer_is_two_numbers_from_one_on() {
        assert_eq!(parse_stamp("8271:15"), Ok(Stamp { id: 8271, number: 15 }));
        for wrong in ["8271", "0:1", "1:0", "a:1", "1:-1", "1:1:1"] {
            assert!(parse_stamp(wrong).is_err(), "{wrong}");
        }
    }
}

//! `fanwire pub`: one message, a message a line, or many at a pace.
//!
//! ```text
//!  payload | lines --pace--> client (buffers) --> broker
//!                              `--> tally: acks, refusals, the loss of the connection
//! ```
//!
//! The verb ends when the broker has taken everything, and says so with its status: a lost connection is never papered
//! over by a reconnect, because what was in flight may be missing.

use super::connection::{Server, parse_topic};
use super::pace::{Pace, Progress};
use super::{Failure, payload, tell};
use clap::ValueEnum;
use fanwire_client::{AckLevel, Client, Error, Event, Message, Refusal, Subject};
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  fanwire pub chat/lobby 'hello, all'
  fanwire pub photos/new < cat.jpg
  tail -f app.log | fanwire pub logs/app --lines
  fanwire pub load/test x --repeat 100000 --rate 20000
  fanwire pub orders/7 paid --ack routed && echo every subscriber's queue has it";

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
        match self.ack {
            Ack::None => self.client.publish(&self.topic, payload),
            Ack::Routed => {
                self.client.send_acked(&Message::new(&self.topic, payload), AckLevel::Routed)?;
                Ok(())
            }
        }
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
            Ack::Routed => self.sent.saturating_sub(self.tally.settled()),
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
            return Err(Failure::Run(format!("{} of {} messages refused: {refusal}", self.tally.refused, self.sent)));
        }
        let (ack, acked) = (self.ack, self.tally.acked);
        self.client.close()?;
        if ack == Ack::Routed {
            tell(&format!("{acked} {} routed", if acked == 1 { "message" } else { "messages" }));
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
            Ack::Routed => format!("{} of {} messages were acknowledged", self.tally.acked, self.sent),
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
    refused: u64,
    /// The first refusal: the others are most likely the same.
    refusal: Option<Refusal>,
    lost: Option<Error>,
}

impl Tally {
    fn hear(&mut self, event: Event<'_>) {
        match event {
            Event::Acked { count, .. } => self.acked += u64::from(count),
            Event::Refused { subject: Subject::Publish(_) | Subject::UnackedPublish, refusal } => {
                self.refused += 1;
                self.refusal.get_or_insert(refusal);
            }
            Event::Disconnected { error, .. } => self.lost = Some(error),
            _ => {}
        }
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
        let refusal = |code| Refusal { code, retry: Retry::Never, text: String::new() };
        let mut tally = Tally::default();
        for code in [101, 103] {
            tally.hear(Event::Refused { subject: Subject::UnackedPublish, refusal: refusal(code) });
        }
        assert_eq!((tally.acked, tally.refused, tally.settled()), (0, 2, 2));
        assert_eq!(tally.refusal, Some(refusal(101)));
        tally.hear(Event::Disconnected { error: Error::Disconnected, publishes_unsent: 0, reconnect_in: None });
        assert!(tally.lost.is_some());
    }
}

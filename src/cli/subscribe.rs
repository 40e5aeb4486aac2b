//! `fanwire sub`: what is published, as it comes.
//!
//! ```text
//!  poll --> show (buffered) --nothing more at hand--> flush --> wait
//! ```
//!
//! Messages go to standard output; gaps, losses of the connection and its return go to standard error, where they
//! neither disturb a pipe nor hide. Output is written when nothing more is at hand, or when much has gathered.

use super::connection::{Server, ceilings, parse_filter, parse_group};
use super::interrupt::Interrupt;
use super::notice::{ended, notice};
use super::output::{Format, Output, Place, Shown};
use super::{Failure, tell};
use clap::ValueEnum;
use fanwire_client::{Client, Delivery, Event, Policy, Start, SubscribeOptions, SubscriptionId};
use fanwire_gateway::http::start;
use fanwire_wire::{TopicFilter, TopicName};
use std::io::{StdoutLock, Write};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  fanwire sub 'chat/#'
  fanwire sub sensors/+/temperature alarms/# --format json | jq .payload
  fanwire sub config/current --count 1 --format raw > current.bin
  fanwire sub 'world/#' --max-rate 10        at most 10 newest values a second and topic
  fanwire sub jobs/new --group workers       each message goes to one member of the group

What a journal holds, then what comes (the broker has journals: fanwire serve --journal 'NAME=FILTER'):
  fanwire sub match/7 --from first                              from the oldest record on
  fanwire sub 'orders/#' --from last                            the newest record of each topic, then live
  fanwire sub orders/eu --from last:100 --until caught-up       the newest 100 records, and done
  fanwire sub 'match/#' --from time:2026-01-31T12:00:00Z --format json
  fanwire sub orders/eu --from resume:1767225600000000:1041     behind the epoch and seq received last

A message that several of the filters match is shown once; with --from, once for each of them.
Ctrl-C ends the verb with status 0, and so does a reader that closes the pipe. With --until caught-up the status is 0
when every filter's history was shown to its end, and 1 when one could not be.";

/// How long to wait for messages before looking whether somebody pressed Ctrl-C.
const PATIENCE: Duration = Duration::from_millis(200);

/// Subscribe, and print messages as they come
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Subscribe {
    /// Topics, in which + stands for one level and # at the end for all the rest
    #[arg(value_name = "FILTER", required = true, value_parser = parse_filter)]
    filters: Vec<String>,
    /// Share the messages with the other members of this group
    #[arg(long, value_name = "NAME", value_parser = parse_group)]
    group: Option<String>,
    /// End after this many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Where to start, for filters that lie inside one journal
    ///
    /// first: the oldest record. last: the newest record of each topic. last:N: the newest N records. seq:N: this
    /// sequence of one topic. pos:N: this position of the journal. time:T: the first record that is not older than T
    /// (RFC 3339, UTC). resume:EPOCH:N: behind the seq (one topic) or position (a wildcard) received last, with its
    /// epoch; --format json shows all three. Standard error tells RESUMED or RESET, when the place is gone.
    #[arg(long, value_name = "START", value_parser = start::parse, default_value = "live")]
    from: Start,
    /// End when this is reached; needs --from
    #[arg(long, value_enum, value_name = "END")]
    until: Option<Until>,
    /// What the broker does when this reader is too slow [default: disconnect; conflate with --max-rate; catch-up
    /// with --from]
    #[arg(long, value_enum, value_name = "POLICY")]
    overflow: Option<Overflow>,
    /// At most this many messages a second and topic, the newest ones; needs the policy conflate
    ///
    /// What newer ones replace is not told then: it is what was asked for.
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u16).range(1..))]
    max_rate: Option<u16>,
    /// Leave out messages that this very connection publishes
    #[arg(long)]
    no_echo: bool,
    /// How a message is shown
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    server: Server,
}

/// Where a subscription may end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Until {
    /// The history of every filter is shown
    CaughtUp,
}

/// The overflow policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Overflow {
    /// Close the connection, and come back: no silent loss
    Disconnect,
    /// Drop what has waited longest, and say how many
    DropOldest,
    /// Drop what arrives, and say how many
    DropNewest,
    /// Keep only the newest message of each topic
    Conflate,
    /// Go on from the journal, at the pace of this reader: nothing is missing
    CatchUp,
}

impl Overflow {
    const fn policy(self) -> Policy {
        match self {
            Overflow::Disconnect => Policy::Disconnect,
            Overflow::DropOldest => Policy::DropOldest,
            Overflow::DropNewest => Policy::DropNewest,
            Overflow::Conflate => Policy::Conflate,
            Overflow::CatchUp => Policy::CatchUp,
        }
    }
}

impl Subscribe {
    pub(super) fn run(self) -> Result<(), Failure> {
        let options = self.options()?;
        let interrupt = Interrupt::listen()?;
        let mut client = self.server.connect_lasting()?;
        let mut listener = Listener::new(Output::standard(self.format), &options, self.count, self.until);
        for filter in self.filters {
            let subscription = client.send_subscribe(&filter, options.clone())?;
            listener.filters.push((subscription, filter));
        }
        let outcome = listen(&mut client, &mut listener, &interrupt);
        // What was heard is shown, however it ended.
        outcome.and(listener.output.flush().map_err(Failure::from))
    }

    fn options(&self) -> Result<SubscribeOptions, Failure> {
        let usage = |message: &str| Err(Failure::Usage(message.to_owned()));
        let overflow = match (self.overflow, self.max_rate) {
            (None, None) if self.from == Start::Live => Overflow::Disconnect,
            (None, None) => Overflow::CatchUp,
            (None, Some(_)) => Overflow::Conflate,
            (Some(chosen), None) | (Some(chosen @ Overflow::Conflate), Some(_)) => chosen,
            (Some(_), Some(_)) => return usage("--max-rate needs --overflow conflate: it shows newest values only"),
        };
        if overflow == Overflow::Conflate && self.group.is_some() {
            return usage("a group can't conflate: its messages are work to be done once, not states to be replaced");
        }
        if self.group.is_some() && (self.from != Start::Live || overflow == Overflow::CatchUp) {
            return usage("a group is live only: leave out --group to read the journal, or --from to share what comes");
        }
        if self.until.is_some() && self.from == Start::Live {
            return usage("--until caught-up needs a history that ends: say where it begins, such as --from first");
        }
        Ok(SubscribeOptions {
            policy: overflow.policy(),
            no_echo: self.no_echo,
            max_rate_hz: self.max_rate.unwrap_or(0),
            group: self.group.clone(),
            responder: false,
            start: self.from,
        })
    }
}

fn listen<W: Write>(client: &mut Client, listener: &mut Listener<W>, interrupt: &Interrupt) -> Result<(), Failure> {
    while !listener.is_done() && !interrupt.is_asked() {
        let told = client.poll(|event| listener.hear(&event))?;
        if told == 0 {
            listener.output.flush()?;
            client.wait(PATIENCE, |event| listener.hear(&event))?;
        }
        if let Some(failure) = listener.failure.take() {
            return Err(failure);
        }
    }
    Ok(())
}

/// What was asked for and how far it is.
struct Listener<W: Write> {
    output: Output<W>,
    /// The subscriptions that stand or are about to, in the order of the arguments.
    filters: Vec<(SubscriptionId, String)>,
    /// Subscriptions that have stood once: their return after a reconnect is not told again.
    standing: Vec<SubscriptionId>,
    /// Whether each subscription's messages are shown for it alone: a group's never merge with others, and each
    /// filter has a history of its own.
    apart: bool,
    /// Whether to end when every subscription's history is shown.
    until: Option<Until>,
    /// Subscriptions whose history is shown.
    caught_up: Vec<SubscriptionId>,
    /// Whether a maximum rate was asked for, so that replaced messages are no news.
    rated: bool,
    /// Messages still to be shown; `None`: no end.
    left: Option<u64>,
    failure: Option<Failure>,
}

impl Listener<StdoutLock<'static>> {
    fn new(
        output: Output<StdoutLock<'static>>,
        options: &SubscribeOptions,
        count: Option<u64>,
        until: Option<Until>,
    ) -> Self {
        Listener {
            output,
            filters: Vec::new(),
            standing: Vec::new(),
            apart: options.group.is_some() || options.start != Start::Live,
            until,
            caught_up: Vec::new(),
            rated: options.max_rate_hz > 0,
            left: count,
            failure: None,
        }
    }
}

impl<W: Write> Listener<W> {
    fn is_done(&self) -> bool {
        let is_at_end = || self.filters.iter().all(|(id, _)| self.caught_up.contains(id));
        self.left == Some(0) || (self.until == Some(Until::CaughtUp) && is_at_end())
    }

    fn hear(&mut self, event: &Event<'_>) {
        match event {
            Event::Message(delivery) => self.show(delivery),
            Event::Subscribed { subscription, .. } => {
                self.stand(*subscription);
                self.tell(event);
            }
            Event::CaughtUp { subscription, .. } => {
                self.caught_up.push(*subscription);
                if self.until.is_none() {
                    self.tell(event);
                }
            }
            Event::Gap { dropped: 0, .. } if self.rated => {}
            other => self.tell(other),
        }
    }

    fn show(&mut self, delivery: &Delivery<'_>) {
        let is_past_end = self.until.is_some() && self.caught_up.contains(&delivery.subscription);
        if self.is_done() || is_past_end || self.failure.is_some() || !self.shows(delivery) {
            return;
        }
        let place = delivery.sequence.map(|sequence| Place {
            epoch: delivery.epoch,
            sequence,
            position: delivery.position,
            time_us: delivery.time_us,
            is_history: delivery.is_history,
        });
        let shown = Shown { topic: &delivery.topic, headers: delivery.headers(), payload: &delivery.payload, place };
        if let Err(error) = self.output.show(shown) {
            self.failure = Some(error.into());
        }
        self.left = self.left.map(|left| left - 1);
    }

    /// Whether this is the delivery to show of those that one message may bring: the one of the first filter.
    fn shows(&self, delivery: &Delivery<'_>) -> bool {
        let earlier = self.filters.iter().take_while(|(subscription, _)| *subscription != delivery.subscription);
        self.apart || !earlier.into_iter().any(|(_, filter)| matches(filter, &delivery.topic))
    }

    fn stand(&mut self, subscription: SubscriptionId) {
        if self.standing.contains(&subscription) {
            return;
        }
        self.standing.push(subscription);
        if let Some((_, filter)) = self.filters.iter().find(|(id, _)| *id == subscription) {
            tell(&format!("subscribed to {filter}"));
        }
    }

    fn tell(&mut self, event: &Event<'_>) {
        if let Some(notice) = notice(event, &self.filters) {
            tell(&notice);
        }
        if let Some(subscription) = ended(event) {
            self.filters.retain(|(id, _)| *id != subscription);
            if self.until.is_some() {
                self.failure = Some(Failure::Run("a history could not be shown to its end".to_owned()));
            } else if self.filters.is_empty() {
                self.failure = Some(Failure::Run("no subscription is left".to_owned()));
            }
        }
    }
}

fn matches(filter: &str, topic: &str) -> bool {
    let limits = ceilings();
    let filter = TopicFilter::new(filter.as_bytes(), &limits);
    let topic = TopicName::new(topic.as_bytes(), &limits);
    matches!((filter, topic), (Ok(filter), Ok(topic)) if filter.matches(topic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        verb: Subscribe,
    }

    fn options(arguments: &[&str]) -> Result<SubscribeOptions, Failure> {
        let verb = Only::try_parse_from(["sub", "a/#"].iter().chain(arguments)).unwrap().verb;
        verb.options()
    }

    #[test]
    fn a_maximum_rate_means_conflating_and_nothing_else() {
        assert_eq!(options(&[]).unwrap().policy, Policy::Disconnect);
        assert_eq!(options(&["--overflow", "drop-oldest"]).unwrap().policy, Policy::DropOldest);
        let rated = options(&["--max-rate", "20"]).unwrap();
        assert_eq!((rated.policy, rated.max_rate_hz), (Policy::Conflate, 20));
        let explicit = options(&["--max-rate", "20", "--overflow", "conflate"]).unwrap();
        assert_eq!(explicit, rated);
        assert!(matches!(options(&["--max-rate", "20", "--overflow", "drop-newest"]), Err(Failure::Usage(_))));
        assert!(matches!(options(&["--max-rate", "20", "--group", "g"]), Err(Failure::Usage(_))));
    }

    #[test]
    fn a_start_in_the_past_means_catching_up() {
        let first = options(&["--from", "first", "--until", "caught-up"]).unwrap();
        assert_eq!((first.start, first.policy), (Start::First, Policy::CatchUp));
        let chosen = options(&["--from", "last", "--overflow", "drop-newest"]).unwrap();
        assert_eq!((chosen.start, chosen.policy), (Start::LastValue, Policy::DropNewest));
        assert_eq!(options(&["--overflow", "catch-up"]).unwrap().start, Start::Live);
        for wrong in [&["--until", "caught-up"][..], &["--from", "first", "--group", "g"]] {
            assert!(matches!(options(wrong), Err(Failure::Usage(_))), "{wrong:?}");
        }
    }

    #[test]
    fn filters_decide_locally_as_the_broker_does() {
        assert!(matches("a/#", "a/b"));
        assert!(!matches("a/+", "a/b/c"));
        assert!(!matches("#", "$sys/x"));
    }
}

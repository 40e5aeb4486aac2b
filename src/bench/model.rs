//! Scaling on paper: from what a message, a delivery, a write and a hop cost to what many cores would carry.
//!
//! ```text
//!  hops      = (N - 1) x (1 - (1 - 1 / (N - 1)) ^ (S x r))     other reactors with at least one subscriber
//!  a message = message + hops x hop + S x (delivery + write / b)       nanoseconds of CPU, on all cores together
//!  all cores = N x 1e9 / a message                                     messages a second, traffic spread evenly
//!  one topic = 1e9 / max(message + hops x hop + S x (1 - r) x (delivery + write / b),      its publisher's reactor
//!                        S x r / hops x (delivery + write / b))                 any other one with subscribers
//! ```
//!
//! N reactors with a core each, S subscribers of a message, r the share of them on other reactors than the publisher's
//! ((N - 1) / N when nobody chooses), b messages in one write to a subscriber. All of a hop is charged to the
//! publisher's reactor, which is more than its part.
//!
//! Left out, all of it to the model's favour: polls, reads and wakes of messages that come alone (messages and hops
//! are measured in batches, so the model is one of busy brokers), memory bandwidth and caches that cores share, locks
//! of the kernel and the network card with its interrupts (the other half of the cores is left to them), N x (N - 1)
//! mailboxes to be looked at, interest that many wildcards make coarse, load that is not spread evenly. Left out to
//! its disfavour: batches grow with the load, so that a write carries more where it counts.

use super::spread::Spread;

/// What things cost on one machine, in nanoseconds of CPU.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prices {
    /// A message: reading, decoding, routing, rendering it once.
    pub message_ns: f64,
    /// A delivery: a subscriber's part of a turn, without its write.
    pub delivery_ns: f64,
    /// A write to a subscriber, the kernel's part included.
    pub write_ns: f64,
    /// A message's way to one more reactor.
    pub hop_ns: f64,
}

/// What was seen, a line for each equation that the prices come from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// CPU for one delivery.
    pub delivery_ns: f64,
    /// Messages that a write carried.
    pub messages_per_write: f64,
}

/// What the prices come from. All with one publisher.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observations {
    /// One subscriber, saturated.
    pub one: Seen,
    /// `subscribers` of them, saturated.
    pub many: Seen,
    /// The same, so slow that each message has a write of its own.
    pub slow: Seen,
    /// How many they are.
    pub subscribers: f64,
    /// What a hop cost, in nanoseconds, by each way to measure it.
    pub hops_ns: [f64; 3],
}

/// A kind of traffic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Subscribers of a message.
    pub subscribers: f64,
    /// Messages in one write to one of them.
    pub messages_per_write: f64,
    /// The share of them on other reactors; `None`: as chance has it.
    pub remote: Option<f64>,
}

/// What cores carry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Messages a second.
    pub messages: f64,
    /// Deliveries a second.
    pub deliveries: f64,
    /// Messages a second of one topic with one publisher.
    pub one_topic: f64,
    /// The share of a core's work that goes to messages, hops, deliveries, writes.
    pub shares: [(&'static str, f64); 4],
}

impl Prices {
    /// Solves the equations. Noise may make a price less than nothing: that counts as nothing.
    pub fn of(seen: &Observations) -> Prices {
        let Observations { one, many, slow, subscribers, hops_ns } = *seen;
        let writes = |seen: Seen| 1.0 / seen.messages_per_write;
        let write_ns = ((slow.delivery_ns - many.delivery_ns) / (writes(slow) - writes(many))).max(0.0);
        let without = |seen: Seen| seen.delivery_ns - write_ns * writes(seen);
        let message_ns = (without(one) - without(many)) * subscribers / (subscribers - 1.0);
        let message_ns = message_ns.max(0.0);
        let delivery_ns = (without(many) - message_ns / subscribers).max(0.0);
        let hop_ns = Spread::of(hops_ns).map_or(0.0, |spread| spread.median.max(0.0));
        Prices { message_ns, delivery_ns, write_ns, hop_ns }
    }

    /// What so many cores carry, a reactor on each.
    pub fn carried(&self, shape: &Shape, cores: u32) -> Load {
        let (count, others) = (f64::from(cores), f64::from(cores.saturating_sub(1)));
        let remote = if cores > 1 { shape.remote.unwrap_or(others / count) } else { 0.0 };
        let hops = hops(others, shape.subscribers * remote);
        let (deliveries_ns, writes_ns) =
            (shape.subscribers * self.delivery_ns, shape.subscribers * self.write_ns / shape.messages_per_write);
        let parts = [self.message_ns, hops * self.hop_ns, deliveries_ns, writes_ns];
        let total_ns: f64 = parts.iter().sum();
        let sent_ns = deliveries_ns + writes_ns;
        let own_ns = parts[0] + parts[1] + (1.0 - remote) * sent_ns;
        let other_ns = if hops > 0.0 { remote / hops * sent_ns } else { 0.0 };
        let messages = count * 1e9 / total_ns;
        Load {
            messages,
            deliveries: messages * shape.subscribers,
            one_topic: 1e9 / own_ns.max(other_ns),
            shares: [
                ("messages", parts[0] / total_ns),
                ("hops", parts[1] / total_ns),
                ("deliveries", parts[2] / total_ns),
                ("writes", parts[3] / total_ns),
            ],
        }
    }
}

/// How many of the other reactors have at least one of so many subscribers.
fn hops(others: f64, remote_subscribers: f64) -> f64 {
    if others < 1.0 {
        return 0.0;
    }
    others * (1.0 - (1.0 - 1.0 / others).powf(remote_subscribers))
}

impl Load {
    /// What most of the work goes to.
    pub fn dominant(&self) -> (&'static str, f64) {
        self.shares.into_iter().max_by(|one, other| one.1.total_cmp(&other.1)).expect("four of them")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICES: Prices = Prices { message_ns: 100.0, delivery_ns: 10.0, write_ns: 1_000.0, hop_ns: 50.0 };

    fn near(one: f64, other: f64) -> bool {
        (one / other - 1.0).abs() < 1e-9
    }

    /// What a machine with these prices would show.
    fn seen(subscribers: f64, messages_per_write: f64) -> Seen {
        let shared_ns = PRICES.message_ns / subscribers;
        Seen { delivery_ns: shared_ns + PRICES.delivery_ns + PRICES.write_ns / messages_per_write, messages_per_write }
    }

    #[test]
    fn prices_are_found_in_what_they_make() {
        let seen = Observations {
            one: seen(1.0, 200.0),
            many: seen(100.0, 500.0),
            slow: seen(100.0, 1.0),
            subscribers: 100.0,
            hops_ns: [50.0, -20.0, 60.0],
        };
        let found = Prices::of(&seen);
        assert!(near(found.message_ns, 100.0) && near(found.delivery_ns, 10.0), "{found:?}");
        assert!(near(found.write_ns, 1_000.0) && found.hop_ns == 50.0, "{found:?}");
        let backwards = Observations { hops_ns: [-5.0; 3], ..seen };
        assert_eq!(Prices::of(&backwards).hop_ns, 0.0);
    }

    #[test]
    fn one_core_has_no_hops() {
        let shape = Shape { subscribers: 100.0, messages_per_write: 50.0, remote: None };
        let load = PRICES.carried(&shape, 1);
        assert!(near(load.messages, 1e9 / (100.0 + 100.0 * 30.0)), "{load:?}");
        assert!(near(load.deliveries, load.messages * 100.0) && near(load.one_topic, load.messages));
        assert_eq!((load.shares[1], load.dominant().0), (("hops", 0.0), "writes"));
    }

    #[test]
    fn a_message_goes_to_each_other_reactor_once_at_the_most() {
        assert_eq!(hops(0.0, 10.0), 0.0);
        assert!(near(hops(1.0, 5.0), 1.0) && near(hops(3.0, 1.0), 1.0));
        assert!(hops(63.0, 1e6) <= 63.0 && hops(63.0, 1e6) > 62.999);
    }

    #[test]
    fn rooms_that_stay_on_one_core_scale_without_loss() {
        let shape = Shape { subscribers: 100.0, messages_per_write: 1.0, remote: Some(0.0) };
        assert!(near(PRICES.carried(&shape, 64).messages, 64.0 * PRICES.carried(&shape, 1).messages));
    }

    #[test]
    fn a_single_subscriber_far_away_is_bound_by_its_own_reactor() {
        let shape = Shape { subscribers: 1.0, messages_per_write: 1.0, remote: Some(1.0) };
        assert!(near(PRICES.carried(&shape, 64).one_topic, 1e9 / 1_010.0));
    }

    #[test]
    fn one_topic_is_bound_by_its_publishers_reactor() {
        let shape = Shape { subscribers: 1_000.0, messages_per_write: 50.0, remote: None };
        let (few, most) = (PRICES.carried(&shape, 4), PRICES.carried(&shape, 64));
        assert!(most.one_topic > few.one_topic && most.one_topic < most.messages);
        // The hops to 63 reactors are more than what is left of the deliveries.
        assert!(near(most.one_topic, 1e9 / (100.0 + 63.0 * 50.0 * (1.0 - (62.0_f64 / 63.0).powf(984.375)) + 468.75)));
    }
}

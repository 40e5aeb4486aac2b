//! What the generator is to do: who connects, who publishes where, who hears what, how fast and for how long.

use super::adapter::{Interest, Part, Target, Topics};
use super::window::Window;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// The connections of a run.
#[derive(Debug)]
pub struct Scenario {
    /// Whose protocol.
    pub target: Target,
    /// Where it listens.
    pub address: SocketAddr,
    /// The broker's process, where it can be looked at.
    pub process: Option<u32>,
    /// All topics.
    pub topics: Topics,
    /// How many publishers each topic has: their numbers run from 0.
    pub publishers_a_topic: u32,
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// The connections, in the order in which they are made.
    pub members: Vec<Member>,
}

/// A connection.
#[derive(Debug, Clone)]
pub struct Member {
    /// What it is for.
    pub part: Part,
    /// What it hears.
    pub interest: Interest,
    /// What it publishes.
    pub publishing: Option<Publishing>,
    /// Whether it wants to stay without its own messages.
    pub no_echo: bool,
    /// Whether it reads once it stands. Who does not is no measure of anything, and its messages may be dropped.
    pub reads: bool,
}

/// What a connection publishes.
#[derive(Debug, Clone)]
pub struct Publishing {
    /// Its number among the publishers of its topics.
    pub number: u32,
    /// To which topics.
    pub order: Order,
}

/// The topics of one publisher's messages.
#[derive(Debug, Clone)]
pub enum Order {
    /// Always this one.
    Fixed(u32),
    /// All of them, one after the other.
    Cycle,
    /// All of them in this order, again and again.
    Shuffled(Rc<[u32]>),
}

impl Member {
    /// Somebody who connects and does nothing.
    pub fn idle() -> Member {
        Member { part: Part::Member, interest: Interest::Nothing, publishing: None, no_echo: false, reads: true }
    }

    /// Somebody who hears one topic.
    pub fn hearing(topic: u32) -> Member {
        Member { interest: Interest::Topics(topic..topic + 1), ..Member::idle() }
    }

    /// Somebody who publishes.
    pub fn publishing(number: u32, order: Order) -> Member {
        Member { publishing: Some(Publishing { number, order }), ..Member::idle() }
    }
}

/// How messages are sent and measured.
#[derive(Debug, Clone)]
pub struct Load {
    /// Messages of one write of a publisher.
    pub batch: u32,
    /// What keeps the publishers back.
    pub drive: Drive,
    /// How long it runs before it is measured.
    pub warm_up: Duration,
    /// How long it is measured.
    pub duration: Duration,
}

/// What keeps the publishers back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Drive {
    /// As fast as the slowest subscriber reads; closed loop.
    Saturate(Window),
    /// So many messages a second in all, whatever happens; open loop. Latencies count from when a message was due,
    /// even where a window holds it back.
    Pace {
        /// Messages a second.
        rate: f64,
        /// How many may be under way; `None`: any number.
        window: Option<Window>,
    },
}

/// The numbers from 0 in an order that no cache can guess, the same every time.
pub fn shuffled(count: u32) -> Rc<[u32]> {
    let mut order: Vec<u32> = (0..count).collect();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for last in (1..order.len()).rev() {
        // Xorshift: good enough to be no pattern.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let other = usize::try_from(state % (last as u64 + 1)).expect("an index");
        order.swap(last, other);
    }
    order.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_loses_nothing_and_leaves_little_in_place() {
        let order = shuffled(1_000);
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1_000).collect::<Vec<u32>>());
        let unmoved = order.iter().zip(0..).filter(|(value, place)| *value == place).count();
        assert!(unmoved < 20, "{unmoved} stayed in place");
        assert_eq!(order, shuffled(1_000));
    }
}

//! What brokers are measured with, a file each.

pub mod conns;
pub mod fanout;
pub mod game;
pub mod isolation;
pub mod journal;
pub mod latency;
pub mod request;
pub mod storm;
pub mod topics;

use super::adapter::{Target, Topics};
use super::brokers::Broker;
use super::scenario::{Member, Scenario};
use std::time::Duration;

/// How long a run goes before it is measured.
pub const WARM_UP: Duration = Duration::from_millis(500);

/// Why a stream of events takes no part in what its hearers answer.
const ONE_WAY: &str = "who hears a stream of events says nothing on it";

/// A scenario against this broker.
fn scenario(broker: &Broker, topics: Topics, payload_bytes: usize, members: Vec<Member>) -> Scenario {
    Scenario {
        target: broker.target,
        address: broker.address,
        process: broker.process,
        topics,
        publishers_a_topic: 1,
        payload_bytes,
        members,
    }
}

/// Topics in the spelling of this target.
fn topics(target: Target, count: u32) -> Topics {
    Topics::new(count, target.separator())
}

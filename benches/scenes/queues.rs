//! Out-queues: what one place in a queue costs a subscriber that reads, and one that does not.
//!
//! ```text
//!  advance       one message a turn, 100 subscribers whose sockets take it     enqueue, front, advance
//!  drop-oldest   the same, but their sockets are full and so are their queues  the oldest becomes part of a GAP
//!  conflate      the same, and only the newest value is kept                   the old value is replaced
//! ```

use super::stage::{Stage, publish_payload, wish};
use super::{Scene, Work};
use fanwire_core::command::Subscribe;
use fanwire_core::{Command, Counters, SessionId, Settings, Target};
use fanwire_wire::Limits;
use fanwire_wire::frame::Policy;

pub(super) const SCENES: &[Scene] = &[
    Scene::new("queue/advance", "delivery", advance),
    Scene::new("queue/drop-oldest", "delivery", drop_oldest),
    Scene::new("queue/conflate", "delivery", conflate),
];

const SUBSCRIBERS: u64 = 100;
const WARM_UP_RUNS: u32 = 20;
const TOPIC: &[u8] = b"room/1";
/// Small, and queues with it, and messages not the smallest: so queues are full soon.
const FRAME_BYTES_MAX: u32 = 4_096;
const PAYLOAD: [u8; 1_024] = [7; 1_024];

/// One who publishes, and many who listen.
struct Crowd {
    stage: Stage,
    publisher: SessionId,
}

impl Crowd {
    /// Subscribers whose sockets take everything.
    fn reading(policy: Policy) -> (Crowd, Vec<SessionId>) {
        let queue_bytes_max = Settings::queue_bytes_min(FRAME_BYTES_MAX);
        let limits = Limits { frame_bytes_max: FRAME_BYTES_MAX, queue_bytes_max, ..Limits::default() };
        let mut stage = Stage::new(Settings { limits, ..Settings::default() });
        let publisher = stage.open();
        stage.command(publisher, &Command::Register { short_id: 0, topic: TOPIC });
        let subscribers = stage.open_many(SUBSCRIBERS, Subscribe { policy, ..wish(TOPIC) });
        stage.turn(|_| {});
        (Crowd { stage, publisher }, subscribers)
    }

    /// Subscribers whose sockets are full.
    fn stalled(policy: Policy) -> Crowd {
        let (mut crowd, subscribers) = Crowd::reading(policy);
        subscribers.iter().for_each(|subscriber| crowd.stage.shard.advance(*subscriber, 0, true));
        crowd
    }

    /// One message, and what a count says before and after it.
    fn publish(&mut self, count: impl Fn(&Counters) -> u64) -> u64 {
        let before = count(self.stage.shard.counters());
        self.stage.turn(|shard| publish_payload(shard, self.publisher, Target::Short(0), &PAYLOAD));
        count(self.stage.shard.counters()) - before
    }
}

fn advance() -> Work {
    let (mut crowd, _) = Crowd::reading(Policy::Disconnect);
    let run = move || {
        assert_eq!(crowd.publish(|counters| counters.deliveries), SUBSCRIBERS);
        assert_eq!(crowd.stage.shard.queue_bytes_total(), 0);
    };
    Work::new(SUBSCRIBERS, run).warmed_up(WARM_UP_RUNS)
}

fn drop_oldest() -> Work {
    let mut crowd = Crowd::stalled(Policy::DropOldest);
    while crowd.publish(|counters| counters.dropped) == 0 {}
    let run = move || assert_eq!(crowd.publish(|counters| counters.dropped), SUBSCRIBERS);
    Work::new(SUBSCRIBERS, run).warmed_up(WARM_UP_RUNS)
}

/// What is replaced is counted when it is told, and these are never told: the queues just do not grow.
fn conflate() -> Work {
    let mut crowd = Crowd::stalled(Policy::Conflate);
    crowd.publish(|counters| counters.deliveries);
    let held_bytes = crowd.stage.shard.queue_bytes_total();
    assert!(held_bytes >= SUBSCRIBERS, "everybody's value is held");
    let run = move || {
        assert_eq!(crowd.publish(|counters| counters.deliveries), 0);
        assert_eq!(crowd.stage.shard.queue_bytes_total(), held_bytes);
    };
    Work::new(SUBSCRIBERS, run).warmed_up(WARM_UP_RUNS)
}

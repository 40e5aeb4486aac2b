//! What a reactor counts besides its shard and its calls, and how all of it is published.
//!
//! Once a turn, behind everything else: some forty plain stores to memory that nobody else writes. One that sleeps has
//! published all there is. Who asks sees what was true at the end of the last turn.

use super::Reactor;
use super::calls::Calls;
use fanwire_core::Time;
use fanwire_gateway::stats::{Kind, ReactorFigures, TOP_TOPICS};
use std::time::Duration;

/// How often the busiest topics are looked for while somebody asks: so much oftener than anybody does that rates made
/// of two answers are about right.
const TOPICS_PERIOD: Duration = Duration::from_millis(100);

/// Totals since the start, and what is there now.
#[derive(Debug, Default)]
pub(super) struct Usage {
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
    /// Times that another thread has rung.
    pub(super) wakes: u64,
    /// Sockets that broke.
    pub(super) lost: u64,
    connections: [u64; Kind::ALL.len()],
    /// Time awake, up to the last sleep.
    busy: Duration,
    awake_since: Time,
    /// When the busiest topics were told last.
    topics_told: Time,
}

impl Usage {
    pub(super) fn count_in(&mut self, kind: Kind) {
        self.connections[kind as usize] += 1;
    }

    pub(super) fn count_out(&mut self, kind: Kind) {
        self.connections[kind as usize] -= 1;
    }

    pub(super) fn lie_down(&mut self, now: Time) {
        self.busy += now.since(self.awake_since);
        self.awake_since = now;
    }

    pub(super) const fn get_up(&mut self, now: Time) {
        self.awake_since = now;
    }

    /// One that never sleeps is busy all the time.
    fn busy_us(&self, now: Time) -> u64 {
        u64::try_from((self.busy + now.since(self.awake_since)).as_micros()).unwrap_or(u64::MAX)
    }
}

impl Reactor {
    /// Counts a connection as what it has become.
    pub(super) fn note_kind(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        let kind = connection.gateway.kind();
        if kind != connection.kind {
            self.usage.count_out(connection.kind);
            self.usage.count_in(kind);
            connection.kind = kind;
        }
    }

    /// Ends a turn: everybody may know what it came to.
    pub(super) fn publish_figures(&mut self) {
        self.settings.stats.publish_reactor(self.index, &self.figures());
        self.publish_topics();
    }

    fn figures(&self) -> ReactorFigures {
        let Usage { received_bytes, sent_bytes, wakes, lost, connections, .. } = self.usage;
        let Calls { turns, reads, writes, .. } = self.calls;
        let counters = self.shard.counters();
        ReactorFigures {
            subscriptions: self.shard.subscription_count() as u64,
            requests_in_flight: self.shard.request_count() as u64,
            topics: self.shard.topic_count() as u64,
            queue_bytes: self.shard.queue_bytes_total(),
            received_bytes,
            sent_bytes,
            messages_in: counters.messages_in,
            payload_bytes_in: counters.payload_bytes_in,
            deliveries: counters.deliveries,
            conflated: counters.conflated,
            refused: counters.refused,
            slow_closed: counters.slow_closed,
            fallen_back: counters.fallen_back,
            requests: counters.requests,
            requests_failed: counters.requests_failed,
            mailed_out: counters.mailed_out,
            mailed_in: counters.mailed_in,
            postponed: counters.postponed,
            lost,
            turns,
            wakes,
            reads,
            writes,
            busy_us: self.usage.busy_us(self.clock.now()),
            connections,
            dropped: counters.dropped_by_policy,
        }
    }

    /// While somebody asks, topics are counted, and the busiest told now and then.
    fn publish_topics(&mut self) {
        let now = self.clock.now();
        let is_wanted = self.settings.stats.wants_topics(now);
        self.shard.count_topics(is_wanted);
        if is_wanted && now.since(self.usage.topics_told) >= TOPICS_PERIOD {
            self.usage.topics_told = now;
            let topics = self.shard.top_topics(TOP_TOPICS);
            self.settings.stats.publish_topics(self.index, now, &topics);
        }
    }
}

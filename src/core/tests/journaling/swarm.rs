//! What a run is like: drawn from its seed, so that some do much of one thing and nothing of another.

use crate::chance::Chance;
use fanwire_core::Settings;
use fanwire_core::journal::keeper::SyncMode;
use fanwire_wire::Limits;

/// What goes wrong with the disks of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    Nothing,
    /// There is no room at times.
    Full,
    /// A write or a sync fails, once.
    Failure,
}

#[derive(Debug, Clone)]
pub(crate) struct Swarm {
    pub(crate) steps: u64,
    pub(crate) shards: usize,
    pub(crate) clients: usize,
    /// By journal.
    pub(crate) syncs: Vec<SyncMode>,
    pub(crate) settings: Settings,
    /// Letters that a mailbox takes.
    pub(crate) letters_max: usize,
    /// One task in so many is late; 0: none is.
    pub(crate) late_tasks: u64,
    pub(crate) trouble: Trouble,
    /// One client in so many stops reading now and then; 0: none does.
    pub(crate) slow_clients: u64,
    /// Clients fetch their frames in pieces.
    pub(crate) has_small_sockets: bool,
    /// Subscriptions keep everything: other policies come only if not.
    pub(crate) is_lossless: bool,
    pub(crate) has_retention: bool,
    /// Queues are full soon, and empty soon, again and again.
    pub(crate) is_crowded: bool,
    /// Nearly everybody who conflates catches up beside it.
    pub(crate) is_doubled: bool,
    pub(crate) segment_bytes: u32,
    /// Of the payloads, the usual largest.
    pub(crate) payload_bytes: u64,
}

impl Swarm {
    pub(crate) fn new(chance: &mut Chance) -> Swarm {
        let mut apart = Chance(!chance.0);
        let mut swarm = Swarm::roomy(chance);
        if apart.one_in(3) {
            swarm.crowd(&mut apart);
        }
        swarm
    }

    /// Queues that some ten records fill, and few who always keep up.
    fn crowd(&mut self, chance: &mut Chance) {
        let frame_bytes_max = 48 * 1024;
        self.settings.limits.frame_bytes_max = frame_bytes_max;
        self.settings.limits.queue_bytes_max = Settings::queue_bytes_min(frame_bytes_max);
        self.payload_bytes = 40_000;
        self.is_crowded = true;
        self.segment_bytes = 512 * 1024;
        self.steps += 500;
        self.clients = self.clients.min(4);
        self.trouble = Trouble::Nothing;
        self.letters_max = 8;
        self.settings.mailbox_bytes_max = chance.pick(&[256, 1024]) * 1024;
        self.slow_clients = chance.pick(&[1, 1, 2]);
        self.is_doubled = chance.one_in(3);
        if self.is_doubled {
            // The newest of all topics find room.
            self.settings.limits.queue_bytes_max = 1024 * 1024;
            self.payload_bytes = 20_000;
        }
    }

    fn roomy(chance: &mut Chance) -> Swarm {
        let frame_bytes_max = 16 * 1024;
        let least = Settings::queue_bytes_min(frame_bytes_max);
        let queue_bytes_max = if chance.one_in(4) { 2 * 1024 * 1024 } else { least };
        let modes = [SyncMode::Demand, SyncMode::Every(5_000), SyncMode::Release];
        let journals = 1 + chance.below(2);
        let settings = Settings {
            limits: Limits { frame_bytes_max, queue_bytes_max, ..Limits::default() },
            topics_cached_max: chance.pick(&[0, 4, 64]),
            mailbox_bytes_max: chance.pick(&[1_024, 8 * 1024, 64 * 1024, 1024 * 1024]),
            seed: chance.next(),
            ..Settings::default()
        };
        Swarm {
            steps: 400 + chance.below(1_600),
            shards: 1 + chance.below(4) as usize,
            clients: 2 + chance.below(8) as usize,
            syncs: (0..journals).map(|_| chance.pick(&modes)).collect(),
            settings,
            letters_max: chance.pick(&[1, 2, 8]),
            late_tasks: chance.pick(&[0, 1, 4]),
            trouble: chance.pick(&[Trouble::Nothing, Trouble::Nothing, Trouble::Full, Trouble::Failure]),
            slow_clients: chance.pick(&[0, 1, 2, 3]),
            has_small_sockets: chance.one_in(2),
            is_lossless: chance.one_in(2),
            has_retention: chance.one_in(5),
            is_crowded: false,
            is_doubled: false,
            segment_bytes: 64 * 1024,
            payload_bytes: chance.pick(&[100, 2_000, 12_000, 12_000]),
        }
    }
}

/// What there is to publish to; the first letter says in which journal it is, if in any.
pub(crate) const TOPICS: [&str; 12] =
    ["a/0", "a/1", "a/2", "a/3", "a/x/0", "a/x/1", "b/0", "b/1", "b/2", "b/x/0", "l/0", "l/1"];
/// What there is to subscribe to.
pub(crate) const FILTERS: [&str; 16] = [
    "a/0", "a/1", "a/2", "a/x/0", "a/#", "a/+", "a/x/+", "a/+/0", "b/0", "b/1", "b/#", "b/+", "l/0", "l/#", "#", "+/0",
];

/// The journal that a topic is in, if there are so many.
pub(crate) fn journal_of(topic: &str, journals: usize) -> Option<usize> {
    let index = match topic.as_bytes()[0] {
        b'a' => 0,
        b'b' => 1,
        _ => return None,
    };
    (index < journals).then_some(index)
}

/// Whether a filter matches a topic.
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            (_, None) => return false,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

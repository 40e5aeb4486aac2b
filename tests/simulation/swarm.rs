//! What a seed plays with. Every seed leaves out some actions and weighs the others its own way: a run in which nobody
//! unsubscribes reaches states that one with a bit of everything never does.

use crate::names::Names;
use crate::random::Random;
use crate::said::TOKEN;
use fanwire_core::settings::Settings;
use fanwire_gateway::Credentials;
use fanwire_wire::Limits;
use fanwire_wire::frame::Policy;
use std::time::Duration;

/// What a client can do in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Subscribe,
    JoinGroup,
    Respond,
    SubscribeWrongly,
    Unsubscribe,
    UnsubscribeNothing,
    Register,
    Publish,
    PublishShort,
    PublishWrongly,
    Request,
    Reply,
    ReplyLate,
    Ping,
    FloodPings,
    StopReading,
    StopSending,
    Leave,
    Cut,
    Breach,
    Nothing,
}

/// Each action with how often it is done where it is done at all, and how many seeds of a thousand leave it out.
const ACTIONS: [(Action, u64, u64); 21] = [
    (Action::Subscribe, 60, 0),
    (Action::JoinGroup, 20, 400),
    (Action::Respond, 40, 300),
    (Action::SubscribeWrongly, 3, 500),
    (Action::Unsubscribe, 40, 300),
    (Action::UnsubscribeNothing, 2, 500),
    (Action::Register, 15, 300),
    (Action::Publish, 120, 50),
    (Action::PublishShort, 60, 300),
    (Action::PublishWrongly, 8, 500),
    (Action::Request, 30, 400),
    (Action::Reply, 40, 300),
    (Action::ReplyLate, 4, 500),
    (Action::Ping, 5, 500),
    (Action::FloodPings, 3, 700),
    (Action::StopReading, 30, 300),
    (Action::StopSending, 6, 500),
    (Action::Leave, 3, 500),
    (Action::Cut, 3, 500),
    (Action::Breach, 2, 500),
    (Action::Nothing, 60, 0),
];

/// The conditions of one run.
pub(crate) struct Swarm {
    pub(crate) core: Settings,
    pub(crate) gateway: fanwire_gateway::Settings,
    pub(crate) nodes: u64,
    /// Now and then this node takes no turns for long.
    pub(crate) stands_still: bool,
    pub(crate) still_node: u64,
    pub(crate) clients: u64,
    pub(crate) names: Names,
    weights: Vec<(Action, u64)>,
    pub(crate) payload_bytes_max: u64,
    /// Payloads are all large.
    pub(crate) is_bulky: bool,
    pub(crate) burst_max: u64,
    /// Floods of pings that may still come: each is long.
    pub(crate) floods_left: u64,
    /// Actions of a client in one step.
    pub(crate) actions_max: u64,
    /// The policies of its subscriptions.
    pub(crate) policies: Vec<Policy>,
    /// Clients whose pipe is narrow and who read little at a time.
    pub(crate) slow_per_mille: u64,
    /// Bytes that a node reads from a connection at once.
    pub(crate) read_bytes_max: u64,
    /// Microseconds between two steps.
    pub(crate) step_us_max: u64,
    pub(crate) keep_alive_per_mille: u64,
    /// Whether every turn ends in a full sweep, or only some.
    pub(crate) sweep_per_mille: u64,
    /// Whether all queues together may well pass their bound.
    pub(crate) is_total_tight: bool,
}

impl Swarm {
    pub(crate) fn draw(random: &mut Random) -> Self {
        let limits = draw_limits(random);
        let is_total_tight = random.chance(300);
        let total = if is_total_tight { u64::from(limits.queue_bytes_max) * 5 / 4 } else { 1 << 30 };
        let is_open = random.chance(700);
        let nodes = *random.pick(&[1, 1, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8]);
        let stands_still = nodes > 2 && random.chance(300);
        Swarm {
            core: Settings {
                limits,
                queue_bytes_total_max: total,
                mailbox_bytes_max: *random.pick(&[200, 2_000, 20_000, 300_000, 4 << 20, 4 << 20]),
                topics_cached_max: *random.pick(&[0, 1, 8, 64, 4_096]),
                seed: random.next(),
                ..Settings::default()
            },
            gateway: fanwire_gateway::Settings {
                limits,
                credentials: if is_open {
                    Credentials::open()
                } else {
                    Credentials::tokens([TOKEN.as_bytes().to_vec()])
                },
                server_name: "simulated".to_owned(),
                handshake_time_max: Duration::from_secs(2),
                frame_time_max: Duration::from_secs(3),
                ..fanwire_gateway::Settings::default()
            },
            nodes,
            stands_still,
            still_node: random.below(nodes),
            clients: random.between(2, 10).max(nodes),
            names: Names::draw(random, stands_still),
            weights: draw_weights(random),
            payload_bytes_max: *random.pick(&[8, 200, 7_800, 7_800]),
            is_bulky: random.chance(500),
            burst_max: *random.pick(&[1, 4, 16, 64]),
            floods_left: 2,
            actions_max: *random.pick(&[1, 3, 15]),
            policies: draw_policies(random),
            slow_per_mille: *random.pick(&[0, 300, 700, 1_000]),
            read_bytes_max: *random.pick(&[1, 30, 4_096, 65_536, 65_536, 65_536]),
            step_us_max: *random.pick(&[500, 5_000, 50_000, 400_000]),
            keep_alive_per_mille: *random.pick(&[0, 300]),
            // The table that nodes share is large, and looked at by each of them.
            sweep_per_mille: if nodes == 1 { 300 } else { 60 / nodes },
            is_total_tight,
        }
    }

    pub(crate) fn action(&self, random: &mut Random) -> Action {
        let total = self.weights.iter().map(|(_, weight)| weight).sum();
        let mut point = random.below(total);
        for (action, weight) in &self.weights {
            if point < *weight {
                return *action;
            }
            point -= weight;
        }
        Action::Nothing
    }

    /// The weights for a trace.
    pub(crate) fn weights(&self) -> &[(Action, u64)] {
        &self.weights
    }
}

fn draw_limits(random: &mut Random) -> Limits {
    let frame_bytes_max = 8_192;
    Limits {
        frame_bytes_max,
        headers_bytes_max: 64,
        queue_bytes_max: Settings::queue_bytes_min(frame_bytes_max) + *random.pick(&[0, 0, 200_000]),
        subscriptions_max: *random.pick(&[3, 8, 24]),
        requests_max: *random.pick(&[1, 4, 64]),
        deadline_ms_max: 5_000,
        short_ids_max: 5,
        topic_bytes_max: 32,
        topic_levels_max: 5,
        filter_plus_max: 2,
    }
}

/// Some of those that need no journal, at least one.
fn draw_policies(random: &mut Random) -> Vec<Policy> {
    let mut policies = Policy::ALL[..4].to_vec();
    random.shuffle(&mut policies);
    policies.truncate(random.between(1, 4) as usize);
    policies
}

fn draw_weights(random: &mut Random) -> Vec<(Action, u64)> {
    let mut weights = Vec::new();
    for (action, weight, left_out_per_mille) in ACTIONS {
        if !random.chance(left_out_per_mille) {
            weights.push((action, 1 + weight * random.between(1, 20) / 10));
        }
    }
    weights
}

//! Connections as a reactor has them, but for the sockets: bytes come from a buffer and go nowhere.

use super::stage::Stage;
use fanwire_core::Settings;
use fanwire_gateway::{Context, Native, Phase, Polls, Progress};
use fanwire_wire::ClientPreface;
use fanwire_wire::frame::{Frame, Hello, Policy, Start, Subscribe};

/// A shard, its gateway's settings, and connections that name each other by index.
pub(super) struct Desk {
    pub(super) stage: Stage,
    polls: Polls,
    settings: fanwire_gateway::Settings,
    connections: Vec<Native>,
}

impl Desk {
    pub(super) fn new() -> Desk {
        Desk {
            stage: Stage::new(Settings::default()),
            polls: Polls::default(),
            settings: fanwire_gateway::Settings::default(),
            connections: Vec::new(),
        }
    }

    /// A welcomed connection that has said all this.
    pub(super) fn connect(&mut self, frames: &[Frame<'_>]) -> usize {
        let hello = Hello { keep_alive_ms: 0, client_name: "scene", client_version: "1", credentials: b"" };
        let greeting = [ClientPreface::OURS.encode().to_vec(), bytes_of(&[hello.into()]), bytes_of(frames)].concat();
        let index = self.connections.len();
        self.connections.push(Native::new(self.stage.now));
        self.turn(&[(index, &greeting)]);
        assert_eq!(self.connections[index].phase(), Phase::Open);
        index
    }

    /// One turn, in which these connections were read.
    pub(super) fn turn(&mut self, reads: &[(usize, &[u8])]) {
        self.stage.begin();
        for (index, bytes) in reads {
            let mut context = Context {
                shard: &mut self.stage.shard,
                polls: &mut self.polls,
                settings: &self.settings,
                now: self.stage.now,
                wall_us: 0,
                connection_id: *index as u64,
                peer: std::net::Ipv4Addr::LOCALHOST.into(),
                is_draining: false,
            };
            assert_eq!(self.connections[*index].receive(bytes, &mut context), Progress::Idle);
        }
        self.stage.end();
    }
}

pub(super) fn bytes_of(frames: &[Frame<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frames.iter().for_each(|frame| frame.encode(&mut bytes));
    bytes
}

/// A subscription without any special wish.
pub(super) const fn subscribe(filter: &[u8]) -> Subscribe<'_> {
    Subscribe {
        subscription: 1,
        policy: Policy::Disconnect,
        no_echo: false,
        responder: false,
        max_rate_hz: 0,
        start: Start::Live,
        filter,
        group: b"",
    }
}

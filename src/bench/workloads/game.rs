//! Rooms of players: everybody publishes each tick and hears all others of the room.

use super::{ONE_WAY, WARM_UP, scenario, topics};
use crate::bench::adapter::Target;
use crate::bench::brokers::{Broker, Setup};
use crate::bench::calls::UNCOUNTED;
use crate::bench::error::BenchError;
use crate::bench::generator::Generator;
use crate::bench::measured::Warning;
use crate::bench::report::{Report, Workload, latency_us, or_nan};
use crate::bench::scenario::{Drive, Load, Member, Order, Scenario};
use crate::bench::table::counted;
use std::time::Duration;

/// Players in all rooms together.
const PLAYERS_MAX: u32 = 1_000_000;

/// The workload.
#[derive(Debug, Clone)]
pub struct Game {
    /// Rooms, a topic each.
    pub rooms: u32,
    /// Players of a room.
    pub players: u32,
    /// Ticks a second.
    pub hz: f64,
    /// Bytes of a player's state.
    pub payload_bytes: usize,
    /// How long it is measured.
    pub duration: Duration,
    /// Fanwire's reactors.
    pub reactors: u32,
}

impl Workload for Game {
    fn title(&self) -> String {
        let Game { rooms, players, hz, payload_bytes, .. } = self;
        format!(
            "{} of {players} players, each publishing {payload_bytes} bytes {hz} times a second, evenly \
             spread, and hearing the others; floor, redis and mqtt send a player its own messages too",
            counted(*rooms, "room"),
        )
    }

    fn setup(&self) -> Setup {
        Setup { split: true, reactors: self.reactors, queue_bytes_max: None, store: None }
    }

    fn objection(&self, target: Target) -> Option<&'static str> {
        match target {
            Target::Floor if self.rooms >= u32::from(u16::MAX) => Some("the relay knows 65 534 rooms"),
            Target::Sse => Some(ONE_WAY),
            _ => None,
        }
    }

    fn run(&self, broker: &Broker) -> Result<Report, BenchError> {
        // Number by number through the rooms, so that a room's players do not all publish in a row.
        let player = |number: u32| {
            let (room, seat) = (number % self.rooms, number / self.rooms);
            let publishing = Member::publishing(seat, Order::Fixed(room));
            Member { no_echo: true, publishing: publishing.publishing, ..Member::hearing(room) }
        };
        let count = self.rooms.checked_mul(self.players).filter(|count| *count <= PLAYERS_MAX);
        let count = count.ok_or_else(|| BenchError::Usage(format!("there are more than {PLAYERS_MAX} players")))?;
        let members = (0..count).map(player).collect();
        let scenario = scenario(broker, topics(broker.target, self.rooms), self.payload_bytes, members);
        let mut generator = Generator::new(Scenario { publishers_a_topic: self.players, ..scenario })?;
        generator.gather(0..count as usize)?;
        let players = f64::from(count);
        let drive = Drive::Pace { rate: players * self.hz, window: None };
        let measured = generator.run_counted(&Load { batch: 1, drive, warm_up: WARM_UP, duration: self.duration })?;
        let figures = vec![
            ("CPU us/player/s", or_nan(measured.broker_cores()) * 1e6 / players),
            ("ns/delivery", or_nan(measured.ns_per_delivery())),
            ("p50 us", latency_us(&measured.latencies, 50.0)),
            ("p99 us", latency_us(&measured.latencies, 99.0)),
            ("bytes/player/s", measured.read_bytes as f64 / measured.seconds / players),
            ("msgs/write", or_nan(measured.messages_per_write())),
            ("msgs/read", measured.messages_per_read()),
            ("broker cores", or_nan(measured.broker_cores())),
        ];
        let mut report = Report::new(&measured, figures);
        report.warnings.extend(measured.calls.is_none().then(|| Warning::noted(UNCOUNTED)));
        report.latencies = Some(measured.latencies);
        Ok(report)
    }
}

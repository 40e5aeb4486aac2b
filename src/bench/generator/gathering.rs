//! Who connects when: called all at once or up a ramp, some of them on their way at a time, until everybody stands.

use super::{Generator, PATIENCE};
use crate::bench::adapter::{Opening, Topics};
use crate::bench::error::BenchError;
use crate::bench::link::Stage;
use crate::bench::scenario::{Member, Order};
use std::ops::Range;
use std::time::{Duration, Instant};

impl Generator {
    /// From now on no more than so many connections a second are made.
    pub fn ramp(&mut self, per_second: Option<f64>) {
        self.ramp = per_second;
    }

    /// Connects these, and waits until they stand.
    pub fn gather(&mut self, members: Range<usize>) -> Result<Duration, BenchError> {
        let begin = Instant::now();
        self.call(members);
        let mut last_change = (Instant::now(), self.standing_left());
        while self.standing_left() > 0 {
            self.turn(Some(Duration::from_millis(1)))?;
            let left = self.standing_left();
            if left != last_change.1 {
                last_change = (Instant::now(), left);
            } else if last_change.0.elapsed() > PATIENCE {
                return Err(BenchError::Stuck(format!(
                    "{left} connections to {} have not been welcomed and subscribed for {PATIENCE:?}",
                    self.scenario.target.name()
                )));
            }
        }
        self.watch();
        Ok(begin.elapsed())
    }

    /// Asks these to connect, in the turns that follow.
    pub fn call(&mut self, members: Range<usize>) {
        if members.is_empty() {
            return;
        }
        // Taken from the end.
        self.to_dial.splice(0..0, members.rev());
        self.called_ns = self.now_ns();
        self.begin_of_dialling();
    }

    /// From now on everybody connects at once, however many they are.
    pub fn rush(&mut self) {
        self.dials_max = usize::MAX;
    }

    pub(super) fn is_rushing(&self) -> bool {
        self.dials_max == usize::MAX
    }

    /// How long it took from the last call until everybody stood.
    pub fn back_after(&self) -> Duration {
        Duration::from_nanos(self.gathered_ns.saturating_sub(self.called_ns))
    }

    /// Closes these connections.
    pub fn part(&mut self, members: Range<usize>) {
        for member in members {
            self.links[member].hang_up(Stage::Away);
        }
    }

    /// How many are called and do not stand yet.
    pub fn standing_left(&self) -> usize {
        self.to_dial.len() + self.on_their_way
    }

    pub(super) fn dial(&mut self) -> Result<(), BenchError> {
        while self.on_their_way < self.dials_max && self.may_dial() {
            let Some(member) = self.to_dial.pop() else { return Ok(()) };
            let plan = &self.scenario.members[member];
            let (scenario, topics) = (&self.scenario, &self.scenario.topics);
            let opening = Opening {
                part: plan.part,
                interest: plan.interest.clone(),
                publishes: publishes(plan, topics),
                no_echo: plan.no_echo,
                droppable: !plan.reads,
                topics,
            };
            let open = |out: &mut Vec<u8>| scenario.target.open(&opening, out);
            let dialled = self.links[member].dial(member, scenario.address, self.poll.registry(), open);
            dialled.map_err(|error| BenchError::Connect { number: member, address: scenario.address, error })?;
            self.on_their_way += 1;
            self.totals.dialled += 1;
        }
        Ok(())
    }

    fn may_dial(&self) -> bool {
        let Some(per_second) = self.ramp else { return true };
        (self.totals.dialled as f64) < self.begin.elapsed().as_secs_f64() * per_second
    }

    fn begin_of_dialling(&mut self) {
        if let Some(per_second) = self.ramp {
            // What the ramp had allowed before this call does not count.
            self.totals.dialled = (self.begin.elapsed().as_secs_f64() * per_second) as u64;
        }
    }
}

fn publishes(member: &Member, topics: &Topics) -> Range<u32> {
    match member.publishing.as_ref().map(|publishing| &publishing.order) {
        None => 0..0,
        Some(Order::Fixed(topic)) => *topic..*topic + 1,
        Some(_) => 0..topics.count(),
    }
}

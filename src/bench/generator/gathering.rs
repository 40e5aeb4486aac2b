//! Who connects when: called all at once or up a ramp, some of them on their way at a time, until everybody stands.

use super::{Generator, PATIENCE};
use crate::bench::adapter::{Opening, Topics};
use crate::bench::error::BenchError;
use crate::bench::link::{Dialling, Stage};
use crate::bench::scenario::{Member, Order};
use std::ops::Range;
use std::time::{Duration, Instant};

/// How long nothing may come before nothing more will.
const WAKE_PATIENCE: Duration = Duration::from_millis(300);

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

    /// Lets those who stopped reading read what is left, unheard, until nothing more comes: whom the broker has turned
    /// away learns of it only behind what was sent before. How many connections the broker has closed so far.
    pub fn wake(&mut self) -> Result<u64, BenchError> {
        let begin = Instant::now();
        let mut last_change = begin;
        while last_change.elapsed() < WAKE_PATIENCE && begin.elapsed() < PATIENCE {
            for member in 0..self.links.len() {
                while self.is_stalled(member) {
                    match self.links[member].receive(&mut self.buffer) {
                        Ok(None) => break,
                        Ok(Some(0)) => self.lose(member, "it closed the connection")?,
                        Ok(Some(_)) => last_change = Instant::now(),
                        Err(error) => self.lose(member, &error.to_string())?,
                    }
                }
            }
            self.turn(Some(Duration::from_millis(10)))?;
        }
        Ok(self.totals.closed)
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
            let dialling = Dialling {
                number: member,
                address: scenario.address,
                links_a_source: self.links_a_source,
                reads: plan.reads,
            };
            let dialled = self.links[member].dial(&dialling, self.poll.registry(), open);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::adapter::Target;
    use crate::bench::scenario::Scenario;
    use crate::bench::targets::floor::ANSWER;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    #[test]
    fn who_does_not_read_learns_of_an_orderly_close_when_woken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scenario = Scenario {
            target: Target::Floor,
            address: listener.local_addr().unwrap(),
            process: None,
            topics: Topics::new(1, '/'),
            publishers_a_topic: 1,
            payload_bytes: 24,
            members: vec![Member { reads: false, ..Member::hearing(0) }, Member::hearing(0)],
        };
        let broker = std::thread::spawn(move || {
            let mut sockets: Vec<_> = (0..2).map(|_| listener.accept().unwrap().0).collect();
            for socket in &mut sockets {
                socket.read_exact(&mut [0; 5]).unwrap();
                socket.write_all(&[ANSWER]).unwrap();
            }
            // Whoever comes first is turned away, behind more than was ever read.
            let mut first = sockets.remove(0);
            first.write_all(&[0; 1_000]).unwrap();
            sockets
        });
        let mut generator = Generator::new(scenario).unwrap();
        generator.gather(0..2).unwrap();
        let _others = broker.join().unwrap();
        assert_eq!(generator.wake().unwrap(), 1);
        assert_eq!(generator.links[1].stage, Stage::Standing);
    }
}

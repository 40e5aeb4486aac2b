//! Which reactor gets the next connection: the one with the fewest, each in its turn where they are equal.
//!
//! Loads are read once a batch and counted on from there: what leaves meanwhile is seen by the next batch.
//!
//! A door is full when its reactor did not get to run for a while, which in a storm is soon. Going on to the next one
//! at once would leave the loads uneven for as long as connections live, so the reactor is given some time first. One
//! that really stands still costs that time once, and is passed over until it takes somebody again.

use super::door::{Arrival, Door, Load};
use fanwire_core::Time;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long a door may be full before others are preferred.
const PATIENCE: Duration = Duration::from_millis(100);

pub(super) struct Balance {
    doors: Arc<[Door]>,
    places: Vec<Place>,
    /// Where the next search begins, so that equals take turns.
    begin: usize,
}

/// A reactor as the running batch sees it.
struct Place {
    load: Load,
    /// Since when too many wait at its door.
    full_since: Option<Time>,
    /// It was handed something that it was not woken for.
    is_owed_wake: bool,
}

impl Balance {
    pub(super) fn new(doors: Arc<[Door]>) -> Self {
        let place = |door: &Door| Place { load: door.load(), full_since: None, is_owed_wake: false };
        Balance { places: doors.iter().map(place).collect(), doors, begin: 0 }
    }

    /// Begins a batch: reads all loads anew.
    pub(super) fn survey(&mut self) {
        for (place, door) in self.places.iter_mut().zip(&*self.doors) {
            place.load = door.load();
        }
    }

    /// What all reactors have together.
    pub(super) fn total(&self) -> Load {
        Load {
            connections: self.places.iter().map(|place| place.load.connections).sum(),
            turned_away: self.places.iter().map(|place| place.load.turned_away).sum(),
        }
    }

    /// Hands a connection to the least loaded reactor that takes one. Gives it back when it is worth waiting for that
    /// one, or none takes it.
    #[must_use]
    pub(super) fn place(&mut self, mut arrival: Arrival, now: Time) -> Option<Arrival> {
        let is_turned_away = arrival.refusal.is_some();
        let mut passed_over = 0_u64;
        while let Some(chosen) = self.least_loaded(passed_over) {
            let place = &mut self.places[chosen];
            let Some(back) = self.doors[chosen].offer(arrival) else {
                let Load { connections, turned_away } = &mut place.load;
                *(if is_turned_away { turned_away } else { connections }) += 1;
                place.full_since = None;
                place.is_owed_wake = true;
                self.begin = chosen + 1;
                return None;
            };
            arrival = back;
            if now.since(*place.full_since.get_or_insert(now)) < PATIENCE {
                break;
            }
            passed_over |= 1 << chosen;
        }
        Some(arrival)
    }

    /// Ends a batch: wakes each reactor that was handed something, once.
    pub(super) fn wake(&mut self) -> io::Result<()> {
        for (place, door) in self.places.iter_mut().zip(&*self.doors).filter(|(place, _)| place.is_owed_wake) {
            door.wake()?;
            place.is_owed_wake = false;
        }
        Ok(())
    }

    fn least_loaded(&self, passed_over: u64) -> Option<usize> {
        let count = self.places.len();
        let in_turn = (self.begin..self.begin + count).map(|index| index % count);
        let open = in_turn.filter(|index| passed_over & (1 << index) == 0);
        // The first of equals wins, which is whose turn it is.
        open.min_by_key(|index| self.places[*index].load.connections)
    }
}

#[cfg(test)]
mod tests {
    use super::super::door::Entrance;
    use super::super::door::tests::{arrival, door};
    use super::*;
    use fanwire_wire::Code;
    use mio::{Events, Poll};
    use std::time::Duration;

    struct House {
        balance: Balance,
        entrances: Vec<Entrance>,
        polls: Vec<Poll>,
    }

    fn house(reactors: usize) -> House {
        let (mut doors, mut entrances, mut polls) = (Vec::new(), Vec::new(), Vec::new());
        for (door, entrance, poll) in (0..reactors).map(|_| door()) {
            doors.push(door);
            entrances.push(entrance);
            polls.push(poll);
        }
        House { balance: Balance::new(doors.into()), entrances, polls }
    }

    impl House {
        fn place(&mut self, count: usize) {
            self.balance.survey();
            (0..count).for_each(|_| assert!(self.balance.place(arrival(0, None), Time::default()).is_none()));
        }

        fn loads(&mut self) -> Vec<usize> {
            self.balance.survey();
            self.balance.places.iter().map(|place| place.load.connections).collect()
        }
    }

    #[test]
    fn equals_take_turns_and_who_has_fewer_comes_first() {
        let mut house = house(3);
        // One a batch: it is not always the first one's turn.
        (0..4).for_each(|_| house.place(1));
        assert_eq!(house.loads(), [2, 1, 1]);
        (0..2).for_each(|_| house.entrances[0].note_gone(false));
        house.place(2);
        assert_eq!(house.loads(), [1, 2, 1]);
        house.place(5);
        assert_eq!(house.loads(), [3, 3, 3]);
    }

    #[test]
    fn who_is_turned_away_weighs_nothing() {
        let mut house = house(2);
        let refused = || arrival(0, Some(Code::TooManyConnections));
        (0..2).for_each(|_| assert!(house.balance.place(refused(), Time::default()).is_none()));
        assert_eq!(house.balance.total(), Load { connections: 0, turned_away: 2 });
        assert_eq!(house.loads(), [0, 0]);
        assert_eq!(house.balance.total(), Load { connections: 0, turned_away: 2 });
    }

    #[test]
    fn a_full_door_is_waited_for_then_passed_over_and_nothing_is_lost_when_all_are_full() {
        let mut house = house(2);
        let mut placed = 0;
        let mut now = Time::default();
        let mut back = loop {
            match house.balance.place(arrival(placed, None), now) {
                None => placed += 1,
                Some(back) => break back,
            }
        };
        // There is room at the other door, which has more to do already.
        house.entrances[1].next().unwrap();
        house.entrances[0].note_gone(false);
        house.balance.survey();
        now = now + PATIENCE / 2;
        back = house.balance.place(back, now).expect("the lighter one is waited for");
        now = now + PATIENCE;
        assert!(house.balance.place(back, now).is_none(), "it stands still, so the other one gets it");
        let back = house.balance.place(arrival(placed + 1, None), now).expect("both are full");
        house.entrances[0].next().unwrap();
        assert!(house.balance.place(back, now).is_none());
        let mut ids =
            [0, 1].map(|door| std::iter::from_fn(|| house.entrances[door].next()).last().unwrap().connection_id);
        ids.sort_unstable();
        assert_eq!(ids, [placed, placed + 1]);
    }

    #[test]
    fn who_was_handed_something_is_woken_and_nobody_else() {
        let mut house = house(3);
        house.place(2);
        house.balance.wake().unwrap();
        let woken: Vec<bool> = house.polls.iter_mut().map(is_woken).collect();
        assert_eq!(woken, [true, true, false]);
        house.balance.wake().unwrap();
        assert!(!house.polls.iter_mut().any(is_woken));
    }

    fn is_woken(poll: &mut Poll) -> bool {
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        !events.is_empty()
    }
}

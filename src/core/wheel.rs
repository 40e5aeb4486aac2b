//! A hierarchical timing wheel: any number of timers, each set, cancelled and fired in constant time.
//!
//! ```text
//!  level 0: 64 slots of 1 ms        level 1: 64 slots of 64 ms      ...      level 5: 64 slots of 12 days
//!  [ ][x][ ][ ] ...                 [ ][ ][x] ...                            [ ] ...
//!      fires when its tick comes        falls to level 0 when its slot begins
//! ```
//!
//! A timer stands on the level of the highest bit in which its tick differs from now, so it falls at most five
//! times. A slot is a doubly linked list through one slab, which makes cancelling free of search.
//!
//! Invariants: a timer never fires early, and fires at the first [`Wheel::expire`] at or after its tick; a bit of
//! `occupied` is set exactly when its slot's list is not empty.

use crate::time::Time;
use slab::Slab;
use std::num::NonZero;
use std::time::Duration;

const LEVELS: usize = 6;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const TICK_MICROS: u64 = 1_000;
/// Up to here a tick's top-level slot is another one than the present.
const DISTANCE_MAX: u64 = (SLOTS as u64 - 1) << (SLOT_BITS * (LEVELS as u32 - 1));
const NONE: u32 = u32::MAX;

/// Names a timer that has neither fired nor been cancelled. One more than its index, so that an owner who may have
/// none takes no more room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerKey(NonZero<u32>);

impl TimerKey {
    fn of(index: u32) -> Self {
        TimerKey(NonZero::new(index + 1).expect("a wheel holds less than 2^32 - 1 timers"))
    }

    const fn index(self) -> u32 {
        self.0.get() - 1
    }
}

struct Timer<T> {
    tick: u64,
    level: u8,
    slot: u8,
    previous: u32,
    next: u32,
    value: T,
}

/// Timers that carry values of type `T`.
pub struct Wheel<T> {
    now: u64,
    heads: [[u32; SLOTS]; LEVELS],
    occupied: [u64; LEVELS],
    timers: Slab<Timer<T>>,
}

impl<T> Wheel<T> {
    /// An empty wheel whose clock stands at `now`.
    pub const fn new(now: Time) -> Self {
        Wheel {
            now: now.as_micros() / TICK_MICROS,
            heads: [[NONE; SLOTS]; LEVELS],
            occupied: [0; LEVELS],
            timers: Slab::new(),
        }
    }

    /// Sets a timer. One that lies in the past fires at the next millisecond.
    pub fn insert(&mut self, deadline: Time, value: T) -> TimerKey {
        let tick = tick_of(deadline).max(self.now + 1);
        let key = self.timers.insert(Timer { tick, level: 0, slot: 0, previous: NONE, next: NONE, value });
        assert!(key < NONE as usize, "a wheel holds less than 2^32 - 1 timers");
        self.link(key as u32);
        TimerKey::of(key as u32)
    }

    /// Takes a timer back before it fires.
    ///
    /// # Panics
    /// When the timer has fired or was cancelled: its owner lost count.
    pub fn cancel(&mut self, key: TimerKey) -> T {
        self.unlink(key.index());
        self.remove(key.index())
    }

    /// Whether a timer fires no later than one would that were set for this deadline.
    pub fn fires_by(&self, key: TimerKey, deadline: Time) -> bool {
        self.timers[key.index() as usize].tick <= tick_of(deadline)
    }

    /// Moves the clock to `now` and appends the values of all timers that are due, earlier ones first.
    pub fn expire(&mut self, now: Time, due: &mut Vec<T>) {
        let target = now.as_micros() / TICK_MICROS;
        while let Some((level, slot, tick)) = self.next_slot() {
            if tick > target {
                break;
            }
            self.now = self.now.max(tick);
            self.empty_slot(level, slot, due);
        }
        self.now = self.now.max(target);
    }

    /// When [`Wheel::expire`] has something to do next: the earliest timer, or earlier when that one has to fall
    /// to a lower level first. `None` without timers.
    pub fn next_deadline(&self) -> Option<Time> {
        self.next_slot().map(|(_, _, tick)| Time::from_micros(0) + Duration::from_micros(tick * TICK_MICROS))
    }

    /// How many timers are set.
    pub fn len(&self) -> usize {
        self.timers.len()
    }

    /// Whether no timer is set.
    pub fn is_empty(&self) -> bool {
        self.timers.is_empty()
    }

    /// The slot that begins first: `(level, slot, tick at which it begins)`.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        (0..LEVELS).filter_map(|level| self.next_slot_of(level)).min_by_key(|(level, _, tick)| (*tick, *level))
    }

    fn next_slot_of(&self, level: usize) -> Option<(usize, usize, u64)> {
        if self.occupied[level] == 0 {
            return None;
        }
        let shift = SLOT_BITS * level as u32;
        let now_slot = (self.now >> shift) as usize % SLOTS;
        let distance = self.occupied[level].rotate_right(now_slot as u32).trailing_zeros() as usize;
        let slot = (now_slot + distance) % SLOTS;
        // A slot behind the present one on the top level belongs to the next revolution.
        let revolution = (self.now >> shift) / SLOTS as u64 + u64::from(slot < now_slot);
        let begin = (revolution * SLOTS as u64 + slot as u64) << shift;
        Some((level, slot, begin.max(self.now)))
    }

    fn empty_slot(&mut self, level: usize, slot: usize, due: &mut Vec<T>) {
        let mut key = std::mem::replace(&mut self.heads[level][slot], NONE);
        self.occupied[level] &= !(1 << slot);
        while key != NONE {
            let next = self.timers[key as usize].next;
            if self.timers[key as usize].tick <= self.now {
                due.push(self.remove(key));
            } else {
                self.link(key);
            }
            key = next;
        }
    }

    fn link(&mut self, key: u32) {
        // Beyond the top level's last slot a timer waits there and is placed again when that slot begins.
        let tick = self.timers[key as usize].tick.min(self.now + DISTANCE_MAX);
        let highest_difference = 63 - ((self.now ^ tick) | (SLOTS as u64 - 1)).leading_zeros();
        let level = (highest_difference / SLOT_BITS).min(LEVELS as u32 - 1);
        let slot = (tick >> (SLOT_BITS * level)) as usize % SLOTS;
        let head = std::mem::replace(&mut self.heads[level as usize][slot], key);
        self.occupied[level as usize] |= 1 << slot;
        if head != NONE {
            self.timers[head as usize].previous = key;
        }
        let timer = &mut self.timers[key as usize];
        timer.level = level as u8;
        timer.slot = slot as u8;
        timer.previous = NONE;
        timer.next = head;
    }

    fn unlink(&mut self, key: u32) {
        let Timer { level, slot, previous, next, .. } = self.timers[key as usize];
        if next != NONE {
            self.timers[next as usize].previous = previous;
        }
        if previous != NONE {
            self.timers[previous as usize].next = next;
        } else {
            self.heads[level as usize][slot as usize] = next;
            if next == NONE {
                self.occupied[level as usize] &= !(1 << slot);
            }
        }
    }

    fn remove(&mut self, key: u32) -> T {
        let value = self.timers.remove(key as usize).value;
        if self.timers.is_empty() && self.timers.capacity() > 1_024 {
            self.timers = Slab::new();
        }
        value
    }
}

/// The first tick at which a deadline is over.
const fn tick_of(deadline: Time) -> u64 {
    deadline.as_micros().div_ceil(TICK_MICROS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1_000)
    }

    #[test]
    fn a_timer_fires_at_its_millisecond_and_not_before() {
        let mut wheel = Wheel::new(at(1_000));
        let mut due = Vec::new();
        wheel.insert(Time::from_micros(1_500_001), "late");
        wheel.expire(at(1_500), &mut due);
        assert!(due.is_empty());
        wheel.expire(at(1_501), &mut due);
        assert_eq!(due, ["late"]);
        assert!(wheel.is_empty());
        assert_eq!(wheel.next_deadline(), None);
    }

    #[test]
    fn a_timer_tells_whether_it_fires_early_enough() {
        let mut wheel = Wheel::new(at(1_000));
        let key = wheel.insert(Time::from_micros(1_500_001), ());
        assert!(wheel.fires_by(key, Time::from_micros(1_500_001)));
        assert!(wheel.fires_by(key, at(1_501)) && !wheel.fires_by(key, at(1_500)));
        assert_eq!(size_of::<Option<TimerKey>>(), 4);
    }

    #[test]
    fn a_timer_years_away_waits_for_its_year() {
        let years = 1_000 * 86_400 * 365 * 5;
        let mut wheel = Wheel::new(at(7));
        let mut due = Vec::new();
        wheel.insert(at(years), ());
        wheel.expire(at(years - 1), &mut due);
        assert!(due.is_empty());
        wheel.expire(at(years), &mut due);
        assert_eq!(due.len(), 1);
    }

    proptest! {
        #[test]
        fn agrees_with_a_sorted_list(
            start in 0u64..1 << 40,
            steps in proptest::collection::vec((0u8..4, 0u64..400_000), 1..200),
        ) {
            let mut wheel = Wheel::new(at(start));
            let mut model: Vec<(u64, usize, TimerKey)> = Vec::new();
            let mut now = start;
            for (number, (action, amount)) in steps.into_iter().enumerate() {
                match action {
                    0 | 1 => {
                        let tick = now + if action == 0 { amount } else { amount % 70 };
                        let key = wheel.insert(at(tick), number);
                        model.push((tick.max(now + 1), number, key));
                    }
                    2 if !model.is_empty() => {
                        let (_, number, key) = model.swap_remove(amount as usize % model.len());
                        prop_assert_eq!(wheel.cancel(key), number);
                    }
                    _ => {
                        now += amount % 5_000;
                        let mut due = Vec::new();
                        wheel.expire(at(now), &mut due);
                        let mut expected: Vec<usize> =
                            model.iter().filter(|(tick, _, _)| *tick <= now).map(|(_, number, _)| *number).collect();
                        model.retain(|(tick, _, _)| *tick > now);
                        expected.sort_unstable();
                        due.sort_unstable();
                        prop_assert_eq!(due, expected);
                    }
                }
                prop_assert_eq!(wheel.len(), model.len());
                if let Some(earliest) = model.iter().map(|(tick, _, _)| *tick).min() {
                    prop_assert!(wheel.next_deadline().unwrap() <= at(earliest));
                    prop_assert!(wheel.next_deadline().unwrap() >= at(now));
                }
            }
        }
    }
}

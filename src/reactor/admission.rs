//! Who may come in: the bounds on connections, over all reactors together.
//!
//! Who is turned away is told why, like everybody who is closed; but only so many at a time, and they take nobody's
//! place.

use super::balance::Balance;
use super::census::Census;
use crate::config::Config;
use fanwire_wire::Code;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Connections that are being told why they can't stay; beyond that they are closed without a word, so that a flood
/// does not take the descriptors that others need.
const TURNED_AWAY_MAX: usize = 32;

/// What becomes of a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It stays.
    Stays,
    /// It is told why it can't.
    TurnedAway(Code),
    /// It is closed without a word.
    Dropped,
}

pub(super) struct Admission {
    connections_max: usize,
    census: Census,
    /// Where reactors tell whose connections went. Each was admitted here once, so what waits is bounded too.
    departures: Receiver<IpAddr>,
}

impl Admission {
    /// The admission, and what reactors need to tell it who went: nothing, unless addresses are counted.
    pub(super) fn new(config: &Config, connections_max: usize) -> (Admission, Option<Sender<IpAddr>>) {
        let (sender, departures) = channel();
        let per_address_max = config.limits.connections_per_address_max;
        let admission = Admission { connections_max, census: Census::new(per_address_max), departures };
        (admission, (per_address_max > 0).then_some(sender))
    }

    /// Begins a batch: learns who has gone.
    pub(super) fn hear_departures(&mut self) {
        self.departures.try_iter().for_each(|address| self.census.remove(address));
    }

    /// Judges a new connection.
    pub(super) fn judge(&mut self, address: IpAddr, balance: &mut Balance) -> Verdict {
        if self.refusal_of(address, balance).is_some() {
            // Nobody is refused for one who has left since the batch began.
            balance.survey();
            self.hear_departures();
        }
        match self.refusal_of(address, balance) {
            None => Verdict::Stays,
            Some(code) if balance.total().turned_away < TURNED_AWAY_MAX => Verdict::TurnedAway(code),
            Some(_) => Verdict::Dropped,
        }
    }

    /// Counts one that was judged to stay.
    pub(super) fn add(&mut self, address: IpAddr) {
        self.census.add(address);
    }

    fn refusal_of(&self, address: IpAddr, balance: &Balance) -> Option<Code> {
        if balance.total().connections >= self.connections_max {
            return Some(Code::TooManyConnections);
        }
        self.census.is_full(address).then_some(Code::TooManyFromAddress)
    }
}

#[cfg(test)]
mod tests {
    use super::super::door::tests::{arrival, door};
    use super::*;
    use crate::config::Flags;
    use fanwire_core::Time;

    const STRANGER: &str = "192.0.2.7";

    fn admission(connections_max: usize, per_address_max: u32) -> (Admission, Option<Sender<IpAddr>>) {
        let text = format!("[limits]\nconnections_per_address_max = {per_address_max}\n");
        Admission::new(&Config::from_text(&text, &Flags::default()).unwrap(), connections_max)
    }

    #[test]
    fn connections_are_counted_over_all_reactors_and_who_has_just_left_makes_room() {
        let address = STRANGER.parse().unwrap();
        let [(one, entrance, _poll), (two, _entrance, _second_poll)] = [door(), door()];
        let mut balance = Balance::new([one, two].into());
        let (mut admission, departures) = admission(3, 0);
        assert!(departures.is_none(), "nobody asks whose connections went");
        for id in 0..3 {
            assert_eq!(admission.judge(address, &mut balance), Verdict::Stays);
            assert!(balance.place(arrival(id, None), Time::default()).is_none());
        }
        assert_eq!(admission.judge(address, &mut balance), Verdict::TurnedAway(Code::TooManyConnections));
        entrance.note_gone(false);
        assert_eq!(admission.judge(address, &mut balance), Verdict::Stays);
    }

    #[test]
    fn an_address_has_its_bound_and_gets_a_place_back_when_one_of_its_own_leaves() {
        let (stranger, other) = (STRANGER.parse().unwrap(), "192.0.2.8".parse().unwrap());
        let mut balance = Balance::new([door().0].into());
        let (mut admission, departures) = admission(100, 2);
        for _ in 0..2 {
            assert_eq!(admission.judge(stranger, &mut balance), Verdict::Stays);
            admission.add(stranger);
        }
        assert_eq!(admission.judge(stranger, &mut balance), Verdict::TurnedAway(Code::TooManyFromAddress));
        assert_eq!(admission.judge(other, &mut balance), Verdict::Stays);
        departures.unwrap().send(stranger).unwrap();
        assert_eq!(admission.judge(stranger, &mut balance), Verdict::Stays);
    }

    #[test]
    fn only_so_many_at_a_time_are_told_why() {
        let address = STRANGER.parse().unwrap();
        let (door, entrance, _poll) = door();
        let mut balance = Balance::new([door].into());
        let (mut admission, _) = admission(0, 0);
        for id in 0..TURNED_AWAY_MAX {
            let verdict = admission.judge(address, &mut balance);
            assert_eq!(verdict, Verdict::TurnedAway(Code::TooManyConnections));
            let refused = arrival(id as u64, Some(Code::TooManyConnections));
            assert!(balance.place(refused, Time::default()).is_none());
        }
        assert_eq!(admission.judge(address, &mut balance), Verdict::Dropped);
        entrance.note_gone(true);
        assert_eq!(admission.judge(address, &mut balance), Verdict::TurnedAway(Code::TooManyConnections));
    }
}

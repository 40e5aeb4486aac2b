//! A broker of several shards, whose mail goes when a test says so.

use crate::shell::{Shell, settings, wish};
use fanwire_core::{Envelope, Seat, SessionId, Settings, command};
use fanwire_wire::frame::Policy;
use std::ops::{Index, IndexMut};
use std::time::Duration;

/// Turns after which mail that still comes is no answer to anything any more.
const TURNS_MAX: usize = 100;

pub(crate) struct Row {
    shells: Vec<Shell>,
}

impl Row {
    pub(crate) fn new(count: usize) -> Self {
        Row::with(count, settings())
    }

    pub(crate) fn with(count: usize, settings: Settings) -> Self {
        Row { shells: Seat::row(count).into_iter().map(|seat| Shell::seated(settings, seat)).collect() }
    }

    /// Ends everybody's turn; mail stays where it is.
    pub(crate) fn turn(&mut self) {
        self.shells.iter_mut().for_each(Shell::turn);
    }

    /// Ends everybody's turn and carries all mail, until there is none.
    pub(crate) fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            self.turn();
            let mut count = 0;
            for from in 0..self.shells.len() {
                for to in 0..self.shells.len() {
                    count += usize::from(self.carry(from, to) > 0);
                }
            }
            if count == 0 {
                return;
            }
        }
        panic!("mail goes round in a circle");
    }

    /// Carries what one shard has for another, and returns how many bytes that were.
    pub(crate) fn carry(&mut self, from: usize, to: usize) -> usize {
        let mut envelope = self.take(from, to);
        let bytes = envelope.bytes();
        self.shells[from].shard.note_transit(to, 0);
        self.read(from, to, &mut envelope);
        bytes
    }

    /// Takes what one shard has for another: it is under way.
    pub(crate) fn take(&mut self, from: usize, to: usize) -> Envelope {
        let envelope = std::mem::take(self.shells[from].shard.mail_to(to));
        self.shells[from].shard.note_transit(to, envelope.bytes() as u64);
        envelope
    }

    /// Mail arrives, and takes as many turns as it needs.
    pub(crate) fn read(&mut self, from: usize, to: usize, envelope: &mut Envelope) {
        while !self.shells[to].shard.receive_mail(from, envelope) {
            self.shells[to].turn();
        }
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.shells.iter_mut().for_each(|shell| shell.pass(time));
    }

    /// Subscribes in a group, and waits until that stands.
    pub(crate) fn join(&mut self, shard: usize, session: SessionId, group: &str, policy: Policy) {
        self.shells[shard]
            .subscribe(session, command::Subscribe { group: group.as_bytes(), ..wish(1, "jobs", policy) });
        self.settle();
        assert_eq!(self.shells[shard].received(session), ["subscribed 1"]);
        self.shells[shard].resumed();
    }
}

impl Index<usize> for Row {
    type Output = Shell;

    fn index(&self, index: usize) -> &Shell {
        &self.shells[index]
    }
}

impl IndexMut<usize> for Row {
    fn index_mut(&mut self, index: usize) -> &mut Shell {
        &mut self.shells[index]
    }
}

/// The name of a group of `filter` that lives on shard `home` of `count`.
pub(crate) fn group_at(home: usize, count: usize, filter: &str, responder: bool) -> String {
    let lives_there = |name: &String| {
        let mut row = Row::new(count);
        let session = row[home].open();
        let group = name.as_bytes();
        row[home].subscribe(session, command::Subscribe { group, responder, ..wish(1, filter, Policy::Disconnect) });
        (0..count).all(|to| !row[home].shard.has_mail(to))
    };
    (0..).map(|number| format!("group-{number}")).find(lives_there).expect("some name hashes there")
}

//! Groups whose members come and go on every reactor while publishers on every reactor publish. What can be told
//! exactly: who leaves in an orderly way loses nothing, and who dies takes along its own share and no more.

use super::broker::Broker;
use super::peer::{Peer, publish, subscribe};
use super::process::eventually;
use super::reactors::{Ear, Outgoing, REACTORS, amount, broker_of_several, peers, writer_of};
use fanwire_wire::frame::{AckLevel, Frame, Ping, Subscribe, Unsubscribe};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// Queues that hold a share of everything: acks do not wait for readers.
const WIDE: &str = "[limits]\nqueue_bytes_max = \"64MiB\"\nqueue_bytes_total_max = \"4GiB\"\n";
/// Messages that a publisher is ahead of its acks.
const WINDOW: u64 = 50;
/// Filters of groups, all of which match every message.
const FILTERS: [&str; 5] = ["jobs/run", "jobs/+", "jobs/#", "+/run", "#"];

/// How often each group's members had each message, by publisher and number.
struct Shares {
    messages: u64,
    counts: Vec<Vec<AtomicU8>>,
    total: AtomicU64,
}

impl Shares {
    fn new(messages: u64) -> Shares {
        let counts = || (0..REACTORS as u64 * messages).map(|_| AtomicU8::new(0)).collect();
        Shares { messages, counts: FILTERS.iter().map(|_| counts()).collect(), total: AtomicU64::new(0) }
    }

    /// A member of a group has got a message, which nobody else may have.
    fn take(&self, group: usize, payload: &[u8]) {
        let number = u64::from_le_bytes(payload.try_into().expect("eight bytes"));
        let before = self.counts[group][number as usize].fetch_add(1, Ordering::Relaxed);
        assert_eq!(before, 0, "message {number} came twice to the group on {}", FILTERS[group]);
        self.total.fetch_add(1, Ordering::Release);
    }

    fn wanted(&self) -> u64 {
        self.messages * (FILTERS.len() * REACTORS) as u64
    }
}

/// A subscription of a group, its number being the group's.
fn join(group: usize) -> Subscribe<'static> {
    Subscribe { group: b"workers", ..subscribe(group as u32, FILTERS[group]) }
}

/// Publishes a publisher's messages, never far ahead of its acks.
fn publish_with_acks(peer: &Peer, publisher: u64, messages: u64) {
    let (mut ear, writer, mut outgoing) = (Ear::of(peer), writer_of(peer), Outgoing::default());
    let (mut published, mut acked) = (0, 0);
    while acked < messages {
        while published < messages.min(acked + WINDOW) {
            let number = publisher * messages + published;
            outgoing.add(publish("jobs/run", AckLevel::Routed, &number.to_le_bytes()));
            published += 1;
        }
        outgoing.write_to(&writer);
        let is_there = ear.hear(|frame| match frame {
            Frame::Ack(ack) => acked += u64::from(ack.count),
            other => panic!("{other:?}"),
        });
        assert!(is_there, "the broker has ended a publisher's connection");
    }
}

/// A member of every group that stays, and reads until the broker ends its connection.
fn stay(mut ear: Ear, shares: &Shares) {
    while ear.hear(|frame| match frame {
        Frame::MessageGroup(message) => shares.take(message.subscription as usize, message.payload),
        other => panic!("{other:?}"),
    }) {}
}

/// A member that has joined one group leaves in an orderly way after some time, and takes what it gets until then.
struct Leaver<'a> {
    peer: Peer,
    group: usize,
    shares: &'a Shares,
}

impl Leaver<'_> {
    /// Takes messages until another frame comes; false at the end.
    fn take_until_answer(&mut self) -> bool {
        loop {
            match self.peer.next_frame() {
                Some(Frame::MessageGroup(message)) => self.shares.take(message.subscription as usize, message.payload),
                other => return other.is_some(),
            }
        }
    }

    /// So many times to the broker and back, its deliveries in between.
    fn stay_for(&mut self, pings: u32) {
        for time in 0..u64::from(pings) {
            self.peer.send(Ping { time });
            assert!(self.take_until_answer());
        }
    }

    fn join(&mut self) {
        self.peer.send(join(self.group));
        assert!(self.take_until_answer());
    }

    fn unsubscribe(&mut self) {
        self.peer.send(Unsubscribe { subscription: self.group as u32 });
        assert!(self.take_until_answer());
    }

    /// Everything that is owed comes before the end.
    fn half_close(&mut self) {
        self.peer.end_output();
        assert!(!self.take_until_answer());
    }
}

/// Comes and goes until the publishers are done: by UNSUBSCRIBE, and on the last of some rounds by closing its side.
/// Returns how often.
fn come_and_go(broker: &Broker, begin: usize, shares: &Shares, is_over: &AtomicBool) -> u64 {
    let mut count = 0;
    for group in (0..FILTERS.len()).cycle().skip(begin) {
        let mut leaver = Leaver { peer: Peer::welcomed(broker.address()), group, shares };
        for round in 0..4 {
            leaver.join();
            leaver.stay_for(round);
            count += 1;
            if round < 3 {
                leaver.unsubscribe();
            }
        }
        leaver.half_close();
        if is_over.load(Ordering::Relaxed) {
            break;
        }
    }
    count
}

#[test]
fn who_leaves_a_group_in_an_orderly_way_loses_nothing() {
    let broker = broker_of_several(WIDE);
    let shares = Shares::new(amount("FANWIRE_CHURN_MESSAGES", 60_000) / REACTORS as u64);
    let is_over = AtomicBool::new(false);
    let mut constant = Peer::welcomed(broker.address());
    (0..FILTERS.len()).for_each(|group| assert_eq!(constant.subscribe(join(group)), 0));
    let publishers = peers(&broker, REACTORS);
    std::thread::scope(|scope| {
        let ear = Ear::of(&constant);
        scope.spawn(|| stay(ear, &shares));
        let (broker, shares, is_over) = (&broker, &shares, &is_over);
        let spawn = |begin| scope.spawn(move || come_and_go(broker, begin, shares, is_over));
        let leavers: Vec<_> = (0..2 * REACTORS).map(spawn).collect();
        let publish = |(number, peer)| scope.spawn(move || publish_with_acks(peer, number, shares.messages));
        let publishing: Vec<_> = (0..).zip(&publishers).map(publish).collect();
        publishing.into_iter().for_each(|thread| thread.join().expect("every message is acknowledged"));
        is_over.store(true, Ordering::Relaxed);
        let left: u64 = leavers.into_iter().map(|thread| thread.join().expect("nothing came twice")).sum();
        println!(
            "{} messages to each of {} groups, left {left} times",
            shares.messages * REACTORS as u64,
            FILTERS.len()
        );
        let has_all = || (shares.total.load(Ordering::Acquire) == shares.wanted()).then_some(());
        eventually("every message in every group", has_all);
        constant.end_output();
    });
    assert_eq!(shares.total.load(Ordering::Acquire), shares.wanted(), "nothing came late");
}

/// A broker with members that stay in every group, and a publisher: one connection on each reactor.
struct Office {
    broker: Broker,
    staying: Vec<Peer>,
    publisher: Peer,
    published: u64,
}

impl Office {
    fn open() -> Office {
        let broker = broker_of_several(WIDE);
        let mut staying = peers(&broker, REACTORS);
        let publisher = staying.pop().expect("one for each reactor");
        for peer in &mut staying {
            (0..FILTERS.len()).for_each(|group| assert_eq!(peer.subscribe(join(group)), 0));
        }
        Office { broker, staying, publisher, published: 0 }
    }

    /// Publishes messages one behind the other, and waits for their acks.
    fn publish(&mut self, count: u64) {
        let mut outgoing = Outgoing::default();
        for number in self.published..self.published + count {
            outgoing.add(publish("jobs/run", AckLevel::Routed, &number.to_le_bytes()));
        }
        self.published += count;
        outgoing.write_to(self.publisher.stream());
        let mut acked = 0;
        while acked < count {
            match self.publisher.frame() {
                Frame::Ack(ack) => acked += u64::from(ack.count),
                other => panic!("{other:?}"),
            }
        }
    }

    /// With whoever stays at work, each in a thread.
    fn at_work(mut self, shares: &Shares, work: impl FnOnce(&mut Office)) {
        let staying = std::mem::take(&mut self.staying);
        std::thread::scope(|scope| {
            for peer in &staying {
                scope.spawn(|| stay(Ear::of(peer), shares));
            }
            work(&mut self);
            staying.iter().for_each(Peer::end_output);
        });
    }

    /// Waits until nobody but those who were there at first is connected.
    fn wait_until_gone(&self, descriptors: usize) {
        let is_gone = || (self.broker.descriptor_count() == descriptors).then_some(());
        eventually("the dead to be noticed", is_gone);
    }
}

/// Dies without a word: with a reset, or as if its process had ended.
fn die(peer: Peer, is_reset: bool) {
    if is_reset {
        peer.reset();
    }
}

#[test]
fn who_dies_takes_its_own_share_along_and_nothing_else() {
    const ROUNDS: u64 = 40;
    const BATCH: u64 = 40;
    let office = Office::open();
    let shares = Shares::new(2 * ROUNDS * BATCH);
    office.at_work(&shares, |office| {
        let descriptors = office.broker.descriptor_count();
        let mut expected = 0;
        for round in 0..ROUNDS {
            // On another reactor each time.
            let mut dying = Peer::welcomed(office.broker.address());
            dying.subscribe(join(round as usize % FILTERS.len()));
            office.publish(BATCH);
            // As many members as reactors take turns, and one of them does not read.
            expected += BATCH * FILTERS.len() as u64 - BATCH / REACTORS as u64;
            let is_settled = || (shares.total.load(Ordering::Acquire) == expected).then_some(());
            eventually("the others' shares", is_settled);
            die(dying, round.is_multiple_of(2));
            office.wait_until_gone(descriptors);
            // Even if the group does not know yet.
            office.publish(BATCH);
            expected += BATCH * FILTERS.len() as u64;
            let is_settled = || (shares.total.load(Ordering::Acquire) == expected).then_some(());
            eventually("every message after the death", is_settled);
        }
    });
}

#[test]
fn a_storm_of_deaths_doubles_nothing_and_leaves_other_groups_alone() {
    const DEATHS_OF_EACH: u32 = 60;
    const AFTER: u64 = 500;
    let office = Office::open();
    let shares = Shares::new(4_000_000 / REACTORS as u64);
    office.at_work(&shares, |office| {
        let descriptors = office.broker.descriptor_count();
        let address = office.broker.address();
        std::thread::scope(|scope| {
            let storm = |thread: usize| {
                scope.spawn(move || {
                    for death in 0..DEATHS_OF_EACH {
                        let mut peer = Peer::welcomed(address);
                        // Of any group but the last.
                        peer.send(join((thread + death as usize) % (FILTERS.len() - 1)));
                        if !death.is_multiple_of(3) {
                            while !matches!(peer.frame(), Frame::MessageGroup(_)) {}
                        }
                        die(peer, death.is_multiple_of(2));
                    }
                })
            };
            let threads: Vec<_> = (0..REACTORS).map(storm).collect();
            while threads.iter().any(|thread| !thread.is_finished()) {
                office.publish(WINDOW);
            }
        });
        office.wait_until_gone(descriptors);
        let during = office.published;
        office.publish(AFTER);
        let count = |group: usize, numbers: std::ops::Range<u64>| {
            let counts = &shares.counts[group][numbers.start as usize..numbers.end as usize];
            counts.iter().map(|count| u64::from(count.load(Ordering::Acquire))).sum::<u64>()
        };
        for group in 0..FILTERS.len() {
            let all_after = || (count(group, during..during + AFTER) == AFTER).then_some(());
            eventually("every message after the storm", all_after);
        }
        let last = FILTERS.len() - 1;
        let all = || (count(last, 0..during) == during).then_some(());
        eventually("every message where nobody has died", all);
        let lost: u64 = (0..last).map(|group| during - count(group, 0..during)).sum();
        println!("{lost} of {} went with {} dead", during * last as u64, DEATHS_OF_EACH * REACTORS as u32);
    });
}

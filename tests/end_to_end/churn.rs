//! Groups whose members come and go on every reactor while publishers on every reactor publish. What can be told
//! exactly: who leaves in an orderly way loses nothing, and who dies takes along its own share and no more.

use super::broker::Broker;
use super::peer::{Peer, bytes_of, publish, subscribe};
use super::process::eventually;
use super::reactors::{Ear, Outgoing, REACTORS, amount, broker_of_several, peers, writer_of};
use fanwire_wire::frame::{AckLevel, Frame, MessageGroup, Ping, Subscribe, Unsubscribe};
use std::ops::Range;
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

    /// How many of these messages came to a group.
    fn count(&self, group: usize, numbers: Range<u64>) -> u64 {
        let counts = &self.counts[group][numbers.start as usize..numbers.end as usize];
        counts.iter().map(|count| u64::from(count.load(Ordering::Acquire))).sum()
    }

    /// Waits until this many of them, or more, have come to a group.
    #[track_caller]
    fn wait_for(&self, what: &str, group: usize, numbers: Range<u64>, least: u64) {
        eventually(what, || (self.count(group, numbers.clone()) >= least).then_some(()));
    }

    /// Waits until this many have come to all groups together, and finds no more than that.
    #[track_caller]
    fn wait_for_total(&self, what: &str, expected: u64) {
        let total = eventually(what, || Some(self.total.load(Ordering::Acquire)).filter(|total| *total >= expected));
        assert_eq!(total, expected, "more came than {what}");
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

/// Deaths of a test, one after the other.
const DEATHS: u64 = 40;
/// Messages that are published before each death, and again after it.
const BATCH: u64 = 40;
/// What of a batch goes to each member of the group that the dying one has joined: as many as reactors take turns.
const SHARE: u64 = BATCH / REACTORS as u64;

/// A member that will not read, and dies without a word.
struct Dying {
    peer: Peer,
    group: usize,
    /// It dies with a reset, or as if its process had ended.
    is_reset: bool,
}

impl Dying {
    /// Of another group and on another reactor each time.
    fn join(office: &Office, number: u64) -> Dying {
        let group = number as usize % FILTERS.len();
        let mut peer = Peer::welcomed(office.broker.address());
        peer.subscribe(join(group));
        Dying { peer, group, is_reset: number.is_multiple_of(2) }
    }

    /// Waits until it has been handed its share of a batch. An acknowledgement does not say so: the share may still be
    /// under way between two reactors, and if its member is gone when it comes, it goes to the others.
    fn wait_for_share(&self) {
        let payload = &0_u64.to_le_bytes();
        let message = MessageGroup { subscription: self.group as u32, topic: b"jobs/run", headers: b"", payload };
        self.peer.wait_for_unread(SHARE as usize * bytes_of(message).len());
    }

    fn die(self) {
        die(self.peer, self.is_reset);
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
    const OWED_BEFORE: u64 = BATCH * FILTERS.len() as u64 - SHARE;
    const OWED_AFTER: u64 = BATCH * FILTERS.len() as u64;
    let office = Office::open();
    let shares = Shares::new(2 * DEATHS * BATCH);
    office.at_work(&shares, |office| {
        let descriptors = office.broker.descriptor_count();
        let mut expected = 0;
        for number in 0..DEATHS {
            let dying = Dying::join(office, number);
            office.publish(BATCH);
            dying.wait_for_share();
            expected += OWED_BEFORE;
            shares.wait_for_total("the others' shares", expected);
            dying.die();
            office.wait_until_gone(descriptors);
            // Even if the group does not know yet.
            office.publish(BATCH);
            expected += OWED_AFTER;
            shares.wait_for_total("every message after the death", expected);
        }
    });
    let total = shares.total.load(Ordering::Acquire);
    assert_eq!(total, DEATHS * (OWED_BEFORE + OWED_AFTER), "nothing came late");
}

#[test]
fn who_dies_while_its_share_is_under_way_takes_no_more_than_that_along() {
    let office = Office::open();
    let shares = Shares::new(2 * DEATHS * BATCH);
    office.at_work(&shares, |office| {
        let descriptors = office.broker.descriptor_count();
        for number in 0..DEATHS {
            let dying = Dying::join(office, number);
            let group_of_death = dying.group;
            let before = office.published..office.published + BATCH;
            office.publish(BATCH);
            dying.die();
            office.wait_until_gone(descriptors);
            let after = office.published..office.published + BATCH;
            office.publish(BATCH);
            for group in 0..FILTERS.len() {
                // What it had been handed by then went with it, and that may be nothing.
                let lost_max = if group == group_of_death { SHARE } else { 0 };
                shares.wait_for("the others' shares", group, before.clone(), BATCH - lost_max);
                shares.wait_for("every message after the death", group, after.clone(), BATCH);
            }
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
        for group in 0..FILTERS.len() {
            shares.wait_for("every message after the storm", group, during..during + AFTER, AFTER);
        }
        let last = FILTERS.len() - 1;
        shares.wait_for("every message where nobody has died", last, 0..during, during);
        let lost: u64 = (0..last).map(|group| during - shares.count(group, 0..during)).sum();
        println!("{lost} of {} went with {} dead", during * last as u64, DEATHS_OF_EACH * REACTORS as u32);
    });
}

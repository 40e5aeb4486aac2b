//! Connections that write byte by byte, that are killed in the middle of a frame, or that do not read, while those they
//! have to do with are on other reactors.

use super::broker::Broker;
use super::memory::NARROW;
use super::peer::{HELLO, Peer, Witness, bytes_of, publish, subscribe};
use super::process::eventually;
use super::reactors::{Outgoing, REACTORS, broker_of_several, peers, writer_of};
use fanwire_wire::frame::{AckLevel, Frame, Ping, Policy, Subscribe};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

#[test]
fn frames_that_come_byte_by_byte_arrive_whole_on_every_reactor() {
    const FRAMES: u32 = 30;
    let broker = broker_of_several("");
    let (mut subscribers, mut publishers) = (peers(&broker, REACTORS), peers(&broker, REACTORS));
    subscribers.iter_mut().for_each(|peer| assert_ne!(peer.subscribe(subscribe(1, "bytes")), 0));
    let frames: Vec<Vec<u8>> = (0..REACTORS as u32)
        .map(|publisher| {
            let frame = |number: u32| {
                bytes_of(publish("bytes", AckLevel::None, &[publisher, number].map(u32::to_le_bytes).concat()))
            };
            (0..FRAMES).flat_map(frame).collect()
        })
        .collect();
    for at in 0..frames[0].len() {
        for (peer, bytes) in publishers.iter_mut().zip(&frames) {
            peer.send_bytes(&bytes[at..=at]);
        }
    }
    for subscriber in &mut subscribers {
        let mut next = [0; REACTORS];
        for _ in 0..FRAMES * REACTORS as u32 {
            let Frame::Message(message) = subscriber.frame() else { panic!("no message") };
            let (publisher, number) = message.payload.split_at(4);
            let publisher = u32::from_le_bytes(publisher.try_into().expect("four bytes")) as usize;
            assert_eq!(number, u32::to_le_bytes(next[publisher]));
            next[publisher] += 1;
        }
        subscriber.expect_quiet();
    }
}

/// A process that has a connection all to itself, and writes to it what it is given.
struct Client {
    process: Child,
}

impl Client {
    /// Takes over a peer's connection.
    fn from(peer: Peer) -> Client {
        let socket = OwnedFd::from(writer_of(&peer));
        drop(peer);
        let mut command = Command::new("cat");
        let process = command.stdin(Stdio::piped()).stdout(socket).spawn().expect("the command starts");
        Client { process }
    }

    fn write(&mut self, bytes: &[u8]) {
        let pipe = self.process.stdin.as_mut().expect("piped");
        pipe.write_all(bytes).expect("the process reads");
    }

    /// Ends it with a signal that it can't notice.
    fn kill(&mut self) {
        self.process.kill().expect("the process is ours");
        self.process.wait().expect("the process is ours");
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended already, which is what both are for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Half of each has sent a whole frame and a part of another; the others are subscribers that never read.
#[test]
fn processes_that_are_killed_in_the_middle_of_a_frame_leave_nothing_behind() {
    const ROUNDS: usize = 3;
    let broker = broker_of_several("");
    let mut witnesses: Vec<Witness> = (0..REACTORS).map(|_| Witness::of(&broker)).collect();
    let mut subscriber = Peer::welcomed(broker.address());
    subscriber.subscribe(Subscribe { group: b"g", ..subscribe(1, "killed/+") });
    subscriber.subscribe(subscribe(2, "killed/whole"));
    let descriptors = broker.descriptor_count();
    for _ in 0..ROUNDS {
        let mut clients: Vec<Client> = peers(&broker, 2 * REACTORS).into_iter().map(prepare).collect();
        for client in &mut clients {
            let whole = bytes_of(publish("killed/whole", AckLevel::Routed, &[0; 100]));
            let cut = bytes_of(publish("killed/cut", AckLevel::Routed, &[0; 1_000]));
            client.write(&[&whole[..], &cut[..500]].concat());
        }
        // The group's share may also stand with one of those who are about to be killed.
        let mut whole = 0;
        while whole < clients.len() {
            match subscriber.frame() {
                Frame::Message(_) => whole += 1,
                Frame::MessageGroup(message) => assert_eq!(message.topic, b"killed/whole"),
                other => panic!("{other:?}"),
            }
        }
        witnesses.iter_mut().for_each(Witness::is_served);
        clients.iter_mut().for_each(Client::kill);
        eventually("every descriptor back", || (broker.descriptor_count() == descriptors).then_some(()));
        witnesses.iter_mut().for_each(Witness::is_served);
        expect_no_trace(&mut subscriber);
    }
    broker.wait_for_log(&["in the middle of a frame"]);
}

/// A member of the group and a subscriber of everything there.
fn prepare(mut peer: Peer) -> Client {
    peer.subscribe(Subscribe { group: b"g", ..subscribe(1, "killed/+") });
    peer.subscribe(subscribe(2, "killed/#"));
    Client::from(peer)
}

/// The group is the subscriber's alone again, and nothing of what was cut came through.
#[track_caller]
fn expect_no_trace(subscriber: &mut Peer) {
    let mut mine = 0;
    for number in 0..20_u8 {
        subscriber.send(publish("killed/after", AckLevel::None, &[number]));
    }
    while mine < 20 {
        match subscriber.frame() {
            Frame::MessageGroup(message) if message.topic == b"killed/after" => {
                assert_eq!(message.payload, [mine]);
                mine += 1;
            }
            Frame::MessageGroup(message) => assert_eq!(message.topic, b"killed/whole"),
            other => panic!("{other:?}"),
        }
    }
    subscriber.expect_quiet();
}

/// Subscribers that read, beside one that does not.
const OTHERS: usize = 99;
const WAVES: u32 = 60;
const WAVE: u32 = 20;
const PAYLOAD_BYTES: usize = 1_500;

/// One slow connection on the first reactor, a publisher on the second, the others everywhere.
struct Room {
    broker: Broker,
    slow: Peer,
    publisher: Peer,
    others: Vec<Peer>,
}

impl Room {
    fn new(policy: Policy) -> Room {
        let broker = broker_of_several(NARROW);
        let wish = Subscribe { policy, ..subscribe(1, "room") };
        let mut slow = Peer::connect_narrow(broker.address()).greet(HELLO);
        slow.subscribe(wish);
        let publisher = Peer::welcomed(broker.address());
        let mut others = peers(&broker, OTHERS);
        others.iter_mut().for_each(|peer| assert_ne!(peer.subscribe(wish), 0));
        Room { broker, slow, publisher, others }
    }

    /// Publishes numbered messages; the others get every one, wave by wave.
    fn flood(&mut self) {
        let mut outgoing = Outgoing::default();
        for wave in 0..WAVES {
            let numbers = wave * WAVE..(wave + 1) * WAVE;
            for number in numbers.clone() {
                let ack = if number + 1 == numbers.end { AckLevel::Routed } else { AckLevel::None };
                outgoing.add(publish("room", ack, &payload_of(number)));
            }
            outgoing.write_to(self.publisher.stream());
            assert!(matches!(self.publisher.frame(), Frame::Ack(_)));
            for peer in &mut self.others {
                for number in numbers.clone() {
                    let Frame::Message(message) = peer.frame() else { panic!("not message {number}") };
                    assert_eq!(number_of(message.payload), number);
                }
            }
        }
    }

    /// What the slow one finds: every message, or a count exactly where they are missing. Returns what was delivered,
    /// dropped and conflated.
    fn account(&mut self) -> (u32, u32, u32) {
        let (mut delivered, mut dropped, mut conflated) = (0, 0, 0);
        while delivered + dropped + conflated < WAVES * WAVE {
            match self.slow.frame() {
                Frame::Message(message) => {
                    assert_eq!(number_of(message.payload), delivered + dropped + conflated);
                    delivered += 1;
                }
                Frame::Gap(gap) => {
                    assert!(gap.subscription == 1 && gap.dropped + gap.conflated > 0, "{gap:?}");
                    dropped += gap.dropped as u32;
                    conflated += gap.conflated as u32;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(delivered + dropped + conflated, WAVES * WAVE);
        self.publisher.send(publish("room", AckLevel::None, &payload_of(u32::MAX)));
        let next = self.slow.frame();
        assert!(matches!(next, Frame::Message(message) if number_of(message.payload) == u32::MAX), "served again");
        self.slow.expect_quiet();
        (delivered, dropped, conflated)
    }
}

fn payload_of(number: u32) -> Vec<u8> {
    let mut payload = vec![0; PAYLOAD_BYTES];
    payload[..4].copy_from_slice(&number.to_le_bytes());
    payload
}

fn number_of(payload: &[u8]) -> u32 {
    u32::from_le_bytes(*payload.first_chunk().expect("payloads begin with a number"))
}

#[test]
fn a_slow_reader_on_another_reactor_is_cut_off_under_disconnect() {
    let mut room = Room::new(Policy::Disconnect);
    room.flood();
    let address = room.slow.address();
    room.broker.wait_for_log(&[&format!("\"peer\":\"{address}\""), "SLOW_CONSUMER"]);
    assert!(room.slow.hear_until_cut_off(|payload| u64::from(number_of(payload))) < u64::from(WAVES * WAVE));
}

#[test]
fn a_slow_reader_on_another_reactor_is_told_what_it_missed() {
    for policy in [Policy::DropOldest, Policy::DropNewest, Policy::Conflate] {
        let mut room = Room::new(policy);
        room.flood();
        let (delivered, dropped, conflated) = room.account();
        let (lost, other) = if policy == Policy::Conflate { (conflated, dropped) } else { (dropped, conflated) };
        assert!(delivered > 0 && lost > 0 && other == 0, "{policy:?}: {delivered} {dropped} {conflated}");
    }
}

/// Wherever the group lives, and wherever the slow member is.
#[test]
fn a_group_passes_over_a_member_that_does_not_read_on_any_reactor() {
    const JOBS: u32 = 400;
    for name in 0..6 {
        let broker = broker_of_several(NARROW);
        let group = format!("workers-{name}");
        let wish = Subscribe { group: group.as_bytes(), ..subscribe(1, "jobs") };
        let mut publisher = Peer::welcomed(broker.address());
        let mut slow = Peer::connect_narrow(broker.address()).greet(HELLO);
        let mut quick = Peer::welcomed(broker.address());
        slow.subscribe(wish);
        quick.subscribe(wish);
        let mut payload = vec![0; 4_000];
        let (mut of_quick, mut of_slow) = (Vec::new(), Vec::new());
        for number in 0..JOBS {
            payload[..4].copy_from_slice(&number.to_le_bytes());
            publisher.send(publish("jobs", AckLevel::Routed, &payload));
            assert!(matches!(publisher.frame(), Frame::Ack(_)));
            quick.send(Ping { time: 0 });
            take_jobs(&mut quick, &mut of_quick);
        }
        // What was picked for the slow one in vain may still be on its way to the quick one.
        slow.send(Ping { time: 0 });
        take_jobs(&mut slow, &mut of_slow);
        eventually("every job with somebody", || {
            quick.send(Ping { time: 0 });
            take_jobs(&mut quick, &mut of_quick);
            (of_quick.len() + of_slow.len() >= JOBS as usize).then_some(())
        });
        assert!(of_quick.len() > of_slow.len(), "{} of {JOBS}", of_quick.len());
        of_quick.append(&mut of_slow);
        of_quick.sort_unstable();
        assert!(of_quick.into_iter().eq(0..JOBS), "every job was given to one of them");
    }
}

/// Everything up to the answer to a ping.
fn take_jobs(peer: &mut Peer, jobs: &mut Vec<u32>) {
    loop {
        match peer.frame() {
            Frame::MessageGroup(message) => jobs.push(number_of(message.payload)),
            Frame::Pong(_) => return,
            other => panic!("{other:?}"),
        }
    }
}

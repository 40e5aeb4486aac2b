//! One of four reactors stands still: the others' traffic among themselves goes on, who publishes to it is postponed
//! and nobody else, memory stays bounded, and when it goes on everything arrives, in order.

use super::house::{House, eventually, greeting, slot_of};
use fanwire_wire::frame::{AckLevel, Direction, Frame, Policy, Publish, Start, Subscribe, decode, split_frame};
use socket2::SockRef;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const REACTORS: usize = 4;
/// The one that stands still.
const STALLED: usize = 3;
/// Queues that take everything once it goes on, so that nothing is lost by a policy; and no deadline that would wake
/// who should have been woken by another reactor.
const CONFIG: &str = "\
    [limits]\nqueue_bytes_max = \"1GiB\"\nqueue_bytes_total_max = \"8GiB\"\nframe_time_max = \"10m\"\n";
const PATIENCE: Duration = Duration::from_secs(30);
/// What each of three publishers wants to send to the stalled one.
const OFFERED: u64 = 2_560;
const PAYLOAD_BYTES: usize = 64 * 1024;
/// What may be on its way to the stalled one: three full mailboxes, and the turn that filled each.
const HELD_BYTES_MAX: u64 = 3 * (4 + 1) * 1024 * 1024;
/// By how much the process may grow for it, with whatever other tests do meanwhile. A tenth of what is offered.
const GROWTH_BYTES_MAX: u64 = 48 * 1024 * 1024;
const _: () = assert!(3 * OFFERED * PAYLOAD_BYTES as u64 >= 10 * GROWTH_BYTES_MAX);
/// Messages of each publisher to those who go on.
const LIVELY: u64 = 2_000;

/// A connection that has been welcomed.
struct Member {
    stream: TcpStream,
    address: SocketAddr,
    buffer: Vec<u8>,
    read: Box<[u8]>,
}

impl Member {
    /// The next one, on the next reactor.
    fn join(house: &House) -> Member {
        let mut stream = TcpStream::connect(house.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&greeting()).unwrap();
        stream.read_exact(&mut [0; 8]).unwrap();
        let address = stream.local_addr().unwrap();
        let mut member = Member { stream, address, buffer: Vec::new(), read: vec![0; 256 * 1024].into() };
        member.hear_until(|frame| matches!(frame, Frame::Welcome(_)));
        member
    }

    fn subscribe(&mut self, subscription: u32, filter: &str, group: &str) {
        let wish = Subscribe {
            subscription,
            policy: Policy::Disconnect,
            no_echo: false,
            responder: false,
            max_rate_hz: 0,
            start: Start::Live,
            filter: filter.as_bytes(),
            group: group.as_bytes(),
        };
        let mut bytes = Vec::new();
        Frame::from(wish).encode(&mut bytes);
        self.stream.write_all(&bytes).unwrap();
        self.hear_until(|frame| matches!(frame, Frame::Subscribed(_)));
    }

    /// Takes frames until one says that it is enough.
    #[track_caller]
    fn hear_until(&mut self, mut is_enough: impl FnMut(Frame<'_>) -> bool) {
        let mut is_over = false;
        while !is_over {
            let count = self.stream.read(&mut self.read).unwrap();
            assert!(count > 0, "the broker has ended the connection");
            self.buffer.extend_from_slice(&self.read[..count]);
            let mut begin = 0;
            while let Some((frame, size)) = split_frame(&self.buffer[begin..], 1 << 24).unwrap() {
                is_over |= is_enough(decode(frame, Direction::ToClient).unwrap().frame);
                begin += size;
            }
            self.buffer.drain(..begin);
        }
    }

    /// Takes messages until so many have come: their publishers and numbers.
    #[track_caller]
    fn take(&mut self, count: usize) -> Vec<(u64, u64)> {
        let mut messages = Vec::new();
        self.hear_until(|frame| {
            match frame {
                Frame::Message(message) => messages.push(label_of(message.payload)),
                Frame::MessageGroup(message) => messages.push(label_of(message.payload)),
                other => panic!("{other:?}"),
            }
            messages.len() == count
        });
        messages
    }
}

/// Who published a message, and its number.
fn label_of(payload: &[u8]) -> (u64, u64) {
    let part = |at: usize| u64::from_le_bytes(payload[at..at + 8].try_into().unwrap());
    (part(0), part(8))
}

/// Publishes numbered messages to these topics in turn, and counts acks.
fn publish(mut member: Member, publisher: u64, count: u64, payload_bytes: usize, topics: &[&str], acked: &AtomicU64) {
    let mut writer = member.stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut payload = vec![0; payload_bytes];
            payload[..8].copy_from_slice(&publisher.to_le_bytes());
            let mut bytes = Vec::new();
            for (number, topic) in (0..count).zip(topics.iter().cycle()) {
                payload[8..16].copy_from_slice(&number.to_le_bytes());
                bytes.clear();
                let topic = topic.as_bytes();
                Frame::from(Publish { ack: AckLevel::Routed, topic, headers: b"", payload: &payload })
                    .encode(&mut bytes);
                writer.write_all(&bytes).unwrap();
            }
        });
        let mut own = 0;
        member.hear_until(|frame| {
            let Frame::Ack(ack) = frame else { panic!("{frame:?}") };
            own += u64::from(ack.count);
            acked.fetch_add(u64::from(ack.count), Ordering::Release);
            own == count
        });
    });
}

/// Everybody of a test, before anything is published.
struct Cast {
    house: House,
    /// One on each reactor that goes on; they want "lively".
    lively: Vec<Member>,
    /// On the one that is going to stand still.
    asleep: Member,
    /// One on each reactor that goes on.
    publishers: Vec<Member>,
    /// On the same, to publish to the stalled one.
    held_up: Vec<Member>,
}

impl Cast {
    fn gather() -> Cast {
        let house = House::configured(CONFIG, REACTORS as u32, 100);
        let row = || (0..REACTORS).map(|_| Member::join(&house)).collect::<Vec<Member>>();
        let (mut lively, mut publishers, mut held_up) = (row(), row(), row());
        let asleep = lively.remove(STALLED);
        publishers.truncate(STALLED);
        held_up.truncate(STALLED);
        lively.iter_mut().for_each(|member| member.subscribe(1, "lively", ""));
        let cast = Cast { house, lively, asleep, publishers, held_up };
        cast.expect_places();
        cast
    }

    /// Whoever is said to be on a reactor is there.
    fn expect_places(&self) {
        let asleep = self.asleep.address;
        let is_there = |reactor: usize, address: SocketAddr| {
            self.house.ask(reactor, move |reactor| slot_of(reactor, address).is_some())
        };
        assert!(is_there(STALLED, asleep));
        for row in [&self.lively, &self.publishers, &self.held_up] {
            assert!(row.iter().enumerate().all(|(reactor, member)| is_there(reactor, member.address)));
        }
    }
}

/// The addresses of all connections that wait for room.
fn postponed(house: &House) -> BTreeSet<SocketAddr> {
    let of_reactor = |reactor| {
        house.ask(reactor, |reactor| {
            let postponed = reactor.connections.iter().filter(|(_, connection)| connection.is_postponed());
            postponed.map(|(_, connection)| connection.address()).collect::<Vec<_>>()
        })
    };
    (0..STALLED).flat_map(of_reactor).collect()
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4_096
}

/// Everybody's messages in order, each once.
#[track_caller]
fn expect_all(messages: &[(u64, u64)], each: u64) {
    let mut next: BTreeMap<u64, u64> = BTreeMap::new();
    for (publisher, number) in messages {
        let next = next.entry(*publisher).or_insert(0);
        assert_eq!(number, next, "the messages of {publisher}");
        *next += 1;
    }
    assert!(next.len() == STALLED && next.values().all(|count| *count == each), "{next:?}");
}

/// Stalls one reactor while three publishers want to reach it at these topics, and lets it go on when the others have
/// done their work. Returns what the stalled one's subscriber got.
fn stall_and_go_on(cast: Cast, topics: &[&str]) -> Vec<(u64, u64)> {
    let Cast { house, mut lively, mut asleep, publishers, held_up } = cast;
    let may_wait: BTreeSet<SocketAddr> = held_up.iter().map(|member| member.address).collect();
    let (held_acks, lively_acks) = (AtomicU64::new(0), AtomicU64::new(0));
    let before = resident_bytes();
    let stalled = house.stall(STALLED);
    let messages = std::thread::scope(|scope| {
        let (held_acks, lively_acks) = (&held_acks, &lively_acks);
        for (number, member) in (0..).zip(held_up) {
            scope.spawn(move || publish(member, number, OFFERED, PAYLOAD_BYTES, topics, held_acks));
        }
        eventually("everybody to be held up", || (postponed(&house) == may_wait).then_some(()));
        for (number, member) in (0..).zip(publishers) {
            scope.spawn(move || publish(member, number, LIVELY, 64, &["lively"], lively_acks));
        }
        for member in &mut lively {
            expect_all(&member.take(STALLED * LIVELY as usize), LIVELY);
        }
        eventually("every ack", || (lively_acks.load(Ordering::Acquire) == LIVELY * STALLED as u64).then_some(()));
        assert_eq!(postponed(&house), may_wait, "nobody else waits");
        let (held_bytes, now) = (held_acks.load(Ordering::Acquire) * PAYLOAD_BYTES as u64, resident_bytes());
        println!("held {} KiB, grown by {} KiB", held_bytes / 1024, now.saturating_sub(before) / 1024);
        assert!(held_bytes > 0 && held_bytes <= HELD_BYTES_MAX, "{held_bytes} bytes are held");
        assert!(now <= before + GROWTH_BYTES_MAX, "{before} bytes became {now}");
        drop(stalled);
        asleep.take(STALLED * OFFERED as usize)
    });
    for member in lively.iter().chain([&asleep]) {
        member.stream.shutdown(Shutdown::Both).unwrap();
    }
    house.wait_for_connections(0);
    messages
}

#[test]
fn a_reactor_that_stands_still_holds_up_only_who_publishes_to_it() {
    let mut cast = Cast::gather();
    cast.asleep.subscribe(1, "asleep", "");
    expect_all(&stall_and_go_on(cast, &["asleep"]), OFFERED);
}

/// The groups live everywhere, their only members on the one that stands still.
#[test]
fn groups_whose_members_stand_still_hold_up_only_who_publishes_to_them() {
    const TOPICS: [&str; 8] = ["job/0", "job/1", "job/2", "job/3", "job/4", "job/5", "job/6", "job/7"];
    let mut cast = Cast::gather();
    (0..).zip(TOPICS).for_each(|(number, topic)| cast.asleep.subscribe(number, topic, "workers"));
    let messages = stall_and_go_on(cast, &TOPICS);
    let mut by_topic: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
    for (publisher, number) in messages {
        let (topic, place) = (number % TOPICS.len() as u64, number / TOPICS.len() as u64);
        by_topic.entry(topic).or_default().push((publisher, place));
    }
    assert_eq!(by_topic.len(), TOPICS.len());
    by_topic.values().for_each(|messages| expect_all(messages, OFFERED / TOPICS.len() as u64));
}

/// Writes numbered messages, and waits for nothing.
fn write_messages(member: &mut Member, publisher: u64, numbers: Range<u64>) {
    let mut payload = vec![0; PAYLOAD_BYTES];
    payload[..8].copy_from_slice(&publisher.to_le_bytes());
    for number in numbers {
        payload[8..16].copy_from_slice(&number.to_le_bytes());
        let mut bytes = Vec::new();
        let message = Publish { ack: AckLevel::Routed, topic: b"asleep", headers: b"", payload: &payload };
        Frame::from(message).encode(&mut bytes);
        member.stream.write_all(&bytes).unwrap();
    }
}

/// Takes acks until so many have come.
fn take_acks(member: &mut Member, count: u64) -> u64 {
    let mut acked = 0;
    member.hear_until(|frame| {
        let Frame::Ack(ack) = frame else { panic!("{frame:?}") };
        acked += u64::from(ack.count);
        acked >= count
    });
    acked
}

/// Half a megabyte more than a mailbox takes stands in the socket when the publisher goes.
#[test]
fn who_is_held_up_may_go_and_what_was_acknowledged_arrives() {
    const WRITTEN: u64 = 72;
    /// The publishers who come last.
    const LAST: u64 = 10;
    let Cast { house, lively, mut asleep, mut publishers, mut held_up } = Cast::gather();
    asleep.subscribe(1, "asleep", "");
    let stalled = house.stall(STALLED);
    for (number, member) in (0..).zip(&mut held_up) {
        write_messages(member, number, 0..WRITTEN);
    }
    let addresses: Vec<SocketAddr> = held_up.iter().map(|member| member.address).collect();
    eventually("everybody to be held up", || (postponed(&house) == addresses.iter().copied().collect()).then_some(()));
    let acked = take_acks(&mut held_up[0], 1);
    let gone = held_up.remove(0);
    SockRef::from(&gone.stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(gone);
    // This one has said all it wanted to.
    held_up[0].stream.shutdown(Shutdown::Write).unwrap();
    for (number, member) in (LAST..).zip(&mut publishers) {
        write_messages(member, number, 0..1);
    }
    drop(stalled);
    let mut next = BTreeMap::new();
    asleep.hear_until(|frame| {
        let Frame::Message(message) = frame else { panic!("{frame:?}") };
        let (publisher, number) = label_of(message.payload);
        let next_number = next.entry(publisher).or_insert(0);
        assert_eq!(number, *next_number, "the messages of {publisher}");
        *next_number += 1;
        // That is the reactor's, too, and behind everything that was in the mailbox.
        assert!(publisher != LAST || next[&0] >= acked, "{acked} were acknowledged, {next:?}");
        (LAST..LAST + 3).all(|last| next.contains_key(&last))
            && [1, 2].iter().all(|held| next.get(held) == Some(&WRITTEN))
    });
    held_up.iter_mut().for_each(|member| assert_eq!(take_acks(member, WRITTEN), WRITTEN));
    assert_eq!(held_up[0].stream.read(&mut [0]).unwrap(), 0, "whoever has closed its side is let go at last");
    publishers.iter_mut().for_each(|member| assert_eq!(take_acks(member, 1), 1));
    drop((lively, asleep, publishers, held_up));
    house.wait_for_connections(0);
}

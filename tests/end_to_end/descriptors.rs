//! More connections than there may be: by configuration, by source address, by the machine's open-file limit. Those
//! that are there are served, those that are not are told why, and a place that becomes free is given away again: on
//! one reactor as on several, which have their bounds together.

use super::broker::Broker;
use super::journal_scene::{DataDirectory, SMALL_SEGMENTS, configuration, history_of};
use super::peer::{HELLO, Peer, Witness, bytes_of, publish};
use super::process::{Process, eventually};
use fanwire_wire::frame::{AckLevel, Frame, Hello, Start};
use fanwire_wire::{ClientPreface, Code, ServerPreface};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

/// What holds for one reactor and for several.
const REACTORS: [u32; 2] = [1, 4];

/// A connection, if the broker lets one in at the moment.
fn try_connect(address: SocketAddr) -> Option<Peer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(&ClientPreface::OURS.encode()).ok()?;
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).ok()?;
    let preface = ServerPreface::decode(&answer).expect("the broker's magic").expect("all of it");
    (preface.code == 0).then(|| Peer::from(stream))
}

#[test]
fn too_many_connections_are_turned_away_until_one_goes() {
    REACTORS.into_iter().for_each(expect_connection_bound);
}

fn expect_connection_bound(reactors: u32) {
    let limits = "connections_max = 7\nlinger_time_max = \"1m\"\n";
    let broker = Broker::start(&format!("reactors = {reactors}\n[limits]\n{limits}"));
    let mut witness = Witness::of(&broker);
    let mut admitted: Vec<Peer> = (0..6).map(|_| Peer::welcomed(broker.address())).collect();
    let mut refused = Vec::new();
    for _ in 0..10 {
        let mut peer = Peer::connect(broker.address());
        peer.pour(&ClientPreface::OURS.encode());
        peer.pour(&bytes_of(HELLO));
        peer.expect_turned_away(Code::TooManyConnections);
        broker.wait_for_log(&[&format!("\"peer\":\"{}\"", peer.address()), "TOO_MANY_CONNECTIONS"]);
        witness.is_served();
        refused.push(peer);
    }
    // Those who were refused and do not leave take nobody's place.
    admitted.pop();
    eventually("a free place", || try_connect(broker.address()));
    witness.is_served();
}

/// This machine's address on a network, if it is on one.
fn own_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Sends nothing: only asks which way a datagram to a documentation address would leave.
    socket.connect("192.0.2.254:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then(|| format!("{address}:0"))
}

#[test]
fn too_many_connections_from_one_address_are_turned_away_but_never_from_loopback() {
    REACTORS.into_iter().for_each(expect_address_bound);
    let local = Broker::start("[limits]\nconnections_per_address_max = 3\n");
    let crowd: Vec<Peer> = (0..10).map(|_| Peer::welcomed(local.address())).collect();
    crowd.into_iter().for_each(|mut peer| peer.expect_quiet());
}

fn expect_address_bound(reactors: u32) {
    // Where the machine is on no network, the unit test of the counting has to do.
    let Some(listen) = own_address() else { return };
    let limits = "connections_per_address_max = 3\nlinger_time_max = \"1m\"\n";
    let config = format!("reactors = {reactors}\ntokens = [\"t\"]\n[limits]\n{limits}");
    let broker = Broker::start_at(&listen, &config);
    assert!(broker.banner().contains("authenticated"), "{}", broker.banner());
    let connect = || Peer::connect(broker.address()).greet(Hello { credentials: b"t", ..HELLO });
    let mut witness = Witness::from(connect());
    let mut admitted = vec![connect(), connect()];
    let mut refused = Vec::new();
    for _ in 0..5 {
        let mut peer = Peer::connect(broker.address());
        peer.pour(&ClientPreface::OURS.encode());
        peer.expect_turned_away(Code::TooManyFromAddress);
        witness.is_served();
        refused.push(peer);
    }
    broker.wait_for_log(&["TOO_MANY_FROM_ADDRESS"]);
    admitted.pop();
    let hello = bytes_of(Hello { credentials: b"t", ..HELLO });
    eventually("a free place", || {
        let mut peer = Peer::connect(broker.address());
        peer.pour(&ClientPreface::OURS.encode());
        peer.pour(&hello);
        (peer.preface().code == 0).then_some(())
    });
}

#[test]
fn more_are_refused_than_are_told_and_a_place_stays_free_for_descriptors() {
    // 60 descriptors are the broker's own, and 4 each reactor's; refused connections that stay may take a part of them.
    for (reactors, open_files_max) in [(1, 96), (4, 108)] {
        expect_free_descriptors(reactors, open_files_max);
    }
}

fn expect_free_descriptors(reactors: u32, open_files_max: u32) {
    let config = format!("reactors = {reactors}\n[limits]\nlinger_time_max = \"1m\"\n");
    let broker = Broker::start_with_open_files(open_files_max, &config);
    let expected = format!("up to 32; open-file limit {open_files_max}");
    assert!(broker.banner().contains(&expected), "{}", broker.banner());
    let mut witness = Witness::of(&broker);
    let mut admitted: Vec<Peer> = (0..31).map(|_| Peer::welcomed(broker.address())).collect();
    let mut refused: Vec<Peer> = (0..20).map(|_| Peer::connect(broker.address())).collect();
    for peer in &mut refused {
        peer.expect_turned_away(Code::TooManyConnections);
        witness.is_served();
    }
    refused.extend((0..100).map(|_| Peer::connect(broker.address())));
    admitted.iter_mut().for_each(Peer::expect_quiet);
    drop(admitted.pop());
    eventually("a free place", || try_connect(broker.address()));
    witness.is_served();
    assert!(!broker.log().contains("out of file descriptors"), "{}", broker.log());
}

#[test]
fn out_of_descriptors_the_broker_serves_who_is_there_and_recovers() {
    REACTORS.into_iter().for_each(expect_recovery);
}

fn expect_recovery(reactors: u32) {
    let broker = Broker::start(&format!("reactors = {reactors}\n"));
    let mut witness = Witness::of(&broker);
    let mut admitted: Vec<Peer> = (0..10).map(|_| Peer::welcomed(broker.address())).collect();
    let full = broker.descriptor_count();
    broker.limit_open_files(full as u64 + 5);
    let crowd: Vec<Peer> = (0..60).map(|_| Peer::connect(broker.address())).collect();
    broker.wait_for_log(&["out of file descriptors", "\"level\":\"error\""]);
    admitted.iter_mut().for_each(Peer::expect_quiet);
    let before = processor_ticks(&broker);
    // Nothing happens in this while, which takes no work: waiting for a descriptor is not looking for one.
    std::thread::sleep(Duration::from_millis(500));
    let ticks = processor_ticks(&broker) - before;
    assert!(ticks < 25, "{ticks} ticks of a hundredth second went into waiting");
    witness.is_served();
    drop(crowd);
    eventually("the crowd's descriptors back", || (broker.descriptor_count() <= full).then_some(()));
    eventually("a free place", || try_connect(broker.address()));
    witness.is_served();
}

#[test]
fn a_limit_that_leaves_no_room_for_a_single_connection_is_told() {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64 && exec \"$0\" serve --listen 127.0.0.1:0", env!("CARGO_BIN_EXE_fanwire")]);
    let ended = Process::start(command).end();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.err);
    assert!(ended.err.contains("open-file limit of 64") && ended.err.contains("ulimit -n"), "{}", ended.err);
}

#[test]
fn the_soft_limit_is_raised_to_the_hard_one() {
    let broker = Broker::start_by("reactors = 1\n", |command| {
        let mut limited = Command::new("sh");
        limited.args(["-c", "ulimit -Sn 100 && ulimit -Hn 300 && exec \"$@\"", "sh"]);
        limited.arg(command.get_program()).args(command.get_args());
        limited
    });
    assert!(broker.banner().contains("up to 236; open-file limit 300"), "{}", broker.banner());
}

#[test]
fn a_limit_that_the_journals_need_for_themselves_is_told_with_what_they_need() {
    let data = DataDirectory::new();
    let config = configuration(data.path(), &format!("{SMALL_SEGMENTS}\nmax_bytes = \"80MiB\""));
    let file = data.path().with_extension("toml");
    std::fs::write(&file, config).expect("writes");
    let mut command = Command::new("sh");
    let script = "ulimit -n 1024 && exec \"$0\" serve --listen 127.0.0.1:0 --config \"$1\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_fanwire")]).arg(&file);
    let ended = Process::start(command).end();
    std::fs::remove_file(&file).expect("removes");
    assert_eq!(ended.status.code(), Some(1), "{}", ended.err);
    for said in ["open-file limit of 1024", "set aside for journals", "larger segments"] {
        assert!(ended.err.contains(said), "{said}: {}", ended.err);
    }
}

#[test]
fn a_journal_that_has_grown_beyond_the_limit_is_refused_alone_and_told_and_is_whole_with_a_higher_one() {
    let data = DataDirectory::new();
    let config = configuration(data.path(), SMALL_SEGMENTS);
    let segments = || {
        let entries = std::fs::read_dir(data.events()).expect("lists").map(|entry| entry.expect("lists").path());
        entries.filter(|path| path.extension().is_some_and(|end| end == "segment")).count()
    };
    let broker = Broker::start(&config);
    let mut peer = Peer::welcomed(broker.address());
    let mut count = 0;
    while segments() < 8 {
        peer.send(publish("match/1", AckLevel::Durable, &[7; 4_000]));
        assert!(matches!(peer.frame(), Frame::Ack(_)));
        count += 1;
    }
    broker.kill();
    // 68 are the broker's own and its two reactors', one is for a connection, and a journal needs 88 and its segments.
    let limited = Broker::start_with_open_files(163, &config);
    limited.wait_for_log(&["the journal is refused", "the open-file limit of 163", "ulimit -n"]);
    Witness::of(&limited).is_served();
    limited.kill();
    let broker = Broker::start(&config);
    assert_eq!(history_of(broker.address(), Start::First, "match/1").0.len(), count);
}

/// Hundredths of a second that the broker has worked.
fn processor_ticks(broker: &Broker) -> u64 {
    let stat = broker.stat();
    // User and system time; the name before them is in parentheses and may hold anything.
    let fields = stat.rsplit_once(')').expect("a name in parentheses").1.split_whitespace();
    fields.skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum()
}

//! What breaks under a journal, and what it says: a sync or a write that fails, another broker on the same directory,
//! files that are damaged, foreign, or a newer release's.

use super::broker::Broker;
use super::journal_scene::{DataDirectory, SMALL_SEGMENTS, configuration, from, history_of, subscribed};
use super::peer::{Peer, Witness, publish};
use super::process::{Process, eventually, fanwire};
use super::web::ask;
use fanwire_wire::Code;
use fanwire_wire::frame::{AckLevel, Frame, Outcome, Scope, Start};
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Records before the call that fails, at the most.
const PUBLISHES_MAX: u64 = 200;

/// A broker whose calls fail as this says, from a chosen one on; none if nothing here can make them.
fn failing_broker(config: &str, injection: &str) -> Option<Broker> {
    let probe = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        println!("skipped: strace is not there, or must not trace");
        return None;
    }
    let call = injection.split(':').next().expect("there is a first");
    Some(Broker::start_by(config, |command| {
        let mut traced = Command::new("strace");
        // The broker is the child, and strace its tracer aside.
        traced.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
        traced.args(["-e", &format!("inject={injection}")]).arg(command.get_program()).args(command.get_args());
        traced
    }))
}

/// Publishes one by one until one is refused; returns how many were acknowledged.
#[track_caller]
fn publish_until_it_fails(peer: &mut Peer, ack: AckLevel) -> u64 {
    for number in 1..PUBLISHES_MAX {
        peer.send(publish("match/1", ack, &number.to_le_bytes()));
        match peer.frame() {
            Frame::Ack(ack) => assert_eq!(ack.first_sequence, number),
            Frame::Error(refusal) => {
                assert_eq!((refusal.scope, refusal.code), (Scope::Publish, Code::JournalFailed.number()));
                return number - 1;
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("nothing has failed")
}

/// Nothing is acknowledged any more, and live topics go on.
#[track_caller]
fn expect_failed(broker: &Broker, peer: &mut Peer, acked: u64) {
    broker.wait_for_log(&["the journal has failed", "events"]);
    let probe = ask(broker.address(), "GET", "/readyz", "", b"");
    assert_eq!((probe.status, &probe.json()["journals_failed"]), (503, &serde_json::json!(["events"])));
    let levels = [AckLevel::Routed, AckLevel::Journaled, AckLevel::Durable, AckLevel::Durable];
    for (number, ack) in (acked + 2..).zip(levels) {
        peer.send(publish("match/1", ack, b"late"));
        peer.expect_refused(Scope::Publish, Code::JournalFailed, number);
    }
    peer.send(publish("match/2", AckLevel::None, b"late"));
    peer.expect_refused(Scope::UnackedPublish, Code::JournalFailed, 0);
    Witness::of(broker).is_served();
}

/// What was acknowledged is there, and nothing that was sent afterwards.
#[track_caller]
fn expect_held(broker: &Broker, acked: u64) -> u64 {
    let (log, outcome, epoch) = history_of(broker.address(), Start::First, "match/1");
    assert_eq!(outcome, Outcome::History);
    for (number, kept) in (1_u64..).zip(&log) {
        assert_eq!((kept.sequence, kept.payload.as_slice()), (number, number.to_le_bytes().as_slice()));
    }
    // The one whose sync failed was refused, and may be there all the same.
    assert!((acked..=acked + 1).contains(&(log.len() as u64)), "{} records, {acked} were acknowledged", log.len());
    epoch
}

#[test]
fn a_sync_that_fails_is_final_and_the_next_start_does_not_trust_the_page_cache() {
    let data = DataDirectory::new();
    let config = configuration(data.path(), "sync = \"demand\"");
    let Some(broker) = failing_broker(&config, "fdatasync:error=EIO:when=20") else { return };
    let mut peer = Peer::welcomed(broker.address());
    let (_, _, epoch) = history_of(broker.address(), Start::First, "match/1");
    let acked = publish_until_it_fails(&mut peer, AckLevel::Durable);
    assert!(acked > 0);
    expect_failed(&broker, &mut peer, acked);
    drop(peer);
    broker.signal(Signal::TERM);
    let ended = broker.end();
    assert!(ended.err.contains("the journal was not closed"), "{}", ended.err);
    // As long as somebody makes the machine keep what may not be on the disk, nothing of it is read.
    let mapped = map_whole(&newest_segment(&data));
    let said = ["a sync failed before the last end", ".segment", "drop from memory", "unmount"];
    println!("{acked} durable acknowledgements, then: {}", expect_refusal(&config, &said));
    drop(mapped);
    let broker = Broker::start(&config);
    assert!(expect_held(&broker, acked) > epoch, "what was released may be lost, so a new epoch begins");
    let mut peer = Peer::welcomed(broker.address());
    peer.send(publish("match/1", AckLevel::Durable, b"anew"));
    assert!(matches!(peer.frame(), Frame::Ack(ack) if ack.first_sequence > acked));
}

#[test]
fn a_sync_that_fails_while_the_broker_ends_is_not_hidden_by_the_last_one() {
    let data = DataDirectory::new();
    let config = configuration(data.path(), "sync = \"1ms\"");
    let Some(broker) = failing_broker(&config, "fdatasync:error=EIO:delay_enter=3000000:when=20") else { return };
    let mut peer = Peer::welcomed(broker.address());
    // It stands still for each call that is traced, too: so long it does for the one alone.
    eventually("the sync thread to be held", || {
        peer.send(publish("match/1", AckLevel::Journaled, b"x"));
        assert!(matches!(peer.frame(), Frame::Ack(_)));
        (0..3_000).all(|_| broker.is_held("sync-events")).then_some(())
    });
    drop(peer);
    broker.signal(Signal::TERM);
    let ended = broker.end();
    assert!(ended.err.contains("the journal was not closed"), "{}", ended.err);
    Broker::start(&config).wait_for_log(&["a new epoch begins", "PowerLost"]);
}

fn newest_segment(data: &DataDirectory) -> PathBuf {
    let files = std::fs::read_dir(data.events()).expect("lists").flatten().map(|entry| entry.path());
    files.filter(|path| path.extension().is_some_and(|is| is == "segment")).max().expect("there is one")
}

/// A file that is in use as memory, so that the machine can't drop what it holds of it.
fn map_whole(path: &Path) -> memmap2::MmapRaw {
    let file = std::fs::File::options().read(true).write(true).open(path).expect("opens");
    memmap2::MmapOptions::new().populate().map_raw(&file).expect("maps")
}

#[test]
fn a_write_that_fails_is_final_until_the_next_start() {
    let data = DataDirectory::new();
    let config = configuration(data.path(), &format!("{SMALL_SEGMENTS}\nsync = \"demand\""));
    let Some(broker) = failing_broker(&config, "pwrite64:error=EIO:when=60") else { return };
    let mut peer = Peer::welcomed(broker.address());
    let acked = publish_until_it_fails(&mut peer, AckLevel::Journaled);
    expect_failed(&broker, &mut peer, acked);
    // Who reads may go on.
    let epoch = expect_held(&broker, acked);
    drop(peer);
    broker.kill();
    let broker = Broker::start(&config);
    assert_eq!(expect_held(&broker, acked), epoch);
    println!("{acked} journaled acknowledgements before the write that failed");
    let mut peer = Peer::welcomed(broker.address());
    peer.send(publish("match/1", AckLevel::Durable, b"anew"));
    assert!(matches!(peer.frame(), Frame::Ack(ack) if ack.first_sequence > acked));
}

#[test]
fn a_second_broker_on_the_directory_is_refused_and_told_of_the_first() {
    let data = DataDirectory::new();
    let serve = |data: &Path| {
        let data = data.to_str().expect("text");
        fanwire(&["serve", "--listen", "127.0.0.1:0", "--data", data, "--journal", "events=match/#,orders/+/log"])
    };
    let mut first = Process::start(serve(data.path()));
    first.wait_for_out("  try ");
    let second = Process::start(serve(data.path())).end();
    assert_eq!(second.status.code(), Some(1), "{}", second.err);
    let told = format!("process {}", first.id());
    assert!(second.err.contains(&told) && second.err.contains("lock"), "{told}: {}", second.err);
    // The first one does not mind, and leaves nothing that would keep the next one out.
    assert!(!first.has_ended());
    first.signal(Signal::KILL);
    first.end();
    let third = Process::start(serve(data.path()));
    third.wait_for_out("  try ");
    third.signal(Signal::TERM);
    assert_eq!(third.end().status.code(), Some(0));
}

/// A data directory with a journal of several segments that was closed; the segments' files, oldest first.
fn closed_journal() -> (DataDirectory, String, Vec<PathBuf>) {
    let data = DataDirectory::new();
    let config = configuration(data.path(), SMALL_SEGMENTS);
    let broker = Broker::start(&config);
    let mut peer = Peer::welcomed(broker.address());
    for number in 1..=400_u64 {
        let ack = if number == 400 { AckLevel::Durable } else { AckLevel::None };
        peer.send(publish("match/1", ack, &[number.to_le_bytes().as_slice(), &[7; 992]].concat()));
    }
    assert!(matches!(peer.frame(), Frame::Ack(_)));
    drop(peer);
    let files_of = |kind: &str| {
        let files = std::fs::read_dir(data.events()).expect("lists").flatten().map(|entry| entry.path());
        let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|is| is == kind)).collect();
        files.sort();
        files
    };
    eventually("full segments to be sealed", || {
        (files_of("index").len() + 1 == files_of("segment").len()).then_some(())
    });
    broker.signal(Signal::TERM);
    assert_eq!(broker.end().status.code(), Some(0));
    let segments = files_of("segment");
    assert!(segments.len() > 3, "{segments:?}");
    (data, config, segments)
}

/// Changes bytes of a file in place.
fn overwrite(path: &Path, offset: usize, change: impl FnOnce(&mut [u8])) {
    let mut bytes = std::fs::read(path).expect("reads");
    change(&mut bytes[offset..]);
    std::fs::write(path, bytes).expect("writes");
}

/// A broker starts without its journal `events`, and says why; returns what it says.
#[track_caller]
fn expect_refusal(config: &str, said: &[&str]) -> String {
    let broker = Broker::start(config);
    let line = broker.wait_for_log(&["the journal is refused", "events"]);
    assert!(said.iter().all(|said| line.contains(said)), "{said:?}: {line}");
    assert!(broker.banner().contains("REFUSED"), "{}", broker.banner());
    let mut peer = Peer::welcomed(broker.address());
    peer.send(publish("match/1", AckLevel::Routed, b"lost"));
    peer.expect_refused(Scope::Publish, Code::JournalFailed, 1);
    drop(peer);
    broker.signal(Signal::TERM);
    let ended = broker.end();
    assert_eq!(ended.status.code(), Some(0), "it drains: {}", ended.err);
    line
}

#[test]
fn a_journal_that_is_damaged_is_refused_and_everything_else_is_served() {
    let (data, config, segments) = closed_journal();
    let config = format!("{config}[[journal]]\nname = \"other\"\ntopics = [\"other/#\"]\n");
    let last = segments.last().expect("several");
    overwrite(last, 200, |bytes| bytes[0] ^= 1);
    let broker = Broker::start(&config);
    let name = last.file_name().expect("a file").to_str().expect("text");
    let directory = data.events();
    let directory = directory.to_str().expect("text");
    let repair = format!("fanwire journal verify --repair {directory}");
    let line =
        broker.wait_for_log(&["\"error\"", "the journal is refused", "events", name, "damaged at offset", &repair]);
    println!("{line}\n{}", broker.banner());
    let mut peer = Peer::welcomed(broker.address());
    for (number, ack) in (1..).zip([AckLevel::Routed, AckLevel::Journaled, AckLevel::Durable]) {
        peer.send(publish("match/1", ack, b"lost"));
        peer.expect_refused(Scope::Publish, Code::JournalFailed, number);
    }
    peer.send(publish("match/2", AckLevel::None, b"lost"));
    peer.expect_refused(Scope::UnackedPublish, Code::JournalFailed, 0);
    for (subscription, start) in (1..).zip([Start::First, Start::Resume { epoch: 1, last: 1 }]) {
        peer.send(from(start, subscription, "match/1"));
        peer.expect_refused(Scope::Subscription, Code::JournalFailed, subscription.into());
    }
    let live = subscribed(&mut peer, from(Start::Live, 3, "match/#"));
    assert_eq!((live.outcome, live.epoch), (Outcome::Live, 0));
    peer.expect_quiet();
    peer.send(publish("other/1", AckLevel::Durable, b"kept"));
    assert!(matches!(peer.frame(), Frame::Ack(ack) if ack.first_sequence == 1));
    assert_eq!(history_of(broker.address(), Start::First, "other/#").0.len(), 1);
    Witness::of(&broker).is_served();
    drop(peer);
    let journal = |arguments: &[&str]| {
        let ended = Process::start(fanwire(&[&["journal"], arguments].concat())).end();
        (ended.status.code(), String::from_utf8_lossy(&ended.out).into_owned(), ended.err)
    };
    let (_, listed, told) = journal(&["ls", data.path().to_str().expect("text")]);
    assert!(listed.contains("events") && listed.contains("other"), "{listed}{told}");
    // Nobody has it locked, so it is repaired while the others are served.
    let (code, repaired, told) = journal(&["verify", "--repair", directory]);
    assert_eq!(code, Some(0), "{repaired}{told}");
    broker.signal(Signal::TERM);
    let ended = broker.end();
    assert_eq!(ended.status.code(), Some(0), "it drains: {}", ended.err);
    let broker = Broker::start(&config);
    let (log, _, _) = history_of(broker.address(), Start::First, "match/1");
    assert!(!log.is_empty() && log.len() < 400, "{} records are left", log.len());
    let mut peer = Peer::welcomed(broker.address());
    peer.send(publish("match/1", AckLevel::Durable, b"anew"));
    assert!(matches!(peer.frame(), Frame::Ack(ack) if ack.first_sequence == log.len() as u64 + 1));
}

#[test]
fn damage_in_what_was_durable_is_told_with_file_and_offset_and_nothing_is_thrown_away() {
    let (data, config, segments) = closed_journal();
    let last = segments.last().expect("several");
    let name = last.file_name().expect("a file").to_str().expect("text");
    let sound = std::fs::read(last).expect("reads");
    overwrite(last, 200, |bytes| bytes[0] ^= 1);
    let damaged = std::fs::read(last).expect("reads");
    println!("{}", expect_refusal(&config, &[name, "damaged at offset", "restore the file from a copy"]));
    assert_eq!(std::fs::read(last).expect("reads"), damaged, "its bytes are kept");
    let verify = || Process::start(fanwire(&["journal", "verify", data.events().to_str().expect("text")])).end();
    let verified = verify();
    let told = [String::from_utf8_lossy(&verified.out).into_owned(), verified.err.clone()].concat();
    assert_eq!(verified.status.code(), Some(1), "{told}");
    assert!(told.contains(name) && told.contains("offset"), "{told}");
    println!("{}", told.trim());
    std::fs::write(last, sound).expect("writes");
    let verified = verify();
    assert_eq!(verified.status.code(), Some(0), "{}", verified.err);
    let broker = Broker::start(&config);
    assert_eq!(history_of(broker.address(), Start::First, "match/1").0.len(), 400);
}

#[test]
fn files_that_are_foreign_newer_or_missing_are_told_with_advice() {
    let (_kept, config, segments) = closed_journal();
    let (_other, _, others) = closed_journal();
    let middle = &segments[segments.len() / 2];
    let last = segments.last().expect("several");
    let name = |path: &Path| path.file_name().expect("a file").to_str().expect("text").to_owned();
    let sound = std::fs::read(last).expect("reads");
    std::fs::copy(others.last().expect("several"), last).expect("copies");
    expect_refusal(&config, &[&name(last), "another journal", "move it out"]);
    std::fs::write(last, &sound).expect("writes");
    overwrite(last, 8, |bytes| bytes[0] = 99);
    expect_refusal(&config, &[&name(last), "newer release", "version 99"]);
    std::fs::write(last, &sound).expect("writes");
    let away = middle.with_extension("away");
    std::fs::rename(middle, &away).expect("renames");
    expect_refusal(&config, &["missing", "restore the file from a copy"]);
    std::fs::rename(&away, middle).expect("renames");
    let broker = Broker::start(&config);
    assert_eq!(history_of(broker.address(), Start::First, "match/1").0.len(), 400);
}

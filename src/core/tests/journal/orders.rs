//! What a log accepts, and what it says of the rest; how much it takes, and how much memory for that.

use crate::basics::{SETTINGS, open, opening, publication, publish, seal_all};
use crate::disk::{Plan, SimulatedDisk};
use crate::index::PLAIN;
use fanwire_core::journal::format::Producer;
use fanwire_core::journal::{
    Admission, CommitError, Log, LogSettings, Opening, Publication, Refusal, TopicRef, WINDOW,
};

type TestLog = Log<SimulatedDisk>;

fn admit(log: &mut TestLog, publication: &Publication<'_>) -> Admission {
    let admission = log.admit(publication, 2000);
    log.commit().expect("the disk is sound");
    admission
}

fn numbered(number: u64) -> Publication<'static> {
    Publication { producer: Some(Producer { id: 7, number }), ..publication("a", b"x") }
}

#[test]
fn an_expected_sequence_holds_or_the_actual_one_is_told() {
    let disk = SimulatedDisk::new(1);
    let (mut log, _) = open(&disk, 1);
    let expecting = |topic, expect| Publication { expect: Some(expect), ..publication(topic, b"x") };
    let conflict = |actual| Admission::Refused(Refusal::Conflict { actual });
    assert_eq!(admit(&mut log, &expecting("a", 1)), conflict(0));
    assert_eq!(log.topics_count(), 0, "a refused publication makes no topic");
    assert!(matches!(admit(&mut log, &expecting("a", 0)), Admission::Ordered(_)));
    assert_eq!(admit(&mut log, &expecting("a", 0)), conflict(1));
    assert!(matches!(admit(&mut log, &expecting("a", 1)), Admission::Ordered(_)));
    drop(log);
    let (mut log, _) = open(&disk, 1);
    assert_eq!(admit(&mut log, &expecting("a", 1)), conflict(2));
    assert!(matches!(admit(&mut log, &expecting("a", 2)), Admission::Ordered(_)));
}

#[test]
fn a_number_comes_once_across_restarts_and_snapshots() {
    let disk = SimulatedDisk::new(1);
    let (mut log, _) = open(&disk, 1);
    let last = WINDOW as u64 + 20;
    for number in 1..=last {
        publish(&mut log, &numbered(number));
        log.commit().expect("the disk is sound");
        seal_all(&mut log);
    }
    assert!(log.shared_catalog().segments.len() > 3);
    for life in 0..3 {
        for number in 21..=last {
            assert_eq!(admit(&mut log, &numbered(number)), Admission::Duplicate { sequence: number }, "life {life}");
        }
        assert_eq!(admit(&mut log, &numbered(20)), Admission::Refused(Refusal::ProducerTooOld));
        drop(log);
        log = open(&disk, 1).0;
    }
    assert_eq!(log.tail().position, last);
}

#[test]
fn a_duplicate_within_a_batch_that_finds_no_room_is_none_afterwards() {
    let disk = SimulatedDisk::new(1);
    let (mut log, _) = open(&disk, 1);
    assert!(matches!(log.admit(&numbered(1), 0), Admission::Ordered(_)));
    assert_eq!(log.admit(&numbered(1), 0), Admission::Duplicate { sequence: 1 });
    disk.plan(disk.operations() + 1, Plan::Full);
    assert_eq!(log.commit(), Err(CommitError::Full));
    let Admission::Ordered(ordered) = log.admit(&numbered(1), 0) else { panic!("it was never accepted") };
    assert_eq!((ordered.sequence, ordered.position), (1, 1));
    log.commit().expect("there is room again");
}

#[test]
fn times_never_go_back() {
    let disk = SimulatedDisk::new(1);
    let (mut log, _) = open(&disk, 1);
    let mut last = 0;
    for now_us in [500, 400, u64::MAX / 2, 3, 0] {
        let Admission::Ordered(ordered) = log.admit(&publication("a", b"x"), now_us) else { panic!("there is room") };
        assert!(ordered.time_us >= last.max(now_us));
        last = ordered.time_us;
        log.commit().expect("the disk is sound");
    }
    log.close().expect("the disk is sound");
    let (mut log, _) = open(&disk, 2);
    let ordered = publish(&mut log, &publication("a", b"x"));
    assert_eq!(ordered.time_us, last);
}

#[test]
fn an_epoch_rises_even_if_the_clock_has_gone_back() {
    let disk = SimulatedDisk::new(1);
    let (mut log, first) = open(&disk, 1);
    publish(&mut log, &publication("a", b"x"));
    log.commit().expect("the disk is sound");
    drop(log);
    disk.restart_machine();
    let early = Opening { now_us: 0, ..opening(2) };
    let (_, second) = Log::open(disk.clone(), SETTINGS, PLAIN, &early).expect("the disk is sound");
    assert_eq!(second.epoch, first.epoch + 1);
}

#[test]
fn topics_are_bounded_and_records_fit_a_segment() {
    let disk = SimulatedDisk::new(1);
    let settings = LogSettings { topics_max: 2, ..SETTINGS };
    let (mut log, _) = Log::open(disk, settings, PLAIN, &opening(1)).expect("the disk is sound");
    for topic in ["a", "b", "a"] {
        assert!(matches!(admit(&mut log, &publication(topic, b"x")), Admission::Ordered(_)));
    }
    assert_eq!(admit(&mut log, &publication("c", b"x")), Admission::Refused(Refusal::TooManyTopics));
    let largest = 4096 - 64 - 48 - 41 - 56;
    assert_eq!(admit(&mut log, &publication("a", &vec![1; largest + 1])), Admission::Refused(Refusal::TooLarge));
    let ordered = publish(&mut log, &publication("a", &vec![1; largest]));
    assert_eq!(ordered.sequence, 3);
    log.commit().expect("the disk is sound");
    assert_eq!(log.tail().offset, 4096, "it fills a segment of its own");
    assert_eq!(publish(&mut log, &publication("a", b"x")).position, 5);
}

#[test]
fn a_record_of_a_mebibyte_survives() {
    let disk = SimulatedDisk::new(1);
    let settings = LogSettings { segment_bytes: 3 << 20, ..SETTINGS };
    let payload: Vec<u8> = (0..1 << 20).map(|at: u32| (at % 251) as u8).collect();
    let (mut log, _) = Log::open(disk.clone(), settings, PLAIN, &opening(1)).expect("the disk is sound");
    for _ in 0..5 {
        publish(&mut log, &publication("a", &payload));
        log.commit().expect("the disk is sound");
    }
    drop(log);
    let (log, recovery) = Log::open(disk, settings, PLAIN, &opening(1)).expect("the disk is sound");
    assert_eq!((recovery.records, log.tail().position), (5, 5));
}

#[test]
fn a_hundred_thousand_topics_take_little_memory_each() {
    const TOPICS: usize = 100_000;
    let disk = SimulatedDisk::new(1);
    let settings = LogSettings { segment_bytes: 8 << 20, topics_max: 1_000_000, ..SETTINGS };
    let (mut log, _) = Log::open(disk.clone(), settings, PLAIN, &opening(1)).expect("the disk is sound");
    for topic in 0..TOPICS {
        let ordered = publish(&mut log, &publication(&format!("player/{topic:013}"), b"x"));
        assert_eq!(ordered.sequence, 1);
        if topic % 1000 == 0 {
            log.commit().expect("the disk is sound");
            seal_all(&mut log);
        }
    }
    log.commit().expect("the disk is sound");
    let each = log.topics_bytes() as f64 / TOPICS as f64;
    println!("{each:.1} bytes of memory for each of {TOPICS} topics with names of 20 bytes");
    assert!(each <= 100.0);
    drop(log);
    let (mut log, recovery) = Log::open(disk, settings, PLAIN, &opening(1)).expect("the disk is sound");
    assert_eq!(log.topics().count(), TOPICS);
    assert!(recovery.snapshot.is_some());
    let reopened = log.topics_bytes() as f64 / TOPICS as f64;
    assert!(reopened <= 100.0, "{reopened}");
    assert_eq!(publish(&mut log, &publication("player/0000000000000", b"x")).sequence, 2);
}

#[test]
fn a_volatile_log_is_bounded_by_what_is_retired() {
    let disk = SimulatedDisk::new(1);
    let settings = LogSettings { is_volatile: true, ..SETTINGS };
    let (mut log, _) = Log::open(disk.clone(), settings, PLAIN, &opening(1)).expect("the disk is sound");
    for number in 1..=1000 {
        let ordered = publish(&mut log, &publication("a", &[1; 100]));
        assert_eq!(ordered.sequence, number);
        log.commit().expect("the disk is sound");
        seal_all(&mut log);
        let catalog = log.shared_catalog();
        if catalog.segments.len() > 4 {
            log.retire(&[catalog.segments[0].base]);
        }
    }
    assert!(log.sync_task().is_none(), "nothing of it is ever synced");
    assert!(log.shared_catalog().segments.len() <= 4);
    assert_eq!(log.durable(), 0);
    assert!(!disk.names().iter().any(|name| name.ends_with(".snapshot") || name == "journal"));
}

#[test]
fn a_key_names_its_topic_as_long_as_the_log_is_open() {
    let disk = SimulatedDisk::new(1);
    let (mut log, _) = open(&disk, 1);
    let Admission::Ordered(lost) = log.admit(&publication("a", b"x"), 0) else { panic!("there is room") };
    disk.plan(disk.operations() + 1, Plan::Full);
    assert_eq!(log.commit(), Err(CommitError::Full));
    assert_eq!(log.topic_end("a"), None);
    let other = publish(&mut log, &publication("b", b"x"));
    assert_ne!(lost.topic, other.topic);
    let again = publish(&mut log, &Publication { topic: TopicRef::Key(lost.topic), ..publication("", b"x") });
    assert_eq!((again.sequence, again.position, log.topic_name(again.topic)), (1, 2, "a"));
    log.commit().expect("there is room again");
    assert_eq!(log.topics().map(|(name, end)| (name, end.sequence)).collect::<Vec<_>>(), [("a", 1), ("b", 1)]);
}

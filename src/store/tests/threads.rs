//! The sync thread, the maker and the steward: what they promise about order, haste and ends.

use super::PATIENCE;
use super::scratch::Scratch;
use crate::store::{Append, Directory, Made, Maker, Medium, Memory, Steward, SyncTask, Syncer};
use fanwire_core::journal::disk::{Disk, DiskError, DiskFile};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

#[track_caller]
fn next<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(PATIENCE).expect("in time")
}

/// Tells that it runs, and ends when it is told how.
struct Numbered {
    numbers: Vec<u32>,
    begun: Sender<Vec<u32>>,
    ends: Arc<Mutex<Receiver<Result<(), DiskError>>>>,
}

impl SyncTask for Numbered {
    fn join(&mut self, newer: Self) {
        self.numbers.extend(newer.numbers);
    }

    fn run(&mut self) -> Result<(), DiskError> {
        self.begun.send(self.numbers.clone()).expect("the test listens");
        next(&self.ends.lock().expect("sound"))
    }
}

struct Stage {
    syncer: Syncer<Numbered>,
    begun: Receiver<Vec<u32>>,
    ends: Sender<Result<(), DiskError>>,
    reports: Receiver<(Vec<u32>, Result<(), DiskError>)>,
    task: Box<dyn Fn(u32) -> Numbered>,
}

fn stage() -> Stage {
    let (begun_sender, begun) = channel();
    let (ends, ends_receiver) = channel();
    let (report, reports) = channel();
    let ends_receiver = Arc::new(Mutex::new(ends_receiver));
    let syncer = Syncer::start("sync", move |task: Numbered, outcome, _| {
        let _ = report.send((task.numbers, outcome));
    });
    let task =
        move |number| Numbered { numbers: vec![number], begun: begun_sender.clone(), ends: Arc::clone(&ends_receiver) };
    Stage { syncer: syncer.expect("starts"), begun, ends, reports, task: Box::new(task) }
}

#[test]
fn what_comes_during_a_sync_joins_the_next_one() {
    let stage = stage();
    stage.syncer.request((stage.task)(1));
    assert_eq!(next(&stage.begun), [1]);
    for number in 2..=5 {
        stage.syncer.request((stage.task)(number));
    }
    stage.ends.send(Ok(())).expect("listens");
    assert_eq!(next(&stage.reports), (vec![1], Ok(())));
    assert_eq!(next(&stage.begun), [2, 3, 4, 5]);
    stage.ends.send(Ok(())).expect("listens");
    assert_eq!(next(&stage.reports), (vec![2, 3, 4, 5], Ok(())));
}

#[test]
fn after_a_failed_sync_nothing_is_synced_and_everybody_is_told_why() {
    let stage = stage();
    let failure = Err(DiskError::Failed("can't sync a: it burns".to_owned()));
    stage.syncer.request((stage.task)(1));
    assert_eq!(next(&stage.begun), [1]);
    stage.syncer.request((stage.task)(2));
    stage.ends.send(failure.clone()).expect("listens");
    assert_eq!(next(&stage.reports), (vec![1], failure.clone()));
    assert_eq!(next(&stage.reports), (vec![2], failure.clone()));
    stage.syncer.request((stage.task)(3));
    assert_eq!(next(&stage.reports), (vec![3], failure));
    assert!(stage.begun.try_recv().is_err(), "the failed sync was the last one");
}

#[test]
fn who_ends_a_sync_thread_gets_what_was_asked_for() {
    let stage = stage();
    stage.ends.send(Ok(())).expect("listens");
    stage.ends.send(Ok(())).expect("listens");
    stage.syncer.request((stage.task)(1));
    assert_eq!(next(&stage.begun), [1]);
    stage.syncer.request((stage.task)(2));
    drop(stage.syncer);
    let reported: Vec<u32> = stage.reports.iter().flat_map(|(numbers, _)| numbers).collect();
    assert_eq!(reported, [1, 2]);
}

#[test]
fn many_requests_from_a_real_thread_are_all_reported_in_order() {
    struct UpTo(u32);
    impl SyncTask for UpTo {
        fn join(&mut self, newer: Self) {
            assert!(newer.0 > self.0);
            self.0 = newer.0;
        }
        fn run(&mut self) -> Result<(), DiskError> {
            Ok(())
        }
    }
    let (report, reports) = channel();
    let syncer = Syncer::start("sync", move |task: UpTo, _, _| report.send(task.0).expect("listens")).expect("starts");
    for number in 1..=20_000 {
        syncer.request(UpTo(number));
    }
    drop(syncer);
    let reported: Vec<u32> = reports.iter().collect();
    assert!(reported.is_sorted_by(|earlier, later| earlier < later));
    assert_eq!(reported.last(), Some(&20_000), "the last request is not left behind");
}

fn report_to(sender: &Sender<Result<u64, DiskError>>) -> Made {
    let sender = sender.clone();
    Box::new(move |made| sender.send(made.map(|file| file.bytes())).expect("the test listens"))
}

#[test]
fn files_are_made_in_order_in_every_medium() {
    let scratch = Scratch::new();
    let mut directory = Medium::Directory(Directory::open(scratch.path(), Append::Write).expect("opens"));
    let mut memory = Medium::Memory(Memory::new(Append::Write));
    let maker = Maker::start("maker").expect("starts");
    let (sender, made) = channel();
    maker.make(directory.clone(), "a", 5_000_001, report_to(&sender));
    maker.make(memory.clone(), "a", 5_000_002, report_to(&sender));
    maker.make(directory.clone(), "b", 3, report_to(&sender));
    maker.hasten();
    let bytes: Vec<u64> = (0..3).map(|_| next(&made).expect("is made")).collect();
    assert_eq!(bytes, [5_000_001, 5_000_002, 3]);
    assert_eq!(directory.open("a").expect("is there").bytes(), 5_000_001);
    assert_eq!(memory.open("a").expect("is there").bytes(), 5_000_002);
}

#[test]
fn jobs_run_one_after_the_other() {
    let steward = Steward::start("steward").expect("starts");
    let (sender, receiver) = channel();
    for number in 1..=3 {
        let sender = sender.clone();
        steward.run(Box::new(move || sender.send(number).expect("the test listens")));
    }
    assert_eq!([(); 3].map(|()| next(&receiver)), [1, 2, 3]);
}

#[test]
fn one_stewards_job_holds_up_no_other_steward() {
    let [held, free] = ["held", "free"].map(|name| Steward::start(name).expect("starts"));
    let (release, released) = channel::<()>();
    let (sender, receiver) = channel();
    held.run(Box::new(move || next(&released)));
    free.run(Box::new(move || sender.send(()).expect("the test listens")));
    next(&receiver);
    release.send(()).expect("the job still waits");
}

#[test]
fn who_ends_a_steward_waits_for_the_job_that_is_done_and_for_no_other() {
    let steward = Steward::start("steward").expect("starts");
    let (begun, has_begun) = channel();
    let (sender, receiver) = channel();
    let is_ending = Arc::clone(&steward.is_over);
    let first = sender.clone();
    steward.run(Box::new(move || {
        begun.send(()).expect("the test listens");
        let begin = std::time::Instant::now();
        while !is_ending.load(std::sync::atomic::Ordering::Acquire) {
            assert!(begin.elapsed() < PATIENCE, "it is never ended");
            std::thread::yield_now();
        }
        first.send("first").expect("the test listens");
    }));
    steward.run(Box::new(move || sender.send("second").expect("the test listens")));
    next(&has_begun);
    drop(steward);
    assert_eq!(receiver.iter().collect::<Vec<_>>(), ["first"]);
}

#[test]
fn what_is_half_made_when_the_maker_ends_is_removed() {
    let scratch = Scratch::new();
    let mut directory = Directory::open(scratch.path(), Append::Write).expect("opens");
    let maker = Maker::start("maker").expect("starts");
    let (sender, made) = channel();
    maker.make(Medium::Directory(directory.clone()), "a", 1 << 30, report_to(&sender));
    let is_there = |directory: &mut Directory| directory.list().expect("lists") == ["a"];
    let begin = std::time::Instant::now();
    while !is_there(&mut directory) {
        assert!(begin.elapsed() < PATIENCE, "it is never begun");
        std::thread::yield_now();
    }
    drop(maker);
    assert!(directory.list().expect("lists").is_empty());
    drop(sender);
    assert!(made.recv().is_err(), "what was not made is not reported");
}

#[test]
fn a_real_file_is_synced_by_its_thread() {
    struct Whole(crate::store::File);
    impl SyncTask for Whole {
        fn join(&mut self, newer: Self) {
            *self = newer;
        }
        fn run(&mut self) -> Result<(), DiskError> {
            self.0.sync()
        }
    }
    let scratch = Scratch::new();
    let file = Directory::open(scratch.path(), Append::Write).expect("opens").create("a", 4_096).expect("is made");
    let (report, reports) = channel();
    let syncer = Syncer::start("sync", move |_: Whole, outcome, _| report.send(outcome).expect("listens"));
    let syncer = syncer.expect("starts");
    file.write(0, b"data").expect("writes");
    syncer.request(Whole(file.clone()));
    assert_eq!(next(&reports), Ok(()));
    std::fs::File::options().write(true).open(scratch.path().join("a")).expect("opens").set_len(7).expect("truncates");
    syncer.request(Whole(file));
    assert!(matches!(next(&reports), Err(DiskError::Failed(_))));
}

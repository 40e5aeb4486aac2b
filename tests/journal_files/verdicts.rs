//! What `journal verify` says of a damaged journal is what a start does with it, and what it advises works when typed.

use super::{BEGIN_US, Scratch, Writer, ends, filled, segments};
use fanwire::store::{Append, Directory, boot_id};
use fanwire_core::journal::names::{self, Kind};
use fanwire_core::journal::state::State;
use fanwire_core::journal::{EpochChange, Log, LogSettings, Opening, indexing};
use std::fs;
use std::path::Path;
use std::process::Command;

/// What becomes of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Opens,
    /// It opens, and what was cut may have been acknowledged.
    Cuts,
    Refuses,
}

fn open(path: &str, repair: bool) -> Start {
    let directory = Directory::open(Path::new(path), Append::Write).expect("nobody has it");
    let settings = LogSettings { segment_bytes: 16 * 1024, topics_max: 1_000, is_volatile: false, seed: 1 };
    let boot = boot_id().expect("the machine has one");
    let opening = Opening { now_us: BEGIN_US, boot, fresh_id: [2; 16], repair };
    match Log::open(directory, settings, indexing(), &opening) {
        Err(error) => {
            println!("{error}");
            Start::Refuses
        }
        Ok((_, recovery)) if recovery.epoch_change == Some(EpochChange::Cut) => Start::Cuts,
        Ok(_) => Start::Opens,
    }
}

fn copied(scratch: &Scratch, from: &str, name: &str) -> String {
    let to = scratch.path(name);
    fs::create_dir(&to).expect("nobody else's name");
    for entry in fs::read_dir(from).expect("reads") {
        let entry = entry.expect("reads");
        fs::copy(entry.path(), Path::new(&to).join(entry.file_name())).expect("copies");
    }
    to
}

/// Several segments, all but the newest sealed, left as by a kill once it was idle.
fn killed(path: &str) {
    let mut writer = Writer::open(path);
    for number in 0..200 {
        writer.write(&format!("match/{}", number % 10), format!("{number:0300}").as_bytes());
    }
    writer.seal();
}

/// Three records, and what follows the second one was never synced.
fn killed_at_once(path: &str) {
    let mut writer = Writer::open(path);
    writer.write("a", b"one");
    writer.write("a", b"two");
    writer.seal();
    writer.write("a", b"three");
}

/// The same, and what is written last ends in zeros but for one bit: it may have been whole without that.
fn killed_behind_zeros(path: &str) {
    let mut writer = Writer::open(path);
    writer.write("a", b"one");
    writer.write("a", b"two\0\x01\0");
}

fn never_opened(path: &str) {
    drop(Directory::open(Path::new(path), Append::Write).expect("is made"));
    let state = State {
        journal: [1; 16],
        boot: [1; 16],
        epoch: 1,
        durable: 0,
        end_base: 0,
        end_offset: 0,
        is_new: true,
        is_clean: false,
        sync_failed: false,
        epoch_due: false,
    };
    fs::write(Path::new(path).join("journal"), state.encode()).expect("writes");
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("reads");
    change(&mut bytes);
    fs::write(path, bytes).expect("writes");
}

fn newest(path: &str) -> std::path::PathBuf {
    segments(path).pop().expect("there are segments")
}

fn end_of(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).expect("it is written") + 1
}

fn remove_all(path: &str, is_it: impl Fn(Kind) -> bool) {
    for entry in fs::read_dir(path).expect("reads") {
        let entry = entry.expect("reads");
        if is_it(names::kind(entry.file_name().to_str().expect("text"))) {
            fs::remove_file(entry.path()).expect("removes");
        }
    }
}

/// What was done to a journal: its name, how it was left before, and how it was changed.
type Shape = (&'static str, fn(&str), fn(&str), Start);

const SHAPES: [Shape; 22] = [
    ("closed", filled, |_| {}, Start::Opens),
    ("a bit behind the end", filled, |path| change(&newest(path), |bytes| set_behind(bytes)), Start::Opens),
    ("killed", killed, |_| {}, Start::Opens),
    ("killed at once", killed_at_once, |_| {}, Start::Opens),
    ("never opened", never_opened, |_| {}, Start::Opens),
    ("a bit of the state", filled, |path| change(&state(path), |bytes| bytes[56] ^= 1), Start::Refuses),
    ("no state", filled, |path| fs::remove_file(state(path)).expect("removes"), Start::Refuses),
    ("a newer state", filled, |path| change(&state(path), |bytes| bytes[8] = 9), Start::Refuses),
    ("a state that says new", killed, |path| make_new(path), Start::Refuses),
    ("a newer segment", killed, |path| change(&newest(path), |bytes| bytes[8] = 9), Start::Refuses),
    ("no newest segment, closed", filled, |path| fs::remove_file(newest(path)).expect("removes"), Start::Refuses),
    ("no newest segment, killed", killed, |path| fs::remove_file(newest(path)).expect("removes"), Start::Refuses),
    ("no second segment", killed, |path| fs::remove_file(&segments(path)[1]).expect("removes"), Start::Refuses),
    ("no segment", killed, |path| remove_all(path, |kind| matches!(kind, Kind::Segment(_))), Start::Refuses),
    ("a bit of the newest header", killed, |path| change(&newest(path), |bytes| bytes[40] ^= 1), Start::Refuses),
    ("a bit of an old header", killed, |path| change(&segments(path)[1], |bytes| bytes[40] ^= 1), Start::Refuses),
    ("a bit of the newest records", killed, |path| change(&newest(path), |bytes| bytes[200] ^= 1), Start::Refuses),
    (
        "a bit of the last record",
        killed_at_once,
        |path| change(&newest(path), |bytes| *bytes.iter_mut().rfind(|byte| **byte != 0).expect("one") ^= 1),
        Start::Refuses,
    ),
    ("torn", killed_at_once, |path| change(&newest(path), |bytes| tear(bytes, 5)), Start::Opens),
    ("torn at its very end", killed_behind_zeros, |path| change(&newest(path), |bytes| tear(bytes, 1)), Start::Cuts),
    (
        "no snapshot and no first segment",
        killed,
        |path| {
            remove_all(path, |kind| matches!(kind, Kind::Snapshot(_)));
            fs::remove_file(&segments(path)[0]).expect("removes");
        },
        Start::Refuses,
    ),
    (
        "another's segment",
        killed,
        |path| {
            let other = format!("{path}-other");
            never_opened(&other);
            assert_eq!(open(&other, false), Start::Opens);
            fs::copy(newest(&other), &segments(path)[0]).expect("copies");
        },
        Start::Refuses,
    ),
];

fn state(path: &str) -> std::path::PathBuf {
    Path::new(path).join("journal")
}

fn make_new(path: &str) {
    change(&state(path), |bytes| {
        let state = State::decode(bytes.as_slice().try_into().expect("a state's bytes")).expect("it is sound");
        *bytes = State { is_new: true, ..state }.encode().to_vec();
    });
}

/// Sets a bit in the zeros behind the end.
fn set_behind(bytes: &mut [u8]) {
    bytes[end_of(bytes) + 100] = 4;
}

/// Leaves out the last bytes.
fn tear(bytes: &mut [u8], count: usize) {
    let end = end_of(bytes);
    bytes[end - count..end].fill(0);
}

#[test]
fn verify_says_of_each_shape_what_a_start_does_with_it_and_what_it_advises_works() {
    for (number, (shape, fill, damage, expected)) in SHAPES.iter().enumerate() {
        println!("{shape}");
        let scratch = Scratch::new();
        let path = scratch.path("events");
        fill(&path);
        damage(&path);
        let copy = copied(&scratch, &path, &format!("copy-{number}"));
        let before = content(&path);
        let status = i32::from(*expected != Start::Opens);
        let (out, _) = ends(&["verify", &path], status);
        assert_eq!(content(&path), before, "{shape}: nothing is changed by that");
        assert_eq!(open(&copy, false), *expected, "{shape}: {out}");
        assert_eq!(out.contains("a broker refuses the journal"), *expected == Start::Refuses, "{shape}: {out}");
        assert!(!out.contains("flag"), "{shape}: {out}");
        let command = format!("fanwire journal verify --repair {path}");
        if out.contains(&command) {
            let (out, _) = ends(&["verify", "--repair", &path], 0);
            assert!(out.contains("events: sound"), "{shape}: {out}");
            assert_eq!(open(&path, false), Start::Opens, "{shape}");
        } else if *expected == Start::Refuses {
            ends(&["verify", "--repair", &path], 1);
            assert_eq!(content(&path), before, "{shape}: refused, and changed");
            assert_eq!(open(&path, true), Start::Refuses, "{shape}");
        }
    }
}

fn content(path: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(path).expect("reads").map(|entry| entry.expect("reads"));
    let file = |entry: fs::DirEntry| {
        let name = entry.file_name().to_str().expect("text").to_owned();
        (name, fs::read(entry.path()).expect("reads"))
    };
    let mut files: Vec<(String, Vec<u8>)> = entries.map(file).filter(|(name, _)| name != "lock").collect();
    files.sort();
    files
}

#[test]
fn a_sealed_segment_that_is_damaged_keeps_no_broker_from_starting_and_moving_it_away_is_sound() {
    let scratch = Scratch::new();
    let path = scratch.path("events");
    killed(&path);
    let old = segments(&path);
    change(&old[1], |bytes| bytes[5_000] ^= 1);
    let (out, _) = ends(&["verify", &path], 1);
    assert!(out.contains("a broker starts without it") && !out.contains("refuses"), "{out}");
    assert!(out.contains("move it and all older segments out of the directory"), "{out}");
    let copy = copied(&scratch, &path, "copy");
    assert_eq!(open(&copy, false), Start::Opens);
    for segment in &old[..2] {
        fs::remove_file(segment).expect("removes");
    }
    ends(&["verify", &path], 0);
    assert_eq!(open(&path, false), Start::Opens);
}

#[test]
fn what_is_advised_works_when_typed_though_the_path_holds_spaces_and_quotes() {
    let scratch = Scratch::new();
    let path = scratch.path("it's my journal; $HOME");
    filled(&path);
    change(&state(&path), |bytes| bytes[56] ^= 1);
    let (out, _) = ends(&["verify", &path], 1);
    let (_, command) = out.split_once("repair with: fanwire ").expect("that is advised");
    let command = format!("{} {}", env!("CARGO_BIN_EXE_fanwire"), command.lines().next().expect("a line"));
    let status = Command::new("sh").args(["-c", &command]).status().expect("there is a shell");
    assert!(status.success(), "{command}");
    assert_eq!(open(&path, false), Start::Opens);
}

#[test]
fn a_repair_zeroes_what_stands_behind_the_end_of_a_closed_journal() {
    let scratch = Scratch::new();
    let path = scratch.path("events");
    filled(&path);
    change(&newest(&path), |bytes| set_behind(bytes));
    let (out, _) = ends(&["verify", &path], 0);
    assert!(out.contains("they were never released") && !out.contains("DAMAGE"), "{out}");
    let (out, _) = ends(&["verify", "--repair", &path], 0);
    assert!(out.contains("bytes taken out of") && !out.contains("has begun"), "{out}");
}

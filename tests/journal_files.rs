//! `fanwire journal` on directories: journals as the log writes them, left as it is left, and damaged on purpose.

use fanwire::store::{Append, Directory, boot_id};
use fanwire_core::journal::{Admission, Log, LogSettings, Opening, Ordered, Publication, TopicRef, indexing};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

#[path = "journal_files/verdicts.rs"]
mod verdicts;

/// A directory that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("fanwire-journal-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).expect("nobody else's name");
        Scratch(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("text").to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// 2026-11-22T22:00:00Z, a second before the first record.
const BEGIN_US: u64 = 1_795_384_800_000_000;
const SECOND_US: u64 = 1_000_000;

/// A journal that is being written, one record a second.
struct Writer {
    log: Log<Directory>,
    now_us: u64,
}

impl Writer {
    fn open(path: &str) -> Writer {
        let directory = Directory::open(Path::new(path), Append::Write).expect("opens");
        let settings = LogSettings { segment_bytes: 16 * 1024, topics_max: 1_000, is_volatile: false, seed: 1 };
        let (boot, fresh_id) = (boot_id().expect("the machine has one"), [2; 16]);
        let opening = Opening { now_us: BEGIN_US, boot, fresh_id, repair: false };
        let (log, _) = Log::open(directory, settings, indexing(), &opening).expect("opens");
        Writer { log, now_us: BEGIN_US }
    }

    fn write(&mut self, topic: &str, payload: &[u8]) -> Ordered {
        self.now_us += SECOND_US;
        loop {
            let topic = TopicRef::Name(topic);
            let publication = Publication { topic, publisher: 1, expect: None, producer: None, headers: b"", payload };
            match self.log.admit(&publication, self.now_us) {
                Admission::Ordered(ordered) => {
                    self.log.commit().expect("commits");
                    return ordered;
                }
                Admission::NeedsSegment => {
                    let task = self.log.prepare_task().expect("one is needed");
                    self.log.supply(task.run().expect("prepares"));
                }
                Admission::NeedsRoll => self.log.roll(self.now_us).expect("rolls"),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Syncs, writes down that all is synced, and seals whatever is full.
    fn seal(&mut self) {
        if let Some(mut task) = self.log.sync_task() {
            task.run().expect("syncs");
            self.log.note_synced(&task);
        }
        if let Some(mut task) = self.log.note_task() {
            task.run().expect("writes");
            self.log.note_synced(&task);
        }
        while let Some(mut task) = self.log.seal_task() {
            task.run().expect("seals");
            self.log.note_sealed(&task);
        }
    }
}

/// Two hundred records of ten topics in several segments, all but the last of them sealed; closed.
fn filled(path: &str) {
    let mut writer = Writer::open(path);
    for number in 0..200 {
        writer.write(&format!("match/{}", number % 10), format!("{number:0300}").as_bytes());
    }
    writer.seal();
    writer.log.close().expect("closes");
}

#[track_caller]
fn ends(arguments: &[&str], status: i32) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanwire"));
    let output = command.arg("journal").args(arguments).stdin(Stdio::null()).output().expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_owned()).expect("text");
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{arguments:?}\n{out}\n{err}");
    (out, err)
}

/// The numbers that the payloads of a dump are.
#[track_caller]
fn dumped(path: &str, arguments: &[&str]) -> Vec<u64> {
    let (out, _) = ends(&[&["dump", path, "--format", "json"], arguments].concat(), 0);
    let payload = |line: &str| {
        let object: Value = serde_json::from_str(line).expect("an object");
        object["payload"].as_str().expect("text").parse().expect("a number")
    };
    out.lines().map(payload).collect()
}

fn cells(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

#[test]
fn ls_shows_each_journal_on_a_line() {
    let scratch = Scratch::new();
    filled(&scratch.path("events"));
    let mut running = Writer::open(&scratch.path("running"));
    running.write("a", b"x");
    let mut killed = Writer::open(&scratch.path("killed"));
    killed.write("a", b"x");
    killed.write("b", b"x");
    drop(killed);
    std::fs::create_dir(scratch.path("something-else")).expect("made");

    let (out, err) = ends(&["ls", &scratch.path("")], 0);
    let lines: Vec<Vec<&str>> = out.lines().map(cells).collect();
    assert_eq!(err, "");
    assert_eq!(lines[0], ["journal", "state", "records", "topics", "bytes", "segments", "first", "last", "epoch"]);
    let epoch = BEGIN_US.to_string();
    let events = &lines[2];
    assert_eq!(events[..4], ["events", "clean", "200", "10"], "{out}");
    assert!(events[5].parse::<u32>().unwrap() > 3, "{out}");
    assert_eq!(events[6..], ["2026-11-22T22:00:01.000000Z", "2026-11-22T22:03:20.000000Z", &epoch], "{out}");
    let second = "2026-11-22T22:00:02.000000Z";
    let first = "2026-11-22T22:00:01.000000Z";
    assert_eq!(lines[3], ["killed", "unclean", "2", "2", "16.0KiB", "1", first, second, &epoch], "{out}");
    assert_eq!(lines[4], ["running", "running", "1", "1", "16.0KiB", "1", first, first, &epoch], "{out}");
    assert_eq!(lines.len(), 5, "{out}");
    let (alone, _) = ends(&["ls", &scratch.path("events")], 0);
    assert_eq!(cells(alone.lines().last().expect("a line")), *events);
    running.write("a", b"goes on");
}

#[test]
fn where_no_journal_is_that_is_told() {
    let scratch = Scratch::new();
    let (_, err) = ends(&["ls", &scratch.path("")], 1);
    assert!(err.contains("there is no journal in") && err.contains("fanwire serve --help"), "{err}");
    let (_, err) = ends(&["ls", &scratch.path("nowhere")], 1);
    assert!(err.contains("can't be listed"), "{err}");
    for verb in ["info", "dump"] {
        let (_, err) = ends(&[verb, &scratch.path("nowhere")], 1);
        assert!(err.contains("nowhere is not there"), "{err}");
        let (_, err) = ends(&[verb, &scratch.path("")], 1);
        assert!(err.contains("holds no journal") && err.contains("fanwire journal ls"), "{err}");
    }
}

#[test]
fn info_shows_the_segments() {
    let scratch = Scratch::new();
    let path = scratch.path("events");
    filled(&path);
    let (out, _) = ends(&["info", &path], 0);
    assert!(out.contains("state       clean: it was closed"), "{out}");
    assert!(out.contains("records     200 at positions 1 to 200\n") && out.contains("topics      10\n"), "{out}");
    assert!(out.contains("synced      to position 200 at least\n"), "{out}");
    let segments: Vec<Vec<&str>> = out.lines().filter(|line| line.contains(".segment")).map(cells).collect();
    let (last, sealed) = segments.split_last().expect("several");
    assert!(sealed.len() > 2 && sealed.iter().all(|segment| segment.last() == Some(&"sealed")), "{out}");
    assert_eq!((last.last(), segments[0][0]), (Some(&"open"), "00000000000000000001.segment"), "{out}");
    let records: u32 = segments.iter().map(|segment| segment[3].parse::<u32>().unwrap()).sum();
    assert_eq!(records, 200);
}

#[test]
fn dump_begins_where_it_is_told_to() {
    let scratch = Scratch::new();
    let path = scratch.path("events");
    filled(&path);
    let all: Vec<u64> = (0..200).collect();
    assert_eq!(dumped(&path, &[]), all);
    assert_eq!(dumped(&path, &["--from", "first", "--limit", "7"]), all[..7]);
    for position in [1, 2, 57, 100, 199, 200] {
        assert_eq!(dumped(&path, &["--from", &format!("pos:{position}")]), all[position - 1..]);
    }
    assert!(dumped(&path, &["--from", "pos:201"]).is_empty());
    assert_eq!(dumped(&path, &["--from", "last"]), all[190..]);
    assert_eq!(dumped(&path, &["--from", "last:1"]), all[199..]);
    assert_eq!(dumped(&path, &["--from", "last:123"]), all[77..]);
    assert_eq!(dumped(&path, &["--from", "last:1000"]), all);
    assert_eq!(dumped(&path, &["--from", "time:2026-11-22T22:01:40Z"]), all[99..]);
    assert_eq!(dumped(&path, &["--from", "time:2026-11-22T22:01:40.000001Z", "--limit", "1"]), [100]);
    assert_eq!(dumped(&path, &["--from", "seq:20"]), all[190..]);
    let sevens: Vec<u64> = (0..20).map(|number| number * 10 + 7).collect();
    assert_eq!(dumped(&path, &["--topic", "match/7"]), sevens);
    assert_eq!(dumped(&path, &["--topic", "match/7", "--from", "seq:3", "--limit", "2"]), sevens[2..4]);
    assert_eq!(dumped(&path, &["--topic", "match/7", "--from", "last:5"]), sevens[15..]);
    assert_eq!(dumped(&path, &["--topic", "match/7", "--from", "last"]), [197]);
    assert_eq!(dumped(&path, &["--topic", "match/7", "--from", "pos:101", "--limit", "1"]), [107]);
    assert_eq!(dumped(&path, &["--topic", "match/#", "--limit", "3"]), [0, 1, 2]);
    assert!(dumped(&path, &["--topic", "other/#"]).is_empty());
}

#[test]
fn dump_has_a_form_for_people_and_one_for_programs() {
    let scratch = Scratch::new();
    let path = scratch.path("events");
    let mut writer = Writer::open(&path);
    writer.write("a/b", b"one");
    writer.write("a/b", b"\xff");
    let (text, _) = ends(&["dump", &path, "--limit", "1"], 0);
    assert_eq!(text, "1 2026-11-22T22:00:01.000000Z a/b #1: one\n");
    let (json, _) = ends(&["dump", &path, "--format", "json", "--from", "last"], 0);
    let expected = format!(
        "{{\"topic\":\"a/b\",\"payload_base64\":\"/w==\",\"epoch\":{BEGIN_US},\"seq\":2,\"position\":2,\
         \"time\":\"2026-11-22T22:00:02.000000Z\",\"history\":true}}\n"
    );
    assert_eq!(json, expected);
    let (_, err) = ends(&["dump", &path, "--from", "resume:1:1"], 2);
    assert!(err.contains("pos:N"), "{err}");
    let (_, err) = ends(&["dump", &path, "--from", "yesterday"], 2);
    assert!(err.contains("time:2026-01-31T12:00:00Z"), "{err}");
    let (_, err) = ends(&["dump", &path, "--topic", "a/#/b"], 2);
    assert!(err.contains("INVALID_FILTER"), "{err}");
}

/// The names of a journal's segments, oldest first.
fn segments(path: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).expect("reads").map(|entry| entry.expect("reads").path());
    let mut found: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "segment")).collect();
    found.sort();
    found
}

#[test]
fn what_is_damaged_is_told_and_the_rest_is_shown() {
    let scratch = Scratch::new();
    let path = scratch.path("events");
    filled(&path);
    let second = &segments(&path)[1];
    let mut bytes = std::fs::read(second).expect("reads");
    bytes[5_000] ^= 1;
    std::fs::write(second, &bytes).expect("writes");
    let (out, err) = ends(&["dump", &path, "--format", "raw"], 1);
    assert!(err.contains(&format!("{} is damaged at offset ", second.display())), "{err}");
    assert!(err.contains("fanwire journal verify"), "{err}");
    assert!(out.ends_with(&format!("{:0300}", 199)) && out.starts_with(&format!("{:0300}", 0)), "{err}");
    assert!((20..200).contains(&(out.len() / 300)));

    bytes[3] ^= 1;
    std::fs::write(second, &bytes).expect("writes");
    for verb in ["ls", "info", "dump"] {
        let (out, err) = ends(&[verb, &path], 1);
        assert!(err.contains(&format!("{} is damaged at offset 0: not a segment", second.display())), "{err}");
        assert!(out.contains("events") || out.contains("match/7"), "{out}");
    }
}

#[test]
fn compact_leaves_the_newest_of_each_topic_and_what_is_written_next_goes_on() {
    let scratch = Scratch::new();
    let path = scratch.path("events");
    filled(&path);
    let (_, err) = ends(&["compact", &path], 2);
    assert!(err.contains("of the 200 records") && err.contains("--yes"), "{err}");
    let (out, _) = ends(&["compact", &path, "--yes"], 0);
    assert!(out.starts_with("events: ") && out.contains(" became ") && out.contains("in 1 segment\n"), "{out}");
    let left = dumped(&path, &[]);
    assert!(left.len() < 60 && left.ends_with(&(190..200).collect::<Vec<u64>>()), "{left:?}");
    assert_eq!(dumped(&path, &["--from", "last"]), (190..200).collect::<Vec<u64>>());
    let (out, _) = ends(&["info", &path], 0);
    assert!(out.contains("state       clean"), "{out}");
    let (out, _) = ends(&["compact", &path, "--yes"], 0);
    assert_eq!(out, "events: no segment would shrink by half; nothing was changed\n");

    let mut writer = Writer::open(&path);
    let ordered = writer.write("match/3", b"3");
    assert_eq!((ordered.position, ordered.sequence), (201, 21));
    let (out, err) = ends(&["compact", &path, "--yes"], 1);
    assert!(err.contains("running: process") && err.contains("stop the broker first") && out.is_empty(), "{err}");
}

#[test]
fn verify_finds_nothing_in_a_sound_journal_whoever_writes_it() {
    let scratch = Scratch::new();
    let path = scratch.path("events");
    filled(&path);
    let (out, err) = ends(&["verify", &path], 0);
    assert!(out.contains("events: sound; 200 records of 10 topics at positions 1 to 200, "), "{out}");
    assert!(!out.contains("DAMAGE") && err.is_empty(), "{out}{err}");
    let mut writer = Writer::open(&path);
    std::thread::scope(|scope| {
        let verifier = scope.spawn(|| (0..5).for_each(|_| drop(ends(&["verify", &path], 0))));
        while !verifier.is_finished() {
            writer.write("match/1", &[7; 500]);
        }
    });
    writer.seal();
    let (_, err) = ends(&["verify", &path, "--repair"], 1);
    assert!(err.contains("stop the broker first"), "{err}");
    drop(writer);
    let (out, _) = ends(&["verify", &path, "--repair"], 0);
    assert!(out.contains("events: sound"), "{out}");
}

#[test]
fn verify_tells_of_a_flipped_bit_and_repair_goes_on_without_what_lies_behind_it() {
    let scratch = Scratch::new();
    let path = scratch.path("events");
    filled(&path);
    let files = segments(&path);
    let newest = files.last().expect("several");
    let mut bytes = std::fs::read(newest).expect("reads");
    bytes[300] ^= 1;
    std::fs::write(newest, &bytes).expect("writes");
    let (out, err) = ends(&["verify", &path], 1);
    assert!(out.contains(&format!("DAMAGE: {} at offset ", newest.display())), "{out}");
    assert!(out.contains("events: damaged; ") && out.contains("fanwire journal verify --repair"), "{out}{err}");
    let first_damaged = newest.file_stem().expect("a name").to_str().expect("text").parse::<u64>().expect("a base");

    let (out, _) = ends(&["verify", &path, "--repair"], 0);
    assert!(out.contains(&format!(" bytes taken out of {} from offset ", newest.display())), "{out}");
    assert!(out.contains(".cut") && out.contains(" has begun: who resumes from an earlier one"), "{out}");
    assert!(out.contains("events: sound; "), "{out}");
    let left: Vec<u64> = (0..first_damaged - 1).collect();
    assert_eq!(dumped(&path, &[]), left);
    let (out, _) = ends(&["verify", &path, "--repair"], 0);
    assert!(out.contains("nothing had to be repaired\n"), "{out}");
}

#[test]
fn damage_in_a_sealed_segment_is_told_where_it_is_and_repair_leaves_it() {
    let scratch = Scratch::new();
    let path = scratch.path("events");
    filled(&path);
    let second = &segments(&path)[1];
    let mut bytes = std::fs::read(second).expect("reads");
    bytes[5_000] ^= 1;
    std::fs::write(second, &bytes).expect("writes");
    let (out, _) = ends(&["verify", &path], 1);
    let damaged: Vec<&str> = out.lines().filter(|line| line.starts_with("DAMAGE")).collect();
    assert!(damaged[0].starts_with(&format!("DAMAGE: {} at offset ", second.display())), "{out}");
    assert!(damaged.len() <= 2 && out.contains("restore the file from a copy; a broker starts without it"), "{out}");
    let (out, err) = ends(&["verify", &path, "--repair"], 1);
    assert!(out.contains("nothing had to be repaired") && err.contains("still damaged in events"), "{out}{err}");
    assert_eq!(std::fs::read(second).expect("reads"), bytes);
}

#[test]
fn verify_tells_of_a_missing_segment() {
    let scratch = Scratch::new();
    let path = scratch.path("events");
    filled(&path);
    let second = &segments(&path)[1];
    std::fs::remove_file(second).expect("removed");
    let (out, err) = ends(&["verify", &path], 1);
    assert!(out.contains("are missing before it"), "{out}");
    assert!(err.contains("damaged in events"), "{err}");
}

#[test]
fn a_journal_of_more_segments_than_a_soft_limit_of_open_files_is_looked_at() {
    let scratch = Scratch::new();
    let path = scratch.path("events");
    filled(&path);
    assert!(segments(&path).len() >= 5);
    for verb in ["info", "dump", "verify", "verify --repair"] {
        let line = format!("ulimit -S -n 9; exec {} journal {verb} {path}", env!("CARGO_BIN_EXE_fanwire"));
        let output = Command::new("sh").args(["-c", &line]).stdin(Stdio::null()).output().expect("there is a shell");
        assert!(output.status.success(), "{verb}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

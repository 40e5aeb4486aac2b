//! The README's quick start, typed line by line into a shell: what it shows is what comes.

use super::broker::Broker;
use super::process::{Process, eventually};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const README: &str = include_str!("../../README.md");

/// The first fence of this language that holds this text.
fn fence(language: &str, holding: &str) -> &'static str {
    let fences = README.split("\n```").filter_map(|part| part.strip_prefix(language)?.strip_prefix('\n'));
    fences.into_iter().find(|fence| fence.contains(holding)).expect("the README has such a fence")
}

/// A shell that takes what it has started along when it ends.
struct Shell {
    process: Process,
    /// Bytes of its output that were expected so far.
    seen: usize,
}

impl Shell {
    /// With the binary under test in front of everything, and in a place where nothing else could be taken for it.
    fn start(broker: &Broker) -> Shell {
        let binaries = Path::new(env!("CARGO_BIN_EXE_fanwire")).parent().expect("a file is in a directory");
        let path = format!("{}:{}", binaries.display(), std::env::var("PATH").expect("a search path"));
        let mut command = Command::new("bash");
        command.args(["-c", "exec bash 2>&1"]).env("PATH", path).env("FANWIRE_SERVER", broker.url());
        command.current_dir(env!("CARGO_TARGET_TMPDIR"));
        let mut process = Process::start(command);
        process.write(b"trap 'kill $(jobs -p) 2> /dev/null' EXIT\n");
        Shell { process, seen: 0 }
    }

    fn write_line(&mut self, line: &str) {
        self.process.write(format!("{line}\n").as_bytes());
    }

    /// Waits until the output goes on with this line.
    #[track_caller]
    fn expect(&mut self, line: &str) {
        let process = &self.process;
        let seen = self.seen;
        let mut out = String::new();
        let found = eventually(&format!("{line:?} in the quick start"), || {
            out = process.out();
            out[seen..].find(line)
        });
        assert_eq!(out[seen..seen + found].trim(), "", "the quick start shows something before {line:?}");
        self.seen += found + line.len();
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // A shell that has nothing more to read ends its jobs; one that is killed would leave them behind.
        self.process.end_input();
        for _ in 0..500 {
            if self.process.has_ended() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn the_quick_start_goes_as_written() {
    let broker = Broker::start("");
    let mut shell = Shell::start(&broker);
    for line in fence("console", "fanwire sub").lines() {
        match line.strip_prefix("$ ") {
            Some(command) => shell.write_line(command),
            None => shell.expect(line),
        }
    }
}

#[test]
fn the_banner_is_the_one_that_is_shown() {
    let broker = Broker::start("");
    let (banner, shown) = (broker.banner(), fence("text", "listening"));
    assert_eq!(banner.lines().count(), shown.lines().count(), "{banner}");
    for (line, shown) in banner.lines().zip(shown.lines()) {
        let varies = ["  listening ", "  connections ", "  try "].iter().any(|row| line.starts_with(row));
        let compared = if varies { 14 } else { usize::MAX };
        let cut = |text: &str| text.chars().take(compared).collect::<String>();
        assert_eq!(cut(line), cut(shown), "the README shows another banner");
    }
}

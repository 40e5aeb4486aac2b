//! The examples as newcomers run them: each does what it says, and ends.

use super::broker::Broker;
use super::process::{Ended, Process};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where the examples lie, built. Cargo builds them before all tests, but not before single ones.
fn examples() -> &'static Path {
    static EXAMPLES: OnceLock<PathBuf> = OnceLock::new();
    EXAMPLES.get_or_init(|| {
        let own = std::env::current_exe().expect("a test knows where it is");
        let profile = own.ancestors().nth(2).expect("tests lie in TARGET/PROFILE/deps");
        let name = profile.file_name().expect("a profile has a name");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--workspace", "--examples", "--target-dir"]);
        cargo.arg(profile.parent().expect("a profile lies in a target directory"));
        cargo.arg("--profile").arg(if name == "debug" { "dev".as_ref() } else { name });
        let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
        assert!(status.success(), "the examples can't be built");
        profile.join("examples")
    })
}

fn start(broker: &Broker, name: &str, arguments: &[&str]) -> Process {
    let mut command = Command::new(examples().join(name));
    command.args(arguments).env("FANWIRE_SERVER", broker.url());
    Process::start(command)
}

#[track_caller]
fn out_of(ended: Ended) -> String {
    assert!(ended.status.success(), "{}", ended.err);
    String::from_utf8(ended.out).expect("text")
}

#[test]
fn a_chat_goes_back_and_forth_in_its_room() {
    let broker = Broker::start("");
    let enter = |room, name| {
        let member = start(&broker, "chat", &[room, name]);
        member.wait_for_out(&format!("you are {name} in {room}"));
        member
    };
    let (mut ann, mut ben, cleo) = (enter("chess/2", "ann"), enter("chess/2", "ben"), enter("chess/3", "cleo"));
    ann.write(b"hello, ben\n");
    ben.wait_for_out("ann: hello, ben");
    ben.write(b"hello \x1b[31mann\n");
    ann.wait_for_out("ben: hello [31mann");
    // The last line is not lost, though its terminal ends at once.
    ann.write(b"bye\n");
    assert_eq!(out_of(ann.end()).lines().count(), 2, "its own words stay away");
    ben.wait_for_out("ann: bye");
    out_of(ben.end());
    assert_eq!(out_of(cleo.end()).lines().count(), 1, "another room");
}

#[test]
fn a_service_answers_and_shows_what_can_go_wrong() {
    let broker = Broker::start("");
    let out = out_of(start(&broker, "request_reply", &[]).end());
    for expected in [
        "math/sum 1 2: nobody answers",
        "math/sum 19 23: 42, says ",
        "math/sum 1 one: that does not add up",
        "math/sum 4 4: 8, says ",
        "math/hard-sum 1 2: 3, says ",
        "math/hard-sum 1 2: no reply before the deadline",
    ] {
        assert!(out.contains(expected), "{expected:?} is missing in\n{out}");
    }
}

#[test]
fn what_needs_a_journal_says_how_to_have_one() {
    let broker = Broker::start("");
    for (name, arguments, journal) in [
        ("document", ["2", "5"], "--journal 'documents=documents/#'"),
        ("match_recorder", ["2", "1"], "--journal 'matches=match/#'"),
    ] {
        let ended = start(&broker, name, &arguments).end();
        assert!(ended.err.contains(journal) && ended.status.code() == Some(1), "{}", ended.err);
        let usage = start(&broker, name, &["0"]).end();
        assert_eq!(usage.status.code(), Some(2), "{}", usage.err);
    }
}

#[test]
fn a_game_is_played_to_its_end() {
    let broker = Broker::start("");
    let out = out_of(start(&broker, "game_state", &["4", "1"]).end());
    let rows = ["everybody keeps up", "  each of the 3", "the last player freezes", "  the last player"];
    assert!(rows.iter().all(|row| out.lines().any(|line| line.starts_with(row))), "{out}");
    let usage = start(&broker, "game_state", &["1"]).end();
    assert_eq!(usage.status.code(), Some(2), "{}", usage.err);
}

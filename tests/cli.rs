//! The command line without a broker: help, wrong usage, configuration files, and the status each ends with.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn fanwire(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanwire"));
    command.args(arguments).env_remove("FANWIRE_SERVER").env_remove("FANWIRE_LOG").stdin(Stdio::null());
    command
}

/// Runs a verb to its end and checks its status.
#[track_caller]
fn ends(arguments: &[&str], status: i32) -> (String, String) {
    let output = fanwire(arguments).output().expect("the binary runs");
    texts(&output, status, arguments)
}

#[track_caller]
fn texts(output: &Output, status: i32, arguments: &[&str]) -> (String, String) {
    let out = String::from_utf8(output.stdout.clone()).expect("text");
    let err = String::from_utf8(output.stderr.clone()).expect("text");
    assert_eq!(output.status.code(), Some(status), "{arguments:?}\n{out}\n{err}");
    (out, err)
}

/// Where nobody listens: a port of long ago that only the system's own programs could take.
const DEAD_ADDRESS: &str = "127.0.0.1:1";
const DEAD_SERVER: &str = "fanwire://127.0.0.1:1";

/// A file that goes away with the test.
struct ConfigFile(PathBuf);

impl ConfigFile {
    fn new(name: &str, text: &str) -> ConfigFile {
        let path = std::env::temp_dir().join(format!("fanwire-cli-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, text).expect("a temporary file");
        ConfigFile(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("text")
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn help_is_an_answer_and_shows_examples_for_every_verb() {
    let (out, err) = ends(&["--help"], 0);
    for verb in ["serve", "pub", "sub", "request", "reply", "journal", "config"] {
        assert!(out.contains(verb), "{out}");
        let (help, _) = ends(&[verb, "--help"], 0);
        assert!(help.contains("Examples:") && help.contains(&format!("fanwire {verb}")), "{help}");
        let is_client = !["serve", "journal", "config"].contains(&verb);
        assert_eq!(is_client, help.contains("FANWIRE_SERVER"), "{help}");
    }
    assert!(out.contains("Exit status") && err.is_empty(), "{err}");
    let (version, _) = ends(&["--version"], 0);
    assert_eq!(version, format!("fanwire {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage_ends_with_two_and_says_what_would_be_right() {
    for (arguments, hint) in [
        (&[][..], "Usage"),
        (&["publish"], "pub"),
        (&["pub"], "TOPIC"),
        (&["pub", "a/#", "x"], "INVALID_TOPIC"),
        (&["pub", "$sys/x", "x"], "RESERVED_TOPIC"),
        (&["pub", "a", "x", "--ack", "safe"], "durable"),
        (&["pub", "a", "x", "--producer", "7"], "ID:NUMBER"),
        (&["pub", "a", "x", "--expect", "many"], "--expect"),
        (&["pub", "a", "x", "--lines"], "--lines"),
        (&["pub", "a", "x", "--rate", "0"], "messages a second"),
        (&["pub", "a", "x", "--repeat", "0"], "--repeat"),
        (&["sub"], "FILTER"),
        (&["sub", "a/#/b"], "INVALID_FILTER"),
        (&["sub", "a", "--group", "g/h"], "INVALID_GROUP"),
        (&["sub", "a", "--overflow", "explode"], "drop-oldest"),
        (&["sub", "a", "--max-rate", "5", "--overflow", "disconnect"], "conflate"),
        (&["sub", "a", "--count", "0"], "--count"),
        (&["sub", "a", "--format", "xml"], "json"),
        (&["sub", "a", "--from", "yesterday"], "time:2026"),
        (&["sub", "a", "--until", "caught-up"], "--from first"),
        (&["sub", "a", "--from", "first", "--group", "g"], "live only"),
        (&["sub", "a", "--from", "first", "--until", "dawn"], "caught-up"),
        (&["sub", "a", "--server", "tcp://h:1"], "fanwire://"),
        (&["request", "a", "x", "--timeout", "2"], "25s"),
        (&["reply", "a"], "--echo"),
        (&["reply", "a", "--echo", "--exec", "cat"], "--exec"),
        (&["reply", "a", "--exec", "say 'hello"], "quote"),
        (&["journal", "ls"], "DIR"),
        (&["journal", "dump", "x", "--from", "now"], "last:N"),
        (&["config", "check"], "FILE"),
        (&["serve", "--listen", "localhost"], "127.0.0.1:7311"),
        (&["serve", "--listen", "0.0.0.0:0"], "--open"),
        (&["serve", "--reactors", "65"], "0 to 64"),
        (&["serve", "--journal", "events"], "NAME=FILTER"),
        (&["serve", "--journal", "events=match/#"], "--data DIR"),
        (&["serve", "--journal", "a=x/#;store=memory", "--journal", "b=x/+;store=memory"], "\"x/#\" of journal a"),
    ] {
        let (out, err) = ends(arguments, 2);
        assert!(err.contains(hint) && out.is_empty(), "{arguments:?}: {err}");
    }
}

#[test]
fn a_broker_that_is_not_there_is_told_with_how_to_start_one() {
    for arguments in [&["pub", "a", "x"][..], &["sub", "a"], &["request", "a", "x"], &["reply", "a", "--echo"]] {
        let (out, err) = ends(&[arguments, &["--server", DEAD_SERVER]].concat(), 1);
        assert!(err.contains(DEAD_ADDRESS) && err.contains("fanwire serve") && out.is_empty(), "{err}");
    }
    let output = fanwire(&["pub", "a", "x"]).env("FANWIRE_SERVER", DEAD_SERVER).output().expect("the binary runs");
    let (_, err) = texts(&output, 1, &["FANWIRE_SERVER"]);
    assert!(err.contains(DEAD_ADDRESS), "{err}");
}

#[test]
fn a_token_is_never_repeated() {
    for server in ["fanwire://hunter2@127.0.0.1:1:2", "fanwir://hunter2@127.0.0.1:1", "fanwire://hunter2@127.0.0.1:0"] {
        let output = fanwire(&["pub", "a", "x", "--server", server]).output().expect("the binary runs");
        let err = String::from_utf8(output.stderr).expect("text");
        assert!(!err.contains("hunter2") && !err.is_empty(), "{err}");
    }
    let output = fanwire(&["pub", "--help"]).env("FANWIRE_SERVER", "fanwire://hunter2@h:1").output();
    let (help, _) = texts(&output.expect("the binary runs"), 0, &["--help"]);
    assert!(!help.contains("hunter2"), "{help}");
}

#[test]
fn the_default_file_passes_its_own_check() {
    let (text, _) = ends(&["config", "default"], 0);
    let file = ConfigFile::new("default", &text);
    let (out, _) = ends(&["config", "check", file.path()], 0);
    assert!(out.starts_with(&format!("ok: {}\n", file.path())), "{out}");
    assert!(out.contains("every key has its default"), "{out}");
}

#[test]
fn a_wrong_file_ends_with_one_and_every_line_that_is_wrong() {
    let file = ConfigFile::new("wrong", "lisen = \"x\"\n[limits]\nrequests_max = 0\n");
    for arguments in [&["config", "check", file.path()][..], &["serve", "--config", file.path()]] {
        let (out, err) = ends(arguments, 1);
        assert!(err.contains(&format!("{}:1: unknown key `lisen`; did you mean `listen`?", file.path())), "{err}");
        assert!(err.contains(&format!("{}:3: limits.requests_max: 0 is out of range", file.path())), "{err}");
        assert!(out.is_empty(), "{out}");
    }
    let (_, err) = ends(&["config", "check", "/nowhere/at/all.toml"], 1);
    assert!(err.contains("/nowhere/at/all.toml") && err.contains("fanwire config default"), "{err}");
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let mut child = fanwire(&["config", "default"]).stdout(Stdio::piped()).spawn().expect("the binary runs");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("waited").code(), Some(0));
}

#[test]
fn a_log_level_that_is_none_is_told_by_name() {
    let output = fanwire(&["serve", "--listen", "127.0.0.1:0"]).env("FANWIRE_LOG", "loud=very").output();
    let (_, err) = texts(&output.expect("the binary runs"), 1, &["FANWIRE_LOG"]);
    assert!(err.contains("FANWIRE_LOG=loud=very"), "{err}");
}

#[test]
fn standard_input_that_is_no_terminal_is_read_in_silence() {
    let mut child = fanwire(&["pub", "a", "--server", DEAD_SERVER])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    // The verb may have failed before it reads: then nobody takes the payload.
    let _ = child.stdin.take().expect("piped").write_all(b"payload");
    let output = child.wait_with_output().expect("waited");
    let (_, err) = texts(&output, 1, &["pub"]);
    assert!(!err.contains("Ctrl-D"), "{err}");
}

//! The web side with clients that nobody here wrote: `websockets` (PyPI), `ws` (npm) and curl, by the scripts of
//! `tests/web`. What a machine does not have is told, and no failure; `FANWIRE_WEB_CLIENTS=all` makes it one.
//!
//! A client is looked for where the machine has it, and where `FANWIRE_PYTHON` (an interpreter) and
//! `FANWIRE_NODE_MODULES` (the directory that holds `node_modules`) say.

use super::broker::Broker;
use super::peer::{HELLO, bytes_of};
use super::process::Process;
use std::path::{Path, PathBuf};
use std::process::Command;

const MEMORY: &str = "reactors = 2\n[[journal]]\nname = \"events\"\ntopics = [\"match/#\"]\nstore = \"memory\"\n";

fn script(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web").join(name);
    path.to_str().expect("text").to_owned()
}

/// Tells that a client is not there.
#[track_caller]
fn miss(client: &str, remedy: &str) {
    let told = format!("SKIPPED: {client} is not here. {remedy}");
    assert!(std::env::var("FANWIRE_WEB_CLIENTS").as_deref() != Ok("all"), "{told}");
    eprintln!("{told}");
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// Runs a script to its end: every check that it names has passed.
#[track_caller]
fn run(command: Command, checks: usize) {
    let ended = Process::start(command).end();
    let out = String::from_utf8_lossy(&ended.out).into_owned();
    assert!(ended.status.success(), "{out}{}", ended.err);
    assert_eq!(out.lines().filter(|line| line.starts_with("ok ")).count(), checks, "{out}{}", ended.err);
}

/// A HELLO in hexadecimal, for scripts that have no codec.
fn hello() -> String {
    bytes_of(HELLO).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn websockets_of_python_speaks_both_subprotocols() {
    let python = std::env::var("FANWIRE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    if !succeeds(Command::new(&python).args(["-c", "import websockets.asyncio.client"])) {
        return miss("websockets (PyPI)", "pip install websockets, or name an interpreter by FANWIRE_PYTHON.");
    }
    let broker = Broker::start(MEMORY);
    let mut command = Command::new(python);
    command.args([script("websockets_client.py"), broker.address().to_string(), hello()]);
    run(command, 3);
}

#[test]
fn ws_of_node_speaks_both_subprotocols() {
    let modules = std::env::var("FANWIRE_NODE_MODULES").map_or_else(|_| PathBuf::from("."), PathBuf::from);
    let mut probe = Command::new("node");
    if !succeeds(probe.args(["-e", "require(\"ws\")"]).current_dir(&modules)) {
        return miss("ws (npm)", "npm install ws, and name the directory by FANWIRE_NODE_MODULES.");
    }
    let broker = Broker::start(MEMORY);
    let mut command = Command::new("node");
    command.args([script("ws_client.mjs"), broker.address().to_string(), hello()]).current_dir(modules);
    run(command, 3);
}

#[test]
fn curl_is_served_by_every_endpoint() {
    if !succeeds(Command::new("curl").arg("--version")) {
        return miss("curl", "Install it with the machine's packages.");
    }
    let broker = Broker::start(MEMORY);
    let mut command = Command::new("sh");
    command.args([script("curl_session.sh"), broker.address().to_string()]);
    run(command, 13);
}

//! The web side with clients that nobody here wrote, by the scripts of `tests/web`: `websockets` and
//! `prometheus_client` (PyPI), `ws` (npm), curl, TypeScript's compiler, and Node's and Chromium's WebSocket, fetch and
//! EventSource, with `/fanwire.js` and without.
//!
//! ```text
//!  tests/web/install --puts them--> web-clients in the target directory --found by--> these tests
//! ```
//!
//! A client that is not there is told on standard error, and is no failure: the machine may have no way to it.
//! `FANWIRE_WEB_CLIENTS` names those that have to be there, or says `all`; `install` prints what it has installed in
//! that form, so that nothing that can be tried is left out unseen. `FANWIRE_PYTHON` (an interpreter),
//! `FANWIRE_NODE_MODULES` (the directory that holds `node_modules`) and `CHROMIUM` (a browser) come before what
//! `install` has put there.

use super::broker::Broker;
use super::peer::{HELLO, bytes_of};
use super::process::{Ended, Process, fanwire};
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const MEMORY: &str = "reactors = 2\n[http]\ncompression = true\n\
    [[journal]]\nname = \"events\"\ntopics = [\"match/#\"]\nstore = \"memory\"\n";

/// How long a file of tests in Node or a browser may take; each of its tests has a bound of its own.
const TESTS_PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn websockets_of_python_speaks_both_subprotocols() {
    let Some(python) = python("websockets", "websockets.asyncio.client") else { return };
    let broker = Broker::start(MEMORY);
    let mut command = Command::new(python);
    command.args([script("websockets_client.py"), broker.address().to_string(), hello()]);
    run(command, 5);
}

#[test]
fn ws_of_node_speaks_both_subprotocols() {
    let Some(modules) = node().and_then(|()| node_package("ws")) else { return };
    let broker = Broker::start(MEMORY);
    let mut command = Command::new("node");
    command.args([script("ws_client.mjs"), broker.address().to_string(), hello()]).current_dir(modules);
    run(command, 5);
}

#[test]
fn a_parser_for_prometheus_reads_what_is_counted() {
    let Some(python) = python("prometheus_client", "prometheus_client.parser") else { return };
    let broker = Broker::start(MEMORY);
    let mut command = Command::new(python);
    command.args([script("prometheus_parser.py"), broker.address().to_string()]);
    run(command, 4);
}

#[test]
fn curl_is_served_by_every_endpoint() {
    if !succeeds(Command::new("curl").arg("--version")) {
        return miss("curl", "Install it with the machine's packages.");
    }
    let broker = Broker::start(MEMORY);
    let mut command = fanwire(&["reply", "shout", "--exec", "tr a-z A-Z"]);
    command.env("FANWIRE_SERVER", broker.url());
    let responder = Process::start(command);
    responder.wait_for_err(&["answering requests"]);
    let mut command = Command::new("sh");
    command.args([script("curl_session.sh"), broker.address().to_string()]);
    let checks = include_str!("../web/curl_session.sh").lines().filter(|line| line.starts_with("check "));
    run(command, checks.count());
}

#[test]
fn the_client_for_browsers_does_in_node_what_it_says() {
    if node().is_some() {
        run_tests("client.test.mjs", Path::new("."), 43);
    }
}

#[test]
fn pages_in_chromium_work_by_every_way() {
    if let Some(modules) = browser() {
        run_tests("page.test.mjs", &modules, 7);
    }
}

#[test]
fn a_browser_goes_on_by_itself_where_a_killed_broker_left_it() {
    if let Some(modules) = browser() {
        run_tests("event_source.test.mjs", &modules, 5);
    }
}

#[test]
fn the_types_of_the_client_compile_in_strict_mode() {
    let Some(modules) = node().and_then(|()| node_package("typescript")) else { return };
    let mut command = Command::new("node");
    command.arg("node_modules/typescript/bin/tsc").args(["--project", &script("tsconfig.json")]).current_dir(modules);
    let ended = Process::start(command).end_within(TESTS_PATIENCE);
    assert!(ended.status.success(), "{}{}", out_of(&ended), ended.err);
}

fn script(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web").join(name);
    path.to_str().expect("text").to_owned()
}

/// A HELLO in hexadecimal, for scripts that have no codec.
fn hello() -> String {
    bytes_of(HELLO).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs a script to its end: every check that it names has passed.
#[track_caller]
fn run(command: Command, checks: usize) {
    let ended = Process::start(command).end();
    let out = out_of(&ended);
    assert!(ended.status.success(), "{out}{}", ended.err);
    assert_eq!(out.lines().filter(|line| line.starts_with("ok ")).count(), checks, "{out}{}", ended.err);
}

/// Runs a file of tests in Node: so many are in it, all have passed, and none was left out.
#[track_caller]
fn run_tests(name: &str, modules: &Path, tests: usize) {
    let mut command = Command::new("node");
    // Before version 22 it is there on request only.
    if !succeeds(Command::new("node").args(["-e", "process.exit(globalThis.WebSocket ? 0 : 1)"])) {
        command.arg("--experimental-websocket");
    }
    command.args(["--test", "--test-reporter=tap", &script(name)]).current_dir(modules);
    command.env("FANWIRE", env!("CARGO_BIN_EXE_fanwire"));
    let ended = Process::start(command).end_within(TESTS_PATIENCE);
    let out = out_of(&ended);
    assert!(ended.status.success(), "{out}{}", ended.err);
    for count in [format!("# tests {tests}"), format!("# pass {tests}")] {
        assert!(out.lines().any(|line| line == count), "{count:?} is not in\n{out}{}", ended.err);
    }
}

fn out_of(ended: &Ended) -> String {
    String::from_utf8_lossy(&ended.out).into_owned()
}

/// Where `tests/web/install` puts what it installs.
fn installed() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target directory").join("web-clients")
}

/// An interpreter that knows this module.
fn python(client: &str, module: &str) -> Option<OsString> {
    let here = [
        std::env::var_os("FANWIRE_PYTHON"),
        Some(installed().join("python/bin/python").into()),
        Some("python3".into()),
    ];
    let knows = |python: &OsString| succeeds(Command::new(python).args(["-c", &format!("import {module}")]));
    let found = here.into_iter().flatten().find(knows);
    found.or_else(|| missing(client, "Run tests/web/install, or name an interpreter by FANWIRE_PYTHON."))
}

/// Whether there is a Node that is new enough.
fn node() -> Option<()> {
    let is_new = "process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)";
    let is_there = succeeds(Command::new("node").args(["-e", is_new]));
    is_there.then_some(()).or_else(|| missing("node", "Install Node 20 or later, with npm."))
}

/// The directory from which Node finds this package.
fn node_package(package: &str) -> Option<PathBuf> {
    let here = [std::env::var_os("FANWIRE_NODE_MODULES").map(PathBuf::from), Some(installed())];
    let knows = |directory: &PathBuf| {
        let asked = format!("require.resolve(\"{package}/package.json\")");
        directory.is_dir() && succeeds(Command::new("node").args(["-e", &asked]).current_dir(directory))
    };
    let found = here.into_iter().flatten().find(knows);
    found.or_else(|| missing(package, "Run tests/web/install, or name a directory by FANWIRE_NODE_MODULES."))
}

/// The directory from which Node finds what drives the browser, if that is there too.
fn browser() -> Option<PathBuf> {
    node()?;
    let chromium = std::env::var_os("CHROMIUM").unwrap_or_else(|| "/usr/bin/chromium".into());
    if !Path::new(&chromium).exists() {
        return missing("chromium", "Run tests/web/install as root, or name a browser by CHROMIUM.");
    }
    node_package("playwright-core")
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

#[track_caller]
fn missing<T>(client: &str, remedy: &str) -> Option<T> {
    miss(client, remedy);
    None
}

/// Tells that a client is not there, past what keeps the words of tests that pass.
#[track_caller]
fn miss(client: &str, remedy: &str) {
    let told = format!("SKIPPED: {client} is not here. {remedy}");
    let needed = std::env::var("FANWIRE_WEB_CLIENTS").unwrap_or_default();
    let is_needed = needed.split_whitespace().any(|needed| needed == client || needed == "all");
    assert!(!is_needed, "{told}");
    writeln!(std::io::stderr(), "{told}").expect("standard error is open");
}

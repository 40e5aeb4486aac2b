//! Ten thousand WebSockets that do nothing: those that were greeted stay and weigh little, those that never say who
//! they are go in time, and nobody else is held up by either.

use super::broker::Broker;
use super::peer::Witness;
use super::process::eventually;
use super::web::{JSON, Socket, TEXT, Web, fragment, request, upgrade};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const UPGRADES: usize = 10_000;
/// What the test and its runner have open beside them.
const OTHER_FILES: u64 = 500;
/// Sockets that are opened before their answers are read.
const AT_ONCE: usize = 100;
/// What each may weigh in the broker, whatever the build: a native one has about 300 bytes.
const BYTES_MAX: u64 = 2_048;

/// Whether this process may have so many connections; a broker asks for as many by itself.
fn may_open_enough() -> bool {
    let limit = getrlimit(Resource::Nofile);
    let wanted = UPGRADES as u64 + OTHER_FILES;
    let is_enough = limit.maximum.is_none_or(|most| most >= wanted);
    if is_enough && limit.current.is_some_and(|now| now < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("up to the maximum");
    }
    is_enough
}

/// Opens them all, and each says this behind its upgrade; `heard` looks at what comes back.
fn open_all(broker: &Broker, behind: &[u8], mut heard: impl FnMut(&mut Web)) -> Vec<Web> {
    let opening = [&request("GET", "/v1/ws", &upgrade(JSON), b"")[..], behind].concat();
    let mut all: Vec<Web> = Vec::with_capacity(UPGRADES);
    while all.len() < UPGRADES {
        let begin = all.len();
        for _ in 0..AT_ONCE {
            let mut web = Web::connect(broker.address());
            web.say(&opening);
            all.push(web);
        }
        for web in &mut all[begin..] {
            assert_eq!(web.head().0, 101);
            heard(web);
        }
    }
    all
}

#[test]
fn ten_thousand_greeted_and_idle_are_kept_and_weigh_little() {
    if !may_open_enough() {
        return eprintln!("SKIPPED: this process may not have {UPGRADES} open files");
    }
    let broker = Broker::start("reactors = 2\n");
    let mut witness = Witness::of(&broker);
    let before = broker.resident_bytes();
    let hello = fragment(TEXT, true, br#"{"type":"hello","client_name":"idle"}"#);
    let mut all = open_all(&broker, &hello, |web| {
        // Its welcome, of which the length stands in two bytes.
        let head = web.take(4);
        assert_eq!((head[0], head[1]), (0x81, 126));
        web.take(usize::from(u16::from_be_bytes([head[2], head[3]])));
    });
    witness.is_served();
    let grown = broker.resident_bytes().saturating_sub(before);
    assert!(grown < UPGRADES as u64 * BYTES_MAX, "{grown} bytes for {UPGRADES}");
    // The first and the last of them are still there, and are served as anybody.
    for web in [all.pop(), Some(all.swap_remove(0))].into_iter().flatten() {
        Socket::from(web).expect_quiet();
    }
    drop(all);
    eventually("all to be gone", || (broker.descriptor_count() < 100).then_some(()));
    witness.is_served();
}

#[test]
fn ten_thousand_that_never_say_who_they_are_are_closed_in_time() {
    if !may_open_enough() {
        return eprintln!("SKIPPED: this process may not have {UPGRADES} open files");
    }
    let broker = Broker::start("reactors = 2\n[limits]\nhandshake_time_max = \"1s\"\n");
    let mut witness = Witness::of(&broker);
    let mut all = open_all(&broker, b"", |_| {});
    witness.is_served();
    for web in all.drain(..) {
        Socket::from(web).expect_closed(1008, "HANDSHAKE_TIMEOUT");
    }
    eventually("all to be gone", || (broker.descriptor_count() < 100).then_some(()));
    witness.is_served();
}

//! Fanwire: a real-time message broker in one binary. This is the map of the house.
//!
//! ```text
//!  arguments --cli--> config --> server --> acceptor --sockets--> reactor 0 .. n
//!                                             threads; each reactor owns its connections and its shard
//!                                             |  ^-- mailboxes: batches of what one shard has for another
//!      bytes --gateway--> command --core: shard--> events --gateway--> bytes
//!                 ^                                             ^
//!                 +----------------- wire: frames --------------+       client: the same frames from the other side
//! ```
//!
//! The way of a message, each arrow one function, nothing turning back:
//!
//! ```text
//!  read -> frame -> command -> admit (limits, permission) -> route -> fan out -> render once -> flush
//!                                             |                `-> mail, one hop: route -> fan out -> ...
//!                                             `-> journaled: order, append, release --> route -> fan out -> ...
//! ```
//!
//! | part | what it is | knows |
//! |---|---|---|
//! | `src/wire` (crate `fanwire-wire`) | the native protocol: frames, topics, limits, codes; `protocol.md` made executable | nothing |
//! | `src/core` (crate `fanwire-core`) | the shard: topics, routing, fan-out, queues. No clock, file, socket, thread or protocol | wire |
//! | `src/gateway` (crate `fanwire-gateway`) | a protocol's bytes to commands, events to its bytes; no sockets | wire, core |
//! | `src/client` (crate `fanwire-client`) | the Rust client | wire |
//! | `src/reactor` | every socket system call: the turn, connections, mailboxes, the acceptor | all |
//! | `src/server.rs` | start order, threads, drain, stop | all |
//! | [`journal`] | the journal's threads: the clerk that orders and appends, the reader; core decides, store does | config, core, reactor, store |
//! | [`store`] | every file system call: what journals write to and read from, on disk or in memory | core |
//! | [`config`] | one validated configuration; the registry of its keys | wire, core |
//! | [`logging`] | the log: off the reactors' threads, bounded, escaped; a throttle for what peers can cause | config |
//! | [`escape`] | foreign text made safe to show | nothing |
//! | [`mod@bench`] | the bench in the box: generator, floor, adapters of every protocol, workloads, comparison | wire, escape |
//! | [`cli`] | the verbs: serve, pub, sub, request, reply, journal, bench, config | all, client |
//!
//! Beside `src`: `tests/tidy` holds the rules of this house, who may import whom among them; `tests/simulation` runs
//! shards, gateways and scripted clients from one seed; `tests/end_to_end` runs the real binary from outside; `fuzz`
//! feeds bytes that are meant to be anything; `benches` measures the parts, and `tests/cost.rs` bounds what they may
//! cost; `examples` are what newcomers copy.
//!
//! Three kinds of trouble are kept apart everywhere: a violation is the peer's (a code, and its connection ends), an
//! `io::Error` is the machine's, a failed assertion is ours.

pub mod bench;
pub mod cli;
pub mod config;
pub mod escape;
pub mod journal;
pub mod logging;
pub mod reactor;
pub mod server;
pub mod store;

/// The README's program: compiled as a test, so that it stays true.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

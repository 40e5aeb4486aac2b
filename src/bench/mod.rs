//! The bench in the box: one generator for every broker, a floor to hold them against, and numbers that can be doubted.
//!
//! ```text
//!  workload --scenario, load--> generator --bytes--> broker     (fanwire, nats, redis, mqtt, or the floor relay)
//!                                  |    <---------
//!                    adapter: what a protocol puts on the wire
//!
//!  measured --report--> trial: A B C, C B A, medians --> table, JSON      compare: many trials --> one page
//! ```
//!
//! | part | what it is |
//! |---|---|
//! | [`generator`], `link`, `sender`, `schedule`, `listener`, `ledger`, [`window`], [`scenario`] | the load: one loop, whatever the target |
//! | [`adapter`], `targets` | protocols: bytes to open and publish, an ear for what comes back |
//! | [`stamp`], [`sequence`], [`histogram`], [`usage`], [`calls`], [`measured`] | what is counted: order, latencies, CPU, calls |
//! | [`relay`], `floors`, `mapped` | the floors: the least a broker could do, and the least that keeping could cost |
//! | `appender`, `replayer` | appends to a journal within a window, and its history read back |
//! | [`brokers`], `program`, [`storage`], [`ground`] | processes, their settings and what they keep where |
//! | [`machine`], [`doctor`] | the machine, and what to mend on it |
//! | [`workloads`], [`report`], [`trial`], [`spread`], [`progress`] | what is done, what came of it, in turns |
//! | [`compare`], [`rows`], `demands`, [`verdicts`], [`table`], [`plot`], [`page`] | many trials and what they must show, for people |
//! | [`scaling`], [`model`], [`calculator`] | prices of this machine, and what more cores would carry |
//!
//! The primary score is the broker's processor time for one delivery: clients share a machine's cores with it, and a
//! rate alone would praise whoever burns more of them. The broker knows nothing of this module.

pub mod adapter;
mod appender;
pub mod brokers;
pub mod calculator;
pub mod calls;
pub mod compare;
mod demands;
pub mod doctor;
pub mod error;
mod floors;
pub mod generator;
pub mod ground;
pub mod histogram;
mod ledger;
mod link;
mod listener;
pub mod machine;
mod mapped;
pub mod measured;
pub mod model;
pub mod page;
pub mod plot;
mod program;
pub mod progress;
pub mod relay;
mod replayer;
pub mod report;
pub mod rows;
pub mod scaling;
pub mod scenario;
mod schedule;
mod sender;
pub mod sequence;
pub mod spread;
pub mod stamp;
pub mod storage;
pub mod table;
mod targets;
pub mod trial;
pub mod usage;
pub mod verdicts;
pub mod window;
pub mod workloads;

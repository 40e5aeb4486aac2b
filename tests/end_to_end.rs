//! The real binary from outside: a broker process on a free port, the command line, the client crate, and peers that
//! speak raw frames and break every rule.
//!
//! | module | theme |
//! |---|---|
//! | `process`, `broker`, `peer`, `scene` | the harness: processes, a broker of one's own, a raw peer, an attack and its witness |
//! | `quick_start` | the verbs of the command line |
//! | `journal_words` | what the verbs say of journals, against a broker by script |
//! | `readme`, `examples` | what newcomers are shown and copy |
//! | `client` | the client crate, its broker killed and restarted |
//! | `drain` | how the broker ends |
//! | `handshake`, `frames`, `commands`, `requests`, `sockets`, `memory`, `descriptors`, `logs` | hostile input |
//! | `slow_readers` | one of 100 stops reading, under each policy |
//! | `fan_out` | exact counts and order at size |
//! | `reactors` | the harness for a broker of several reactors |
//! | `private_disk`, `power_loss` | a disk of one's own that loses power, and what survives it |
//! | `promise`, `throng`, `churn`, `responders`, `crossing`, `closing_time` | what holds between reactors |
//!
//! Every test has its own broker. Nothing sleeps for luck: what has to happen is waited for with a generous deadline.

mod end_to_end {
    mod broker;
    mod churn;
    mod client;
    mod closing_time;
    mod commands;
    mod crossing;
    mod descriptors;
    mod drain;
    mod examples;
    mod fan_out;
    mod frames;
    mod handshake;
    mod journal_words;
    mod logs;
    mod memory;
    mod peer;
    mod power_loss;
    mod private_disk;
    mod process;
    mod promise;
    mod quick_start;
    mod reactors;
    mod readme;
    mod requests;
    mod responders;
    mod scene;
    mod slow_readers;
    mod sockets;
    mod throng;
}

//! The real binary from outside: a broker process on a free port, the command line, the client crate, and peers that
//! speak raw frames and break every rule.
//!
//! | module | theme |
//! |---|---|
//! | `process`, `broker`, `peer`, `scene` | the harness: processes, a broker of one's own, a raw peer, an attack and its witness |
//! | `quick_start` | the verbs of the command line |
//! | `journal_words` | what the verbs say of journals, against a broker by script |
//! | `journal_scene`, `journal_load` | a directory that outlives its brokers; load on a journal, and the books about it |
//! | `journal_power` | the power goes under load: what was durable is there, and nobody is deceived about the rest |
//! | `journal_history`, `journal_catch_up`, `journal_memory` | history then live; falling back and catching up; a ring in memory |
//! | `journal_full`, `journal_faults` | a full disk; failing calls, foreign and damaged files, two brokers on one directory |
//! | `journal_drain`, `journal_topics` | ending under load; one small topic among thousands |
//! | `journal_upkeep` | segments are made, sealed, compacted and removed beside the work |
//! | `journal_kills` | kill after kill under load: what was acknowledged is there, once, in order |
//! | `readme`, `examples` | what newcomers are shown and copy |
//! | `client` | the client crate, its broker killed and restarted |
//! | `drain` | how the broker ends |
//! | `handshake`, `frames`, `commands`, `requests`, `sockets`, `memory`, `descriptors`, `logs` | hostile input |
//! | `slow_readers` | one of 100 stops reading, under each policy |
//! | `fan_out` | exact counts and order at size |
//! | `web` | the harness for HTTP and WebSocket |
//! | `http`, `websocket`, `sse`, `poll`, `poll_bounds` | the web side as its clients use it |
//! | `autobahn` | the cases that WebSocket servers are judged by, by their numbers |
//! | `websocket_deflate` | messages made smaller, and bombs |
//! | `http_hostile` | the web side under attack: other people's pages, smuggled requests, giants and sluggards |
//! | `idle_upgrades` | ten thousand WebSockets that do nothing |
//! | `web_clients` | the web side with clients that nobody here wrote |
//! | `reactors` | the harness for a broker of several reactors |
//! | `private_disk`, `power_loss` | a disk of one's own that loses power, and what survives it |
//! | `promise`, `throng`, `churn`, `responders`, `crossing`, `closing_time` | what holds between reactors |
//!
//! Every test has its own broker. Nothing sleeps for luck: what has to happen is waited for with a generous deadline.

mod end_to_end {
    mod autobahn;
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
    mod http;
    mod http_hostile;
    mod idle_upgrades;
    mod journal_catch_up;
    mod journal_drain;
    mod journal_faults;
    mod journal_full;
    mod journal_history;
    mod journal_kills;
    mod journal_load;
    mod journal_memory;
    mod journal_power;
    mod journal_scene;
    mod journal_topics;
    mod journal_upkeep;
    mod journal_words;
    mod logs;
    mod memory;
    mod operations;
    mod peer;
    mod poll;
    mod poll_bounds;
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
    mod sse;
    mod throng;
    mod web;
    mod web_clients;
    mod websocket;
    mod websocket_deflate;
}

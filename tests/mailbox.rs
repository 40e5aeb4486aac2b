//! The mailbox between reactors, from outside the broker: the very files of `src/reactor/mailbox`, compiled twice.
//!
//! | module | theme |
//! |---|---|
//! | `modelled` | the mailbox on loom's atomics |
//! | `ring_models`, `bell_models`, `room_models` | every interleaving, and every value that a load may see, of small scenes |
//! | `threaded` | the mailbox on the standard library's atomics, as the broker has it |
//! | `rings`, `pairs` | what it does in one thread: bounds, order, drops, accounts |
//! | `stress` | a million mails between two threads that really sleep |
//!
//! The models need no flags: they run with the others. They are kept so small that each is explored completely, or up
//! to the number of preemptions that it names.

#![expect(clippy::duplicate_mod, reason = "the same files on purpose, once with each kind of atomics")]

mod mailbox {
    mod bell_models;
    mod modelled;
    mod pairs;
    mod ring_models;
    mod rings;
    mod room_models;
    mod stress;
    mod threaded;
}

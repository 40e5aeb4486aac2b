//! What is measured: scenes, each with a name, a unit and work that can be repeated for ever.
//!
//! ```text
//!  Scene --prepare--> Work { units, run }      run  run  run  run ...      cost = what the runs took / (runs * units)
//!            |                                  `--- by the clock: speed; by instructions: instructions, tests/cost
//!            `-- everything that is not to be measured
//! ```
//!
//! | module | measures | unit |
//! |---|---|---|
//! | `codec` | bytes to frames and back | a frame |
//! | `json` | the same for clients without a codec | a delivery, a command |
//! | `matching` | who wants a topic, with 1 to a million filters | a message, a change |
//! | `routing` | a message from its command to its subscribers' bytes, without sockets | a delivery |
//! | `turn` | the same from the publisher's bytes on, as a reactor turns | a delivery |
//! | `queues` | one place in an out-queue: kept, dropped, replaced | a delivery |
//! | `mailbox` | what reactors hand to each other | an item, a mail |
//! | `history` | a journal's records from the page cache to a history | a record |
//!
//! Scenes are made of what the crates show anyway; nothing is public for their sake. `stage` and `desk` are the
//! scenery: a shard whose queues are flushed into nowhere, and connections whose bytes come from a buffer.
//!
//! Invariants: a run does the same work as the one before, however often it is repeated; whatever looks random comes
//! from a seed, so that instructions are the same in every run of the program; a scene asserts that what it is named
//! after did happen.

mod codec;
mod desk;
mod history;
mod json;
mod mailbox;
mod matching;
mod order;
mod queues;
mod routing;
mod stage;
mod turn;

/// Work to be measured, and what it needs.
pub(crate) struct Scene {
    /// `what/variant`, unique; what filters on the command line are parts of.
    pub(crate) name: &'static str,
    /// What the cost is divided by, in the singular.
    pub(crate) unit: &'static str,
    /// Threads that it keeps busy. Where they wait for each other, instructions mean nothing; where cores are fewer,
    /// nor does the clock.
    pub(crate) threads: usize,
    /// Builds the scenery and gets everything to its usual size.
    pub(crate) prepare: fn() -> Work,
}

/// A scene that is set up.
pub(crate) struct Work {
    /// Units of work in one run.
    pub(crate) units: u64,
    /// Does it once.
    pub(crate) run: Box<dyn FnMut()>,
}

impl Scene {
    /// One that runs in this thread alone.
    const fn new(name: &'static str, unit: &'static str, prepare: fn() -> Work) -> Scene {
        Scene { name, unit, threads: 1, prepare }
    }
}

impl Work {
    fn new(units: u64, run: impl FnMut() + 'static) -> Work {
        Work { units, run: Box::new(run) }
    }

    /// The same, once it has run so often: pools have filled, tables have grown.
    fn warmed_up(mut self, runs: u32) -> Work {
        for _ in 0..runs {
            (self.run)();
        }
        self
    }
}

/// Every scene, in the order of the table above.
pub(crate) fn all() -> Vec<Scene> {
    let groups = [
        codec::SCENES,
        json::SCENES,
        matching::SCENES,
        routing::SCENES,
        turn::SCENES,
        queues::SCENES,
        mailbox::SCENES,
        history::SCENES,
    ];
    groups.into_iter().flatten().map(|scene| Scene { ..*scene }).collect()
}

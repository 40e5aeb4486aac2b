//! System calls on the way of a message, counted where they are made. The rule is one poll a turn, one read a turn and
//! connection with input, and no more writes than one a turn and connection with output; a test of the reactor holds
//! to it.

/// How often a reactor has called the kernel since it began.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Calls {
    pub(super) turns: u64,
    pub(super) polls: u64,
    pub(super) reads: u64,
    pub(super) writes: u64,
}

impl Calls {
    /// For who wants to know, after the fact, how much each turn carried.
    pub(super) fn tell(self, reactor: usize) {
        let Calls { turns, polls, reads, writes } = self;
        tracing::debug!(reactor, turns, polls, reads, writes, "over");
    }
}

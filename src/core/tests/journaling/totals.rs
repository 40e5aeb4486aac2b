//! What runs have done: a model in which nothing happens keeps every promise.

/// What a run has done.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) published: u64,
    pub(crate) recorded: u64,
    pub(crate) frames: u64,
    pub(crate) fallen_back: u64,
    pub(crate) relays: u64,
    pub(crate) postponed: u64,
    pub(crate) duplicates: u64,
    pub(crate) conflicts: u64,
    pub(crate) full: u64,
    pub(crate) failed: u64,
    pub(crate) checked: u64,
    pub(crate) gaps: u64,
    /// Subscriptions that have conflated beside another one, and got the last of every topic.
    pub(crate) conflated: u64,
    pub(crate) slow_closed: u64,
    pub(crate) overtaken: u64,
}

impl Totals {
    pub(crate) fn add(&mut self, other: &Totals) {
        self.published += other.published;
        self.recorded += other.recorded;
        self.frames += other.frames;
        self.fallen_back += other.fallen_back;
        self.relays += other.relays;
        self.postponed += other.postponed;
        self.duplicates += other.duplicates;
        self.conflicts += other.conflicts;
        self.full += other.full;
        self.failed += other.failed;
        self.checked += other.checked;
        self.gaps += other.gaps;
        self.conflated += other.conflated;
        self.slow_closed += other.slow_closed;
        self.overtaken += other.overtaken;
    }

    /// A model in which nothing happens keeps every promise.
    pub(crate) fn check_that_much_happened(&self) {
        let least = [
            self.published / 5_000,
            self.recorded / 5_000,
            self.checked / 200,
            self.fallen_back / 100,
            self.relays / 10,
            self.postponed,
            self.duplicates,
            self.conflicts,
            self.full,
            self.failed,
            self.gaps,
            self.conflated,
            self.slow_closed,
        ];
        assert!(least.iter().all(|count| *count > 0), "too little happened: {self:?}");
    }
}

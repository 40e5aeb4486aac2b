//! Topic names of late, and which subscriptions their messages belong to: deliveries by name come in the same few
//! names again and again, and trying every filter against each of them is most of what hearing one costs.
//!
//! A fixed number of slots, one for each hash; a name that falls on a taken slot takes it over, memory included. So
//! millions of distinct names cost what they cost without slots, and in steady state nothing is allocated. A change
//! in the subscriptions makes every slot stale at once (`generation`).

use crate::event::SubscriptionId;

const SLOTS: usize = 256;

#[derive(Debug, Default, Clone)]
pub(crate) struct Slot {
    name: String,
    matching: Vec<SubscriptionId>,
    generation: u64,
}

#[derive(Debug)]
pub(crate) struct RecentNames {
    /// Empty until the first name comes.
    slots: Vec<Slot>,
    generation: u64,
}

impl Default for RecentNames {
    fn default() -> Self {
        // Slots begin with generation 0, which is never the current one.
        RecentNames { slots: Vec::new(), generation: 1 }
    }
}

impl RecentNames {
    /// Subscriptions changed: nothing known holds any more.
    pub(crate) const fn forget(&mut self) {
        self.generation += 1;
    }

    /// The slot for this name, and the generation that is current.
    pub(crate) fn slot(&mut self, name: &[u8]) -> (&mut Slot, u64) {
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, Slot::default());
        }
        (&mut self.slots[hash(name) as usize % SLOTS], self.generation)
    }
}

impl Slot {
    pub(crate) fn holds(&self, name: &[u8], generation: u64) -> bool {
        self.generation == generation && self.name.as_bytes() == name
    }

    pub(crate) fn fill(&mut self, name: &str, generation: u64, matching: impl Iterator<Item = SubscriptionId>) {
        self.name.clear();
        self.name.push_str(name);
        self.matching.clear();
        self.matching.extend(matching);
        self.generation = generation;
    }

    pub(crate) fn get(&self) -> (&str, &[SubscriptionId]) {
        (&self.name, &self.matching)
    }
}

/// FNV-1a: names are short, and whoever chose them to collide would gain nothing but the cost of matching.
fn hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

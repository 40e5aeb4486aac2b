//! The books: what a subscription should have got, and what became of it (protocol.md section 9.4).
//!
//! Where several subscriptions of a connection are equally strict, the protocol does not say which one governs, so
//! their accounts become one.

/// The index of an account.
pub(crate) type AccountId = usize;

/// What is counted for one subscription, or for several that are equally strict.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account {
    parent: AccountId,
    pub(crate) expected: u64,
    /// Those of them that may come or not, and did not come.
    pub(crate) optional: u64,
    pub(crate) delivered: u64,
    /// Told by GAP.
    pub(crate) dropped: u64,
    pub(crate) conflated: u64,
    /// Known to be missing, because a later one of the same publisher and topic came.
    pub(crate) skipped: u64,
    /// Subscriptions that have not been told that they are over.
    pub(crate) open: u32,
    /// One of them may hold back what it has got.
    pub(crate) conflates: bool,
}

impl Account {
    pub(crate) const fn told(&self) -> u64 {
        self.delivered + self.dropped + self.conflated
    }

    /// Whether nothing is missing without having been told.
    pub(crate) const fn is_even(&self) -> bool {
        self.told() <= self.expected && self.told() + self.optional >= self.expected
    }
}

#[derive(Default)]
pub(crate) struct Accounts(Vec<Account>);

impl Accounts {
    pub(crate) fn open(&mut self, conflates: bool) -> AccountId {
        let id = self.0.len();
        self.0.push(Account { parent: id, open: 1, conflates, ..Account::default() });
        id
    }

    pub(crate) fn root(&self, mut id: AccountId) -> AccountId {
        while self.0[id].parent != id {
            id = self.0[id].parent;
        }
        id
    }

    pub(crate) fn get(&self, id: AccountId) -> &Account {
        &self.0[self.root(id)]
    }

    pub(crate) fn get_mut(&mut self, id: AccountId) -> &mut Account {
        let root = self.root(id);
        &mut self.0[root]
    }

    pub(crate) fn unite(&mut self, one: AccountId, other: AccountId) {
        let (one, other) = (self.root(one), self.root(other));
        if one == other {
            return;
        }
        let added = std::mem::take(&mut self.0[other]);
        self.0[other].parent = one;
        let sum = &mut self.0[one];
        sum.expected += added.expected;
        sum.optional += added.optional;
        sum.delivered += added.delivered;
        sum.dropped += added.dropped;
        sum.conflated += added.conflated;
        sum.skipped += added.skipped;
        sum.open += added.open;
        sum.conflates |= added.conflates;
    }
}

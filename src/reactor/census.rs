//! How many connections each source address holds, where that is bounded. Loopback is never bounded: everybody behind
//! a local proxy shares it.

use std::collections::HashMap;
use std::net::IpAddr;

pub(super) struct Census {
    /// 0: no bound, and nothing is counted.
    per_address_max: u32,
    counts: HashMap<IpAddr, u32>,
}

impl Census {
    pub(super) fn new(per_address_max: u32) -> Self {
        Census { per_address_max, counts: HashMap::new() }
    }

    /// Whether an address holds as many connections as it may.
    pub(super) fn is_full(&self, address: IpAddr) -> bool {
        self.is_counted(address) && self.counts.get(&address).is_some_and(|count| *count >= self.per_address_max)
    }

    pub(super) fn add(&mut self, address: IpAddr) {
        if self.is_counted(address) {
            *self.counts.entry(address).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, address: IpAddr) {
        if let Some(count) = self.counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&address);
            }
        }
    }

    fn is_counted(&self, address: IpAddr) -> bool {
        self.per_address_max > 0 && !address.to_canonical().is_loopback()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_full_at_its_bound_and_loopback_never() {
        let stranger: IpAddr = "192.0.2.7".parse().unwrap();
        let local: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
        let mut census = Census::new(2);
        for _ in 0..2 {
            assert!(!census.is_full(stranger));
            census.add(stranger);
            census.add(local);
        }
        assert!(census.is_full(stranger) && !census.is_full(local));
        census.remove(stranger);
        assert!(!census.is_full(stranger));
        census.remove(stranger);
        assert!(census.counts.is_empty());
    }
}

//! Orders and names that look random and are the same every time.

/// A row of numbers from a seed (xorshift).
pub(super) struct Order(u64);

impl Order {
    /// The one row that all scenes use.
    pub(super) const fn new() -> Order {
        Order(0x9E37_79B9_7F4A_7C15)
    }

    /// A number below `count`.
    pub(super) fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((u128::from(self.0) * count as u128) >> 64) as usize
    }
}

/// Names of one length in one piece of memory, asked for one after the other, from the first again after the last: the
/// list is not what a scene measures.
pub(super) struct Names {
    bytes: Vec<u8>,
    name_bytes: usize,
    next: usize,
}

impl Names {
    /// So many of them as `name` makes them.
    pub(super) fn new(count: usize, mut name: impl FnMut(usize) -> String) -> Names {
        let names: Vec<String> = (0..count).map(&mut name).collect();
        let name_bytes = names[0].len();
        assert!(names.iter().all(|name| name.len() == name_bytes), "names of one length");
        Names { bytes: names.concat().into_bytes(), name_bytes, next: 0 }
    }

    pub(super) fn next(&mut self) -> &[u8] {
        let begin = self.next;
        self.next = (begin + self.name_bytes) % self.bytes.len();
        &self.bytes[begin..begin + self.name_bytes]
    }
}

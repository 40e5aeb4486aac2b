//! How far publishers may run ahead of the slowest subscriber, so that saturation measures a broker's work and not how
//! much it can queue.

/// Messages ahead with fewer than a thousand subscribers, and from there on.
const MESSAGES_MAX: u64 = 2_000;
const MESSAGES_MAX_MANY: u64 = 500;
const MANY_SUBSCRIBERS: usize = 1_000;
/// Bytes ahead, a subscriber: below what any broker here keeps for one before it acts.
const BYTES_MAX: u64 = 1024 * 1024;

/// Messages that may be under way to the slowest subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How many.
    pub messages: u64,
}

impl Window {
    /// For so many subscribers, payloads and messages a write. At least one write always fits.
    pub fn new(subscribers: usize, payload_bytes: usize, batch: u32) -> Window {
        let by_count = if subscribers < MANY_SUBSCRIBERS { MESSAGES_MAX } else { MESSAGES_MAX_MANY };
        let by_bytes = BYTES_MAX / (payload_bytes as u64).max(1);
        Window { messages: by_count.min(by_bytes).max(batch.into()) }
    }

    /// Whether one more write fits when the slowest is so far behind.
    pub fn admits(self, ahead: u64, batch: u32) -> bool {
        ahead + u64::from(batch) <= self.messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_narrower_for_many_subscribers_and_for_large_messages() {
        assert_eq!(Window::new(100, 64, 50).messages, 2_000);
        assert_eq!(Window::new(1_000, 64, 50).messages, 500);
        assert_eq!(Window::new(1, 64 * 1024, 1).messages, 16);
        assert_eq!(Window::new(1, 64 * 1024, 50).messages, 50);
    }

    #[test]
    fn it_admits_whole_writes_only() {
        let window = Window { messages: 100 };
        assert!(window.admits(0, 50) && window.admits(50, 50));
        assert!(!window.admits(51, 50) && !window.admits(100, 1));
    }
}

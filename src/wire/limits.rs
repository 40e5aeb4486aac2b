//! Every bound of the protocol in one place: ceilings that no configuration may pass, and the limits a broker
//! announces in WELCOME (protocol.md section 8).

/// Bytes that a frame to a client may be longer than `frame_bytes_max`: a publish by short id becomes a delivery by
/// name, and HISTORY puts its own fields around it.
pub const DELIVERY_BYTES_EXTRA: u32 = TOPIC_BYTES_CEILING as u32 + 64;
/// What `frame_bytes_max` may be at the most. A length prefix is a varint of at most four bytes, 2^28 - 1, and the
/// delivery of the largest publish has to fit it too.
pub const FRAME_BYTES_CEILING: u32 = (1 << 28) - 1 - DELIVERY_BYTES_EXTRA;
/// Levels of a topic name or filter; more would let a filter tree branch without bound.
pub const TOPIC_LEVELS_CEILING: u8 = 16;
/// `+` levels in one filter.
pub const FILTER_PLUS_CEILING: u8 = 4;
/// Bytes of a topic name or filter.
pub const TOPIC_BYTES_CEILING: u16 = 4_096;
/// Bytes of a group name.
pub const GROUP_BYTES_MAX: usize = 64;
/// Bytes of a client's or server's name in HELLO and WELCOME.
pub const AGENT_BYTES_MAX: usize = 64;
/// Bytes of the credentials in HELLO.
pub const CREDENTIALS_BYTES_MAX: usize = 4_096;
/// Bytes of a frame before the connection is welcomed: HELLO with the longest of everything fits.
pub const HELLO_BYTES_MAX: u32 = 8_192;
/// Bytes of a human-readable text in ERROR and GOAWAY.
pub const TEXT_BYTES_MAX: usize = 512;

/// Must stand below the ceiling, or a HELLO could never be framed.
const _: () = assert!((CREDENTIALS_BYTES_MAX + 2 * AGENT_BYTES_MAX + 64) < HELLO_BYTES_MAX as usize);
const _: () = assert!(HELLO_BYTES_MAX < FRAME_BYTES_CEILING);

/// What a broker allows one connection, told in WELCOME as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one frame after its length prefix.
    pub frame_bytes_max: u32,
    /// Bytes of a headers block.
    pub headers_bytes_max: u32,
    /// Bytes waiting in the broker for this connection before overflow policies act.
    pub queue_bytes_max: u32,
    /// Subscriptions of this connection at one time.
    pub subscriptions_max: u32,
    /// Requests of this connection in flight at one time.
    pub requests_max: u32,
    /// Milliseconds that a request's deadline may be away.
    pub deadline_ms_max: u32,
    /// Short ids run from 0 to this, exclusive.
    pub short_ids_max: u16,
    /// Bytes of a topic name or filter.
    pub topic_bytes_max: u16,
    /// Levels of a topic name or filter.
    pub topic_levels_max: u8,
    /// `+` levels in one filter.
    pub filter_plus_max: u8,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            frame_bytes_max: 1024 * 1024,
            headers_bytes_max: 16 * 1024,
            queue_bytes_max: 2 * 1024 * 1024,
            subscriptions_max: 10_000,
            requests_max: 1_024,
            deadline_ms_max: 600_000,
            short_ids_max: 4_096,
            topic_bytes_max: 255,
            topic_levels_max: TOPIC_LEVELS_CEILING,
            filter_plus_max: FILTER_PLUS_CEILING,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Call, Frame, History, PublishShort, Request};

    /// Longest topic, largest frame in: whatever goes out stays within the extra.
    #[test]
    fn no_delivery_outgrows_its_publish_by_more_than_the_extra() {
        let topic = [b'a'; TOPIC_BYTES_CEILING as usize];
        let (headers, payload) = (&[1; 100][..], &[2; 100][..]);
        let publish = Frame::from(PublishShort { ack: crate::frame::AckLevel::None, short_id: 0, headers, payload });
        let history = Frame::from(History {
            subscription: 0,
            sequence: 0,
            position: 0,
            time_us: 0,
            topic: &topic,
            headers,
            payload,
        });
        assert!(history.length() <= publish.length() + DELIVERY_BYTES_EXTRA as usize);
        let request = Frame::from(Request { correlation: 0, deadline_ms: 0, topic: &topic, headers, payload });
        let call = Frame::from(Call { subscription: 0, handle: 0, deadline_ms: 0, topic: &topic, headers, payload });
        assert!(call.length() <= request.length() + DELIVERY_BYTES_EXTRA as usize);
    }
}

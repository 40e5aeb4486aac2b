//! What a reactor counts.

use super::board::Published;
use super::figures::figures;
use super::top_topics::TopicBoard;
use fanwire_wire::Code;
use fanwire_wire::frame::Policy;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a connection is, for those who count them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Kind {
    /// It has said nothing yet.
    #[default]
    Opening,
    /// Native frames.
    Native,
    /// Native frames in messages of a WebSocket.
    WebSocket,
    /// JSON in messages of a WebSocket.
    WebSocketJson,
    /// A stream of server-sent events.
    Sse,
    /// A poll that waits.
    Poll,
    /// Any other HTTP, or none at the moment.
    Http,
}

impl Kind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Kind; 7] =
        [Kind::Opening, Kind::Native, Kind::WebSocket, Kind::WebSocketJson, Kind::Sse, Kind::Poll, Kind::Http];

    /// What it is called in labels and fields.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Opening => "opening",
            Kind::Native => "native",
            Kind::WebSocket => "websocket",
            Kind::WebSocketJson => "websocket_json",
            Kind::Sse => "sse",
            Kind::Poll => "poll",
            Kind::Http => "http",
        }
    }
}

figures! {
    /// What a reactor publishes at the end of each turn. What is there now first, then totals since the start.
    ReactorFigures {
        /// Subscriptions of its connections.
        subscriptions,
        /// Requests of its connections without an answer yet.
        requests_in_flight,
        /// Topics that it knows.
        topics,
        /// Bytes that wait for its connections.
        queue_bytes,
        /// Bytes read from sockets.
        received_bytes,
        /// Bytes written to sockets.
        sent_bytes,
        /// Messages published by its connections.
        messages_in,
        /// Payload bytes of them.
        payload_bytes_in,
        /// Messages put into out-queues.
        deliveries,
        /// Messages replaced by newer ones of their topic.
        conflated,
        /// Commands refused, their connection living on.
        refused,
        /// Connections closed for not reading.
        slow_closed,
        /// Subscriptions that fell back to reading from their journal.
        fallen_back,
        /// Requests.
        requests,
        /// Requests that ended without a reply.
        requests_failed,
        /// Messages mailed to other reactors.
        mailed_out,
        /// Messages that came from other reactors.
        mailed_in,
        /// Commands that had to wait for room on the way to another thread.
        postponed,
        /// Sockets that broke.
        lost,
        /// Turns.
        turns,
        /// Times that another thread woke it.
        wakes,
        /// Calls that read from sockets.
        reads,
        /// Calls that wrote to sockets.
        writes,
        /// Microseconds that it did not wait for events.
        busy_us,
    }
    rows {
        /// Connections by [`Kind`].
        connections: Kind::ALL.len(),
        /// Messages lost by [`Policy`].
        dropped: Policy::ALL.len(),
    }
}

/// Where a reactor publishes.
#[derive(Debug)]
pub(super) struct ReactorBoard {
    pub(super) figures: Published<ReactorFigures>,
    pub(super) topics: TopicBoard,
    /// Connections closed, by the place of their code in [`Code::ALL`].
    closed: Box<[AtomicU64]>,
}

impl Default for ReactorBoard {
    fn default() -> Self {
        ReactorBoard {
            figures: Published::new(&ReactorFigures::default()),
            topics: TopicBoard::new(),
            closed: Code::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl ReactorBoard {
    pub(super) fn note_closed(&self, code: Code) {
        let counts = Code::ALL.iter().zip(&self.closed);
        counts.filter(|(known, _)| **known == code).for_each(|(_, count)| {
            count.fetch_add(1, Ordering::Relaxed);
        });
    }

    /// Codes that connections were closed with, and how often.
    pub(super) fn closed(&self) -> impl Iterator<Item = (Code, u64)> {
        let counts = Code::ALL.iter().zip(&self.closed);
        counts.map(|(code, count)| (*code, count.load(Ordering::Relaxed))).filter(|(_, count)| *count > 0)
    }
}

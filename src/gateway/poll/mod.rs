//! Long polls: sessions that outlive their sockets, and what is answered of them (protocol.md section E.5).
//!
//! ```text
//!  GET /v1/poll?topic=a           --open-->  session, answer 1, cursor 1
//!  GET ...&after=cursor 1         --ask -->  answer 1 has arrived: it is dropped; answer 2, cursor 2
//!  (the answer is lost)
//!  GET ...&after=cursor 1         --ask -->  answer 2 as it was, cursor 2
//! ```
//!
//! A poll's session is one of its reactor's shard, in the JSON of WebSockets, whose renditions it shares. Between two
//! polls it is what a client is whose socket is full: its queue grows, its policies act, and `catch-up` falls back to
//! the journal. What was taken from the queue for an answer is kept until the next request tells that it has arrived,
//! and is charged to the queue as long. So nothing is lost or comes twice, whatever becomes of sockets.
//!
//! The cursor names the session, where it lives and the answer, and for topics of a journal how far they have come:
//! where the session is gone, they go on from the journal. Otherwise the cursor is refused, which is the gap's notice.
//!
//! Invariants:
//! - at most one request waits for a session; another one takes its place, and the older one is told so;
//! - a session that nobody waits for has an alarm, at which it goes.

mod cursor;
mod polls;
pub(crate) mod progress;
mod session;

pub(crate) use cursor::number;
pub use cursor::{Cursor, Place, fingerprint};
pub use polls::{Polls, Seat, Settings};
pub(crate) use session::Wish;

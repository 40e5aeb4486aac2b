//! HTTP/1.1: bytes to requests, answers to bytes (RFC 9110, RFC 9112).
//!
//! ```text
//!  bytes --head--> Head --route--> Route --origin--> Grant --body--> payload     the gateway acts
//!           |               |                |                |              |
//!           `---------------`----------------`----------------`--------------`--> Refusal
//!                                                                                    |
//!  bytes <-- answer: status line, headers, sized body or stream <--------------------'
//! ```
//!
//! `connection` puts the parts together; `question` asks the shard, `streaming` and `polling` wait for messages, and
//! `moving` takes a connection elsewhere. Each other part is data in, data out, and holds nothing of the others: `head`
//! borrows the request from the buffer that it was read into, `route` says what is asked (`query` how), `origin`
//! whether this caller may, `body` takes the framing off, and `answer` writes. Everything that is wrong is one
//! [`Refusal`], which is an answer too.
//!
//! Invariants:
//! - how the bytes were cut never changes what is read;
//! - where a request ends is told in one way or the request is refused and its connection closed, so that nothing in
//!   front of this broker can read another request out of the same bytes (RFC 9112 section 11.2);
//! - no byte of a peer gets into an answer's head unchecked (RFC 9112 section 11.1).

mod admission;
pub mod answer;
pub mod authority;
pub mod body;
mod checkpoint;
mod connection;
mod date;
mod ending;
pub mod head;
pub mod header_value;
pub mod method;
mod moving;
pub mod origin;
pub mod percent;
mod polling;
mod prepared;
pub mod query;
mod question;
pub mod reason;
pub mod refusal;
mod relay;
pub mod route;
pub mod settings;
pub mod start;
pub mod status;
mod streaming;

pub use answer::{Answer, Cache, Exchange, Framing, MediaType, Stream};
pub use authority::Authority;
pub use body::{BodyReader, Received};
pub use connection::{Http, Outcome};
pub use head::{BodyKind, Head, HeadLimits, HeadReader, Version};
pub use header_value::HeaderValue;
pub use method::{Method, Methods};
pub(crate) use moving::Luggage;
pub use origin::{Cors, OriginRules};
pub use query::{Key, Query};
pub use reason::Reason;
pub use refusal::{Cause, Refusal};
pub use route::Route;
pub use settings::Settings;
pub use status::Status;

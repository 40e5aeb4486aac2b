//! WebSocket (RFC 6455) as bytes: the opening, frames in both directions, messages out of a stream, the end.
//!
//! ```text
//!  head of the request --handshake--> 101 and its subprotocol
//!  bytes read ----------reader------> text | binary | ping | pong | close  (headers by `frame`, faults by `closing`)
//!  bytes to write <-----frame-------- one header before what was rendered
//!  why it ends ---------closing-----> the last frame
//! ```
//!
//! Nothing of these knows a session; `connection` puts them together, and `encoding` is what its session is sent. The
//! broker is always the server: what comes in is masked, what goes out is not, so that the bytes of a delivery are the
//! same for all its receivers. The one extension that may be agreed on (`extension`) makes messages smaller
//! (`deflate`), and then the first reserved bit tells which; the others are zero both ways (RFC 6455 sections 5.1, 5.2,
//! 9.1, RFC 7692 section 6).

pub mod closing;
mod connection;
pub mod deflate;
mod encoding;
pub mod extension;
pub mod frame;
pub mod handshake;
pub mod reader;

pub use closing::{Breach, CloseCode, Farewell};
pub(crate) use connection::Pending;
pub use connection::{Machine, WebSocket};
pub use encoding::{DeflatedJsonMessages, DeflatedNativeMessages, JsonMessages, NativeMessages};
pub use frame::{Header, Mask, Opcode};
pub use handshake::{Handshake, Refusal, Subprotocol};
pub use reader::{Item, Reader};

//! The Rust client of Fanwire, a real-time message broker.
//!
//! ```no_run
//! use fanwire_client::{AckLevel, Client, Error, Event, Message, SubscribeOptions};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), fanwire_client::Error> {
//! let mut client = Client::connect("fanwire://127.0.0.1:7311")?;
//! let orders = client.subscribe("orders/+", SubscribeOptions::default())?;
//!
//! client.publish("orders/7", b"new")?; // buffered until flush, poll or wait
//! client.publish_acked("orders/7", b"paid", AckLevel::Routed, Duration::from_secs(2))?;
//! for message in client.messages(orders).take(2) {
//!     let message = message?;
//!     println!("{}: {}", message.topic, String::from_utf8_lossy(&message.payload));
//! }
//!
//! let now = client.request("time/now", b"", Duration::from_secs(2))?;
//! println!("{}", String::from_utf8_lossy(&now.payload));
//!
//! // A journaled topic: what it holds, then what comes; and a publish that nobody can overtake.
//! let document = client.subscribe("doc/7", SubscribeOptions::first())?;
//! let edit = Message::new("doc/7", b"insert").expect(4);
//! match client.publish_message_acked(&edit, AckLevel::Journaled, Duration::from_secs(2)) {
//!     Ok(acked) => println!("record {:?}", acked.sequence),
//!     Err(Error::Conflict { actual }) => println!("somebody was faster: read on to {actual}"),
//!     Err(error) => return Err(error),
//! }
//!
//! // A game loop polls: no thread, no waiting, no allocation per message.
//! client.poll(|event| match event {
//!     Event::Message(message) => println!("{} bytes on {}", message.payload.len(), message.topic),
//!     Event::Reconnected { may_have_missed: true, .. } => println!("ask for the whole state again"),
//!     _ => {}
//! })?;
//! client.close() // waits until the broker has taken everything
//! # }
//! ```
//!
//! # The picture
//!
//! ```text
//!  Client    blocking calls, poll, iterator      client.rs, backlog.rs
//!    |
//!  Driver    one turn of socket work, reconnect  driver.rs, link.rs, backoff.rs
//!    |
//!  Session   sans-IO: bytes in, events out;      session.rs, subscriptions.rs, recent.rs,
//!            commands in, bytes out              progress.rs, publishes.rs, requests.rs, outgoing.rs
//! ```
//!
//! # What is promised
//!
//! - Whoever publishes after `subscribe` returned (anywhere) reaches that subscription.
//! - Messages of one publisher to one topic come in order. Where messages are missing, [`Event::Gap`] says how many.
//! - A publish that asked for an ack ends exactly once: acked, refused, or, when the connection ended first,
//!   *unknown* or *unsent*. It is never sent again behind your back.
//! - A lost connection is made anew, subscriptions and registrations with it, and [`Event::Reconnected`] says
//!   whether messages may have been missed. What reads a journal goes on behind the last record it was told, and
//!   [`Event::Subscribed`] says whether that came true: resumed, or reset to the oldest record.
//! - A subscription that starts in the past hears history first and nothing else, then [`Event::CaughtUp`], then what
//!   is live: no gap, no duplicate, no reordering.
//! - Everything is bounded: the outgoing buffer, and what blocking calls set aside.
//!
//! # Hearing and calling
//!
//! `poll` and `wait` hand borrowed events to a closure, which cannot call the client at the same time. Gather what
//! needs an answer ([`Call::into_owned`]) and answer after the poll.
#![forbid(unsafe_code)]

mod backlog;
mod backoff;
mod client;
mod driver;
mod error;
mod event;
mod link;
mod options;
mod outgoing;
mod producer;
mod progress;
mod publishes;
mod recent;
mod requests;
pub mod session;
mod subscriptions;
mod url;

pub use client::{Acked, Client, Messages};
pub use error::{Error, Refusal};
pub use event::{
    Answer, Call, CallHandle, Delivery, Event, OwnedMessage, PublishId, Publisher, RequestId, Subject, SubscriptionId,
};
pub use fanwire_wire::frame::{AckLevel, Outcome, Policy, Start};
pub use fanwire_wire::{Code, Headers, Limits, Retry, Violation};
pub use options::{Message, Options, SubscribeOptions};
pub use producer::{Producer, Stamp};
pub use session::Welcome;
pub use url::ServerUrl;

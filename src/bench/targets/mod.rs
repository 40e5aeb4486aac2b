//! The protocols, a file each: what they put on the wire and nothing else.

pub(super) mod fanwire;
pub(super) mod floor;
pub(super) mod mqtt;
pub(super) mod nats;
pub(super) mod redis;

//! What a reactor has to tell about its peers: named, throttled, never per message.

use crate::logging::Throttle;
use fanwire_gateway::Protocol;
use fanwire_wire::Code;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Lines a second that peers can cause.
const LINES_PER_SECOND: u32 = 20;

/// Tells of peers.
pub(super) struct Journalist {
    throttle: Throttle,
}

impl Journalist {
    pub(super) fn new() -> Self {
        Journalist { throttle: Throttle::new(LINES_PER_SECOND) }
    }

    /// A connection was closed with a code.
    pub(super) fn closed(
        &mut self,
        now: Duration,
        connection: u64,
        peer: SocketAddr,
        code: Code,
        spoken: Option<Protocol>,
    ) {
        let Some(suppressed) = self.throttle.admit(now) else { return };
        let speaks = spoken.map_or("", Protocol::name);
        tracing::warn!(connection, %peer, code = code.name(), speaks, suppressed, "connection closed");
    }

    /// A peer asked for something that it can't have; its connection goes on.
    pub(super) fn refused(&mut self, now: Duration, connection: u64, peer: SocketAddr, code: Code) {
        let Some(suppressed) = self.throttle.admit(now) else { return };
        tracing::warn!(connection, %peer, code = code.name(), suppressed, "refused");
    }

    /// A peer left in the middle of a frame.
    pub(super) fn torn(&mut self, now: Duration, connection: u64, peer: SocketAddr) {
        let Some(suppressed) = self.throttle.admit(now) else { return };
        tracing::warn!(connection, %peer, suppressed, "the peer left in the middle of a frame");
    }

    /// A socket broke.
    pub(super) fn lost(&mut self, now: Duration, peer: SocketAddr, error: &io::Error) {
        let Some(suppressed) = self.throttle.admit(now) else { return };
        // A peer that goes is everyday life; one that the kernel gave up was owed something.
        if error.kind() == io::ErrorKind::TimedOut {
            tracing::warn!(%peer, %error, suppressed, "connection lost");
        } else {
            tracing::debug!(%peer, %error, suppressed, "connection lost");
        }
    }

    /// A socket option could not be set.
    pub(super) fn option_failed(&mut self, now: Duration, peer: SocketAddr, error: &io::Error) {
        let Some(suppressed) = self.throttle.admit(now) else { return };
        tracing::warn!(%peer, %error, suppressed, "no TCP_NOTSENT_LOWAT; stale data may wait in the kernel");
    }

    /// No descriptor is left for a new connection.
    pub(super) fn out_of_descriptors(&mut self, now: Duration) {
        let Some(suppressed) = self.throttle.admit(now) else { return };
        tracing::error!(
            suppressed,
            "out of file descriptors: a waiting connection was dropped; raise the open-file limit"
        );
    }

    /// Says how many lines a flood cost, once it is over.
    pub(super) fn tell_suppressed(&mut self, now: Duration) {
        if let Some(suppressed) = self.throttle.take_suppressed(now) {
            tracing::warn!(suppressed, "more of the same");
        }
    }
}

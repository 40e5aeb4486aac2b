//! PING, PONG and GOAWAY: whether the other side lives, and when it is about to leave (protocol.md section 5.2).

use super::Body;
use crate::code::{Code, Violation};
use crate::codec::{Reader, Sink};
use crate::limits::TEXT_BYTES_MAX;

/// Asks for a PONG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ping {
    /// The sender's clock in any unit it likes; comes back as it is.
    pub time: u64,
}

impl Body<'_> for Ping {
    fn read(reader: &mut Reader<'_>, _headers: &[u8]) -> Result<Self, Violation> {
        Ok(Ping { time: reader.u64()? })
    }

    fn write(&self, sink: &mut impl Sink) {
        sink.u64(self.time);
    }
}

/// Answers a PING.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pong {
    /// The time of the PING.
    pub time: u64,
    /// The answering side's clock, in microseconds since 1970-01-01 UTC; 0 when it has none.
    pub clock_us: u64,
}

impl Body<'_> for Pong {
    fn read(reader: &mut Reader<'_>, _headers: &[u8]) -> Result<Self, Violation> {
        Ok(Pong { time: reader.u64()?, clock_us: reader.u64()? })
    }

    fn write(&self, sink: &mut impl Sink) {
        sink.u64(self.time);
        sink.u64(self.clock_us);
    }
}

/// The broker will close soon; the client should come back after a random delay from the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Goaway<'a> {
    /// The number of a [`Code`].
    pub code: u16,
    /// The start of the reconnect window, in milliseconds from now.
    pub reconnect_min_ms: u32,
    /// The end of the reconnect window, in milliseconds from now; not below the start.
    pub reconnect_max_ms: u32,
    /// For people, up to 512 bytes.
    pub text: &'a str,
}

impl<'a> Body<'a> for Goaway<'a> {
    fn read(reader: &mut Reader<'a>, _headers: &'a [u8]) -> Result<Self, Violation> {
        let goaway = Goaway {
            code: reader.u16()?,
            reconnect_min_ms: reader.u32()?,
            reconnect_max_ms: reader.u32()?,
            text: reader.text(TEXT_BYTES_MAX)?,
        };
        if goaway.reconnect_min_ms > goaway.reconnect_max_ms {
            return Err(Violation(Code::MalformedFrame));
        }
        Ok(goaway)
    }

    fn write(&self, sink: &mut impl Sink) {
        sink.u16(self.code);
        sink.u32(self.reconnect_min_ms);
        sink.u32(self.reconnect_max_ms);
        sink.blob(self.text.as_bytes());
    }
}

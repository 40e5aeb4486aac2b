//! REQUEST, CALL, REPLY and RESPONSE: a question on its way there and its answer on the way back (protocol.md
//! section 5.7).

use super::Body;
use crate::code::{Code, Violation};
use crate::codec::{Reader, Sink};

/// The client asks whoever responds on a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// Chosen by the client, unique among its requests in flight.
    pub correlation: u32,
    /// Milliseconds until the answer is worthless, from 1 to `deadline_ms_max`.
    pub deadline_ms: u32,
    /// A topic name.
    pub topic: &'a [u8],
    /// The headers block; empty for none.
    pub headers: &'a [u8],
    /// The rest of the frame.
    pub payload: &'a [u8],
}

impl<'a> Body<'a> for Request<'a> {
    fn read(reader: &mut Reader<'a>, headers: &'a [u8]) -> Result<Self, Violation> {
        Ok(Request {
            correlation: reader.u32()?,
            deadline_ms: reader.u32()?,
            topic: reader.blob()?,
            headers,
            payload: reader.rest(),
        })
    }

    fn write(&self, sink: &mut impl Sink) {
        sink.u32(self.correlation);
        sink.u32(self.deadline_ms);
        sink.blob(self.topic);
        sink.bytes(self.payload);
    }

    fn headers(&self) -> &'a [u8] {
        self.headers
    }
}

/// The broker hands the request to one responder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call<'a> {
    /// The responder's subscription.
    pub subscription: u32,
    /// Names this call in the REPLY; valid on this connection only, counted from 1.
    pub handle: u64,
    /// Milliseconds that are left.
    pub deadline_ms: u32,
    /// The topic name.
    pub topic: &'a [u8],
    /// The requester's headers block; empty for none.
    pub headers: &'a [u8],
    /// The rest of the frame.
    pub payload: &'a [u8],
}

impl<'a> Body<'a> for Call<'a> {
    fn read(reader: &mut Reader<'a>, headers: &'a [u8]) -> Result<Self, Violation> {
        Ok(Call {
            subscription: reader.u32()?,
            handle: reader.u64()?,
            deadline_ms: reader.u32()?,
            topic: reader.blob()?,
            headers,
            payload: reader.rest(),
        })
    }

    fn write(&self, sink: &mut impl Sink) {
        sink.u32(self.subscription);
        sink.u64(self.handle);
        sink.u32(self.deadline_ms);
        sink.blob(self.topic);
        sink.bytes(self.payload);
    }

    fn headers(&self) -> &'a [u8] {
        self.headers
    }
}

/// The responder answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The handle of the CALL.
    pub handle: u64,
    /// The headers block; empty for none.
    pub headers: &'a [u8],
    /// The rest of the frame.
    pub payload: &'a [u8],
}

impl<'a> Body<'a> for Reply<'a> {
    fn read(reader: &mut Reader<'a>, headers: &'a [u8]) -> Result<Self, Violation> {
        Ok(Reply { handle: reader.u64()?, headers, payload: reader.rest() })
    }

    fn write(&self, sink: &mut impl Sink) {
        sink.u64(self.handle);
        sink.bytes(self.payload);
    }

    fn headers(&self) -> &'a [u8] {
        self.headers
    }
}

/// The end of a request: the reply, or the code that says why there is none. Every request gets exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response<'a> {
    /// The correlation id of the REQUEST.
    pub correlation: u32,
    /// 0 when a reply follows, else the number of a [`Code`]; then headers and payload are empty.
    pub code: u16,
    /// The responder's headers block; empty for none.
    pub headers: &'a [u8],
    /// The rest of the frame.
    pub payload: &'a [u8],
}

impl<'a> Body<'a> for Response<'a> {
    fn read(reader: &mut Reader<'a>, headers: &'a [u8]) -> Result<Self, Violation> {
        let response = Response { correlation: reader.u32()?, code: reader.u16()?, headers, payload: reader.rest() };
        if response.code != 0 && !(response.headers.is_empty() && response.payload.is_empty()) {
            return Err(Violation(Code::MalformedFrame));
        }
        Ok(response)
    }

    fn write(&self, sink: &mut impl Sink) {
        sink.u32(self.correlation);
        sink.u16(self.code);
        sink.bytes(self.payload);
    }

    fn headers(&self) -> &'a [u8] {
        self.headers
    }
}

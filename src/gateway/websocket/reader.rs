//! Messages out of a stream of client frames that may be cut anywhere (RFC 6455 sections 5, 6.2, 8.1).
//!
//! ```text
//!  read buffer (lent by the caller, shared by everybody; masks are taken off in place)
//!    | whole messages of one frame, and whole control frames, are handed out where they lie
//!    v
//!  [ rest of a payload begun earlier ][ frame ][ ping ][ fragment ][ begin of a frame ...
//!      |                                                 |           |
//!      `-------------------> Held: message, control, head <----------'   in a box, only while something is incomplete
//! ```
//!
//! A reader that is idle between messages is one null pointer. A message in pieces grows with the bytes that really
//! came, never with the length they announce, and each byte is copied once; its memory goes when the next item is
//! asked for. Text is checked as it comes, so that a wrong byte ends the connection at once, and not after megabytes.
//!
//! Invariants: after `None`, `held` is there only if a frame or message is incomplete, or all is over. Of `message`,
//! the first `checked_bytes` are whole characters. The limit on a message holds before any byte of it is kept.

use super::closing::{Breach, CloseCode, decode_close};
use super::frame::{CLIENT_HEADER_BYTES_MAX, Header, Mask, Opcode};

/// What a client sent (RFC 6455 sections 5.5, 5.6, 6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// A whole message of text.
    Text(&'a str),
    /// A whole message of bytes.
    Binary(&'a [u8]),
    /// A whole message that was made smaller (RFC 7692 section 7.2.2).
    Deflated {
        /// Whether it is text.
        is_text: bool,
        /// As it came.
        deflated: &'a [u8],
    },
    /// Asks for a pong with the same bytes (RFC 6455 section 5.5.2).
    Ping(&'a [u8]),
    /// A sign of life (RFC 6455 section 5.5.3).
    Pong(&'a [u8]),
    /// The last that it says: what comes behind it is not looked at (RFC 6455 section 5.5.1).
    Close {
        /// Why, if it says so.
        code: Option<CloseCode>,
        /// The same for people.
        reason: &'a str,
    },
}

/// Takes a client's stream apart (RFC 6455 section 6.2).
#[derive(Debug, Default)]
pub struct Reader {
    held: Option<Box<Held>>,
}

/// What is incomplete.
#[derive(Debug, Default)]
struct Held {
    /// The data message as far as it came.
    message: Vec<u8>,
    /// How much of it is whole characters, if it is text.
    checked_bytes: usize,
    /// What it is, once its first frame began.
    kind: Option<Kind>,
    /// Whether it was made smaller: then its text can't be checked as it comes.
    is_deflated: bool,
    /// The control frame's payload as far as it came.
    control: Vec<u8>,
    /// The frame whose payload comes next.
    frame: Option<Payload>,
    /// A header as far as it came.
    head: Head,
    /// A close frame or a breach ended it.
    is_over: bool,
}

/// A kind of message (RFC 6455 section 5.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

/// A payload of which not all bytes are here.
#[derive(Debug, Clone, Copy)]
struct Payload {
    opcode: Opcode,
    is_final: bool,
    mask: Mask,
    bytes_left: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Head {
    bytes: [u8; CLIENT_HEADER_BYTES_MAX],
    count: u8,
}

/// Something complete that lies in [`Held`].
#[derive(Debug, Clone, Copy)]
enum Lent {
    Message(Kind, bool),
    Control(Opcode),
}

/// Where the next item lies.
enum Found<'input> {
    Input(Opcode, bool, &'input [u8]),
    Held(Lent),
}

impl Reader {
    /// The next item, or `None` when `input` is used up: what is left of it is kept. Takes from the front of `input`
    /// just what it needs, so the caller may stop after any item, and then keeps the rest itself. After a close frame
    /// or a breach nothing comes any more, whatever is put in (RFC 6455 sections 5.5.1, 6.2, 7.1.7).
    pub fn next_item<'item, 'input: 'item>(
        &'item mut self,
        input: &mut &'input mut [u8],
        message_bytes_max: u32,
    ) -> Result<Option<Item<'item>>, Breach> {
        self.next_item_with(false, input, message_bytes_max)
    }

    /// The same where it is agreed that messages may be made smaller: the limit on their bytes holds before they are
    /// inflated, and whoever does that has to hold it again (RFC 7692 section 6).
    pub fn next_item_with<'item, 'input: 'item>(
        &'item mut self,
        takes_deflated: bool,
        input: &mut &'input mut [u8],
        message_bytes_max: u32,
    ) -> Result<Option<Item<'item>>, Breach> {
        match self.find(takes_deflated, input, message_bytes_max) {
            Ok(Some(Found::Input(opcode, is_deflated, payload))) => {
                self.end_behind(opcode);
                item_of(opcode, is_deflated, payload).map(Some).inspect_err(|_| self.end())
            }
            Ok(Some(Found::Held(lent))) => self.lend(lent).map(Some),
            Ok(None) => Ok(None),
            Err(breach) => {
                self.end();
                Err(breach)
            }
        }
    }

    /// Whether it keeps nothing at all.
    pub const fn is_empty(&self) -> bool {
        self.held.is_none()
    }

    /// Whether a message or frame has begun and is not complete (RFC 6455 section 5.4).
    pub fn has_begun(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.is_incomplete())
    }

    /// Bytes kept of what is incomplete; what is lent counts until the next call.
    pub fn held_bytes(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.message.len() + held.control.len() + usize::from(held.head.count))
    }

    fn find<'input>(
        &mut self,
        takes_deflated: bool,
        input: &mut &'input mut [u8],
        message_bytes_max: u32,
    ) -> Result<Option<Found<'input>>, Breach> {
        self.release();
        if self.held.as_ref().is_some_and(|held| held.is_over) {
            *input = &mut [];
            return Ok(None);
        }
        loop {
            if let Some(held) = &mut self.held
                && held.frame.is_some()
            {
                match held.fill(input)? {
                    Filled::Complete(lent) => return Ok(Some(Found::Held(lent))),
                    Filled::Fragment => {}
                    Filled::Dry => return Ok(None),
                }
            }
            let Some(header) = self.take_header(takes_deflated, input)? else { return Ok(None) };
            let payload_bytes = self.admit(&header, message_bytes_max)?;
            if let Some(payload) = self.take_whole(&header, payload_bytes, input) {
                return Ok(Some(Found::Input(header.opcode, header.is_deflated, payload)));
            }
            self.begin(&header, payload_bytes);
        }
    }

    /// Drops what was lent, and the box with it unless something is incomplete: that may be a message, if what was lent
    /// is a control frame between its fragments.
    fn release(&mut self) {
        let Some(held) = &mut self.held else { return };
        if held.frame.is_none() {
            held.control = Vec::new();
        }
        if !held.is_incomplete() && !held.is_over {
            self.held = None;
        }
    }

    /// The next header, once all of it is there.
    #[inline]
    fn take_header(&mut self, takes_deflated: bool, input: &mut &mut [u8]) -> Result<Option<Header>, Breach> {
        if let Some(held) = &mut self.held
            && held.head.count > 0
        {
            let header = held.head.complete(takes_deflated, input);
            // Its payload may lie whole in the input: then nothing needs the box.
            self.release();
            return header;
        }
        match Header::decode_with(takes_deflated, input)? {
            Some((header, size)) => {
                take(size, input);
                Ok(Some(header))
            }
            None if input.is_empty() => Ok(None),
            None => self.held.get_or_insert_default().head.complete(takes_deflated, input),
        }
    }

    /// Whether the frame may come now, and how long its payload is.
    #[inline]
    fn admit(&self, header: &Header, message_bytes_max: u32) -> Result<usize, Breach> {
        let held = self.held.as_deref();
        let message = held.filter(|held| held.kind.is_some());
        match header.opcode {
            Opcode::Continuation if message.is_none() => return Err(Breach::NothingToContinue),
            Opcode::Text | Opcode::Binary if message.is_some() => return Err(Breach::MessageInMessage),
            _ => {}
        }
        let payload_bytes = usize::try_from(header.payload_bytes).map_err(|_| Breach::MessageTooLarge)?;
        let before = message.map_or(0, |held| held.message.len());
        if !header.opcode.is_control() && payload_bytes > (message_bytes_max as usize).saturating_sub(before) {
            return Err(Breach::MessageTooLarge);
        }
        Ok(payload_bytes)
    }

    /// The payload where it lies, if all of it does and nothing belongs before or behind it.
    #[inline]
    fn take_whole<'input>(
        &self,
        header: &Header,
        payload_bytes: usize,
        input: &mut &'input mut [u8],
    ) -> Option<&'input [u8]> {
        if input.len() < payload_bytes || !header.is_final || header.opcode == Opcode::Continuation {
            return None;
        }
        let payload = take(payload_bytes, input);
        let mut mask = header.mask;
        mask.apply(payload);
        Some(payload)
    }

    fn begin(&mut self, header: &Header, payload_bytes: usize) {
        let held = self.held.get_or_insert_default();
        match header.opcode {
            Opcode::Text => (held.kind, held.is_deflated) = (Some(Kind::Text), header.is_deflated),
            Opcode::Binary => (held.kind, held.is_deflated) = (Some(Kind::Binary), header.is_deflated),
            _ => {}
        }
        let Header { is_final, opcode, mask, .. } = *header;
        held.frame = Some(Payload { opcode, is_final, mask, bytes_left: payload_bytes });
    }

    fn lend(&mut self, lent: Lent) -> Result<Item<'_>, Breach> {
        if let Lent::Control(opcode) = lent {
            self.end_behind(opcode);
        }
        let held = self.held.get_or_insert_default();
        match lent {
            Lent::Message(Kind::Text, is_deflated) => item_of(Opcode::Text, is_deflated, &held.message),
            Lent::Message(Kind::Binary, is_deflated) => item_of(Opcode::Binary, is_deflated, &held.message),
            Lent::Control(opcode) => item_of(opcode, false, &held.control),
        }
    }

    /// Nothing is looked at behind a close frame, be it a right one or not.
    #[inline]
    fn end_behind(&mut self, opcode: Opcode) {
        if opcode == Opcode::Close {
            let control = self.held.take().map(|held| held.control).unwrap_or_default();
            self.held = Some(Box::new(Held { control, is_over: true, ..Held::default() }));
        }
    }

    fn end(&mut self) {
        self.held = Some(Box::new(Held { is_over: true, ..Held::default() }));
    }
}

/// What came of a payload's next bytes.
enum Filled {
    /// Something is complete.
    Complete(Lent),
    /// The message goes on with another frame.
    Fragment,
    /// The payload needs more bytes.
    Dry,
}

impl Held {
    fn is_incomplete(&self) -> bool {
        self.kind.is_some() || self.frame.is_some() || self.head.count > 0
    }

    /// Tops the payload up from `input`.
    fn fill(&mut self, input: &mut &mut [u8]) -> Result<Filled, Breach> {
        let Some(mut payload) = self.frame.take() else { return Ok(Filled::Dry) };
        let part = take(payload.bytes_left.min(input.len()), input);
        payload.mask.apply(part);
        payload.bytes_left -= part.len();
        if payload.opcode.is_control() {
            self.control.extend_from_slice(part);
        } else {
            self.message.extend_from_slice(part);
            if self.kind == Some(Kind::Text) && !self.is_deflated {
                self.check_text()?;
            }
        }
        if payload.bytes_left > 0 {
            self.frame = Some(payload);
            return Ok(Filled::Dry);
        }
        self.finish(payload)
    }

    /// The payload is complete; perhaps what it belongs to is too.
    fn finish(&mut self, payload: Payload) -> Result<Filled, Breach> {
        if payload.opcode.is_control() {
            return Ok(Filled::Complete(Lent::Control(payload.opcode)));
        }
        let kind = self.kind.filter(|_| payload.is_final);
        let Some(kind) = kind else { return Ok(Filled::Fragment) };
        if kind == Kind::Text && !self.is_deflated && self.checked_bytes < self.message.len() {
            return Err(Breach::InvalidText);
        }
        self.kind = None;
        Ok(Filled::Complete(Lent::Message(kind, self.is_deflated)))
    }

    /// Looks at what is new of the text. The beginning of a character at its end is right as long as it can become one.
    fn check_text(&mut self) -> Result<(), Breach> {
        let unchecked = self.message.get(self.checked_bytes..).unwrap_or_default();
        match str::from_utf8(unchecked) {
            Ok(_) => self.checked_bytes = self.message.len(),
            Err(error) if error.error_len().is_none() => self.checked_bytes += error.valid_up_to(),
            Err(_) => return Err(Breach::InvalidText),
        }
        Ok(())
    }
}

impl Head {
    /// Tops the header up from `input` by just what it needs; empty again when it is complete.
    fn complete(&mut self, takes_deflated: bool, input: &mut &mut [u8]) -> Result<Option<Header>, Breach> {
        while let Some(slot) = self.bytes.get_mut(usize::from(self.count)) {
            let [next] = take(input.len().min(1), input) else { return Ok(None) };
            *slot = *next;
            self.count += 1;
            let bytes = self.bytes.get(..usize::from(self.count)).unwrap_or_default();
            if let Some((header, _)) = Header::decode_with(takes_deflated, bytes)? {
                self.count = 0;
                return Ok(Some(header));
            }
        }
        unreachable!("no header is longer than {CLIENT_HEADER_BYTES_MAX} bytes")
    }
}

/// Takes bytes off the front; there are as many.
#[inline]
fn take<'input>(count: usize, input: &mut &'input mut [u8]) -> &'input mut [u8] {
    let (front, rest) = std::mem::take(input).split_at_mut(count);
    *input = rest;
    front
}

#[inline]
fn item_of(opcode: Opcode, is_deflated: bool, payload: &[u8]) -> Result<Item<'_>, Breach> {
    Ok(match opcode {
        _ if is_deflated => Item::Deflated { is_text: opcode == Opcode::Text, deflated: payload },
        Opcode::Text => Item::Text(str::from_utf8(payload).map_err(|_| Breach::InvalidText)?),
        Opcode::Binary | Opcode::Continuation => Item::Binary(payload),
        Opcode::Ping => Item::Ping(payload),
        Opcode::Pong => Item::Pong(payload),
        Opcode::Close => {
            let (code, reason) = decode_close(payload)?;
            Item::Close { code, reason }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

    /// A client's frame: the first byte, and a payload below 126 bytes or of 16 bits.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![first];
        match u8::try_from(payload.len()) {
            Ok(length) if length < 126 => out.push(0x80 | length),
            _ => {
                out.push(0xFE);
                out.extend_from_slice(&(payload.len() as u16).to_be_bytes());
            }
        }
        out.extend_from_slice(&KEY);
        out.extend_from_slice(payload);
        let begin = out.len() - payload.len();
        Mask::new(KEY).apply(&mut out[begin..]);
        out
    }

    #[test]
    fn what_every_idle_connection_pays_is_a_pointer() {
        assert_eq!(size_of::<Reader>(), 8);
        let mut reader = Reader::default();
        let mut stream = frame(0x82, &[7; 300]);
        for byte in stream.chunks_mut(1) {
            let _ = reader.next_item(&mut &mut *byte, 1_000).unwrap();
        }
        assert_eq!(reader.next_item(&mut &mut [][..], 1_000), Ok(None));
        assert!(reader.held.is_none(), "the memory of a message goes");
    }

    #[test]
    fn whole_messages_are_handed_out_where_they_lie() {
        let mut stream = [frame(0x82, &[7; 300]), frame(0x81, b"text"), frame(0x89, b"ping")].concat();
        let places = stream.as_ptr_range();
        let mut reader = Reader::default();
        let mut input = &mut stream[..];
        for _ in 0..3 {
            let place = match reader.next_item(&mut input, 1_000).unwrap().unwrap() {
                Item::Text(text) => text.as_ptr(),
                Item::Binary(bytes) | Item::Ping(bytes) => bytes.as_ptr(),
                other => panic!("{other:?}"),
            };
            assert!(places.contains(&place));
            assert!(reader.held.is_none());
        }
    }

    #[test]
    fn a_message_behind_a_header_in_pieces_is_handed_out_where_it_lies() {
        let mut stream = frame(0x82, &[7; 300]);
        let (front, back) = stream.split_at_mut(5);
        let mut reader = Reader::default();
        assert_eq!(reader.next_item(&mut &mut *front, 1_000), Ok(None));
        assert!(reader.has_begun() && reader.held_bytes() == 5);
        let places = back.as_ptr_range();
        let Ok(Some(Item::Binary(payload))) = reader.next_item(&mut &mut *back, 1_000) else { panic!("it is whole") };
        assert!(places.contains(&payload.as_ptr()) && payload == [7; 300]);
        assert!(reader.held.is_none());
    }

    #[test]
    fn a_claimed_length_takes_no_memory_before_its_bytes_come() {
        let mut stream = b"\x82\xFF\0\0\0\0\x7F\xFF\xFF\xFFkey!abc".to_vec();
        let mut reader = Reader::default();
        assert_eq!(reader.next_item(&mut &mut stream[..], u32::MAX), Ok(None));
        assert_eq!(reader.held_bytes(), 3);
        assert!(reader.held.unwrap().message.capacity() < 64);
    }

    #[test]
    fn the_beginning_of_a_small_message_does_not_keep_the_memory_of_a_large_one() {
        let mut stream = [frame(0x02, &[7; 60_000]), frame(0x80, &[]), frame(0x82, b"small")].concat();
        stream.pop();
        let mut reader = Reader::default();
        let mut input = &mut stream[..];
        assert_eq!(reader.next_item(&mut input, 100_000), Ok(Some(Item::Binary(&[7; 60_000]))));
        assert!(reader.held_bytes() == 60_000 && !reader.has_begun());
        assert_eq!(reader.next_item(&mut input, 100_000), Ok(None));
        assert_eq!(reader.held_bytes(), 4);
        assert!(reader.held.unwrap().message.capacity() < 64);
    }

    #[test]
    fn nothing_comes_behind_the_end() {
        let ping = frame(0x89, b"");
        for end in [frame(0x88, b""), frame(0x88, b"x"), frame(0xC1, b""), frame(0x81, b"\xFF"), frame(0x01, b"\xFF")] {
            for cut in 0..=end.len() {
                let mut stream = [&end[..], &ping, &ping].concat();
                let (mut front, mut back) = stream.split_at_mut(cut);
                let mut reader = Reader::default();
                let mut found = 0;
                for input in [&mut front, &mut back] {
                    loop {
                        match reader.next_item(input, 100) {
                            Ok(Some(item)) => assert!(matches!(item, Item::Close { .. })),
                            Ok(None) => break,
                            Err(_) => {}
                        }
                        found += 1;
                    }
                    assert!(input.is_empty());
                }
                assert_eq!(found, 1);
                assert!(!reader.has_begun());
            }
        }
    }
}

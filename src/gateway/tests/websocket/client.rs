//! A client as it should be, and as it should not: frames of any kind, and what a reader makes of them.

use fanwire_gateway::websocket::{Breach, CloseCode, Item, Reader};

/// The first byte of a whole message, and of a fragment that more follow.
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const TEXT_BEGINS: u8 = 0x01;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const BINARY_BEGINS: u8 = 0x02;
pub(crate) const GOES_ON: u8 = 0x00;
pub(crate) const ENDS: u8 = 0x80;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8A;

/// What a stream came to: items, and as the last one perhaps a breach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    Text(String),
    Binary(Vec<u8>),
    Deflated(bool, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    Failed(Breach),
}

impl From<Item<'_>> for Told {
    fn from(item: Item<'_>) -> Self {
        match item {
            Item::Text(text) => Told::Text(text.to_owned()),
            Item::Binary(bytes) => Told::Binary(bytes.to_vec()),
            Item::Deflated { is_text, deflated } => Told::Deflated(is_text, deflated.to_vec()),
            Item::Ping(bytes) => Told::Ping(bytes.to_vec()),
            Item::Pong(bytes) => Told::Pong(bytes.to_vec()),
            Item::Close { code, reason } => Told::Close(code.map(CloseCode::number), reason.to_owned()),
        }
    }
}

/// A masked frame with its length in the shortest form.
pub(crate) fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    masked(first, payload.as_ref(), [0x37, 0xFA, 0x21, 0x3D])
}

pub(crate) fn masked(first: u8, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        length @ 0..=125 => out.push(0x80 | length as u8),
        length @ 126..=0xFFFF => {
            out.push(0xFE);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0xFF);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&key);
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

/// A close frame of a code and a reason.
pub(crate) fn close(code: u16, reason: impl AsRef<[u8]>) -> Vec<u8> {
    frame(CLOSE, [&code.to_be_bytes(), reason.as_ref()].concat())
}

/// Everything that the pieces of a stream tell. The reader must use up each piece, and tell nothing after the end.
pub(crate) fn told_by<'a>(pieces: impl Iterator<Item = &'a [u8]>, message_bytes_max: u32) -> Vec<Told> {
    told_by_with(false, pieces, message_bytes_max)
}

fn told_by_with<'a>(takes_deflated: bool, pieces: impl Iterator<Item = &'a [u8]>, message_bytes_max: u32) -> Vec<Told> {
    let mut reader = Reader::default();
    let mut told = Vec::new();
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut input = &mut piece[..];
        loop {
            match reader.next_item_with(takes_deflated, &mut input, message_bytes_max) {
                Ok(Some(item)) => told.push(item.into()),
                Ok(None) => break,
                Err(breach) => told.push(Told::Failed(breach)),
            }
        }
        assert!(input.is_empty(), "what is not handed out is kept");
    }
    let end = told.iter().position(|told| matches!(told, Told::Close(..) | Told::Failed(_)));
    assert!(end.is_none_or(|end| end == told.len() - 1), "something behind the end");
    told
}

/// The same, and the stream in bytes and in odd pieces must tell the same.
pub(crate) fn told_by_stream(stream: &[u8], message_bytes_max: u32) -> Vec<Told> {
    told_by_stream_with(false, stream, message_bytes_max)
}

/// The same where messages may have been made smaller.
pub(crate) fn told_by_stream_with(takes_deflated: bool, stream: &[u8], message_bytes_max: u32) -> Vec<Told> {
    let told = told_by_with(takes_deflated, [stream].into_iter(), message_bytes_max);
    for piece_bytes in [1, 2, 3, 7, 127, 997] {
        let pieces = told_by_with(takes_deflated, stream.chunks(piece_bytes), message_bytes_max);
        assert!(pieces == told, "pieces of {piece_bytes} bytes tell something else");
    }
    told
}

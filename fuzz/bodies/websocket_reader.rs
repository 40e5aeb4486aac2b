//! Any stream of a WebSocket client under any chunking: the reader tells what a slow model tells of the whole, fails
//! with the same close code, and knows whether something is incomplete.
//!
//! Where messages may be made smaller, each comes out with no more bytes than it may have, or not at all.
//!
//! The model shares nothing with the reader: it looks at the whole stream, copies everything, and knows UTF-8 by what
//! numbers a beginning can still become.

use super::bytes::Bytes;
use fanwire_gateway::websocket::deflate::inflate;
use fanwire_gateway::websocket::{Breach, CloseCode, Item, Reader};

/// Bytes of the longest header but the last, and of the longest control frame.
const BESIDE_MESSAGE_BYTES_MAX: usize = 13 + 125;
/// What a message may be inflated to.
const INFLATED_BYTES_MAX: usize = 1_000;

/// The first byte chooses the message limit and whether messages may be made smaller, the second says how many follow
/// that cut the stream, which is the rest. A cut of an odd number stops behind one item, as a turn's budget does, and
/// what it left comes again before the next.
pub fn websocket_reader(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let first = bytes.byte();
    let message_bytes_max = [5, 130, 1_000, u32::MAX][usize::from(first % 4)];
    let takes_deflated = first / 4 % 2 == 1;
    let count = usize::from(bytes.byte());
    let cuts = bytes.take(count);
    let stream = bytes.rest();

    let expected = Model::of(takes_deflated, stream, message_bytes_max);
    let mut reader = Reader::default();
    let (mut told, mut failure) = (Vec::new(), None);
    let mut left = Vec::new();
    let mut rest = stream;
    for cut in cuts.iter().copied().chain([0]) {
        // The last piece is all that is left.
        let size = if cut == 0 { rest.len() } else { usize::from(cut) };
        let (piece, behind) = rest.split_at(size.min(rest.len()));
        rest = behind;
        left.extend_from_slice(piece);
        let mut input = &mut left[..];
        let items_max = if cut % 2 == 1 { 1 } else { usize::MAX };
        let outcome = drain(&mut reader, takes_deflated, &mut input, message_bytes_max, items_max, &mut told);
        left = input.to_vec();
        if let Err(breach) = outcome {
            assert!(failure.is_none(), "a stream fails once");
            failure = Some(breach.close_code().number());
        }
        let most = (message_bytes_max as usize).saturating_add(BESIDE_MESSAGE_BYTES_MAX);
        assert!(reader.held_bytes() <= most && reader.held_bytes() <= stream.len());
    }
    let end = drain(&mut reader, takes_deflated, &mut &mut [][..], message_bytes_max, usize::MAX, &mut told);
    assert!(end.is_ok(), "all is looked at");
    assert_eq!(told, expected.told);
    assert_eq!(failure, expected.failure);
    assert_eq!(reader.has_begun(), expected.has_begun);
    for told in &told {
        if let Told::Deflated(_, deflated) = told {
            let inflated = inflate(deflated, INFLATED_BYTES_MAX);
            assert!(inflated.is_err() || inflated.is_ok_and(|message| message.len() <= INFLATED_BYTES_MAX));
        }
    }
}

fn drain(
    reader: &mut Reader,
    takes_deflated: bool,
    input: &mut &mut [u8],
    message_bytes_max: u32,
    items_max: usize,
    told: &mut Vec<Told>,
) -> Result<(), Breach> {
    for _ in 0..items_max {
        match reader.next_item_with(takes_deflated, input, message_bytes_max)? {
            Some(item) => told.push(item.into()),
            None => {
                assert!(input.is_empty(), "nothing more only when all is used or kept");
                return Ok(());
            }
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Deflated(bool, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Vec<u8>),
}

impl From<Item<'_>> for Told {
    fn from(item: Item<'_>) -> Self {
        match item {
            Item::Text(text) => Told::Text(text.as_bytes().to_vec()),
            Item::Binary(bytes) => Told::Binary(bytes.to_vec()),
            Item::Deflated { is_text, deflated } => Told::Deflated(is_text, deflated.to_vec()),
            Item::Ping(bytes) => Told::Ping(bytes.to_vec()),
            Item::Pong(bytes) => Told::Pong(bytes.to_vec()),
            Item::Close { code: None, reason } => Told::Close(reason.as_bytes().to_vec()),
            Item::Close { code: Some(code), reason } => {
                Told::Close([&code.number().to_be_bytes(), reason.as_bytes()].concat())
            }
        }
    }
}

/// What the whole stream tells.
#[derive(Default)]
struct Model {
    told: Vec<Told>,
    /// The close code that it fails with.
    failure: Option<u16>,
    has_begun: bool,
    takes_deflated: bool,
    /// The message that is incomplete: what it is, and what came of it.
    message: Option<(Kind, Vec<u8>)>,
}

#[derive(Clone, Copy)]
struct Kind {
    is_text: bool,
    is_deflated: bool,
}

/// How the model stops: its close code, or that bytes are missing.
enum Stop {
    Failed(CloseCode),
    Dry,
    Closed,
}

const PROTOCOL: Stop = Stop::Failed(CloseCode::PROTOCOL_ERROR);
const DATA: Stop = Stop::Failed(CloseCode::INVALID_DATA);

impl Model {
    fn of(takes_deflated: bool, mut stream: &[u8], message_bytes_max: u32) -> Model {
        let mut model = Model { takes_deflated, ..Model::default() };
        loop {
            match model.frame(stream, message_bytes_max) {
                Ok(size) => stream = &stream[size..],
                Err(Stop::Closed) => return model,
                Err(Stop::Failed(code)) => {
                    model.failure = Some(code.number());
                    return model;
                }
                Err(Stop::Dry) => {
                    model.has_begun = model.message.is_some() || !stream.is_empty();
                    return model;
                }
            }
        }
    }

    /// Takes the first frame, and returns its size.
    fn frame(&mut self, stream: &[u8], message_bytes_max: u32) -> Result<usize, Stop> {
        let first = *stream.first().ok_or(Stop::Dry)?;
        let (is_final, reserved, opcode) = (first >> 7 == 1, first >> 4 & 7, first & 15);
        let is_control = opcode > 7;
        let is_deflated = self.takes_deflated && reserved == 4 && matches!(opcode, 1 | 2);
        if (reserved != 0 && !is_deflated) || !matches!(opcode, 0..=2 | 8..=10) || (is_control && !is_final) {
            return Err(PROTOCOL);
        }
        let second = *stream.get(1).ok_or(Stop::Dry)?;
        if second < 128 || (is_control && second - 128 > 125) {
            return Err(PROTOCOL);
        }
        let length_bytes = [0, 2, 8][usize::from(second - 128).saturating_sub(125)];
        let length = match stream.get(2..2 + length_bytes).ok_or(Stop::Dry)? {
            [] => u64::from(second - 128),
            bytes => bytes.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        let least_bytes = [length > 125, length > 65_535].into_iter().filter(|is_longer| *is_longer).count();
        if [0, 2, 8][least_bytes] != length_bytes || length >> 63 == 1 {
            return Err(PROTOCOL);
        }
        let begin = 2 + length_bytes + 4;
        let key = stream.get(begin - 4..begin).ok_or(Stop::Dry)?;
        let payload = stream[begin..].iter().take(usize::try_from(length).unwrap_or(usize::MAX));
        let payload: Vec<u8> = payload.enumerate().map(|(place, byte)| byte ^ key[place % 4]).collect();
        let is_whole = payload.len() as u64 == length;
        let size = begin + payload.len();
        if is_control {
            self.control(opcode, payload, is_whole)?;
        } else {
            let kind = Kind { is_text: opcode == 1, is_deflated };
            self.data((opcode != 0).then_some(kind), &payload, length, message_bytes_max)?;
            self.end_of_data(is_whole, is_final)?;
        }
        Ok(size)
    }

    fn control(&mut self, opcode: u8, payload: Vec<u8>, is_whole: bool) -> Result<(), Stop> {
        if !is_whole {
            return Err(Stop::Dry);
        }
        match opcode {
            9 => self.told.push(Told::Ping(payload)),
            10 => self.told.push(Told::Pong(payload)),
            _ => {
                check_close(&payload)?;
                self.told.push(Told::Close(payload));
                self.message = None;
                return Err(Stop::Closed);
            }
        }
        Ok(())
    }

    /// `kind`: of a message that begins.
    fn data(&mut self, kind: Option<Kind>, payload: &[u8], length: u64, message_bytes_max: u32) -> Result<(), Stop> {
        match (kind, &self.message) {
            (Some(kind), None) => self.message = Some((kind, Vec::new())),
            (None, Some(_)) => {}
            _ => return Err(PROTOCOL),
        }
        let Some((kind, message)) = &mut self.message else { return Err(PROTOCOL) };
        if length + message.len() as u64 > u64::from(message_bytes_max) {
            return Err(Stop::Failed(CloseCode::TOO_LARGE));
        }
        message.extend_from_slice(payload);
        let is_checked = kind.is_text && !kind.is_deflated;
        if is_checked && text(message) == Text::Wrong { Err(DATA) } else { Ok(()) }
    }

    fn end_of_data(&mut self, is_whole: bool, is_final: bool) -> Result<(), Stop> {
        if !is_whole {
            return Err(Stop::Dry);
        }
        match self.message.take() {
            message if !is_final => self.message = message,
            Some((Kind { is_text, is_deflated: true }, message)) => self.told.push(Told::Deflated(is_text, message)),
            Some((Kind { is_text: false, .. }, message)) => self.told.push(Told::Binary(message)),
            Some((_, message)) if text(&message) == Text::Whole => self.told.push(Told::Text(message)),
            Some(_) => return Err(DATA),
            None => {}
        }
        Ok(())
    }
}

fn check_close(payload: &[u8]) -> Result<(), Stop> {
    let [high, low, reason @ ..] = payload else {
        return if payload.is_empty() { Ok(()) } else { Err(PROTOCOL) };
    };
    let number = u32::from(*high) * 256 + u32::from(*low);
    let is_reserved = number < 1000 || matches!(number, 1004..=1006 | 1015..=2999) || number >= 5000;
    match (is_reserved, text(reason)) {
        (true, _) => Err(PROTOCOL),
        (false, Text::Whole) => Ok(()),
        (false, _) => Err(DATA),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Text {
    Whole,
    /// Its last character can still become one.
    Beginning,
    Wrong,
}

fn text(mut bytes: &[u8]) -> Text {
    while let Some(first) = bytes.first() {
        let width = first.leading_ones() as usize;
        let (width, bits) = match width {
            0 => (1, u32::from(*first)),
            2..=4 => (width, u32::from(*first) & (0x7F >> width)),
            _ => return Text::Wrong,
        };
        let present = &bytes[..width.min(bytes.len())];
        let mut number = bits;
        for byte in &present[1..] {
            if byte.leading_ones() != 1 {
                return Text::Wrong;
            }
            number = number << 6 | u32::from(byte & 0x3F);
        }
        if !can_become_character(number, width, width - present.len()) {
            return Text::Wrong;
        }
        if present.len() < width {
            return Text::Beginning;
        }
        bytes = &bytes[width..];
    }
    Text::Whole
}

/// Whether a character of this width has a number that begins so, with so many bytes missing.
fn can_become_character(number: u32, width: usize, missing: usize) -> bool {
    let least = number << (6 * missing);
    let most = least + (1 << (6 * missing)) - 1;
    let shortest = [0, 0, 0x80, 0x800, 0x1_0000][width];
    let (least, most) = (least.max(shortest), most.min(0x10_FFFF));
    let is_surrogate = |number| (0xD800..=0xDFFF).contains(&number);
    // Surrogates are one stretch: whatever is not all in it has an end outside.
    least <= most && !(is_surrogate(least) && is_surrogate(most))
}

//! Any stream under any chunking: the inbox gives the frames that the whole stream has, and the same end.

use super::bytes::Bytes;
use fanwire_wire::frame::split_frame;
use fanwire_wire::{Inbox, Violation};

/// The first byte chooses the frame limit, the second says how many follow that cut the stream, which is the rest. A
/// cut of an odd number stops in the middle of what it was given, as a turn's budget does.
pub fn inbox_chunking(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let frame_bytes_max = bytes.pick(&[16, 100, 300, 8_192]);
    let count = usize::from(bytes.byte());
    let cuts = bytes.take(count);
    let stream = bytes.rest();

    let (expected, expected_end) = frames_of_whole(stream, frame_bytes_max);
    let mut frames = Vec::new();
    let mut inbox = Inbox::default();
    let mut rest = stream;
    let mut used = 0;
    for cut in cuts.iter().copied().chain([0]) {
        // The last piece is all that is left.
        let size = if cut == 0 { rest.len() } else { usize::from(cut) };
        let (mut piece, behind) = rest.split_at(size.min(rest.len()));
        rest = behind;
        let fed = stream.len() - rest.len();
        let frames_max = if cut % 2 == 1 { 1 } else { usize::MAX };
        let outcome = drain(&mut inbox, &mut piece, frame_bytes_max, frames_max, &mut frames);
        if let Err(violation) = outcome {
            assert_eq!(Some(violation), expected_end);
            assert_eq!(frames, expected);
            return;
        }
        inbox.keep(&mut piece);
        used = used.max(fed - inbox.held_bytes());
    }
    let end = drain(&mut inbox, &mut &[][..], frame_bytes_max, usize::MAX, &mut frames);
    assert_eq!(end.err(), expected_end);
    assert_eq!(frames, expected);
    if expected_end.is_none() {
        let size: usize = sizes(&expected);
        assert!(used <= size && inbox.held_bytes() == stream.len() - size, "what is not handed out is held");
        inbox.shrink();
        assert_eq!(inbox.held_bytes(), stream.len() - size, "shrinking loses nothing");
    }
}

fn drain(
    inbox: &mut Inbox,
    piece: &mut &[u8],
    frame_bytes_max: u32,
    frames_max: usize,
    frames: &mut Vec<Vec<u8>>,
) -> Result<(), Violation> {
    for _ in 0..frames_max {
        match inbox.next_frame(piece, frame_bytes_max)? {
            Some(frame) => frames.push(frame.to_vec()),
            None => {
                assert!(piece.is_empty(), "nothing more only when all is used or kept");
                return Ok(());
            }
        }
    }
    Ok(())
}

fn frames_of_whole(mut stream: &[u8], frame_bytes_max: u32) -> (Vec<Vec<u8>>, Option<Violation>) {
    let mut frames = Vec::new();
    loop {
        match split_frame(stream, frame_bytes_max) {
            Ok(Some((frame, size))) => {
                frames.push(frame.to_vec());
                stream = &stream[size..];
            }
            Ok(None) => return (frames, None),
            Err(violation) => return (frames, Some(violation)),
        }
    }
}

fn sizes(frames: &[Vec<u8>]) -> usize {
    let prefix = |length: usize| {
        if length < 1 << 7 {
            1
        } else if length < 1 << 14 {
            2
        } else {
            3
        }
    };
    frames.iter().map(|frame| prefix(frame.len()) + frame.len()).sum()
}

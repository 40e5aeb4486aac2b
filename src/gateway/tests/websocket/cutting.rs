//! Any stream of frames, right ones and wrong ones, tells the same however it is cut.

use crate::client::*;
use proptest::prelude::*;

const MESSAGE_BYTES_MAX: u32 = 600;

/// Mostly frames that may follow each other, some that may not.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => proptest::sample::select(&[TEXT, BINARY, PING, PONG, TEXT_BEGINS, BINARY_BEGINS, GOES_ON, ENDS][..]),
        1 => any::<u8>(),
    ];
    (first, any_payload(), any::<[u8; 4]>()).prop_map(|(first, payload, key)| masked(first, &payload, key))
}

fn any_payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "\\PC{0,40}".prop_map(String::into_bytes),
        2 => proptest::collection::vec(any::<u8>(), 0..200),
        1 => proptest::collection::vec(proptest::sample::select(&[0xC2, 0x80, 0xE0, 0xF0, 0x90, b'a'][..]), 0..6),
    ]
}

/// A message of some fragments, with pings between them.
fn any_message() -> impl Strategy<Value = Vec<u8>> {
    let fragments = proptest::collection::vec(("\\PC{0,60}", any::<u8>(), any::<[u8; 4]>()), 1..6);
    fragments.prop_map(|fragments| {
        let text: String = fragments.iter().map(|(text, ..)| &**text).collect();
        let mut stream = Vec::new();
        let mut rest = text.as_bytes();
        for (index, (_, cut, key)) in fragments.iter().enumerate() {
            // Anywhere, also within a character.
            let (part, behind) = rest.split_at(rest.len().min(usize::from(*cut)));
            stream.extend(masked(if index == 0 { TEXT_BEGINS } else { GOES_ON }, part, *key));
            stream.extend(frame(PING, key));
            rest = behind;
        }
        stream.extend(frame(ENDS, rest));
        stream
    })
}

proptest! {
    #[test]
    fn any_cut_of_the_bytes_tells_what_the_whole_tells(
        frames in proptest::collection::vec(prop_oneof![any_message(), any_frame()], 0..12),
        is_closed in any::<bool>(),
        junk in proptest::collection::vec(any::<u8>(), 0..6),
        cuts in proptest::collection::vec(1usize..97, 1..40),
    ) {
        let mut stream = frames.concat();
        if is_closed {
            stream.extend(close(1000, "done"));
        }
        stream.extend(junk);
        let whole = told_by([&stream[..]].into_iter(), MESSAGE_BYTES_MAX);
        let mut pieces = Vec::new();
        let mut rest = &stream[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (front, back) = rest.split_at((*cut).min(rest.len()));
            pieces.push(front);
            rest = back;
        }
        prop_assert_eq!(&told_by(pieces.into_iter(), MESSAGE_BYTES_MAX), &whole);
        prop_assert_eq!(&told_by(stream.chunks(1), MESSAGE_BYTES_MAX), &whole);
    }
}

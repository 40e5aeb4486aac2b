//! The payload of `pub` and `request`: an argument as it is, or standard input.

use super::{Failure, tell};
use fanwire_wire::limits::FRAME_BYTES_CEILING;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, IsTerminal, Read, stdin};
use std::os::unix::ffi::OsStringExt;

/// Bytes of lines that are read at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// The payload given as an argument, or all of standard input.
pub(super) fn whole(argument: Option<OsString>) -> Result<Vec<u8>, Failure> {
    match argument {
        Some(text) => Ok(text.into_vec()),
        None => {
            announce_terminal();
            read_whole(&mut stdin().lock())
        }
    }
}

/// Hands each line of standard input on, without its line break, and whether more input is at hand already: when it
/// is not, the next line may be a long time off.
pub(super) fn each_line(take: impl FnMut(&[u8], bool) -> Result<(), Failure>) -> Result<(), Failure> {
    announce_terminal();
    read_lines(&mut BufReader::with_capacity(BUFFER_BYTES, stdin().lock()), take)
}

fn announce_terminal() {
    if stdin().is_terminal() {
        tell("reading the payload from this terminal; Ctrl-D ends it");
    }
}

/// A payload that no frame could carry is not read to its end.
fn read_whole(input: &mut impl Read) -> Result<Vec<u8>, Failure> {
    let mut payload = Vec::new();
    let bytes_max = u64::from(FRAME_BYTES_CEILING);
    input.take(bytes_max + 1).read_to_end(&mut payload).map_err(|error| unreadable(&error))?;
    if payload.len() as u64 > bytes_max { Err(too_long()) } else { Ok(payload) }
}

fn read_lines(
    input: &mut BufReader<impl Read>,
    mut take: impl FnMut(&[u8], bool) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut line = Vec::new();
    let bytes_max = u64::from(FRAME_BYTES_CEILING);
    loop {
        line.clear();
        if input.by_ref().take(bytes_max + 1).read_until(b'\n', &mut line).map_err(|error| unreadable(&error))? == 0 {
            return Ok(());
        }
        if line.len() as u64 > bytes_max {
            return Err(too_long());
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        take(text.strip_suffix(b"\r").unwrap_or(text), !input.buffer().is_empty())?;
    }
}

fn unreadable(error: &std::io::Error) -> Failure {
    Failure::Run(format!("standard input can't be read: {error}"))
}

fn too_long() -> Failure {
    Failure::Run(format!("no message can have more than {FRAME_BYTES_CEILING} bytes; split the input (--lines does)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_without_their_breaks_and_the_last_one_needs_none() {
        let mut lines = Vec::new();
        let mut more_at_hand = Vec::new();
        let input = &b"one\n\ntwo\r\n\xff three\rstays\nlast"[..];
        read_lines(&mut BufReader::new(input), |line, more| {
            lines.push(line.to_vec());
            more_at_hand.push(more);
            Ok(())
        })
        .unwrap();
        assert_eq!(lines, [&b"one"[..], b"", b"two", b"\xff three\rstays", b"last"]);
        assert_eq!(more_at_hand, [true, true, true, true, false]);
    }

    #[test]
    fn the_whole_input_is_taken_as_it_is() {
        assert_eq!(read_whole(&mut &b"a\nb\n"[..]).unwrap(), b"a\nb\n");
        assert_eq!(read_whole(&mut &b""[..]).unwrap(), b"");
    }
}

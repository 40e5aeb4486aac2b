//! Redis and Valkey: RESP3, so that one connection can publish and hear. Publishers read the count that answers each
//! PUBLISH, as every client does. What is to be kept is added to a stream, whose answer is the entry's id; how much
//! that has survived by then is settled for all of them, by `appendfsync`.

use super::write;
use crate::bench::adapter::{Adapter, Ear, Fault, Interest, Level, Opening, Part, Progress, Topics};

/// The adapter.
pub(in crate::bench) struct Redis;

/// Elements of a reply at one level at the most: HELLO answers with a map of seven entries.
const ELEMENTS_MAX: usize = 64;
/// How deep replies nest: the modules of HELLO's answer.
const DEPTH_MAX: u32 = 4;

impl Adapter for Redis {
    fn open(opening: &Opening<'_>, out: &mut Vec<u8>) -> u32 {
        command(&[b"HELLO", b"3"], out);
        let subscriptions = match (&opening.part, &opening.interest) {
            (Part::Requester, _) => {
                command(&[b"SUBSCRIBE", opening.topics.side_name("answer").as_bytes()], out);
                1
            }
            (Part::Responder, _) => {
                command(&[b"SUBSCRIBE", opening.topics.side_name("ask").as_bytes()], out);
                1
            }
            (Part::Member | Part::Appender, Interest::Nothing) => 0,
            (Part::Member | Part::Appender, Interest::All) => {
                command(&[b"PSUBSCRIBE", b"*"], out);
                1
            }
            (Part::Member | Part::Appender, Interest::Topics(range)) => {
                for topic in range.clone() {
                    command(&[b"SUBSCRIBE", opening.topics.name(topic).as_bytes()], out);
                }
                range.end - range.start
            }
        };
        1 + subscriptions
    }

    fn publish(topics: &Topics, topic: u32, payload: &[u8], out: &mut Vec<u8>) {
        command(&[b"PUBLISH", topics.name(topic).as_bytes(), payload], out);
    }

    fn append(topics: &Topics, topic: u32, _level: Level, payload: &[u8], out: &mut Vec<u8>) {
        command(&[b"XADD", topics.name(topic).as_bytes(), b"*", b"p", payload], out);
    }

    fn request(topics: &Topics, _sequence: u64, payload: &[u8], out: &mut Vec<u8>) {
        command(&[b"PUBLISH", topics.side_name("ask").as_bytes(), payload], out);
    }

    fn reply(topics: &Topics, _handle: &[u8], payload: &[u8], out: &mut Vec<u8>) {
        command(&[b"PUBLISH", topics.side_name("answer").as_bytes(), payload], out);
    }

    fn hear<E: Ear>(_progress: &mut Progress, bytes: &[u8], ear: &mut E) -> Result<usize, Fault> {
        let mut used = 0;
        while let Some(size) = hear_reply(&bytes[used..], ear)? {
            used += size;
        }
        Ok(used)
    }
}

fn hear_reply(bytes: &[u8], ear: &mut impl Ear) -> Result<Option<usize>, Fault> {
    match bytes.first() {
        Some(b'>') => hear_push(bytes, ear),
        Some(b'-') => match line_at(bytes)? {
            Some((line, _)) => Err(Fault::Refused(line.escape_ascii().to_string())),
            None => Ok(None),
        },
        // The answer to HELLO is the one map that comes.
        Some(b'%') => {
            let size = skip(bytes, DEPTH_MAX)?;
            if size.is_some() {
                ear.confirmed();
            }
            Ok(size)
        }
        // The id of a new entry is the one string that comes by itself.
        Some(b'$') => {
            let element = element_at(bytes)?;
            if element.is_some() {
                ear.acknowledged(1);
            }
            Ok(element.map(|(_, size)| size))
        }
        Some(_) => skip(bytes, DEPTH_MAX),
        None => Ok(None),
    }
}

/// `>3 message channel payload`, `>4 pmessage pattern channel payload`, `>3 subscribe channel count`.
fn hear_push(bytes: &[u8], ear: &mut impl Ear) -> Result<Option<usize>, Fault> {
    let Some((count, mut used)) = count_at(bytes)? else { return Ok(None) };
    let mut parts = [&[][..]; 4];
    if count > parts.len() {
        return Err(unknown());
    }
    for part in &mut parts[..count] {
        let Some((element, size)) = element_at(&bytes[used..])? else { return Ok(None) };
        *part = element;
        used += size;
    }
    match parts[0] {
        b"message" => ear.delivered(parts[2]),
        b"pmessage" => ear.delivered(parts[3]),
        b"subscribe" | b"psubscribe" => ear.confirmed(),
        _ => return Err(unknown()),
    }
    Ok(Some(used))
}

/// A bulk string's content or a simple element's line, and its size with everything around it.
fn element_at(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, Fault> {
    let Some((line, size)) = line_at(bytes)? else { return Ok(None) };
    if bytes[0] != b'$' {
        return Ok(Some((line, size)));
    }
    let end = size + decimal(line)?;
    Ok((bytes.len() >= end + 2).then(|| (&bytes[size..end], end + 2)))
}

/// The size of whatever comes first.
fn skip(bytes: &[u8], depth: u32) -> Result<Option<usize>, Fault> {
    let Some(kind) = bytes.first() else { return Ok(None) };
    let entries_per_count = match kind {
        b'%' => 2,
        b'*' | b'~' | b'>' => 1,
        b'$' | b':' | b'+' | b'_' | b'#' | b',' => return Ok(element_at(bytes)?.map(|(_, size)| size)),
        _ => return Err(unknown()),
    };
    let Some((count, mut used)) = count_at(bytes)? else { return Ok(None) };
    if depth == 0 || count > ELEMENTS_MAX {
        return Err(unknown());
    }
    for _ in 0..count * entries_per_count {
        let Some(size) = skip(&bytes[used..], depth - 1)? else { return Ok(None) };
        used += size;
    }
    Ok(Some(used))
}

fn count_at(bytes: &[u8]) -> Result<Option<(usize, usize)>, Fault> {
    let Some((line, size)) = line_at(bytes)? else { return Ok(None) };
    Ok(Some((decimal(line)?, size)))
}

/// What stands behind the kind byte on the first line, and the line's size.
fn line_at(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, Fault> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    match bytes[..end].strip_suffix(b"\r") {
        Some([_, line @ ..]) => Ok(Some((line, end + 1))),
        _ => Err(unknown()),
    }
}

fn decimal(digits: &[u8]) -> Result<usize, Fault> {
    str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or_else(unknown)
}

fn unknown() -> Fault {
    Fault::Unknown("Redis' protocol (RESP3: Redis 6 or Valkey)")
}

fn command(words: &[&[u8]], out: &mut Vec<u8>) {
    write(out, format_args!("*{}\r\n", words.len()));
    for word in words {
        write(out, format_args!("${}\r\n", word.len()));
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::adapter::listening::{hear_in_pieces, opened};

    #[test]
    fn it_opens_with_hello_and_subscriptions() {
        let (bytes, confirmations) = opened::<Redis>(Part::Member, Interest::Topics(0..1), &Topics::new(1, ':'));
        let expected = "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n*2\r\n$9\r\nSUBSCRIBE\r\n$13\r\nbench:topic:0\r\n";
        assert_eq!((String::from_utf8(bytes).unwrap().as_str(), confirmations), (expected, 2));
    }

    #[test]
    fn it_publishes() {
        let mut out = Vec::new();
        Redis::publish(&Topics::new(1, ':'), 0, b"abc", &mut out);
        assert_eq!(out, b"*3\r\n$7\r\nPUBLISH\r\n$13\r\nbench:topic:0\r\n$3\r\nabc\r\n");
    }

    #[test]
    fn it_adds_to_a_stream_and_hears_the_entry_s_id() {
        let mut out = Vec::new();
        Redis::append(&Topics::new(1, ':'), 0, Level::Journaled, b"abc", &mut out);
        let expected = "*5\r\n$4\r\nXADD\r\n$13\r\nbench:topic:0\r\n$1\r\n*\r\n$1\r\np\r\n$3\r\nabc\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let heard = hear_in_pieces::<Redis>(b"$3\r\n1-0\r\n$3\r\n1-1\r\n").unwrap();
        assert_eq!(heard, ["acknowledged 1", "acknowledged 1"]);
    }

    #[test]
    fn it_hears_however_the_stream_is_cut() {
        let bytes = b"%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nmodules\r\n*1\r\n*0\r\n\
            >3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\na\r\nb\r\n:12\r\n\
            >4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\nc\r\n$0\r\n\r\n";
        let heard = hear_in_pieces::<Redis>(bytes).unwrap();
        assert_eq!(heard, ["confirmed", "confirmed", "delivered a\\r\\nb", "delivered "]);
    }

    #[test]
    fn errors_and_strangers_end_it() {
        let refused = hear_in_pieces::<Redis>(b"-NOAUTH needed\r\n").unwrap_err();
        assert!(refused.to_string().contains("NOAUTH needed"), "{refused}");
        assert!(matches!(hear_in_pieces::<Redis>(b"INFO {}\r\n"), Err(Fault::Unknown(_))));
    }
}

//! NATS' client protocol: lines, and payloads of an announced length.
//!
//! `verbose` is off as every client library has it, so subscriptions are confirmed by the PONG behind them. What is to
//! be kept goes to a stream of JetStream, which whoever appends asks for first: asking for the same one again is
//! granted. Acknowledgements of one connection all come to one inbox, which costs the server less than one each.

use super::write;
use crate::bench::adapter::{Adapter, Ear, Fault, Interest, Level, Opening, Part, Progress, Topics};

/// The adapter.
pub(in crate::bench) struct Nats;

/// The stream that appends go to. The bench bounds what it writes; a second bound would be another work.
const STREAM: &str = "{\"name\":\"bench\",\"subjects\":[\"bench.topic.*\"],\"retention\":\"limits\",\
    \"storage\":\"file\",\"discard\":\"old\",\"num_replicas\":1,\"max_msgs\":-1,\"max_bytes\":-1,\"max_age\":0}";

impl Adapter for Nats {
    fn open(opening: &Opening<'_>, out: &mut Vec<u8>) -> u32 {
        let echo = !opening.no_echo;
        write(
            out,
            format_args!(
                "CONNECT {{\"verbose\":false,\"pedantic\":false,\"tls_required\":false,\"name\":\"fanwire-bench\",\
             \"lang\":\"rust\",\"version\":\"1\",\"protocol\":1,\"echo\":{echo},\"headers\":true,\
             \"no_responders\":true}}\r\n"
            ),
        );
        match (&opening.part, &opening.interest) {
            (Part::Requester, _) => write(out, format_args!("SUB _INBOX.bench.* 1\r\n")),
            (Part::Responder, _) => write(out, format_args!("SUB {} workers 1\r\n", opening.topics.side_name("ask"))),
            (Part::Appender, _) => {
                let (subject, length) = ("$JS.API.STREAM.CREATE.bench", STREAM.len());
                write(out, format_args!("SUB _INBOX.bench.* 1\r\nPUB {subject} _INBOX.bench.0 {length}\r\n"));
                end_payload(STREAM.as_bytes(), out);
            }
            (Part::Member, Interest::Nothing) => {}
            (Part::Member, Interest::All) => write(out, format_args!("SUB > 1\r\n")),
            (Part::Member, Interest::Topics(range)) => {
                for (topic, subscription) in range.clone().zip(1..) {
                    write(out, format_args!("SUB {} {subscription}\r\n", opening.topics.name(topic)));
                }
            }
        }
        out.extend_from_slice(b"PING\r\n");
        // The PONG, and the answer of the stream's making.
        if opening.part == Part::Appender { 2 } else { 1 }
    }

    fn publish(topics: &Topics, topic: u32, payload: &[u8], out: &mut Vec<u8>) {
        write(out, format_args!("PUB {} {}\r\n", topics.name(topic), payload.len()));
        end_payload(payload, out);
    }

    fn append(topics: &Topics, topic: u32, _level: Level, payload: &[u8], out: &mut Vec<u8>) {
        write(out, format_args!("PUB {} _INBOX.bench.1 {}\r\n", topics.name(topic), payload.len()));
        end_payload(payload, out);
    }

    fn request(topics: &Topics, sequence: u64, payload: &[u8], out: &mut Vec<u8>) {
        let length = payload.len();
        write(out, format_args!("PUB {} _INBOX.bench.{sequence} {length}\r\n", topics.side_name("ask")));
        end_payload(payload, out);
    }

    fn reply(_topics: &Topics, handle: &[u8], payload: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"PUB ");
        out.extend_from_slice(handle);
        write(out, format_args!(" {}\r\n", payload.len()));
        end_payload(payload, out);
    }

    fn hear<E: Ear>(_progress: &mut Progress, bytes: &[u8], ear: &mut E) -> Result<usize, Fault> {
        let mut used = 0;
        while let Some(line) = line_at(&bytes[used..]) {
            let rest = used + line.len() + 2;
            if let Some(arguments) = line.strip_prefix(b"MSG ") {
                let message = Message::parse(arguments).ok_or(Fault::Unknown("NATS' protocol"))?;
                let end = rest + message.length;
                if bytes.len() < end + 2 {
                    break;
                }
                message.tell(&bytes[rest..end], ear);
                used = end + 2;
            } else {
                hear_line(line, ear)?;
                used = rest;
            }
        }
        Ok(used)
    }
}

/// `subject sid [reply-to] length`.
struct Message<'a> {
    subject: &'a [u8],
    reply_to: &'a [u8],
    length: usize,
}

impl<'a> Message<'a> {
    fn parse(arguments: &'a [u8]) -> Option<Message<'a>> {
        let mut words = arguments.split(|byte| *byte == b' ');
        let (subject, _subscription, third) = (words.next()?, words.next()?, words.next()?);
        let (reply_to, length) = words.next().map_or((&[][..], third), |fourth| (third, fourth));
        Some(Message { subject, reply_to, length: decimal(length)? })
    }

    fn tell(&self, payload: &[u8], ear: &mut impl Ear) {
        if !self.reply_to.is_empty() {
            ear.asked(self.reply_to, payload);
        } else if self.subject.starts_with(b"_INBOX.") {
            ear.answered(payload);
        } else {
            ear.delivered(payload);
        }
    }
}

fn hear_line(line: &[u8], ear: &mut impl Ear) -> Result<(), Fault> {
    match line {
        b"PONG" => ear.confirmed(),
        b"PING" => ear.owes(b"PONG\r\n"),
        b"+OK" => {}
        _ if line.starts_with(b"INFO ") => {}
        _ if line.starts_with(b"-ERR") => return Err(Fault::Refused(line.escape_ascii().to_string())),
        _ => return Err(Fault::Unknown("NATS' protocol")),
    }
    Ok(())
}

/// The first line without its end; `None` when it is not whole.
fn line_at(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some(bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end])).filter(|line| line.len() + 1 == end)
}

fn decimal(digits: &[u8]) -> Option<usize> {
    str::from_utf8(digits).ok()?.parse().ok()
}

fn end_payload(payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::adapter::listening::{hear_in_pieces, opened};

    #[test]
    fn it_opens_with_connect_subscriptions_and_a_ping() {
        let (bytes, confirmations) = opened::<Nats>(Part::Member, Interest::Topics(0..2), &Topics::new(2, '.'));
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with("CONNECT {\"verbose\":false"), "{text}");
        assert!(text.ends_with("}\r\nSUB bench.topic.0 1\r\nSUB bench.topic.1 2\r\nPING\r\n"), "{text}");
        assert_eq!(confirmations, 1);
    }

    #[test]
    fn it_makes_a_stream_and_appends_to_it() {
        let (bytes, confirmations) = opened::<Nats>(Part::Appender, Interest::Nothing, &Topics::new(1, '.'));
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("PUB $JS.API.STREAM.CREATE.bench _INBOX.bench.0 ") && confirmations == 2, "{text}");
        let mut out = Vec::new();
        Nats::append(&Topics::new(1, '.'), 0, Level::Journaled, b"abc", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "PUB bench.topic.0 _INBOX.bench.1 3\r\nabc\r\n");
        // JetStream's answers have two blanks where others have one.
        let heard = hear_in_pieces::<Nats>(b"MSG _INBOX.bench.1 1  9\r\n{\"seq\":1}\r\n").unwrap();
        assert_eq!(heard, ["answered {\\\"seq\\\":1}"]);
    }

    #[test]
    fn it_publishes_asks_and_answers() {
        let (topics, mut out) = (Topics::new(1, '.'), Vec::new());
        Nats::publish(&topics, 0, b"abc", &mut out);
        Nats::request(&topics, 7, b"q", &mut out);
        Nats::reply(&topics, b"_INBOX.bench.7", b"a", &mut out);
        let expected =
            "PUB bench.topic.0 3\r\nabc\r\nPUB bench.ask _INBOX.bench.7 1\r\nq\r\nPUB _INBOX.bench.7 1\r\na\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn it_hears_however_the_stream_is_cut() {
        let bytes = b"INFO {\"a\":1}\r\nPONG\r\nMSG bench.topic.0 1 4\r\na\r\nb\r\nPING\r\n\
            MSG bench.ask 1 _INBOX.bench.7 1\r\nq\r\nMSG _INBOX.bench.7 1 0\r\n\r\n";
        let heard = hear_in_pieces::<Nats>(bytes).unwrap();
        let owed = "owes PONG\\r\\n";
        assert_eq!(heard, ["confirmed", "delivered a\\r\\nb", owed, "asked _INBOX.bench.7 q", "answered "]);
    }

    #[test]
    fn errors_and_strangers_end_it() {
        let refused = hear_in_pieces::<Nats>(b"-ERR 'Slow Consumer'\r\n").unwrap_err();
        assert!(refused.to_string().contains("Slow Consumer"), "{refused}");
        assert!(matches!(hear_in_pieces::<Nats>(b"+PONG\r\n"), Err(Fault::Unknown(_))));
    }
}

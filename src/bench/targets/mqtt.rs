//! MQTT 3.1.1 with QoS 0: what Mosquitto speaks by default.

use crate::bench::adapter::{Adapter, Ear, Fault, Interest, Opening, Part, Progress, Topics};

/// The adapter.
pub(in crate::bench) struct Mqtt;

const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
const PINGRESP: u8 = 0xD0;
/// The return code of a SUBACK that says no.
const REFUSED: u8 = 0x80;
/// Bytes of a remaining length at the most.
const LENGTH_BYTES_MAX: usize = 4;

impl Adapter for Mqtt {
    fn open(opening: &Opening<'_>, out: &mut Vec<u8>) -> u32 {
        // Level 4, clean session, no keep-alive, and an empty client id: the server makes one up.
        out.extend_from_slice(&[0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 0x02, 0, 0, 0, 0]);
        let subscriptions = match (&opening.part, &opening.interest) {
            (Part::Requester, _) => {
                subscribe(1, &opening.topics.side_name("answer"), out);
                1
            }
            (Part::Responder, _) => {
                subscribe(1, &opening.topics.side_name("ask"), out);
                1
            }
            (Part::Member | Part::Appender, Interest::Nothing) => 0,
            (Part::Member | Part::Appender, Interest::All) => {
                subscribe(1, "#", out);
                1
            }
            (Part::Member | Part::Appender, Interest::Topics(range)) => {
                for (topic, packet) in range.clone().zip((1..=u16::MAX).cycle()) {
                    subscribe(packet, opening.topics.name(topic), out);
                }
                range.end - range.start
            }
        };
        1 + subscriptions
    }

    fn publish(topics: &Topics, topic: u32, payload: &[u8], out: &mut Vec<u8>) {
        publish(topics.name(topic), payload, out);
    }

    fn request(topics: &Topics, _sequence: u64, payload: &[u8], out: &mut Vec<u8>) {
        publish(&topics.side_name("ask"), payload, out);
    }

    fn reply(topics: &Topics, _handle: &[u8], payload: &[u8], out: &mut Vec<u8>) {
        publish(&topics.side_name("answer"), payload, out);
    }

    fn hear<E: Ear>(_progress: &mut Progress, bytes: &[u8], ear: &mut E) -> Result<usize, Fault> {
        let mut used = 0;
        while let Some(packet) = packet_at(&bytes[used..])? {
            hear_packet(packet.kind, packet.body, ear)?;
            used += packet.size;
        }
        Ok(used)
    }
}

fn hear_packet(kind: u8, body: &[u8], ear: &mut impl Ear) -> Result<(), Fault> {
    match (kind, body) {
        (PUBLISH, [high, low, rest @ ..]) => {
            let topic_bytes = usize::from(u16::from_be_bytes([*high, *low]));
            ear.delivered(rest.get(topic_bytes..).ok_or_else(unknown)?);
        }
        (CONNACK, [_, 0]) => ear.confirmed(),
        (CONNACK, [_, code]) => return Err(Fault::Refused(format!("CONNACK with return code {code}"))),
        (SUBACK, [_, _, REFUSED]) => return Err(Fault::Refused("a subscription (SUBACK 0x80)".to_owned())),
        (SUBACK, [_, _, _]) => ear.confirmed(),
        (PINGRESP, []) => {}
        _ => return Err(unknown()),
    }
    Ok(())
}

/// A control packet.
struct Packet<'a> {
    kind: u8,
    body: &'a [u8],
    /// Bytes with the fixed header.
    size: usize,
}

/// The first packet; `None` when it is not whole.
fn packet_at(bytes: &[u8]) -> Result<Option<Packet<'_>>, Fault> {
    let mut length = 0;
    for index in 0..LENGTH_BYTES_MAX {
        let Some(byte) = bytes.get(1 + index) else { return Ok(None) };
        length |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            let (begin, end) = (index + 2, index + 2 + length);
            return Ok(bytes.get(begin..end).map(|body| Packet { kind: bytes[0], body, size: end }));
        }
    }
    Err(unknown())
}

fn unknown() -> Fault {
    Fault::Unknown("MQTT 3.1.1 with QoS 0")
}

fn publish(topic: &str, payload: &[u8], out: &mut Vec<u8>) {
    out.push(PUBLISH);
    length(2 + topic.len() + payload.len(), out);
    text(topic, out);
    out.extend_from_slice(payload);
}

fn subscribe(packet: u16, filter: &str, out: &mut Vec<u8>) {
    out.push(SUBSCRIBE);
    length(2 + 2 + filter.len() + 1, out);
    out.extend_from_slice(&packet.to_be_bytes());
    text(filter, out);
    out.push(0);
}

fn length(mut value: usize, out: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(value & 0x7F).expect("seven bits");
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn text(text: &str, out: &mut Vec<u8>) {
    let length = u16::try_from(text.len()).expect("topic names are short");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::adapter::listening::{hear_in_pieces, opened};

    #[test]
    fn it_opens_with_connect_and_subscriptions() {
        let (bytes, confirmations) = opened::<Mqtt>(Part::Member, Interest::All, &Topics::new(1, '/'));
        assert_eq!(bytes[..14], [0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, 0]);
        assert_eq!(bytes[14..], [0x82, 6, 0, 1, 0, 1, b'#', 0]);
        assert_eq!(confirmations, 2);
    }

    #[test]
    fn it_publishes_with_a_length_that_may_take_two_bytes() {
        let (topics, mut out) = (Topics::new(1, '/'), Vec::new());
        Mqtt::publish(&topics, 0, b"ab", &mut out);
        assert_eq!(out, b"\x30\x11\x00\x0dbench/topic/0ab");
        out.clear();
        Mqtt::publish(&topics, 0, &[7; 200], &mut out);
        assert_eq!(out[..5], [0x30, 0xD7, 0x01, 0, 13]);
    }

    #[test]
    fn it_hears_however_the_stream_is_cut() {
        let mut bytes = vec![CONNACK, 2, 0, 0, SUBACK, 3, 0, 1, 0];
        publish("a", b"one", &mut bytes);
        publish("a/b", &[b'x'; 150], &mut bytes);
        let long = format!("delivered {}", "x".repeat(150));
        assert_eq!(hear_in_pieces::<Mqtt>(&bytes).unwrap(), ["confirmed", "confirmed", "delivered one", &long]);
    }

    #[test]
    fn refusals_and_strangers_end_it() {
        assert!(matches!(hear_in_pieces::<Mqtt>(&[CONNACK, 2, 0, 5]), Err(Fault::Refused(_))));
        assert!(matches!(hear_in_pieces::<Mqtt>(&[SUBACK, 3, 0, 1, 0x80]), Err(Fault::Refused(_))));
        assert!(matches!(hear_in_pieces::<Mqtt>(&[0xFF, 0]), Err(Fault::Unknown(_))));
        assert!(matches!(hear_in_pieces::<Mqtt>(&[PUBLISH, 0xFF, 0xFF, 0xFF, 0xFF]), Err(Fault::Unknown(_))));
    }
}

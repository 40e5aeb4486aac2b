//! What is agreed on beside the subprotocol: permessage-deflate or nothing (RFC 6455 section 9.1, RFC 7692 section 7).
//!
//! ```text
//!  Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits      the client's offers, best first
//!  Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover
//! ```
//!
//! No context is kept in either direction: a window for each connection would be 40 KiB of it, and what is sent could
//! not be the same for all. What is sent has one window for everybody ([`WINDOW_BITS`]): an offer that asks for a
//! smaller one is declined, and the next one looked at.

use super::handshake::tokens;

/// The window of what is sent: 4 KiB, the smallest that clients ask for by themselves (RFC 7692 section 7.1.2.1).
pub const WINDOW_BITS: u8 = 12;

const NAME: &[u8] = b"permessage-deflate";

/// permessage-deflate, as it is agreed on (RFC 7692 section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deflate {
    /// The client wants to hear how large the window is (RFC 7692 section 7.1.2.1).
    tells_window: bool,
}

impl Deflate {
    /// The first of the client's offers that can be had, out of the values of `Sec-WebSocket-Extensions` (RFC 7692
    /// sections 5, 7.1).
    pub fn choose<'head>(offers: impl Iterator<Item = &'head [u8]>) -> Option<Deflate> {
        tokens(offers).find_map(Deflate::read)
    }

    /// One offer: `None` for another extension, and for parameters that are unknown, wrong, there twice or not to be
    /// had (RFC 7692 section 7.1).
    fn read(offer: &[u8]) -> Option<Deflate> {
        let mut parts = offer.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        if parts.next() != Some(NAME) {
            return None;
        }
        let mut seen: [bool; 4] = [false; 4];
        let mut see = |index: usize| {
            let seen = seen.get_mut(index)?;
            (!std::mem::replace(seen, true)).then_some(())
        };
        let mut tells_window = false;
        for part in parts {
            let (name, value) = match part.iter().position(|byte| *byte == b'=') {
                Some(place) => part.split_at_checked(place).map(|(name, value)| (name, value.get(1..)))?,
                None => (part, None),
            };
            match (name.trim_ascii(), value.map(<[u8]>::trim_ascii)) {
                (b"server_no_context_takeover", None) => see(0)?,
                (b"client_no_context_takeover", None) => see(1)?,
                (b"server_max_window_bits", Some(value)) => {
                    see(2)?;
                    tells_window = window_bits(value)? >= WINDOW_BITS;
                    tells_window.then_some(())?;
                }
                (b"client_max_window_bits", None) => see(3)?,
                (b"client_max_window_bits", Some(value)) => {
                    see(3)?;
                    window_bits(value)?;
                }
                _ => return None,
            }
        }
        Some(Deflate { tells_window })
    }

    /// Appends the line that agrees (RFC 7692 section 7.1).
    pub fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"Sec-WebSocket-Extensions: ");
        out.extend_from_slice(NAME);
        out.extend_from_slice(b"; server_no_context_takeover; client_no_context_takeover");
        if self.tells_window {
            out.extend_from_slice(b"; server_max_window_bits=");
            out.extend_from_slice(itoa::Buffer::new().format(WINDOW_BITS).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// The size of a window: 8 to 15, perhaps in quotes, and without zeros before it (RFC 7692 section 7.1.2).
fn window_bits(value: &[u8]) -> Option<u8> {
    let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    match bare {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(offers: &[&str]) -> Option<String> {
        let agreed = Deflate::choose(offers.iter().map(|offer| offer.as_bytes()))?;
        let mut out = Vec::new();
        agreed.encode(&mut out);
        let line = String::from_utf8(out).unwrap();
        Some(line.strip_prefix("Sec-WebSocket-Extensions: permessage-deflate; ").unwrap().trim_end().to_owned())
    }

    const PLAIN: &str = "server_no_context_takeover; client_no_context_takeover";
    const TOLD: &str = "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12";

    #[test]
    fn what_browsers_and_libraries_offer_is_agreed_on() {
        for (offer, answer) in [
            // Chromium, Firefox, Safari.
            ("permessage-deflate; client_max_window_bits", PLAIN),
            ("permessage-deflate", PLAIN),
            ("x-webkit-deflate-frame, permessage-deflate; client_max_window_bits", PLAIN),
            // `websockets` and `ws`.
            ("permessage-deflate; server_max_window_bits=12; client_max_window_bits=12", TOLD),
            ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", PLAIN),
            ("permessage-deflate ;server_max_window_bits = \"15\" ; client_max_window_bits=\"8\"", TOLD),
        ] {
            assert_eq!(answered(&[offer]).as_deref(), Some(answer), "{offer}");
        }
    }

    #[test]
    fn an_offer_that_can_t_be_had_is_declined_and_the_next_one_looked_at() {
        let wrong = [
            "permessage-bzip2",
            "Permessage-Deflate",
            "permessage-deflate; server_max_window_bits=11",
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=012",
            "permessage-deflate; server_max_window_bits=",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits=a",
            "permessage-deflate; server_no_context_takeover=true",
            "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
            "permessage-deflate; level=9",
            "permessage-deflate;",
            "",
        ];
        for offer in wrong {
            assert_eq!(answered(&[offer]), None, "{offer}");
            let behind = format!("{offer}, permessage-deflate; client_max_window_bits");
            assert_eq!(answered(&[&behind]).as_deref(), Some(PLAIN), "{behind}");
            let in_another = [offer, "permessage-deflate"];
            assert_eq!(answered(&in_another).as_deref(), Some(PLAIN), "{in_another:?}");
        }
        assert_eq!(answered(&[]), None);
    }
}

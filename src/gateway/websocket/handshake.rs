//! The opening of a WebSocket: what the request must say, and the answer (RFC 6455 section 4.2).
//!
//! ```text
//!  GET /.. HTTP/1.1                          HTTP/1.1 101 Switching Protocols
//!  Connection: Upgrade                       Connection: Upgrade
//!  Upgrade: websocket                        Upgrade: websocket
//!  Sec-WebSocket-Version: 13      -->
//!  Sec-WebSocket-Key: KEY                    Sec-WebSocket-Accept: base64(sha1(KEY GUID))
//!  Sec-WebSocket-Protocol: fanwire.v1,       Sec-WebSocket-Protocol: fanwire.v1
//!                          fanwire.token.T                                           never echoed
//! ```
//!
//! The head is somebody else's: names and values come as slices, and nothing of them is kept but the token. Host and
//! Origin are checked on every route and so not here. A page can set no header but the subprotocols, so that is where
//! its token stands.

use super::extension::Deflate;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fanwire_wire::limits::CREDENTIALS_BYTES_MAX;
use sha1::{Digest, Sha1};

/// The one version there is (RFC 6455 section 4.1).
pub const VERSION: &str = "13";

/// What makes an answer that of somebody who understood (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// A key is 16 bytes in base64: so many characters, and two of padding (RFC 6455 section 4.1).
const KEY_CHARACTERS: usize = 22;
/// A SHA-1 in base64.
const ACCEPT_BYTES: usize = 28;
/// What a page puts before its token (offered like a subprotocol, RFC 6455 section 1.9).
const TOKEN_PREFIX: &[u8] = b"fanwire.token.";

/// What is spoken inside (RFC 6455 section 1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subprotocol {
    /// Native frames in binary messages.
    Native,
    /// JSON objects in text messages.
    Json,
}

impl Subprotocol {
    /// Every subprotocol (RFC 6455 section 1.9).
    pub const ALL: [Subprotocol; 2] = [Subprotocol::Native, Subprotocol::Json];

    /// The name that is offered and chosen (RFC 6455 section 11.5).
    pub const fn name(self) -> &'static str {
        match self {
            Subprotocol::Native => "fanwire.v1",
            Subprotocol::Json => "fanwire.json.v1",
        }
    }
}

/// Why a request does not open a WebSocket (RFC 6455 section 4.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its method is not GET (RFC 6455 section 4.2.1): 405.
    Method,
    /// HTTP before 1.1 (RFC 6455 section 4.2.1): 400.
    HttpVersion,
    /// It asks for no upgrade to WebSocket (RFC 6455 section 4.2.1): 426.
    Upgrade,
    /// `Connection` does not name `Upgrade`, so a proxy may stand between (RFC 6455 section 4.2.1): 400.
    Connection,
    /// Another version of the protocol (RFC 6455 section 4.4): 426 that names [`VERSION`].
    Version,
    /// The key is missing, there twice, or no 16 bytes in base64 (RFC 6455 section 4.2.1): 400.
    Key,
    /// No subprotocol that is spoken here is offered (RFC 6455 section 4.2.2): 400.
    Subprotocol,
    /// A token there twice, too long, or not in base64url (offered like a subprotocol, RFC 6455 section 1.9): 400.
    Token,
}

impl Refusal {
    /// The status of the HTTP answer (RFC 6455 sections 4.2.1, 4.2.2).
    pub const fn status(self) -> u16 {
        match self {
            Refusal::Method => 405,
            Refusal::Upgrade | Refusal::Version => 426,
            Refusal::HttpVersion | Refusal::Connection | Refusal::Key | Refusal::Subprotocol | Refusal::Token => 400,
        }
    }

    /// What is wrong with the request, and what to do, for people (RFC 6455 section 4.2.1).
    pub const fn meaning(self) -> &'static str {
        match self {
            Refusal::Method => "A WebSocket is opened with GET.",
            Refusal::HttpVersion => "A WebSocket is opened with HTTP/1.1.",
            Refusal::Upgrade => "This is a WebSocket: send \"Upgrade: websocket\".",
            Refusal::Connection => {
                "\"Connection: Upgrade\" is missing; a proxy that does not know WebSocket removes it."
            }
            Refusal::Version => "Only version 13 of WebSocket is spoken here.",
            Refusal::Key => "Sec-WebSocket-Key has to be there once, with 16 bytes in base64.",
            Refusal::Subprotocol => "Offer the subprotocol fanwire.v1 or fanwire.json.v1.",
            Refusal::Token => "Offer one token at the most: fanwire.token. and then its bytes in base64url, unpadded.",
        }
    }
}

/// A request that opens a WebSocket (RFC 6455 section 4.2.1).
#[derive(Clone, PartialEq, Eq)]
pub struct Handshake {
    /// The first one offered that is spoken here (RFC 6455 section 4.2.2).
    pub subprotocol: Subprotocol,
    /// The credentials of a page, which stand among the offered subprotocols (RFC 6455 section 1.9).
    pub token: Option<Vec<u8>>,
    /// The extension that is agreed on, once it was asked for (RFC 7692 section 7.1).
    pub deflate: Option<Deflate>,
    accept: [u8; ACCEPT_BYTES],
}

/// The token is never printed.
impl std::fmt::Debug for Handshake {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Handshake({}, token: {})", self.subprotocol.name(), self.token.is_some())
    }
}

impl Handshake {
    /// Reads the request: its method, the `1` of `HTTP/1.1`, and its headers, name and value (RFC 6455 section 4.2.1).
    pub fn read<'head>(
        method: &[u8],
        minor_version: u8,
        headers: impl Iterator<Item = (&'head [u8], &'head [u8])> + Clone,
    ) -> Result<Handshake, Refusal> {
        let values = move |name| values_of(name, headers.clone());
        let required = |is_met, refusal| if is_met { Ok(()) } else { Err(refusal) };
        required(method == b"GET", Refusal::Method)?;
        required(minor_version >= 1, Refusal::HttpVersion)?;
        required(has_token(values("Upgrade"), "websocket"), Refusal::Upgrade)?;
        required(has_token(values("Connection"), "upgrade"), Refusal::Connection)?;
        required(only(values("Sec-WebSocket-Version")) == Some(VERSION.as_bytes()), Refusal::Version)?;
        let accept = accept_of(only(values("Sec-WebSocket-Key")).ok_or(Refusal::Key)?)?;
        let subprotocol = choose_subprotocol(values("Sec-WebSocket-Protocol")).ok_or(Refusal::Subprotocol)?;
        let token = offered_token(values("Sec-WebSocket-Protocol"))?;
        Ok(Handshake { subprotocol, token, deflate: None, accept })
    }

    /// The same with messages made smaller, if the client offers that in a way that can be had (RFC 7692 section 7.1).
    #[must_use]
    pub fn with_deflate<'head>(self, headers: impl Iterator<Item = (&'head [u8], &'head [u8])>) -> Handshake {
        Handshake { deflate: Deflate::choose(values_of("Sec-WebSocket-Extensions", headers)), ..self }
    }

    /// Appends the answer that makes it a WebSocket (RFC 6455 section 4.2.2).
    pub fn encode_answer(&self, out: &mut Vec<u8>) {
        let parts = [
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
            &self.accept[..],
            b"\r\nSec-WebSocket-Protocol: ",
            self.subprotocol.name().as_bytes(),
            b"\r\n",
        ];
        parts.into_iter().for_each(|part| out.extend_from_slice(part));
        if let Some(deflate) = self.deflate {
            deflate.encode(out);
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Whether a request with these headers wants to become a WebSocket, rightly or not (RFC 6455 section 4.2.1).
pub fn wants_websocket<'head>(headers: impl Iterator<Item = (&'head [u8], &'head [u8])>) -> bool {
    has_token(values_of("Upgrade", headers), "websocket")
}

/// What proves that the key was understood (RFC 6455 sections 1.3, 4.2.2).
pub fn accept_of(key: &[u8]) -> Result<[u8; ACCEPT_BYTES], Refusal> {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    match key.split_at_checked(KEY_CHARACTERS) {
        Some((characters, b"==")) if characters.iter().all(is_base64) => {}
        _ => return Err(Refusal::Key),
    }
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut accept = [0; ACCEPT_BYTES];
    let written = STANDARD.encode_slice(digest, &mut accept);
    assert_eq!(written, Ok(ACCEPT_BYTES), "a SHA-1 has 20 bytes");
    Ok(accept)
}

/// The first of the client's offers that is spoken here: it puts what it likes best first (RFC 6455 section 4.1).
pub fn choose_subprotocol<'head>(offers: impl Iterator<Item = &'head [u8]>) -> Option<Subprotocol> {
    let known = |offer: &[u8]| Subprotocol::ALL.into_iter().find(|known| known.name().as_bytes() == offer);
    tokens(offers).find_map(known)
}

/// The token among the client's offers (RFC 6455 section 1.9).
pub fn offered_token<'head>(offers: impl Iterator<Item = &'head [u8]>) -> Result<Option<Vec<u8>>, Refusal> {
    let mut found = tokens(offers).filter_map(|offer| offer.strip_prefix(TOKEN_PREFIX));
    let Some(encoded) = found.next() else { return Ok(None) };
    if found.next().is_some() {
        return Err(Refusal::Token);
    }
    let token = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Refusal::Token)?;
    if token.len() <= CREDENTIALS_BYTES_MAX { Ok(Some(token)) } else { Err(Refusal::Token) }
}

/// Whether a list holds the token, in any case (RFC 6455 section 4.2.1).
pub fn has_token<'head>(values: impl Iterator<Item = &'head [u8]>, token: &str) -> bool {
    tokens(values).any(|found| found.eq_ignore_ascii_case(token.as_bytes()))
}

/// The elements of a list that may stand in one header or in several (RFC 6455 section 11.3.4).
pub(super) fn tokens<'head>(values: impl Iterator<Item = &'head [u8]>) -> impl Iterator<Item = &'head [u8]> {
    values.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

fn values_of<'head>(
    name: &str,
    headers: impl Iterator<Item = (&'head [u8], &'head [u8])>,
) -> impl Iterator<Item = &'head [u8]> {
    headers.filter(move |(found, _)| found.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
}

/// The value of a header that must not be there twice (RFC 6455 sections 11.3.1, 11.3.5).
fn only<'head>(mut values: impl Iterator<Item = &'head [u8]>) -> Option<&'head [u8]> {
    let value = values.next()?;
    values.next().is_none().then(|| value.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const HEAD: [(&str, &str); 6] = [
        ("Host", "localhost"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Protocol", "fanwire.v1"),
    ];

    fn read(method: &str, minor_version: u8, headers: &[(&str, &str)]) -> Result<Handshake, Refusal> {
        let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        Handshake::read(method.as_bytes(), minor_version, headers)
    }

    /// The head with one header's value replaced, or the header taken out.
    fn head_with<'a>(name: &str, value: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
        let replaced =
            HEAD.into_iter().map(|(known, old)| if known == name { (known, value) } else { (known, Some(old)) });
        replaced.filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// RFC 6455 section 1.3.
    #[test]
    fn the_rfc_s_example() {
        assert_eq!(&accept_of(KEY.as_bytes()).unwrap(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let mut answer = Vec::new();
        read("GET", 1, &HEAD).unwrap().encode_answer(&mut answer);
        let expected = "HTTP/1.1 101 Switching Protocols\r\n\
                        Upgrade: websocket\r\n\
                        Connection: Upgrade\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
                        Sec-WebSocket-Protocol: fanwire.v1\r\n\r\n";
        assert_eq!(String::from_utf8(answer).unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_with_a_request_is_named() {
        assert_eq!(read("POST", 1, &HEAD), Err(Refusal::Method));
        assert_eq!(read("get", 1, &HEAD), Err(Refusal::Method));
        assert_eq!(read("GET", 0, &HEAD), Err(Refusal::HttpVersion));
        for (name, values, refusal) in [
            ("Upgrade", &[None, Some("h2c"), Some("websockets")][..], Refusal::Upgrade),
            ("Connection", &[None, Some("keep-alive"), Some("close, upgraded")], Refusal::Connection),
            ("Sec-WebSocket-Version", &[None, Some("8"), Some("13, 8"), Some("013"), Some("")], Refusal::Version),
            ("Sec-WebSocket-Protocol", &[None, Some("mqtt"), Some("Fanwire.v1"), Some("")], Refusal::Subprotocol),
        ] {
            for value in values {
                let found = read("GET", 1, &head_with(name, *value));
                assert_eq!(found, Err(refusal), "{name}: {value:?}");
            }
        }
    }

    #[test]
    fn a_key_is_16_bytes_in_base64_once() {
        let keys = [
            "",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZQ===",
            "dGhlIHNhbXBsZSBub25j",
            "dGhlIHNhbXBsZSBub25jZQAA",
        ];
        for key in keys.into_iter().chain(["dGhlIHNhbXBsZSBub25j-Q==", "dGhlIHNhbXBsZSBub 5jZQ=="]) {
            assert_eq!(read("GET", 1, &head_with("Sec-WebSocket-Key", Some(key))), Err(Refusal::Key), "{key:?}");
        }
        assert_eq!(read("GET", 1, &head_with("Sec-WebSocket-Key", None)), Err(Refusal::Key));
        for (name, refusal) in [("Sec-WebSocket-Key", Refusal::Key), ("sec-websocket-version", Refusal::Version)] {
            let twice = HEAD.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            let head: Vec<_> = HEAD.into_iter().chain(twice).collect();
            assert_eq!(read("GET", 1, &head), Err(refusal), "{name} twice");
        }
    }

    #[test]
    fn lists_are_lists_in_any_case_and_any_number_of_headers() {
        let head = [
            ("uPgRaDe", "h2c , WebSocket"),
            ("connection", " keep-alive,Upgrade\t"),
            ("SEC-WEBSOCKET-VERSION", " 13 "),
            ("sec-websocket-key", KEY),
            ("Sec-WebSocket-Protocol", "other,, fanwire.token.czNjcmV0"),
            ("Sec-WebSocket-Protocol", "fanwire.json.v1, fanwire.v1"),
        ];
        let handshake = read("GET", 1, &head).unwrap();
        assert_eq!(handshake.subprotocol, Subprotocol::Json, "the client's order counts");
        assert_eq!(handshake.token.as_deref(), Some(&b"s3cret"[..]));
        let mut answer = Vec::new();
        handshake.encode_answer(&mut answer);
        assert!(!String::from_utf8(answer).unwrap().contains("token"), "a token is not told");
        assert!(!format!("{handshake:?}").contains(&format!("{:?}", b"s3cret")));
        assert!(wants_websocket(head.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))));
    }

    #[test]
    fn a_token_is_base64url_within_the_limit_and_there_once() {
        let token_of = |offers: &str| offered_token([offers.as_bytes()].into_iter());
        assert_eq!(token_of("fanwire.v1"), Ok(None));
        assert_eq!(token_of("fanwire.token._-8"), Ok(Some(vec![0xFF, 0xEF])));
        let longest = URL_SAFE_NO_PAD.encode([7; CREDENTIALS_BYTES_MAX]);
        assert_eq!(token_of(&format!("fanwire.token.{longest}")), Ok(Some(vec![7; CREDENTIALS_BYTES_MAX])));
        let too_long = URL_SAFE_NO_PAD.encode([7; CREDENTIALS_BYTES_MAX + 1]);
        let too_long = format!("fanwire.token.{too_long}");
        for wrong in ["fanwire.token.+/8", "fanwire.token._-8=", "fanwire.token.a", &too_long] {
            assert_eq!(token_of(wrong), Err(Refusal::Token), "{wrong}");
        }
        assert_eq!(token_of("fanwire.token.YQ, fanwire.token.YQ"), Err(Refusal::Token));
    }

    #[test]
    fn every_refusal_has_a_status_that_says_whose_fault_it_is() {
        let all = [
            Refusal::Method,
            Refusal::HttpVersion,
            Refusal::Upgrade,
            Refusal::Connection,
            Refusal::Version,
            Refusal::Key,
            Refusal::Subprotocol,
            Refusal::Token,
        ];
        assert!(all.iter().all(|refusal| (400..500).contains(&refusal.status()) && refusal.meaning().ends_with('.')));
    }
}

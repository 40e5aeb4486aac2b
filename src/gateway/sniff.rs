//! One port, every protocol: the first bytes tell which (protocol.md section 3).

use fanwire_wire::MAGIC;

/// What a peer seems to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Fanwire's own.
    Native,
    /// HTTP/1: a method.
    Http,
    /// TLS: a handshake record.
    Tls,
    /// MQTT: a CONNECT packet.
    Mqtt,
    /// The PROXY protocol, version 1 or 2.
    Proxy,
    /// None of these.
    Unknown,
}

impl Protocol {
    /// A name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Native => "native",
            Protocol::Http => "HTTP",
            Protocol::Tls => "TLS",
            Protocol::Mqtt => "MQTT",
            Protocol::Proxy => "PROXY",
            Protocol::Unknown => "unknown",
        }
    }
}

/// Tells the protocol by its first byte, which no two of them share but PROXY version 1 and HTTP's `P...` methods:
/// those take four more. `None` when more bytes are needed.
pub fn sniff(bytes: &[u8]) -> Option<Protocol> {
    let (first, rest) = bytes.split_first()?;
    Some(match first {
        first if *first == MAGIC[0] => Protocol::Native,
        0x16 => Protocol::Tls,
        0x10 => Protocol::Mqtt,
        b'\r' => Protocol::Proxy,
        b'P' if rest.len() < 4 && b"ROXY".starts_with(rest) => return None,
        b'P' if rest.starts_with(b"ROXY") => Protocol::Proxy,
        b'A'..=b'Z' => Protocol::Http,
        _ => Protocol::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell() {
        assert_eq!(sniff(b""), None);
        assert_eq!(sniff(&MAGIC), Some(Protocol::Native));
        assert_eq!(sniff(b"GET / HTTP/1.1\r\n"), Some(Protocol::Http));
        assert_eq!(sniff(b"PRO"), None);
        assert_eq!(sniff(b"PROXY TCP4"), Some(Protocol::Proxy));
        assert_eq!(sniff(b"POST"), Some(Protocol::Http));
        assert_eq!(sniff(b"\r\n\r\n\0"), Some(Protocol::Proxy));
        assert_eq!(sniff(&[0x16, 3, 1]), Some(Protocol::Tls));
        assert_eq!(sniff(&[0x10, 12]), Some(Protocol::Mqtt));
        assert_eq!(sniff(&[0]), Some(Protocol::Unknown));
    }
}

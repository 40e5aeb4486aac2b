//! `host:port`, of Host fields, absolute targets and origins (RFC 3986 section 3.2, RFC 9110 section 7.2).
//!
//! Strict: names are letters, digits, hyphens, underscores and dots; addresses are the literals that everybody reads
//! alike, so `127.1` and `0x7f.0.0.1` are names, and known to nobody. Userinfo is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host and perhaps a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority<'a> {
    /// The host.
    pub host: Host<'a>,
    /// The port, where one is named.
    pub port: Option<u16>,
}

/// A host by name or by address.
#[derive(Debug, Clone, Copy)]
pub enum Host<'a> {
    /// A name, without the dot that may stand at its end. Compares without regard to case.
    Name(&'a str),
    /// An address; one of IPv4 that is written as IPv6 is the one of IPv4.
    Address(IpAddr),
}

/// Bytes of a name (RFC 1035 section 2.3.4).
const NAME_BYTES_MAX: usize = 253;

impl<'a> Authority<'a> {
    /// Reads one; `None` if it is none.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, behind) = rest.split_once(']')?;
                (Host::from_ipv6(address)?, behind)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                let (host, behind) = text.split_at_checked(end)?;
                (Host::from_name(host)?, behind)
            }
        };
        Some(Authority { host, port: parse_port(port)? })
    }

    /// The port that this scheme means where none is named.
    pub(super) fn port_or(self, default: u16) -> u16 {
        self.port.unwrap_or(default)
    }
}

/// What stands behind a host: nothing, or a colon and a port. `None` for anything else. A colon without a port is
/// allowed (RFC 3986 section 3.2.3) and means none.
fn parse_port(text: &str) -> Option<Option<u16>> {
    let Some(digits) = text.strip_prefix(':') else { return text.is_empty().then_some(None) };
    if digits.is_empty() {
        return Some(None);
    }
    let is_number = digits.len() <= 5 && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten().map(Some)
}

impl<'a> Host<'a> {
    fn from_ipv6(text: &str) -> Option<Self> {
        // A zone names an interface of the caller's machine and has no meaning here.
        let address: Ipv6Addr = text.parse().ok()?;
        Some(Host::Address(IpAddr::V6(address).to_canonical()))
    }

    fn from_name(text: &'a str) -> Option<Self> {
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Some(Host::Address(IpAddr::V4(address)));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let has_levels = name.split('.').all(|level| !level.is_empty());
        let fits = name.len() <= NAME_BYTES_MAX;
        (has_levels && fits && name.bytes().all(is_name_byte)).then_some(Host::Name(name))
    }

    /// Whether nobody but this machine can be meant: the loopback addresses, and the names that resolve to nothing
    /// else (RFC 6761 section 6.3).
    pub fn is_loopback(self) -> bool {
        match self {
            Host::Address(address) => address.is_loopback(),
            Host::Name(name) => {
                name.rsplit('.').next().is_some_and(|last_level| last_level.eq_ignore_ascii_case("localhost"))
            }
        }
    }
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Host<'_>) -> bool {
        match (self, other) {
            (Host::Name(one), Host::Name(two)) => one.eq_ignore_ascii_case(two),
            (Host::Address(one), Host::Address(two)) => one == two,
            _ => false,
        }
    }
}

impl Eq for Host<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        let name = |name| Some(Host::Name(name));
        let address = |text: &str| Some(Host::Address(text.parse().unwrap()));
        for (text, host, port) in [
            ("localhost", name("localhost"), None),
            ("localhost:7400", name("LOCALHOST"), Some(7400)),
            ("localhost.:80", name("localhost"), Some(80)),
            ("my_broker-1.example:", name("my_broker-1.example"), None),
            ("127.0.0.1:7400", address("127.0.0.1"), Some(7400)),
            ("[::1]:7400", address("::1"), Some(7400)),
            ("[::ffff:127.0.0.1]", address("127.0.0.1"), None),
            ("127.1", name("127.1"), None),
            ("0x7f.0.0.1", name("0x7f.0.0.1"), None),
        ] {
            let read = Authority::parse(text);
            assert_eq!(read.map(|read| (Some(read.host), read.port)), Some((host, port)), "{text}");
        }
        for wrong in [
            "",
            ":80",
            ".",
            "a..b",
            "a b",
            "a/b",
            "user@host",
            "a:b",
            "a:80:80",
            "a:65536",
            "a:+80",
            "a:080000",
            "::1",
            "[::1",
            "[::1]80",
            "[fe80::1%eth0]",
            "[127.0.0.1]",
            "a,b",
            "a\0",
            "a%2eb",
            "r\u{e4}ume",
            "*",
        ] {
            assert_eq!(Authority::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn only_what_means_this_machine_everywhere_is_loopback() {
        let is_loopback = |text| Authority::parse(text).unwrap().host.is_loopback();
        for text in
            ["localhost", "LocalHost.", "app.localhost", "127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]"]
        {
            assert!(is_loopback(text), "{text}");
        }
        for text in ["localhost.evil.example", "notlocalhost", "127.0.0.1.evil.example", "127.1", "0.0.0.0", "[::]"] {
            assert!(!is_loopback(text), "{text}");
        }
    }
}

//! Server addresses: `fanwire://[token@]host:port`.
//!
//! The token is a secret. It leaves this type through [`ServerUrl::token`] alone: neither `Debug` nor `Display` nor
//! any error shows it, also when the address is malformed.

use crate::error::Error;
use fanwire_wire::limits::CREDENTIALS_BYTES_MAX;
use std::fmt;
use std::str::FromStr;

const SCHEME: &str = "fanwire://";

/// Where a broker is, and the token for it.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    host: String,
    port: u16,
    token: Vec<u8>,
}

impl ServerUrl {
    /// The port when none is given.
    pub const PORT_DEFAULT: u16 = 7311;

    /// The host: a name, or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The token, percent-decoded; empty for none.
    pub fn token(&self) -> &[u8] {
        &self.token
    }

    /// The same address with this token, for tokens that come from a file or an environment variable.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<Vec<u8>>) -> Self {
        self.token = token.into();
        self
    }
}

/// `fanwire://127.0.0.1:7311`.
impl Default for ServerUrl {
    fn default() -> Self {
        ServerUrl { host: "127.0.0.1".to_owned(), port: ServerUrl::PORT_DEFAULT, token: Vec::new() }
    }
}

impl FromStr for ServerUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        read(text).map_err(|fault| Error::Url { fault: format!("the server address \"{}\" {fault}", redact(text)) })
    }
}

fn read(text: &str) -> Result<ServerUrl, String> {
    let rest = text.strip_prefix(SCHEME).ok_or("does not begin with fanwire://")?;
    // The last @ is the divider: hosts have none, and a token whose own @ was left as it is still reads as meant.
    let (token, place) = match rest.rsplit_once('@') {
        Some(("", _)) => return Err("has an empty token before the @".to_owned()),
        Some((token, place)) => (percent_decode(token)?, place),
        None => (Vec::new(), rest),
    };
    if token.len() > CREDENTIALS_BYTES_MAX {
        return Err(format!("has a token of more than {CREDENTIALS_BYTES_MAX} bytes"));
    }
    let place = place.strip_suffix('/').unwrap_or(place);
    if let Some(foreign) = place.chars().find(|character| "/?#% \\".contains(*character) || character.is_control()) {
        return Err(format!("has {foreign:?} where only host and port belong"));
    }
    let (host, port) = split_place(place)?;
    let port = match port {
        None => ServerUrl::PORT_DEFAULT,
        Some(digits) => read_port(digits)?,
    };
    Ok(ServerUrl { host: host.to_owned(), port, token })
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split_place(place: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(inner) = place.strip_prefix('[') {
        let (host, after) = inner.split_once(']').ok_or("opens a [ and does not close it")?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| "has something else than an IPv6 address in its brackets")?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err("has something else than :port behind the ]".to_owned()),
        };
    }
    let (host, port) = match place.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (place, None),
    };
    if port.is_some_and(|port| port.contains(':')) {
        return Err("has several colons; an IPv6 address stands in brackets, e.g. fanwire://[::1]:7311".to_owned());
    }
    if host.is_empty() {
        return Err("names no host".to_owned());
    }
    Ok((host, port))
}

fn read_port(digits: &str) -> Result<u16, String> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse::<u16>() {
        Ok(port) if plain && port > 0 => Ok(port),
        _ => Err(format!("has the port \"{digits}\", which is no number from 1 to 65535")),
    }
}

fn percent_decode(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = after;
            continue;
        }
        let (byte, after) = after
            .split_first_chunk::<2>()
            .and_then(|([high, low], after)| Some((hex(*high)? << 4 | hex(*low)?, after)))
            .ok_or("has a % in its token that two hexadecimal digits do not follow; a % itself is written %25")?;
        bytes.push(byte);
        rest = after;
    }
    Ok(bytes)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// The address as an error may show it: everything that could be the token is hidden, controls are escaped.
fn redact(text: &str) -> String {
    let shown = match text.rsplit_once('@') {
        Some((before, place)) if before.starts_with(SCHEME) => format!("{SCHEME}***@{place}"),
        Some((_, place)) => format!("***@{place}"),
        None => text.to_owned(),
    };
    shown.escape_debug().to_string()
}

/// `fanwire://host:port`; never the token.
impl fmt::Display for ServerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = if self.token.is_empty() { "" } else { "***@" };
        if self.host.contains(':') {
            write!(formatter, "{SCHEME}{token}[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{SCHEME}{token}{}:{}", self.host, self.port)
        }
    }
}

/// The same as `Display`; never the token.
impl fmt::Debug for ServerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ServerUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads() {
        for (text, host, port, token) in [
            ("fanwire://127.0.0.1:7311", "127.0.0.1", 7311, &b""[..]),
            ("fanwire://broker.example", "broker.example", 7311, b""),
            ("fanwire://broker.example/", "broker.example", 7311, b""),
            ("fanwire://[::1]:99", "::1", 99, b""),
            ("fanwire://[fe80::1]", "fe80::1", 7311, b""),
            ("fanwire://s3cret@localhost:1", "localhost", 1, b"s3cret"),
            ("fanwire://a%40b%2F%25:c@localhost", "localhost", 7311, b"a@b/%:c"),
            ("fanwire://a@b@localhost", "localhost", 7311, b"a@b"),
            ("fanwire://%ff%00@localhost", "localhost", 7311, b"\xff\x00"),
        ] {
            let url: ServerUrl = text.parse().unwrap();
            assert_eq!((url.host(), url.port(), url.token()), (host, port, token), "{text}");
        }
    }

    #[test]
    fn what_does_not_read_says_why_and_shows_the_right_form() {
        for (text, fault) in [
            ("", "does not begin with fanwire://"),
            ("127.0.0.1:7311", "does not begin with fanwire://"),
            ("http://127.0.0.1", "does not begin with fanwire://"),
            ("fanwire://", "names no host"),
            ("fanwire://:7311", "names no host"),
            ("fanwire://h:", "the port \"\""),
            ("fanwire://h:0", "the port \"0\""),
            ("fanwire://h:+1", "the port \"+1\""),
            ("fanwire://h:70000", "the port \"70000\""),
            ("fanwire://::1:7311", "several colons"),
            ("fanwire://[::1", "does not close"),
            ("fanwire://[nope]:1", "an IPv6 address in its brackets"),
            ("fanwire://[::1]7311", "behind the ]"),
            ("fanwire://h/path", "'/'"),
            ("fanwire://h?q", "'?'"),
            ("fanwire://@h", "empty token"),
            ("fanwire://to%4@h", "hexadecimal"),
            ("fanwire://to%zz@h", "hexadecimal"),
        ] {
            let error = text.parse::<ServerUrl>().unwrap_err().to_string();
            assert!(error.contains(fault), "{text}: {error}");
            assert!(error.contains("fanwire://[token@]host:port"), "{text}: {error}");
        }
    }

    #[test]
    fn the_token_is_never_shown() {
        let url: ServerUrl = "fanwire://hunter2@[::1]:9".parse().unwrap();
        assert_eq!(url.to_string(), "fanwire://***@[::1]:9");
        assert_eq!(format!("{url:?}"), "ServerUrl(fanwire://***@[::1]:9)");
        for wrong in [
            "fanwire://hunter2@h:x",
            "fanwire:/hunter2@h",
            "fanwire://hunter2%@h",
            "hunter2@h",
            "fanwire://hunter2@x@h?",
        ] {
            let error = wrong.parse::<ServerUrl>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{wrong}: {error}");
        }
    }
}

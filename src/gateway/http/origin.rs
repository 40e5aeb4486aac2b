//! Which hosts and origins may be served: what keeps other people's pages away from a broker (RFC 6454, RFC 9110
//! section 7.2, the Fetch standard's CORS, Fetch Metadata).
//!
//! **Who attacks.** A page that somebody opens in a browser on a machine that can reach the broker, above all the
//! broker's own, where a broker on loopback asks for no token. The page can't choose its Host, Origin and
//! `Sec-Fetch-Site`: its browser writes them. Programs can write anything, and are met with tokens, not here.
//!
//! | attack | what stands against it |
//! |---|---|
//! | POST, or a form, to `http://localhost:7400/v1/topics/x` | its Origin is not the Host, nor allowed: refused |
//! | `new WebSocket("ws://localhost:7400")`, which no same-origin policy holds back | the same, on the upgrade |
//! | `fetch`, `EventSource`: reading what comes | refused; and no answer allows another origin to read it |
//! | `<script>`, `<img>`, a link: requests without Origin | `Sec-Fetch-Site` says cross-site or same-site: refused |
//! | DNS rebinding: `evil.example` is suddenly 127.0.0.1, so that all is of one origin | the Host is still `evil.example`: refused |
//! | a page of another port of this machine | another origin: refused, though it is the same site |
//! | a page without an origin (`null`: sandboxed, or a file) | refused, unless every origin is allowed |
//!
//! **Hosts**: loopback names and addresses, the addresses that are listened on (any address, if it is all of them),
//! and the allow-list. An address can't be rebound, so it is a name that has to be known. The Host's port is not
//! looked at: forwarded ports differ, and a page can't be served from another port under the same origin.
//!
//! **Origins**: the one that equals the Host (both scheme's default ports are understood, so that a TLS proxy in front
//! is no other origin), and the allow-list, whose origins are told so by CORS. `*` allows all, `null` too: then
//! whoever opens any page lends it this broker, and only tokens protect it. Answers never allow credentials: there are
//! no cookies, and a token has to be sent by who knows it.
//!
//! **What is left**: browsers send no `Sec-Fetch-Site` to hosts that are neither loopback nor TLS, and old ones to
//! nobody. Against those a page can send a GET whose answer it can't read and which publishes nothing.

use super::authority::{Authority, Host};
use super::head::Head;
use super::header_value::HeaderValue;
use super::query::quoted;
use super::{Reason, Refusal};
use std::net::IpAddr;

/// What a page of an allowed origin may send besides what any page may.
pub(super) const PREFLIGHT_HEADERS: HeaderValue<'static> = HeaderValue::own(
    "Authorization, Content-Type, Last-Event-ID, Fanwire-Ack, Fanwire-Expect, Fanwire-Producer, Fanwire-Deadline",
);

/// Which origins' pages may read an answer, besides this broker's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cors<'b> {
    /// None.
    None,
    /// The one that asked.
    Origin(HeaderValue<'b>),
    /// All.
    Any,
}

/// Which hosts and origins are served.
#[derive(Debug, Clone, Default)]
pub struct OriginRules {
    listened: Vec<IpAddr>,
    hosts: Vec<String>,
    origins: Vec<String>,
    allows_all: bool,
}

impl OriginRules {
    /// Rules for a broker that listens on these addresses, with the allow-lists of the settings: hosts such as
    /// `broker.example` or `broker.example:8443`, origins such as `https://app.example`, or `*` for all. Says what is
    /// wrong with an entry that is none.
    pub fn new(
        listened: impl IntoIterator<Item = IpAddr>,
        hosts: impl IntoIterator<Item = String>,
        origins: impl IntoIterator<Item = String>,
    ) -> Result<Self, String> {
        let mut rules = OriginRules { listened: listened.into_iter().collect(), ..OriginRules::default() };
        for host in hosts {
            if Authority::parse(&host).is_none() {
                return Err(format!("{} is no host, such as broker.example", quoted(host.as_bytes())));
            }
            rules.hosts.push(host);
        }
        for origin in origins {
            if origin == "*" {
                rules.allows_all = true;
            } else if Origin::parse(&origin).is_none() {
                let origin = quoted(origin.as_bytes());
                return Err(format!("{origin} is no origin, such as https://app.example, without a path; or *"));
            } else {
                rules.origins.push(origin);
            }
        }
        Ok(rules)
    }

    /// Whether this request may read or change state, and who may read its answer.
    pub fn check<'b>(&self, head: &Head<'b>) -> Result<Cors<'b>, Refusal> {
        let Some(authority) = head.authority else {
            return Err(Refusal::from(Reason::HostRefused).because("the field Host is missing"));
        };
        if !self.serves(authority) {
            let host = head.single("host")?.unwrap_or_default();
            let host = quoted(host.as_bytes());
            return Err(Refusal::from(Reason::HostRefused)
                .because(format!("{host} is neither a loopback name nor among the allowed hosts")));
        }
        let origin = head.single("origin")?;
        if self.allows_all {
            return Ok(if origin.is_some() { Cors::Any } else { Cors::None });
        }
        let Some(origin) = origin else { return check_site(head).map(|()| Cors::None) };
        let refused = || {
            let origin = quoted(origin.as_bytes());
            Refusal::from(Reason::OriginRefused).because(format!("{origin} is not among the allowed origins"))
        };
        let parsed = Origin::parse(origin).ok_or_else(refused)?;
        if self.origins.iter().filter_map(|allowed| Origin::parse(allowed)).any(|allowed| allowed == parsed) {
            return HeaderValue::new(origin).map(Cors::Origin).ok_or_else(refused);
        }
        if !parsed.is_of(authority) {
            return Err(refused());
        }
        check_site(head).map(|()| Cors::None)
    }

    /// Who may read what anybody may have: a refusal only means that no other origin may.
    pub fn readers<'b>(&self, head: &Head<'b>) -> Cors<'b> {
        self.check(head).unwrap_or(Cors::None)
    }

    fn serves(&self, authority: Authority<'_>) -> bool {
        let is_listened = match authority.host {
            Host::Name(_) => false,
            Host::Address(address) => self.listened.iter().any(|listened| {
                let listened = listened.to_canonical();
                listened == address || listened.is_unspecified()
            }),
        };
        let is_allowed = |allowed: &String| {
            Authority::parse(allowed).is_some_and(|allowed| {
                allowed.host == authority.host && (allowed.port.is_none() || allowed.port == authority.port)
            })
        };
        authority.host.is_loopback() || is_listened || self.hosts.iter().any(is_allowed)
    }
}

/// The second signal: what the browser says of where the request came from. Others say nothing.
fn check_site(head: &Head<'_>) -> Result<(), Refusal> {
    match head.single("sec-fetch-site")? {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) => Err(Refusal::from(Reason::OriginRefused).because("a page of another origin asked")),
    }
}

/// Scheme, host and port (RFC 6454 section 6.2).
#[derive(Debug, Clone, Copy)]
struct Origin<'a> {
    scheme: &'a str,
    authority: Authority<'a>,
}

impl<'a> Origin<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
        if !is_scheme || !scheme.bytes().all(is_scheme_byte) {
            return None;
        }
        Some(Origin { scheme, authority: Authority::parse(authority)? })
    }

    const fn default_port(self) -> u16 {
        if self.scheme.eq_ignore_ascii_case("http") {
            80
        } else if self.scheme.eq_ignore_ascii_case("https") {
            443
        } else {
            0
        }
    }

    /// Whether pages of this origin come from there, with or without TLS in front.
    fn is_of(self, host: Authority<'_>) -> bool {
        let default = self.default_port();
        default != 0 && self.authority.host == host.host && self.authority.port_or(default) == host.port_or(default)
    }
}

impl PartialEq for Origin<'_> {
    fn eq(&self, other: &Origin<'_>) -> bool {
        let port = |origin: &Origin<'_>| origin.authority.port_or(origin.default_port());
        self.scheme.eq_ignore_ascii_case(other.scheme)
            && self.authority.host == other.authority.host
            && port(self) == port(other)
    }
}

/// Who may read an answer, kept until it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OwnCors {
    None,
    Any,
    Origin(String),
}

impl From<Cors<'_>> for OwnCors {
    fn from(cors: Cors<'_>) -> Self {
        match cors {
            Cors::None => OwnCors::None,
            Cors::Any => OwnCors::Any,
            Cors::Origin(origin) => OwnCors::Origin(origin.as_str().to_owned()),
        }
    }
}

impl OwnCors {
    pub(super) fn borrowed(&self) -> Cors<'_> {
        match self {
            OwnCors::None => Cors::None,
            OwnCors::Any => Cors::Any,
            OwnCors::Origin(origin) => HeaderValue::new(origin).map_or(Cors::None, Cors::Origin),
        }
    }
}

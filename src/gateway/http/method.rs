//! Request methods (RFC 9110 section 9, RFC 5789), and sets of them for `Allow`.

/// A method, as far as this broker knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Read.
    Get,
    /// Read, but without the body.
    Head,
    /// Publish, or request.
    Post,
    /// What may be done here; browsers ask before they do it.
    Options,
    /// Known, and allowed nowhere: PUT, PATCH, DELETE and TRACE.
    Refused,
    /// Not known. CONNECT belongs here: this is no proxy.
    Unknown,
}

impl Method {
    /// Methods are case-sensitive (RFC 9110 section 9.1).
    pub(super) fn from_name(name: &str) -> Method {
        match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "OPTIONS" => Method::Options,
            "PUT" | "PATCH" | "DELETE" | "TRACE" => Method::Refused,
            _ => Method::Unknown,
        }
    }
}

/// The methods that a resource takes, as `Allow` tells them (RFC 9110 section 10.2.1). OPTIONS is always among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Methods {
    /// What stands ready and costs nothing to ask for.
    Read,
    /// What begins a stream or takes messages from a cursor: a HEAD that does neither would be a lie.
    Get,
    /// Publishing to a topic and reading its history.
    GetAndPost,
    /// Requests.
    Post,
    /// All that any resource takes, for `OPTIONS *`.
    All,
}

impl Methods {
    /// The value of `Allow`.
    pub const fn names(self) -> &'static str {
        match self {
            Methods::Read => "GET, HEAD, OPTIONS",
            Methods::Get => "GET, OPTIONS",
            Methods::GetAndPost => "GET, POST, OPTIONS",
            Methods::Post => "POST, OPTIONS",
            Methods::All => "GET, HEAD, POST, OPTIONS",
        }
    }

    /// Whether the method is one of them.
    pub const fn contains(self, method: Method) -> bool {
        match method {
            Method::Get => !matches!(self, Methods::Post),
            Method::Head => matches!(self, Methods::Read | Methods::All),
            Method::Post => matches!(self, Methods::GetAndPost | Methods::Post | Methods::All),
            Method::Options => true,
            Method::Refused | Method::Unknown => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_allow_names_is_what_is_allowed() {
        for methods in [Methods::Read, Methods::Get, Methods::GetAndPost, Methods::Post, Methods::All] {
            for name in ["GET", "HEAD", "POST", "OPTIONS", "PUT", "TRACE", "CONNECT", "get"] {
                let is_named = methods.names().split(", ").any(|named| named == name);
                assert_eq!(methods.contains(Method::from_name(name)), is_named, "{methods:?} {name}");
            }
        }
    }
}

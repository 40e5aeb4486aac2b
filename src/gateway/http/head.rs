//! Request heads: the request line and the fields, borrowed from the buffer that they were read into (RFC 9112
//! sections 2 to 7).
//!
//! ```text
//!  buffer --scan--> end of the head --httparse--> names and values --framing, Host--> Head
//!            | bare CR or LF, controls,    | tokens         | two lengths, two hosts ...
//!            `-----------------------------`----------------`--> Refusal: answer it and close
//! ```
//!
//! The scan goes over each byte once, however it arrives, and refuses at the first byte that is wrong: line ends that
//! are none to others (RFC 9112 section 2.2 allows to take a bare LF; who does so reads requests that the next one
//! does not see), controls, and whatever is too long. What it lets through stands whole in the buffer.
//!
//! Where a body's end could be told in two ways, the request is refused, though RFC 9112 section 6.3 would often let a
//! server choose: whatever stands in front of this broker may have chosen otherwise. Every refusal of this file ends
//! the connection, since nobody knows where the next request begins.

use super::Authority;
use super::header_value::is_token;
use super::{Method, Reason, Refusal};

/// Fields of one head.
pub const FIELDS_MAX: usize = 64;
/// Empty lines in front of a request; some clients end a body with one that does not belong to it.
const BLANK_LINES_MAX: u8 = 4;
/// What a request line has besides its target: the longest method, two spaces, the version, the line's end.
const REQUEST_LINE_BYTES_EXTRA: usize = 64;

/// How long a head may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// From the first byte to the empty line, all together.
    pub head_bytes_max: usize,
    /// The request's target.
    pub target_bytes_max: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        HeadLimits { head_bytes_max: 16 * 1024, target_bytes_max: 8 * 1024 }
    }
}

/// The versions that are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: nothing is chunked, and connections close unless they are asked to stay.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// How the end of the body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// There is none.
    None,
    /// So many bytes.
    Sized(u64),
    /// In chunks, up to the last one.
    Chunked,
}

/// A request but its body.
#[derive(Debug, Clone)]
pub struct Head<'b> {
    /// What to do.
    pub method: Method,
    /// The path as it came, percent-encoded: it begins with a slash, or is `*` (for OPTIONS alone).
    pub path: &'b str,
    /// What stands behind the question mark, as it came.
    pub query: Option<&'b str>,
    /// The version.
    pub version: Version,
    /// Where the request is sent to: of the target if it is a whole URL, else of Host. Only HTTP/1.0 may lack it.
    pub authority: Option<Authority<'b>>,
    /// The body that follows.
    pub body: BodyKind,
    /// Whether another request may follow.
    pub keeps_alive: bool,
    /// Whether the body is held back until `100 Continue`.
    pub expects_continue: bool,
    fields: [httparse::Header<'b>; FIELDS_MAX],
    fields_count: usize,
}

/// Finds heads in a buffer that grows.
#[derive(Debug, Clone, Default)]
pub struct HeadReader {
    limits: HeadLimits,
    /// Bytes that were looked at.
    scanned: usize,
    /// Where the line begins that is looked at.
    line_begin: usize,
    /// Where the request line begins.
    begin: usize,
    has_request_line: bool,
    blank_lines: u8,
}

impl HeadReader {
    /// One that holds heads to these limits.
    pub fn new(limits: HeadLimits) -> Self {
        HeadReader { limits, ..HeadReader::default() }
    }

    /// Whether a head is begun and not complete; before, its connection is only idle.
    pub const fn is_begun(&self) -> bool {
        self.scanned > self.begin
    }

    /// The head at the front of the buffer, and how many bytes it takes; `None` if it is not complete. Until it is,
    /// each call brings the buffer of the last one, with more behind. After a head, or a refusal, it begins anew.
    pub fn read<'b>(&mut self, buffer: &'b [u8]) -> Result<Option<(Head<'b>, usize)>, Refusal> {
        let outcome = self.scan(buffer);
        if let Ok(None) = outcome {
            return Ok(None);
        }
        let (begin, limits) = (self.begin, self.limits);
        *self = HeadReader::new(limits);
        let Some(end) = outcome? else { return Ok(None) };
        let head = Head::parse(buffer.get(begin..end).unwrap_or_default(), limits)?;
        Ok(Some((head, end)))
    }

    /// Where the head ends, if it does.
    fn scan(&mut self, buffer: &[u8]) -> Result<Option<usize>, Refusal> {
        let mut last = self.scanned.checked_sub(1).and_then(|at| buffer.get(at)).copied();
        for (at, byte) in buffer.iter().copied().enumerate().skip(self.scanned) {
            if (last == Some(b'\r')) != (byte == b'\n') {
                return Err(bad("a line ends otherwise than with CR LF"));
            }
            if byte.is_ascii_control() && !b"\t\r\n".contains(&byte) {
                return Err(bad("a control character stands in it"));
            }
            if at >= self.limits.head_bytes_max {
                return Err(Reason::HeadTooLarge.into());
            }
            let line_bytes = at - self.line_begin + 1;
            if !self.has_request_line && line_bytes > self.limits.target_bytes_max + REQUEST_LINE_BYTES_EXTRA {
                return Err(Reason::TargetTooLong.into());
            }
            self.scanned = at + 1;
            last = Some(byte);
            if byte == b'\n' && self.end_line(line_bytes)? {
                return Ok(Some(self.scanned));
            }
        }
        Ok(None)
    }

    /// Notes the end of a line of so many bytes, and tells whether it ends the head.
    fn end_line(&mut self, line_bytes: usize) -> Result<bool, Refusal> {
        let is_blank = line_bytes == b"\r\n".len();
        self.line_begin = self.scanned;
        if !is_blank {
            self.has_request_line = true;
        } else if !self.has_request_line {
            self.begin = self.scanned;
            self.blank_lines += 1;
            if self.blank_lines > BLANK_LINES_MAX {
                return Err(bad("too many empty lines stand before it"));
            }
        }
        Ok(is_blank && self.has_request_line)
    }
}

impl<'b> Head<'b> {
    /// Reads a head that is whole.
    fn parse(bytes: &'b [u8], limits: HeadLimits) -> Result<Self, Refusal> {
        check_request_line(bytes)?;
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut request = httparse::Request::new(&mut fields);
        let taken = match request.parse(bytes) {
            Ok(httparse::Status::Complete(taken)) => taken,
            Ok(httparse::Status::Partial) => return Err(bad("its head does not end")),
            Err(error) => return Err(refusal_of(error)),
        };
        let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
        let version = if request.version == Some(1) { Version::Http11 } else { Version::Http10 };
        let fields_count = request.headers.len();
        if taken != bytes.len() {
            return Err(bad("its head ends early"));
        }
        if target.len() > limits.target_bytes_max {
            return Err(Reason::TargetTooLong.into());
        }
        let method = check_method(method)?;
        let target = Target::parse(target, method)?;
        let mut head = Head {
            method,
            path: target.path,
            query: target.query,
            version,
            authority: None,
            body: BodyKind::None,
            keeps_alive: false,
            expects_continue: false,
            fields,
            fields_count,
        };
        head.authority = head.find_authority(target.authority)?;
        head.body = head.find_body(method)?;
        head.keeps_alive = head.find_keep_alive();
        head.expects_continue = head.find_expectation()?;
        Ok(head)
    }

    /// All fields, name and value, in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&'b [u8], &'b [u8])> + Clone {
        self.fields.iter().take(self.fields_count).map(|field| (field.name.as_bytes(), field.value))
    }

    /// The values of all fields of this name, in their order.
    pub fn all<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'b [u8]> + 'h {
        let fields = self.fields.get(..self.fields_count).unwrap_or_default();
        fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// The value of the only field of this name. Refused if there are several, or if it is not of visible ASCII
    /// characters, spaces and tabs.
    pub fn single(&self, name: &str) -> Result<Option<&'b str>, Refusal> {
        let mut values = self.all(name);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(bad(format!("the field {name} stands twice")));
        }
        match std::str::from_utf8(value) {
            Ok(text) if text.is_ascii() => Ok(Some(text)),
            _ => Err(bad(format!("the field {name} is not ASCII"))),
        }
    }

    /// The elements of all fields of this name, which are lists parted by commas (RFC 9110 section 5.6.1), without
    /// empty ones. Not for lists whose elements may be quoted.
    pub fn list<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'b [u8]> + 'h {
        let elements = self.all(name).flat_map(|value| value.split(|byte| *byte == b','));
        elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
    }

    /// Whether the lists of this name hold the token, in any case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.list(name).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Whether the connection should become a WebSocket (RFC 6455 section 4.2.1); the handshake looks at the rest.
    pub fn wants_websocket(&self) -> bool {
        self.method == Method::Get
            && self.version == Version::Http11
            && self.has_token("connection", "upgrade")
            && self.has_token("upgrade", "websocket")
    }

    /// The token of `Authorization: Bearer` (RFC 6750 section 2.1); `None` without the field. Other schemes are
    /// refused: whoever sends one would wonder.
    pub fn bearer_token(&self) -> Result<Option<&'b str>, Refusal> {
        let Some(value) = self.single("authorization")? else { return Ok(None) };
        match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim_ascii())),
            _ => Err(Refusal::from(fanwire_wire::Code::BadCredentials).because("the only scheme here is Bearer")),
        }
    }

    /// Whether the caller has the version of a page that this entity tag names (RFC 9110 section 13.1.2).
    pub fn has_version(&self, entity_tag: &str) -> bool {
        self.list("if-none-match").any(|known| {
            let known = known.strip_prefix(b"W/").unwrap_or(known);
            known == b"*" || known == entity_tag.as_bytes()
        })
    }

    /// RFC 9112 sections 3.2 and 3.2.2.
    fn find_authority(&self, of_target: Option<Authority<'b>>) -> Result<Option<Authority<'b>>, Refusal> {
        let Some(host) = self.single("host")? else {
            return match self.version {
                Version::Http10 => Ok(of_target),
                Version::Http11 => Err(bad("the field Host is missing")),
            };
        };
        let host = Authority::parse(host).ok_or_else(|| bad("the field Host is no host"))?;
        match of_target {
            Some(of_target) if of_target != host => Err(bad("its target and the field Host name different hosts")),
            _ => Ok(Some(host)),
        }
    }

    /// RFC 9112 sections 6.1 to 6.3, and stricter.
    fn find_body(&self, method: Method) -> Result<BodyKind, Refusal> {
        let mut lengths = self.all("content-length");
        let mut codings = self.all("transfer-encoding");
        match (lengths.next(), codings.next()) {
            (Some(_), Some(_)) => Err(bad("Content-Length and Transfer-Encoding stand together")),
            (None, None) if method == Method::Post && self.version == Version::Http10 => {
                Err(Reason::LengthRequired.into())
            }
            (None, None) => Ok(BodyKind::None),
            (Some(length), None) => match lengths.next() {
                Some(_) => Err(bad("the field Content-Length stands twice")),
                None => parse_length(length).map(BodyKind::Sized),
            },
            (None, Some(coding)) => {
                if self.version == Version::Http10 {
                    return Err(bad("HTTP/1.0 has no Transfer-Encoding"));
                }
                match codings.next() {
                    Some(_) => Err(bad("the field Transfer-Encoding stands twice")),
                    None => check_coding(coding).map(|()| BodyKind::Chunked),
                }
            }
        }
    }

    /// RFC 9112 section 9.3.
    fn find_keep_alive(&self) -> bool {
        let is_default = self.version == Version::Http11;
        !self.has_token("connection", "close") && (is_default || self.has_token("connection", "keep-alive"))
    }

    /// RFC 9110 section 10.1.1.
    fn find_expectation(&self) -> Result<bool, Refusal> {
        // Who speaks 1.0 can't wait for it.
        if self.version == Version::Http10 {
            return Ok(false);
        }
        if self.list("expect").any(|expectation| !expectation.eq_ignore_ascii_case(b"100-continue")) {
            return Err(Reason::ExpectationFailed.into());
        }
        Ok(self.list("expect").next().is_some() && !matches!(self.body, BodyKind::None | BodyKind::Sized(0)))
    }
}

/// The four forms of a target (RFC 9112 section 3.2), but for CONNECT's, which is refused with its method.
struct Target<'b> {
    path: &'b str,
    query: Option<&'b str>,
    authority: Option<Authority<'b>>,
}

impl<'b> Target<'b> {
    fn parse(text: &'b str, method: Method) -> Result<Self, Refusal> {
        if text.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'#') {
            return Err(bad("its target has a character that has to be percent-encoded"));
        }
        if text == "*" && method == Method::Options {
            return Ok(Target { path: "*", query: None, authority: None });
        }
        if text.starts_with('/') {
            return Ok(Target::from_origin_form(text, None));
        }
        Target::from_absolute_form(text).ok_or_else(|| bad("its target is no path"))
    }

    fn from_origin_form(text: &'b str, authority: Option<Authority<'b>>) -> Self {
        match text.split_once('?') {
            Some((path, query)) => Target { path, query: Some(query), authority },
            None => Target { path: text, query: None, authority },
        }
    }

    fn from_absolute_form(text: &'b str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return None;
        }
        let (authority, path) = rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len()))?;
        let authority = Some(Authority::parse(authority)?);
        // An empty path is the root (RFC 9110 section 4.2.3), and nothing here has a query there.
        match path {
            "" => Some(Target { path: "/", query: None, authority }),
            _ if path.starts_with('/') => Some(Target::from_origin_form(path, authority)),
            _ => None,
        }
    }
}

/// RFC 9112 section 3: exactly two spaces, and a version that is one. What httparse would take beyond that is refused
/// here, and a version that is only not ours is told from one that is none.
fn check_request_line(bytes: &[u8]) -> Result<(), Refusal> {
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(bad("its first line is not: method, target, version"));
    };
    if !is_token(method) || target.is_empty() {
        return Err(bad("its first line is not: method, target, version"));
    }
    match version {
        b"HTTP/1.1" | b"HTTP/1.0" => Ok(()),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(Reason::VersionUnsupported.into()),
        _ => Err(bad("its first line does not end with a version")),
    }
}

/// CONNECT's target has no path, and what follows it may be another protocol.
fn check_method(name: &str) -> Result<Method, Refusal> {
    if name == "CONNECT" {
        return Err(Refusal::from(Reason::MethodUnknown).because("this is no proxy"));
    }
    Ok(Method::from_name(name))
}

/// RFC 9110 section 8.6: digits alone. A list of equal lengths would be allowed, and is refused.
fn parse_length(value: &[u8]) -> Result<u64, Refusal> {
    let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| bad("its Content-Length is no length"))
}

/// RFC 9112 section 6.1: a coding that is not known is 501, if it is clear where the body ends.
fn check_coding(value: &[u8]) -> Result<(), Refusal> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let codings = || value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let ends_chunked = codings().next_back().is_some_and(is_chunked);
    if ends_chunked && codings().filter(|coding| is_chunked(coding)).count() == 1 && codings().all(is_token) {
        return Err(Reason::TransferCodingUnknown.into());
    }
    Err(bad("its Transfer-Encoding is not chunked"))
}

fn refusal_of(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Reason::HeadTooLarge.into(),
        httparse::Error::HeaderName => bad("a field's name is none"),
        httparse::Error::HeaderValue => bad("a field's value is none"),
        httparse::Error::NewLine | httparse::Error::Status | httparse::Error::Token | httparse::Error::Version => {
            bad("its first line is not: method, target, version")
        }
    }
}

fn bad(detail: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::from(Reason::BadRequest).because(detail)
}

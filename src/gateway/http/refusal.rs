//! Refusals: why, for programs and for people, and the answer that says it.
//!
//! ```text
//!  HTTP/1.1 503 Service Unavailable            the status: what any client understands
//!  Retry-After: 1                              whole seconds, rounded up, when the class is `after`
//!
//!  {"code":300,"name":"NO_RESPONDERS","message":"Nobody answers requests on this topic.",
//!   "retry":"after","retry_after_ms":1000}
//! ```
//!
//! `code`, `name` and `retry` are the registry's (protocol.md section 7) where the broker refuses, and a [`Reason`]'s
//! where HTTP does. A CONFLICT has `actual` too, the topic's last sequence.

use super::answer::{Answer, Cache, Exchange, MediaType};
use super::header_value::HeaderValue;
use super::method::Methods;
use super::origin::Cors;
use super::reason::{Reason, status_of};
use super::status::Status;
use fanwire_wire::{Code, Retry};
use std::borrow::Cow;
use std::fmt::Write;

/// Who refuses, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// HTTP.
    Reason(Reason),
    /// The broker.
    Code(Code),
}

impl Cause {
    /// The number in the body.
    pub const fn number(self) -> u16 {
        match self {
            Cause::Reason(reason) => reason.number(),
            Cause::Code(code) => code.number(),
        }
    }

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Cause::Reason(reason) => reason.name(),
            Cause::Code(code) => code.name(),
        }
    }

    /// What happened, in a sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Cause::Reason(reason) => reason.meaning(),
            Cause::Code(code) => code.meaning(),
        }
    }

    /// What a client should do next, unless the refusal itself says otherwise.
    pub const fn retry(self) -> Retry {
        match self {
            Cause::Reason(reason) => reason.retry(),
            Cause::Code(code) => code.retry(),
        }
    }

    /// The status.
    pub const fn status(self) -> Status {
        match self {
            Cause::Reason(reason) => reason.status(),
            Cause::Code(code) => status_of(code),
        }
    }
}

/// An answer that is no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub cause: Cause,
    /// What to do next: the cause's, or what the broker said this time.
    pub retry: Retry,
    /// What exactly was wrong, in words that follow a colon; may be empty. May hold what a peer sent.
    pub detail: Cow<'static, str>,
    /// What the resource takes, when it was the method.
    pub allow: Option<Methods>,
    /// The topic's last sequence, when another one was expected.
    pub actual: Option<u64>,
}

/// Refusals are rare and results are many.
const _: () = assert!(size_of::<Refusal>() <= 72);

impl From<Cause> for Refusal {
    fn from(cause: Cause) -> Self {
        Refusal { cause, retry: cause.retry(), detail: Cow::Borrowed(""), allow: None, actual: None }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Cause::Reason(reason).into()
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Cause::Code(code).into()
    }
}

impl Refusal {
    /// Says what exactly was wrong, in words that follow a colon.
    #[must_use]
    pub fn because(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Says what the resource takes.
    #[must_use]
    pub const fn allowing(mut self, methods: Methods) -> Self {
        self.allow = Some(methods);
        self
    }

    /// Says what to do next, where the broker's own refusal said it.
    #[must_use]
    pub const fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Says which sequence the topic's last record has.
    #[must_use]
    pub const fn with_actual(mut self, actual: Option<u64>) -> Self {
        self.actual = actual;
        self
    }

    /// The status.
    pub const fn status(&self) -> Status {
        self.cause.status()
    }

    /// Appends the whole answer. Who refused because of a head or a body hands in an exchange that closes.
    pub fn write(&self, exchange: Exchange, cors: Cors<'_>, out: &mut Vec<u8>) {
        let mut answer = Answer::begin(exchange, self.status(), out);
        answer.cors(cors).cache(Cache::Never);
        if let Some(methods) = self.allow {
            answer.header("Allow", HeaderValue::own(methods.names()));
        }
        if let Retry::After(delay_ms) = self.retry {
            answer.number("Retry-After", u64::from(delay_ms.div_ceil(1_000)));
        }
        if self.status() == Status::UNAUTHORIZED {
            answer.header("WWW-Authenticate", const { HeaderValue::own("Bearer realm=\"fanwire\"") });
        }
        if self.status() == Status::UPGRADE_REQUIRED {
            answer.header("Sec-WebSocket-Version", const { HeaderValue::own("13") });
            answer.offer_websocket();
        }
        answer.sized(MediaType::Json, self.body().as_bytes());
    }

    /// The body: one JSON object.
    pub fn body(&self) -> String {
        let mut body = format!(r#"{{"code":{},"name":"{}","message":""#, self.cause.number(), self.cause.name());
        if self.detail.is_empty() {
            escape(self.cause.meaning(), &mut body);
        } else {
            escape(self.cause.meaning().trim_end_matches('.'), &mut body);
            body.push_str(": ");
            escape(&self.detail, &mut body);
            body.push('.');
        }
        let class = match self.retry {
            Retry::Never => "never",
            Retry::Now => "now",
            Retry::After(_) => "after",
        };
        // Writing to a string can't fail.
        let _ = write!(body, r#"","retry":"{class}","retry_after_ms":{}"#, self.retry.after_ms());
        if let Some(actual) = self.actual {
            let _ = write!(body, r#","actual":{actual}"#);
        }
        body.push_str("}\n");
        body
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let separator = if self.detail.is_empty() { "" } else { ": " };
        write!(formatter, "{} {}{separator}{}", self.status().number(), self.cause.name(), self.detail.escape_debug())
    }
}

impl std::error::Error for Refusal {}

/// RFC 8259 section 7, and whatever could end a script or a line for somebody.
fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '<' | '>' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ if character.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(refusal: &Refusal) -> String {
        let mut out = Vec::new();
        refusal.write(Exchange::closing(), Cors::None, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_refusal_tells_programs_and_people_what_to_do() {
        let answer = answer(&Code::NoResponders.into());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{head}");
        assert!(head.contains("\r\nRetry-After: 1\r\n") && head.contains("\r\nConnection: close"), "{head}");
        assert_eq!(
            body,
            "{\"code\":300,\"name\":\"NO_RESPONDERS\",\"message\":\"Nobody answers requests on this topic.\",\
             \"retry\":\"after\",\"retry_after_ms\":1000}\n"
        );
    }

    #[test]
    fn statuses_that_need_a_field_have_it() {
        let has = |refusal: Refusal, field: &str| {
            let answer = answer(&refusal);
            assert!(answer.contains(&format!("\r\n{field}\r\n")), "{answer}");
        };
        let not_allowed = Refusal::from(Reason::MethodNotAllowed).allowing(Methods::GetAndPost);
        has(not_allowed, "Allow: GET, POST, OPTIONS");
        has(Code::BadCredentials.into(), "WWW-Authenticate: Bearer realm=\"fanwire\"");
        has(Reason::UpgradeRequired.into(), "Upgrade: websocket");
        has(Reason::UpgradeRequired.into(), "Sec-WebSocket-Version: 13");
        has(Refusal::from(Code::Draining).with_retry(Retry::After(2_001)), "Retry-After: 3");
        assert!(!answer(&Code::InvalidTopic.into()).contains("Retry-After"));
        assert!(Refusal::from(Code::Conflict).with_actual(Some(7)).body().ends_with(",\"actual\":7}\n"));
    }

    #[test]
    fn what_a_peer_sent_stays_inside_its_string() {
        let refusal = Refusal::from(Reason::BadParameter).because("\"a\r\n\\</script>\u{2028}\u{7f}".to_owned());
        let body = refusal.body();
        assert!(body.contains(r#"\"a\u000d\u000a\\\u003c/script\u003e\u2028\u007f."#), "{body}");
        assert_eq!(body.lines().count(), 1);
        assert!(!refusal.to_string().contains('\n'));
    }
}

//! What can go wrong, one variant a class, so that a program decides by `match` and a person by reading.
//!
//! Every text says whose fault it is and what to do next. Two questions matter most and are never blurred: did it
//! happen ([`Error::Unknown`] is the only "perhaps"), and is it worth trying again ([`Error::retry`]).

use fanwire_wire::{Code, Retry, Violation};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The broker's own words: a code from the registry, what to do about it, and a text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The number of a [`Code`]; a later broker may send one that this build does not know.
    pub code: u16,
    /// What to do next, valid even when the code is not known.
    pub retry: Retry,
    /// For people; may be empty.
    pub text: String,
    /// With [`Code::Conflict`]: the topic's last sequence.
    pub actual: Option<u64>,
}

impl Refusal {
    /// The code, if this build knows it.
    pub const fn known(&self) -> Option<Code> {
        Code::from_number(self.code)
    }

    /// A refusal of which only the code was told.
    pub(crate) fn from_number(number: u16) -> Refusal {
        let retry = Code::from_number(number).map_or(Retry::Never, Code::retry);
        Refusal { code: number, retry, text: String::new(), actual: None }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known() {
            Some(code) => write!(formatter, "{code}")?,
            None => write!(formatter, "code {}", self.code)?,
        }
        match self.known() {
            _ if !self.text.is_empty() => write!(formatter, ": {}", self.text.escape_debug())?,
            Some(code) => write!(formatter, ": {}", code.meaning())?,
            None => {}
        }
        if let Some(actual) = self.actual {
            write!(formatter, " The topic is at sequence {actual}.")?;
        }
        match self.retry {
            Retry::Never => write!(formatter, " (trying the same again cannot succeed)"),
            Retry::Now => write!(formatter, " (worth trying again)"),
            Retry::After(delay_ms) => write!(formatter, " (worth trying again after {delay_ms} ms)"),
        }
    }
}

/// Everything the client can fail with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Error {
    /// The server's address does not read as `fanwire://[token@]host:port`. The text never shows the token.
    Url {
        /// What is wrong with it.
        fault: String,
    },
    /// No connection came about: nobody listens there, or the network does not lead there.
    Connect {
        /// Where to, without the token.
        server: String,
        /// What the system said.
        error: Arc<io::Error>,
    },
    /// The broker refused the connection during the handshake.
    Handshake(Refusal),
    /// Client and broker have no protocol version in common.
    Version {
        /// The oldest version the broker speaks.
        server_min: u8,
        /// The newest version the broker speaks.
        server_max: u8,
    },
    /// The broker refused one command; the connection goes on.
    Refused(Refusal),
    /// A publish expected another last sequence of its topic; it was not accepted. Read on to the actual one, decide
    /// anew, and publish again.
    Conflict {
        /// The topic's last sequence; 0 when it has no record.
        actual: u64,
    },
    /// The broker ended the connection and said why.
    Closed(Refusal),
    /// The connection broke: the network's or the broker's end, without a word.
    Lost(Arc<io::Error>),
    /// There is no connection at the moment, so nothing was sent. `poll` and `wait` bring it back.
    Disconnected,
    /// The connection ended before the outcome was told: it may have happened, or not.
    Unknown,
    /// Nobody answers requests on this topic.
    NoResponders,
    /// No reply came before the request's deadline.
    DeadlineExceeded,
    /// The responder that had the request left without a reply.
    ResponderGone,
    /// The other side was silent for too long.
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// How long.
        after: Duration,
    },
    /// An argument breaks a rule of the protocol; checked before anything is sent.
    Invalid {
        /// What kind of argument.
        what: &'static str,
        /// The argument.
        given: String,
        /// The rule.
        rule: String,
    },
    /// An argument passes a limit that the broker announced; checked before anything is sent.
    Limit {
        /// The limit's name, as the broker's configuration spells it.
        what: &'static str,
        /// What it would have taken.
        given: u64,
        /// What is allowed.
        max: u64,
    },
    /// The outgoing buffer is full, or a producer's older message has no answer yet and would be forgotten by then
    /// (protocol.md section 5.3), and the call may not block. Nothing was buffered; poll, then try again.
    WouldBlock,
    /// A blocking call could not go on, because events that nobody polled for fill the backlog.
    BacklogFull {
        /// The bound, `Options::backlog_bytes_max`.
        bytes_max: usize,
    },
    /// The broker broke the protocol, or something else than a Fanwire broker answered.
    Violation(Violation),
}

impl Error {
    /// What to do with the same attempt.
    pub const fn retry(&self) -> Retry {
        match self {
            Error::Handshake(refusal) | Error::Refused(refusal) | Error::Closed(refusal) => refusal.retry,
            Error::NoResponders => Code::NoResponders.retry(),
            Error::Url { .. }
            | Error::Version { .. }
            | Error::Invalid { .. }
            | Error::Limit { .. }
            | Error::Conflict { .. }
            | Error::Violation(_) => Retry::Never,
            _ => Retry::Now,
        }
    }

    /// The registry's code behind the error, where there is one that this build knows.
    pub const fn code(&self) -> Option<Code> {
        match self {
            Error::Handshake(refusal) | Error::Refused(refusal) | Error::Closed(refusal) => refusal.known(),
            Error::Conflict { .. } => Some(Code::Conflict),
            Error::NoResponders => Some(Code::NoResponders),
            Error::DeadlineExceeded => Some(Code::DeadlineExceeded),
            Error::ResponderGone => Some(Code::ResponderGone),
            Error::Version { .. } => Some(Code::UnsupportedVersion),
            Error::Violation(violation) => Some(violation.0),
            _ => None,
        }
    }

    /// How a publish ended that was refused.
    pub(crate) fn from_refused_publish(refusal: Refusal) -> Error {
        match (refusal.known(), refusal.actual) {
            (Some(Code::Conflict), Some(actual)) => Error::Conflict { actual },
            _ => Error::Refused(refusal),
        }
    }

    /// How a request ended that was answered with a code instead of a reply.
    pub(crate) fn from_response(number: u16) -> Error {
        match Code::from_number(number) {
            Some(Code::NoResponders) => Error::NoResponders,
            Some(Code::DeadlineExceeded) => Error::DeadlineExceeded,
            Some(Code::ResponderGone) => Error::ResponderGone,
            _ => Error::Refused(Refusal::from_number(number)),
        }
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Error::Violation(violation)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Url { fault } => {
                write!(formatter, "{fault}; the form is fanwire://[token@]host:port, e.g. fanwire://127.0.0.1:7311")
            }
            Error::Connect { server, error } => write!(
                formatter,
                "cannot connect to {server}: {error}; check that the broker runs there (fanwire serve) and is reachable"
            ),
            Error::Handshake(refusal) => {
                write!(formatter, "the broker refused the connection: {refusal}{}", credentials_hint(refusal))
            }
            Error::Version { server_min, server_max } => write!(
                formatter,
                "the broker speaks protocol versions {server_min} to {server_max}, this client {} to {}; update the \
                 older",
                fanwire_wire::VERSION_MIN,
                fanwire_wire::VERSION_MAX
            ),
            Error::Refused(refusal) => write!(formatter, "the broker refused: {refusal}"),
            Error::Conflict { actual } => write!(
                formatter,
                "the topic is at sequence {actual}, not at the expected one: somebody else was faster; read on to \
                 {actual}, decide anew and publish again"
            ),
            Error::Closed(refusal) => write!(formatter, "the broker closed the connection: {refusal}"),
            Error::Lost(error) => write!(formatter, "the connection was lost: {error}"),
            Error::Disconnected => {
                write!(formatter, "not connected, nothing was sent; call poll or wait until Event::Reconnected")
            }
            Error::Unknown => write!(
                formatter,
                "the connection ended before the outcome was told; it may have happened or not, so repeat it only if \
                 twice does no harm"
            ),
            Error::NoResponders => write!(formatter, "nobody answers on this topic; start a responder there"),
            Error::DeadlineExceeded => {
                write!(formatter, "no reply before the deadline; allow more time or look at the responder")
            }
            Error::ResponderGone => write!(formatter, "the responder left without a reply; ask again"),
            Error::Timeout { what, after } => {
                write!(formatter, "waited {after:?} for {what} in vain; the broker or the network is stuck")
            }
            Error::Invalid { what, given, rule } => {
                write!(formatter, "\"{}\" is not a valid {what}: {rule}", given.escape_debug())
            }
            Error::Limit { what, given, max } => {
                write!(formatter, "{given} passes the broker's {what} of {max}; send less or raise it there")
            }
            Error::WouldBlock => write!(
                formatter,
                "the outgoing buffer is full, or a producer has to wait for an answer; call poll and try again"
            ),
            Error::BacklogFull { bytes_max } => write!(
                formatter,
                "unread events fill the backlog of {bytes_max} bytes; call poll or wait before blocking calls"
            ),
            Error::Violation(violation) => {
                write!(
                    formatter,
                    "what answered is not a sound Fanwire broker ({violation}); check address and version"
                )
            }
        }
    }
}

fn credentials_hint(refusal: &Refusal) -> &'static str {
    if refusal.known() == Some(Code::BadCredentials) { "; give the token as fanwire://token@host:port" } else { "" }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Connect { error, .. } | Error::Lost(error) => Some(&**error),
            Error::Violation(violation) => Some(violation),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_with_an_unknown_code_still_says_what_to_do() {
        let refusal = Refusal { code: 999, retry: Retry::After(50), text: "later\x1b".into(), actual: None };
        assert_eq!(refusal.to_string(), "code 999: later\\u{1b} (worth trying again after 50 ms)");
        assert_eq!(Error::Closed(refusal).retry(), Retry::After(50));
    }

    #[test]
    fn a_missing_token_is_told_where_it_goes() {
        let error = Error::Handshake(Refusal::from_number(Code::BadCredentials.number()));
        assert!(error.to_string().contains("fanwire://token@host:port"), "{error}");
        assert_eq!(error.retry(), Retry::Never);
    }
}

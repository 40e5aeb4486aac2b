//! Where the broker is, how verbs reach it, and what they say when they can't.

use super::Failure;
use super::advice::with_advice;
use fanwire_client::{Client, Error, Options, ServerUrl};
use fanwire_wire::limits::{FILTER_PLUS_CEILING, TOPIC_BYTES_CEILING, TOPIC_LEVELS_CEILING};
use fanwire_wire::{Limits, TopicFilter, TopicName};

/// The arguments that every client verb has.
#[derive(Debug, clap::Args)]
pub(super) struct Server {
    /// The broker: fanwire://[token@]host:port.
    ///
    /// Other users of this machine can see a token given here; the environment variable hides it.
    #[arg(long, value_name = "URL", env = "FANWIRE_SERVER", hide_env_values = true)]
    #[arg(default_value = "fanwire://127.0.0.1:7311")]
    server: String,
}

impl Server {
    /// Connects for a verb that is over when its connection is.
    pub(super) fn connect_once(&self) -> Result<Client, Failure> {
        // Such a verb may be busy elsewhere (standard input, for one) for longer than a keep-alive would bear.
        self.connect(|options| Options { reconnect: false, keep_alive: None, ..options })
    }

    /// Connects for a verb that lives on through a lost connection.
    pub(super) fn connect_lasting(&self) -> Result<Client, Failure> {
        self.connect(|options| options)
    }

    fn connect(&self, adapt: impl FnOnce(Options) -> Options) -> Result<Client, Failure> {
        // Parsed here and not by clap, whose message would repeat the token.
        let server: ServerUrl =
            self.server.parse().map_err(|error: Error| Failure::Usage(format!("--server: {error}")))?;
        let options = Options {
            server,
            client_name: "fanwire-cli".to_owned(),
            client_version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Options::default()
        };
        Ok(Client::open(adapt(options))?)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Connect { server, error } if error.kind() == std::io::ErrorKind::ConnectionRefused => Failure::Run(
                format!("nobody listens at {server} ({error}); is the broker running? Start one with: fanwire serve"),
            ),
            Error::Url { .. } | Error::Invalid { .. } => Failure::Usage(error.to_string()),
            Error::Refused(refusal) => Failure::Run(format!("the broker refused: {}", with_advice(&refusal))),
            other => Failure::Run(other.to_string()),
        }
    }
}

/// The widest limits there can be: what breaks these is wrong whatever a broker is configured to.
pub(super) fn ceilings() -> Limits {
    Limits {
        topic_bytes_max: TOPIC_BYTES_CEILING,
        topic_levels_max: TOPIC_LEVELS_CEILING,
        filter_plus_max: FILTER_PLUS_CEILING,
        ..Limits::default()
    }
}

/// Reads a topic to publish to or ask on; for the argument parser.
pub(super) fn parse_topic(text: &str) -> Result<String, String> {
    match TopicName::publishable(text.as_bytes(), &ceilings()) {
        Ok(_) => Ok(text.to_owned()),
        Err(code) => Err(format!(
            "{code}; a topic is 1 to {TOPIC_LEVELS_CEILING} levels split by /, without +, # and control \
             characters, and not under $"
        )),
    }
}

/// Reads a filter; for the argument parser.
pub(super) fn parse_filter(text: &str) -> Result<String, String> {
    match TopicFilter::new(text.as_bytes(), &ceilings()) {
        Ok(_) => Ok(text.to_owned()),
        Err(code) => Err(format!(
            "{code}; a filter is a topic in which + stands for one level and # at the end for all the rest \
             (up to {TOPIC_LEVELS_CEILING} levels, {FILTER_PLUS_CEILING} of them +)"
        )),
    }
}

/// Reads a group's name; for the argument parser.
pub(super) fn parse_group(text: &str) -> Result<String, String> {
    match fanwire_wire::topic::check_group(text.as_bytes()) {
        Ok(group) => Ok(group.to_owned()),
        Err(code) => Err(format!("{code}; a group is 1 to 64 bytes without /, +, # and control characters")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_broker_would_take_is_refused_with_its_grammar() {
        assert_eq!(parse_topic("chat/lobby"), Ok("chat/lobby".to_owned()));
        for (wrong, code) in [("a/#", "INVALID_TOPIC"), ("", "INVALID_TOPIC"), ("$sys/x", "RESERVED_TOPIC")] {
            assert!(parse_topic(wrong).unwrap_err().starts_with(code), "{wrong}");
        }
        assert_eq!(parse_filter("$sys/#"), Ok("$sys/#".to_owned()));
        for wrong in ["a/#/b", "a+", "+/+/+/+/+", "\u{7}"] {
            assert!(parse_filter(wrong).unwrap_err().starts_with("INVALID_FILTER"), "{wrong}");
        }
        assert!(parse_group("a/b").unwrap_err().starts_with("INVALID_GROUP"));
    }
}

//! `fanwire request`: one question, its answer on standard output.

use super::connection::{Server, parse_topic};
use super::output::{Format, Output};
use super::{Failure, payload};
use crate::config::quantity::parse_time_ms;
use std::ffi::OsString;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  fanwire request time/now                        with standard input as the payload: end it with Ctrl-D
  fanwire request time/now ''                     with an empty payload
  fanwire request img/resize --timeout 30s < photo.jpg > small.jpg

Exit status: 0 answered; 1 nobody answers, too late, or no connection; 2 wrong usage.";

/// Ask on a topic and print the reply
///
/// The reply's bytes go to standard output as they are; on a terminal, control characters are written out.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Request {
    /// The topic to ask on
    #[arg(value_parser = parse_topic)]
    topic: String,
    /// The payload; standard input when absent
    payload: Option<OsString>,
    /// How long to wait for the reply; the responder learns of it
    #[arg(long, default_value = "2s", value_parser = parse_timeout)]
    timeout: Duration,
    #[command(flatten)]
    server: Server,
}

impl Request {
    pub(super) fn run(self) -> Result<(), Failure> {
        let payload = payload::whole(self.payload)?;
        let answer = self.server.connect_once()?.request(&self.topic, &payload, self.timeout)?;
        let mut output = Output::standard(Format::Raw);
        output.show_payload(&answer.payload)?;
        Ok(output.flush()?)
    }
}

/// A deadline travels as milliseconds in 32 bits.
fn parse_timeout(text: &str) -> Result<Duration, String> {
    let timeout_ms = parse_time_ms(text).map_err(|error| error.to_string())?;
    if (1..=u64::from(u32::MAX)).contains(&timeout_ms) {
        Ok(Duration::from_millis(timeout_ms))
    } else {
        Err("a timeout is at least 1ms, and no more than the broker's deadline_max (10m unless configured)".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_has_a_unit_and_is_never_nothing() {
        assert_eq!(parse_timeout("2s"), Ok(Duration::from_secs(2)));
        for wrong in ["2", "0s", "1000000h", "soon"] {
            assert!(parse_timeout(wrong).is_err(), "{wrong}");
        }
    }
}

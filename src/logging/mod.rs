//! The log: what happened, for people on a terminal and for programs elsewhere.
//!
//! ```text
//!  tracing event --Layer: line (text | JSON, escaped, bounded)--try_send--> queue (bounded) --thread--> stderr
//!                                                             +--full: count the loss, say it once there is room
//! ```
//!
//! A reactor must never wait for a terminal or a full pipe, so writing happens in a thread of its own and a line that
//! finds the queue full is lost and counted. What peers can cause goes through a [`Throttle`] first. Values are escaped
//! whatever way they were recorded: nobody's name can forge a line or a field.

mod line;
mod throttle;
mod writer;

pub use throttle::Throttle;

use crate::config::{Log, LogFormat, LogLevel};
use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::time::SystemTime;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use writer::Writer;

/// The environment variable that overrides the configured level.
pub const LEVEL_VARIABLE: &str = "FANWIRE_LOG";

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The environment variable holds something that is no level.
    #[error(
        "{LEVEL_VARIABLE}={value} is not a log level ({reason}); use off, error, warn, info, debug or trace, or one \
         a module such as warn,fanwire::reactor=debug"
    )]
    Level {
        /// What it holds.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The log was started before.
    #[error("the log was started twice")]
    AlreadyStarted,
    /// The writing thread could not be started.
    #[error("the log's thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// The running log. Dropping it writes what waits, so keep it until the process ends.
#[must_use = "lines that wait are lost unless the log is kept until the end"]
pub struct Logging(Arc<Writer>);

impl Logging {
    /// Lines lost so far, because whoever reads the log is slower than what is told.
    pub fn lost_count(&self) -> u64 {
        self.0.lost_count()
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.0.flush();
    }
}

/// Starts the log of this process.
pub fn start(log: &Log) -> Result<Logging, LoggingError> {
    let filter = match std::env::var(LEVEL_VARIABLE) {
        Ok(value) if !value.is_empty() => parse_filter(&value)?,
        _ => Targets::new().with_default(level_filter(log.level)),
    };
    let format = match log.format {
        LogFormat::Auto if stderr().is_terminal() => LogFormat::Text,
        LogFormat::Auto => LogFormat::Json,
        chosen => chosen,
    };
    let writer = Arc::new(Writer::start(stderr(), move |lost| line::loss(SystemTime::now(), format, lost))?);
    let lines = Lines { format, writer: Arc::clone(&writer) };
    let subscriber = Registry::default().with(filter).with(lines);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LoggingError::AlreadyStarted)?;
    Ok(Logging(writer))
}

fn parse_filter(value: &str) -> Result<Targets, LoggingError> {
    value.parse().map_err(|error: tracing_subscriber::filter::ParseError| LoggingError::Level {
        value: value.to_owned(),
        reason: error.to_string(),
    })
}

fn level_filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// Turns events into lines.
struct Lines {
    format: LogFormat,
    writer: Arc<Writer>,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        self.writer.write(line::render(SystemTime::now(), self.format, event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_takes_levels_and_modules_and_refuses_the_rest_by_name() {
        assert!(parse_filter("warn").is_ok());
        assert!(parse_filter("warn,fanwire::reactor=debug").is_ok());
        let refusal = parse_filter("fanwire=loud").unwrap_err().to_string();
        assert!(refusal.starts_with("FANWIRE_LOG=fanwire=loud is not a log level"), "{refusal}");
    }
}

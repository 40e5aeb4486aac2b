//! How a benchmark can fail, and what to do then.

use super::adapter::{Fault, Target};
use std::io;
use std::net::SocketAddr;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A peer that is not installed; a comparison goes on without it.
    #[error("{program} is not on the PATH; on Debian: apt-get install {package}")]
    Missing {
        /// What was looked for.
        program: &'static str,
        /// Where it comes from.
        package: &'static str,
    },
    /// A peer that is installed and can't do what is measured; a comparison goes on without it.
    #[error("{program} can't do this: {reason}")]
    Unfit {
        /// What was looked at.
        program: &'static str,
        /// What it lacks.
        reason: String,
    },
    /// A broker that did not start.
    #[error("{program} did not start: {reason}")]
    Start {
        /// What was started.
        program: String,
        /// What it said, or what the machine did.
        reason: String,
    },
    /// A connection that could not be made.
    #[error("connection {number} to {address} failed: {error}; fanwire bench doctor says what this machine allows")]
    Connect {
        /// Counted from 0.
        number: usize,
        /// Where to.
        address: SocketAddr,
        /// What the machine said.
        error: io::Error,
    },
    /// A connection that the broker ended.
    #[error("{target} closed connection {number}: {reason}")]
    Closed {
        /// Whose connection.
        target: &'static str,
        /// Counted from 0.
        number: usize,
        /// What is known of why.
        reason: String,
    },
    /// Something the protocol's adapter can't go on from.
    #[error("{}: {fault}", target.name())]
    Fault {
        /// Who said it.
        target: Target,
        /// What.
        fault: Fault,
    },
    /// A process that can't be looked at any more.
    #[error("the broker's {0}")]
    Ended(io::Error),
    /// Nothing happens any more.
    #[error("{0}")]
    Stuck(String),
    /// Numbers that don't go together.
    #[error("{0}")]
    Usage(String),
    /// Trouble of the machine.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl BenchError {
    /// Whether it is one broker's own failure: others can still be measured.
    pub fn is_of_one_broker(&self) -> bool {
        match self {
            BenchError::Missing { .. }
            | BenchError::Unfit { .. }
            | BenchError::Start { .. }
            | BenchError::Connect { .. }
            | BenchError::Closed { .. }
            | BenchError::Fault { .. }
            | BenchError::Ended(_)
            | BenchError::Stuck(_) => true,
            BenchError::Usage(_) | BenchError::Io(_) => false,
        }
    }
}

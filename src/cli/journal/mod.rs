//! `fanwire journal`: journals as they lie on the disk, beside a running broker or without one.
//!
//! ```text
//!  directory --looked at--> survey --> ls, info, dump         nothing is written, nothing is locked
//!            --locked-----> compact, verify --repair          refused while a broker has it
//! ```

mod compact;
mod dump;
mod held;
mod info;
mod list;
mod place;
mod start;
mod verify;

use super::Failure;
use crate::server::descriptors::raise_limit;
use clap::Subcommand;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  fanwire journal ls /srv/fanwire
  fanwire journal info /srv/fanwire/events
  fanwire journal dump /srv/fanwire/events --topic 'match/7/#' --from last:20
  fanwire journal dump /srv/fanwire/events --from time:2026-11-22T20:00:00Z --format json > since-eight.json
  fanwire journal verify /srv/fanwire/events
  fanwire journal compact /srv/fanwire/profiles --yes

What looks may do so beside a running broker: it neither locks nor writes. Then the newest records may be missing.";

/// Look into journals on disk, with or without a broker
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Journal {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the journals in a directory: how much they hold, since when, and how they were left
    Ls {
        /// The directory that the broker serves with (--data), or a journal's own
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Show one journal, segment by segment
    Info {
        /// The journal's directory
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    Dump(dump::Dump),
    Verify(verify::Verify),
    Compact(compact::Compact),
}

impl Journal {
    pub(super) fn run(self) -> Result<(), Failure> {
        // Each segment is a file, and all of them are open at once.
        raise_limit();
        match self.verb {
            Verb::Ls { directory } => list::run(&directory),
            Verb::Info { directory } => info::run(&directory),
            Verb::Dump(dump) => dump.run(),
            Verb::Verify(verify) => verify.run(),
            Verb::Compact(compact) => compact.run(),
        }
    }
}

//! How the process's open-file limit is shared out: the broker itself, its journals, and what is left is connections.
//!
//! ```text
//!  limit = own + each reactor's + what journals may need + connections
//! ```
//!
//! A connection that is one too many can be turned away. A segment that can't be made refuses publishes, so a journal's
//! descriptors are set aside before any connection is let in: one for each segment that it may have, since a cursor
//! reads a segment to its end though it was removed meanwhile, and a file that is opened late may be gone. They are
//! cheap: 100 GiB in segments of 64 MiB are 1 600, and the hard limit of a usual system allows half a million. The soft
//! one, which is there for programs that use `select`, is raised to it. A journal that has grown beyond the limit is
//! refused, alone; what a configuration asks for beyond the limit ends the start.

use super::ServeError;
use crate::config::Config;
use crate::journal::{Journals, OpenFiles};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are not connections: standard streams, signals, listener, spare, the acceptor's poll and waker,
/// connections that are being turned away, and some to spare.
const RESERVED_DESCRIPTORS: u64 = 60;
/// A reactor's own: poll, waker, the end by which its thread tells that it is over, and one to spare.
const DESCRIPTORS_PER_REACTOR: u64 = 4;

/// Lets the process open as many files as it is allowed to allow itself.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, "the open-file limit can't be raised to the hard one, and stays as it is");
    }
}

/// What journals may have of the process's open-file limit: all but the broker's own, and one connection.
pub(super) fn for_journals(config: &Config) -> OpenFiles {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    OpenFiles { for_journals: possible_connections(limit, config.reactor_count().into(), 1), limit }
}

/// How many connections there may be, and the process's open-file limit.
pub(super) fn connection_bound(config: &Config, journals: &Journals) -> Result<(u64, u64), ServeError> {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let for_journals = journals.descriptors_max();
    let possible = possible_connections(limit, config.reactor_count().into(), for_journals);
    if possible == 0 {
        return Err(ServeError::NoDescriptors { limit, for_journals });
    }
    let wanted = u64::from(config.limits.connections_max);
    if wanted > possible {
        tracing::warn!(wanted, possible, for_journals, "the open-file limit allows fewer connections than configured");
    }
    Ok((if wanted == 0 { possible } else { wanted.min(possible) }, limit))
}

const fn possible_connections(limit: u64, reactors: u64, for_journals: u64) -> u64 {
    let own = RESERVED_DESCRIPTORS + DESCRIPTORS_PER_REACTOR * reactors;
    limit.saturating_sub(own).saturating_sub(for_journals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_get_what_the_journals_leave() {
        assert_eq!(possible_connections(1_024, 2, 0), 956);
        assert_eq!(possible_connections(1_024, 2, 900), 56);
        assert_eq!(possible_connections(1_024, 2, 956), 0);
        assert_eq!(possible_connections(1_024, 2, u64::MAX), 0);
    }
}

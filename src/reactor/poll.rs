//! Waiting for events. A signal that interrupts it is no event and no error.

use mio::{Events, Poll};
use std::io::{self, ErrorKind};
use std::time::Duration;

/// Waits until something happens or the time is over.
pub(super) fn wait(poll: &mut Poll, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
    match poll.poll(events, timeout) {
        Err(error) if error.kind() == ErrorKind::Interrupted => {
            events.clear();
            Ok(())
        }
        other => other,
    }
}

//! How other threads reach a reactor: they say what they want, then wake it.

use mio::Waker;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What others have asked of a reactor.
pub struct Control {
    waker: Waker,
    is_drain_wanted: AtomicBool,
}

impl Control {
    pub(super) fn new(waker: Waker) -> Self {
        Control { waker, is_drain_wanted: AtomicBool::new(false) }
    }

    pub(super) fn is_drain_wanted(&self) -> bool {
        self.is_drain_wanted.load(Ordering::Acquire)
    }
}

/// The other threads' end.
pub struct Handle {
    control: Arc<Control>,
}

impl Handle {
    pub(super) fn new(control: Arc<Control>) -> Self {
        Handle { control }
    }

    /// Asks the reactor to drain: to tell its clients, to wait for them to leave, and to end.
    pub fn drain(&self) -> io::Result<()> {
        self.control.is_drain_wanted.store(true, Ordering::Release);
        self.control.waker.wake()
    }
}

//! How other threads reach one that sleeps in its poll: they say what they want, then wake it.

use mio::{Registry, Token, Waker};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What others have asked of a thread, and how they wake it.
pub(super) struct Control {
    waker: Waker,
    is_drain_wanted: AtomicBool,
}

impl Control {
    /// A control whose wakes come out of this registry's poll under the token.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Arc<Control>> {
        let waker = Waker::new(registry, token)?;
        Ok(Arc::new(Control { waker, is_drain_wanted: AtomicBool::new(false) }))
    }

    /// Makes the thread turn: whatever was handed to it before this call will be seen.
    pub(super) fn wake(&self) -> io::Result<()> {
        self.waker.wake()
    }

    pub(super) fn is_drain_wanted(&self) -> bool {
        self.is_drain_wanted.load(Ordering::Acquire)
    }
}

/// Ends an acceptor or a reactor from another thread.
pub struct Handle {
    control: Arc<Control>,
}

impl Handle {
    pub(super) fn new(control: &Arc<Control>) -> Self {
        Handle { control: Arc::clone(control) }
    }

    /// Asks a reactor to drain: to tell its clients, to wait for them to leave, and to end. An acceptor ends at once.
    pub fn drain(&self) -> io::Result<()> {
        self.control.is_drain_wanted.store(true, Ordering::Release);
        self.control.wake()
    }
}

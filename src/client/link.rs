//! One TCP connection, and how to wait on it with std alone.
//!
//! std has no `poll(2)`. So there are two ways to touch the socket:
//! - *without patience*, in non-blocking mode: take or give what is possible right now;
//! - *with patience*, in blocking mode under `SO_RCVTIMEO` and `SO_SNDTIMEO`: sleep in the kernel until something is
//!   possible or the time is up.
//!
//! A change of mode is a system call, so the mode stays until the other one is needed: a game loop that only polls
//! never leaves non-blocking mode, a loop of requests never leaves blocking mode. A write with patience sleeps for
//! [`WRITE_NAP`] at the most, because while it sleeps nobody reads: whoever writes alternates with reading.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// The longest sleep in a write.
const WRITE_NAP: Duration = Duration::from_millis(5);
/// The longest sleep in a read: timers are looked at in between. Being a constant, it is set once for a long wait.
const READ_NAP_MAX: Duration = Duration::from_secs(1);

/// How long a call may sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Not at all.
    None,
    /// For a moment in a write that cannot go on; not in a read.
    Brief,
    /// At most this long, which is bounded by [`READ_NAP_MAX`] and a whole number of milliseconds.
    UpTo(Duration),
}

impl Patience {
    /// For something that has this much time left.
    pub(crate) fn of(left: Duration) -> Patience {
        if left.is_zero() {
            return Patience::None;
        }
        let millis = left.min(READ_NAP_MAX).as_nanos().div_ceil(1_000_000);
        Patience::UpTo(Duration::from_millis(u64::try_from(millis).unwrap_or(1)))
    }

    /// The same, but not beyond what is left until something else is due.
    pub(crate) fn within(self, left: Duration) -> Patience {
        match self {
            Patience::UpTo(time) if left < time => Patience::of(left),
            other => other,
        }
    }

    pub(crate) const fn duration(self) -> Duration {
        match self {
            Patience::None => Duration::ZERO,
            Patience::Brief => WRITE_NAP,
            Patience::UpTo(time) => time,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    NonBlocking,
    Blocking,
}

#[derive(Debug)]
pub(crate) struct Link {
    stream: TcpStream,
    mode: Mode,
    read_timeout: Duration,
}

impl Link {
    pub(crate) fn connect(address: &SocketAddr, timeout: Duration) -> io::Result<Link> {
        let stream = TcpStream::connect_timeout(address, timeout.max(Duration::from_millis(1)))?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_NAP))?;
        stream.set_read_timeout(Some(READ_NAP_MAX))?;
        stream.set_nonblocking(true)?;
        Ok(Link { stream, mode: Mode::NonBlocking, read_timeout: READ_NAP_MAX })
    }

    /// Bytes read; `Some(0)` at the end of the stream, `None` when nothing came in time.
    pub(crate) fn read(&mut self, buffer: &mut [u8], patience: Patience) -> io::Result<Option<usize>> {
        if patience == Patience::None {
            self.set_mode(Mode::NonBlocking)?;
            return nothing_yet(self.stream.read(buffer));
        }
        if self.mode == Mode::NonBlocking {
            // Often something is there already, and then the mode can stay.
            if let Some(count) = nothing_yet(self.stream.read(buffer))? {
                return Ok(Some(count));
            }
            self.set_mode(Mode::Blocking)?;
        }
        if self.read_timeout != patience.duration() {
            self.stream.set_read_timeout(Some(patience.duration()))?;
            self.read_timeout = patience.duration();
        }
        nothing_yet(self.stream.read(buffer))
    }

    /// Bytes written; 0 when the socket had no room in time.
    pub(crate) fn write(&mut self, bytes: &[u8], patience: Patience) -> io::Result<usize> {
        if patience == Patience::None {
            self.set_mode(Mode::NonBlocking)?;
        }
        let mut written = nothing_yet(self.stream.write(bytes))?;
        if written.is_none() && patience != Patience::None && self.mode == Mode::NonBlocking {
            self.set_mode(Mode::Blocking)?;
            written = nothing_yet(self.stream.write(bytes))?;
        }
        match written {
            Some(0) if !bytes.is_empty() => Err(ErrorKind::WriteZero.into()),
            written => Ok(written.unwrap_or(0)),
        }
    }

    /// Tells the broker that no more will come.
    pub(crate) fn half_close(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    fn set_mode(&mut self, mode: Mode) -> io::Result<()> {
        if self.mode != mode {
            self.stream.set_nonblocking(mode == Mode::NonBlocking)?;
            self.mode = mode;
        }
        Ok(())
    }
}

/// No room, no bytes, a time-out and a signal all mean the same: nothing yet. Windows calls the time-out `TimedOut`;
/// elsewhere that is a dead connection, found by the system's own keep-alive.
fn nothing_yet(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(None),
            ErrorKind::TimedOut if cfg!(windows) => Ok(None),
            _ => Err(error),
        },
    }
}

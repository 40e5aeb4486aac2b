//! The listening socket: new connections in budgeted batches, and a spare descriptor for the day there are none.
//!
//! When the process is out of descriptors, a connection that waits can be neither accepted nor refused, and the edge
//! that announced it does not come again. So one descriptor is held back: it is closed, the connection is accepted on
//! its number and closed at once, and the number is taken back. After that, accepting pauses for a while.

use mio::net::TcpListener;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Connections accepted in one turn.
const ACCEPTS_PER_TURN_MAX: usize = 64;
/// How long accepting pauses without descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// Connections that may wait to be accepted; the kernel's own bound may be lower.
const BACKLOG: i32 = 4_096;

/// A bound and listening socket.
pub struct Acceptor {
    listener: TcpListener,
    spare: Option<File>,
    is_ready: bool,
    is_paused: bool,
}

impl Acceptor {
    /// Binds and listens.
    pub fn bind(address: SocketAddr) -> io::Result<Acceptor> {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
        // A restarted broker must not wait for its predecessor's connections to be forgotten.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from_std(std::net::TcpListener::from(socket));
        Ok(Acceptor { listener, spare: Some(spare_descriptor()?), is_ready: false, is_paused: false })
    }

    /// The address that was bound, with its real port.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.listener, token, Interest::READABLE)
    }

    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut self.listener)
    }

    pub(super) fn note_ready(&mut self) {
        self.is_ready = true;
    }

    pub(super) fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// How long to pause, once after each time that descriptors ran out.
    pub(super) fn take_pause(&mut self) -> Option<Duration> {
        std::mem::take(&mut self.is_paused).then_some(PAUSE)
    }

    /// Accepts what waits, up to a turn's share.
    pub(super) fn accept_batch(&mut self, mut take: impl FnMut(TcpStream, SocketAddr)) {
        if !self.is_ready {
            return;
        }
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            match self.listener.accept() {
                Ok((stream, address)) => take(TcpStream::from(OwnedFd::from(stream)), address),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_ready = false;
                    return;
                }
                Err(error) if is_exhausted(&error) => return self.shed(),
                // The peer gave up between its connect and our accept, or the like: the next one may be fine.
                Err(_) => {}
            }
        }
    }

    /// Frees the place of one connection that waits, and pauses.
    fn shed(&mut self) {
        self.is_ready = false;
        self.is_paused = true;
        self.spare = None;
        drop(self.listener.accept());
        self.spare = spare_descriptor().ok();
    }
}

fn spare_descriptor() -> io::Result<File> {
    File::open("/dev/null")
}

/// Whether trying again at once would fail again: no descriptors, or no memory for a socket.
fn is_exhausted(error: &io::Error) -> bool {
    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    exhausted.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

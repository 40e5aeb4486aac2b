//! The listening socket: one connection at a time, and a spare descriptor for the day there are none.
//!
//! When the process is out of descriptors, a connection that waits can be neither accepted nor refused, and the edge
//! that announced it does not come again. So one descriptor is held back: it is closed, the connection is accepted on
//! its number and closed at once, and the number is taken back. What follows is the acceptor's to decide.
//!
//! Options that every connection needs are set here, once: an accepted socket inherits them (tcp(7)).

use crate::config;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

/// Connections that may wait to be accepted; the kernel's own bound may be lower.
const BACKLOG: i32 = 4_096;

/// A bound and listening socket.
pub struct Listener {
    socket: TcpListener,
    spare: Option<File>,
}

/// What an attempt to accept came to.
pub(super) enum Attempt {
    /// A connection.
    Accepted(TcpStream, SocketAddr),
    /// Nobody waits; the next one brings an edge.
    Nobody,
    /// The peer gave up between its connect and our accept, or the like: the next one may be fine.
    Failed,
    /// No descriptor, or no memory, was left: one that waited was dropped.
    Shed,
}

impl Listener {
    /// Binds and listens. Connections will be undelayed (the broker gathers a turn's bytes itself), and watched by the
    /// kernel, so that a peer that is gone is found without a message.
    pub fn bind(address: SocketAddr, options: &config::Socket) -> io::Result<Listener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A restarted broker must not wait for its predecessor's connections to be forgotten.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        let idle = options.keepalive_idle;
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle).with_interval(idle / 3).with_retries(3))?;
        socket.set_tcp_user_timeout(Some(options.user_timeout))?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let socket = TcpListener::from_std(std::net::TcpListener::from(socket));
        Ok(Listener { socket, spare: Some(spare_descriptor()?) })
    }

    /// The address that was bound, with its real port.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.socket, token, Interest::READABLE)
    }

    /// Accepts one connection that waits.
    pub(super) fn accept(&mut self) -> Attempt {
        match self.socket.accept() {
            Ok((stream, address)) => {
                // An IPv4 peer is called the same at a listener for both.
                Attempt::Accepted(stream, SocketAddr::new(address.ip().to_canonical(), address.port()))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Attempt::Nobody,
            Err(error) if is_exhausted(&error) => self.shed(),
            Err(_) => Attempt::Failed,
        }
    }

    /// Frees the place of one connection that waits.
    fn shed(&mut self) -> Attempt {
        self.spare = None;
        drop(self.socket.accept());
        self.spare = spare_descriptor().ok();
        Attempt::Shed
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use socket2::SockRef;
    use std::time::Duration;

    #[test]
    fn an_accepted_socket_has_every_option_that_was_set_on_the_listener() {
        let options = config::Socket {
            keepalive_idle: Duration::from_secs(33),
            user_timeout: Duration::from_secs(44),
            ..Config::default().socket
        };
        let mut listener = Listener::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        let peer = std::net::TcpStream::connect(listener.local_address().unwrap()).unwrap();
        let (stream, address) = loop {
            match listener.accept() {
                Attempt::Accepted(stream, address) => break (stream, address),
                Attempt::Nobody => std::thread::yield_now(),
                Attempt::Failed | Attempt::Shed => panic!("the machine has descriptors"),
            }
        };
        assert_eq!(address, peer.local_addr().unwrap());
        let socket = SockRef::from(&stream);
        assert!(socket.nonblocking().unwrap() && socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(33));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(11));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(44)));
    }
}

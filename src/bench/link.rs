//! One connection of the generator: a socket, what is still to be written, the begin of a message that is not whole.
//!
//! An idle link owns no buffer: reads go into one that all share, with the begin of a message copied before them.

use super::adapter::{Ear, Fault, Progress, Target};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Bytes of one read.
pub(super) const READ_BYTES: usize = 64 * 1024;
/// Connections from one address of loopback, well below the ports that the kernel lends.
const LINKS_A_SOURCE: usize = 20_000;

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not connected, and not meant to be.
    Away,
    /// On its way: what it opens with is written once the kernel is ready.
    Opening,
    /// Everything it asked for is confirmed.
    Standing,
    /// The broker has closed it.
    Lost,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    socket: Option<TcpStream>,
    pub(super) stage: Stage,
    /// Confirmations still to come.
    pub(super) awaited: u32,
    progress: Progress,
    out: Vec<u8>,
    written: usize,
    held: Vec<u8>,
}

impl Link {
    pub(super) fn new() -> Link {
        Link {
            socket: None,
            stage: Stage::Away,
            awaited: 0,
            progress: Progress::default(),
            out: Vec::new(),
            written: 0,
            held: Vec::new(),
        }
    }

    /// Begins to connect; `open` fills in what the connection begins with and says how many confirmations will come.
    pub(super) fn dial(
        &mut self,
        number: usize,
        address: SocketAddr,
        registry: &Registry,
        open: impl FnOnce(&mut Vec<u8>) -> u32,
    ) -> io::Result<()> {
        let mut socket = connect(number, address)?;
        registry.register(&mut socket, Token(number), Interest::READABLE | Interest::WRITABLE)?;
        *self = Link { socket: Some(socket), stage: Stage::Opening, ..Link::new() };
        self.awaited = open(&mut self.out);
        Ok(())
    }

    /// Closes it.
    pub(super) fn hang_up(&mut self, stage: Stage) {
        *self = Link { stage, ..Link::new() };
    }

    /// What a connection attempt came to.
    pub(super) fn take_error(&self) -> Option<io::Error> {
        self.socket.as_ref().and_then(|socket| socket.take_error().ok().flatten())
    }

    /// Where bytes to be written go; [`Link::flush`] writes them.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Bytes that the kernel has not taken.
    pub(super) fn unwritten_bytes(&self) -> usize {
        self.out.len() - self.written
    }

    /// Writes what there is; what the kernel does not take stays for the next time.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let Some(socket) = &mut self.socket else { return Ok(()) };
        while self.written < self.out.len() {
            match socket.write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
            if self.stage == Stage::Opening {
                self.out = Vec::new();
            }
        }
        Ok(())
    }

    /// One read behind the begin of a message that is held; how many bytes came. `None`: nothing is there.
    pub(super) fn receive(&mut self, buffer: &mut Vec<u8>) -> io::Result<Option<usize>> {
        let Some(socket) = &mut self.socket else { return Ok(None) };
        let held = self.held.len();
        if buffer.len() < held + READ_BYTES {
            buffer.resize(held + READ_BYTES, 0);
        }
        buffer[..held].copy_from_slice(&self.held);
        loop {
            match socket.read(&mut buffer[held..held + READ_BYTES]) {
                Ok(count) => return Ok(Some(count)),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => {
                    return Ok(None);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Hears what [`Link::receive`] has brought.
    pub(super) fn hear(
        &mut self,
        target: Target,
        buffer: &[u8],
        count: usize,
        ear: &mut impl Ear,
    ) -> Result<(), Fault> {
        let end = self.held.len() + count;
        let used = target.hear(&mut self.progress, &buffer[..end], ear)?;
        self.held.clear();
        if used < end {
            self.held.extend_from_slice(&buffer[used..end]);
        } else if self.stage == Stage::Opening {
            self.held = Vec::new();
        }
        Ok(())
    }
}

fn connect(number: usize, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    let source = number / LINKS_A_SOURCE;
    if source > 0 && address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) {
        // Ports run out for each pair of addresses; loopback has millions of addresses.
        let host = u8::try_from(1 + source)
            .map_err(|_| io::Error::other("more connections than 254 source addresses carry"))?;
        socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0)).into())?;
    }
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => return Err(error),
        _ => {}
    }
    Ok(TcpStream::from_std(socket.into()))
}

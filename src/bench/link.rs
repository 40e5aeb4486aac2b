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
/// The first address of loopback that connections come from once the usual one has lent all its ports.
const SOURCES: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 0);
/// Addresses behind it: the rest of loopback.
const SOURCES_MAX: usize = (1 << 24) - (1 << 17);
/// The receive buffer of who stops reading: a large one would hide it from the broker for many megabytes.
const STALLED_BUFFER_BYTES: usize = 4 * 1024;

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

/// How to connect.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialling {
    /// Which connection it is.
    pub(super) number: usize,
    pub(super) address: SocketAddr,
    /// Connections that one source address may have: ports run out for each pair of addresses.
    pub(super) links_a_source: usize,
    /// Whether it reads once it stands.
    pub(super) reads: bool,
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
        dialling: &Dialling,
        registry: &Registry,
        open: impl FnOnce(&mut Vec<u8>) -> u32,
    ) -> io::Result<()> {
        let mut socket = connect(dialling)?;
        registry.register(&mut socket, Token(dialling.number), Interest::READABLE | Interest::WRITABLE)?;
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

fn connect(dialling: &Dialling) -> io::Result<TcpStream> {
    let Dialling { number, address, links_a_source, reads } = *dialling;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if !reads {
        socket.set_recv_buffer_size(STALLED_BUFFER_BYTES)?;
    }
    if address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST)
        && let Some(source) = source(number, links_a_source)?
    {
        // A port that an earlier run has left in TIME_WAIT may be used again.
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((source, 0)).into())?;
    }
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => return Err(error),
        _ => {}
    }
    Ok(TcpStream::from_std(socket.into()))
}

/// The address that a connection comes from; `None`: the kernel's choice, for as many as that has ports for.
fn source(number: usize, links_a_source: usize) -> io::Result<Option<Ipv4Addr>> {
    let Some(index) = (number / links_a_source.max(1)).checked_sub(1) else { return Ok(None) };
    if index >= SOURCES_MAX {
        return Err(io::Error::other("more connections than the addresses of loopback have ports for"));
    }
    let offset = u32::try_from(index).expect("below the maximum");
    Ok(Some(Ipv4Addr::from(u32::from(SOURCES) + offset)))
}

/// Connections from one address that leave a quarter of the ports of the kernel's range to others; the range is what
/// `ip_local_port_range` says.
pub(super) fn links_a_source(range: &str) -> usize {
    let mut bounds = range.split_whitespace().filter_map(|word| word.parse::<usize>().ok());
    let (first, last) = (bounds.next().unwrap_or(32_768), bounds.next().unwrap_or(60_999));
    ((last + 1).saturating_sub(first) * 3 / 4).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_address_has_as_many_connections_as_it_has_ports() {
        let address = |number| source(number, 21_000).unwrap().map(|address| address.to_string());
        assert_eq!((address(0), address(20_999)), (None, None));
        assert_eq!(address(21_000).as_deref(), Some("127.1.0.0"));
        assert_eq!(address(41_999).as_deref(), Some("127.1.0.0"));
        assert_eq!(address(300 * 21_000).as_deref(), Some("127.1.1.43"));
        assert_eq!(address(5_000_000).as_deref(), Some("127.1.0.237"));
        assert!(source(usize::MAX, 1).unwrap_err().to_string().contains("addresses of loopback"));
    }

    #[test]
    fn the_kernel_says_how_many_ports_there_are() {
        assert_eq!(links_a_source("32768\t60999"), 28_232 * 3 / 4);
        assert_eq!(links_a_source("1024 65535"), 64_512 * 3 / 4);
        assert_eq!(links_a_source("unknown"), 28_232 * 3 / 4);
        assert_eq!(links_a_source("9 1"), 1);
    }
}

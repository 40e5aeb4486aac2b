//! What is set on the socket of one connection; what all have in common they inherit from the listener.

use mio::net::TcpStream;
use socket2::SockRef;
use std::io;

/// Keeps the kernel from hiding more than this much unsent data: what is not sent yet can still be replaced.
pub(super) fn limit_unsent(stream: &TcpStream, unsent_bytes: u32) -> io::Result<()> {
    SockRef::from(stream).set_tcp_notsent_lowat(unsent_bytes)
}

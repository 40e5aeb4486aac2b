//! How sockets are set up.

use crate::config;
use mio::net::TcpStream;
use socket2::{SockRef, TcpKeepalive};
use std::hash::{BuildHasher, RandomState};
use std::io;

/// Makes an accepted socket one of ours: non-blocking, undelayed (the broker gathers a turn's bytes itself), and
/// watched by the kernel, so that a peer that is gone is found without a message.
pub(super) fn prepare(stream: std::net::TcpStream, options: &config::Socket) -> io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    let idle = options.keepalive_idle;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle).with_interval(idle / 3).with_retries(3))?;
    socket.set_tcp_user_timeout(Some(options.user_timeout))?;
    Ok(TcpStream::from_std(stream))
}

/// Keeps the kernel from hiding more than this much unsent data: what is not sent yet can still be replaced.
pub(super) fn limit_unsent(stream: &TcpStream, unsent_bytes: u32) -> io::Result<()> {
    SockRef::from(stream).set_tcp_notsent_lowat(unsent_bytes)
}

/// A seed that peers can't guess.
pub(super) fn random_seed() -> u64 {
    RandomState::new().hash_one("shard")
}

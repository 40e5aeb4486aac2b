//! The broker as a process: what starts in which order, and how it ends.
//!
//! ```text
//!  bind --> reactor thread --> banner --> wait for a signal --> drain --> join
//!                                              | a second signal ends the process at once
//! ```

use crate::config::Config;
use crate::reactor::{Acceptor, Reactor};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Descriptors that are not connections: standard streams, poll, waker, listener, spare, signals, and some to spare.
const RESERVED_DESCRIPTORS: u64 = 64;

/// Why the broker could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address can't be had.
    #[error("can't listen on {address}: {error}; is another broker running there? Choose another with --listen")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the machine said.
        error: io::Error,
    },
    /// The open-file limit leaves no room for a single connection.
    #[error("the open-file limit of {limit} leaves no room for connections; raise it (ulimit -n)")]
    NoDescriptors {
        /// The limit.
        limit: u64,
    },
    /// The machine refused something else.
    #[error("{what}: {error}")]
    Machine {
        /// What was tried.
        what: &'static str,
        /// What the machine said.
        error: io::Error,
    },
}

fn machine(what: &'static str) -> impl FnOnce(io::Error) -> ServeError {
    move |error| ServeError::Machine { what, error }
}

/// What the machine has made of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// The address that was bound, with its real port.
    pub address: SocketAddr,
    /// Connections at one time.
    pub connections_max: u64,
    /// The process' open-file limit.
    pub open_files_max: u64,
}

/// Runs a broker until it is told to end; `announce` is called once it accepts connections.
pub fn run(config: &Config, announce: impl FnOnce(&Bound)) -> Result<(), ServeError> {
    let (connections_max, open_files_max) = connection_bound(config)?;
    let acceptor = Acceptor::bind(config.listen).map_err(|error| ServeError::Bind { address: config.listen, error })?;
    let address = acceptor.local_address().map_err(machine("the listening address"))?;
    let mut signals = Signals::install().map_err(machine("signal handlers"))?;
    let (reactor, handle) = Reactor::new(config, acceptor, connections_max as usize).map_err(machine("the reactor"))?;
    let ended = signals.sender().map_err(machine("the reactor's end"))?;
    let thread = std::thread::Builder::new()
        .name("reactor-0".to_owned())
        .spawn(move || {
            let outcome = reactor.run();
            drop(ended);
            outcome
        })
        .map_err(machine("the reactor's thread"))?;
    announce(&Bound { address, connections_max, open_files_max });
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "serving");
    if signals.wait() {
        handle.drain().map_err(machine("waking the reactor"))?;
    }
    let outcome = thread.join().expect("a reactor that panics takes the process with it");
    outcome.map_err(machine("the reactor's poll"))?;
    tracing::info!("stopped");
    Ok(())
}

/// How many connections there may be, and the process' open-file limit.
fn connection_bound(config: &Config) -> Result<(u64, u64), ServeError> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let possible = limit.saturating_sub(RESERVED_DESCRIPTORS);
    if possible == 0 {
        return Err(ServeError::NoDescriptors { limit });
    }
    let wanted = u64::from(config.limits.connections_max);
    if wanted > possible {
        tracing::warn!(wanted, possible, "the open-file limit allows fewer connections than configured");
    }
    Ok((if wanted == 0 { possible } else { wanted.min(possible) }, limit))
}

/// SIGTERM and SIGINT as a stream: the first is a byte to read, the second ends the process.
struct Signals {
    receiver: UnixStream,
    sender: UnixStream,
}

impl Signals {
    fn install() -> io::Result<Signals> {
        let (receiver, sender) = UnixStream::pair()?;
        let is_second = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // The order counts: the first signal finds the flag down, raises it, and is told through the stream.
            signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&is_second))?;
            signal_hook::flag::register(signal, Arc::clone(&is_second))?;
            signal_hook::low_level::pipe::register(signal, sender.try_clone()?)?;
        }
        Ok(Signals { receiver, sender })
    }

    /// An end whose drop is noticed by `wait`.
    fn sender(&self) -> io::Result<Ended> {
        self.sender.try_clone().map(Ended)
    }

    /// Waits for a signal (true) or for the reactor's end (false).
    fn wait(&mut self) -> bool {
        let mut byte = [0];
        loop {
            match self.receiver.read(&mut byte) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(1) => return byte[0] != ENDED,
                _ => return false,
            }
        }
    }
}

/// What the reactor's thread writes when it ends; signals write another byte.
const ENDED: u8 = 0xFF;

/// Tells the waiting thread when it is dropped.
struct Ended(UnixStream);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = io::Write::write(&mut self.0, &[ENDED]);
    }
}

//! The broker as a process: what starts in which order, and how it ends.
//!
//! ```text
//!  journals --> bind --> reactors' threads --> acceptor's thread --> banner --> wait for a signal
//!                                                                       |   a second signal ends the process at once
//!             join <-- journals are closed <-- every reactor drains <-- the acceptor ends
//! ```
//!
//! A thread that ends before it was asked to, or with an error, ends the process: it would be a broker that serves
//! some and not others.

pub(crate) mod descriptors;

use crate::config::Config;
use crate::journal::{Clerk, Journals, OpenFailure, Reading};
use crate::reactor::{Handle, JournalSeat, Listener, Premises, Reactor, Team};
use fanwire_gateway::stats::{Facts, Stats};
use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

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
    #[error(
        "the open-file limit of {limit} leaves no room for connections, with {for_journals} set aside for journals; \
         raise it (ulimit -n){}",
        if *.for_journals == 0 { "" } else { ", or give the journals larger segments or a smaller max_bytes" }
    )]
    NoDescriptors {
        /// The limit.
        limit: u64,
        /// What the journals may need of it.
        for_journals: u64,
    },
    /// A thread of the broker could not go on.
    #[error("{name} can't go on: {error}")]
    Thread {
        /// Which one.
        name: String,
        /// What the machine said.
        error: io::Error,
    },
    /// The journals are not to be had.
    #[error(transparent)]
    Journal(#[from] OpenFailure),
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The address that was bound, with its real port.
    pub address: SocketAddr,
    /// The same of the address for operators, if there is one.
    pub admin_address: Option<SocketAddr>,
    /// Connections at one time.
    pub connections_max: u64,
    /// The process' open-file limit.
    pub open_files_max: u64,
    /// Names of the journals that could not be opened.
    pub journals_refused: Vec<String>,
}

/// Runs a broker until it is told to end; `announce` is called once it accepts connections.
pub fn run(config: &Config, announce: impl FnOnce(&Bound)) -> Result<(), ServeError> {
    outlive_file_size_limit().map_err(machine("signal handlers"))?;
    descriptors::raise_limit();
    let journals = Journals::open(config, descriptors::for_journals(config))?;
    let (connections_max, open_files_max) = descriptors::connection_bound(config, &journals)?;
    let (listener, address) = bind(config.listen, config)?;
    let (operators, admin_address) = config.http.admin_listen.map(|address| bind(address, config)).transpose()?.unzip();
    let mut signals = Signals::install().map_err(machine("signal handlers"))?;
    let stats = Arc::new(Stats::new(Facts {
        reactors: config.reactor_count() as usize,
        connections_max,
        queue_bytes_total_max: config.limits.queue_bytes_total_max,
        journals: journals.facts(),
    }));
    let premises =
        Premises { listener, operators, connections_max: connections_max as usize, stats: Arc::clone(&stats) };
    let Team { acceptor, reactors, journal } =
        Team::assemble(config, premises, &journals.plan()).map_err(machine("the reactors"))?;
    let accepting = acceptor.handle();
    let journals_refused = journals.refused();
    let serving: Vec<Handle> = reactors.iter().map(Reactor::handle).collect();
    let mut threads = Threads::new();
    let keeping = journal.map(|seat| start_journal(&mut threads, &signals, journals, seat, stats)).transpose()?;
    for (index, reactor) in reactors.into_iter().enumerate() {
        threads.start(&format!("reactor-{index}"), signals.sender(), || reactor.run())?;
    }
    threads.start("acceptor", signals.sender(), || acceptor.run())?;
    announce(&Bound { address, admin_address, connections_max, open_files_max, journals_refused });
    tracing::info!(%address, reactors = config.reactor_count(), version = env!("CARGO_PKG_VERSION"), "serving");
    if signals.wait() {
        accepting.drain().map_err(machine("waking the acceptor"))?;
        threads.wait_for_end("acceptor")?;
        serving.iter().try_for_each(Handle::drain).map_err(machine("waking a reactor"))?;
        if let Some(keeping) = keeping {
            threads.wait_for_ends(serving.len())?;
            keeping.end();
        }
    } else {
        threads.wait_for_failure()?;
    }
    threads.wait_for_all()?;
    tracing::info!("stopped");
    Ok(())
}

/// Listens on an address, and says which it became.
fn bind(address: SocketAddr, config: &Config) -> Result<(Listener, SocketAddr), ServeError> {
    let bound = Listener::bind(address, &config.socket);
    let listener = bound.map_err(|error| ServeError::Bind { address, error })?;
    let address = listener.local_address().map_err(machine("the listening address"))?;
    Ok((listener, address))
}

/// Starts the journal's threads. They end in their turn, after the reactors.
fn start_journal(
    threads: &mut Threads,
    signals: &Signals,
    journals: Journals,
    seat: JournalSeat,
    stats: Arc<Stats>,
) -> Result<crate::journal::Handle, ServeError> {
    let JournalSeat { desk, counter, shard, settings } = seat;
    let (reading, requests) = Reading::new(journals.media(), counter);
    let clerk =
        Clerk::new(journals, desk, &shard, &settings, requests, stats).map_err(machine("the journal's threads"))?;
    let handle = clerk.handle();
    threads.start("journal", signals.sender(), || clerk.run())?;
    threads.start("reader", signals.sender(), || reading.run())?;
    Ok(handle)
}

/// How a thread has ended.
struct End {
    name: String,
    outcome: io::Result<()>,
}

/// The broker's threads, and how those ended that have.
struct Threads {
    running: Vec<JoinHandle<()>>,
    ends: Receiver<End>,
    sender: Sender<End>,
    /// How many have ended, and were heard of.
    ended: usize,
}

impl Threads {
    fn new() -> Threads {
        let (sender, ends) = channel();
        Threads { running: Vec::new(), ends, sender, ended: 0 }
    }

    /// Starts a thread. When it ends, that is known here first, and then told to who waits for `ended`.
    fn start(
        &mut self,
        name: &str,
        ended: io::Result<Ended>,
        work: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> Result<(), ServeError> {
        let failed = |error| ServeError::Thread { name: name.to_owned(), error };
        let (sender, thread_name, ended) = (self.sender.clone(), name.to_owned(), ended.map_err(failed)?);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let outcome = work();
            // The receiver is gone when the process is about to end anyway.
            let _ = sender.send(End { name: thread_name, outcome });
            drop(ended);
        });
        self.running.push(thread.map_err(failed)?);
        Ok(())
    }

    /// The next thread that ends, unless it fails.
    fn next_end(&mut self) -> Result<String, ServeError> {
        let End { name, outcome } = self.ends.recv().expect("a sender is kept here");
        self.ended += 1;
        match outcome {
            Ok(()) => Ok(name),
            Err(error) => Err(ServeError::Thread { name, error }),
        }
    }

    /// Waits for the end of a thread that was asked to; no other one may end before.
    fn wait_for_end(&mut self, name: &str) -> Result<(), ServeError> {
        let ended = self.next_end()?;
        assert!(ended == name, "{ended} ended and was not asked to");
        Ok(())
    }

    /// Waits until so many threads have ended that were asked to.
    fn wait_for_ends(&mut self, count: usize) -> Result<(), ServeError> {
        (0..count).try_for_each(|_| self.next_end().map(drop))
    }

    /// Some thread has ended by itself: tells why.
    fn wait_for_failure(&mut self) -> Result<(), ServeError> {
        let ended = self.next_end()?;
        panic!("{ended} ended and was not asked to");
    }

    /// Waits for the end of all threads that are left.
    fn wait_for_all(mut self) -> Result<(), ServeError> {
        while self.ended < self.running.len() {
            self.next_end()?;
        }
        self.running.into_iter().for_each(|thread| thread.join().expect("a panic takes the process with it"));
        Ok(())
    }
}

/// A file that would pass the limit of a file's size is an error of the call, which the journal can tell, and no longer
/// the end of the process: a signal that somebody handles does not end it.
fn outlive_file_size_limit() -> io::Result<()> {
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(drop)
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

    /// Waits for a signal (true) or for a thread's end (false).
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

/// What a thread writes when it ends; signals write another byte.
const ENDED: u8 = 0xFF;

/// Tells the waiting thread when it is dropped.
struct Ended(UnixStream);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = io::Write::write(&mut self.0, &[ENDED]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(threads: &mut Threads, signals: &Signals, name: &str, work: fn() -> io::Result<()>) {
        threads.start(name, signals.sender(), work).unwrap();
    }

    fn signals() -> Signals {
        let (receiver, sender) = UnixStream::pair().unwrap();
        Signals { receiver, sender }
    }

    #[test]
    fn a_thread_that_fails_is_noticed_while_the_others_run_and_named_with_what_the_machine_said() {
        let (mut threads, mut signals) = (Threads::new(), signals());
        start(&mut threads, &signals, "reactor-0", || {
            loop {
                std::thread::park();
            }
        });
        start(&mut threads, &signals, "reactor-1", || Err(io::Error::other("the poll is broken")));
        assert!(!signals.wait(), "this was no signal");
        let error = threads.wait_for_failure().unwrap_err().to_string();
        assert_eq!(error, "reactor-1 can't go on: the poll is broken");
    }

    #[test]
    fn all_who_were_asked_to_end_are_waited_for_and_a_late_failure_counts() {
        let (mut threads, signals) = (Threads::new(), signals());
        start(&mut threads, &signals, "acceptor", || Ok(()));
        threads.wait_for_end("acceptor").unwrap();
        start(&mut threads, &signals, "reactor-0", || Ok(()));
        start(&mut threads, &signals, "reactor-1", || Ok(()));
        threads.wait_for_all().unwrap();
        let mut threads = Threads::new();
        start(&mut threads, &signals, "reactor-0", || Ok(()));
        start(&mut threads, &signals, "reactor-1", || Err(io::Error::other("late")));
        assert!(matches!(threads.wait_for_all(), Err(ServeError::Thread { name, .. }) if name == "reactor-1"));
    }
}

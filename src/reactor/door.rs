//! A reactor's door: how sockets come to it from other threads, and how many it has.
//!
//! ```text
//!  acceptor ------.                bounded channel
//!                  >-- Door::offer ----------------> Entrance::next --> the reactor
//!  other reactors -'      |                              |
//!                         `--raises--> Account <--lowers-'   one a reactor, on cache lines of its own
//! ```
//!
//! Invariants:
//! - a connection counts for exactly one reactor from before it is offered until its descriptor is closed, or it is
//!   offered to another one; while it changes places it may count for both;
//! - who sees an account at zero, and knows that nobody offers any more, knows that the channel is empty too.

use super::control::Control;
use fanwire_gateway::Gateway;
use fanwire_wire::Code;
use mio::net::TcpStream;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// Connections that wait at one door: four batches of the acceptor.
const WAITING_MAX: usize = 256;

/// A socket on its way to a reactor, with everything that it takes to go on where others stopped.
pub(super) struct Arrival {
    /// Registered nowhere.
    pub(super) stream: TcpStream,
    pub(super) address: SocketAddr,
    /// Unique among all connections of the process.
    pub(super) connection_id: u64,
    /// Whether it came to the address for operators.
    pub(super) is_operator: bool,
    /// Why it can't stay, if it can't: it is told so, and counts as nobody's.
    pub(super) refusal: Option<Code>,
    /// Its gateway, as far as that has come; it knows since when the connection is there.
    pub(super) gateway: Gateway,
    /// Bytes that were read and that no gateway has seen.
    pub(super) input: Vec<u8>,
}

/// What others know of a reactor's connections. Padded, so that accounts share no cache line, nor a prefetched pair.
#[derive(Default)]
#[repr(align(128))]
struct Account {
    connections: AtomicUsize,
    turned_away: AtomicUsize,
    /// Offered and not taken in yet; below zero for a moment when the reactor is quicker than the one who offers.
    waiting: AtomicIsize,
}

impl Account {
    fn count_of(&self, is_turned_away: bool) -> &AtomicUsize {
        if is_turned_away { &self.turned_away } else { &self.connections }
    }
}

/// How many connections a reactor has, those that wait at its door included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Load {
    /// Those that stay.
    pub(super) connections: usize,
    /// Those that are being told why they can't stay.
    pub(super) turned_away: usize,
}

/// The outer side, for the acceptor and the other reactors.
pub(super) struct Door {
    sender: SyncSender<Arrival>,
    account: Arc<Account>,
    control: Arc<Control>,
}

/// The inner side, for the reactor itself.
pub(super) struct Entrance {
    receiver: Receiver<Arrival>,
    account: Arc<Account>,
}

/// Both sides of the door of a reactor that is woken by `control`.
pub(super) fn open(control: &Arc<Control>) -> (Door, Entrance) {
    let (sender, receiver) = sync_channel(WAITING_MAX);
    let account = Arc::new(Account::default());
    let door = Door { sender, account: Arc::clone(&account), control: Arc::clone(control) };
    (door, Entrance { receiver, account })
}

impl Door {
    /// Hands a connection over: the reactor sees it once it is woken. Gives it back when too many wait there, or when
    /// the reactor has ended.
    #[must_use]
    pub(super) fn offer(&self, arrival: Arrival) -> Option<Arrival> {
        let count = self.account.count_of(arrival.refusal.is_some());
        // Counted first: the reactor may be done with it before we are back.
        count.fetch_add(1, Ordering::Relaxed);
        match self.sender.try_send(arrival) {
            Ok(()) => {
                // Last, so that whoever sees it finds the arrival. Who looks too early is woken later.
                self.account.waiting.fetch_add(1, Ordering::Relaxed);
                None
            }
            Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) => {
                count.fetch_sub(1, Ordering::Relaxed);
                Some(back)
            }
        }
    }

    /// Makes the reactor look at its door.
    pub(super) fn wake(&self) -> io::Result<()> {
        self.control.wake()
    }

    /// What the reactor has at the moment.
    pub(super) fn load(&self) -> Load {
        Load {
            connections: self.account.connections.load(Ordering::Relaxed),
            turned_away: self.account.turned_away.load(Ordering::Relaxed),
        }
    }
}

impl Entrance {
    /// Whether somebody waits. One load, for every turn and before each sleep: who offers raises the count before the
    /// wake.
    pub(super) fn has_waiting(&self) -> bool {
        self.account.waiting.load(Ordering::Relaxed) > 0
    }

    /// The next one that waits.
    pub(super) fn next(&self) -> Option<Arrival> {
        let arrival = self.receiver.try_recv().ok()?;
        self.account.waiting.fetch_sub(1, Ordering::Relaxed);
        Some(arrival)
    }

    /// One that was taken in is gone: its descriptor is closed, or another reactor counts it.
    pub(super) fn note_gone(&self, is_turned_away: bool) {
        let before = self.account.count_of(is_turned_away).fetch_sub(1, Ordering::Relaxed);
        assert!(before > 0, "who goes has come");
    }

    /// Whether nobody is here, at the door included.
    pub(super) fn is_deserted(&self) -> bool {
        let Account { connections, turned_away, .. } = &*self.account;
        connections.load(Ordering::Relaxed) == 0 && turned_away.load(Ordering::Relaxed) == 0
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use fanwire_core::Time;
    use mio::{Poll, Token};

    /// A connection that nobody is at the other end of.
    pub(in super::super) fn arrival(connection_id: u64, refusal: Option<Code>) -> Arrival {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        peer.set_nonblocking(true).unwrap();
        Arrival {
            address: peer.local_addr().unwrap(),
            stream: TcpStream::from_std(peer),
            connection_id,
            is_operator: false,
            refusal,
            gateway: Gateway::new(Time::default()),
            input: Vec::new(),
        }
    }

    /// A door without a reactor behind it; the poll keeps its waker alive.
    pub(in super::super) fn door() -> (Door, Entrance, Poll) {
        let poll = Poll::new().unwrap();
        let (door, entrance) = open(&Control::new(poll.registry(), Token(0)).unwrap());
        (door, entrance, poll)
    }

    #[test]
    fn whoever_is_offered_counts_until_it_is_gone() {
        let (door, entrance, _poll) = door();
        assert!(entrance.is_deserted() && !entrance.has_waiting() && entrance.next().is_none());
        assert!(door.offer(arrival(1, None)).is_none());
        assert!(door.offer(arrival(2, Some(Code::TooManyConnections))).is_none());
        assert_eq!(door.load(), Load { connections: 1, turned_away: 1 });
        assert!(entrance.has_waiting() && !entrance.is_deserted());
        let ids: Vec<u64> = std::iter::from_fn(|| entrance.next()).map(|arrival| arrival.connection_id).collect();
        assert_eq!(ids, [1, 2]);
        assert!(!entrance.has_waiting() && !entrance.is_deserted(), "taken in, and here");
        entrance.note_gone(false);
        assert_eq!(door.load(), Load { connections: 0, turned_away: 1 });
        entrance.note_gone(true);
        assert!(entrance.is_deserted());
    }

    #[test]
    fn a_full_door_and_one_that_nobody_is_behind_give_back_what_they_do_not_take() {
        let (door, entrance, _poll) = door();
        for id in 0..WAITING_MAX {
            assert!(door.offer(arrival(id as u64, None)).is_none());
        }
        let back = door.offer(arrival(4_711, None)).expect("too many wait");
        assert_eq!((back.connection_id, door.load().connections), (4_711, WAITING_MAX));
        entrance.next().unwrap();
        assert!(door.offer(back).is_none());
        drop(entrance);
        assert!(door.offer(arrival(1, None)).is_some());
        assert_eq!(door.load().connections, WAITING_MAX + 1);
    }
}

//! The scene of an attack: a broker, a hostile peer, and a witness that has to be served before, during and after.
//!
//! What a violation has to bring about is checked in one place: the peer reads its code although it goes on pouring
//! bytes into a connection that is being closed, the log names the peer and the code, and the witness notices nothing.

use super::broker::Broker;
use super::peer::{HELLO, Peer, Witness, bytes_of};
use fanwire_wire::{ClientPreface, Code};

/// The log tells so many lines of peers a second; a scene that causes more looks at the first ones.
const LOG_LINES_CHECKED: u32 = 12;
/// What a hostile peer goes on sending. More than one read, less than what a closing connection discards.
const POURED_BYTES: usize = 300_000;

pub(crate) struct Scene {
    pub(crate) broker: Broker,
    pub(crate) witness: Witness,
    lines_checked: u32,
}

impl Scene {
    pub(crate) fn new(config: &str) -> Scene {
        let broker = Broker::start(config);
        let witness = Witness::of(&broker);
        Scene { broker, witness, lines_checked: 0 }
    }

    pub(crate) fn peer(&self) -> Peer {
        Peer::connect(self.broker.address())
    }

    pub(crate) fn welcomed(&self) -> Peer {
        Peer::welcomed(self.broker.address())
    }

    /// These very first bytes are answered with a refusing preface.
    #[track_caller]
    pub(crate) fn turns_away(&mut self, first_bytes: &[u8], code: Code) {
        let mut peer = self.peer();
        peer.pour(first_bytes);
        peer.pour(&[b'x'; POURED_BYTES]);
        peer.expect_turned_away(code);
        self.is_told(&peer, code);
        self.witness.is_served();
    }

    /// These bytes instead of a HELLO, behind a good preface, end the connection.
    #[track_caller]
    pub(crate) fn refuses_greeting(&mut self, bytes: &[u8], code: Code) {
        let mut peer = self.peer();
        peer.send_bytes(&ClientPreface::OURS.encode());
        self.breaks(peer, bytes, code);
    }

    /// These bytes of a welcomed peer end its connection.
    #[track_caller]
    pub(crate) fn closes(&mut self, bytes: &[u8], code: Code) {
        let peer = self.welcomed();
        self.breaks(peer, bytes, code);
    }

    /// These bytes end this connection, and what stands behind them is not executed.
    #[track_caller]
    pub(crate) fn breaks(&mut self, mut peer: Peer, bytes: &[u8], code: Code) {
        self.witness.is_served();
        peer.send_bytes(bytes);
        peer.pour(&bytes_of(self.witness.stray()));
        peer.pour(&[b'x'; POURED_BYTES]);
        if !peer.is_greeted() {
            peer.preface();
        }
        peer.expect_closed(code);
        self.is_told(&peer, code);
        self.witness.is_served();
    }

    /// The log names the peer and the code.
    #[track_caller]
    pub(crate) fn is_told(&mut self, peer: &Peer, code: Code) {
        if self.lines_checked < LOG_LINES_CHECKED {
            self.lines_checked += 1;
            self.broker.wait_for_log(&[&format!("\"peer\":\"{}\"", peer.address()), code.name()]);
        }
    }
}

/// A preface and a HELLO.
pub(crate) fn greeting() -> Vec<u8> {
    [ClientPreface::OURS.encode().to_vec(), bytes_of(HELLO)].concat()
}

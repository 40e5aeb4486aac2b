//! The addresses that are listened on: one for everybody, and perhaps one for operators. Each that may have somebody
//! waiting is asked in its turn, so that a crowd before the one does not keep the other waiting.

use super::listener::{Attempt, Listener};
use mio::{Events, Registry, Token};
use std::io;

/// Where somebody comes in.
struct Porch {
    listener: Listener,
    is_for_operators: bool,
    /// It may have a connection; an edge has told so.
    is_ready: bool,
}

/// All of them.
pub(super) struct Porches {
    porches: Vec<Porch>,
    /// Where to ask next.
    next: usize,
}

impl Porches {
    pub(super) fn new(listener: Listener, operators: Option<Listener>) -> Porches {
        let everybody = Porch { listener, is_for_operators: false, is_ready: false };
        let operators = operators.map(|listener| Porch { listener, is_for_operators: true, is_ready: false });
        Porches { porches: [Some(everybody), operators].into_iter().flatten().collect(), next: 0 }
    }

    /// Registers each under its own number.
    pub(super) fn register(&mut self, registry: &Registry) -> io::Result<()> {
        let mut porches = self.porches.iter_mut().enumerate();
        porches.try_for_each(|(number, porch)| porch.listener.register(registry, Token(number)))
    }

    pub(super) fn note_events(&mut self, events: &Events) {
        for event in events {
            if let Some(porch) = self.porches.get_mut(event.token().0) {
                porch.is_ready = true;
            }
        }
    }

    /// Whether somebody may wait.
    pub(super) fn is_ready(&self) -> bool {
        self.porches.iter().any(|porch| porch.is_ready)
    }

    /// Accepts one connection that waits, and says whether it came to the address for operators.
    pub(super) fn accept(&mut self) -> (Attempt, bool) {
        let count = self.porches.len();
        let ready = (0..count).map(|step| (self.next + step) % count).find(|place| self.porches[*place].is_ready);
        let Some(place) = ready else { return (Attempt::Nobody, false) };
        self.next = place + 1;
        let porch = &mut self.porches[place];
        let attempt = porch.listener.accept();
        porch.is_ready = !matches!(attempt, Attempt::Nobody);
        (attempt, porch.is_for_operators)
    }
}

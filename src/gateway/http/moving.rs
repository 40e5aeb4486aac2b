//! A connection that moves to another reactor: it begins to when a request is for a session that lives there, goes when
//! all answers before that are written, and goes on there with that request.

use super::connection::{Http, Stage, Step};
use crate::{Context, Progress};
use fanwire_core::Time;

/// What goes along with a connection that moves to another reactor.
#[derive(Debug)]
pub(crate) struct Luggage {
    begun: Time,
    has_served: bool,
    /// What came and is not used: the request that it moves for, and what is behind it.
    pub(crate) held: Vec<u8>,
}

impl Http {
    /// The connection that was packed elsewhere, whose bytes are still to be received.
    pub(crate) fn unpack(luggage: &Luggage, context: &mut Context<'_>) -> Self {
        let mut http = Http::new(luggage.begun, context);
        http.has_served = luggage.has_served;
        http
    }

    /// Nothing more is used here: the connection goes on where its poll's session is.
    pub(super) fn begin_move(&mut self, reactor: u8, context: &mut Context<'_>) -> Step {
        self.close_inner(context);
        self.stage = Stage::Moving(reactor);
        Step::Stop(Progress::Move(reactor))
    }

    /// Where it is to move once all is written.
    pub const fn destination(&self) -> Option<u8> {
        match self.stage {
            Stage::Moving(reactor) => Some(reactor),
            _ => None,
        }
    }

    /// What goes along to another reactor. Its sessions end here.
    pub(crate) fn pack(&mut self, context: &mut Context<'_>) -> Luggage {
        self.close_inner(context);
        context.shard.remove_session(self.session);
        self.stage = Stage::Parted;
        Luggage { begun: self.since, has_served: self.has_served, held: std::mem::take(&mut self.held) }
    }
}

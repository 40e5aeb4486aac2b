//! A node: one shard, the native gateways of its connections, and a shell around them that does with pipes what a
//! reactor does with sockets, in the same order.
//!
//! ```text
//!  begin_turn --> timeouts --> writable again --> letters of others, a piece of each connection, until the budget ends
//!             --> finish_turn --> post --> close who has to go --> front / write / advance --> remove who is flushed
//! ```
//!
//! Everything that a turn may leave over is left over now and then: bytes in the middle of a frame, frames that a
//! budget stopped, half a write, a flush that ends early.

use crate::link::{Pipe, Upstream, Written};
use crate::oracle::{End, Oracle, Stage, Verdict};
use crate::post::Post;
use crate::random::Random;
use crate::said::Uid;
use crate::swarm::Swarm;
use crate::trace::Trace;
use fanwire_core::settings::CONTROL_BYTES_RESERVE;
use fanwire_core::{Seat, SessionId, Shard, Slices, Time};
use fanwire_gateway::{Closing, Context, Native, Phase, Polls, Progress, Settings};
use fanwire_wire::Code;
use std::collections::BTreeMap;

/// Bytes that the closing of connections may put into the queues of others, at the end of a turn.
const CLOSING_BYTES_MAX: u64 = 16 * 1024;

/// What a turn is lent.
pub(crate) struct Lent<'a> {
    pub(crate) now: Time,
    pub(crate) random: &'a mut Random,
    pub(crate) swarm: &'a Swarm,
    pub(crate) oracle: &'a mut Oracle,
    pub(crate) trace: &'a mut Trace,
    /// Nothing is held back: the run comes to rest.
    pub(crate) is_resting: bool,
}

/// A node's side of a connection.
pub(crate) struct Link {
    pub(crate) up: Upstream,
    pub(crate) down: Pipe,
    /// Gone once the connection is over for the node.
    gateway: Option<Native>,
    pub(crate) session: Option<SessionId>,
    /// A budget ended the gateway's last call, or its connection was resumed.
    pub(crate) has_more: bool,
    /// The pipe refused bytes; or the flush was ended early.
    is_blocked: bool,
    is_unfinished: bool,
    /// Closing: only what is queued is still sent.
    pub(crate) is_parting: bool,
    is_doomed: bool,
    /// Its next command waits for other nodes; nothing is read of it.
    pub(crate) is_postponed: bool,
    /// Its socket should hold little unsent data.
    is_fresh: bool,
    /// Bytes for a peer without a session.
    tail: Vec<u8>,
    blocked_at: Option<Time>,
    opened_at: Time,
    fed_at: Time,
    /// Since when it is silent for too long.
    pinged_at: Option<Time>,
    /// Since when a frame is incomplete.
    partial_since: Option<Time>,
}

/// Where a turn's input comes from.
#[derive(Debug, Clone, Copy)]
enum Source {
    Link(Uid),
    Mail(usize),
}

pub(crate) struct Node {
    pub(crate) shard: Shard,
    polls: Polls,
    settings: Settings,
    queue_bytes_total_max: u64,
    pub(crate) links: BTreeMap<Uid, Link>,
    pub(crate) names: BTreeMap<SessionId, Uid>,
    /// Which one it is, of how many.
    pub(crate) number: usize,
    pub(crate) count: usize,
}

impl Node {
    pub(crate) fn new(swarm: &Swarm, seat: Seat, now: Time) -> Self {
        Node {
            number: seat.index(),
            count: seat.count(),
            shard: Shard::seated(swarm.core, fanwire_gateway::encodings(), seat, now),
            polls: Polls::default(),
            settings: swarm.gateway.clone(),
            queue_bytes_total_max: swarm.core.queue_bytes_total_max,
            links: BTreeMap::new(),
            names: BTreeMap::new(),
        }
    }

    pub(crate) fn accept(&mut self, uid: Uid, (up, down): (Upstream, Pipe), now: Time) {
        let link = Link {
            up,
            down,
            gateway: Some(Native::new(now)),
            session: None,
            has_more: false,
            is_blocked: false,
            is_unfinished: false,
            is_parting: false,
            is_doomed: false,
            is_postponed: false,
            is_fresh: false,
            tail: Vec::new(),
            blocked_at: None,
            opened_at: now,
            fed_at: now,
            pinged_at: None,
            partial_since: None,
        };
        self.links.insert(uid, link);
    }

    pub(crate) fn turn(&mut self, post: &mut Post, lent: &mut Lent<'_>) {
        self.note_loads(lent);
        self.shard.begin_turn(lent.now);
        let next = self.shard.next_deadline();
        assert!(next.is_none_or(|deadline| deadline > lent.now), "a turn fires all that is due");
        let mut order: Vec<Uid> = self.links.keys().copied().collect();
        lent.random.shuffle(&mut order);
        for uid in &order {
            self.expire(*uid, lent);
            // What a socket can take is not told at once.
            if lent.is_resting || lent.random.chance(700) {
                self.wake(*uid);
            }
        }
        self.note_transit(post, lent);
        let mut sources: Vec<Source> = self.others().map(Source::Mail).collect();
        sources.extend(order.iter().map(|uid| Source::Link(*uid)));
        if self.count > 1 {
            lent.random.shuffle(&mut sources);
        }
        for source in sources {
            match source {
                // A letter goes on by one thing at least, however much the turn has cost.
                Source::Mail(from) if self.shard.wants_flush() && lent.random.chance(100) => {
                    self.read_letter(from, post, lent);
                }
                _ if self.shard.wants_flush() => {}
                Source::Link(uid) => self.receive(uid, lent),
                Source::Mail(from) => self.read_mail(from, post, lent),
            }
        }
        self.shard.finish_turn();
        self.send_mail(post, lent);
        if lent.random.chance(500) {
            self.flush_dirty(lent);
        }
        self.close_doomed(lent);
        self.check_total();
        self.flush_dirty(lent);
        self.let_go(lent);
        self.check(lent);
    }

    fn context<'a>(&'a mut self, uid: Uid, now: Time) -> (&'a mut Link, Context<'a>) {
        let Node { shard, polls, settings, links, .. } = self;
        let link = links.get_mut(&uid).expect("the link is there");
        let wall_us = 1_767_225_600_000_000 + now.as_micros();
        (
            link,
            Context {
                shard,
                polls,
                settings,
                now,
                wall_us,
                connection_id: u64::from(uid),
                peer: std::net::Ipv4Addr::LOCALHOST.into(),
                is_draining: false,
            },
        )
    }

    /// Tells the oracle whose queue is empty: nothing may be lost to a full queue there.
    fn note_loads(&mut self, lent: &mut Lent<'_>) {
        for (uid, link) in &mut self.links {
            let is_waiting = link.is_blocked || link.is_unfinished;
            if is_waiting {
                link.blocked_at = Some(lent.now);
            }
            if link.gateway.is_some() {
                let queued = link.session.map_or(0, |session| self.shard.queue_bytes(session));
                let connection = lent.oracle.connection(*uid);
                connection.is_clear = queued == 0 && !is_waiting;
                connection.was_loaded |= !connection.is_clear;
            }
        }
    }

    fn expire(&mut self, uid: Uid, lent: &mut Lent<'_>) {
        // Who is not read for the sake of other nodes is not judged.
        if self.links[&uid].is_postponed {
            return;
        }
        let (link, mut context) = self.context(uid, lent.now);
        let Some(gateway) = &mut link.gateway else { return };
        let progress = gateway.expire(&mut context);
        let next = gateway.next_deadline(context.settings);
        assert!(next.is_none_or(|deadline| deadline > lent.now), "connection {uid}: a deadline that stays");
        match progress {
            Progress::Close(closing) => {
                assert!(self.is_due(uid, closing.code, lent), "connection {uid}: {} before its time", closing.code);
                self.part(uid, closing, lent);
            }
            _ => self.check_overdue(uid, lent),
        }
    }

    /// Whether a connection's time may be over, for the reason that a code tells.
    fn is_due(&self, uid: Uid, code: Code, lent: &mut Lent<'_>) -> bool {
        let link = &self.links[&uid];
        let keep_alive = lent.oracle.connection(uid).keep_alive();
        match code {
            Code::HandshakeTimeout => {
                let is_waiting = lent.oracle.connection(uid).stage != Stage::Open;
                is_waiting && link.opened_at + self.settings.handshake_time_max <= lent.now
            }
            Code::FrameTimeout => {
                let is_open = lent.oracle.connection(uid).stage == Stage::Open;
                let since = link.partial_since.filter(|_| is_open);
                since.is_some_and(|since| since + self.settings.frame_time_max <= lent.now)
            }
            Code::KeepAliveTimeout => keep_alive.is_some_and(|interval| link.fed_at + interval * 2 <= lent.now),
            _ => false,
        }
    }

    /// Nobody outlives its time: who is pinged has an interval to answer.
    fn check_overdue(&mut self, uid: Uid, lent: &mut Lent<'_>) {
        for code in [Code::HandshakeTimeout, Code::FrameTimeout] {
            let is_due = !self.links[&uid].is_parting && self.is_due(uid, code, lent);
            assert!(!is_due, "connection {uid}: no {code}, though its time is over");
        }
        let link = self.links.get_mut(&uid).expect("the link is there");
        let interval = lent.oracle.connection(uid).keep_alive();
        let Some(interval) = interval.filter(|interval| link.fed_at + *interval <= lent.now) else {
            link.pinged_at = None;
            return;
        };
        let pinged_at = *link.pinged_at.get_or_insert(lent.now);
        assert!(lent.now < pinged_at + interval || link.is_parting, "connection {uid} outlives its keep-alive");
    }

    /// The pipe has room again, or the turn that ended its flush is over.
    fn wake(&mut self, uid: Uid) {
        let link = self.links.get_mut(&uid).expect("the link is there");
        let can_go_on = link.is_unfinished || (link.is_blocked && link.down.has_room());
        if let (Some(session), true) = (link.session, can_go_on) {
            link.is_blocked = false;
            link.is_unfinished = false;
            self.shard.mark_writable(session);
        }
    }

    fn receive(&mut self, uid: Uid, lent: &mut Lent<'_>) {
        let link = self.links.get_mut(&uid).expect("the link is there");
        if link.up.has_reset {
            return self.cut(uid, lent);
        }
        if link.is_parting || link.gateway.is_none() || link.is_postponed {
            return;
        }
        let readable = link.up.readable();
        let most = lent.swarm.read_bytes_max;
        let is_whole = lent.is_resting || lent.random.chance(500);
        let wanted = if is_whole { readable.min(most.max(1_000)) } else { lent.random.size(most) };
        let bytes = if !lent.is_resting && lent.random.chance(100) { Vec::new() } else { link.up.take(wanted) };
        if bytes.is_empty() && !link.has_more {
            if link.up.is_at_end() {
                self.depart(uid, lent);
            }
            return;
        }
        let (link, mut context) = self.context(uid, lent.now);
        let gateway = link.gateway.as_mut().expect("it was there above");
        let progress = if bytes.is_empty() {
            gateway.resume(&mut context)
        } else {
            link.fed_at = lent.now;
            link.pinged_at = None;
            gateway.receive(&bytes, &mut context)
        };
        self.note_session(uid);
        match progress {
            Progress::Idle | Progress::More | Progress::Postponed => self.note_used(uid, progress, lent),
            Progress::Leave | Progress::Move(_) => unreachable!("the native protocol has no such thing"),
            Progress::Close(closing) => {
                self.note_breach(uid, closing.code, lent);
                self.part(uid, closing, lent);
            }
        }
    }

    fn note_session(&mut self, uid: Uid) {
        let link = self.links.get_mut(&uid).expect("the link is there");
        let session = link.gateway.as_ref().and_then(Native::session);
        if let (None, Some(session)) = (link.session, session) {
            link.session = Some(session);
            self.names.insert(session, uid);
        }
    }

    /// Tells the oracle what the gateway has used up, in order.
    fn note_used(&mut self, uid: Uid, progress: Progress, lent: &mut Lent<'_>) {
        let is_waiting = self.links[&uid].session.is_some_and(|session| self.shard.is_waiting(session));
        let link = self.links.get_mut(&uid).expect("the link is there");
        let gateway = link.gateway.as_ref().expect("it has just been used");
        let held = gateway.held_bytes() as u64;
        let used = link.up.use_up(held);
        link.has_more = progress == Progress::More;
        link.is_postponed = progress == Progress::Postponed;
        if held == 0 || link.has_more || link.is_postponed {
            link.partial_since = None;
        } else if !used.is_empty() || link.partial_since.is_none() {
            link.partial_since = Some(lent.now);
        }
        let is_between = link.up.is_between() || gateway.phase() == Phase::Preface;
        assert!(is_between, "connection {uid}: the gateway stopped in the middle of a frame");
        for said in used {
            lent.trace.note(format_args!("{} connection {uid} said {said:?}", lent.now.as_micros()));
            if let Verdict::Breach(code) = lent.oracle.judge(uid, &said) {
                panic!("connection {uid}: {said:?} is {code}, but was taken in");
            }
            // It did not wait, so what was said before it stands.
            lent.oracle.note_standing(uid);
            lent.oracle.execute(uid, &said);
        }
        if !is_waiting {
            lent.oracle.note_standing(uid);
        }
    }

    /// Tells the oracle what was used up before something broke the protocol, and whether that did.
    fn note_breach(&mut self, uid: Uid, code: Code, lent: &mut Lent<'_>) {
        let link = self.links.get_mut(&uid).expect("the link is there");
        for said in link.up.rest_fed() {
            lent.trace.note(format_args!("{} connection {uid} said {said:?}", lent.now.as_micros()));
            match lent.oracle.judge(uid, &said) {
                Verdict::Breach(expected) => {
                    assert_eq!(code, expected, "connection {uid}: closed for {said:?}");
                    return;
                }
                Verdict::Perhaps(expected) if expected == code => return,
                _ => {
                    lent.oracle.note_standing(uid);
                    lent.oracle.execute(uid, &said);
                }
            }
        }
        panic!("connection {uid}: closed with {code}, but nothing that it said was wrong");
    }

    fn part(&mut self, uid: Uid, closing: Closing, lent: &mut Lent<'_>) {
        lent.trace.note(format_args!("{} connection {uid} closes: {}", lent.now.as_micros(), closing.code));
        lent.oracle.end(uid, End::Closed(closing.code));
        let link = self.links.get_mut(&uid).expect("the link is there");
        link.is_parting = true;
        link.is_postponed = false;
        link.has_more = false;
        link.tail.extend(closing.parting.into_iter().flatten());
        assert_eq!(link.tail.is_empty(), link.session.is_some(), "what a session is told goes through its queue");
    }

    fn depart(&mut self, uid: Uid, lent: &mut Lent<'_>) {
        lent.trace.note(format_args!("{} connection {uid} leaves", lent.now.as_micros()));
        lent.oracle.end(uid, End::Left);
        let (link, mut context) = self.context(uid, lent.now);
        link.is_parting = true;
        if let Some(gateway) = &mut link.gateway {
            gateway.depart(&mut context);
        }
    }

    fn cut(&mut self, uid: Uid, lent: &mut Lent<'_>) {
        lent.trace.note(format_args!("{} connection {uid} is cut", lent.now.as_micros()));
        let (link, mut context) = self.context(uid, lent.now);
        if let Some(gateway) = &mut link.gateway {
            gateway.depart(&mut context);
        }
        // What it has not read is lost, even if the broker was done with it.
        lent.oracle.end(uid, End::Cut);
        let link = self.links.remove(&uid).expect("the link is there");
        if let Some(session) = link.session {
            self.shard.remove_session(session);
            self.names.remove(&session);
        }
    }

    /// Who is too slow goes. To be told so may make others too slow in turn.
    fn close_doomed(&mut self, lent: &mut Lent<'_>) {
        let mut closures = Vec::new();
        loop {
            self.shard.take_closures(&mut closures);
            if closures.is_empty() {
                return;
            }
            for closure in closures.drain(..) {
                // It may have gone in the meantime.
                let Some(uid) = self.names.get(&closure.session).copied() else { continue };
                lent.trace.note(format_args!("connection {uid} is doomed: {}", closure.code));
                lent.oracle.doom(uid, closure.code);
                self.links.get_mut(&uid).expect("a session has its link").is_doomed = true;
                if !self.links[&uid].is_parting {
                    let (link, mut context) = self.context(uid, lent.now);
                    let gateway = link.gateway.as_mut().expect("a session has its gateway");
                    let closing = gateway.close(closure.code, &mut context);
                    self.part(uid, closing, lent);
                }
            }
        }
    }

    fn flush_dirty(&mut self, lent: &mut Lent<'_>) {
        let mut dirty = Vec::new();
        self.shard.take_dirty(&mut dirty);
        for session in dirty {
            let uid = self.names[&session];
            self.flush(uid, session, lent);
        }
        for link in self.links.values_mut().filter(|link| !link.tail.is_empty()) {
            let when = Written { at: lent.now, blocked_at: None };
            let written = link.down.write(&[&link.tail], usize::MAX, when);
            link.tail.drain(..written);
        }
    }

    fn flush(&mut self, uid: Uid, session: SessionId, lent: &mut Lent<'_>) {
        let link = self.links.get_mut(&uid).expect("the link is there");
        let writes_max = if lent.is_resting { u64::MAX } else { lent.random.size(64) };
        for _ in 0..writes_max {
            let mut slices = Slices::new();
            self.shard.front(session, &mut slices);
            let offered: usize = slices.iter().map(|slice| slice.len()).sum();
            if offered == 0 {
                return;
            }
            let is_short = !lent.is_resting && lent.random.chance(30);
            let limit = if is_short { lent.random.below(offered as u64 + 1) as usize } else { usize::MAX };
            let when = Written { at: lent.now, blocked_at: link.blocked_at };
            let written = link.down.write(&slices, limit, when);
            drop(slices);
            // What was taken may have been exactly what fitted.
            let is_blocked = written < offered || (!lent.is_resting && lent.random.chance(20));
            self.shard.advance(session, written, is_blocked);
            if is_blocked {
                link.is_blocked = true;
                link.blocked_at = Some(lent.now);
                return;
            }
        }
        link.is_unfinished = true;
    }

    /// Who is closing and has been sent everything is forgotten.
    fn let_go(&mut self, lent: &mut Lent<'_>) {
        for (uid, link) in &mut self.links {
            let is_sent = link.tail.is_empty() && link.session.is_none_or(|session| self.shard.is_flushed(session));
            if !link.is_parting || link.gateway.is_none() || !is_sent {
                continue;
            }
            lent.trace.note(format_args!("connection {uid} is over"));
            if let Some(session) = link.session.take() {
                self.shard.remove_session(session);
                self.names.remove(&session);
            }
            link.gateway = None;
            link.down.is_closed = true;
        }
    }

    /// All queues together stay within their bound, but for what those still hold who go for that very reason.
    fn check_total(&self) {
        let staying = self.links.values().filter(|link| !link.is_doomed).filter_map(|link| link.session);
        let queued: u64 = staying.map(|session| u64::from(self.shard.queue_bytes(session))).sum();
        let bound = self.queue_bytes_total_max + CLOSING_BYTES_MAX;
        assert!(queued <= bound, "{queued} bytes are queued in all, allowed are {bound}");
    }

    fn check(&mut self, lent: &mut Lent<'_>) {
        assert_eq!(self.shard.session_count(), self.names.len(), "a session for each connection beyond its preface");
        let bound = self.settings.limits.queue_bytes_max + CONTROL_BYTES_RESERVE;
        for (session, uid) in &self.names {
            let queued = self.shard.queue_bytes(*session);
            assert!(queued <= bound, "connection {uid}: {queued} bytes are queued, allowed are {bound}");
        }
        if lent.random.chance(lent.swarm.sweep_per_mille) {
            self.shard.check_invariants();
        }
        self.check_freshness(lent);
    }

    /// The shell is told once of each connection whose socket should hold little.
    fn check_freshness(&mut self, lent: &mut Lent<'_>) {
        let mut fresh = Vec::new();
        self.shard.take_fresh(&mut fresh);
        for session in fresh {
            // It may have gone in the meantime.
            let Some(uid) = self.names.get(&session) else { continue };
            let link = self.links.get_mut(uid).expect("a session has its link");
            assert!(!link.is_fresh, "connection {uid}: told of twice");
            link.is_fresh = true;
        }
        for (uid, link) in &self.links {
            let wants_freshness = lent.oracle.connection(*uid).wants_freshness;
            assert!(link.is_fresh == wants_freshness || link.session.is_none(), "connection {uid}: {wants_freshness}");
        }
    }

    /// Whether nothing moves any more.
    pub(crate) fn is_quiet(&self) -> bool {
        self.links.values().all(|link| {
            let is_read = link.up.backlog() == 0 && !link.has_more && !link.up.is_at_end();
            let is_sent = link.tail.is_empty() && link.session.is_none_or(|session| self.shard.is_flushed(session));
            is_read && is_sent && link.down.is_drained() && !link.is_parting && !link.is_postponed
        }) && !self.has_mail()
            && !self.shard.has_resumed()
    }
}

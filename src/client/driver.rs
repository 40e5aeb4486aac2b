//! The session on a socket: one bounded turn after another, and the way back after a loss.
//!
//! ```text
//!          dial            WELCOME
//!  Down ---------> Greeting -------> Up ----GOAWAY, and nothing in flight----> Leaving
//!   ^  after a delay   |              |                                          |
//!   +------------------+---- lose ----+------------------------------------------+
//!                            |
//!                            +--> Over: trying again cannot succeed, or is not wanted
//! ```
//!
//! A turn writes, then hears what was read before, else reads. While bytes wait that the socket does not take, a
//! turn sleeps in the write, briefly, and only looks whether there is something to read: so reading goes on under
//! back-pressure, and a broker that waits for us to read can go on, too.
//!
//! A failed write does not end the connection by itself: the broker's last words may wait to be read.
//!
//! All this happens inside the caller's `poll`, `wait` and blocking calls; there is no thread. A turn without
//! patience can block only while it dials: `Options::connect_timeout` bounds that, one address an attempt.

pub(crate) use crate::link::Patience;

use crate::backoff::Backoff;
use crate::error::{Error, Refusal};
use crate::event::Event;
use crate::link::Link;
use crate::options::Options;
use crate::session::{Identity, Session};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of one read.
const READ_BYTES: usize = 64 * 1024;
/// Bytes that gather before a publish writes them by itself.
const GATHERED_BYTES: usize = 64 * 1024;

/// Hears an event, and says whether to stop after this frame.
pub(crate) type Listener<'l> = &'l mut dyn FnMut(Event<'_>) -> ControlFlow<()>;

/// What a turn left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Probably there is more to hear at once.
    pub(crate) more: bool,
}

#[derive(Debug)]
enum Stage {
    Greeting { until: Instant },
    Up { since: Instant },
    Leaving { until: Instant },
    Down { until: Instant },
    Over(Error),
}

/// What was read and not yet heard.
#[derive(Debug)]
struct Input {
    buffer: Box<[u8]>,
    begin: usize,
    end: usize,
}

/// When and why to move to another connection.
#[derive(Debug)]
struct Move {
    at: Instant,
    refusal: Refusal,
}

#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) session: Session,
    options: Options,
    stage: Stage,
    link: Option<Link>,
    input: Input,
    backoff: Backoff,
    dials: usize,
    /// The first welcome came: from here on losses mend themselves.
    mends: bool,
    /// What the socket did not take of the last write.
    left_over_bytes: usize,
    /// The last read found something.
    heard_last: bool,
    /// Why the socket takes no more.
    write_fault: Option<io::Error>,
    heard_at: Instant,
    /// When a sign of life was asked for.
    asked_at: Option<Instant>,
    moving: Option<Move>,
}

impl Driver {
    /// Connects, trying every address of the host, and waits for the welcome.
    pub(crate) fn open(options: Options) -> Result<Driver, Error> {
        let identity = Identity {
            client_name: options.client_name.clone(),
            client_version: options.client_version.clone(),
            credentials: options.server.token().to_vec(),
            keep_alive: options.keep_alive,
        };
        let mut driver = Driver {
            session: Session::new(identity, options.buffer_bytes_max)?,
            stage: Stage::Down { until: Instant::now() },
            link: None,
            input: Input { buffer: vec![0; READ_BYTES].into(), begin: 0, end: 0 },
            backoff: Backoff::new(options.reconnect_delay_min, options.reconnect_delay_max, options.seed),
            dials: 0,
            mends: false,
            left_over_bytes: 0,
            heard_last: false,
            write_fault: None,
            heard_at: Instant::now(),
            asked_at: None,
            moving: None,
            options,
        };
        let mut refused = None;
        for address in driver.addresses()? {
            match Link::connect(&address, driver.options.connect_timeout) {
                Ok(link) => {
                    driver.greet(link);
                    break;
                }
                Err(error) => refused = Some(driver.connect_error(error)),
            }
        }
        match refused {
            Some(error) if driver.link.is_none() => return Err(error),
            _ => {}
        }
        while !driver.is_up() {
            let left = driver.options.handshake_timeout;
            driver.turn(Patience::of(left), true, &mut |_| ControlFlow::Continue(()))?;
        }
        driver.mends = driver.options.reconnect;
        Ok(driver)
    }

    pub(crate) const fn options(&self) -> &Options {
        &self.options
    }

    /// Why nothing can be sent: when the client is over, waiting for a reconnect would be bad advice.
    pub(crate) fn explain(&self, error: Error) -> Error {
        match (&self.stage, error) {
            (Stage::Over(end), Error::Disconnected) => end.clone(),
            (_, error) => error,
        }
    }

    pub(crate) const fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Up { .. }) && self.session.is_ready()
    }

    /// One turn. With `reading` false nothing is heard: the caller has no place to put it. Fails when the client is
    /// over, for ever.
    pub(crate) fn turn(&mut self, patience: Patience, reading: bool, listener: Listener<'_>) -> Result<Turn, Error> {
        let now = Instant::now();
        let exchanged = match &self.stage {
            Stage::Over(error) => return Err(error.clone()),
            Stage::Down { until } if now < *until => {
                std::thread::sleep(patience.within(*until - now).duration());
                return Ok(Turn { more: false });
            }
            Stage::Down { .. } => self.dial().map(|()| false),
            _ => self.keep_time(now).and_then(|left| self.exchange(patience.within(left), reading, listener)),
        };
        match exchanged {
            Ok(more) => Ok(Turn { more }),
            Err(error) => self.lose(error, listener).map(|()| Turn { more: false }),
        }
    }

    /// Writes when much has gathered since the last attempt, without patience. Faults come out in the next turn.
    pub(crate) fn write_gathered(&mut self) {
        if self.session.outgoing().len() >= self.left_over_bytes + GATHERED_BYTES {
            self.write(Patience::None);
        }
    }
}

/// The turn's parts.
impl Driver {
    /// Acts on what is due; says how long until something else may be.
    fn keep_time(&mut self, now: Instant) -> Result<Duration, Error> {
        let late = |what, after| Err(Error::Timeout { what, after });
        match self.stage {
            Stage::Greeting { until } if now >= until => late("the broker's welcome", self.options.handshake_timeout),
            Stage::Leaving { until } if now >= until => late("the broker to close", self.options.close_timeout),
            Stage::Greeting { until } | Stage::Leaving { until } => Ok(until - now),
            _ => {
                self.move_on(now);
                let silence = now - self.asked_at.unwrap_or(self.heard_at);
                Ok(self.keep_alive().map_or(Duration::MAX, |interval| interval.saturating_sub(silence)))
            }
        }
    }

    /// The moment to follow a GOAWAY has come: leaves as soon as nothing would be left open.
    fn move_on(&mut self, now: Instant) {
        let due = self.moving.as_ref().is_some_and(|moving| now >= moving.at);
        if due && self.session.is_settled() {
            self.session.leave();
            self.stage = Stage::Leaving { until: now + self.options.close_timeout };
            if let Some(Err(error)) = self.link.as_ref().map(Link::half_close) {
                self.write_fault = Some(error);
            }
        }
    }

    /// Writes, then hears or reads. Whether there is probably more to hear.
    fn exchange(&mut self, patience: Patience, reading: bool, listener: Listener<'_>) -> Result<bool, Error> {
        let waits = reading && !self.input.is_empty();
        // Sleeping in a write is for when there is nothing to read either.
        let blocked = self.left_over_bytes > 0;
        self.write(if waits || (blocked && self.heard_last) { Patience::None } else { patience });
        if waits {
            return self.hear(listener);
        }
        if !reading {
            return self.write_fault.take().map_or(Ok(false), |error| Err(lost(error)));
        }
        let stuck = self.left_over_bytes > 0 || self.write_fault.is_some();
        let patience = if stuck || patience == Patience::Brief { Patience::None } else { patience };
        let link = self.link.as_mut().expect("a stage with an exchange has a link");
        let read = link.read(&mut self.input.buffer, patience);
        self.heard_last = matches!(read, Ok(Some(_)));
        match read {
            Ok(Some(0)) => Err(self.end_of_stream()),
            Ok(Some(count)) => {
                self.input.begin = 0;
                self.input.end = count;
                self.heard_at = Instant::now();
                self.asked_at = None;
                let filled = count == self.input.buffer.len();
                Ok(self.hear(listener)? || filled)
            }
            Ok(None) => match self.write_fault.take() {
                Some(error) => Err(lost(error)),
                None => self.ask_for_life().map(|()| false),
            },
            Err(error) => Err(lost(self.write_fault.take().unwrap_or(error))),
        }
    }

    fn write(&mut self, patience: Patience) {
        let Some(link) = self.link.as_mut() else { return };
        let pending = self.session.outgoing();
        if pending.is_empty() || self.write_fault.is_some() {
            return;
        }
        match link.write(pending, patience) {
            Ok(count) => {
                self.left_over_bytes = pending.len() - count;
                self.session.advance(count);
            }
            Err(error) => self.write_fault = Some(error),
        }
    }

    /// Hears frame after frame of the input until it ends or the listener has what it wants. Whether some is left.
    fn hear(&mut self, listener: Listener<'_>) -> Result<bool, Error> {
        let mut stop = false;
        while !stop && !self.input.is_empty() {
            let mut bytes = self.input.bytes();
            self.session.receive(&mut bytes, &mut |event| stop |= listener(event).is_break())?;
            self.input.begin = self.input.end - bytes.len();
            stop |= self.follow_session();
        }
        Ok(!self.input.is_empty())
    }

    /// What a frame changed that the driver has to know. Whether it was the welcome: then `open` is done, and whatever
    /// else has come already is for the caller to hear.
    fn follow_session(&mut self) -> bool {
        let welcomed = matches!(self.stage, Stage::Greeting { .. }) && self.session.is_ready();
        if welcomed {
            self.stage = Stage::Up { since: Instant::now() };
        }
        if let Some(moving) = self.session.take_moving() {
            let delay = self.backoff.between(moving.reconnect_min, moving.reconnect_max);
            self.moving = Some(Move { at: Instant::now() + delay, refusal: moving.refusal });
        }
        welcomed
    }

    /// Nothing was there to read: after a silence asks whether the broker lives, after another gives up. Judging only
    /// after a read in vain, a program that was stopped for an hour does not take its own silence for the broker's.
    fn ask_for_life(&mut self) -> Result<(), Error> {
        let Some(interval) = self.keep_alive() else { return Ok(()) };
        match self.asked_at {
            Some(asked_at) if asked_at.elapsed() >= interval => {
                Err(Error::Timeout { what: "a sign of life from the broker", after: self.heard_at.elapsed() })
            }
            None if self.heard_at.elapsed() >= interval => {
                self.session.ping_keep_alive();
                self.asked_at = Some(Instant::now());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn keep_alive(&self) -> Option<Duration> {
        self.session.welcome().keep_alive.filter(|_| self.is_up())
    }

    fn end_of_stream(&mut self) -> Error {
        match (&self.moving, self.write_fault.take()) {
            (Some(moving), _) => Error::Closed(moving.refusal.clone()),
            (None, Some(error)) => lost(error),
            (None, None) => lost(io::Error::new(io::ErrorKind::UnexpectedEof, "the broker closed without a word")),
        }
    }
}

/// Losing and mending.
impl Driver {
    fn dial(&mut self) -> Result<(), Error> {
        let addresses = self.addresses()?;
        let address = addresses[self.dials % addresses.len()];
        self.dials += 1;
        let link = Link::connect(&address, self.options.connect_timeout).map_err(|error| self.connect_error(error))?;
        self.greet(link);
        Ok(())
    }

    fn greet(&mut self, link: Link) {
        self.link = Some(link);
        self.left_over_bytes = 0;
        self.heard_last = false;
        self.session.begin();
        self.stage = Stage::Greeting { until: Instant::now() + self.options.handshake_timeout };
        self.heard_at = Instant::now();
        self.asked_at = None;
    }

    /// Looked up for every attempt: a name may lead elsewhere by now.
    fn addresses(&self) -> Result<Vec<SocketAddr>, Error> {
        let server = &self.options.server;
        let found = (server.host(), server.port()).to_socket_addrs().map_err(|error| self.connect_error(error))?;
        let addresses: Vec<SocketAddr> = found.collect();
        if addresses.is_empty() {
            return Err(self.connect_error(io::Error::new(io::ErrorKind::NotFound, "the name has no address")));
        }
        Ok(addresses)
    }

    fn connect_error(&self, error: io::Error) -> Error {
        let server = &self.options.server;
        Error::Connect { server: format!("{}:{}", server.host(), server.port()), error: Arc::new(error) }
    }

    /// The connection ended or did not come about: tells what that means and decides what comes next.
    fn lose(&mut self, error: Error, listener: Listener<'_>) -> Result<(), Error> {
        let now = Instant::now();
        if let Stage::Up { since } = self.stage
            && now - since >= self.options.reconnect_delay_max
        {
            self.backoff.reset();
        }
        self.link = None;
        self.input.begin = self.input.end;
        self.write_fault = None;
        let delay = self.reconnect_delay(&error, now);
        self.session.end(error.clone(), delay, &mut |event| {
            let _whole_end_is_told = listener(event);
        });
        match delay {
            Some(delay) => {
                self.stage = Stage::Down { until: now + delay };
                Ok(())
            }
            None => {
                self.stage = Stage::Over(error.clone());
                Err(error)
            }
        }
    }

    fn reconnect_delay(&mut self, error: &Error, now: Instant) -> Option<Duration> {
        use fanwire_wire::Retry;
        let floor = match error.retry() {
            Retry::Never => return None,
            Retry::Now => Duration::ZERO,
            Retry::After(delay_ms) => Duration::from_millis(delay_ms.into()),
        };
        if !self.mends {
            return None;
        }
        // The broker chose the window, and it is spread wide enough already.
        let window = self.moving.take().map(|moving| moving.at.saturating_duration_since(now));
        Some(window.unwrap_or_else(|| self.backoff.next_delay().max(floor)))
    }

    /// Half-closes and waits for the broker to take everything and close. Everything must have been written.
    pub(crate) fn close(&mut self, on_event: &mut dyn FnMut(Event<'_>)) -> Result<(), Error> {
        let begin = Instant::now();
        if !self.is_up() {
            return Err(Error::Disconnected);
        }
        let mut listener = |event: Event<'_>| {
            on_event(event);
            ControlFlow::Continue(())
        };
        let mut link_open = true;
        let closed = loop {
            let left = self.options.close_timeout.saturating_sub(begin.elapsed());
            if left.is_zero() {
                break Err(Error::Timeout { what: "the broker to close", after: self.options.close_timeout });
            }
            // Acks that are on their way are waited for: a broker may stop talking to who has stopped talking.
            if link_open && !self.session.has_publishes_in_flight() {
                self.session.leave();
                self.link.as_ref().expect("up means linked").half_close().map_err(lost)?;
                link_open = false;
            }
            if !self.input.is_empty() {
                self.hear(&mut listener)?;
                continue;
            }
            let link = self.link.as_mut().expect("up means linked");
            match link.read(&mut self.input.buffer, Patience::of(left)) {
                Ok(Some(0)) if link_open => break Err(Error::Unknown),
                Ok(Some(0)) => break Ok(()),
                Ok(Some(count)) => (self.input.begin, self.input.end) = (0, count),
                Ok(None) => {}
                Err(_) => break Err(Error::Unknown),
            }
        };
        self.link = None;
        closed
    }
}

impl Input {
    const fn is_empty(&self) -> bool {
        self.begin == self.end
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[self.begin..self.end]
    }
}

fn lost(error: io::Error) -> Error {
    Error::Lost(Arc::new(error))
}

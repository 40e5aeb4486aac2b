//! A house with an acceptor and reactors, each in its thread, that answer questions about themselves between turns.

use super::super::door::{Door, Load};
use super::super::{Handle, Listener, Premises, Reactor, Team};
use crate::config::{Config, Flags};
use fanwire_core::journal::plan::Plan;
use fanwire_wire::frame::{Direction, Frame, Hello, decode, split_frame};
use fanwire_wire::{ClientPreface, ServerPreface};
use mio::Events;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long anything that has to happen may take, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(30);

type Question = Box<dyn FnOnce(&mut Reactor) + Send>;

pub(super) struct House {
    pub(super) address: SocketAddr,
    doors: Arc<[Door]>,
    questions: Vec<Sender<Question>>,
    acceptor: Option<(Handle, JoinHandle<()>)>,
    reactors: Vec<(Handle, JoinHandle<()>)>,
}

/// Waits until `look` finds something.
#[track_caller]
pub(super) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Both ends of every connection are in this process.
fn raise_open_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
}

impl House {
    /// On a free port of loopback.
    pub(super) fn open(reactors: u32, connections_max: usize) -> House {
        House::configured("", reactors, connections_max)
    }

    /// The same with this configuration.
    pub(super) fn configured(config: &str, reactors: u32, connections_max: usize) -> House {
        raise_open_file_limit();
        let config = Config::from_text(config, &Flags { reactors: Some(reactors), ..Flags::default() }).unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), &config.socket).unwrap();
        let address = listener.local_address().unwrap();
        let Team { acceptor, reactors, .. } =
            Team::assemble(&config, Premises::new(&config, listener, connections_max), &Plan::default()).unwrap();
        let doors = Arc::clone(&reactors[0].doors);
        let mut house = House { address, doors, questions: Vec::new(), acceptor: None, reactors: Vec::new() };
        house.acceptor = Some((acceptor.handle(), std::thread::spawn(move || acceptor.run().unwrap())));
        for reactor in reactors {
            let (sender, questions) = channel();
            house.questions.push(sender);
            house.reactors.push((reactor.handle(), std::thread::spawn(move || work(reactor, &questions))));
        }
        house
    }

    /// Asks a reactor between two of its turns.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        reactor: usize,
        question: impl FnOnce(&mut Reactor) -> T + Send + 'static,
    ) -> T {
        self.order(reactor, question).recv_timeout(PATIENCE).expect("a reactor that turns answers")
    }

    /// Lets a reactor do something between two of its turns, without waiting for it.
    pub(super) fn order<T: Send + 'static>(
        &self,
        reactor: usize,
        question: impl FnOnce(&mut Reactor) -> T + Send + 'static,
    ) -> Receiver<T> {
        let (sender, answer) = channel();
        let asked = Box::new(move |reactor: &mut Reactor| {
            // Who does not wait for the answer does not want it.
            let _ = sender.send(question(reactor));
        });
        self.questions[reactor].send(asked).expect("the reactor runs");
        self.doors[reactor].wake().unwrap();
        answer
    }

    /// Stops a reactor in its tracks until what is returned is dropped.
    pub(super) fn stall(&self, reactor: usize) -> Sender<()> {
        let (release, released) = channel::<()>();
        let (sender, stands) = channel();
        drop(self.order(reactor, move |_| {
            sender.send(()).unwrap();
            released.recv().expect_err("nothing is ever sent");
        }));
        stands.recv_timeout(PATIENCE).expect("a reactor that turns stops");
        release
    }

    /// Connections of each reactor.
    pub(super) fn loads(&self) -> Vec<usize> {
        self.doors.iter().map(|door| door.load().connections).collect()
    }

    /// Waits until all reactors together have so many connections.
    #[track_caller]
    pub(super) fn wait_for_connections(&self, count: usize) {
        let is_so = || (self.loads().iter().sum::<usize>() == count).then_some(());
        eventually(&format!("{count} connections"), is_so);
    }
}

impl Drop for House {
    /// Everybody has left: the drain ends at once.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let (accepting, acceptor) = self.acceptor.take().expect("nobody took it before");
        accepting.drain().unwrap();
        acceptor.join().unwrap();
        // All together: each waits for the others' last mail.
        self.reactors.iter().for_each(|(handle, _)| handle.drain().unwrap());
        self.reactors.drain(..).for_each(|(_, thread)| thread.join().unwrap());
        let nobody = Load { connections: 0, turned_away: 0 };
        assert!(self.doors.iter().all(|door| door.load() == nobody), "{:?}", self.loads());
    }
}

fn work(mut reactor: Reactor, questions: &Receiver<Question>) {
    let mut events = Events::with_capacity(64);
    while !reactor.is_over() {
        reactor.turn(&mut events).unwrap();
        questions.try_iter().for_each(|question| question(&mut reactor));
    }
}

/// Where a reactor keeps the connection of a peer.
pub(super) fn slot_of(reactor: &Reactor, peer: SocketAddr) -> Option<usize> {
    reactor.connections.iter().find(|(_, connection)| connection.address() == peer).map(|(index, _)| index)
}

/// A preface and a HELLO.
pub(super) fn greeting() -> Vec<u8> {
    let mut bytes = ClientPreface::OURS.encode().to_vec();
    let hello = Hello { keep_alive_ms: 0, client_name: "peer", client_version: "1", credentials: b"" };
    Frame::from(hello).encode(&mut bytes);
    bytes
}

pub(super) struct Peer {
    stream: TcpStream,
    pub(super) address: SocketAddr,
}

impl Peer {
    pub(super) fn connect(house: &House) -> Peer {
        let stream = TcpStream::connect(house.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer { address: stream.local_addr().unwrap(), stream }
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(super) fn end_output(&self) {
        self.stream.shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// Goes without a farewell.
    pub(super) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// The body of the next answer of HTTP.
    #[track_caller]
    pub(super) fn expect_answer(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.split("Content-Length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let mut body = vec![0; length.expect("a length").parse().unwrap()];
        self.stream.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap()
    }

    /// What greets it has to be a preface and one WELCOME, complete and once. Returns the connection's id.
    #[track_caller]
    pub(super) fn expect_welcome(&mut self) -> u64 {
        let mut preface = [0; 8];
        self.stream.read_exact(&mut preface).unwrap();
        assert_eq!(ServerPreface::decode(&preface), Ok(Some(ServerPreface::ours(None))));
        let mut bytes = Vec::new();
        loop {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            bytes.push(byte[0]);
            let Some((frame, _)) = split_frame(&bytes, 4_096).unwrap() else { continue };
            match decode(frame, Direction::ToClient).unwrap().frame {
                Frame::Welcome(welcome) => return welcome.connection_id,
                other => panic!("not welcome: {other:?}"),
            }
        }
    }

    /// Nothing comes any more but the end.
    #[track_caller]
    pub(super) fn expect_end(&mut self) {
        assert_eq!(self.stream.read(&mut [0]).unwrap(), 0);
    }
}

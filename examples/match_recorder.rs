//! Records a game and replays it ten times as fast: `cargo run --example match_recorder -- [PLAYERS] [SECONDS]`.
//!
//! ```text
//!  play:    each player, 20 moves a second --> match/ID/PLAYER        journaled; nobody needs to listen
//!  replay:  match/ID/+ from the first record: HISTORY in the order of positions, each with its time
//!             next record's time - first record's time, divided by ten --> sleep --> show
//! ```
//!
//! The journal is the recorder: players only publish. The replay has one subscription over all players, and the
//! records' times are its clock. It reads ahead no more than it has to, and the broker sends no more than it reads: a
//! replay of hours needs the memory of a moment.
//!
//! The broker needs a journal for the topics: `fanwire serve --data DIR --journal 'matches=match/#'`.

use fanwire_client::{AckLevel, Client, Code, Delivery, Error, Event, Message, SubscribeOptions};
use std::collections::{BTreeMap, VecDeque};
use std::env;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Twenty moves a second.
const TICK: Duration = Duration::from_millis(50);
/// How much faster than the game its replay is.
const SPEED: u32 = 10;
/// Records read ahead of their time.
const AHEAD_MAX: usize = 256;
/// How long the broker may be silent where it has something to say.
const PATIENCE: Duration = Duration::from_secs(10);
/// The last move of each player.
const OVER: &[u8] = b"over";

fn main() -> ExitCode {
    let mut numbers = env::args().skip(1).map(|argument| argument.parse::<u32>());
    let (players, seconds) = (numbers.next().unwrap_or(Ok(3)), numbers.next().unwrap_or(Ok(10)));
    let (Ok(players @ 1..=100), Ok(seconds @ 1..=86_400)) = (players, seconds) else {
        eprintln!("usage: match_recorder [PLAYERS, 1 to 100] [SECONDS]");
        return ExitCode::from(2);
    };
    let server = env::var("FANWIRE_SERVER").unwrap_or_else(|_| "fanwire://127.0.0.1:7311".to_owned());
    match run(&server, players, Duration::from_secs(seconds.into())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("match_recorder: {error}{}", hint(&error));
            ExitCode::FAILURE
        }
    }
}

fn hint(error: &Error) -> &'static str {
    match error.code() {
        Some(Code::StartUnavailable | Code::PolicyUnavailable | Code::AckLevelUnavailable) => {
            "; start the broker with: fanwire serve --data DIR --journal 'matches=match/#'"
        }
        _ => "",
    }
}

fn run(server: &str, players: u32, time: Duration) -> Result<(), Error> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let name = format!("match/{}", since.as_micros());
    let begin = Instant::now();
    let moves: Result<Vec<u64>, Error> = thread::scope(|scope| {
        let play = |player| play(server, &format!("{name}/{player}"), player, time);
        let threads: Vec<_> = (1..=players).map(|player| scope.spawn(move || play(player))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no player panics")).collect()
    });
    let moves: u64 = moves?.iter().sum();
    println!("recorded {moves} moves of {players} players in {:.1} s: {name}", begin.elapsed().as_secs_f32());

    let begin = Instant::now();
    let replayed = Replay::open(server, &name)?.run(players)?;
    println!("replayed {replayed} moves in {:.1} s, {SPEED} times as fast", begin.elapsed().as_secs_f32());
    Ok(())
}

/// A player who walks in circles, and says so. How many moves were made.
fn play(server: &str, topic: &str, player: u32, time: Duration) -> Result<u64, Error> {
    let mut client = Client::connect(server)?;
    let voice = client.register(topic)?;
    let begin = Instant::now();
    let mut moves = 0;
    while begin.elapsed() < time {
        let angle = moves as f64 / 10.0 + f64::from(player);
        let place = format!("{:.1} {:.1}", 20.0 + 10.0 * angle.cos(), 10.0 + 5.0 * angle.sin());
        client.publish_to(&voice, place.as_bytes())?;
        moves += 1;
        client.poll(|_| {})?;
        thread::sleep((TICK * u32::try_from(moves).unwrap_or(u32::MAX)).saturating_sub(begin.elapsed()));
    }
    // One publisher's messages to one topic are journaled in order: with the last one, all of them are.
    client.publish_message_acked(&Message::to(&voice, OVER), AckLevel::Journaled, PATIENCE)?;
    client.close()?;
    Ok(moves)
}

/// A move, and when it was made.
struct Recorded {
    time_us: u64,
    player: String,
    what: Vec<u8>,
}

impl Recorded {
    fn of(record: &Delivery<'_>) -> Recorded {
        Recorded {
            time_us: record.time_us.unwrap_or(0),
            player: record.topic.rsplit('/').next().unwrap_or_default().to_owned(),
            what: record.payload.to_vec(),
        }
    }
}

/// A game that is played once more.
struct Replay {
    client: Client,
    ahead: VecDeque<Recorded>,
    /// Whether the journal has given everything.
    is_read: bool,
}

impl Replay {
    fn open(server: &str, name: &str) -> Result<Replay, Error> {
        let mut client = Client::connect(server)?;
        client.subscribe(&format!("{name}/+"), SubscribeOptions::first())?;
        Ok(Replay { client, ahead: VecDeque::new(), is_read: false })
    }

    /// Shows every move when it is due, until every player's game is over. How many there were.
    fn run(mut self, players: u32) -> Result<u64, Error> {
        let (begin, mut first_us, mut shown_second) = (Instant::now(), None, None);
        let (mut moves, mut places) = (0, BTreeMap::new());
        while let Some(next) = self.next()? {
            let game_time = Duration::from_micros(next.time_us.saturating_sub(*first_us.get_or_insert(next.time_us)));
            thread::sleep((game_time / SPEED).saturating_sub(begin.elapsed()));
            if next.what == OVER {
                places.insert(next.player, "over".to_owned());
                if places.values().filter(|place| *place == "over").count() == players as usize {
                    break;
                }
                continue;
            }
            moves += 1;
            places.insert(next.player, printable(&next.what));
            if shown_second != Some(game_time.as_secs()) {
                shown_second = Some(game_time.as_secs());
                println!("{:>5} s  {places:?}", game_time.as_secs());
            }
        }
        Ok(moves)
    }

    /// The next move of the game, if there is one.
    fn next(&mut self) -> Result<Option<Recorded>, Error> {
        while self.ahead.is_empty() && !self.is_read {
            if self.read(PATIENCE)? == 0 {
                return Err(Error::Timeout { what: "the next move", after: PATIENCE });
            }
        }
        if self.ahead.len() < AHEAD_MAX {
            self.read(Duration::ZERO)?;
        }
        Ok(self.ahead.pop_front())
    }

    fn read(&mut self, patience: Duration) -> Result<usize, Error> {
        let (ahead, is_read) = (&mut self.ahead, &mut self.is_read);
        let mut over = None;
        let told = self.client.wait(patience, |event| match event {
            Event::Message(record) => ahead.push_back(Recorded::of(&record)),
            Event::CaughtUp { .. } => *is_read = true,
            Event::Unsubscribed { refusal: Some(refusal), .. } => over = Some(Error::Refused(refusal)),
            _ => {}
        })?;
        over.map_or(Ok(told), Err)
    }
}

/// What strangers send must not move the cursor or change colours.
fn printable(payload: &[u8]) -> String {
    String::from_utf8_lossy(payload).chars().filter(|character| !character.is_control()).collect()
}

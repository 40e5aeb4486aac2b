//! Game state to everybody, twenty times a second: `cargo run --release --example game_state -- [PLAYERS] [SECONDS]`.
//!
//! ```text
//!  player 7, 100 frames a second:
//!    simulate, draw
//!    publish --> arena/7    in every 5th frame, by a short id
//!    poll    <-- arena/+    the others' newest states, each at most 30 times a second; own ones left out
//! ```
//!
//! A game wants the newest state, not every state. So the subscription conflates: whoever does not keep up is sent
//! the newest state of each player instead of a queue of old ones, and a GAP says how many were skipped.
//! `max_rate_hz` bounds what one over-eager sender can cost a player.
//!
//! Each player is a thread with a frame loop that never waits for the network and allocates nothing. Two rounds are
//! played: in the first one everybody keeps up, in the second one the last player freezes for two seconds at a time.
//! The table at the end shows what that does to the others: nothing. (With few players the system's own buffers hold
//! what comes in two seconds, and then nothing has to be skipped.)

use fanwire_client::{Client, Error, Event, Message, Policy, Publisher, SubscribeOptions};
use std::env;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

const FRAME: Duration = Duration::from_millis(10);
/// Twenty states a second.
const TICK: Duration = Duration::from_millis(50);
/// A frame of the player that freezes.
const FROZEN_FRAME: Duration = Duration::from_secs(2);
/// States a second that a player wants of each other one, at the most.
const MAX_RATE_HZ: u16 = 30;
/// Place, velocity, equipment: what a player tells about itself. Here it is the time, and zeros.
const STATE_BYTES: usize = 256;

fn main() -> ExitCode {
    let mut numbers = env::args().skip(1).map(|argument| argument.parse::<u32>());
    let (players, seconds) = (numbers.next().unwrap_or(Ok(32)), numbers.next().unwrap_or(Ok(20)));
    let (Ok(players @ 2..=500), Ok(seconds @ 1..=86_400)) = (players, seconds) else {
        eprintln!("usage: game_state [PLAYERS, 2 to 500] [SECONDS]");
        return ExitCode::from(2);
    };
    let server = env::var("FANWIRE_SERVER").unwrap_or_else(|_| "fanwire://127.0.0.1:7311".to_owned());
    match run(&server, players, Duration::from_secs(seconds.into())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("game_state: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(server: &str, players: u32, time: Duration) -> Result<(), Error> {
    let round = time / 2;
    println!("{players} players, two rounds of {} s; times in milliseconds", round.as_secs_f32());
    println!("                                frames           age of states when read     skipped");
    println!("                           a second   longest    median      99 %     worst  for newer   dropped");
    let rounds = [("everybody keeps up", FRAME), ("the last player freezes", FROZEN_FRAME)];
    for (title, frame_of_last) in rounds {
        let mut others = play_round(server, players, frame_of_last, round)?;
        let last = others.pop().expect("there are two players at least");
        println!("{title}");
        print_row(&format!("each of the {}", others.len()), &others, round);
        print_row("the last player", &[last], round);
    }
    Ok(())
}

/// Everybody joins, then everybody plays. What each player has seen, in their order.
fn play_round(server: &str, players: u32, frame_of_last: Duration, round: Duration) -> Result<Vec<Seen>, Error> {
    let epoch = Instant::now();
    let frame = |number| if number == players { frame_of_last } else { FRAME };
    let joined: Result<Vec<Player>, Error> =
        (1..=players).map(|number| Player::join(server, number, frame(number), epoch)).collect();
    let joined = joined?;
    thread::scope(|scope| {
        let threads: Vec<_> = joined.into_iter().map(|player| scope.spawn(move || player.play(round))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no player panics")).collect()
    })
}

/// A connection and a frame loop.
struct Player {
    client: Client,
    publisher: Publisher,
    frame: Duration,
    /// All players count time from here.
    epoch: Instant,
    seen: Seen,
}

impl Player {
    fn join(server: &str, number: u32, frame: Duration, epoch: Instant) -> Result<Player, Error> {
        let mut client = Client::connect(server)?;
        let newest = SubscribeOptions {
            policy: Policy::Conflate,
            max_rate_hz: MAX_RATE_HZ,
            no_echo: true,
            ..SubscribeOptions::default()
        };
        client.subscribe("arena/+", newest)?;
        let publisher = client.register(&format!("arena/{number}"))?;
        Ok(Player { client, publisher, frame, epoch, seen: Seen::new() })
    }

    /// The frame loop: nothing in it waits for the network, and nothing in it allocates.
    fn play(mut self, round: Duration) -> Result<Seen, Error> {
        let begin = Instant::now();
        let (mut frame_begin, mut tick) = (begin, begin);
        while frame_begin - begin < round {
            // Here a game would simulate and draw.
            if frame_begin >= tick {
                tick = (tick + TICK).max(frame_begin);
                self.tell_state()?;
            }
            self.read_states()?;
            thread::sleep((frame_begin + self.frame).saturating_duration_since(Instant::now()));
            self.seen.frame(frame_begin.elapsed());
            frame_begin = Instant::now();
        }
        Ok(self.seen)
    }

    /// The next poll sends it. `try_publish` leaves a state out rather than wait: a newer one follows soon.
    fn tell_state(&mut self) -> Result<(), Error> {
        let mut state = [0; STATE_BYTES];
        state[..8].copy_from_slice(&self.now_us().to_le_bytes());
        match self.client.try_publish_message(&Message::to(&self.publisher, &state)) {
            Ok(()) | Err(Error::WouldBlock | Error::Disconnected) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn read_states(&mut self) -> Result<(), Error> {
        let (now_us, seen) = (self.now_us(), &mut self.seen);
        self.client.poll(|event| match event {
            Event::Message(state) => seen.state(now_us, &state.payload),
            Event::Gap { dropped, conflated, .. } => {
                seen.dropped += dropped;
                seen.skipped += conflated;
            }
            _ => {}
        })?;
        Ok(())
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).expect("no game lasts that long")
    }
}

/// What one player has seen.
struct Seen {
    frames: u64,
    longest_frame: Duration,
    /// States by their age in milliseconds; the last place counts all that are older.
    ages: Box<[u64; 10_000]>,
    skipped: u64,
    dropped: u64,
}

impl Seen {
    fn new() -> Seen {
        Seen { frames: 0, longest_frame: Duration::ZERO, ages: Box::new([0; _]), skipped: 0, dropped: 0 }
    }

    fn frame(&mut self, length: Duration) {
        self.frames += 1;
        self.longest_frame = self.longest_frame.max(length);
    }

    fn state(&mut self, now_us: u64, state: &[u8]) {
        // Whatever else somebody publishes to the arena is no state.
        let Some(told_us) = state.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)) else { return };
        let age_ms = now_us.saturating_sub(told_us) / 1_000;
        self.ages[usize::try_from(age_ms).unwrap_or(usize::MAX).min(self.ages.len() - 1)] += 1;
    }
}

/// One line for a player, or for the average of several.
fn print_row(who: &str, players: &[Seen], round: Duration) {
    let count = players.len() as u64;
    let average = |total: u64| total / count;
    let frames: u64 = players.iter().map(|seen| seen.frames).sum();
    let longest = players.iter().map(|seen| seen.longest_frame).max().unwrap_or_default();
    println!(
        "  {who:<20}{:>13.1}{:>10}{:>10}{:>10}{:>10}{:>11}{:>10}",
        frames as f64 / count as f64 / round.as_secs_f64(),
        longest.as_millis(),
        age_ms(players, 0.5),
        age_ms(players, 0.99),
        age_ms(players, 1.0),
        average(players.iter().map(|seen| seen.skipped).sum()),
        average(players.iter().map(|seen| seen.dropped).sum()),
    );
}

/// The age that this share of the states did not pass.
fn age_ms(players: &[Seen], share: f64) -> usize {
    let count_at = |age_ms: usize| players.iter().map(|seen| seen.ages[age_ms]).sum::<u64>();
    let total: u64 = (0..players[0].ages.len()).map(count_at).sum();
    let wanted = (total as f64 * share).ceil() as u64;
    let mut counted = 0;
    (0..players[0].ages.len())
        .find(|age_ms| {
            counted += count_at(*age_ms);
            counted >= wanted
        })
        .unwrap_or_default()
}

//! Chat with rooms: `cargo run --example chat -- games/chess alice`, and in another terminal the same with `bob`.
//!
//! ```text
//!  terminal --lines--> publish  chat/games/chess/alice
//!  terminal <-text---- poll     chat/games/chess/+        everybody in the room, oneself left out (no_echo)
//! ```
//!
//! A room is a filter and a member is a topic below it, so the broker says who spoke and nothing has to be parsed. A
//! client belongs to one thread; reading a terminal blocks, so a second thread does that and hands over lines.
//! Ctrl-D leaves. Names are not proven to anyone here: that takes tokens.

use fanwire_client::{Client, Delivery, Error, Event, SubscribeOptions};
use std::env;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::Duration;

/// How long a typed line may wait while nobody else says anything.
const PATIENCE: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let [_, room, nickname] = &env::args().collect::<Vec<_>>()[..] else {
        eprintln!("usage: chat ROOM NICKNAME    the broker: fanwire://127.0.0.1:7311, or what FANWIRE_SERVER says");
        return ExitCode::from(2);
    };
    match chat(room, nickname) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat: {error}");
            ExitCode::FAILURE
        }
    }
}

fn chat(room: &str, nickname: &str) -> Result<(), Error> {
    let server = env::var("FANWIRE_SERVER").unwrap_or_else(|_| "fanwire://127.0.0.1:7311".to_owned());
    let mut client = Client::connect(&server)?;
    let others = SubscribeOptions { no_echo: true, ..SubscribeOptions::default() };
    client.subscribe(&format!("chat/{room}/+"), others)?;
    let voice = client.register(&format!("chat/{room}/{nickname}"))?;
    println!("* you are {nickname} in {room}; say something, Ctrl-D leaves");

    let lines = terminal_lines();
    loop {
        client.wait(PATIENCE, |event| show(&event))?;
        loop {
            match lines.try_recv() {
                Ok(line) => client.publish_to(&voice, line.as_bytes())?,
                Err(TryRecvError::Empty) => break,
                // Waits until the broker has taken the last line.
                Err(TryRecvError::Disconnected) => return client.close(),
            }
        }
    }
}

/// The lines of standard input, until it ends.
fn terminal_lines() -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

fn show(event: &Event<'_>) {
    match event {
        Event::Message(message) => println!("{}: {}", speaker(message), printable(&message.payload)),
        Event::Refused { refusal, .. } => println!("* not said: {refusal}"),
        Event::Disconnected { error, .. } => println!("* {error}"),
        Event::Reconnected { .. } => println!("* connected again; what was said meanwhile is missing"),
        Event::Goaway { .. } => println!("* the broker restarts soon"),
        _ => {}
    }
}

/// The last level of the topic.
fn speaker<'a>(message: &'a Delivery<'_>) -> &'a str {
    message.topic.rsplit('/').next().unwrap_or_default()
}

/// What strangers send must not move the cursor or change colours.
fn printable(payload: &[u8]) -> String {
    String::from_utf8_lossy(payload).chars().filter(|character| !character.is_control()).collect()
}

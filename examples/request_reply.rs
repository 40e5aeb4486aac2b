//! A small service: `cargo run --example request_reply`. Two workers share the requests, one requester asks.
//!
//! ```text
//!  requester -- request math/sum "19 23" --> broker --> one worker of the group "adders"
//!            <---------- answer "42" -------        <--
//! ```
//!
//! What can go wrong is part of the picture, and all of it is shown: nobody there ([`Error::NoResponders`], at once,
//! not after a time-out), and too late ([`Error::DeadlineExceeded`]: the deadline travels with the request, so that a
//! worker can leave alone what nobody waits for any more).

use fanwire_client::{Call, Client, Error, Event, Message, RequestId, SubscribeOptions};
use std::env;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How long the requester waits for ordinary work.
const DEADLINE: Duration = Duration::from_secs(2);
/// How long a worker takes for hard work.
const HARD_WORK: Duration = Duration::from_millis(300);
/// How long a worker listens before it looks whether it should stop.
const PATIENCE: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let server = env::var("FANWIRE_SERVER").unwrap_or_else(|_| "fanwire://127.0.0.1:7311".to_owned());
    match run(&server) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("request_reply: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(server: &str) -> Result<(), Error> {
    let mut requester = Client::connect(server)?;
    ask(&mut requester, "math/sum", "1 2", DEADLINE)?;

    let workers = [Worker::begin(server, "ann")?, Worker::begin(server, "ben")?];
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers = workers.map(|worker| scope.spawn(|| worker.work(&stop)));
        let asked = ask_all(&mut requester);
        stop.store(true, Ordering::Relaxed);
        let worked = workers.into_iter().try_for_each(|worker| worker.join().expect("no worker panics"));
        asked.and(worked)
    })?;
    requester.close()
}

/// The requester's part.
fn ask_all(requester: &mut Client) -> Result<(), Error> {
    // One after another ...
    ask(requester, "math/sum", "19 23", DEADLINE)?;
    ask(requester, "math/sum", "1 one", DEADLINE)?;
    // ... many at once, answered in any order ...
    ask_at_once(requester, "math/sum", &["1 1", "2 2", "3 3", "4 4"])?;
    // ... with more patience than the work takes, and with less.
    ask(requester, "math/hard-sum", "1 2", DEADLINE)?;
    ask(requester, "math/hard-sum", "1 2", HARD_WORK / 3)
}

/// Asks and waits. How a request may end is printed; any other error is the connection's and ends the program.
fn ask(requester: &mut Client, topic: &str, question: &str, deadline: Duration) -> Result<(), Error> {
    match requester.request(topic, question.as_bytes(), deadline) {
        Ok(answer) => println!("{topic} {question}: {}", String::from_utf8_lossy(&answer.payload)),
        Err(error @ (Error::NoResponders | Error::DeadlineExceeded | Error::ResponderGone)) => {
            println!("{topic} {question}: {error}");
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Sends every request before it waits for the first answer.
fn ask_at_once(requester: &mut Client, topic: &str, questions: &[&str]) -> Result<(), Error> {
    let mut open: Vec<(RequestId, &str)> = Vec::new();
    for question in questions {
        let request = requester.send_request(&Message::new(topic, question.as_bytes()), DEADLINE)?;
        open.push((request, question));
    }
    // Every request ends with exactly one response, whatever happens, so this ends too.
    while !open.is_empty() {
        requester.wait(DEADLINE, |event| {
            let Event::Response { request, outcome } = event else { return };
            let Some(index) = open.iter().position(|(asked, _)| *asked == request) else { return };
            let (_, question) = open.swap_remove(index);
            match outcome {
                Ok(answer) => println!("{topic} {question}: {}", String::from_utf8_lossy(&answer.payload)),
                Err(error) => println!("{topic} {question}: {error}"),
            }
        })?;
    }
    Ok(())
}

/// One of the group: a connection of its own, on a thread of its own.
struct Worker {
    name: &'static str,
    client: Client,
}

impl Worker {
    /// Whoever asks after this has returned finds a worker.
    fn begin(server: &str, name: &'static str) -> Result<Worker, Error> {
        let mut client = Client::connect(server)?;
        client.subscribe("math/+", SubscribeOptions::responder("adders"))?;
        Ok(Worker { name, client })
    }

    fn work(mut self, stop: &AtomicBool) -> Result<(), Error> {
        let mut calls = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            // A closure that hears cannot speak: gather first, answer afterwards.
            self.client.wait(PATIENCE, |event| {
                if let Event::Call(call) = event {
                    calls.push(call.into_owned());
                }
            })?;
            for call in calls.drain(..) {
                if let Some(answer) = answer(&call) {
                    self.client.respond(&call.handle, format!("{answer}, says {}", self.name).as_bytes())?;
                }
            }
        }
        self.client.close()
    }
}

/// `None` when there is no point in answering, because nobody will wait that long.
fn answer(call: &Call<'_>) -> Option<String> {
    if call.topic == "math/hard-sum" {
        if call.time_left < HARD_WORK {
            return None;
        }
        thread::sleep(HARD_WORK);
    }
    let question = String::from_utf8_lossy(&call.payload);
    let numbers: Result<Vec<i64>, _> = question.split(' ').map(str::parse).collect();
    Some(
        numbers
            .map_or_else(|error| format!("that does not add up ({error})"), |all| all.iter().sum::<i64>().to_string()),
    )
}

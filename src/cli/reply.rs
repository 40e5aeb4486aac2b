//! `fanwire reply`: a responder, made of an echo or of a command.
//!
//! ```text
//!  call --echo--> respond
//!  call --queue--> thread: command --result--> respond        so many at a time; each within its own deadline
//! ```
//!
//! Commands run in threads, so that a slow one delays neither the others nor the connection. A command that fails
//! gives no reply (the requester hears of the deadline) and a line on standard error, and harms nothing else.

use super::connection::{Server, parse_filter, parse_group};
use super::exec::Exec;
use super::interrupt::Interrupt;
use super::notice::{ended, notice};
use super::{Failure, tell};
use crate::escape::visible;
use fanwire_client::{Call, CallHandle, Client, Error, Event, SubscribeOptions, SubscriptionId};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  fanwire reply ping --echo
  fanwire reply time/now --exec 'date --iso-8601=seconds'
  fanwire reply 'convert/+' --exec ./convert.sh        which reads $FANWIRE_TOPIC and standard input

The command is started once a request, without a shell: words are split at spaces, quotes keep them together, and
nothing is expanded. It gets the payload on standard input and the topic in FANWIRE_TOPIC; what it prints on standard
output is the reply. One that fails, or does not end before the request's deadline, gives no reply; the requester is
told when the deadline passes. Up to 16 run at a time.
Responders of the same group share the requests. Ctrl-C lets running commands end; pressed again, it ends at once.";

/// How long to wait for calls before looking whether somebody pressed Ctrl-C.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long to wait for a command before looking at the connection.
const EXEC_PATIENCE: Duration = Duration::from_millis(2);
/// Commands that run at a time.
const RUNNING_MAX: usize = 16;
/// Calls that wait for a command to end; those beyond are left to their deadline.
const WAITING_MAX: usize = 1_024;

/// Answer requests, with an echo or by a command
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("answer").required(true))]
pub(super) struct Reply {
    /// The topic to answer on; wildcards are allowed
    #[arg(value_name = "TOPIC", value_parser = parse_filter)]
    filter: String,
    /// Answer with what was asked
    #[arg(long, group = "answer")]
    echo: bool,
    /// Answer with what this command prints
    #[arg(long, group = "answer", value_name = "CMD", value_parser = Exec::parse)]
    exec: Option<Exec>,
    /// The group of responders that share the requests
    #[arg(long, value_name = "NAME", default_value = "reply", value_parser = parse_group)]
    group: String,
    #[command(flatten)]
    server: Server,
}

impl Reply {
    pub(super) fn run(self) -> Result<(), Failure> {
        let interrupt = Interrupt::listen()?;
        let mut client = self.server.connect_lasting()?;
        let subscription = client.subscribe(&self.filter, SubscribeOptions::responder(self.group))?;
        tell(&format!("answering requests on {}", self.filter));
        let reply_bytes_max = client.welcome().limits.frame_bytes_max as usize;
        let mut responder = Responder {
            filters: vec![(subscription, self.filter)],
            calls: Vec::new(),
            workshop: self.exec.map(|exec| Workshop::new(exec, reply_bytes_max)),
        };
        while !interrupt.is_asked() && !responder.filters.is_empty() {
            responder.turn(&mut client)?;
        }
        if responder.filters.is_empty() {
            return Err(Failure::Run("no subscription is left".to_owned()));
        }
        client.unsubscribe(subscription);
        if responder.is_busy() {
            tell("ending when the running commands have; Ctrl-C again ends at once");
        }
        while responder.is_busy() {
            responder.turn(&mut client)?;
        }
        Ok(client.close()?)
    }
}

/// What answers calls.
struct Responder {
    /// The one subscription, while it stands.
    filters: Vec<(SubscriptionId, String)>,
    /// Calls that were heard and not yet answered or handed to the workshop.
    calls: Vec<Call<'static>>,
    workshop: Option<Workshop>,
}

impl Responder {
    /// Hears what there is and answers what can be answered.
    fn turn(&mut self, client: &mut Client) -> Result<(), Failure> {
        if self.is_busy() {
            client.poll(|event| self.hear(event))?;
        } else {
            client.wait(PATIENCE, |event| self.hear(event))?;
        }
        match &mut self.workshop {
            None => {
                for call in self.calls.drain(..) {
                    let sent = client.respond_with_headers(&call.handle, &call.headers_block, &call.payload);
                    check_sent(&call.topic, sent)?;
                }
            }
            Some(workshop) => {
                self.calls.drain(..).for_each(|call| workshop.take(call));
                while let Some(done) = workshop.next_done() {
                    respond(client, done)?;
                }
            }
        }
        Ok(())
    }

    fn hear(&mut self, event: Event<'_>) {
        if let Event::Call(call) = event {
            self.calls.push(call.into_owned());
            return;
        }
        if let Some(notice) = notice(&event, &self.filters) {
            tell(&notice);
        }
        if let Some(subscription) = ended(&event) {
            self.filters.retain(|(id, _)| *id != subscription);
        }
    }

    fn is_busy(&self) -> bool {
        !self.calls.is_empty() || self.workshop.as_ref().is_some_and(Workshop::is_busy)
    }
}

fn respond(client: &mut Client, done: Done) -> Result<(), Failure> {
    match done.outcome {
        Ok(reply) => check_sent(&done.topic, client.respond(&done.handle, &reply)),
        Err(reason) => {
            tell(&format!("no reply on {}: {reason}", visible(&done.topic)));
            Ok(())
        }
    }
}

/// A reply that can't be sent is this request's trouble alone, unless the client is over.
fn check_sent(topic: &str, sent: Result<(), Error>) -> Result<(), Failure> {
    match sent {
        // The requester of a lost connection has been told already, and so have we.
        Ok(()) | Err(Error::Disconnected) => Ok(()),
        Err(error @ (Error::Limit { .. } | Error::Invalid { .. } | Error::Refused(_) | Error::Unknown)) => {
            tell(&format!("no reply on {}: {error}", visible(topic)));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Commands at work, and calls that wait for them.
struct Workshop {
    exec: Arc<Exec>,
    reply_bytes_max: usize,
    running_count: usize,
    waiting: VecDeque<Job>,
    results: Receiver<Done>,
    sender: Sender<Done>,
}

/// A call that has to be answered in time.
struct Job {
    call: Call<'static>,
    deadline: Instant,
}

/// What became of a call.
struct Done {
    handle: CallHandle,
    topic: String,
    outcome: Result<Vec<u8>, String>,
}

impl Workshop {
    fn new(exec: Exec, reply_bytes_max: usize) -> Workshop {
        let (sender, results) = channel();
        let exec = Arc::new(exec);
        Workshop { exec, reply_bytes_max, running_count: 0, waiting: VecDeque::new(), results, sender }
    }

    fn is_busy(&self) -> bool {
        self.running_count > 0 || !self.waiting.is_empty()
    }

    fn take(&mut self, call: Call<'static>) {
        if self.waiting.len() >= WAITING_MAX {
            tell(&format!("no reply on {}: {WAITING_MAX} requests wait already", visible(&call.topic)));
            return;
        }
        let deadline = Instant::now() + call.time_left;
        self.waiting.push_back(Job { call, deadline });
        self.start_waiting();
    }

    /// The next result, if there is one within a moment; starts what waited for it.
    fn next_done(&mut self) -> Option<Done> {
        if self.running_count == 0 {
            return None;
        }
        let done = self.results.recv_timeout(EXEC_PATIENCE).ok()?;
        self.running_count -= 1;
        self.start_waiting();
        Some(done)
    }

    fn start_waiting(&mut self) {
        while self.running_count < RUNNING_MAX
            && let Some(job) = self.waiting.pop_front()
        {
            self.running_count += 1;
            self.start(job);
        }
    }

    fn start(&self, job: Job) {
        let (exec, sender, reply_bytes_max) = (Arc::clone(&self.exec), self.sender.clone(), self.reply_bytes_max);
        let (handle, topic) = (job.call.handle, job.call.topic.clone().into_owned());
        let work = move || {
            let call = job.call;
            let outcome = exec.run(&call.topic, &call.payload, job.deadline, reply_bytes_max);
            let done = Done {
                handle: call.handle,
                topic: call.topic.into_owned(),
                outcome: outcome.map_err(|error| error.to_string()),
            };
            // Fails only when the verb is ending and nobody wants results any more.
            let _ = sender.send(done);
        };
        if let Err(error) = std::thread::Builder::new().name("exec".to_owned()).spawn(work) {
            let outcome = Err(format!("no thread for the command: {error}"));
            self.sender.send(Done { handle, topic, outcome }).expect("the receiver is ours");
        }
    }
}

//! The command line: one verb, done, and a status that says how it ended.
//!
//! ```text
//!  arguments --clap--> verb --run--> Ok: 0 | Failure::Run: 1 | Failure::Usage: 2 | Failure::ReaderGone: 0
//! ```
//!
//! Rules for every verb: what was asked for goes to standard output, everything else to standard error; an error says
//! what to do next; whoever stops reading our output ends us quietly; what strangers wrote reaches a terminal
//! unescaped only where raw bytes were asked for.

mod advice;
mod banner;
mod bench;
mod config;
mod connection;
mod exec;
mod interrupt;
mod journal;
mod notice;
mod output;
mod pace;
mod payload;
mod progress;
mod publish;
mod reply;
mod request;
mod serve;
mod subscribe;

use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Quick start, in two terminals:
  fanwire serve
  fanwire sub 'chat/#'              and in the second one: fanwire pub chat/lobby hello

Exit status: 0 done, 1 failed at run time, 2 wrong usage.
More of a verb, with examples: fanwire VERB --help";

/// Fanwire: a real-time message broker in one binary.
#[derive(Debug, Parser)]
#[command(name = "fanwire", version, about, after_help = EXAMPLES, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Serve(serve::Serve),
    #[command(name = "pub")]
    Publish(publish::Publish),
    #[command(name = "sub")]
    Subscribe(subscribe::Subscribe),
    Request(request::Request),
    Reply(reply::Reply),
    Journal(journal::Journal),
    Bench(bench::Bench),
    Config(config::Config),
}

/// How a verb can fail.
#[derive(Debug)]
enum Failure {
    /// The arguments can't mean anything: status 2.
    Usage(String),
    /// It did not work out: status 1.
    Run(String),
    /// Nobody reads our output any more, which is how pipes end: status 0, in silence.
    ReaderGone,
}

/// Runs what the arguments ask for; the program's name comes first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let verb = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments.verb,
        Err(answer) => {
            // Help and version come as errors too, with status 0. Nobody to print to is no further trouble.
            let _ = answer.print();
            return ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(2));
        }
    };
    let outcome = match verb {
        Verb::Serve(serve) => serve.run(),
        Verb::Publish(publish) => publish.run(),
        Verb::Subscribe(subscribe) => subscribe.run(),
        Verb::Request(request) => request.run(),
        Verb::Reply(reply) => reply.run(),
        Verb::Journal(journal) => journal.run(),
        Verb::Bench(bench) => bench.run(),
        Verb::Config(config) => config.run(),
    };
    match outcome {
        Ok(()) | Err(Failure::ReaderGone) => ExitCode::SUCCESS,
        Err(Failure::Run(message)) => {
            tell(&message);
            ExitCode::from(1)
        }
        Err(Failure::Usage(message)) => {
            tell(&message);
            ExitCode::from(2)
        }
    }
}

/// Says something on standard error. Nobody listening there is no reason to fail.
fn tell(message: &str) {
    let _ = writeln!(io::stderr(), "fanwire: {message}");
}

impl From<io::Error> for Failure {
    /// What went wrong while writing our output.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Failure::ReaderGone
        } else {
            Failure::Run(format!("the output can't be written: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }
}

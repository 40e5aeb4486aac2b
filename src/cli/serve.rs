//! `fanwire serve`: arguments and file to a configuration, a log, a broker, a banner.

use super::Failure;
use super::banner::{Facts, banner};
use crate::config::{Config, ConfigError, Flags, Origin};
use crate::{logging, server};
use std::io::{Write, stdout};
use std::net::SocketAddr;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  fanwire serve                                   loopback, port 7311, nobody has to say who they are
  fanwire serve --listen 127.0.0.1:0              any free port; the banner says which
  fanwire serve --listen 0.0.0.0:7311 --open      everyone who reaches this machine may connect
  fanwire serve --config fanwire.toml             everything else: fanwire config default
  fanwire serve --data /srv/fanwire --journal 'events=match/#,orders/+/log'
                                                  keeps their messages in /srv/fanwire/events
  fanwire serve --journal 'chat=chat/#;store=memory;max_bytes=64MiB'
                                                  keeps the newest 64 MiB while it runs

SIGTERM or Ctrl-C drains: clients are told to come back elsewhere or later, and the broker ends when they have left
or the drain's deadline has passed. A second one ends it at once.
FANWIRE_LOG sets the log level, for single modules too: FANWIRE_LOG=warn,fanwire::reactor=debug";

/// Run a broker
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Serve {
    /// Address and port to listen on [default: 127.0.0.1:7311]
    ///
    /// An address that other machines can reach needs a token in the configuration file, or --open.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    listen: Option<SocketAddr>,
    /// A second address, whose callers see console, metrics and figures wherever they are
    ///
    /// At the first address these answer callers on this machine alone, or whoever has a token; a proxy on this machine
    /// counts as being on it unless it says whom it asks for. An address that other machines can reach needs a token,
    /// or --open.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    admin_listen: Option<SocketAddr>,
    /// Reactor threads, up to 64 [default: half of the cores, at most 16]
    ///
    /// Each serves its share of the connections; one more thread accepts them.
    #[arg(long, value_name = "N")]
    reactors: Option<u32>,
    /// A configuration file; flags override what it says
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Let anyone who reaches the address connect, without a token
    #[arg(long)]
    open: bool,
    /// Directory of the journals on disk
    ///
    /// Each has a directory of its own in it. It is made if it is not there.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Keep the messages of the topics of these filters; can be given several times
    ///
    /// NAME is the journal's, 1 to 32 of a-z, 0-9, _ and -. A journal of the same name in the configuration file is
    /// replaced. Behind a semicolon go the keys of a [[journal]] in the file, values without quotes: store=memory,
    /// max_bytes=10GiB, max_age=72h, segment_bytes=64MiB, compact=true, sync=release, topics_max=1000.
    #[arg(long = "journal", value_name = "NAME=FILTER,...[;KEY=VALUE...]")]
    journals: Vec<String>,
}

impl Serve {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Serve { listen, admin_listen, reactors, open, data, journals, .. } = self;
        let flags = Flags { listen, admin_listen, reactors, open, data, journals };
        let config = Config::load(self.config.as_deref(), &flags).map_err(|error| refusal(&error))?;
        let _log = logging::start(&config.log).map_err(|error| Failure::Run(error.to_string()))?;
        server::run(&config, |bound| announce(&Facts::new(&config, bound)))
            .map_err(|error| Failure::Run(error.to_string()))
    }
}

/// Says that the broker is ready. Nobody listening there is no reason not to serve.
fn announce(facts: &Facts) {
    let mut output = stdout().lock();
    let _ = output.write_all(banner(facts).as_bytes()).and_then(|()| output.flush());
}

/// Flags that can't stand are wrong usage; a file that can't is trouble at run time, as `config check` says too.
fn refusal(error: &ConfigError) -> Failure {
    let by_flag = error.problems.iter().any(|problem| matches!(problem.origin, Origin::Flag(_)));
    if by_flag {
        Failure::Usage(error.to_string())
    } else {
        Failure::Run(format!("the configuration is wrong\n{error}"))
    }
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "an address is an IP address and a port, such as 127.0.0.1:7311 or [::1]:7311".to_owned())
}

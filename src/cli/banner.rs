//! What `fanwire serve` says when it is ready: a few lines that answer what an operator asks first.
//!
//! Pure: facts in, text out. The first line names the address as clients write it, so that a script that starts a
//! broker on port 0 finds out where it listens.

use crate::config::quantity::print_size;
use crate::config::{Config, Journal};
use crate::escape::visible;
use crate::server::Bound;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// What the banner tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// The broker's version.
    pub(super) version: &'static str,
    /// The address that was bound, with its real port.
    pub(super) address: SocketAddr,
    /// The second one, if there is one.
    pub(super) admin_address: Option<SocketAddr>,
    /// Reactor threads.
    pub(super) reactors: u32,
    /// How many tokens let clients in; 0: OPEN.
    pub(super) token_count: usize,
    /// Bytes of the largest frame.
    pub(super) frame_bytes_max: u64,
    /// Bytes that may wait for one connection.
    pub(super) queue_bytes_max: u64,
    /// Bytes that may wait for all connections together.
    pub(super) queue_bytes_total_max: u64,
    /// Connections at one time: the configured bound, or what the open-file limit leaves.
    pub(super) connections_max: u64,
    /// The process' open-file limit.
    pub(super) open_files_max: u64,
    /// The directory of all journals on disk.
    pub(super) data: Option<PathBuf>,
    /// Each journal on a line.
    pub(super) journals: Vec<String>,
}

impl Facts {
    /// The facts of a configuration, once it is known what the machine made of it.
    pub(super) fn new(config: &Config, bound: &Bound) -> Facts {
        Facts {
            version: env!("CARGO_PKG_VERSION"),
            address: bound.address,
            admin_address: bound.admin_address,
            reactors: config.reactor_count(),
            token_count: config.tokens.count(),
            frame_bytes_max: config.limits.wire.frame_bytes_max.into(),
            queue_bytes_max: config.limits.wire.queue_bytes_max.into(),
            queue_bytes_total_max: config.limits.queue_bytes_total_max,
            connections_max: bound.connections_max,
            open_files_max: bound.open_files_max,
            data: config.data.clone(),
            journals: config.journals.iter().map(|journal| shown(config, bound, journal)).collect(),
        }
    }
}

fn shown(config: &Config, bound: &Bound, journal: &Journal) -> String {
    let summary = journal.summary(config.data.as_deref());
    let is_refused = bound.journals_refused.contains(&journal.name);
    if is_refused { format!("{summary} - REFUSED: the log says why") } else { summary }
}

/// The banner, each line ended.
pub(super) fn banner(facts: &Facts) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: &str| {
        writeln!(text, "  {name:<12} {value}").expect("writing to a string can't fail");
    };
    row("listening", &format!("fanwire://{} on {}", facts.address, counted(facts.reactors.into(), "reactor")));
    facts.admin_address.iter().for_each(|address| row("admin", &format!("http://{address}/")));
    row("access", &access(facts));
    row("limits", &limits(facts));
    row("connections", &connections(facts));
    facts.data.iter().for_each(|data| row("data", &visible(&data.display().to_string())));
    facts.journals.iter().for_each(|journal| row("journal", journal));
    row("try", &attempt(facts));
    format!("fanwire {}\n{text}", facts.version)
}

fn access(facts: &Facts) -> String {
    let addresses = [Some(facts.address), facts.admin_address];
    let is_local = addresses.iter().flatten().all(|address| address.ip().to_canonical().is_loopback());
    match (facts.token_count, is_local) {
        (0, true) => "OPEN: everyone on this machine may connect".to_owned(),
        (0, false) => "OPEN: everyone who reaches this address may connect, without a token".to_owned(),
        (1, _) => "authenticated: 1 token lets clients in".to_owned(),
        (count, _) => format!("authenticated: {count} tokens let clients in"),
    }
}

fn limits(facts: &Facts) -> String {
    format!(
        "frames to {}; queues to {} a connection, {} in all",
        print_size(facts.frame_bytes_max),
        print_size(facts.queue_bytes_max),
        print_size(facts.queue_bytes_total_max),
    )
}

fn connections(facts: &Facts) -> String {
    format!("up to {}; open-file limit {} (ulimit -n)", facts.connections_max, facts.open_files_max)
}

/// One command that works as it stands, but for the token.
fn attempt(facts: &Facts) -> String {
    let address = reachable(facts.address);
    let token = if facts.token_count == 0 { "" } else { "TOKEN@" };
    let usual = address == Config::default().listen && token.is_empty();
    let server = if usual { String::new() } else { format!(" --server fanwire://{token}{address}") };
    format!("fanwire sub{server} 'chat/#'")
}

/// An address to connect to: a wildcard address is one to listen on only.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    };
    SocketAddr::new(ip, address.port())
}

fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(address: SocketAddr, refused: &[&str]) -> Bound {
        let journals_refused = refused.iter().map(|name| (*name).to_owned()).collect();
        Bound { address, admin_address: None, connections_max: 1_000, open_files_max: 1_024, journals_refused }
    }

    fn facts(address: &str, token_count: usize) -> Facts {
        let bound = bound(address.parse().unwrap(), &[]);
        Facts { version: "1.2.3", reactors: 1, token_count, ..Facts::new(&Config::default(), &bound) }
    }

    #[test]
    fn the_default_broker_says_all_that_matters_and_what_to_try() {
        let expected = "\
fanwire 1.2.3
  listening    fanwire://127.0.0.1:7311 on 1 reactor
  access       OPEN: everyone on this machine may connect
  limits       frames to 1MiB; queues to 2MiB a connection, 256MiB in all
  connections  up to 1000; open-file limit 1024 (ulimit -n)
  try          fanwire sub 'chat/#'
";
        assert_eq!(banner(&facts("127.0.0.1:7311", 0)), expected);
    }

    #[test]
    fn reactors_are_counted() {
        let several = banner(&Facts { reactors: 4, ..facts("127.0.0.1:7311", 0) });
        assert!(several.contains("fanwire://127.0.0.1:7311 on 4 reactors\n"), "{several}");
    }

    #[test]
    fn a_reachable_broker_says_whether_it_is_open() {
        let open = banner(&facts("0.0.0.0:7311", 0));
        assert!(open.contains("OPEN: everyone who reaches this address"), "{open}");
        assert!(open.ends_with("try          fanwire sub 'chat/#'\n"), "{open}");
        let closed = banner(&facts("[::]:9", 2));
        assert!(!closed.contains("OPEN") && closed.contains("authenticated: 2 tokens"), "{closed}");
        assert!(closed.ends_with("fanwire sub --server fanwire://TOKEN@[::1]:9 'chat/#'\n"), "{closed}");
    }

    #[test]
    fn a_second_address_is_named_and_one_that_others_reach_is_as_open_as_the_first() {
        let admin_address = Some("0.0.0.0:7312".parse().unwrap());
        let shown = banner(&Facts { admin_address, ..facts("127.0.0.1:7311", 0) });
        assert!(shown.contains("  admin        http://0.0.0.0:7312/\n"), "{shown}");
        assert!(shown.contains("OPEN: everyone who reaches this address"), "{shown}");
    }

    #[test]
    fn a_broker_with_journals_says_which_topics_are_kept_where_and_for_how_long() {
        let text = "data = \"/srv/fw\"\n[[journal]]\nname = \"events\"\ntopics = [\"match/#\", \"orders/+/log\"]\n\
                    [[journal]]\nname = \"chat\"\ntopics = [\"chat/#\"]\nstore = \"memory\"\n";
        let config = Config::from_text(text, &crate::config::Flags::default()).unwrap();
        let shown = banner(&Facts::new(&config, &bound(config.listen, &["chat"])));
        let expected = "\
  data         /srv/fw
  journal      events: match/#, orders/+/log; on disk in /srv/fw/events, synced every 100ms; keeps everything
  journal      chat: chat/#; in memory; keeps 64MiB at most - REFUSED: the log says why
  try ";
        assert!(shown.contains(expected), "{shown}");
    }
}

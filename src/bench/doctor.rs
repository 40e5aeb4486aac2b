//! What to mend on a machine before believing a number measured on it.
//!
//! Facts in, findings out; each finding says what it spoils and what to do.

use super::machine::{Machine, read};
use super::usage;
use std::time::Duration;

/// Connections that the largest row of the comparison makes.
const CONNECTIONS: u64 = 19_000;
/// They, and the open files beside them.
const OPEN_FILES_MIN: u64 = CONNECTIONS + 500;
/// A backlog below this drops connections of a storm.
const BACKLOG_MIN: u64 = 4_096;
/// Pages of 4 KiB that a run with many connections may need for sockets.
const TCP_PAGES_MIN: u64 = 64 * 1_024;

/// One thing looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    name: &'static str,
    value: String,
    /// What to do; `None`: it is as it should be.
    remedy: Option<&'static str>,
}

/// What this machine says.
#[derive(Debug, Clone, PartialEq)]
struct Facts {
    open_files_max: u64,
    ports: (u64, u64),
    listen_backlog_max: u64,
    handshakes_max: u64,
    tcp_pages_max: u64,
    cores: usize,
    clock_source: String,
    governor: String,
    /// Processes that wanted to run, on average, during the last minute.
    running: f64,
    /// How old a running thread's processor time may be; `None`: it is counted in ticks of 10 ms.
    cpu_step: Option<Duration>,
}

/// Looks around, and reports for people.
pub fn examine() -> String {
    let machine = Machine::here();
    let findings = findings(&facts(&machine));
    let mut text = format!("{}\n", machine.line());
    for finding in &findings {
        let mark = if finding.remedy.is_some() { "mend" } else { "ok" };
        text.push_str(&format!("  {mark:<5} {:<18} {}\n", finding.name, finding.value));
        if let Some(remedy) = finding.remedy {
            text.push_str(&format!("        {remedy}\n"));
        }
    }
    let count = findings.iter().filter(|finding| finding.remedy.is_some()).count();
    text.push_str(&match count {
        0 => "nothing to mend\n".to_owned(),
        1 => "1 thing to mend\n".to_owned(),
        count => format!("{count} things to mend\n"),
    });
    text
}

fn facts(machine: &Machine) -> Facts {
    let numbers =
        |path: &str| -> Vec<u64> { read(path).split_whitespace().filter_map(|word| word.parse().ok()).collect() };
    let number = |path: &str| numbers(path).first().copied().unwrap_or(0);
    let ports = numbers("/proc/sys/net/ipv4/ip_local_port_range");
    Facts {
        open_files_max: machine.open_files_max,
        ports: (ports.first().copied().unwrap_or(0), ports.get(1).copied().unwrap_or(0)),
        listen_backlog_max: number("/proc/sys/net/core/somaxconn"),
        handshakes_max: number("/proc/sys/net/ipv4/tcp_max_syn_backlog"),
        tcp_pages_max: numbers("/proc/sys/net/ipv4/tcp_mem").get(2).copied().unwrap_or(0),
        cores: machine.cores,
        clock_source: machine.clock_source.clone(),
        governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        running: read("/proc/loadavg").split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0),
        cpu_step: usage::step(),
    }
}

fn findings(facts: &Facts) -> Vec<Finding> {
    let port_count = facts.ports.1.saturating_sub(facts.ports.0);
    let finding = |name, value, is_fine: bool, remedy| Finding { name, value, remedy: (!is_fine).then_some(remedy) };
    vec![
        finding(
            "open files",
            facts.open_files_max.to_string(),
            facts.open_files_max >= OPEN_FILES_MIN,
            "rows with many connections shrink: raise it with ulimit -n 65536 (as root, or in limits.conf)",
        ),
        finding(
            "local ports",
            format!("{}..{}", facts.ports.0, facts.ports.1),
            port_count >= CONNECTIONS,
            "connections run out of ports: sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"",
        ),
        finding(
            "listen backlog",
            facts.listen_backlog_max.to_string(),
            facts.listen_backlog_max >= BACKLOG_MIN,
            "storms of connections are dropped and retried after a second: sysctl -w net.core.somaxconn=4096",
        ),
        finding(
            "handshakes",
            facts.handshakes_max.to_string(),
            facts.handshakes_max >= 1_024,
            "storms of connections are dropped: sysctl -w net.ipv4.tcp_max_syn_backlog=4096",
        ),
        finding(
            "tcp memory",
            format!("{} pages at the most", facts.tcp_pages_max),
            facts.tcp_pages_max >= TCP_PAGES_MIN,
            "the kernel shrinks every socket's buffers early: raise the third number of net.ipv4.tcp_mem",
        ),
        finding(
            "cores",
            facts.cores.to_string(),
            facts.cores >= 2,
            "broker and generator share a core: rates and latencies mean nothing, CPU per delivery still does",
        ),
        finding(
            "clock source",
            facts.clock_source.clone(),
            !matches!(facts.clock_source.as_str(), "hpet" | "acpi_pm" | "jiffies"),
            "reading the clock is a slow call here: latencies and pacing cost more than what they measure",
        ),
        finding(
            "frequency governor",
            facts.governor.clone(),
            matches!(facts.governor.as_str(), "performance" | "unknown"),
            "the clock frequency follows the load: cpupower frequency-set -g performance",
        ),
        finding(
            "load",
            format!("{:.2}", facts.running),
            facts.running < 0.5,
            "other work runs on this machine: wait until it is over, and trust medians and spreads only",
        ),
        finding(
            "CPU time",
            cpu_time(facts.cpu_step),
            facts.cpu_step.is_some_and(|step| share(step) < 1.0),
            "CPU time is too coarse for a run of a second: measure for at least 10 s (--duration 10s)",
        ),
    ]
}

fn cpu_time(step: Option<Duration>) -> String {
    match step {
        Some(step) => format!("in steps of {:.1} ms, {:.1} % of a second", step.as_secs_f64() * 1e3, share(step)),
        None => "in ticks of 10 ms: no schedstat".to_owned(),
    }
}

/// Per cent of a second.
fn share(step: Duration) -> f64 {
    step.as_secs_f64() * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn healthy() -> Facts {
        Facts {
            open_files_max: 65_536,
            ports: (1_024, 65_535),
            listen_backlog_max: 4_096,
            handshakes_max: 4_096,
            tcp_pages_max: 1 << 20,
            cores: 8,
            clock_source: "tsc".to_owned(),
            governor: "performance".to_owned(),
            running: 0.1,
            cpu_step: Some(Duration::from_millis(4)),
        }
    }

    fn mended(facts: &Facts) -> Vec<&'static str> {
        findings(facts).into_iter().filter(|finding| finding.remedy.is_some()).map(|finding| finding.name).collect()
    }

    #[test]
    fn a_healthy_machine_has_nothing_to_mend() {
        assert!(mended(&healthy()).is_empty());
    }

    #[test]
    fn each_trouble_is_found_by_itself() {
        assert_eq!(mended(&Facts { open_files_max: 1_024, ..healthy() }), ["open files"]);
        assert_eq!(mended(&Facts { ports: (32_768, 40_000), ..healthy() }), ["local ports"]);
        assert_eq!(mended(&Facts { listen_backlog_max: 128, ..healthy() }), ["listen backlog"]);
        assert_eq!(mended(&Facts { cores: 1, ..healthy() }), ["cores"]);
        assert_eq!(mended(&Facts { clock_source: "hpet".to_owned(), ..healthy() }), ["clock source"]);
        assert_eq!(mended(&Facts { governor: "powersave".to_owned(), ..healthy() }), ["frequency governor"]);
        assert_eq!(mended(&Facts { running: 2.0, ..healthy() }), ["load"]);
        assert_eq!(mended(&Facts { cpu_step: Some(Duration::from_millis(10)), ..healthy() }), ["CPU time"]);
        assert_eq!(mended(&Facts { cpu_step: None, ..healthy() }), ["CPU time"]);
    }

    #[test]
    fn this_machine_can_be_examined() {
        let text = examine();
        assert!(text.contains("open files") && text.ends_with("to mend\n"), "{text}");
    }
}

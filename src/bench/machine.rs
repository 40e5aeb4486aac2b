//! The machine: what every result depends on and has to be printed with.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use std::fs;

/// What a result was measured on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The processor's model.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
    /// Memory in all.
    pub memory_bytes: u64,
    /// What the kernel tells the time by.
    pub clock_source: String,
    /// Files that this process and those it starts may open.
    pub open_files_max: u64,
    /// This build.
    pub version: &'static str,
}

impl Machine {
    /// Looks around.
    pub fn here() -> Machine {
        Machine {
            cpu: cpu_model(&read("/proc/cpuinfo")),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease"),
            memory_bytes: memory_bytes(&read("/proc/meminfo")),
            clock_source: read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            open_files_max: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// One line for people.
    pub fn line(&self) -> String {
        format!(
            "{} cores of {}, {} GiB, Linux {}, clock {}; fanwire {}",
            self.cores,
            self.cpu,
            self.memory_bytes.div_ceil(1 << 30),
            self.kernel,
            self.clock_source,
            self.version
        )
    }

    /// For machines.
    pub fn json(&self) -> Value {
        json!({
            "cpu": self.cpu,
            "cores": self.cores,
            "kernel": self.kernel,
            "memory_bytes": self.memory_bytes,
            "clock_source": self.clock_source,
            "open_files_max": self.open_files_max,
            "fanwire": self.version,
        })
    }
}

/// Lets this process, and those it starts, open as many files as it is allowed to allow itself.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // What can't be raised stays; the connection that is one too many says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// What a file of the system says, `unknown` when it is not there.
pub(super) fn read(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn cpu_model(text: &str) -> String {
    let names = ["model name", "Model", "Hardware"];
    let line = names.iter().find_map(|name| text.lines().find(|line| line.starts_with(name)));
    line.and_then(|line| line.split_once(':'))
        .map_or_else(|| "unknown".to_owned(), |(_, model)| model.trim().to_owned())
}

fn memory_bytes(text: &str) -> u64 {
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    total.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1_024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_system_are_read() {
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: A: fast one\n"), "A: fast one");
        assert_eq!(cpu_model(""), "unknown");
        assert_eq!(memory_bytes("MemTotal:       16 kB\nMemFree: 1 kB\n"), 16_384);
    }

    #[test]
    fn every_machine_has_a_line() {
        let machine = Machine::here();
        assert!(machine.cores > 0 && machine.open_files_max > 0);
        assert!(machine.line().contains("cores of"), "{}", machine.line());
    }
}

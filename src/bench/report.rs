//! A workload and its outcome, in a form that every verb and the comparison can print.

use super::adapter::Target;
use super::brokers::{Broker, Setup};
use super::error::BenchError;
use super::histogram::{Latencies, microseconds};
use super::measured::{Measured, Warning};
use serde_json::Value;

/// Something to measure a broker with.
pub trait Workload {
    /// What is done, in one line.
    fn title(&self) -> String;
    /// How the brokers have to be started.
    fn setup(&self) -> Setup;
    /// Why a target can't do it; `None` when it can.
    fn objection(&self, _target: Target) -> Option<&'static str> {
        None
    }
    /// Does it.
    fn run(&self, broker: &Broker) -> Result<Report, BenchError>;
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Report {
    /// What it was done with.
    pub target: Target,
    /// Names and values; the first is the score, and smaller is better.
    pub figures: Vec<(&'static str, f64)>,
    /// What a reader should know before believing them.
    pub warnings: Vec<Warning>,
    /// The latencies, where they are the point.
    pub latencies: Option<Latencies>,
    /// Points of memory in bytes against connections.
    pub memory: Vec<(u64, u64)>,
    /// Everything.
    pub json: Value,
}

impl Report {
    /// Of one measured run.
    pub fn new(measured: &Measured, figures: Vec<(&'static str, f64)>) -> Report {
        Report {
            target: measured.target,
            figures,
            warnings: measured.warnings(),
            latencies: None,
            memory: Vec::new(),
            json: measured.json(),
        }
    }

    /// The first figure.
    pub fn score(&self) -> f64 {
        self.figures.first().map_or(f64::NAN, |(_, value)| *value)
    }

    /// A figure by its name.
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// A percentile in microseconds.
pub fn latency_us(latencies: &Latencies, percentile: f64) -> f64 {
    microseconds(latencies.at_ns(percentile))
}

/// A value that may be missing, for figures.
pub fn or_nan(value: Option<f64>) -> f64 {
    value.unwrap_or(f64::NAN)
}

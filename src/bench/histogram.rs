//! Latencies, to three significant digits from a nanosecond to an hour, and the percentiles people ask for.

use hdrhistogram::Histogram;
use std::fmt::Write;

/// The percentiles that are told, with their names.
pub const PERCENTILES: [(&str, f64); 5] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("p99.99", 99.99)];
/// Latencies beyond this count as this.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;
/// Points of a `.hgrm` file for each halving of the distance to 100 %.
const TICKS_PER_HALF: u32 = 5;

/// Latencies in nanoseconds.
#[derive(Debug, Clone)]
pub struct Latencies {
    histogram: Histogram<u64>,
}

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("the bounds are valid");
        Latencies { histogram }
    }
}

impl Latencies {
    /// Records one.
    pub fn record(&mut self, latency_ns: u64) {
        self.record_many(latency_ns, 1);
    }

    /// Records the same one so many times.
    pub fn record_many(&mut self, latency_ns: u64, count: u64) {
        self.histogram.saturating_record_n(latency_ns.max(1), count);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.histogram.reset();
    }

    /// How many were recorded.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The latency that so many per cent do not exceed.
    pub fn at_ns(&self, percentile: f64) -> u64 {
        self.histogram.value_at_percentile(percentile)
    }

    /// The longest.
    pub fn max_ns(&self) -> u64 {
        self.histogram.max()
    }

    /// Points of the percentile curve for a plot: how many per cent, and the latency in nanoseconds.
    pub fn curve(&self) -> Vec<(f64, u64)> {
        let points = self.histogram.iter_quantiles(TICKS_PER_HALF);
        points.map(|point| (point.quantile_iterated_to() * 100.0, point.value_iterated_to())).collect()
    }

    /// The text that HdrHistogram's plotters read, values in microseconds.
    pub fn hgrm(&self) -> String {
        let mut text = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
        for point in self.histogram.iter_quantiles(TICKS_PER_HALF) {
            let quantile = point.quantile_iterated_to();
            let inverse = if quantile < 1.0 { format!("{:.2}", 1.0 / (1.0 - quantile)) } else { "inf".to_owned() };
            let value_us = microseconds(point.value_iterated_to());
            let count = self.histogram.count_between(0, point.value_iterated_to());
            writeln!(text, "{value_us:12.3} {quantile:.12} {count:10} {inverse:>16}").expect("a string takes it");
        }
        let (mean, deviation) = (self.histogram.mean() / 1e3, self.histogram.stdev() / 1e3);
        let max_us = microseconds(self.max_ns());
        writeln!(text, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]").expect("a string takes it");
        writeln!(text, "#[Max     = {max_us:12.3}, Total count    = {:12}]", self.count()).expect("a string takes it");
        text
    }
}

/// Nanoseconds as microseconds.
pub fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_a_thousandth() {
        let mut latencies = Latencies::default();
        (1..=10_000).for_each(|value| latencies.record(value * 1_000));
        assert_eq!(latencies.count(), 10_000);
        for (percentile, expected) in [(50.0, 5_000_000.0), (99.0, 9_900_000.0), (99.99, 9_999_000.0)] {
            let found = latencies.at_ns(percentile) as f64;
            assert!((found / expected - 1.0).abs() < 0.001, "{percentile}: {found}");
        }
    }

    #[test]
    fn nothing_is_too_short_or_too_long() {
        let mut latencies = Latencies::default();
        latencies.record(0);
        latencies.record(u64::MAX);
        assert_eq!(latencies.count(), 2);
        latencies.clear();
        assert_eq!(latencies.count(), 0);
    }

    #[test]
    fn the_file_has_a_head_rising_rows_and_a_foot() {
        let mut latencies = Latencies::default();
        (1..=100).for_each(|value| latencies.record(value * 1_000));
        let text = latencies.hgrm();
        assert!(text.starts_with("       Value     Percentile TotalCount 1/(1-Percentile)\n\n"), "{text}");
        let rows: Vec<f64> = text
            .lines()
            .skip(2)
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().next().unwrap().parse().unwrap())
            .collect();
        assert!(rows.len() > 5 && rows.windows(2).all(|pair| pair[0] <= pair[1]), "{text}");
        assert!(text.contains("Total count    =          100]"), "{text}");
    }
}

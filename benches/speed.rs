//! The scenes by the clock: `cargo bench --bench speed [-- FILTER]`.
//!
//! Criterion repeats, estimates and compares with the last run (`--save-baseline`, `--baseline`). A time is for one
//! unit of its scene, a delivery or a frame, so that scenes of different sizes can be read beside each other. On a
//! machine that does other things too, believe `instructions` first.

mod scenes;

use criterion::{Bencher, Criterion};
use scenes::{Scene, Work};
use std::num::NonZero;
use std::time::{Duration, Instant};

const WARM_UP: Duration = Duration::from_millis(500);
const MEASUREMENT: Duration = Duration::from_secs(2);
const SAMPLES: usize = 50;

fn main() {
    let criterion = Criterion::default().warm_up_time(WARM_UP).measurement_time(MEASUREMENT).sample_size(SAMPLES);
    let mut criterion = criterion.configure_from_args();
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    for Scene { name, unit, prepare, .. } in scenes::all().into_iter().filter(|scene| scene.threads <= cores) {
        // Prepared only if it is wanted, and then once.
        let mut work = None;
        let title = format!("{name} (per {unit})");
        criterion.bench_function(&title, |bencher| time(bencher, work.get_or_insert_with(prepare)));
    }
    criterion.final_summary();
}

/// Criterion asks for so many units: as many runs as hold them are timed, and told as if they were exactly those.
fn time(bencher: &mut Bencher<'_>, Work { units, run }: &mut Work) {
    bencher.iter_custom(|wanted| {
        let runs = wanted.div_ceil(*units);
        let begin = Instant::now();
        for _ in 0..runs {
            run();
        }
        begin.elapsed().mul_f64(wanted as f64 / (runs * *units) as f64)
    });
}

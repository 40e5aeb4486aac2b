//! What a message costs in instructions, as an ordinary test: no clock, so a busy machine changes nothing.
//!
//! ```text
//!  every_scene_plays                  as any test: what the scenes assert holds
//!        ^
//!        `-- valgrind -- no_scene_costs_more_than_it_may: the same test again, counted   held against ROWS, RATIOS
//! ```
//!
//! The scenes are those of `benches`; without valgrind only the first test means anything, and the second one says so.
//!
//! Two kinds of bounds, because each misses something. A **row** holds what one scene cost in this build when it was
//! written down, with head-room; it finds a needless copy on the way of every message, but belongs to one compiler on
//! one architecture, and is left out with others. A **ratio** holds two scenes of one build against each other and
//! survives compilers; it finds what grows with the number of subscribers, topics or filters. Both are of the build
//! that `cargo test` makes, so they bound the work done, not the speed of the shipped binary: that is measured by
//! `cargo bench`, and a row that changes here says where to look there.

#[path = "../benches/callgrind/mod.rs"]
mod callgrind;
#[path = "../benches/scenes/mod.rs"]
mod scenes;

use callgrind::{Count, Trouble};
use scenes::Scene;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// Between which multiples of its row a scene's cost has to lie. Less is no mistake of the code, but a row that is far
/// too high guards nothing.
const HEAD_ROOM: std::ops::RangeInclusive<f64> = 0.7..=1.15;
/// With which compiler, and where, the rows were written down.
const COMPILER: &str = "rustc 1.95.0 ";
const ARCHITECTURE: &str = "x86_64";

/// Scenes and the instructions that one unit took.
const ROWS: &[(&str, f64)] = &[
    ("codec/encode/message-64", 367.0),
    ("codec/inbox/64KiB-cut", 533.6),
    ("match/exact/100", 4203.3),
    ("match/exact/10000", 4782.8),
    ("match/wildcard/100", 10936.9),
    ("match/wildcard/10000", 13161.4),
    ("route/by-id/1-to-1", 1115.2),
    ("route/by-id/1-to-100", 66.8),
    ("route/by-id/1-to-1000", 57.3),
    ("route/by-name/1-to-1", 1460.2),
    ("route/topics/1", 2597.1),
    ("route/topics/10000", 2598.0),
    ("route/topics/20-times-cached", 3712.5),
    ("route/room/20-players", 331.3),
    ("route/mail/1-to-1", 1929.3),
    ("turn/by-id/1-to-1", 662.2),
    ("turn/single/1-to-1", 7630.8),
    ("queue/advance", 2840.4),
    ("queue/drop-oldest", 1351.7),
    ("queue/conflate", 1210.5),
    ("mailbox/mail/one-thread", 1794.8),
];

/// How many times what the second scene costs the first one may cost.
const RATIOS: &[(&str, &str, f64)] = &[
    // A subscriber more costs no more than the ones before.
    ("route/by-id/1-to-1000", "route/by-id/1-to-100", 1.0),
    // Neither topics nor filters cost anything by being many.
    ("route/topics/10000", "route/topics/1", 1.05),
    // One that is not remembered is walked through the filters again, and no more.
    ("route/topics/20-times-cached", "route/topics/1", 1.7),
    ("match/exact/10000", "match/exact/100", 1.25),
    ("match/wildcard/10000", "match/wildcard/100", 1.25),
    // A name is one look-up more than an id.
    ("route/by-name/1-to-1", "route/by-id/1-to-1", 1.4),
    // Frames that follow each other are taken in runs, which cost less than messages one by one.
    ("turn/by-id/1-to-1", "route/by-id/1-to-1", 0.65),
];

/// The scenes with a row, in its order.
fn guarded() -> Vec<Scene> {
    let mut all = scenes::all();
    let mut take = |name: &str| {
        let place = all.iter().position(|scene| scene.name == name);
        all.swap_remove(place.unwrap_or_else(|| panic!("no scene is named {name}")))
    };
    let scenes: Vec<Scene> = ROWS.iter().map(|(name, _)| take(name)).collect();
    assert!(scenes.iter().all(|scene| scene.threads == 1), "threads that wait for each other can't be counted");
    scenes
}

#[test]
fn every_scene_plays() {
    callgrind::play(&guarded());
}

#[test]
fn no_scene_costs_more_than_it_may() {
    let again = ["every_scene_plays", "--exact", "--nocapture", "--test-threads=1"];
    let scenes = guarded();
    let counts = match callgrind::count(&again, &scenes, &Path::new(env!("CARGO_TARGET_TMPDIR")).join("cost")) {
        Ok(counts) => counts,
        Err(Trouble::Missing) => return println!("skipped: {}", callgrind::REMEDY),
        Err(Trouble::Failed(what)) => panic!("the scenes could not be counted: {what}"),
    };
    let mut report = String::new();
    if is_where_rows_belong() {
        note_rows(&scenes, &counts, &mut report);
    } else {
        println!("rows are left out: they belong to {COMPILER}on {ARCHITECTURE}; ratios hold everywhere");
    }
    note_ratios(&counts, &mut report);
    assert!(report.is_empty(), "{report}\n{WHAT_TO_DO}\n{}", rows_as_found(&scenes, &counts));
}

const WHAT_TO_DO: &str = "\
What to do: `cargo bench --bench instructions -- SCENE` says whether the shipped binary's code costs more too, and in
which function; run it before and after the change. If it was not meant to, mend it. If what it buys is worth it, write
the new figure into ROWS or RATIOS of tests/cost.rs, and into the commit why. What has become cheaper by far gets its
new figure, too, or nobody would notice the way back. All rows as found:";

/// Whether the compiler and the machine are those that the rows were written down with.
fn is_where_rows_belong() -> bool {
    let output = Command::new("rustc").arg("--version").output();
    let is_compiler = output.is_ok_and(|output| output.stdout.starts_with(COMPILER.as_bytes()));
    is_compiler && std::env::consts::ARCH == ARCHITECTURE
}

fn note_rows(scenes: &[Scene], counts: &[Count], report: &mut String) {
    for ((Scene { name, unit, .. }, count), (_, row)) in scenes.iter().zip(counts).zip(ROWS) {
        let found = count.per_unit();
        if HEAD_ROOM.contains(&(found / row)) {
            continue;
        }
        let _ = writeln!(report, "{name}: {found:.1} instructions per {unit}, and its row says {row:.1}");
        if found > *row {
            report.push_str(&count.costliest());
        }
    }
}

fn note_ratios(counts: &[Count], report: &mut String) {
    let cost_of = |name: &str| {
        let place = ROWS.iter().position(|(row, _)| *row == name);
        counts[place.unwrap_or_else(|| panic!("{name} has no row"))].per_unit()
    };
    for (name, other, bound) in RATIOS {
        let ratio = cost_of(name) / cost_of(other);
        if ratio > *bound {
            let _ = writeln!(report, "{name} costs {ratio:.2} times what {other} costs, {bound:.2} at most");
        }
    }
}

/// To be copied into this file.
fn rows_as_found(scenes: &[Scene], counts: &[Count]) -> String {
    let rows = scenes.iter().zip(counts);
    rows.map(|(scene, count)| format!("    (\"{}\", {:.1}),\n", scene.name, count.per_unit())).collect()
}

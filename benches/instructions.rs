//! The scenes by instructions: `cargo bench --bench instructions [-- FILTER ...]`, where valgrind is installed.
//!
//! The figures do not depend on what else the machine does: a difference of one percent is real. They do not know of
//! memory that is far away, nor of the kernel, and large copies look dearer than they are, since an instruction that
//! copies counts as often as it goes round; what a user waits for is told by `speed` and by `fanwire bench`. Each scene
//! that a filter has chosen also shows which functions the instructions were spent in. What valgrind wrote stays in
//! `target/tmp/instructions`. The scenes with a million of something take most of the time.

mod callgrind;
mod scenes;

use callgrind::Trouble;
use scenes::Scene;
use std::path::Path;
use std::process::ExitCode;

/// What the program is told when valgrind runs it.
const PLAY: &str = "--play";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let scenes = chosen(&arguments);
    if arguments.iter().any(|argument| argument == PLAY) {
        callgrind::play(&scenes);
        return ExitCode::SUCCESS;
    }
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("nothing to test here: `cargo bench` counts, and tests/cost.rs holds the counts to their bounds");
        return ExitCode::SUCCESS;
    }
    let filters = arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with('-'));
    let again: Vec<&str> = filters.chain([PLAY]).collect();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("instructions");
    match callgrind::count(&again, &scenes, &directory) {
        Ok(counts) => {
            let are_all = again == [PLAY];
            for (scene, count) in scenes.iter().zip(&counts) {
                println!("{:<28} {:>10.1} instructions per {}", scene.name, count.per_unit(), scene.unit);
                if !are_all {
                    print!("{}", count.costliest());
                }
            }
            ExitCode::SUCCESS
        }
        Err(Trouble::Missing) => {
            println!("{}", callgrind::REMEDY);
            ExitCode::SUCCESS
        }
        Err(Trouble::Failed(what)) => {
            eprintln!("nothing was counted: {what}");
            ExitCode::FAILURE
        }
    }
}

/// The scenes whose names hold one of the filters; without a filter all of them.
fn chosen(arguments: &[String]) -> Vec<Scene> {
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let is_chosen = |scene: &Scene| filters.is_empty() || filters.iter().any(|filter| scene.name.contains(*filter));
    scenes::all().into_iter().filter(|scene| scene.threads == 1 && is_chosen(scene)).collect()
}

//! Instructions of scenes, counted by valgrind: the same on a busy machine as on a quiet one.
//!
//! ```text
//!  this program --valgrind --tool=callgrind--> itself again: for each scene  prepare; counted(run, runs); end_of_scene
//!        ^                                                                            |                  |
//!        `------- NAME.out: the instructions of that scene <--------------------- collected ----------- dumped
//! ```
//!
//! Callgrind is told to collect while `counted` is on the stack and to write down what it has when `end_of_scene` is
//! called. So preparations do not count, one process measures all scenes, and no scene needs a line for it. The crates
//! made for this (iai-callgrind and its successor gungraun) do the same by a macro for each scene, and need a runner
//! installed in exactly their version: more than this file, and more to install than valgrind.

mod profile;

use crate::scenes::{Scene, Work};
use profile::Profile;
use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;

/// Runs of a scene that are counted: enough that what happens now and then is spread.
const RUNS: u32 = 20;

/// What a scene has cost.
pub(crate) struct Count {
    profile: Profile,
    units: f64,
}

/// Why nothing was counted.
pub(crate) enum Trouble {
    /// There is no valgrind to be run.
    Missing,
    /// It ran and failed; what it said.
    Failed(String),
}

/// The measured program's part: plays scenes in this order. Without valgrind it just plays them. Tells the units of
/// each to who counts.
pub(crate) fn play(scenes: &[Scene]) {
    for scene in scenes {
        let Work { units, mut run } = (scene.prepare)();
        run();
        counted(&mut run, RUNS);
        end_of_scene();
        println!("{UNITS}{} {}", units * u64::from(RUNS), scene.name);
    }
}

/// Functions that are named when it is asked where instructions go.
const FUNCTIONS_SHOWN: usize = 14;
/// What a line of the measured program's begins with.
const UNITS: &str = "units: ";

#[inline(never)]
fn counted(run: &mut dyn FnMut(), runs: u32) {
    for _ in 0..runs {
        run();
    }
}

#[inline(never)]
fn end_of_scene() {
    black_box(());
}

/// Runs this program again under valgrind, with arguments that make it [`play`] these scenes. The profiles are left in
/// the directory, which is made if it is not there.
pub(crate) fn count(arguments: &[&str], scenes: &[Scene], directory: &Path) -> Result<Vec<Count>, Trouble> {
    std::fs::create_dir_all(directory).map_err(|error| failed("the directory for profiles", &error))?;
    let program = std::env::current_exe().map_err(|error| failed("the path of this program", &error))?;
    let dump = directory.join(format!("{}.out", std::process::id()));
    let mut command = Command::new("valgrind");
    command.args(["-q", "--tool=callgrind", "--toggle-collect=*callgrind::counted*"]);
    command.arg("--dump-before=*callgrind::end_of_scene*");
    command.arg(format!("--callgrind-out-file={}", dump.display()));
    let output = match command.arg(program).args(arguments).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Trouble::Missing),
        other => other.map_err(|error| failed("valgrind", &error))?,
    };
    // What is left when the program ends belongs to no scene.
    let _ = std::fs::remove_file(&dump);
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(Trouble::Failed(format!("{}\n{said}{}", output.status, String::from_utf8_lossy(&output.stderr))));
    }
    let played: Vec<&str> = said.lines().filter_map(|line| Some(line.split_once(UNITS)?.1)).collect();
    let names = played.iter().filter_map(|line| Some(line.split_once(' ')?.1));
    assert!(names.eq(scenes.iter().map(|scene| scene.name)), "these were to be played: {played:?}");
    let counts = played.iter().zip(scenes).enumerate().map(|(index, (line, scene))| {
        let units: f64 = line.split_once(' ').and_then(|(units, _)| units.parse().ok()).expect("a number of units");
        let path = directory.join(format!("{}.out", scene.name.replace('/', "-")));
        let written = std::fs::rename(format!("{}.{}", dump.display(), index + 1), &path);
        let text = written.and_then(|()| std::fs::read_to_string(&path));
        let text = text.map_err(|error| failed("the profile that valgrind wrote", &error))?;
        let profile = Profile::read(&text);
        let profile = profile.ok_or_else(|| Trouble::Failed(format!("{} can't be read", path.display())))?;
        Ok(Count { profile, units })
    });
    counts.collect()
}

fn failed(what: &str, error: &std::io::Error) -> Trouble {
    Trouble::Failed(format!("{what}: {error}"))
}

/// What to do where valgrind is missing.
pub(crate) const REMEDY: &str = "valgrind is not installed, so no instructions were counted; most systems have it as \
                                 a package of that name (apt install valgrind)";

impl Count {
    /// Instructions for one unit of the scene.
    pub(crate) fn per_unit(&self) -> f64 {
        self.profile.total as f64 / self.units
    }

    /// The functions that cost most, a line each.
    pub(crate) fn costliest(&self) -> String {
        let mut text = String::new();
        for (name, instructions) in self.profile.functions.iter().take(FUNCTIONS_SHOWN) {
            let (own, share) = (*instructions as f64 / self.units, *instructions as f64 / self.profile.total as f64);
            // Writing to a string can't fail.
            let _ = writeln!(text, "    {own:>10.1} {:>5.1} %  {name}", 100.0 * share);
        }
        text
    }
}

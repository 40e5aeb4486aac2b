//! `fanwire journal verify`: every byte of a journal looked at, and what is not as it should be.
//!
//! ```text
//!  all segments --verify--> findings --in motion?--> told: file, offset, what, what to do   status 1 if any is damage
//!                              ^      '-- a broker writes there: looked at again
//!  the next start, tried out --'      where no broker has it
//! ```

use super::held::Held;
use super::place::{Place, described, shown};
use super::start::NextStart;
use crate::cli::Failure;
use crate::cli::progress::Bar;
use crate::config::quantity::show_size;
use fanwire_core::journal::names::{self, Kind};
use fanwire_core::journal::survey::Survey;
use fanwire_core::journal::verify::{Finding, Progress, Report, Severity, verify};
use fanwire_core::journal::{EpochChange, Recovery};
use std::fmt::Write as _;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a place is looked at again that a broker may be writing to, and how long after the last time.
const LOOKS: u32 = 50;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Read every byte of a journal and say what is wrong; status 1 if anything is lost or damaged
///
/// Beside a running broker what it writes meanwhile is left out.
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// The journal's directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Go on without what is damaged and what lies behind it, in a new epoch; not while a broker has the journal
    ///
    /// Bytes that are taken out are kept in files called *.cut. Restoring the file from a copy is better, if there is
    /// one.
    #[arg(long)]
    repair: bool,
}

impl Verify {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut place = Place::look(&self.directory)?;
        if self.repair {
            print(&repair(&place)?)?;
            place = Place::look(&self.directory)?;
        }
        let mut report = look(&mut place)?;
        let is_refused = if place.holder.is_some() {
            leave_out_motion(&mut place, &mut report);
            false
        } else {
            let start = NextStart::of(&place).map_err(|error| Failure::Run(error.to_string()))?;
            start.judge(&place, &mut report);
            start.is_refused()
        };
        print(&told(&place, &report, is_refused))?;
        if report.is_sound() {
            return Ok(());
        }
        let damaged = report.findings.iter().filter(|finding| finding.severity == Severity::Damage).count();
        let places = if damaged == 1 { "1 place is".to_owned() } else { format!("{damaged} places are") };
        let still = if self.repair { "still " } else { "" };
        Err(Failure::Run(format!("{places} {still}damaged in {}", place.name)))
    }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut output = stdout().lock();
    output.write_all(text.as_bytes())?;
    Ok(output.flush()?)
}

fn look(place: &mut Place) -> Result<Report, Failure> {
    let mut bar = Bar::new(place.survey.bytes());
    let mut done_bytes = 0;
    let mut show = |progress: Progress| {
        bar.advance(progress.bytes.saturating_sub(done_bytes), "verifying");
        done_bytes = done_bytes.max(progress.bytes);
    };
    verify(&mut place.directory, &mut show).map_err(|error| Failure::Run(described(&place.path, &error)))
}

/// What a broker was writing when it was read is whole a moment later.
fn leave_out_motion(place: &mut Place, report: &mut Report) {
    let is_segment = |name: &&String| matches!(names::kind(name), Kind::Segment(_));
    let Some(newest) = report.findings.iter().map(|finding| &finding.file).filter(is_segment).max().cloned() else {
        return;
    };
    let is_open = |finding: &Finding| finding.severity == Severity::Damage && finding.file == newest;
    for _ in 0..LOOKS {
        if !report.findings.iter().any(is_open) {
            return;
        }
        std::thread::sleep(BETWEEN_LOOKS);
        let Ok(survey) = Survey::of(&mut place.directory, &mut |_, _| {}) else { return };
        let end = survey.segments.iter().find(|segment| segment.name == newest);
        let end = end.map_or(0, |segment| u64::from(segment.content.end.offset));
        report.findings.retain(|finding| !is_open(finding) || finding.offset >= end);
    }
}

fn told(place: &Place, report: &Report, is_refused: bool) -> String {
    let mut text = String::new();
    let mut line = |line: String| writeln!(text, "{line}").expect("writing to a string can't fail");
    for finding in &report.findings {
        let Finding { severity, file, offset, what, .. } = finding;
        let advice = advice(place, finding, is_refused);
        let file = shown(&place.path.join(file));
        let what = what.strip_prefix(&format!("damaged at offset {offset}: ")).unwrap_or(what);
        let grade = match severity {
            Severity::Note => "note",
            Severity::Damage => "DAMAGE",
        };
        line(format!("{grade}: {file} at offset {offset}: {what}"));
        line(format!("  {advice}"));
    }
    let Report { segments, records, topics, bytes, position_first, position_last, .. } = *report;
    let verdict = if report.is_sound() { "sound" } else { "damaged" };
    let positions =
        if records == 0 { String::new() } else { format!(" at positions {position_first} to {position_last}") };
    let bytes = show_size(bytes);
    line(format!(
        "{}: {verdict}; {records} records of {topics} topics{positions}, {bytes} in {segments} segments",
        place.name
    ));
    text
}

/// What to do about a finding. What a broker refuses has an advice of its own.
fn advice<'a>(place: &Place, finding: &'a Finding, is_refused: bool) -> &'a str {
    let base = match names::kind(&finding.file) {
        Kind::Segment(base) | Kind::Index(base) => base,
        _ => return &finding.advice,
    };
    let is_sealed = place.survey.segments.iter().any(|segment| segment.header.base == base && segment.is_sealed);
    if finding.severity == Severity::Damage && is_sealed && !is_refused {
        return "restore the file from a copy; a broker starts without it, but histories end there: \
                to begin behind it, move it and all older segments out of the directory";
    }
    &finding.advice
}

/// Opens the journal as a broker does that may go on without what is damaged, and tells what was done.
fn repair(place: &Place) -> Result<String, Failure> {
    let mut held = Held::open(place, true)?;
    held.seal()?;
    let text = repaired(&place.path, &held.recovery);
    held.close()?;
    Ok(text)
}

fn repaired(path: &Path, recovery: &Recovery) -> String {
    let mut text = String::new();
    let mut line = |line: String| writeln!(text, "{line}").expect("writing to a string can't fail");
    for cut in &recovery.cuts {
        let kept = match &cut.kept_as {
            Some(name) => format!("kept as {}", shown(&path.join(name))),
            None => "they held nothing".to_owned(),
        };
        let file = shown(&path.join(&cut.segment));
        line(format!("repaired: {} bytes taken out of {file} from offset {} on; {kept}", cut.bytes, cut.offset));
    }
    recovery.notes.iter().for_each(|note| line(format!("note: {note}")));
    match recovery.epoch_change {
        Some(EpochChange::Repaired | EpochChange::PowerLost | EpochChange::Cut) => line(format!(
            "epoch {} has begun: who resumes from an earlier one is told that records may be missing",
            recovery.epoch
        )),
        Some(EpochChange::Fresh) | None if recovery.cuts.is_empty() => {
            line("nothing had to be repaired".to_owned());
        }
        Some(EpochChange::Fresh) | None => {}
    }
    text
}

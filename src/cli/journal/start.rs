//! What the next start would make of a journal, tried out on its files without changing them.
//!
//! ```text
//!  files --recovery, as a broker's--> opened: what it would cut      --> notes, or damage if something may be lost
//!                                 '-> refused: file, what is wrong   --> damage; recovery with repair --> what helps
//! ```
//!
//! `verify` reads bytes that no start looks at, and a start knows what no byte of the segments tells: where a journal
//! ended, what was durable. So one does not stand for the other; and what is advised is what was tried out.

use super::place::{Place, typed};
use crate::store::{Rehearsal, opening};
use fanwire_core::journal::verify::{Finding, Report, Severity};
use fanwire_core::journal::{Cut, EpochChange, Log, LogSettings, OpenError, Recovery, Start, indexing};
use std::io;

/// Of segments that are made anew while trying out.
const SEGMENT_BYTES: u32 = 4096;

/// What the next start would do.
pub(super) struct NextStart {
    outcome: Result<Recovery, OpenError>,
    /// Whether a start that may go on without what is damaged would be refused, too.
    is_beyond_repair: bool,
}

impl NextStart {
    /// Tries it out.
    pub(super) fn of(place: &Place) -> io::Result<NextStart> {
        let outcome = rehearse(place, false)?;
        let is_beyond_repair = outcome.is_err() && rehearse(place, true)?.is_err();
        Ok(NextStart { outcome, is_beyond_repair })
    }

    /// Whether a broker takes the journal, and loses nothing by that which it may have released.
    pub(super) fn is_sound(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|recovery| recovery.epoch_change != Some(EpochChange::Cut))
    }

    /// Whether a broker takes the journal.
    pub(super) fn is_refused(&self) -> bool {
        self.outcome.is_err()
    }

    /// What a start puts right without losing anything is no damage, and what it refuses is.
    pub(super) fn judge(&self, place: &Place, report: &mut Report) {
        let recovery = match &self.outcome {
            Err(error) => return report.findings.push(self.refusal(place, error)),
            Ok(recovery) => recovery,
        };
        for finding in &mut report.findings {
            let is_cut = recovery.cuts.iter().any(|cut| is_within(finding, cut));
            let is_unfinished = recovery.start == Start::Fresh && finding.file.is_empty();
            if is_unfinished || (is_cut && self.is_sound()) {
                finding.severity = Severity::Note;
            }
        }
        report.findings.extend(recovery.cuts.iter().map(|cut| self.finding_of_cut(cut)));
    }

    fn refusal(&self, place: &Place, error: &OpenError) -> Finding {
        let remedy = error.fault.remedy();
        let advice = if self.is_beyond_repair {
            remedy.to_owned()
        } else {
            format!("{remedy}; repair with: fanwire journal verify --repair {}", typed(&place.path))
        };
        let what = format!("a broker refuses the journal: {}", error.fault);
        Finding { severity: Severity::Damage, file: error.file.clone(), offset: 0, what, advice }
    }

    fn finding_of_cut(&self, cut: &Cut) -> Finding {
        let is_kept = if cut.kept_as.is_some() { ", and keeps them aside" } else { "" };
        let (severity, lost) = match &self.outcome {
            Ok(Recovery { epoch_change: Some(EpochChange::Cut), .. }) => {
                (Severity::Damage, "they may have been acknowledged, so a new epoch begins")
            }
            Ok(Recovery { start: Start::PowerLost, .. }) => (Severity::Note, "they are not known to have been durable"),
            _ => (Severity::Note, "they were never released"),
        };
        let what = format!("the next start cuts {} bytes from here on{is_kept}; {lost}", cut.bytes);
        let advice = "start the broker, or restore the file from a copy before".to_owned();
        Finding { severity, file: cut.segment.clone(), offset: cut.offset.into(), what, advice }
    }
}

fn is_within(finding: &Finding, cut: &Cut) -> bool {
    finding.file == cut.segment && finding.offset >= u64::from(cut.offset)
}

fn rehearse(place: &Place, repair: bool) -> io::Result<Result<Recovery, OpenError>> {
    let settings = LogSettings { segment_bytes: SEGMENT_BYTES, topics_max: u32::MAX, is_volatile: false, seed: 0 };
    let tried = Rehearsal::of(place.directory.clone());
    Ok(Log::open(tried, settings, indexing(), &opening(repair)?).map(|(_, recovery)| recovery))
}

//! `fanwire journal compact`: nothing kept but the newest record of each topic.

use super::held::Held;
use super::place::{Place, shown};
use crate::cli::Failure;
use crate::cli::progress::Bar;
use crate::config::quantity::show_size;
use crate::store::now_us;
use fanwire_core::journal::compaction::{self, Compacted, TOMBSTONE_AGE_US_MIN, Tombstones};
use fanwire_core::journal::disk::DiskFile;
use fanwire_core::journal::names;
use std::io::{Write, stdout};
use std::path::PathBuf;

/// Remove all records but the newest of each topic, for good; not while a broker has the journal
///
/// A journal with compact = true does so by itself. The newest segment stays as it is, and so do segments that would
/// not shrink by half.
#[derive(Debug, clap::Args)]
pub(super) struct Compact {
    /// The journal's directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// That this is meant: older records can't be had again
    #[arg(long)]
    yes: bool,
}

/// What came of it, over all segments.
#[derive(Default)]
struct Sum {
    segments: usize,
    records: u64,
    bytes: u64,
}

impl Compact {
    pub(super) fn run(self) -> Result<(), Failure> {
        let place = Place::look(&self.directory)?;
        if !self.yes {
            let (directory, records) = (shown(&self.directory), place.survey.records());
            let message = format!(
                "of the {records} records in {directory} only the newest of each topic would be left, and the others \
                 could not be had again; if that is meant, add --yes"
            );
            return Err(Failure::Usage(message));
        }
        let mut held = Held::open(&place, false)?;
        held.seal()?;
        let (before, after) = compact(&mut held)?;
        held.close()?;
        let text = if before.segments == 0 {
            format!("{}: no segment would shrink by half; nothing was changed\n", place.name)
        } else {
            format!("{}: {} became {}\n", place.name, before.told(), after.told())
        };
        let mut output = stdout().lock();
        output.write_all(text.as_bytes())?;
        Ok(output.flush()?)
    }
}

fn compact(held: &mut Held) -> Result<(Sum, Sum), Failure> {
    let (mut before, mut after) = (Sum::default(), Sum::default());
    let mut bar = Bar::new(held.log.shared_catalog().segments.iter().map(|segment| segment.file.bytes()).sum());
    let tombstones = Tombstones { now_us: now_us(), age_us_min: TOMBSTONE_AGE_US_MIN };
    loop {
        let (log, directory) = (&held.log, &mut held.directory);
        let catalog = log.shared_catalog();
        let is_newest = |name: &str, sequence| log.topic_end(name).is_some_and(|end| end.sequence == sequence);
        let chosen = compaction::choose(&catalog, held.segment_bytes.into(), |segment| {
            compaction::assess_segment(directory, segment, is_newest)
        });
        let Some(places) = chosen else { return Ok((before, after)) };
        let done = compaction::compact(directory, &catalog, places, tombstones, is_newest)
            .map_err(|error| Failure::Run(format!("{error}; nothing is lost")))?;
        bar.advance(done.bytes_before, &names::segment(done.segment.base));
        before.add(done.replaced.len(), done.records_before, done.bytes_before);
        after.add(1, done.records_after, done.bytes_after);
        let Compacted { segment, replaced, .. } = done;
        let others: Vec<u64> = replaced.into_iter().filter(|base| *base != segment.base).collect();
        held.log.replace(segment);
        held.log.retire(&others);
    }
}

impl Sum {
    fn add(&mut self, segments: usize, records: u64, bytes: u64) {
        self.segments += segments;
        self.records += records;
        self.bytes += bytes;
    }

    fn told(&self) -> String {
        let plural = if self.segments == 1 { "" } else { "s" };
        format!("{} records, {}, in {} segment{plural}", self.records, show_size(self.bytes), self.segments)
    }
}

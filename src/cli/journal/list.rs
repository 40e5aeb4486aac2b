//! `fanwire journal ls`: one line a journal.

use super::place::{Place, is_journal, shown, told, typed};
use crate::bench::table::Table;
use crate::cli::{Failure, tell};
use crate::config::quantity::show_size;
use crate::store::Directory;
use fanwire_core::journal::disk::Disk;
use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

pub(super) fn run(directory: &Path) -> Result<(), Failure> {
    let mut table =
        Table::new(&["journal", "state", "records", "topics", "bytes", "segments", "first", "last", "epoch"]);
    let mut troubles = Vec::new();
    for path in journals(directory)? {
        match Place::look(&path) {
            Ok(mut place) => {
                troubles.extend(place.survey.unreadable.iter().map(|(name, fault)| {
                    let file = shown(&path.join(name));
                    format!("{file} is {fault}; look closer with: fanwire journal verify {}", typed(&path))
                }));
                table.push(row(&mut place));
            }
            Err(Failure::Run(message)) => troubles.push(message),
            Err(failure) => return Err(failure),
        }
    }
    let mut output = stdout().lock();
    output.write_all(table.print().as_bytes())?;
    output.flush()?;
    troubles.iter().for_each(|trouble| tell(trouble));
    match troubles.len() {
        0 => Ok(()),
        _ => Err(Failure::Run("not everything could be read".to_owned())),
    }
}

/// The directories of the journals below a directory, by name; it alone, if it is a journal's own.
fn journals(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error| Failure::Run(format!("{} can't be listed: {error}", shown(directory)));
    if files(directory).is_some_and(|files| is_journal(&files)) {
        return Ok(vec![directory.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() && files(&path).is_none_or(|files| is_journal(&files)) {
            found.push(path);
        }
    }
    found.sort();
    if found.is_empty() {
        let message = format!(
            "there is no journal in {} or in a directory of it; a broker makes them: fanwire serve --help",
            shown(directory)
        );
        return Err(Failure::Run(message));
    }
    Ok(found)
}

/// The files of a directory; none if it can't be looked at.
fn files(path: &Path) -> Option<Vec<String>> {
    Directory::inspect(path).and_then(|mut directory| directory.list()).ok()
}

fn row(place: &mut Place) -> Vec<String> {
    let topics = topics(place);
    let survey = &place.survey;
    let time = |time: Option<u64>| time.map_or_else(|| "-".to_owned(), told);
    let times = survey.times_us();
    let epoch = survey.state.as_ref().map_or_else(|_| "-".to_owned(), |state| state.epoch.to_string());
    vec![
        place.name.clone(),
        place.condition().to_owned(),
        survey.records().to_string(),
        topics.map_or_else(|| "?".to_owned(), |topics| topics.to_string()),
        show_size(survey.bytes()),
        survey.segments.len().to_string(),
        time(times.map(|(first, _)| first)),
        time(times.map(|(_, last)| last)),
        epoch,
    ]
}

/// Topics with records, each counted once; none if they can't all be read.
pub(super) fn topics(place: &mut Place) -> Option<usize> {
    // Names may be many and long: two of one hash are too unlikely to matter for a count.
    let (mut seen, hasher) = (HashSet::new(), RandomState::new());
    for segment in &place.survey.segments {
        let counted = segment.each_name(&mut place.directory, |name| {
            seen.insert(hasher.hash_one(name));
        });
        counted.ok()?;
    }
    Some(seen.len())
}

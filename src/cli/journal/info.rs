//! `fanwire journal info`: one journal, segment by segment.

use super::list::topics;
use super::place::{Place, shown, told, typed};
use crate::bench::table::Table;
use crate::cli::{Failure, tell};
use crate::config::quantity::show_size;
use crate::store::File;
use fanwire_core::journal::survey::{Survey, Surveyed};
use std::fmt::Write as _;
use std::io::{Write, stdout};
use std::path::Path;

pub(super) fn run(directory: &Path) -> Result<(), Failure> {
    let mut place = Place::look(directory)?;
    let text = format!("{}\n{}", summary(&mut place), segments(&place.survey));
    let mut output = stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()?;
    for (name, fault) in &place.survey.unreadable {
        tell(&format!("{} is {fault}", shown(&place.path.join(name))));
    }
    match place.survey.unreadable.len() {
        0 => Ok(()),
        _ => Err(Failure::Run(format!("look closer with: fanwire journal verify {}", typed(directory)))),
    }
}

fn summary(place: &mut Place) -> String {
    let topics = topics(place);
    let survey = &place.survey;
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        writeln!(text, "{name:<12}{value}").expect("writing to a string can't fail");
    };
    row("journal", format!("{} in {}", place.name, shown(&place.path)));
    row("state", place.explanation());
    if let Ok(state) = &survey.state {
        row("identity", state.journal.iter().map(|byte| format!("{byte:02x}")).collect());
        row("epoch", format!("{}, begun {}", state.epoch, told(state.epoch)));
        row("synced", format!("to position {} at least", durable(survey, state.durable)));
    }
    row("records", positions(survey));
    row("topics", topics.map_or_else(|| "can't be counted".to_owned(), |topics| topics.to_string()));
    if let Some((first, last)) = survey.times_us() {
        row("times", format!("{} to {}", told(first), told(last)));
    }
    row("bytes", format!("{} in {} segments", show_size(survey.bytes()), survey.segments.len()));
    for cut in &survey.cuts {
        row("kept aside", format!("{cut}: bytes that a recovery took out"));
    }
    text
}

/// What was synced when the state was written, or a segment sealed: both are known to be.
fn durable(survey: &Survey<File>, of_state: u64) -> u64 {
    let sealed = survey.segments.iter().rev().find(|segment| segment.is_sealed);
    of_state.max(sealed.map_or(0, |segment| segment.content.end.position))
}

fn positions(survey: &Survey<File>) -> String {
    match (survey.segments.first(), survey.segments.last(), survey.records()) {
        (Some(first), Some(last), records) if records > 0 => {
            format!("{records} at positions {} to {}", first.header.base, last.content.end.position)
        }
        _ => "none".to_owned(),
    }
}

fn segments(survey: &Survey<File>) -> String {
    let head = ["segment", "epoch", "positions", "records", "topics", "first", "last", "used", "of", "state"];
    let mut table = Table::new(&head);
    survey.segments.iter().for_each(|segment| table.push(row(segment)));
    let mut text = table.print();
    for segment in &survey.segments {
        if let Some(fault) = &segment.content.trouble {
            let line = format!("{}: behind its last whole batch: {fault}", segment.name);
            writeln!(text, "{line}").expect("writing to a string can't fail");
        }
    }
    text
}

fn row(segment: &Surveyed<File>) -> Vec<String> {
    let (header, content) = (&segment.header, &segment.content);
    let (positions, first, last) = match content.records {
        0 => ("-".to_owned(), "-".to_owned(), "-".to_owned()),
        _ => (
            format!("{}..{}", header.base, content.end.position),
            told(content.first_time_us),
            told(content.end.time_us),
        ),
    };
    let state = match (segment.is_sealed, &content.trouble, header.is_compacted) {
        (false, None, _) => "open",
        (false, Some(_), _) => "open, torn",
        (true, _, false) => "sealed",
        (true, _, true) => "compacted",
    };
    vec![
        segment.name.clone(),
        header.epoch.to_string(),
        positions,
        content.records.to_string(),
        content.topics.to_string(),
        first,
        last,
        show_size(content.end.offset.into()),
        show_size(header.bytes),
        state.to_owned(),
    ]
}

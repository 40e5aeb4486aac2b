//! `fanwire journal dump`: records of a journal, as they stand.
//!
//! ```text
//!  survey --from--> choice: which segment first, where in it, what to pass over --> filter --> limit --> output
//! ```
//!
//! A segment that can't be read on is told, and the next one goes on: whoever dumps a damaged journal wants what is
//! left of it.

use super::place::{Place, shown, typed};
use crate::cli::connection::{ceilings, parse_filter};
use crate::cli::output::{Format, Output, Place as RecordPlace, Shown};
use crate::cli::progress::Bar;
use crate::cli::{Failure, tell};
use crate::store::File;
use fanwire_client::Start;
use fanwire_core::journal::format::Record;
use fanwire_core::journal::scan::Fault;
use fanwire_core::journal::survey::{Begin, Surveyed};
use fanwire_gateway::http::start;
use fanwire_wire::{Headers, TopicFilter, TopicName};
use std::collections::HashMap;
use std::io::{self, IsTerminal, stdout};
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Print the records of a journal, oldest first
#[derive(Debug, clap::Args)]
pub(super) struct Dump {
    /// The journal's directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Only records of topics that belong to this filter
    #[arg(long, value_name = "FILTER", value_parser = parse_filter)]
    topic: Option<String>,
    /// Where to begin [default: first]
    ///
    /// first; last: the newest record of each topic; last:N: the last N; seq:N: record N of each topic; pos:N: record N
    /// of the journal; time:2026-11-22T20:00:00Z: the first record that is not older.
    #[arg(long, value_name = "START", value_parser = start::parse)]
    from: Option<Start>,
    /// No more records than this
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// text: position, time, topic, sequence, payload; json: one object a line; raw: payloads alone
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Dump {
    pub(super) fn run(self) -> Result<(), Failure> {
        let filter = self.topic.as_ref().map(|text| TopicFilter::new(text.as_bytes(), &ceilings()));
        let filter = filter.transpose().expect("the argument parser took it");
        if let Some(Start::Resume { .. }) = self.from {
            let message =
                "--from resume is for subscriptions; a dump begins at a position (pos:N) or a sequence (seq:N)";
            return Err(Failure::Usage(message.to_owned()));
        }
        let place = Place::look(&self.directory)?;
        let mut walk = Walk { place, filter, troubles: Vec::new(), bar: None };
        let choice = walk.choose(self.from.unwrap_or(Start::First))?;
        walk.show(&choice, self.limit.unwrap_or(u64::MAX), &mut Output::standard(self.format))?;
        walk.end()
    }
}

/// What is left out of a dump.
enum Choice {
    /// Records before this place, in every segment.
    Before(Begin),
    /// Records of each topic before a sequence.
    BeforeSequence(u64),
    /// The first so many that match, from a segment on.
    First { segment: usize, count: u64 },
    /// All but the newest of each topic, which stands at this position.
    AllButNewest(HashMap<Box<[u8]>, u64>),
}

/// What is done with a record and its topic's name.
type Visit<'a> = dyn FnMut(&[u8], &Record<'_>) -> io::Result<ControlFlow<()>> + 'a;

/// A way through a journal.
struct Walk<'a> {
    place: Place,
    filter: Option<TopicFilter<'a>>,
    troubles: Vec<String>,
    bar: Option<Bar>,
}

impl Walk<'_> {
    fn choose(&mut self, start: Start) -> Result<Choice, Failure> {
        Ok(match start {
            Start::Live | Start::First | Start::Resume { .. } => Choice::Before(Begin::Front),
            Start::Position { position } => Choice::Before(Begin::Position(position)),
            Start::Time { time_us } => Choice::Before(Begin::Time(time_us)),
            Start::Sequence { sequence } => Choice::BeforeSequence(sequence),
            Start::Last { count } => self.choose_last(count.into())?,
            Start::LastValue => {
                let mut newest: HashMap<Box<[u8]>, u64> = HashMap::new();
                for index in 0..self.place.survey.segments.len() {
                    self.read(index, Begin::Front, &mut |name, record| {
                        match newest.get_mut(name) {
                            Some(position) => *position = record.position,
                            None => drop(newest.insert(name.into(), record.position)),
                        }
                        Ok(ControlFlow::Continue(()))
                    })?;
                }
                Choice::AllButNewest(newest)
            }
        })
    }

    /// Counts from the newest segment back until there are enough.
    fn choose_last(&mut self, wanted: u64) -> Result<Choice, Failure> {
        let mut found = 0;
        for index in (0..self.place.survey.segments.len()).rev() {
            if self.filter.is_none() {
                found += self.place.survey.segments[index].content.records;
            } else {
                self.read(index, Begin::Front, &mut |_, _| {
                    found += 1;
                    Ok(ControlFlow::Continue(()))
                })?;
            }
            if found >= wanted {
                return Ok(Choice::First { segment: index, count: found - wanted });
            }
        }
        Ok(Choice::First { segment: 0, count: 0 })
    }

    fn show<W: io::Write>(&mut self, choice: &Choice, limit: u64, output: &mut Output<W>) -> Result<(), Failure> {
        // What was read to choose is read again.
        (self.troubles, self.bar) = (Vec::new(), None);
        let (first, begin, mut to_pass) = match choice {
            Choice::First { segment, count } => (*segment, Begin::Front, *count),
            Choice::Before(begin) => (0, *begin, 0),
            Choice::BeforeSequence(_) | Choice::AllButNewest(_) => (0, Begin::Front, 0),
        };
        let mut left = limit;
        for index in first..self.place.survey.segments.len() {
            let segment = &self.place.survey.segments[index];
            if left == 0 || is_before(segment, begin) {
                continue;
            }
            let epoch = segment.header.epoch;
            self.read(index, begin, &mut |name, record| {
                if left == 0 {
                    return Ok(ControlFlow::Break(()));
                }
                let is_wanted = match choice {
                    Choice::Before(Begin::Front) => true,
                    Choice::Before(Begin::Position(position)) => record.position >= *position,
                    Choice::Before(Begin::Time(time_us)) => record.time_us >= *time_us,
                    Choice::BeforeSequence(sequence) => record.sequence >= *sequence,
                    Choice::First { .. } if to_pass > 0 => {
                        to_pass -= 1;
                        false
                    }
                    Choice::First { .. } => true,
                    Choice::AllButNewest(newest) => newest.get(name) == Some(&record.position),
                };
                if is_wanted {
                    left -= 1;
                    show_one(name, record, epoch, output)?;
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(output.flush()?)
    }

    /// Reads a segment's records that match. What can't be read is kept to be told.
    fn read(&mut self, index: usize, begin: Begin, visit: &mut Visit<'_>) -> Result<(), Failure> {
        let segment = &self.place.survey.segments[index];
        let (filter, mut outcome) = (self.filter, Ok(ControlFlow::Continue(())));
        let read = segment.each_record(&mut self.place.directory, begin, &mut |name, record| {
            if matches(filter, name) {
                outcome = visit(name, record);
            }
            if matches!(outcome, Ok(ControlFlow::Continue(()))) {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        // A dump that goes to the terminal is its own progress.
        if !stdout().is_terminal() {
            let total = || Bar::new(self.place.survey.bytes());
            self.bar.get_or_insert_with(total).advance(segment.header.bytes, &segment.name);
        }
        if let Err(fault) = read {
            self.troubles.push(trouble(&shown(&self.place.path.join(&segment.name)), &fault));
        }
        outcome.map(drop)?;
        Ok(())
    }

    fn end(mut self) -> Result<(), Failure> {
        self.bar = None;
        let unreadable = self.place.survey.unreadable.iter();
        let unreadable = unreadable.map(|(name, fault)| trouble(&shown(&self.place.path.join(name)), fault));
        let all: Vec<String> = unreadable.chain(self.troubles).collect();
        all.iter().for_each(|trouble| tell(trouble));
        match all.len() {
            0 => Ok(()),
            _ => Err(Failure::Run(format!(
                "records are missing in this dump; look closer with: fanwire journal verify {}",
                typed(&self.place.path)
            ))),
        }
    }
}

fn trouble(file: &str, fault: &Fault) -> String {
    format!("{file} is {fault}")
}

/// Whether nothing in a segment is wanted.
fn is_before(segment: &Surveyed<File>, begin: Begin) -> bool {
    match begin {
        Begin::Front => false,
        Begin::Position(position) => segment.content.end.position < position,
        Begin::Time(time_us) => segment.content.end.time_us < time_us,
    }
}

fn matches(filter: Option<TopicFilter<'_>>, name: &[u8]) -> bool {
    filter.is_none_or(|filter| TopicName::new(name, &ceilings()).is_ok_and(|name| filter.matches(name)))
}

fn show_one<W: io::Write>(name: &[u8], record: &Record<'_>, epoch: u64, output: &mut Output<W>) -> io::Result<()> {
    let topic = String::from_utf8_lossy(name);
    let headers = Headers(record.headers);
    let place = RecordPlace {
        epoch: Some(epoch),
        sequence: record.sequence,
        position: Some(record.position),
        time_us: Some(record.time_us),
        is_history: true,
    };
    output.show_dumped(Shown { topic: &topic, headers, payload: record.payload, place: Some(place) })
}

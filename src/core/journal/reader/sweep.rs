//! A stretch of a segment read from front to back, into a history.
//!
//! ```text
//!  segment   |item|item|item|item|it em|
//!             '------ read -------' '--- the next time
//!  history   |item|item|item|item|          spans point at headers and payload where they are
//!            |h p|h p|                      where little of it is wanted, that is moved together
//! ```

use super::gather::Block;
use super::view::{View, widest};
use super::{Floor, Work};
use crate::journal::disk::DiskFile;
use crate::journal::format::{Found, Item, Record, read_item};
use crate::journal::history::{History, RecordPlace, Span};
use crate::journal::index::Mark;
use crate::journal::scan::{Fault, NO_ITEM, TOO_LONG};
use fanwire_wire::{TopicFilter, TopicName};
use std::ops::Range;

/// Bytes that are read at once at the most, unless one item is larger.
const READ_BYTES_MAX: usize = 64 * 1024;
/// Bytes that are read at once at the least, so that little room does not mean many reads.
const READ_BYTES_MIN: usize = 4 * 1024;

/// Which records of one segment are wanted.
#[derive(Debug)]
pub(super) struct Wanted {
    topics: Topics,
    /// Those that match are passed over so often.
    pub(super) skip: u64,
    /// Numbers of this segment's names in the history that is being filled, and which filling that is.
    named: Vec<(u64, u32)>,
}

#[derive(Debug)]
enum Topics {
    All,
    One(u32),
    /// What is known of each topic's name.
    Matching(Vec<Match>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    Unknown,
    Yes,
    No,
}

impl Wanted {
    pub(super) fn one(number: u32) -> Wanted {
        Wanted { topics: Topics::One(number), skip: 0, named: Vec::new() }
    }

    pub(super) fn matching(filter: &str) -> Wanted {
        let topics = if filter == "#" { Topics::All } else { Topics::Matching(Vec::new()) };
        Wanted { topics, skip: 0, named: Vec::new() }
    }

    /// What is known already of the topics' names, by number.
    pub(super) fn of(matches: Vec<Match>) -> Wanted {
        Wanted { topics: Topics::Matching(matches), skip: 0, named: Vec::new() }
    }

    /// Whether a topic's records are wanted; none if its name is not known.
    pub(super) fn wants<F: DiskFile>(&mut self, number: u32, filter: &str, view: &View<F>) -> Option<bool> {
        let matches = match &mut self.topics {
            Topics::All => return Some(true),
            Topics::One(one) => return Some(*one == number),
            Topics::Matching(matches) => matches,
        };
        let place = number as usize;
        match matches.get(place) {
            Some(Match::Yes) => Some(true),
            Some(Match::No) => Some(false),
            _ => {
                let is_wanted = matches_name(filter, view.name(number)?);
                if matches.len() <= place {
                    matches.resize(place + 1, Match::Unknown);
                }
                matches[place] = if is_wanted { Match::Yes } else { Match::No };
                Some(is_wanted)
            }
        }
    }

    /// The number in the history of a topic's name.
    fn name<F: DiskFile>(
        &mut self,
        number: u32,
        filter: &str,
        view: &View<F>,
        filling: u64,
        text: &mut Text<'_>,
    ) -> Option<u32> {
        let place = if let Topics::One(_) = self.topics { 0 } else { number as usize };
        if let Some((filled, name)) = self.named.get(place)
            && *filled == filling
        {
            return Some(*name);
        }
        let name = text.add(if let Topics::One(_) = self.topics { filter } else { view.name(number)? });
        if self.named.len() <= place {
            self.named.resize(place + 1, (0, 0));
        }
        self.named[place] = (filling, name);
        Some(name)
    }
}

/// Whether a name in a journal matches a filter.
pub(super) fn matches_name(filter: &str, name: &str) -> bool {
    let limits = widest();
    let filter = TopicFilter::new(filter.as_bytes(), &limits).expect("the broker checked the filter");
    TopicName::new(name.as_bytes(), &limits).is_ok_and(|name| filter.matches(name))
}

/// The names of a history.
pub(super) struct Text<'a> {
    pub(super) text: &'a mut String,
    pub(super) names: &'a mut Vec<Span>,
}

impl Text<'_> {
    fn add(&mut self, name: &str) -> u32 {
        let begin = self.text.len() as u32;
        self.text.push_str(name);
        self.names.push(Span { begin, end: self.text.len() as u32 });
        (self.names.len() - 1) as u32
    }
}

/// What goes on while a history is being filled.
pub(super) struct Filling<'a> {
    /// Tells this history from the one before it.
    pub(super) number: u64,
    pub(super) filter: &'a str,
    pub(super) bytes_max: usize,
    pub(super) work: &'a mut Work,
    pub(super) out: &'a mut History,
    /// Bytes of the history that are its own so far; what stands behind them is left of an earlier one, and is kept so
    /// that room for the next read need not be zeroed.
    pub(super) filled: usize,
    pub(super) block: &'a mut Block,
}

impl Filling<'_> {
    /// Whether nothing more is to be read for now.
    pub(super) fn is_over(&self) -> bool {
        self.work.is_done() || (!self.out.records.is_empty() && self.room() == 0)
    }

    pub(super) fn room(&self) -> usize {
        let History { text, names, records, .. } = &self.out;
        let places = size_of_val(names.as_slice()) + size_of_val(records.as_slice());
        self.bytes_max.saturating_sub(self.filled + text.len() + places)
    }

    /// Takes no more.
    pub(super) fn finish(&mut self) {
        self.bytes_max = 0;
    }
}

/// Reads from an offset to the end of a stretch, or until the history is full; moves the offset.
pub(super) fn sweep<F: DiskFile>(
    view: &mut View<F>,
    offset: &mut u32,
    end: u32,
    wanted: &mut Wanted,
    floor: &mut Floor,
    filling: &mut Filling<'_>,
) -> Result<(), Fault> {
    let mut item_bytes = 0;
    while *offset < end && !filling.is_over() {
        let room = filling.room();
        let has_room = room >= READ_BYTES_MIN || filling.out.records.is_empty();
        if !has_room {
            filling.finish();
            return Ok(());
        }
        let left = (end - *offset) as usize;
        let bytes = room.clamp(READ_BYTES_MIN, READ_BYTES_MAX).max(item_bytes).min(left);
        let begin = filling.filled;
        if filling.out.bytes.len() < begin + bytes {
            filling.out.bytes.resize(begin + bytes, 0);
        }
        read(view, *offset, &mut filling.out.bytes[begin..begin + bytes])?;
        filling.work.did(bytes);
        let first = filling.out.records.len();
        item_bytes = take(view, offset, begin..begin + bytes, wanted, floor, filling)?;
        if item_bytes > (end - *offset) as usize || (bytes == left && *offset < end) {
            return Err(Fault::damaged(u64::from(*offset), TOO_LONG));
        }
        filling.filled = move_together(filling.out, begin..filling.filled, first);
    }
    Ok(())
}

fn read<F: DiskFile>(view: &View<F>, offset: u32, buffer: &mut [u8]) -> Result<(), Fault> {
    view.file.read(u64::from(offset), buffer).map_err(|error| Fault::disk(u64::from(offset), error))
}

/// Takes all whole items of what was read last, and leaves the rest out. Returns how long the item is that was
/// cut; 0: none was.
fn take<F: DiskFile>(
    view: &mut View<F>,
    offset: &mut u32,
    stretch: Range<usize>,
    wanted: &mut Wanted,
    floor: &mut Floor,
    filling: &mut Filling<'_>,
) -> Result<usize, Fault> {
    let can_learn = view.can_learn_at(*offset);
    let History { bytes, text, names, records } = &mut *filling.out;
    let mut text = Text { text, names };
    let bytes = &bytes[..stretch.end];
    let (mut at, mut cut) = (stretch.start, 0);
    while at < bytes.len() {
        let place = *offset;
        let (item, length) = match read_item(&bytes[at..], view.salt) {
            Found::Item { item, bytes, .. } => (item, bytes),
            Found::Cut { bytes } => {
                cut = bytes as usize;
                break;
            }
            Found::End | Found::Damage => return Err(Fault::damaged(u64::from(place), NO_ITEM)),
        };
        let end = at + length as usize;
        match item {
            Item::Record(record) => {
                if can_learn {
                    view.learn_record(Mark { position: record.position, time_us: record.time_us, offset: place });
                }
                let found = wanted.take(&record, floor, filling.filter, view, filling.number, &mut text);
                if let Some(name) = found.map_err(|what| Fault::damaged(u64::from(place), what))? {
                    records.push(place_of(&record, name, end));
                    filling.filled = end;
                }
            }
            Item::Topic(topic) => {
                if can_learn {
                    view.learn_topic(place, &topic)?;
                }
            }
            Item::Batch(_) => {}
        }
        at = end;
        *offset += length;
    }
    filling.filled = at;
    if can_learn {
        view.learned(*offset);
    }
    Ok(cut)
}

impl Wanted {
    /// The number of the name if the record is to be delivered.
    pub(super) fn take<F: DiskFile>(
        &mut self,
        record: &Record<'_>,
        floor: &mut Floor,
        filter: &str,
        view: &View<F>,
        filling: u64,
        text: &mut Text<'_>,
    ) -> Result<Option<u32>, &'static str> {
        floor.see(record)?;
        if !self.wants(record.topic, filter, view).ok_or(NAMELESS)? || !floor.pass(record) {
            return Ok(None);
        }
        if self.skip > 0 {
            self.skip -= 1;
            return Ok(None);
        }
        self.name(record.topic, filter, view, filling, text).map(Some).ok_or(NAMELESS)
    }
}

pub(super) const NAMELESS: &str = "a record of a topic that has no name";

/// A record that ends at this place in the history's bytes.
pub(super) fn place_of(record: &Record<'_>, name: u32, end: usize) -> RecordPlace {
    let payload = Span { begin: (end - record.payload.len()) as u32, end: end as u32 };
    let headers = Span { begin: payload.begin - record.headers.len() as u32, end: payload.begin };
    let Record { sequence, position, time_us, publisher, .. } = *record;
    RecordPlace { name, sequence, position, time_us, publisher, headers, payload }
}

/// Gives back what is not needed of the bytes that were read last, if that is most of it. Returns where they end.
fn move_together(out: &mut History, stretch: Range<usize>, first: usize) -> usize {
    let needed: usize =
        out.records[first..].iter().map(|place| (place.payload.end - place.headers.begin) as usize).sum();
    if needed * 2 >= stretch.len() {
        return stretch.end;
    }
    let mut end = stretch.start as u32;
    for place in &mut out.records[first..] {
        let back = place.headers.begin - end;
        out.bytes.copy_within(place.headers.begin as usize..place.payload.end as usize, end as usize);
        for span in [&mut place.headers, &mut place.payload] {
            span.begin -= back;
            span.end -= back;
        }
        end = place.payload.end;
    }
    end as usize
}

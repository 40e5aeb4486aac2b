//! Single records of a segment, by their offsets: what an index or a chain names, read without the rest.

use super::Floor;
use super::sweep::{Filling, Text, Wanted, place_of};
use super::view::View;
use crate::journal::disk::DiskFile;
use crate::journal::format::{Found, HEADER_BYTES, Item, Record, read_item};
use crate::journal::history::History;
use crate::journal::scan::{Fault, NO_ITEM, Placed, TOO_LONG};
use std::ops::Range;

/// Bytes read for one record, unless it is larger.
const BLOCK_BYTES: u32 = 4 * 1024;
/// Bytes read for records that stand close together.
const RUN_BYTES_MAX: u32 = 64 * 1024;
/// What lies between records is read with them up to so many bytes.
const GAP_BYTES_MAX: u32 = 4 * 1024;

/// A piece of a segment, in which several items may stand that are wanted one after another.
#[derive(Debug, Default)]
pub(super) struct Block {
    bytes: Vec<u8>,
    begin: u32,
    /// The segment's base and salt.
    segment: (u64, u32),
    /// Bytes read in its life.
    pub(super) bytes_read: u64,
}

impl Block {
    /// The item at an offset before `end`. If it is not in the block, the window around it is read.
    pub(super) fn item<F: DiskFile>(
        &mut self,
        view: &View<F>,
        offset: u32,
        end: u32,
        window: Range<u32>,
    ) -> Result<Placed<'_>, Fault> {
        if offset < HEADER_BYTES || offset >= end || end - offset < 4 {
            return Err(Fault::damaged(u64::from(offset), "no item of the segment can stand there"));
        }
        if !self.holds(view, offset) {
            self.load(view, window.start.clamp(HEADER_BYTES, offset)..window.end.clamp(offset + 4, end))?;
        }
        let at = (offset - self.begin) as usize;
        let length = u32::from_le_bytes(*self.bytes[at..].first_chunk().expect("four bytes were read"));
        if length > end - offset {
            return Err(Fault::damaged(u64::from(offset), TOO_LONG));
        }
        if length as usize > self.bytes.len() - at {
            self.load(view, offset..window.end.clamp(offset + length, end))?;
        }
        match read_item(&self.bytes[(offset - self.begin) as usize..], view.salt) {
            Found::Item { item, bytes, checksum } => Ok(Placed { offset, bytes, checksum, item }),
            _ => Err(Fault::damaged(u64::from(offset), NO_ITEM)),
        }
    }

    /// Whether an item's length at least is there.
    fn holds<F: DiskFile>(&self, view: &View<F>, offset: u32) -> bool {
        let end = self.begin + self.bytes.len() as u32;
        self.segment == (view.header.base, view.salt) && offset >= self.begin && offset.saturating_add(4) <= end
    }

    /// The record at an offset, with what stands before it: for going backwards.
    pub(super) fn record_before<F: DiskFile>(
        &mut self,
        view: &View<F>,
        offset: u32,
        end: u32,
    ) -> Result<Record<'_>, Fault> {
        let ahead = BLOCK_BYTES / 8;
        let window = offset.saturating_sub(BLOCK_BYTES - ahead)..offset.saturating_add(ahead);
        let Item::Record(record) = self.item(view, offset, end, window)?.item else {
            return Err(Fault::damaged(u64::from(offset), NO_RECORD));
        };
        Ok(record)
    }

    fn load<F: DiskFile>(&mut self, view: &View<F>, range: Range<u32>) -> Result<(), Fault> {
        self.segment = (0, 0);
        self.begin = range.start;
        self.bytes.resize((range.end - range.start) as usize, 0);
        self.bytes_read += self.bytes.len() as u64;
        let read = view.file.read(u64::from(range.start), &mut self.bytes);
        read.map_err(|error| Fault::disk(u64::from(range.start), error))?;
        self.segment = (view.header.base, view.salt);
        Ok(())
    }
}

/// What is wrong with a place that should hold a record.
pub(super) const NO_RECORD: &str = "no record stands where one is named";

/// Reads the records at ascending offsets, from the one that `at` counts on, until the history is full.
pub(super) fn gather<F: DiskFile>(
    view: &View<F>,
    offsets: &[u32],
    at: &mut usize,
    end: u32,
    wanted: &mut Wanted,
    floor: &mut Floor,
    filling: &mut Filling<'_>,
) -> Result<(), Fault> {
    while *at < offsets.len() && !filling.is_over() {
        let offset = offsets[*at];
        let read_before = filling.block.bytes_read;
        let is_held = filling.block.holds(view, offset);
        let window = if is_held { offset..offset } else { window_of(&offsets[*at..]) };
        let placed = filling.block.item(view, offset, end, window)?;
        let Item::Record(record) = placed.item else {
            return Err(Fault::damaged(u64::from(offset), NO_RECORD));
        };
        if wanted.wants(record.topic, filling.filter, view) != Some(true) {
            return Err(Fault::damaged(u64::from(offset), "a record of another topic stands where one is named"));
        }
        let bytes = record.headers.len() + record.payload.len();
        let History { bytes: out, text, names, records } = &mut *filling.out;
        if !records.is_empty() && bytes > filling.bytes_max.saturating_sub(filling.filled) {
            filling.finish();
            return Ok(());
        }
        let mut text = Text { text, names };
        let found = wanted.take(&record, floor, filling.filter, view, filling.number, &mut text);
        if let Some(name) = found.map_err(|what| Fault::damaged(u64::from(offset), what))? {
            out.truncate(filling.filled);
            out.extend_from_slice(record.headers);
            out.extend_from_slice(record.payload);
            records.push(place_of(&record, name, out.len()));
            filling.filled = out.len();
        }
        *at += 1;
        let read = filling.block.bytes_read - read_before;
        filling.work.did(read as usize);
    }
    Ok(())
}

/// What to read for the first of some offsets, so that those that stand close behind it come along.
fn window_of(offsets: &[u32]) -> Range<u32> {
    let first = offsets[0];
    let mut last = first;
    for next in &offsets[1..] {
        if next - last > GAP_BYTES_MAX || next - first > RUN_BYTES_MAX - GAP_BYTES_MAX {
            break;
        }
        last = *next;
    }
    first..last.saturating_add(BLOCK_BYTES)
}

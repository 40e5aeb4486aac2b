//! Everything in a journal's directory looked at, offline: what is not as it should be, where, and what to do.
//!
//! ```text
//!  names --> segments by base --> header, every item, batch chain, topic chain, positions, sequences, times
//!                             '-> index: rebuilt from the segment and compared byte for byte
//!            and what is left over, or missing
//! ```
//!
//! Nothing is changed, and nothing is taken on trust: whatever the bytes are, the answer is a report.

use super::disk::{Disk, DiskError, DiskFile};
use super::format::{HEADER_BYTES, Item, NO_BASE, SegmentHeader};
use super::index::{self, Index};
use super::scan::{Fault, Placed, Scan, read_header};
use super::survey::LOOKS;
use fanwire_wire::limits::{FILTER_PLUS_CEILING, TOPIC_BYTES_CEILING, TOPIC_LEVELS_CEILING};
use fanwire_wire::{Limits, TopicName};
use std::collections::HashMap;

/// How often progress is told, in bytes.
const PROGRESS_BYTES: u64 = 1024 * 1024;
/// Bytes that are looked at at once for being zero.
const ZEROS_BYTES: usize = 64 * 1024;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is lost: the next start puts it right, or it only costs time.
    Note,
    /// Records can't be read, or are not those that were written.
    Damage,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file's name.
    pub file: String,
    /// Where in it.
    pub offset: u64,
    /// What is the matter.
    pub what: String,
    /// What to do about it.
    pub advice: String,
}

/// What a directory holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// What is not as it should be, in the order of the files.
    pub findings: Vec<Finding>,
    /// Segments.
    pub segments: u64,
    /// Records in them.
    pub records: u64,
    /// Topics with a record.
    pub topics: u64,
    /// Bytes of items and headers.
    pub bytes: u64,
    /// The first position; 0: no record.
    pub position_first: u64,
    /// The last position; 0: no record.
    pub position_last: u64,
}

/// How far the work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes looked at.
    pub bytes: u64,
    /// Bytes in all.
    pub bytes_all: u64,
}

impl Report {
    /// Whether nothing is lost.
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == Severity::Note)
    }
}

/// The segments of a directory, oldest first, with their files.
///
/// # Errors
/// When the directory or a file can't be opened.
pub fn segments_of<D: Disk>(disk: &mut D) -> Result<Vec<(u64, D::File)>, DiskError> {
    let mut looks = 0;
    loop {
        looks += 1;
        match open_segments(disk) {
            // Retention was quicker, or compaction: then it may be part of one that was opened before that.
            Err(DiskError::Missing) if looks < LOOKS => {}
            opened => return opened,
        }
    }
}

fn open_segments<D: Disk>(disk: &mut D) -> Result<Vec<(u64, D::File)>, DiskError> {
    let names = disk.list()?;
    let mut bases: Vec<u64> = names.iter().filter_map(|name| base_of(name, ".segment")).collect();
    bases.sort_unstable();
    bases.into_iter().map(|base| Ok((base, disk.open(&segment_name(base))?))).collect()
}

fn base_of(name: &str, kind: &str) -> Option<u64> {
    let digits = name.strip_suffix(kind)?;
    let is_base = digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit());
    if is_base { digits.parse().ok() } else { None }
}

fn segment_name(base: u64) -> String {
    format!("{base:020}.segment")
}

/// Looks at everything.
///
/// # Errors
/// When the directory can't be listed or one of its files can't be opened; what can't be read of a file is a finding.
pub fn verify<D: Disk>(disk: &mut D, progress: &mut dyn FnMut(Progress)) -> Result<Report, DiskError> {
    let segments = segments_of(disk)?;
    let names = disk.list()?;
    let bytes_all = segments.iter().map(|(_, file)| file.bytes()).sum();
    let mut walk = Walk {
        report: Report::default(),
        progress,
        done: Progress { bytes: 0, bytes_all },
        topics: HashMap::new(),
        before: None,
        damages: 0,
    };
    let count = segments.len();
    for (place, (base, file)) in segments.into_iter().enumerate() {
        let next = place + 1 < count;
        walk.segment(disk, base, &file, next);
        walk.done.bytes += file.bytes();
        (walk.progress)(walk.done);
    }
    walk.report.topics = walk.topics.len() as u64;
    walk.leftovers(&names, count);
    Ok(walk.report)
}

const RESTORE: &str = "restore the file from a copy";
const RESTART: &str = "nothing is lost; the next start makes it anew";
const LEFT_OVER: &str = "nothing is lost; the next start removes it";
const TAIL: &str = "the next start cuts here, if nothing that is known to be durable stands behind it";

struct Walk<'a> {
    report: Report,
    progress: &'a mut dyn FnMut(Progress),
    done: Progress,
    /// Sequence, base and offset of every topic's last record.
    topics: HashMap<Vec<u8>, TopicLast>,
    /// The segment before.
    before: Option<Before>,
    /// Damage so far: what was known of a topic before it may lack records.
    damages: usize,
}

#[derive(Clone, Copy)]
struct TopicLast {
    sequence: u64,
    /// The segment that names the topic last.
    base: u64,
    /// Where the record stands, if that can be relied on: compaction moves what others point at.
    offset: Option<u32>,
    /// Damage that was found before this was known.
    damages: usize,
}

struct Before {
    header: SegmentHeader,
    /// The last position that it covers.
    position_last: u64,
    time_us: u64,
}

impl Before {
    /// Whether it was compacted from the segment with this base, among others, which is there to be removed.
    fn covers(&self, base: u64) -> bool {
        self.header.is_compacted && base <= self.position_last
    }
}

/// What is known of the segment in hand.
struct Here {
    header: SegmentHeader,
    file: String,
    /// Names and last offsets by number.
    topics: Vec<(Vec<u8>, u32)>,
    topic_last: u32,
    checksum: u32,
    position_last: u64,
    time_us: u64,
    /// Records and the end that the batch in hand should have.
    batch: Option<(u32, u32, u32)>,
    records: u64,
}

impl Walk<'_> {
    fn find(&mut self, severity: Severity, file: &str, offset: u64, what: impl Into<String>, advice: &'static str) {
        self.damages += usize::from(severity == Severity::Damage);
        self.report.findings.push(Finding {
            severity,
            file: file.to_owned(),
            offset,
            what: what.into(),
            advice: advice.to_owned(),
        });
    }

    fn segment<D: Disk>(&mut self, disk: &mut D, base: u64, file: &D::File, has_next: bool) {
        let name = segment_name(base);
        if self.before.as_ref().is_some_and(|before| before.covers(base)) {
            let what = "the segment before it was compacted from it, among others, and stands for it";
            return self.find(Severity::Note, &name, 0, what, LEFT_OVER);
        }
        self.report.segments += 1;
        let header = match read_header(file) {
            Ok(header) => header,
            Err(fault) => {
                self.find(Severity::Damage, &name, fault.offset, fault.to_string(), RESTORE);
                self.before = None;
                return;
            }
        };
        if header.base != base {
            self.find(Severity::Damage, &name, 32, format!("its header says base {}", header.base), RESTORE);
        }
        self.check_follows(&header, &name);
        let index = self.index_of(disk, &header, has_next);
        let mut here = Here {
            checksum: header.salt(),
            file: name,
            topics: Vec::new(),
            topic_last: 0,
            position_last: header.base.saturating_sub(1),
            time_us: self.before.as_ref().map_or(0, |before| before.time_us),
            batch: None,
            records: 0,
            header,
        };
        let end = self.items(file, &mut here, has_next);
        if let Some((left, _, batch_end)) = here.batch.filter(|(left, _, batch_end)| *left > 0 || *batch_end != end) {
            let what = format!("the last batch ends early: {left} records are missing, it should end at {batch_end}");
            let (severity, advice) = if has_next { (Severity::Damage, RESTORE) } else { (Severity::Note, TAIL) };
            self.find(severity, &here.file, u64::from(end), what, advice);
        }
        let mut position_last = here.position_last;
        if let Some(index) = index {
            position_last = position_last.max(index.summary().end.position);
            self.compare_index(disk, file, &index, &here, end);
        }
        self.report.bytes += u64::from(end);
        self.before = Some(Before { header, position_last, time_us: here.time_us });
    }

    fn check_follows(&mut self, header: &SegmentHeader, name: &str) {
        let Some(before) = &self.before else { return };
        let mut found = Vec::new();
        if header.journal != before.header.journal {
            found.push((16, "it belongs to another journal".to_owned()));
        }
        if header.epoch < before.header.epoch {
            found.push((40, "its epoch is older than that of the segment before".to_owned()));
        }
        let wanted = before.position_last + 1;
        if header.base > wanted && !before.header.is_compacted {
            found.push((32, format!("records {wanted} to {} are missing before it", header.base - 1)));
        }
        if header.base < wanted {
            found.push((32, format!("the segment before it goes on to position {}", before.position_last)));
        }
        for (offset, what) in found {
            self.find(Severity::Damage, name, offset, what, RESTORE);
        }
    }

    /// Goes through all items, and returns where they end.
    fn items<F: DiskFile>(&mut self, file: &F, here: &mut Here, has_next: bool) -> u32 {
        let file_end = u32::try_from(file.bytes()).unwrap_or(u32::MAX);
        let mut scan = Scan::new(file, here.header.salt(), HEADER_BYTES, file_end);
        let mut told = 0;
        loop {
            let offset = scan.offset();
            if u64::from(offset) - told >= PROGRESS_BYTES {
                told = u64::from(offset);
                (self.progress)(Progress { bytes: self.done.bytes + told, ..self.done });
            }
            match scan.at_zeros() {
                Ok(false) => {}
                Ok(true) => {
                    self.check_zeros(file, offset, &here.file);
                    return offset;
                }
                Err(fault) => {
                    self.find(Severity::Damage, &here.file, fault.offset, fault.to_string(), RESTORE);
                    return offset;
                }
            }
            let placed = match scan.next_item() {
                Ok(Some(placed)) => placed,
                Ok(None) => return offset,
                Err(fault) => {
                    let (severity, advice) =
                        if has_next { (Severity::Damage, RESTORE) } else { (Severity::Damage, TAIL) };
                    self.find(severity, &here.file, fault.offset, fault.to_string(), advice);
                    return offset;
                }
            };
            for what in self.item(&placed, here) {
                self.find(Severity::Damage, &here.file, u64::from(offset), what, RESTORE);
            }
        }
    }

    fn check_zeros<F: DiskFile>(&mut self, file: &F, from: u32, name: &str) {
        let mut buffer = vec![0; ZEROS_BYTES];
        let mut offset = u64::from(from);
        while offset < file.bytes() {
            let bytes = (file.bytes() - offset).min(ZEROS_BYTES as u64) as usize;
            if let Err(error) = file.read(offset, &mut buffer[..bytes]) {
                return self.find(Severity::Damage, name, offset, Fault::disk(offset, error).to_string(), RESTORE);
            }
            if let Some(place) = buffer[..bytes].iter().position(|byte| *byte != 0) {
                let what = "something stands behind the end of all items";
                return self.find(Severity::Damage, name, offset + place as u64, what, TAIL);
            }
            offset += bytes as u64;
        }
    }

    /// What is wrong with an item that is whole.
    fn item(&mut self, placed: &Placed<'_>, here: &mut Here) -> Vec<String> {
        let mut found = Vec::new();
        let end = placed.offset + placed.bytes;
        match placed.item {
            Item::Batch(batch) => {
                if let Some((left, _, batch_end)) = here.batch
                    && (left > 0 || batch_end != placed.offset)
                {
                    found.push(format!("the batch before lacks {left} records, or does not end here"));
                }
                if batch.checksum_before != here.checksum {
                    found.push("the batch does not follow what stands before it: something was lost".to_owned());
                }
                if batch.durable > here.position_last && !here.header.is_compacted {
                    found.push(format!("the batch says that position {} was synced before it", batch.durable));
                }
                here.batch = Some((batch.count, placed.offset, placed.offset.saturating_add(batch.bytes)));
            }
            Item::Topic(topic) => {
                found.extend(self.topic(&topic, placed.offset, here));
            }
            Item::Record(record) => {
                found.extend(self.record(&record, placed.offset, here));
            }
        }
        if here.batch.is_none_or(|(_, _, batch_end)| end > batch_end) {
            found.push("the item is in no batch".to_owned());
        }
        here.checksum = placed.checksum;
        found
    }

    fn topic(&mut self, topic: &super::format::TopicItem<'_>, offset: u32, here: &mut Here) -> Vec<String> {
        let mut found = Vec::new();
        if topic.number as usize != here.topics.len() {
            found.push(format!("topic number {} should be {}", topic.number, here.topics.len()));
        }
        if topic.previous != here.topic_last {
            found
                .push(format!("the topic item before it is said to be at {}, not {}", topic.previous, here.topic_last));
        }
        let limits = Limits {
            topic_bytes_max: TOPIC_BYTES_CEILING,
            topic_levels_max: TOPIC_LEVELS_CEILING,
            filter_plus_max: FILTER_PLUS_CEILING,
            ..Limits::default()
        };
        if TopicName::new(topic.name, &limits).is_err() {
            found.push("the topic's name breaks the grammar".to_owned());
        }
        match self.topics.get(topic.name) {
            Some(last) if last.base == here.header.base => {
                found.push("the topic has a number already".to_owned());
            }
            Some(last) if last.sequence > topic.sequence_before => {
                found.push(format!("the topic's last sequence was {} already", last.sequence));
            }
            // Records of it may have stood where nothing can be read: told once, there.
            Some(last) if last.damages != self.damages => {}
            Some(last) if last.sequence != topic.sequence_before && !here.header.is_compacted => {
                found.push(format!("the topic's last sequence was {}, not {}", last.sequence, topic.sequence_before));
            }
            Some(TopicLast { base, offset: Some(offset), .. })
                if (*base, *offset) != (topic.base_before, topic.offset_before) && !here.header.is_compacted =>
            {
                found.push(format!("the topic's last record before it is at {offset} of {base}, not where it says"));
            }
            None if topic.sequence_before == 0 && topic.base_before != NO_BASE => {
                found.push("a topic without an earlier record is said to have one".to_owned());
            }
            _ => {}
        }
        let (base, damages) = (here.header.base, self.damages);
        let last = TopicLast { sequence: topic.sequence_before, base, offset: None, damages };
        self.topics.insert(topic.name.to_vec(), last);
        here.topics.push((topic.name.to_vec(), 0));
        here.topic_last = offset;
        found
    }

    fn record(&mut self, record: &super::format::Record<'_>, offset: u32, here: &mut Here) -> Vec<String> {
        let mut found = Vec::new();
        if let Some((left, ..)) = &mut here.batch {
            match left.checked_sub(1) {
                Some(less) => *left = less,
                None => found.push("the batch has more records than it says".to_owned()),
            }
        }
        let is_next = record.position == here.position_last + 1;
        if !is_next && (!here.header.is_compacted || record.position <= here.position_last) {
            found.push(format!("position {} follows {}", record.position, here.position_last));
        }
        if record.time_us < here.time_us {
            found.push("its time is before that of the record before it".to_owned());
        }
        here.position_last = record.position;
        here.time_us = record.time_us;
        here.records += 1;
        self.report.records += 1;
        self.report.position_last = record.position;
        if self.report.position_first == 0 {
            self.report.position_first = record.position;
        }
        let Some((name, previous)) = here.topics.get_mut(record.topic as usize) else {
            found.push(format!("topic number {} has no name", record.topic));
            return found;
        };
        if record.previous != *previous {
            found.push(format!("the topic's record before it is said to be at {}, not {previous}", record.previous));
        }
        *previous = offset;
        let last = self.topics.get_mut(name).expect("a topic of the segment was entered");
        let is_next = record.sequence == last.sequence + 1;
        if !is_next && (!here.header.is_compacted || record.sequence <= last.sequence) {
            found.push(format!("sequence {} follows {} of its topic", record.sequence, last.sequence));
        }
        let offset = (!here.header.is_compacted).then_some(offset);
        *last = TopicLast { sequence: record.sequence, base: here.header.base, offset, damages: self.damages };
        found
    }

    /// The index of a segment; one that is missing or damaged is told.
    fn index_of<D: Disk>(&mut self, disk: &mut D, header: &SegmentHeader, has_next: bool) -> Option<Index<D::File>> {
        let name = format!("{:020}.index", header.base);
        let index = match disk.open(&name) {
            Ok(file) => Index::open(file),
            Err(DiskError::Missing) => {
                if has_next {
                    self.find(Severity::Note, &name, 0, "a full segment has no index", RESTART);
                }
                return None;
            }
            Err(error) => Err(Fault::disk(0, error)),
        };
        match index {
            Ok(index) if index.fits(header) => Some(index),
            Ok(_) => {
                self.find(
                    Severity::Note,
                    &name,
                    0,
                    "it is the index of another segment, or of an earlier one",
                    RESTART,
                );
                None
            }
            Err(fault) => {
                self.find(Severity::Note, &name, fault.offset, fault.to_string(), RESTART);
                None
            }
        }
    }

    fn compare_index<D: Disk>(&mut self, disk: &mut D, file: &D::File, index: &Index<D::File>, here: &Here, end: u32) {
        let name = format!("{:020}.index", here.header.base);
        let summary = index.summary();
        if summary.end.offset != end {
            let what = format!("it says that the segment ends at {}, but items end at {end}", summary.end.offset);
            return self.find(Severity::Damage, &name, 72, what, RESTORE);
        }
        let covered = here.header.is_compacted.then_some((summary.end.position, summary.end.time_us));
        let Ok(wanted) = index::build_covering(file, &here.header, end, covered) else { return };
        let mut found = vec![0; wanted.len()];
        let read = disk.open(&name).and_then(|file| {
            if file.bytes() != found.len() as u64 {
                return Err(DiskError::Failed("it is not as long as it should be".to_owned()));
            }
            file.read(0, &mut found)
        });
        if let Err(error) = read {
            return self.find(Severity::Note, &name, 0, error.to_string(), RESTART);
        }
        if let Some(place) = found.iter().zip(&wanted).position(|(found, wanted)| found != wanted) {
            self.find(Severity::Note, &name, place as u64, "it does not say what the segment holds", RESTART);
        }
    }

    fn leftovers(&mut self, names: &[String], segments: usize) {
        if segments == 0 {
            self.find(Severity::Damage, "", 0, "there is no segment", RESTORE);
        }
        if !names.iter().any(|name| name == "journal") {
            self.find(Severity::Note, "journal", 0, "the file that says whose journal it is is missing", RESTORE);
        }
        let has_snapshot = names.iter().any(|name| base_of(name, ".snapshot").is_some());
        if segments > 1 && !has_snapshot {
            let what = "there is no snapshot: the next start reads all segments";
            self.find(Severity::Note, "", 0, what, "let the broker start; it takes its time once");
        }
        for name in names {
            if name.ends_with(".making") && !name.starts_with("next.") {
                self.find(Severity::Note, name, 0, "it was never finished", "the next start removes it");
            }
            if name.ends_with(".cut") {
                let what = "a recovery kept these bytes aside";
                self.find(Severity::Note, name, 0, what, "remove it when nobody needs it any more");
            }
            let of_index = base_of(name, ".index").map(segment_name);
            if of_index.is_some_and(|segment| !names.contains(&segment)) {
                self.find(Severity::Note, name, 0, "its segment is gone", "remove it");
            }
        }
    }
}

//! Where sound records end too early: what that means, and how it is cut.
//!
//! ```text
//!  sound sound sound | damaged ? ? batch ? ? |   later segments
//!                    '- break    '-- says what was durable when it was written
//!
//!  something durable is hit      -> corruption: refused, unless repair is asked for
//!  same boot, a sound batch lies behind the break  -> corruption too: only the last batch can be torn
//!  same boot, and no process's end leaves such a batch  -> corruption too
//!  closed where the sound ones end                 -> what lies behind was never released: cut
//!  else                          -> what lies behind was never durable: cut, and a new epoch unless it is proven
//!                                   that nothing of it was released
//! ```
//!
//! A cut destroys nothing: later segments are set aside first, from the last on; then the bytes behind the break are
//! copied aside; then they are zeroed, so that old records can't come back. Each step is durable before the next. If a
//! crash comes between, the next start sees the same break, or none, and the epoch that is due stands in the state.

use super::disk::{Disk, DiskError, DiskFile};
use super::format::{HEADER_BYTES, SegmentHeader, VERSION};
use super::found::FoundSegment;
use super::names;
use super::open_error::{Fault, OpenError};
use super::recovery::{Cut, EpochChange, Start, Walk};
use super::replay::{Replayed, marks_behind, raw_marks, written_end};
use super::state::{State, store_whole};
use super::tear::Tear;

/// Bytes that are copied or zeroed at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Where sound records end, though something lies behind, or should.
#[derive(Debug, Clone)]
pub(super) struct Break {
    /// The segment, by its place among those found.
    pub(super) index: usize,
    /// Where in it; 0: the whole file.
    pub(super) offset: u32,
    /// The last sound position.
    pub(super) position: u64,
    pub(super) why: Damaged,
}

/// What is wrong there.
#[derive(Debug, Clone)]
pub(super) enum Damaged {
    /// The segment's header was never written, or is gone.
    Blank,
    /// The segment's header is not one.
    Header(Fault),
    /// No whole batch stands there.
    Batch,
    /// Something stands behind the end.
    Rest,
    /// The records end, though there must be more before this base.
    Short {
        /// The base.
        next_base: u64,
    },
    /// The state of a closed journal says that the end is elsewhere.
    StaleState,
}

/// What tells corruption from a torn tail.
struct Evidence {
    /// The highest position that was surely durable.
    durable: u64,
    /// Whether something sound lies behind the break.
    is_followed: bool,
}

impl<D: Disk> Walk<'_, D> {
    /// Decides what a break means, and cuts there. Says why that begins an epoch, if it does.
    pub(super) fn cut(&mut self, found: &Break) -> Result<Option<EpochChange>, OpenError> {
        let base = self.segments[found.index].base;
        let name = names::segment(base);
        let evidence = self.evidence(found).map_err(|error| OpenError::disk(&name, error))?;
        let tear = self.tear(found).map_err(|error| OpenError::disk(&name, error))?;
        let is_torn_only = self.recovery.start != Start::PowerLost;
        let is_forced = match &found.why {
            Damaged::Header(_) | Damaged::StaleState => true,
            Damaged::Short { next_base } => *next_base <= found.position,
            Damaged::Blank | Damaged::Batch | Damaged::Rest => false,
        };
        let is_excluded = is_torn_only && (evidence.is_followed || tear == Tear::Excluded);
        let is_corrupt = is_forced || evidence.durable > found.position || is_excluded;
        if is_corrupt && !self.opening.repair {
            let fault = match &found.why {
                Damaged::Header(fault) => fault.clone(),
                Damaged::StaleState => Fault::StateStale,
                _ => {
                    let position = found.position + 1;
                    Fault::Corrupt { offset: found.offset, position, durable: evidence.durable }
                }
            };
            let file = if matches!(found.why, Damaged::StaleState) { names::STATE } else { &name };
            return Err(OpenError::new(file, fault));
        }
        let change = match (is_corrupt, tear) {
            (true, _) => Some(EpochChange::Repaired),
            (false, Tear::Possible) if self.recovery.start == Start::Killed => Some(EpochChange::Cut),
            _ => None,
        };
        if change.is_some() || self.state.end_base > base {
            let (epoch_due, end_base) = (self.state.epoch_due || change.is_some(), self.state.end_base.min(base));
            self.state = State { epoch_due, end_base, ..self.state };
            self.state.store(&mut self.disk).map_err(|error| OpenError::disk(names::STATE, error))?;
        }
        if !matches!(found.why, Damaged::StaleState) {
            self.cut_off(found).map_err(|error| OpenError::disk(&name, error))?;
        }
        Ok(change)
    }

    /// Whether what is cut there was never released, as far as that can be told.
    fn tear(&self, found: &Break) -> Result<Tear, DiskError> {
        let segment = &self.segments[found.index];
        match (self.recovery.start, &found.why, segment.header, &self.last) {
            // What was closed ends where its state says, and nothing of it is cut unless that is asked for.
            (Start::Clean | Start::Fresh, ..) => Ok(Tear::Proven),
            (Start::Killed, Damaged::Batch, Some(header), Some(last)) => {
                Tear::at(&segment.file, &header, found.offset, last.checksum)
            }
            // A header is written before the segment gets its name.
            (Start::Killed, Damaged::Blank, ..) => Ok(Tear::Excluded),
            _ => Ok(Tear::Possible),
        }
    }

    fn evidence(&self, found: &Break) -> Result<Evidence, DiskError> {
        let mut durable = self.state.durable;
        // A snapshot is written when all before it is synced.
        durable = durable.max(self.snapshots.last().map_or(0, |base| base - 1));
        let mut is_followed = found.index + 1 < self.segments.len();
        for (index, segment) in self.segments.iter().enumerate().skip(found.index) {
            // So is an index.
            durable = durable.max(segment.end.filter(|_| segment.is_indexed).map_or(0, |end| end.position));
            match segment.header {
                Some(header) => {
                    let from = if index == found.index { found.offset + 1 } else { HEADER_BYTES };
                    marks_behind(&segment.file, header.salt(), from, |mark| {
                        durable = durable.max(mark.durable);
                        is_followed = true;
                    })?;
                }
                None => raw_marks(&segment.file, |mark| {
                    durable = durable.max(mark);
                    is_followed = true;
                })?,
            }
        }
        Ok(Evidence { durable, is_followed })
    }

    /// Takes away all that lies behind a break.
    fn cut_off(&mut self, found: &Break) -> Result<(), DiskError> {
        let base = self.segments[found.index].base;
        for snapshot in self.snapshots.iter().rev().filter(|snapshot| **snapshot > base) {
            self.disk.remove(&names::snapshot(*snapshot))?;
            self.disk.sync_names()?;
        }
        while self.segments.len() > found.index + 1 {
            let segment = self.segments.pop().expect("there is one behind the break");
            self.set_aside(&segment)?;
        }
        self.remove_if_there(&names::index(base))?;
        if found.offset > 0 {
            let segment = &self.segments[found.index];
            let (file, end) = (segment.file.clone(), written_end(&segment.file, found.offset)?);
            return self.cut_out(base, &file, found.offset, end);
        }
        self.begin_anew(found.index)
    }

    /// Gives a whole segment another name; removes it, if nothing is in it.
    fn set_aside(&mut self, segment: &FoundSegment<D::File>) -> Result<(), DiskError> {
        self.remove_if_there(&names::index(segment.base))?;
        let name = names::segment(segment.base);
        let end = written_end(&segment.file, 0)?;
        let mut kept_as = None;
        if end == 0 {
            self.disk.remove(&name)?;
        } else {
            let aside = self.free_cut_name(segment.base, 0)?;
            self.disk.rename(&name, &aside)?;
            kept_as = Some(aside);
        }
        self.disk.sync_names()?;
        self.recovery.cuts.push(Cut { segment: name, offset: 0, bytes: end.into(), kept_as });
        Ok(())
    }

    /// Copies a stretch of a segment aside and zeroes it.
    fn cut_out(&mut self, base: u64, file: &D::File, begin: u32, end: u32) -> Result<(), DiskError> {
        if begin == end {
            return Ok(());
        }
        let mut bytes = vec![0; (end - begin) as usize];
        file.read(begin.into(), &mut bytes)?;
        let kept_as = self.keep(base, begin, &bytes)?;
        for at in (begin..end).step_by(CHUNK_BYTES) {
            let zeros = vec![0; CHUNK_BYTES.min((end - at) as usize)];
            file.write(at.into(), &zeros)?;
        }
        self.note_sync(file.sync())?;
        let segment = names::segment(base);
        self.recovery.cuts.push(Cut { segment, offset: begin, bytes: bytes.len() as u64, kept_as: Some(kept_as) });
        Ok(())
    }

    /// Writes a cut file, unless one holds these bytes already: then an earlier start got so far.
    fn keep(&mut self, base: u64, offset: u32, bytes: &[u8]) -> Result<String, DiskError> {
        for attempt in 1.. {
            let name = names::cut(base, offset, attempt);
            let file = match self.disk.open(&name) {
                Ok(file) => file,
                Err(DiskError::Missing) => {
                    store_whole(&mut self.disk, &name, bytes)?;
                    return Ok(name);
                }
                Err(error) => return Err(error),
            };
            let mut held = vec![0; file.bytes() as usize];
            file.read(0, &mut held)?;
            // What was zeroed since, before that start was ended, is no other content.
            let is_same = |(byte, held): (&u8, &u8)| *byte == *held || *byte == 0;
            if held.len() >= bytes.len() && bytes.iter().zip(&held).all(is_same) {
                return Ok(name);
            }
        }
        unreachable!("there is always a further name")
    }

    fn free_cut_name(&mut self, base: u64, offset: u32) -> Result<String, DiskError> {
        let taken = self.disk.list()?;
        let mut names = (1..).map(|attempt| names::cut(base, offset, attempt));
        Ok(names.find(|name| !taken.contains(name)).expect("there is always a further name"))
    }

    fn remove_if_there(&mut self, name: &str) -> Result<(), DiskError> {
        match self.disk.remove(name) {
            Ok(()) | Err(DiskError::Missing) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Puts an empty segment in the place of one whose header is lost; what that holds is kept aside.
    fn begin_anew(&mut self, index: usize) -> Result<(), DiskError> {
        let FoundSegment { base, file, .. } = &self.segments[index];
        let base = *base;
        let end = written_end(file, 0)?;
        let mut held = vec![0; end as usize];
        file.read(0, &mut held)?;
        let kept_as = if end == 0 { None } else { Some(self.keep(base, 0, &held)?) };
        let bytes = u64::from(self.settings.segment_bytes);
        let (journal, epoch, created_us) = (self.state.journal, self.state.epoch, self.opening.now_us);
        let header = SegmentHeader { version: VERSION, journal, base, epoch, created_us, bytes, is_compacted: false };
        let file = self.disk.create(names::PREPARED, bytes)?;
        file.write(0, &header.encode())?;
        file.sync()?;
        self.disk.rename(names::PREPARED, &names::segment(base))?;
        self.disk.sync_names()?;
        self.recovery.cuts.push(Cut { segment: names::segment(base), offset: 0, bytes: end.into(), kept_as });
        self.segments[index] =
            FoundSegment { base, file, header: Some(header), fault: None, end: None, is_indexed: false };
        self.last = Some(Replayed::none(&header));
        Ok(())
    }
}

//! Opening a journal: what is there, how its last life ended, and where it goes on.
//!
//! ```text
//!  state --> headers, indexes --> newest snapshot --> replay the segments from its base on --> sound to the end?
//!                                                                                               | yes     | no
//!                                            epoch, sync, state: running  <--  cut, keep aside, zero  <-- damage:
//!                                                                              refuse, if it hits what was synced
//! ```
//!
//! What a start reads is bounded: a header and an index of each sealed segment, the snapshot, and the segments behind
//! it. Without a snapshot all segments are read.
//!
//! Every step may be the last one before a crash: nothing is destroyed before what was decided is written down, and
//! whoever runs it again comes to the same end. Nothing but unfinished files is ever removed; what is cut lies aside.

use super::catalog::{Segment, SegmentEnd};
use super::damage::{Break, Damaged};
use super::disk::{Disk, DiskError, DiskFile};
use super::format::{SegmentHeader, VERSION};
use super::found::{Directory, FoundSegment, found_segments};
use super::leftovers;
use super::log::{LogSettings, OpenSegment};
use super::names::{self, Kind};
use super::open_error::{Fault, OpenError};
use super::replay::{Replayed, Stop, replay, written_end};
use super::snapshot::{self, SnapshotFault};
use super::standing::Standing;
use super::state::{State, StateFault};
use super::tasks::Indexing;

/// What an opening knows that the directory does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// The time, in microseconds since 1970-01-01 UTC.
    pub now_us: u64,
    /// Names this boot of the machine.
    pub boot: [u8; 16],
    /// What a new journal is named: random.
    pub fresh_id: [u8; 16],
    /// Whether to go on where damage would otherwise stop it, without what is damaged and what lies behind.
    pub repair: bool,
}

/// How a journal's last life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// There was none: it was made now.
    Fresh,
    /// It was closed.
    Clean,
    /// Its process ended, and the machine went on: what was written is there.
    Killed,
    /// The machine stopped, or a sync had failed: what was not synced may be missing.
    PowerLost,
}

/// Why an epoch began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpochChange {
    /// The journal is new.
    Fresh,
    /// The machine stopped without the journal being closed: records may be missing that were released.
    PowerLost,
    /// Something was cut that may have been released.
    Cut,
    /// Damage was cut out because that was asked for.
    Repaired,
}

/// Bytes that were taken out of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The segment's file.
    pub segment: String,
    /// Where in it the cut is; 0: all of it was taken away.
    pub offset: u32,
    /// Bytes behind the cut that were not zero, or the zeros between them.
    pub bytes: u64,
    /// The file that holds them now; none if there was nothing to keep.
    pub kept_as: Option<String>,
}

/// What an opening has found and done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// How the last life ended.
    pub start: Start,
    /// The base of the snapshot that it began from.
    pub snapshot: Option<u64>,
    /// Segments that were read.
    pub segments: u32,
    /// Records in them.
    pub records: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// What was cut.
    pub cuts: Vec<Cut>,
    /// The epoch that it goes on in.
    pub epoch: u64,
    /// Why that is a new one.
    pub epoch_change: Option<EpochChange>,
    /// Whether there was no room to write down that the journal runs: nothing is taken before there is.
    pub is_unsettled: bool,
    /// What people should know besides, a sentence each.
    pub notes: Vec<String>,
}

/// What is handed over to the log.
pub(super) struct Recovered<D: Disk> {
    pub(super) disk: D,
    pub(super) state: State,
    pub(super) standing: Standing,
    pub(super) segments: Vec<Segment<D::File>>,
    pub(super) open: OpenSegment<D::File>,
    /// Whether there was no room to write down that the journal runs.
    pub(super) is_unsettled: bool,
}

impl Recovery {
    fn count(&mut self, replayed: &Replayed) {
        self.segments += 1;
        self.records += replayed.records;
        self.bytes += u64::from(replayed.end.offset);
    }

    fn new(start: Start) -> Recovery {
        Recovery {
            start,
            snapshot: None,
            segments: 0,
            records: 0,
            bytes: 0,
            cuts: Vec::new(),
            epoch: 0,
            epoch_change: None,
            is_unsettled: false,
            notes: Vec::new(),
        }
    }
}

/// Makes a log's beginnings of what the disk holds.
pub(super) fn recover<D: Disk>(
    mut disk: D,
    settings: &LogSettings,
    indexing: &Indexing<D>,
    opening: &Opening,
) -> Result<(Recovered<D>, Recovery), OpenError> {
    if settings.is_volatile {
        return fresh(disk, settings, opening, State::fresh(opening));
    }
    let directory = Directory::list(&mut disk)?;
    match State::load(&mut disk) {
        Ok(state) if state.is_new && !(opening.repair && directory.is_touched(&mut disk)?) => {
            if directory.is_touched(&mut disk)? {
                return Err(OpenError::new(names::STATE, Fault::StateStale));
            }
            fresh(disk, settings, opening, state)
        }
        Ok(state) if state.is_new => {
            let state = directory.state_of_headers(&mut disk, Fault::StateStale)?;
            reopen(disk, settings, indexing, opening, &directory, state)
        }
        Ok(state) => reopen(disk, settings, indexing, opening, &directory, state),
        Err(StateFault::Missing) if directory.segments.is_empty() && directory.snapshots.is_empty() => {
            let state = State::fresh(opening);
            state.store(&mut disk).map_err(|error| OpenError::disk(names::STATE, error))?;
            fresh(disk, settings, opening, state)
        }
        Err(StateFault::Newer(version)) => Err(OpenError::new(names::STATE, Fault::Newer { version })),
        Err(StateFault::Disk(error)) => Err(OpenError::disk(names::STATE, error)),
        Err(fault) if opening.repair => {
            let fault = if fault == StateFault::Missing { Fault::StateMissing } else { Fault::StateDamaged };
            let state = directory.state_of_headers(&mut disk, fault)?;
            reopen(disk, settings, indexing, opening, &directory, state)
        }
        Err(StateFault::Missing) => Err(OpenError::new(names::STATE, Fault::StateMissing)),
        Err(StateFault::Damaged) => Err(OpenError::new(names::STATE, Fault::StateDamaged)),
    }
}

/// A journal's first segment and first running state.
fn fresh<D: Disk>(
    mut disk: D,
    settings: &LogSettings,
    opening: &Opening,
    mut state: State,
) -> Result<(Recovered<D>, Recovery), OpenError> {
    let header = SegmentHeader {
        version: VERSION,
        journal: state.journal,
        base: 1,
        epoch: state.epoch,
        created_us: opening.now_us,
        bytes: settings.segment_bytes.into(),
        is_compacted: false,
    };
    let name = names::segment(header.base);
    let made = first_segment(&mut disk, settings, &header, &name);
    let file = made.map_err(|error| OpenError::disk(&name, error))?;
    let (boot, epoch, end_base) = (opening.boot, state.epoch, header.base);
    state = State { boot, epoch, end_base, ..State::unknown(state.journal) };
    if !settings.is_volatile {
        state.store(&mut disk).map_err(|error| OpenError::disk(names::STATE, error))?;
    }
    let (base, epoch, salt) = (header.base, header.epoch, header.salt());
    let segments = vec![Segment { base, epoch, file: file.clone(), salt, end: None, is_sealed: false }];
    let empty = Replayed::none(&header);
    let open = OpenSegment::new(&header, file, empty, false);
    let recovery = Recovery { epoch, epoch_change: Some(EpochChange::Fresh), ..Recovery::new(Start::Fresh) };
    let standing = Standing::new(settings.seed);
    Ok((Recovered { disk, state, standing, segments, open, is_unsettled: false }, recovery))
}

fn first_segment<D: Disk>(
    disk: &mut D,
    settings: &LogSettings,
    header: &SegmentHeader,
    name: &str,
) -> Result<D::File, DiskError> {
    let file = disk.create(names::PREPARED, settings.segment_bytes.into())?;
    file.write(0, &header.encode())?;
    if !settings.is_volatile {
        file.sync()?;
    }
    disk.rename(names::PREPARED, name)?;
    if !settings.is_volatile {
        disk.sync_names()?;
    }
    Ok(file)
}

/// Opens a journal that has been there before.
fn reopen<D: Disk>(
    mut disk: D,
    settings: &LogSettings,
    indexing: &Indexing<D>,
    opening: &Opening,
    directory: &Directory,
    state: State,
) -> Result<(Recovered<D>, Recovery), OpenError> {
    let is_same_boot = state.boot == opening.boot;
    if state.sync_failed && is_same_boot {
        distrust(&mut disk, &state)?;
    }
    let start = match (state.is_clean, is_same_boot) {
        _ if state.sync_failed => Start::PowerLost,
        (true, _) => Start::Clean,
        (false, true) => Start::Killed,
        (false, false) => Start::PowerLost,
    };
    let mut segments = found_segments(&mut disk, directory, indexing, &state)?;
    let covered = leftovers::remove(&mut disk, &mut segments, settings.seed);
    let covered = covered.map_err(|(name, error)| OpenError::disk(&name, error))?;
    let mut walk = Walk {
        disk,
        settings,
        opening,
        snapshots: directory.snapshots.clone(),
        state,
        segments,
        standing: Standing::new(settings.seed),
        last: None,
        recovery: Recovery::new(start),
    };
    let note = |base: &u64| format!("{} was compacted away before, and is removed now", names::segment(*base));
    walk.recovery.notes.extend(covered.iter().map(note));
    let is_short = walk.go_on_without_newest()?;
    let begin = walk.choose_snapshot()?;
    walk.look_at_sealed(begin)?;
    let mut change = is_short.then_some(EpochChange::Repaired);
    if let Some(found) = walk.replay_from(begin)? {
        change = walk.cut(&found)?.or(change);
    }
    // Before anything is written that needs room: they may have taken the last of it.
    for name in &directory.making {
        match walk.disk.remove(name) {
            // One of them may have been made anew, and finished.
            Ok(()) | Err(DiskError::Missing) => {}
            Err(error) => return Err(OpenError::disk(name, error)),
        }
    }
    walk.settle(begin, change)?;
    Ok(walk.finish(begin))
}

/// A sync has failed, and the machine that may remember what its disk never got is still running: it is made to forget
/// that. What is said of the last life is written anew before, durably: it may stand in memory alone.
fn distrust<D: Disk>(disk: &mut D, state: &State) -> Result<(), OpenError> {
    let on_disk = |error| OpenError::disk(names::STATE, error);
    state.store(disk).map_err(on_disk)?;
    let mut files = disk.list().map_err(on_disk)?;
    files.retain(|name| names::kind(name) != Kind::Other);
    disk.forget(&files).map_err(|why| OpenError::new(names::STATE, Fault::SyncFailed { why }))
}

/// The way through what was found.
pub(super) struct Walk<'a, D: Disk> {
    pub(super) disk: D,
    pub(super) settings: &'a LogSettings,
    pub(super) opening: &'a Opening,
    pub(super) snapshots: Vec<u64>,
    pub(super) state: State,
    pub(super) segments: Vec<FoundSegment<D::File>>,
    pub(super) standing: Standing,
    /// What the last segment holds that was replayed.
    pub(super) last: Option<Replayed>,
    pub(super) recovery: Recovery,
}

impl<D: Disk> Walk<'_, D> {
    /// The newest segment that is known to have been there must be there. Without it, says that this is a repair, if
    /// one is asked for; snapshots of what is lost go with it.
    fn go_on_without_newest(&mut self) -> Result<bool, OpenError> {
        let Some(last) = self.segments.last().map(|segment| segment.base) else { return Ok(false) };
        // A segment's name is durable before the state tells of it, and before there is a snapshot of its base.
        let known = self.state.end_base.max(self.snapshots.last().copied().unwrap_or(0));
        if known <= last {
            return Ok(false);
        }
        if !self.opening.repair {
            return Err(OpenError::new(&names::segment(known), Fault::NewestMissing));
        }
        self.state = State { epoch_due: true, end_base: last, ..self.state };
        self.state.store(&mut self.disk).map_err(|error| OpenError::disk(names::STATE, error))?;
        while let Some(base) = self.snapshots.pop_if(|base| *base > last) {
            let name = names::snapshot(base);
            self.disk.remove(&name).map_err(|error| OpenError::disk(&name, error))?;
        }
        Ok(true)
    }

    /// Loads the newest snapshot that can be used, and returns the index of the segment with its base.
    fn choose_snapshot(&mut self) -> Result<usize, OpenError> {
        for base in self.snapshots.clone().iter().rev() {
            let Some(index) = self.segments.iter().position(|segment| segment.base == *base) else { continue };
            let name = names::snapshot(*base);
            match snapshot::load(&mut self.disk, self.state.journal, *base, self.settings.seed) {
                Ok(standing) => {
                    self.standing = standing;
                    self.recovery.snapshot = Some(*base);
                    return Ok(index);
                }
                Err(SnapshotFault::Damaged) => self.recovery.notes.push(format!("{name} is damaged and not used")),
                Err(SnapshotFault::Newer(version)) => return Err(OpenError::new(&name, Fault::Newer { version })),
                Err(SnapshotFault::Disk(error)) => return Err(OpenError::disk(&name, error)),
            }
        }
        let Some(first) = self.segments.first() else {
            return Err(OpenError::new(&names::segment(self.state.durable + 1), Fault::NoSegments));
        };
        let is_compacted = |segment: &FoundSegment<_>| segment.header.is_some_and(|header| header.is_compacted);
        let is_partial = first.base > 1 || self.segments.iter().any(is_compacted);
        if is_partial && !self.opening.repair {
            return Err(OpenError::new(&names::snapshot(first.base), Fault::SequencesUnknown));
        }
        self.standing.is_partial = is_partial;
        self.standing.position = first.base - 1;
        if is_partial {
            // The next start need not be told again that what is unknown does not matter.
            let base = first.base;
            self.state.epoch_due = true;
            self.state.store(&mut self.disk).map_err(|error| OpenError::disk(names::STATE, error))?;
            snapshot::store(&mut self.disk, &self.standing, self.state.journal, base)
                .map_err(|error| OpenError::disk(&names::snapshot(base), error))?;
        }
        Ok(0)
    }

    /// The segments that need not be replayed: all synced, each going on where the one before it ends.
    fn look_at_sealed(&mut self, begin: usize) -> Result<(), OpenError> {
        for index in 0..begin {
            let next_base = self.segments[index + 1].base;
            let segment = &mut self.segments[index];
            let name = names::segment(segment.base);
            let Some(header) = segment.header else {
                let fault = segment.fault.clone().unwrap_or(Fault::HeaderDamaged);
                return Err(OpenError::new(&name, Fault::OldDamage(Box::new(fault))));
            };
            let end = match segment.end {
                Some(end) => end,
                None => {
                    let mut aside = Standing::new(self.settings.seed);
                    aside.is_partial = true;
                    let replayed = replay(&segment.file, &header, &mut aside);
                    let replayed = replayed.map_err(|error| OpenError::disk(&name, error))?;
                    self.recovery.count(&replayed);
                    replayed.end
                }
            };
            if end.position + 1 != next_base && !header.is_compacted {
                let fault = match segment.end {
                    Some(_) => Fault::Missing { from: end.position + 1, to: next_base - 1 },
                    None => Fault::OldDamage(Box::new(Fault::Short { offset: end.offset })),
                };
                return Err(OpenError::new(&name, fault));
            }
            segment.end = Some(end);
        }
        Ok(())
    }

    /// Replays the segments behind the snapshot, up to where something is wrong.
    fn replay_from(&mut self, begin: usize) -> Result<Option<Break>, OpenError> {
        for index in begin..self.segments.len() {
            let is_last = index + 1 == self.segments.len();
            let segment = &self.segments[index];
            let Some(header) = segment.header else {
                let why = segment.fault.clone().map_or(Damaged::Blank, Damaged::Header);
                return Ok(Some(Break { index, offset: 0, position: self.standing.position, why }));
            };
            let name = names::segment(segment.base);
            let on_disk = |error| OpenError::disk(&name, error);
            let replayed = replay(&segment.file, &header, &mut self.standing).map_err(on_disk)?;
            self.recovery.count(&replayed);
            let mut found =
                Break { index, offset: replayed.end.offset, position: replayed.end.position, why: Damaged::Batch };
            self.standing.position = replayed.end.position;
            let is_damaged = replayed.stop == Stop::Damage;
            let end = replayed.end;
            self.last = Some(replayed);
            if is_damaged {
                return Ok(Some(found));
            }
            if is_last {
                found.why = Damaged::Rest;
                return self.look_behind(&found, end).map_err(on_disk);
            }
            let next_base = self.segments[index + 1].base;
            if header.is_compacted && next_base > end.position {
                self.standing.position = next_base - 1;
            } else if next_base != end.position + 1 {
                found.why = Damaged::Short { next_base };
                return Ok(Some(found));
            }
            self.segments[index].end = Some(end);
        }
        Ok(None)
    }

    /// The last segment's end: what the state says of it, and zeros behind it.
    fn look_behind(&mut self, found: &Break, end: SegmentEnd) -> Result<Option<Break>, DiskError> {
        let segment = &self.segments[found.index];
        if end.position < self.state.durable {
            return Ok(Some(Break { why: Damaged::Short { next_base: self.state.durable + 1 }, ..found.clone() }));
        }
        let is_end_of_state = segment.base == self.state.end_base && end.offset == self.state.end_offset;
        if self.recovery.start == Start::Clean && !is_end_of_state {
            return Ok(Some(Break { why: Damaged::StaleState, ..found.clone() }));
        }
        // What stands behind the end of a closed journal was never released. It must not meet what is appended.
        let has_rest = written_end(&segment.file, end.offset)? > end.offset;
        Ok(has_rest.then(|| found.clone()))
    }

    /// A sync that fails here is as final as any: the next start on this boot is not to believe what memory shows.
    pub(super) fn note_sync(&mut self, outcome: Result<(), DiskError>) -> Result<(), DiskError> {
        if outcome.is_err() {
            self.state = State { boot: self.opening.boot, is_clean: false, ..self.state };
            self.state.note_sync_failed(&mut self.disk);
        }
        outcome
    }

    /// Makes durable what was found, begins an epoch if one is due, and writes down that the journal runs.
    fn settle(&mut self, begin: usize, change: Option<EpochChange>) -> Result<(), OpenError> {
        if self.recovery.start != Start::Clean || change.is_some() || !self.recovery.cuts.is_empty() {
            for index in begin..self.segments.len() {
                let FoundSegment { base, file, .. } = &self.segments[index];
                let (name, synced) = (names::segment(*base), file.sync());
                self.note_sync(synced).map_err(|error| OpenError::disk(&name, error))?;
            }
            let synced = self.disk.sync_names();
            self.note_sync(synced).map_err(|error| OpenError::disk("the directory", error))?;
        }
        self.recovery.epoch_change = match self.recovery.start {
            _ if change == Some(EpochChange::Repaired) => change,
            Start::PowerLost => Some(EpochChange::PowerLost),
            _ if change.is_some() => change,
            _ if self.state.epoch_due => Some(EpochChange::Repaired),
            _ => None,
        };
        let newest = self.segments.iter().filter_map(|segment| segment.header).map(|header| header.epoch).max();
        let mut epoch = self.state.epoch.max(newest.unwrap_or(0));
        if self.recovery.epoch_change.is_some() {
            epoch = (epoch + 1).max(self.opening.now_us);
        }
        self.recovery.epoch = epoch;
        self.state = State {
            epoch,
            boot: self.opening.boot,
            durable: self.standing.position,
            end_base: self.segments.last().map_or(0, |segment| segment.base),
            end_offset: 0,
            is_clean: false,
            sync_failed: false,
            epoch_due: false,
            ..self.state
        };
        match self.state.store(&mut self.disk) {
            // What is there can be read, and the state as it was fits it: nothing is appended before this is written.
            Err(DiskError::Full) => self.recovery.is_unsettled = true,
            stored => stored.map_err(|error| OpenError::disk(names::STATE, error))?,
        }
        Ok(())
    }

    /// Hands over to the log.
    fn finish(self, begin: usize) -> (Recovered<D>, Recovery) {
        let last = self.segments.len() - 1;
        let mut segments = Vec::with_capacity(self.segments.len());
        for (index, found) in self.segments.iter().enumerate() {
            let header = found.header.expect("a segment without a header was refused or set aside");
            segments.push(Segment {
                base: found.base,
                epoch: header.epoch,
                file: found.file.clone(),
                salt: header.salt(),
                end: if index == last { None } else { found.end },
                // Behind the snapshot, a segment with an index is sealed again: it may lack the snapshot.
                is_sealed: index < begin && found.is_indexed,
            });
        }
        let header = self.segments[last].header.expect("it was there before");
        let replayed = self.last.expect("the last segment is replayed");
        let is_closed = header.epoch != self.state.epoch || header.is_compacted || header.version != VERSION;
        let open = OpenSegment::new(&header, segments[last].file.clone(), replayed, is_closed);
        let Walk { disk, state, standing, recovery, .. } = self;
        let is_unsettled = recovery.is_unsettled;
        (Recovered { disk, state, standing, segments, open, is_unsettled }, recovery)
    }
}

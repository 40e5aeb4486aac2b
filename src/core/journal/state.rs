//! The state file: which journal this is, and how its last life ended.
//!
//! ```text
//!  opened --> running(boot) --closed--> clean(end)
//!                |  a sync fails --> sync failed
//!                |  killed, or the machine stops --> still running: the boot tells which
//! ```
//!
//! It is replaced as a whole: written under another name, synced, renamed, and the names synced. So there is always a
//! whole one, the old or the new.

use super::disk::{Disk, DiskError, DiskFile};
use super::names;
use super::recovery::Opening;

const MAGIC: [u8; 8] = *b"FWSTATE\n";
const VERSION: u16 = 1;
/// Bytes of the file.
pub const STATE_BYTES: usize = 96;

const IS_NEW: u16 = 0x01;
const IS_CLEAN: u16 = 0x02;
const SYNC_FAILED: u16 = 0x04;
const EPOCH_DUE: u16 = 0x08;
const FLAGS: u16 = IS_NEW | IS_CLEAN | SYNC_FAILED | EPOCH_DUE;

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Names the journal.
    pub journal: [u8; 16],
    /// The boot of the machine that last opened it.
    pub boot: [u8; 16],
    /// The epoch that records are written in.
    pub epoch: u64,
    /// A position that was synced when this was written; the last one, if it was closed, or idle for a while.
    pub durable: u64,
    /// The newest segment when this was written, whose name was durable; 0: not told.
    pub end_base: u64,
    /// The offset behind its last item, if it was closed.
    pub end_offset: u32,
    /// Whether the journal is still being made: there may be no segment yet.
    pub is_new: bool,
    /// Whether it was closed, with everything synced.
    pub is_clean: bool,
    /// Whether a sync failed in its last life.
    pub sync_failed: bool,
    /// Whether the next start has to begin an epoch, whatever else it finds.
    pub epoch_due: bool,
}

/// Why there is no state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateFault {
    /// There is no file.
    Missing,
    /// A newer release wrote it, in this version.
    Newer(u16),
    /// It is none, or its checksum does not fit.
    Damaged,
    /// It can't be read.
    Disk(DiskError),
}

impl State {
    /// Of a journal that is about to be made.
    pub(super) fn fresh(opening: &Opening) -> State {
        State { boot: opening.boot, epoch: opening.now_us.max(1), is_new: true, ..State::unknown(opening.fresh_id) }
    }

    /// Of a journal of which nothing is known but its name.
    pub(super) fn unknown(journal: [u8; 16]) -> State {
        State {
            journal,
            boot: [0; 16],
            epoch: 0,
            durable: 0,
            end_base: 0,
            end_offset: 0,
            is_new: false,
            is_clean: false,
            sync_failed: false,
            epoch_due: false,
        }
    }

    /// The file's bytes.
    pub fn encode(&self) -> [u8; STATE_BYTES] {
        let flag = |is_set: bool, flag: u16| if is_set { flag } else { 0 };
        let flags = flag(self.is_new, IS_NEW)
            | flag(self.is_clean, IS_CLEAN)
            | flag(self.sync_failed, SYNC_FAILED)
            | flag(self.epoch_due, EPOCH_DUE);
        let mut out = [0; STATE_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        out[8..10].copy_from_slice(&VERSION.to_le_bytes());
        out[10..12].copy_from_slice(&flags.to_le_bytes());
        out[16..32].copy_from_slice(&self.journal);
        out[32..48].copy_from_slice(&self.boot);
        out[48..56].copy_from_slice(&self.epoch.to_le_bytes());
        out[56..64].copy_from_slice(&self.durable.to_le_bytes());
        out[64..72].copy_from_slice(&self.end_base.to_le_bytes());
        out[72..76].copy_from_slice(&self.end_offset.to_le_bytes());
        let checksum = crc32c::crc32c(&out);
        out[12..16].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    /// The state of these bytes.
    pub fn decode(bytes: &[u8; STATE_BYTES]) -> Result<State, StateFault> {
        if bytes[..8] != MAGIC {
            return Err(StateFault::Damaged);
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version > VERSION {
            return Err(StateFault::Newer(version));
        }
        let flags = u16::from_le_bytes([bytes[10], bytes[11]]);
        let mut blank = *bytes;
        blank[12..16].fill(0);
        let is_sound = version == VERSION
            && flags & !FLAGS == 0
            && crc32c::crc32c(&blank).to_le_bytes() == bytes[12..16]
            && bytes[76..] == [0; STATE_BYTES - 76];
        if !is_sound {
            return Err(StateFault::Damaged);
        }
        let eight = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        Ok(State {
            journal: bytes[16..32].try_into().expect("sixteen bytes"),
            boot: bytes[32..48].try_into().expect("sixteen bytes"),
            epoch: eight(48),
            durable: eight(56),
            end_base: eight(64),
            end_offset: u32::from_le_bytes(bytes[72..76].try_into().expect("four bytes")),
            is_new: flags & IS_NEW != 0,
            is_clean: flags & IS_CLEAN != 0,
            sync_failed: flags & SYNC_FAILED != 0,
            epoch_due: flags & EPOCH_DUE != 0,
        })
    }

    /// Reads the file.
    pub fn load<D: Disk>(disk: &mut D) -> Result<State, StateFault> {
        let fault = |error| if error == DiskError::Missing { StateFault::Missing } else { StateFault::Disk(error) };
        let file = disk.open(names::STATE).map_err(fault)?;
        if file.bytes() != STATE_BYTES as u64 {
            return Err(StateFault::Damaged);
        }
        let mut bytes = [0; STATE_BYTES];
        file.read(0, &mut bytes).map_err(StateFault::Disk)?;
        State::decode(&bytes)
    }

    /// Writes down that a sync has failed. A disk that fails may fail at this, too; then it is written over what is
    /// there, and not synced: whoever starts while the machine runs reads it from memory, and nobody else needs it.
    pub(super) fn note_sync_failed<D: Disk>(&mut self, disk: &mut D) {
        self.sync_failed = true;
        if self.store(disk).is_err() {
            // If even this fails, the next start finds a log that was not closed; there is nothing more to be done.
            let _ = disk.open(names::STATE).and_then(|file| file.write(0, &self.encode()));
        }
    }

    /// Replaces the file; the new one is durable afterwards.
    pub fn store<D: Disk>(&self, disk: &mut D) -> Result<(), DiskError> {
        store_whole(disk, names::STATE, &self.encode())
    }
}

/// Makes a file with this content under its name, or replaces it, so that it is durable afterwards, and whole whenever
/// somebody looks.
pub fn store_whole<D: Disk>(disk: &mut D, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
    let making = names::making(name);
    let file = disk.create(&making, bytes.len() as u64)?;
    file.write(0, bytes)?;
    file.sync()?;
    disk.rename(&making, name)?;
    disk.sync_names()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_as_it_was_written_and_every_flipped_bit_shows() {
        let state = State {
            journal: [1; 16],
            boot: [2; 16],
            epoch: 3,
            durable: 4,
            end_base: 5,
            end_offset: 6,
            is_new: true,
            is_clean: false,
            sync_failed: true,
            epoch_due: false,
        };
        let bytes = state.encode();
        assert_eq!(State::decode(&bytes), Ok(state));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(State::decode(&flipped).is_err(), "bit {bit}");
        }
    }
}

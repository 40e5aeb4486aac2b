//! The journals of a configuration, opened and ready to be kept.
//!
//! ```text
//!  configuration --each journal--> directory, lock --> recovery --> kept: numbered first
//!                                     | another broker has it  '--> refused: told why, numbered behind those
//!                                     v
//!                                 no broker at all
//! ```
//!
//! A journal that can't be opened is refused, and everything else is served: its disk's trouble is nobody else's. The
//! shards refuse what it would have to do, so its thread never hears of it. It stays as it was found, and nobody has it
//! locked, so that it can be looked at and repaired beside the broker, which takes it up when it starts the next time.
//!
//! Two mistakes of whoever starts a broker still end the start. What a configuration says wrong is seen before anything
//! is opened. And where another broker has the directory, one of the two should not be there: going on, it would look
//! well and refuse what the other one takes. Somebody is there to see it at once, as no such thing happens to a broker
//! that was left alone.

use super::upkeep;
use crate::config::{Config, Journal, Store, Sync};
use crate::store::{Append, Directory, DirectoryError, Medium, Memory, boot_id, random_id};
use fanwire_core::journal::keeper::SyncMode;
use fanwire_core::journal::plan::{Plan, Planned};
use fanwire_core::journal::{Log, LogSettings, OpenError, Opening, Recovery, indexing};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Why no broker can start with these journals.
#[derive(Debug, thiserror::Error)]
pub enum OpenFailure {
    /// Another process has the directory of one.
    #[error("journal {name:?} can't be opened: {reason}")]
    Locked {
        /// The journal.
        name: String,
        /// Who has it.
        reason: String,
    },
    /// The machine does not say what every journal needs to know of it.
    #[error("no journal can be opened: {0}")]
    Machine(#[from] io::Error),
}

/// All journals of a broker.
pub struct Journals {
    pub(super) opened: Vec<Opened>,
    refused: Vec<Journal>,
}

/// One of them.
pub(super) struct Opened {
    pub(super) journal: Journal,
    pub(super) medium: Medium,
    pub(super) log: Log<Medium>,
}

/// Why one journal can't be opened.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Recovery(#[from] OpenError),
}

impl Journals {
    /// Opens the journals that a configuration names, and recovers what their last life has left.
    pub fn open(config: &Config) -> Result<Journals, OpenFailure> {
        let mut journals = Journals { opened: Vec::new(), refused: Vec::new() };
        for journal in &config.journals {
            let opening = Opening { now_us: now_us(), boot: boot_id()?, fresh_id: random_id()?, repair: false };
            match open(config, journal, &opening) {
                Ok(opened) => journals.opened.push(opened),
                Err(Refusal::Directory(DirectoryError::Locked(reason))) => {
                    return Err(OpenFailure::Locked { name: journal.name.clone(), reason });
                }
                Err(refusal) => {
                    tell_refused(journal, &config.directory_of(journal), &refusal);
                    journals.refused.push(journal.clone());
                }
            }
        }
        Ok(journals)
    }

    /// Where each that is kept has its files.
    pub fn media(&self) -> Vec<Medium> {
        self.opened.iter().map(|opened| opened.medium.clone()).collect()
    }

    /// Descriptors that they may need at one time.
    pub fn descriptors_max(&self) -> u64 {
        let each = |opened: &Opened| upkeep::descriptors_max(&opened.journal, &opened.log.shared_catalog());
        self.opened.iter().map(each).fold(0, u64::saturating_add)
    }

    /// The names of those that are refused.
    pub fn refused(&self) -> Vec<String> {
        self.refused.iter().map(|journal| journal.name.clone()).collect()
    }

    /// What the shards have to know.
    pub fn plan(&self) -> Plan {
        let planned = |journal: &Journal, epoch, is_refused| Planned {
            filters: journal.filters.clone(),
            is_volatile: journal.store == Store::Memory,
            epoch,
            is_refused,
        };
        let opened = self.opened.iter().map(|opened| planned(&opened.journal, opened.log.epoch(), false));
        let refused = self.refused.iter().map(|journal| planned(journal, 0, true));
        Plan::new(opened.chain(refused).collect())
    }
}

fn open(config: &Config, journal: &Journal, opening: &Opening) -> Result<Opened, Refusal> {
    let medium = match journal.store {
        Store::Memory => Medium::Memory(Memory::new(Append::default())),
        Store::Disk => Medium::Directory(Directory::open(&config.directory_of(journal), Append::default())?),
    };
    let settings = LogSettings {
        segment_bytes: journal.segment_bytes,
        topics_max: journal.topics_max,
        is_volatile: journal.store == Store::Memory,
        seed: RandomState::new().hash_one("journal"),
    };
    let (log, recovery) = Log::open(medium.clone(), settings, indexing(), opening)?;
    tell(journal, &recovery);
    Ok(Opened { journal: journal.clone(), medium, log })
}

fn tell_refused(journal: &Journal, directory: &Path, refusal: &Refusal) {
    let (reason, advice) = match refusal {
        Refusal::Recovery(error) => (format!("{}: {}", error.file, error.fault), advice(error, directory)),
        Refusal::Directory(error) => (error.to_string(), "see to the directory and its disk".to_owned()),
    };
    tracing::error!(
        journal = journal.name,
        reason,
        advice = format!("{advice}; then start the broker anew"),
        "the journal is refused: publishes to its topics fail, and it has no history; everything else is served"
    );
}

fn advice(error: &OpenError, directory: &Path) -> String {
    let (remedy, directory) = (error.fault.remedy(), directory.display());
    if !error.fault.is_repairable() {
        return remedy.to_owned();
    }
    format!(
        "{remedy}; look closer with: fanwire journal verify {directory}; repair with: fanwire journal verify --repair \
         {directory}"
    )
}

fn tell(journal: &Journal, recovery: &Recovery) {
    let Recovery { records, bytes, segments, epoch, .. } = *recovery;
    tracing::info!(journal = journal.name, records, bytes, segments, epoch, "journal open");
    for cut in &recovery.cuts {
        tracing::warn!(journal = journal.name, ?cut, "what was not whole at the journal's end was cut and kept aside");
    }
    if let Some(change) = recovery.epoch_change {
        tracing::warn!(journal = journal.name, ?change, epoch, "a new epoch begins: clients that resume start over");
    }
    for note in &recovery.notes {
        tracing::warn!(journal = journal.name, "{note}");
    }
}

/// How a journal's records are synced.
pub(super) fn sync_mode(journal: &Journal) -> SyncMode {
    match journal.sync {
        _ if journal.store == Store::Memory => SyncMode::Demand,
        Sync::Demand => SyncMode::Demand,
        Sync::Every(period) => SyncMode::Every(u64::try_from(period.as_micros()).unwrap_or(u64::MAX)),
        Sync::Release => SyncMode::Release,
    }
}

/// The wall clock, in microseconds since 1970-01-01 UTC.
pub(super) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

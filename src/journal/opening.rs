//! The journals of a configuration, opened and ready to be kept.

use super::upkeep;
use crate::config::{Config, Journal, Store, Sync};
use crate::store::{Append, Directory, Medium, Memory, boot_id, random_id};
use fanwire_core::journal::keeper::SyncMode;
use fanwire_core::journal::plan::{Plan, Planned};
use fanwire_core::journal::{Log, LogSettings, Opening, Recovery, indexing};
use std::hash::{BuildHasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

/// Why a journal can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("journal {name:?} can't be opened: {reason}")]
pub struct OpenFailure {
    name: String,
    reason: String,
}

/// All journals of a broker.
pub struct Journals {
    pub(super) opened: Vec<Opened>,
}

/// One of them.
pub(super) struct Opened {
    pub(super) journal: Journal,
    pub(super) medium: Medium,
    pub(super) log: Log<Medium>,
}

impl Journals {
    /// Opens the journals that a configuration names, and recovers what their last life has left.
    pub fn open(config: &Config) -> Result<Journals, OpenFailure> {
        let opened = config.journals.iter().map(|journal| open(config, journal)).collect::<Result<_, _>>()?;
        Ok(Journals { opened })
    }

    /// Where each keeps its files.
    pub fn media(&self) -> Vec<Medium> {
        self.opened.iter().map(|opened| opened.medium.clone()).collect()
    }

    /// Descriptors that they may need at one time.
    pub fn descriptors_max(&self) -> u64 {
        let each = |opened: &Opened| upkeep::descriptors_max(&opened.journal, &opened.log.shared_catalog());
        self.opened.iter().map(each).fold(0, u64::saturating_add)
    }

    /// What the shards have to know.
    pub fn plan(&self) -> Plan {
        let planned = self.opened.iter().map(|opened| Planned {
            filters: opened.journal.filters.clone(),
            is_volatile: opened.journal.store == Store::Memory,
            epoch: opened.log.epoch(),
        });
        Plan::new(planned.collect())
    }
}

fn open(config: &Config, journal: &Journal) -> Result<Opened, OpenFailure> {
    let failed = |reason: String| OpenFailure { name: journal.name.clone(), reason };
    let medium = match journal.store {
        Store::Memory => Medium::Memory(Memory::new(Append::default())),
        Store::Disk => {
            let path = config.directory_of(journal);
            let directory = Directory::open(&path, Append::default());
            Medium::Directory(directory.map_err(|error| failed(error.to_string()))?)
        }
    };
    let settings = LogSettings {
        segment_bytes: journal.segment_bytes,
        topics_max: journal.topics_max,
        is_volatile: journal.store == Store::Memory,
        seed: RandomState::new().hash_one("journal"),
    };
    let machine = |error: std::io::Error| failed(error.to_string());
    let opening = Opening {
        now_us: now_us(),
        boot: boot_id().map_err(machine)?,
        fresh_id: random_id().map_err(machine)?,
        repair: false,
        is_uncached: false,
    };
    let (log, recovery) =
        Log::open(medium.clone(), settings, indexing(), &opening).map_err(|error| failed(error.to_string()))?;
    tell(journal, &recovery);
    Ok(Opened { journal: journal.clone(), medium, log })
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

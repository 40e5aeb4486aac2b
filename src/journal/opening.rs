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
//! A journal may have grown beyond what the open-file limit allows, since each of its segments is a file. Then the
//! largest ones are refused unopened, until the others can be kept.
//!
//! Two mistakes of whoever starts a broker still end the start. What a configuration says wrong is seen before anything
//! is opened. And where another broker has the directory, one of the two should not be there: going on, it would look
//! well and refuse what the other one takes. Somebody is there to see it at once, as no such thing happens to a broker
//! that was left alone.

use super::upkeep::descriptors_max;
use crate::config::{Config, Journal, Store, Sync};
use crate::escape;
use crate::store::{Append, Directory, DirectoryError, Medium, Memory, opening};
use fanwire_core::journal::disk::Disk;
use fanwire_core::journal::keeper::SyncMode;
use fanwire_core::journal::names::{self, Kind};
use fanwire_core::journal::plan::{Plan, Planned};
use fanwire_core::journal::{Log, LogSettings, OpenError, Opening, Recovery, indexing};
use fanwire_gateway::stats::JournalFacts;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;

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
    #[error(transparent)]
    Overgrown(#[from] Overgrown),
}

/// A journal that has more segments than files may be open.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error(
    "with {segments} segments it may need {needed} open files, and with those of the journals that are not larger \
     {total}, but {room} of the open-file limit of {limit} are left for all of them"
)]
struct Overgrown {
    segments: u64,
    needed: u64,
    /// With those that are not refused before it.
    total: u64,
    room: u64,
    limit: u64,
}

/// The open files that journals may have.
#[derive(Debug, Clone, Copy)]
pub struct OpenFiles {
    /// All together.
    pub for_journals: u64,
    /// The process's limit.
    pub limit: u64,
}

impl Journals {
    /// Opens the journals that a configuration names, and recovers what their last life has left.
    pub fn open(config: &Config, open_files: OpenFiles) -> Result<Journals, OpenFailure> {
        let mut journals = Journals { opened: Vec::new(), refused: Vec::new() };
        for (journal, overgrown) in config.journals.iter().zip(overgrown(config, open_files)) {
            let opened = match overgrown {
                Some(overgrown) => Err(overgrown.into()),
                None => open(config, journal, &opening(false)?),
            };
            match opened {
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
        let each =
            |opened: &Opened| descriptors_max(&opened.journal, opened.log.shared_catalog().segments.len() as u64);
        self.opened.iter().map(each).fold(0, u64::saturating_add)
    }

    /// The names of those that are refused.
    pub fn refused(&self) -> Vec<String> {
        self.refused.iter().map(|journal| journal.name.clone()).collect()
    }

    /// What people are told of each, by their numbers.
    pub fn facts(&self) -> Vec<JournalFacts> {
        let opened = self.opened.iter().map(|opened| facts(&opened.journal, false));
        opened.chain(self.refused.iter().map(|journal| facts(journal, true))).collect()
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

/// Which journals have grown too much: the largest of those that have segments, until the others fit.
fn overgrown(config: &Config, OpenFiles { for_journals, limit }: OpenFiles) -> Vec<Option<Overgrown>> {
    let judge = |journal: &Journal| {
        let segments = if journal.store == Store::Disk { segments_in(&config.directory_of(journal)) } else { 0 };
        Overgrown { segments, needed: descriptors_max(journal, segments), total: 0, room: for_journals, limit }
    };
    let all: Vec<Overgrown> = config.journals.iter().map(judge).collect();
    let mut total = all.iter().map(|journal| journal.needed).fold(0, u64::saturating_add);
    let mut largest: Vec<usize> = (0..all.len()).filter(|index| all[*index].segments > 0).collect();
    largest.sort_by_key(|index| std::cmp::Reverse(all[*index].needed));
    let mut refused = vec![None; all.len()];
    for index in largest {
        if total > for_journals {
            refused[index] = Some(Overgrown { total, ..all[index] });
            total -= all[index].needed;
        }
    }
    refused
}

/// Segments of a journal that is not opened; what can't be listed is told when it is.
fn segments_in(path: &Path) -> u64 {
    let names = Directory::inspect(path).and_then(|mut directory| directory.list()).unwrap_or_default();
    names.iter().filter(|name| matches!(names::kind(name), Kind::Segment(_))).count() as u64
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

fn facts(journal: &Journal, is_refused: bool) -> JournalFacts {
    JournalFacts {
        name: journal.name.clone(),
        filters: journal.filters.clone(),
        is_volatile: journal.store == Store::Memory,
        bytes_max: journal.max_bytes,
        is_refused,
    }
}

/// What to do about a journal that has too many segments.
const MORE_FILES: &str = "raise the open-file limit (ulimit -n, or LimitNOFILE= of a service); with that, give the \
                          journal a smaller max_bytes or larger segments, if the limit has to come down again";

fn tell_refused(journal: &Journal, directory: &Path, refusal: &Refusal) {
    let (reason, advice) = match refusal {
        Refusal::Recovery(error) => (format!("{}: {}", error.file, error.fault), advice(error, directory)),
        Refusal::Directory(error) => (error.to_string(), "see to the directory and its disk".to_owned()),
        Refusal::Overgrown(error) => (error.to_string(), MORE_FILES.to_owned()),
    };
    tracing::error!(
        journal = journal.name,
        reason,
        advice = format!("{advice}; then start the broker anew"),
        "the journal is refused: publishes to its topics fail, and it has no history; everything else is served"
    );
}

fn advice(error: &OpenError, directory: &Path) -> String {
    let (remedy, directory) = (error.fault.remedy(), escape::typed(&directory.display().to_string()));
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
    if recovery.is_unsettled {
        tracing::error!(journal = journal.name, "the disk is full: publishes are refused until there is room again");
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

#[cfg(test)]
mod tests {
    use super::*;
    use fanwire_core::journal::Fault;

    #[test]
    fn what_is_advised_names_the_directory_as_it_is_typed() {
        let error = OpenError { file: names::STATE.to_owned(), fault: Fault::StateDamaged };
        let advised = advice(&error, Path::new("/srv/my journals/events"));
        assert!(advised.ends_with("fanwire journal verify --repair '/srv/my journals/events'"), "{advised}");
    }
}

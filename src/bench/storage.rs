//! How each broker is told to keep what it acknowledges, all with the same durability, which is printed.
//!
//! | | `Lazy`: survives the process | `Always`: survives the machine |
//! |---|---|---|
//! | Fanwire | ack level `journaled`; syncs as it comes (every 100 ms) | ack level `durable` |
//! | NATS | JetStream, file storage; syncs as it comes (every 2 minutes) | `sync_interval: always`, since 2.10 |
//! | Redis | streams, append-only file, `appendfsync everysec` | `appendfsync always` |
//!
//! Redis answers once the turn's commands are written to its file. NATS writes before it answers. Rewrites of Redis'
//! file are off: a fork in the middle of a run would be measured, or not, as it happens.

use super::adapter::Target;
use super::brokers::Setup;
use super::error::BenchError;
use super::ground::Ground;
use super::program;
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

/// What is kept on a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// The directory in which each broker gets one of its own.
    pub data: PathBuf,
    /// The topics that Fanwire keeps, as a filter.
    pub filter: &'static str,
    /// When the others sync; Fanwire is asked for it message by message.
    pub syncing: Syncing,
    /// What may be written at the most, in bytes.
    pub space_bytes: u64,
}

/// When a broker syncs that is not asked for it message by message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syncing {
    /// Now and then: what was acknowledged survives the process and not the machine.
    Lazy,
    /// Before each acknowledgement.
    Always,
}

/// What that comes to for one broker.
#[derive(Debug, Default)]
pub(super) struct Storage {
    /// Words for its command line.
    pub(super) arguments: Vec<OsString>,
    /// Text for its settings.
    pub(super) text: String,
    /// What people are told.
    pub(super) told: String,
    /// Where the data go.
    pub(super) directory: Option<PathBuf>,
}

impl Storage {
    /// For this broker on this ground; nothing without a store.
    pub(super) fn of(target: Target, setup: &Setup, ground: Option<&Ground>) -> Result<Storage, BenchError> {
        let (Some(store), Some(ground)) = (&setup.store, ground) else { return Ok(Storage::default()) };
        let directory = ground.path().join("data");
        let storage = match target {
            Target::Fanwire | Target::WebSocket | Target::Sse => fanwire(store, directory),
            Target::Nats => nats(store, directory)?,
            Target::Redis => redis(store, directory),
            Target::Floor | Target::Mqtt => Storage::default(),
        };
        if let Some(directory) = &storage.directory {
            // The second one on the same ground finds it.
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        Ok(storage)
    }
}

fn fanwire(store: &Store, directory: PathBuf) -> Storage {
    let journal = format!("bench={}", store.filter);
    let arguments: Vec<OsString> =
        vec!["--data".into(), directory.clone().into(), "--journal".into(), journal.clone().into()];
    let told = format!(", --journal '{journal}', which syncs when asked and as it comes");
    Storage { arguments, told, directory: Some(directory), ..Storage::default() }
}

fn nats(store: &Store, directory: PathBuf) -> Result<Storage, BenchError> {
    let program = "nats-server";
    let version = program::version(&program::find(program, program)?, "-v");
    let knows_always = program::major_minor(&version).is_some_and(|version| version >= (2, 10));
    let (interval, told) = match store.syncing {
        Syncing::Lazy => ("", "which syncs as it comes (every 2 minutes)"),
        Syncing::Always if knows_always => (", sync_interval: always", "sync_interval: always"),
        Syncing::Always => {
            let reason = format!("{version} has no \"sync_interval: always\", which came with 2.10");
            return Err(BenchError::Unfit { program, reason });
        }
    };
    let text = format!("jetstream {{ store_dir: {directory:?}, max_memory_store: 64MB{interval} }}\n");
    let told = format!(", JetStream with file storage, {told}");
    Ok(Storage { text, told, directory: Some(directory), ..Storage::default() })
}

fn redis(store: &Store, directory: PathBuf) -> Storage {
    let when = match store.syncing {
        Syncing::Lazy => "everysec",
        Syncing::Always => "always",
    };
    let text = format!("--appendonly yes --appendfsync {when} --auto-aof-rewrite-percentage 0");
    Storage { text, told: ", streams".to_owned(), directory: Some(directory), ..Storage::default() }
}

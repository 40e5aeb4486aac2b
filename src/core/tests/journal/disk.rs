//! A disk that keeps what was synced, and of the rest whatever chance leaves.
//!
//! ```text
//!  file:  synced bytes | versions of each 512-byte sector written since        sync: the newest becomes the synced one
//!  names: synced names | renames and removals since, in order                  sync_names: all of them happen for good
//!
//!  kill: the process ends, everything written stays      power loss: any subset of unsynced sectors and names stays
//! ```
//!
//! Operations are counted, and a plan says which of them does not go as it should. After a crash every operation
//! fails, until the disk is started again.
#![expect(clippy::disallowed_types, reason = "threads of a real journal share one disk; so do its stand-ins here")]

use crate::chance::Chance;
use fanwire_core::journal::disk::{Disk, DiskError, DiskFile};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

const SECTOR_BYTES: usize = 512;

/// What happens at an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// The process or machine stops in the midst of it.
    Crash,
    /// There is no room, this once; of a write, a part is done. A sync needs none.
    Full,
    /// It fails.
    Failure,
}

#[derive(Debug, Clone)]
struct Inode {
    synced: Vec<u8>,
    /// Whether the file's length is synced.
    is_there: bool,
    now: Vec<u8>,
    /// What was written since the last sync, by sector, oldest first.
    versions: BTreeMap<usize, Vec<Vec<u8>>>,
}

#[derive(Debug, Clone)]
enum NameChange {
    Put(String, usize),
    Rename(String, String),
    Remove(String),
}

/// What can be looked at and put back as a whole.
#[derive(Debug, Clone)]
pub(crate) struct World {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    changes: Vec<NameChange>,
    /// Operations so far.
    pub(crate) operations: u64,
    plans: BTreeMap<u64, Plan>,
    is_stopped: bool,
    /// Whether a sync of the names has failed in this life.
    are_names_lost: bool,
    chance: Chance,
}

/// The directory.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedDisk(Arc<Mutex<World>>);

/// A file of it.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedFile {
    world: Arc<Mutex<World>>,
    inode: usize,
    bytes: u64,
}

impl World {
    fn apply(names: &mut BTreeMap<String, usize>, change: &NameChange) {
        match change {
            NameChange::Put(name, inode) => {
                names.insert(name.clone(), *inode);
            }
            NameChange::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
            NameChange::Remove(name) => {
                names.remove(name);
            }
        }
    }

    fn change(&mut self, change: NameChange) {
        World::apply(&mut self.names, &change);
        self.changes.push(change);
    }

    /// Counts an operation that changes something, and says what goes wrong with it.
    fn begin(&mut self) -> Result<Option<Plan>, DiskError> {
        if self.is_stopped {
            return Err(stopped());
        }
        self.operations += 1;
        let plan = self.plans.get(&self.operations).copied();
        self.is_stopped = plan == Some(Plan::Crash);
        Ok(plan)
    }

    /// An operation that is done or not: a crash may come just before or just after it.
    fn whole(&mut self, run: impl FnOnce(&mut World)) -> Result<(), DiskError> {
        match self.begin()? {
            None => run(self),
            Some(Plan::Crash) => {
                if self.chance.one_in(2) {
                    run(self);
                }
                return Err(stopped());
            }
            Some(Plan::Full) => return Err(DiskError::Full),
            Some(Plan::Failure) => return Err(DiskError::Failed("an I/O error, as planned".to_owned())),
        }
        Ok(())
    }

    fn sync(&mut self, run: impl FnOnce(&mut World)) -> Result<(), DiskError> {
        let next = self.operations + 1;
        if self.plans.get(&next) == Some(&Plan::Full) {
            self.plans.remove(&next);
        }
        self.whole(run)
    }

    fn write(&mut self, inode: usize, offset: usize, bytes: &[u8]) {
        let inode = &mut self.inodes[inode];
        inode.now[offset..offset + bytes.len()].copy_from_slice(bytes);
        if bytes.is_empty() {
            return;
        }
        for sector in offset / SECTOR_BYTES..=(offset + bytes.len() - 1) / SECTOR_BYTES {
            let begin = sector * SECTOR_BYTES;
            let end = (begin + SECTOR_BYTES).min(inode.now.len());
            inode.versions.entry(sector).or_default().push(inode.now[begin..end].to_vec());
        }
    }

    /// Of what was written since the last sync, any of it is there. A kind disk has something of each sector.
    fn lose_unsynced(&mut self, inode: usize, is_kind: bool) {
        let World { inodes, chance, .. } = self;
        let inode = &mut inodes[inode];
        for (sector, versions) in std::mem::take(&mut inode.versions) {
            let begin = sector * SECTOR_BYTES;
            let count = versions.len() as u64;
            let pick = if is_kind { chance.below(count) + 1 } else { chance.below(count + 1) };
            if pick > 0 {
                let version = &versions[pick as usize - 1];
                inode.synced[begin..begin + version.len()].copy_from_slice(version);
            }
        }
        inode.now.clone_from(&inode.synced);
        inode.is_there = true;
    }

    /// Memory holds nothing more of a file than the disk does.
    fn forget(&mut self, inode: usize) {
        let is_kind = self.chance.one_in(4);
        self.lose_unsynced(inode, is_kind);
    }

    fn lose_power(&mut self) {
        let mut names = self.synced_names.clone();
        for change in &self.changes {
            if self.chance.one_in(2) {
                World::apply(&mut names, change);
            }
        }
        let is_kind = self.chance.one_in(4);
        for inode in 0..self.inodes.len() {
            if !self.inodes[inode].is_there && !self.chance.one_in(2) {
                self.inodes[inode] =
                    Inode { synced: Vec::new(), is_there: true, now: Vec::new(), versions: BTreeMap::new() };
            }
            self.lose_unsynced(inode, is_kind);
        }
        self.synced_names.clone_from(&names);
        self.names = names;
        self.changes.clear();
    }
}

impl SimulatedDisk {
    pub(crate) fn new(seed: u64) -> SimulatedDisk {
        SimulatedDisk(Arc::new(Mutex::new(World {
            inodes: Vec::new(),
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            changes: Vec::new(),
            operations: 0,
            plans: BTreeMap::new(),
            is_stopped: false,
            are_names_lost: false,
            chance: Chance(seed),
        })))
    }

    /// Another disk that is the same so far.
    pub(crate) fn copy(&self) -> SimulatedDisk {
        SimulatedDisk(Arc::new(Mutex::new(self.world().clone())))
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().expect("nobody panics with the disk in hand")
    }

    pub(crate) fn operations(&self) -> u64 {
        self.world().operations
    }

    /// What shall happen at the operation of this number, counted from the first one ever.
    pub(crate) fn plan(&self, operation: u64, plan: Plan) {
        self.world().plans.insert(operation, plan);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.world().is_stopped
    }

    /// The process ended, and all that it had written is there.
    pub(crate) fn restart_process(&self) {
        let mut world = self.world();
        (world.is_stopped, world.are_names_lost) = (false, false);
    }

    /// The machine stopped.
    pub(crate) fn restart_machine(&self) {
        let mut world = self.world();
        world.lose_power();
        (world.is_stopped, world.are_names_lost) = (false, false);
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.world().names.keys().cloned().collect()
    }

    pub(crate) fn content(&self, name: &str) -> Vec<u8> {
        let world = self.world();
        world.inodes[world.names[name]].now.clone()
    }

    /// Makes a file, or replaces it, behind the journal's back.
    pub(crate) fn put(&self, name: &str, content: Vec<u8>) {
        let mut world = self.world();
        let inode = Inode { synced: content.clone(), is_there: true, now: content, versions: BTreeMap::new() };
        world.inodes.push(inode);
        let inode = world.inodes.len() - 1;
        world.names.insert(name.to_owned(), inode);
        world.synced_names.insert(name.to_owned(), inode);
    }

    /// Removes a file behind the journal's back.
    pub(crate) fn take(&self, name: &str) -> Vec<u8> {
        let content = self.content(name);
        let mut world = self.world();
        world.names.remove(name);
        world.synced_names.remove(name);
        content
    }

    fn file(&self, inode: usize) -> SimulatedFile {
        let bytes = self.world().inodes[inode].now.len() as u64;
        SimulatedFile { world: self.0.clone(), inode, bytes }
    }
}

fn stopped() -> DiskError {
    DiskError::Failed("everything has stopped".to_owned())
}

impl Disk for SimulatedDisk {
    type File = SimulatedFile;

    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        if self.is_stopped() { Err(stopped()) } else { Ok(self.names()) }
    }

    fn create(&mut self, name: &str, bytes: u64) -> Result<SimulatedFile, DiskError> {
        let mut made = 0;
        self.world().whole(|world| {
            let zeros = vec![0; bytes as usize];
            let inode = Inode { synced: zeros.clone(), is_there: false, now: zeros, versions: BTreeMap::new() };
            world.inodes.push(inode);
            made = world.inodes.len() - 1;
            world.change(NameChange::Put(name.to_owned(), made));
        })?;
        Ok(self.file(made))
    }

    fn open(&mut self, name: &str) -> Result<SimulatedFile, DiskError> {
        if self.is_stopped() {
            return Err(stopped());
        }
        let inode = self.world().names.get(name).copied().ok_or(DiskError::Missing)?;
        Ok(self.file(inode))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let mut world = self.world();
        if !world.names.contains_key(from) && !world.is_stopped {
            return Err(DiskError::Missing);
        }
        world.whole(|world| world.change(NameChange::Rename(from.to_owned(), to.to_owned())))
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        let mut world = self.world();
        if !world.names.contains_key(name) && !world.is_stopped {
            return Err(DiskError::Missing);
        }
        world.whole(|world| world.change(NameChange::Remove(name.to_owned())))
    }

    fn sync_names(&mut self) -> Result<(), DiskError> {
        let mut world = self.world();
        if world.are_names_lost {
            return Err(DiskError::NamesUnsynced("they are lost already".to_owned()));
        }
        let synced = world.sync(|world| {
            world.synced_names = world.names.clone();
            world.changes.clear();
        });
        world.are_names_lost = synced.is_err() && !world.is_stopped;
        synced.map_err(|error| DiskError::NamesUnsynced(error.to_string()))
    }

    fn forget(&mut self, names: &[String]) -> Result<(), DiskError> {
        self.world().whole(|world| {
            for name in names {
                world.forget(world.names[name]);
            }
        })
    }
}

impl DiskFile for SimulatedFile {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        let world = self.world.lock().expect("nobody panics with the disk in hand");
        if world.is_stopped {
            return Err(stopped());
        }
        let offset = offset as usize;
        buffer.copy_from_slice(&world.inodes[self.inode].now[offset..offset + buffer.len()]);
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut world = self.world.lock().expect("nobody panics with the disk in hand");
        let plan = world.begin()?;
        let part = if plan.is_none() { bytes.len() as u64 } else { world.chance.below(bytes.len() as u64 + 1) };
        world.write(self.inode, offset as usize, &bytes[..part as usize]);
        match plan {
            None => Ok(()),
            Some(Plan::Crash) => Err(stopped()),
            Some(Plan::Full) => Err(DiskError::Full),
            Some(Plan::Failure) => Err(DiskError::Failed("an I/O error, as planned".to_owned())),
        }
    }

    fn sync(&self) -> Result<(), DiskError> {
        let mut world = self.world.lock().expect("nobody panics with the disk in hand");
        world.sync(|world| {
            let inode = &mut world.inodes[self.inode];
            inode.synced.clone_from(&inode.now);
            inode.is_there = true;
            inode.versions.clear();
        })
    }
}

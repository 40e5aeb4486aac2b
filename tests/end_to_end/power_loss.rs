//! The power goes in the middle of writing. What the store called synced is there afterwards.

use crate::end_to_end::private_disk::{PrivateDisk, on_boot};
use crate::end_to_end::process::eventually;
use fanwire::store::{Append, Directory, File, SyncTask, Syncer};
use fanwire_core::journal::disk::{Disk, DiskError, DiskFile};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const CYCLES: u64 = 24;
const DISK_BYTES: u64 = 64 << 20;
const SEGMENT_BYTES: u64 = 256 << 10;

/// What the store has promised, told by its calls that returned without an error.
#[derive(Default)]
struct Promise {
    /// Names that were synced, oldest first.
    names: Mutex<Vec<String>>,
    /// Bytes of all segments together that were synced.
    bytes: AtomicU64,
}

/// The byte that belongs at a place of a cycle's stream; never zero.
fn byte_at(cycle: u64, place: u64) -> u8 {
    let mixed = (place ^ cycle.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xD129_0D3B_35C4_59A5);
    u8::try_from(mixed >> 57).expect("seven bits") | 1
}

/// Syncs a stream up to a place: the segment that it ends in, and those that it filled meanwhile.
struct UpTo {
    files: Vec<File>,
    place: u64,
}

impl SyncTask for UpTo {
    fn join(&mut self, newer: Self) {
        self.files.extend(newer.files);
        self.place = newer.place;
    }

    fn run(&mut self) -> Result<(), DiskError> {
        self.files.iter().try_for_each(File::sync)
    }
}

/// Writes a stream over one segment after the other, as a journal does, until the disk fails.
fn write_until_it_fails(directory: &mut Directory, cycle: u64, promise: &Arc<Promise>) -> Result<(), DiskError> {
    let told = Arc::clone(promise);
    let syncer = Syncer::start("sync", move |task: UpTo, outcome, _| {
        if outcome.is_ok() {
            told.bytes.store(task.place, Ordering::Relaxed);
        }
    });
    let syncer = syncer.expect("starts");
    let mut place = 0;
    loop {
        let name = format!("{place:020}.segment");
        let file = directory.create("next.prepared", SEGMENT_BYTES)?;
        file.sync()?;
        directory.rename("next.prepared", &name)?;
        directory.sync_names()?;
        promise.names.lock().expect("sound").push(name);
        let segment_end = place + SEGMENT_BYTES;
        while place < segment_end {
            let batch_bytes = (64 + u64::from(byte_at(cycle, !place)) * 97).min(segment_end - place);
            let batch: Vec<u8> = (place..place + batch_bytes).map(|place| byte_at(cycle, place)).collect();
            file.write(place % SEGMENT_BYTES, &batch)?;
            place += batch_bytes;
            syncer.request(UpTo { files: vec![file.clone()], place });
        }
    }
}

/// Looks at what is there now: every promise is kept, and beyond them there is nothing but what was written, or zeros.
fn check(directory: &mut Directory, cycle: u64, promise: &Promise) {
    let names = directory.list().expect("lists");
    let promised = promise.bytes.load(Ordering::Relaxed);
    for (name, begin) in
        promise.names.lock().expect("sound").iter().zip((0..).step_by(usize::try_from(SEGMENT_BYTES).expect("small")))
    {
        assert!(names.contains(name), "cycle {cycle}: {name} was synced and is gone; there are {names:?}");
        let file = directory.open(name).expect("opens");
        assert_eq!(file.bytes(), SEGMENT_BYTES, "cycle {cycle}: {name}");
        let mut bytes = vec![0; usize::try_from(SEGMENT_BYTES).expect("small")];
        file.read(0, &mut bytes).expect("reads");
        for (place, byte) in (begin..).zip(bytes) {
            let is_written = byte == byte_at(cycle, place);
            assert!(is_written || place >= promised, "cycle {cycle}: byte {place} is {byte}, of {promised} synced");
            assert!(is_written || byte == 0, "cycle {cycle}: byte {place} is {byte}, and nobody wrote that");
        }
    }
}

/// Anywhere from the first call of all to some segments later. No promise depends on where.
fn wait_for_the_moment(cycle: u64, promise: &Promise) {
    let bytes = cycle.saturating_sub(CYCLES / 4) * SEGMENT_BYTES / 8;
    eventually("something to lose", || (promise.bytes.load(Ordering::Relaxed) >= bytes).then_some(()));
    std::thread::sleep(Duration::from_micros(cycle * 997 % 5_000));
}

fn lose_power_in(append: Append, name: &str) {
    let disk = match PrivateDisk::new(name, DISK_BYTES) {
        Ok(disk) => disk,
        Err(why) => return println!("skipped: {why}"),
    };
    let mut promised = 0;
    for cycle in 0..CYCLES {
        let path = disk.path().join(format!("journal-{cycle}"));
        let promise = Arc::new(Promise::default());
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| write_until_it_fails(&mut Directory::open(&path, append)?, cycle, &promise));
            wait_for_the_moment(cycle, &promise);
            disk.lose_power();
            let ended = writer.join().expect("the writer fails, it does not panic");
            assert!(ended.is_err(), "without power every call fails");
        });
        disk.restore();
        if path.exists() {
            check(&mut Directory::open(&path, append).expect("opens"), cycle, &promise);
            std::fs::remove_dir_all(&path).expect("removes");
        } else {
            let names = promise.names.lock().expect("sound");
            assert!(names.is_empty(), "cycle {cycle}: {names:?} were synced, and even their directory is gone");
        }
        promised += promise.bytes.load(Ordering::Relaxed);
    }
    println!("{CYCLES} power losses, {promised} bytes promised and kept");
    assert!(promised > 0, "the power always went before anything was synced: this has tested nothing");
}

#[test]
fn what_was_written_and_synced_survives_the_loss_of_power() {
    lose_power_in(Append::Write, "write");
}

#[test]
fn what_was_stored_and_synced_survives_the_loss_of_power() {
    lose_power_in(Append::Map, "map");
}

#[test]
fn what_was_reserved_is_written_and_synced_on_a_full_disk() {
    for append in [Append::Write, Append::Map] {
        let disk = match PrivateDisk::new(&format!("full-{append:?}"), DISK_BYTES) {
            Ok(disk) => disk,
            Err(why) => return println!("skipped: {why}"),
        };
        let mut directory = Directory::open(&disk.path().join("journal"), append).expect("opens");
        let file = directory.create("a", SEGMENT_BYTES).expect("is made");
        file.sync().expect("syncs");
        let full = (1_u64..).find_map(|number| directory.create(&number.to_string(), 8 << 20).err());
        assert_eq!(full, Some(DiskError::Full));
        let rest = std::fs::write(disk.path().join("rest"), vec![1; 16 << 20]);
        assert!(rest.is_err(), "whatever is left is taken");
        for place in (0..SEGMENT_BYTES).step_by(1_000) {
            let batch_bytes = usize::try_from(1_000.min(SEGMENT_BYTES - place)).expect("small");
            file.write(place, &vec![7; batch_bytes]).expect("its room is its own");
        }
        file.sync().expect("syncs");
        disk.lose_power();
        drop((directory, file));
        disk.restore();
        let bytes = std::fs::read(disk.path().join("journal/a")).expect("reads");
        assert!(bytes.len() as u64 == SEGMENT_BYTES && bytes.iter().all(|byte| *byte == 7));
    }
}

#[test]
fn a_broker_can_be_made_to_see_another_boot() {
    if !rustix::process::geteuid().is_root() {
        return println!("skipped: only root can mount over a file");
    }
    let boot = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("boot-{}", std::process::id()));
    std::fs::write(&boot, "00000000-0000-4000-8000-000000000001\n").expect("writes");
    let seen = on_boot(&boot, None, Command::new("cat").arg("/proc/sys/kernel/random/boot_id")).output().expect("runs");
    std::fs::remove_file(&boot).expect("removes");
    assert!(seen.status.success(), "{}", String::from_utf8_lossy(&seen.stderr));
    assert_eq!(seen.stdout, b"00000000-0000-4000-8000-000000000001\n");
}

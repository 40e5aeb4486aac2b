//! What memory holds of a file, and whether it is gone when it is said to be.

use super::scratch::Scratch;
use super::words;
use crate::store::forgetting::held_pages;
use crate::store::{Append, Directory, File};
use fanwire_core::journal::disk::{Disk, DiskError, DiskFile};
use memmap2::MmapOptions;
use std::path::{Path, PathBuf};
use std::process::Command;

const FILE_BYTES: u64 = 256 << 10;
/// What a file system in memory calls itself.
const TMPFS: rustix::fs::FsWord = 0x0102_1994;

/// A directory on a disk; none if temporary files are in memory here, which nobody can make forget them.
fn scratch() -> Option<(Scratch, Directory)> {
    let scratch = Scratch::new();
    let kind = rustix::fs::statfs(scratch.path()).expect("tells").f_type;
    if kind == TMPFS {
        println!("skipped: there is no disk below {}", scratch.path().display());
        return None;
    }
    let directory = Directory::open(&scratch.path().join("journal"), Append::Write).expect("opens");
    Some((scratch, directory))
}

fn forget(directory: &mut Directory) -> Result<(), DiskError> {
    directory.forget(&["a".to_owned()])
}

fn bytes_of(file: &File, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    file.read(0, &mut bytes).expect("reads");
    bytes
}

#[test]
fn what_was_written_is_forgotten_and_read_again_from_the_disk_synced_or_not() {
    let Some((_scratch, mut directory)) = scratch() else { return };
    let file = directory.create("a", FILE_BYTES).expect("is made");
    for byte in [1, 2] {
        file.write(0, &[byte; 70_000]).expect("writes");
        if byte == 1 {
            file.sync().expect("syncs");
        }
        assert!(held_pages(&file).expect("tells") > 0);
        forget(&mut directory).expect("nobody uses it");
        assert_eq!(held_pages(&file).expect("tells"), 0);
        assert_eq!(bytes_of(&file, 70_000), [byte; 70_000]);
    }
}

#[test]
fn a_file_that_somebody_has_mapped_is_not_forgotten_and_that_is_told() {
    let Some((scratch, mut directory)) = scratch() else { return };
    directory.create("a", FILE_BYTES).expect("is made");
    let other = std::fs::File::options().read(true).write(true).open(scratch.path().join("journal/a")).expect("opens");
    let mapped = MmapOptions::new().populate().map_raw(&other).expect("maps");
    let told = words(forget(&mut directory));
    assert!(told.contains("can't drop from memory ") && told.contains("journal/a: the machine keeps it"), "{told}");
    drop(mapped);
    forget(&mut directory).expect("nobody uses it any more");
}

#[test]
fn a_file_that_holds_nothing_or_is_missing_needs_no_forgetting_or_is_missed() {
    let Some((_scratch, mut directory)) = scratch() else { return };
    assert_eq!(forget(&mut directory), Err(DiskError::Missing));
    directory.create("a", 0).expect("is made");
    assert_eq!(forget(&mut directory), Ok(()));
}

/// A disk that claims to have more room than it has: what it never held it may be unable to write. It is an image in
/// a small file system in memory. It is unmounted when it is dropped.
struct Thin {
    scratch: Scratch,
}

impl Thin {
    fn mount() -> Option<Thin> {
        let thin = Thin { scratch: Scratch::new() };
        match thin.make() {
            Ok(()) => Some(thin),
            Err(why) => {
                println!("skipped: {why}");
                None
            }
        }
    }

    fn make(&self) -> Result<(), String> {
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(self.scratch.path()))?;
        let image = std::fs::File::create(self.image()).and_then(|image| image.set_len(32 << 20));
        image.map_err(|error| error.to_string())?;
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-O", "^has_journal"]).arg(self.image()))?;
        std::fs::create_dir(self.path()).map_err(|error| error.to_string())?;
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).args([self.image(), self.path()]))
    }

    fn image(&self) -> PathBuf {
        self.scratch.path().join("image")
    }

    fn path(&self) -> PathBuf {
        self.scratch.path().join("mounted")
    }

    fn ballast(&self) -> PathBuf {
        self.scratch.path().join("ballast")
    }

    /// From now on nothing can be written but where something other than zeros stands already.
    fn fill(&self) -> Result<(), String> {
        run(Command::new("fallocate").arg("--dig-holes").arg(self.image()))?;
        assert!(std::fs::write(self.ballast(), vec![1; 17 << 20]).is_err(), "it is small");
        Ok(())
    }

    fn make_room(&self) {
        std::fs::remove_file(self.ballast()).expect("removes");
    }
}

impl Drop for Thin {
    fn drop(&mut self) {
        for path in [&self.path(), self.scratch.path()] as [&Path; 2] {
            let _ = run(Command::new("umount").arg("--lazy").arg(path));
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    let words = || format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    output.status.success().then_some(()).ok_or_else(words)
}

#[test]
fn what_memory_shows_and_the_disk_never_took_is_not_shown_any_more() {
    let Some(disk) = Thin::mount() else { return };
    let mut directory = Directory::open(&disk.path().join("journal"), Append::Write).expect("opens");
    let file = directory.create("a", FILE_BYTES).expect("is made");
    file.sync().expect("syncs");
    if let Err(why) = disk.fill() {
        return println!("skipped: {why}");
    }
    file.write(0, &[7; 8_192]).expect("memory takes it");
    file.sync().expect_err("the disk does not");
    // This is what must not be believed: it is read as if it were there, and a second sync finds nothing to do.
    let again = directory.open("a").expect("opens");
    assert_eq!(bytes_of(&again, 8_192), [7; 8_192]);
    again.sync().expect("what is lost is lost");
    disk.make_room();
    forget(&mut directory).expect("nobody uses it");
    assert_eq!(bytes_of(&again, 8_192), [0; 8_192], "the disk has the zeros that it was made with");
}

//! A disk that is really full: a small one in memory, mounted for one test.

use super::scratch::Scratch;
use super::{PATIENCE, words};
use crate::store::{Append, Directory, Maker, Medium};
use fanwire_core::journal::disk::{Disk, DiskError, DiskFile};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;

const KIB: u64 = 1 << 10;

/// A disk of 1 MiB, unmounted when it is dropped.
struct Small {
    scratch: Scratch,
}

impl Small {
    fn mount() -> Option<Small> {
        let scratch = Scratch::new();
        let options = ["-t", "tmpfs", "-o", "size=1m", "tmpfs"];
        match Command::new("mount").args(options).arg(scratch.path()).output() {
            Ok(output) if output.status.success() => Some(Small { scratch }),
            Ok(output) => {
                println!("skipped: no disk can be mounted: {}", String::from_utf8_lossy(&output.stderr).trim());
                None
            }
            Err(error) => {
                println!("skipped: no disk can be mounted: {error}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.scratch.path()
    }

    fn directory(&self, append: Append) -> Directory {
        Directory::open(&self.path().join("journal"), append).expect("opens")
    }

    /// Leaves no byte for anybody.
    fn fill(&self) {
        assert!(std::fs::write(self.path().join("fill"), vec![1; 2 << 20]).is_err(), "it is small");
    }

    fn make_room(&self) {
        std::fs::remove_file(self.path().join("fill")).expect("removes");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).output();
    }
}

#[test]
fn what_was_reserved_can_be_written_on_a_full_disk() {
    for append in [Append::Write, Append::Map] {
        let Some(disk) = Small::mount() else { return };
        let file = disk.directory(append).create("a", 256 * KIB).expect("is made");
        disk.fill();
        for place in 0..256 {
            file.write(place * KIB, &[7; 1 << 10]).expect("its room is its own");
        }
        file.sync().expect("syncs");
        assert!(std::fs::read(disk.path().join("journal/a")).expect("reads").iter().all(|byte| *byte == 7));
    }
}

#[test]
fn a_full_disk_refuses_a_file_harms_nothing_and_takes_it_once_there_is_room() {
    let Some(disk) = Small::mount() else { return };
    let mut directory = disk.directory(Append::Write);
    directory.create("a", KIB).expect("is made").write(0, b"data").expect("writes");
    disk.fill();
    assert_eq!(directory.create("b", 256 * KIB).err(), Some(DiskError::Full));
    assert_eq!(directory.list().expect("lists"), ["a"]);
    let mut bytes = [0; 4];
    directory.open("a").expect("opens").read(0, &mut bytes).expect("reads");
    assert_eq!(&bytes, b"data");
    disk.make_room();
    directory.create("b", 256 * KIB).expect("is made");
}

#[test]
fn the_maker_tells_of_a_full_disk_and_makes_the_file_when_asked_again() {
    let Some(disk) = Small::mount() else { return };
    let medium = Medium::Directory(disk.directory(Append::Write));
    let maker = Maker::start("maker").expect("starts");
    let (sender, made) = channel();
    let ask = || {
        let sender = sender.clone();
        let tell = move |made: Result<_, _>| sender.send(made.map(drop)).expect("the test listens");
        maker.make(medium.clone(), "a", 256 * KIB, Box::new(tell));
        made.recv_timeout(PATIENCE).expect("in time")
    };
    disk.fill();
    assert_eq!(ask(), Err(DiskError::Full));
    assert!(medium.clone().list().expect("lists").is_empty());
    disk.make_room();
    assert_eq!(ask(), Ok(()));
}

#[test]
fn a_full_disk_keeps_no_broker_from_starting() {
    let Some(disk) = Small::mount() else { return };
    disk.directory(Append::Write).create("a", KIB).expect("is made");
    disk.fill();
    disk.directory(Append::Write).open("a").expect("opens");
}

#[test]
fn a_disk_that_became_read_only_fails_and_does_not_pretend_to_be_full() {
    let Some(disk) = Small::mount() else { return };
    disk.directory(Append::Write).create("a", KIB).expect("is made");
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(disk.path()).output().expect("runs");
    assert!(remounted.status.success(), "{}", String::from_utf8_lossy(&remounted.stderr));
    let told = words(Directory::open(&disk.path().join("journal"), Append::Write));
    assert!(told.contains("lock: Read-only file system"), "{told}");
    let mut guest = Directory::inspect(&disk.path().join("journal")).expect("who only looks needs no more");
    assert_eq!(guest.open("a").expect("opens").bytes(), KIB);
}

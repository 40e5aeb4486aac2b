//! What a directory refuses, and how it says so.

use super::scratch::Scratch;
use super::words;
use crate::store::{Append, Directory};
use fanwire_core::journal::disk::{Disk, DiskError, DiskFile};
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

fn open(path: &Path) -> Directory {
    Directory::open(path, Append::Write).expect("opens")
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("is there").permissions().mode() & 0o7777
}

#[test]
fn directories_and_files_are_their_owners_alone() {
    let scratch = Scratch::new();
    let path = scratch.path().join("data/events");
    open(&path).create("a", 10).expect("is made");
    assert_eq!(mode(&scratch.path().join("data")), 0o700);
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("a")), 0o600);
    assert_eq!(mode(&path.join("lock")), 0o600);
}

#[test]
fn a_directory_has_one_broker_at_a_time() {
    let scratch = Scratch::new();
    let first = open(scratch.path());
    let mut clone = first.clone();
    drop(first);
    let refused = words(Directory::open(scratch.path(), Append::Write));
    assert!(refused.contains(&format!("process {} has it", std::process::id())), "{refused}");
    assert!(clone.list().expect("lists").is_empty(), "the lock is none of the journal's files");
    drop(clone);
    open(scratch.path());
}

#[test]
fn who_only_looks_needs_no_lock_and_can_write_nothing() {
    let scratch = Scratch::new();
    let mut owner = open(scratch.path());
    owner.create("a", 3).expect("is made").write(0, b"abc").expect("writes");
    let mut guest = Directory::inspect(scratch.path()).expect("opens");
    assert_eq!(guest.list().expect("lists"), ["a"]);
    let file = guest.open("a").expect("opens");
    let mut bytes = [0; 3];
    file.read(0, &mut bytes).expect("reads");
    assert_eq!(&bytes, b"abc");
    assert!(words(file.write(0, b"x")).contains("can't write to"));
    assert_eq!(Directory::inspect(&scratch.path().join("none")).err(), Some(DiskError::Missing));
}

#[test]
fn what_others_may_write_is_refused() {
    let scratch = Scratch::new();
    open(scratch.path()).create("a", 3).expect("is made");
    std::fs::set_permissions(scratch.path().join("a"), Permissions::from_mode(0o620)).expect("changes");
    assert!(words(open(scratch.path()).open("a")).contains("(mode 620): chmod go-w it"));
    std::fs::set_permissions(scratch.path(), Permissions::from_mode(0o777)).expect("changes");
    assert!(words(Directory::open(scratch.path(), Append::Write)).contains("(mode 777): chmod go-w it"));
}

#[test]
fn what_another_user_owns_is_refused() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can give a file away");
        return;
    }
    let scratch = Scratch::new();
    open(scratch.path()).create("a", 3).expect("is made");
    std::os::unix::fs::chown(scratch.path().join("a"), Some(1), None).expect("changes");
    assert!(words(open(scratch.path()).open("a")).contains("it belongs to user 1, and this process runs as user 0"));
    std::os::unix::fs::chown(scratch.path(), Some(1), None).expect("changes");
    assert!(words(Directory::open(scratch.path(), Append::Write)).contains("it belongs to user 1"));
}

#[test]
fn what_is_no_plain_file_is_refused() {
    let scratch = Scratch::new();
    let mut directory = open(scratch.path());
    std::fs::write(scratch.path().join("target"), "precious").expect("writes");
    symlink("target", scratch.path().join("link")).expect("links");
    std::fs::create_dir(scratch.path().join("inside")).expect("makes");
    assert!(words(directory.open("link")).ends_with("link: it is a symbolic link"));
    words(directory.open("inside"));
    directory.create("link", 3).expect("replaces the link, not what it points to");
    assert_eq!(std::fs::read(scratch.path().join("target")).expect("reads"), b"precious");
    drop(directory);
    std::fs::remove_file(scratch.path().join("lock")).expect("removes");
    symlink("target", scratch.path().join("lock")).expect("links");
    assert!(words(Directory::open(scratch.path(), Append::Write)).ends_with("lock: it is a symbolic link"));
}

#[test]
fn a_file_that_somebody_else_truncates_is_told() {
    let scratch = Scratch::new();
    let file = open(scratch.path()).create("a", 8_192).expect("is made");
    let other = std::fs::File::options().write(true).open(scratch.path().join("a")).expect("opens");
    other.set_len(100).expect("truncates");
    assert!(words(file.read(0, &mut [0; 200])).contains("somebody else has truncated it"));
    file.write(500, b"it grows again").expect("and nothing shows");
    let refused = words(file.sync());
    assert!(refused.ends_with("a: it has 514 bytes and had 8192: somebody else has changed it"), "{refused}");
}

#[test]
fn a_file_is_called_in_errors_what_it_is_called_now() {
    let scratch = Scratch::new();
    let mut directory = open(scratch.path());
    directory.create("a", 10).expect("is made");
    let mut guest = Directory::inspect(scratch.path()).expect("opens");
    let file = guest.open("a").expect("opens");
    directory.rename("a", "b").expect("renames");
    let refused = words(file.write(0, b"x"));
    assert!(refused.contains(&format!("{}/b: ", scratch.path().display())), "{refused}");
}

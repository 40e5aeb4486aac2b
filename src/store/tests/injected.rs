//! System calls that fail: this test program runs one of its own tests once more, under strace, which makes the calls
//! of our choice fail.
//!
//! A scene is a test that does nothing unless it is named by the environment.

use super::scratch::Scratch;
use super::{PATIENCE, words};
use crate::store::{Append, Directory, File, Maker, Medium, SyncTask, Syncer};
use fanwire_core::journal::disk::{Disk, DiskError, DiskFile};
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::channel;

const SCENE: &str = "FANWIRE_STORE_SCENE";
const MIB: u64 = 1 << 20;

/// Runs a scene with calls that fail. Returns whether it could.
#[track_caller]
fn stage(scene: &str, injection: &str) -> bool {
    let scratch = Scratch::new();
    let calls = injection.split(':').next().expect("there is a first");
    let program = std::env::current_exe().expect("has a path");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
    command.args(["-e", &format!("inject={injection}")]).arg(program);
    command.args(["--exact", &format!("store::tests::injected::{scene}"), "--nocapture"]);
    command.env(SCENE, scratch.path());
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: strace can't be run: {error}");
            return false;
        }
    };
    let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    if told.contains("PTRACE") || told.contains("ptrace") {
        println!("skipped: strace can't trace: {told}");
        return false;
    }
    assert!(output.status.success() && told.contains("1 passed"), "{scene} with {injection}:\n{told}");
    true
}

/// The scene's directory, if this is its second run.
fn directory() -> Option<(PathBuf, Directory)> {
    let path = PathBuf::from(std::env::var_os(SCENE)?);
    let directory = Directory::open(&path.join("journal"), Append::Write).expect("opens");
    Some((path, directory))
}

#[test]
fn a_file_that_there_is_no_room_for_leaves_nothing_behind() {
    for injection in [
        "fallocate:error=ENOSPC",
        "fallocate:error=EDQUOT",
        "pwrite64:error=ENOSPC:when=1",
        "pwrite64:error=ENOSPC:when=2+",
        "pwrite64:error=EDQUOT:when=100",
    ] {
        let _ = stage("no_room", injection) && stage("no_room_for_the_maker", injection);
    }
    let _ = stage("no_room_for_the_maker", "fdatasync:error=ENOSPC:when=3");
}

#[test]
fn no_room() {
    let Some((_, mut directory)) = directory() else { return };
    assert_eq!(directory.create("a", 3 * MIB).err(), Some(DiskError::Full));
    assert!(directory.list().expect("lists").is_empty());
}

#[test]
fn no_room_for_the_maker() {
    let Some((_, mut directory)) = directory() else { return };
    let (sender, made) = channel();
    let maker = Maker::start("maker").expect("starts");
    let medium = Medium::Directory(directory.clone());
    maker.make(medium, "a", 3 * MIB, Box::new(move |made| sender.send(made.err()).expect("listens")));
    assert_eq!(made.recv_timeout(PATIENCE).expect("in time"), Some(DiskError::Full));
    assert!(directory.list().expect("lists").is_empty());
}

#[test]
fn a_file_system_that_can_t_reserve_gets_its_zeros_all_the_same() {
    stage("made_without_reserving", "fallocate:error=EOPNOTSUPP");
    stage("made_without_reserving", "fallocate:error=EINTR:when=1");
}

#[test]
fn made_without_reserving() {
    let Some((path, mut directory)) = directory() else { return };
    directory.create("a", MIB + 1).expect("is made");
    assert_eq!(std::fs::read(path.join("journal/a")).expect("reads"), vec![0; 1_048_577]);
}

#[test]
fn a_machine_that_fails_is_quoted() {
    stage("creating_fails", "pwrite64:error=EIO:when=5");
    stage("creating_fails", "fallocate:error=EROFS");
    // The first ones are those that load this program.
    stage("reading_fails", "pread64:error=EIO:when=100+");
    stage("syncing_names_fails", "fsync:error=EIO");
    stage("renaming_fails", "renameat,renameat2:error=EROFS");
}

#[test]
fn creating_fails() {
    let Some((_, mut directory)) = directory() else { return };
    let told = words(directory.create("a", 3 * MIB));
    let errors = ["(os error 5)", "(os error 30)"];
    assert!(told.contains("journal/a: ") && errors.iter().any(|error| told.ends_with(error)), "{told}");
    assert!(directory.list().expect("lists").is_empty());
}

#[test]
fn reading_fails() {
    let Some((_, mut directory)) = directory() else { return };
    let file = directory.create("a", 100).expect("is made");
    let failed = (0..200).map(|_| file.read(0, &mut [0; 10])).find(Result::is_err);
    let told = words(failed.expect("reads fail before long"));
    assert!(told.starts_with("can't read ") && told.ends_with("/journal/a: Input/output error (os error 5)"), "{told}");
}

#[test]
fn syncing_names_fails() {
    // Making a directory syncs names too, and must not be taken for done.
    let Some(path) = std::env::var_os(SCENE) else { return };
    let told = words(Directory::open(&PathBuf::from(path).join("journal"), Append::Write));
    assert!(told.contains("journal: Input/output error"), "{told}");
}

#[test]
fn names_whose_sync_failed_once_are_never_said_to_be_durable() {
    // The first two make the directory.
    stage("syncing_names_fails_once", "fsync:error=EIO:when=3");
}

#[test]
fn syncing_names_fails_once() {
    let Some((_, mut directory)) = directory() else { return };
    let mut other = directory.clone();
    let failed = directory.sync_names();
    assert!(matches!(failed, Err(DiskError::NamesUnsynced(_))), "it is told from what may be tried again: {failed:?}");
    let told = words(failed);
    assert!(told.contains("can't sync the names of ") && told.contains("Input/output error"), "{told}");
    assert_eq!(words(other.sync_names()), told, "whoever asks is told the same");
}

#[test]
fn renaming_fails() {
    let Some((_, mut directory)) = directory() else { return };
    directory.create("a", 100).expect("is made");
    assert!(words(directory.rename("a", "b")).contains("can't rename "));
    assert_eq!(directory.list().expect("lists"), ["a"]);
}

#[test]
fn an_append_that_fails_is_told_apart_by_what_can_be_done() {
    // The one write that makes the file goes well.
    stage("appending_finds_no_room", "pwrite64:error=ENOSPC:when=2");
    stage("appending_fails", "pwrite64:error=EIO:when=2");
}

#[test]
fn appending_finds_no_room() {
    let Some((_, mut directory)) = directory() else { return };
    let file = directory.create("a", 100).expect("is made");
    assert_eq!(file.write(0, b"data"), Err(DiskError::Full));
    file.write(0, b"data").expect("there is room again");
}

#[test]
fn appending_fails() {
    let Some((_, mut directory)) = directory() else { return };
    let file = directory.create("a", 100).expect("is made");
    assert!(words(file.write(0, b"data")).starts_with("can't write to "));
}

#[test]
fn a_sync_that_fails_is_the_last_one() {
    stage("syncing_fails_once", "fdatasync:error=EIO:when=2");
}

#[test]
fn syncing_fails_once() {
    struct Whole(File);
    impl SyncTask for Whole {
        fn join(&mut self, newer: Self) {
            *self = newer;
        }
        fn run(&mut self) -> Result<(), DiskError> {
            self.0.sync()
        }
    }
    let Some((_, mut directory)) = directory() else { return };
    let file = directory.create("a", 100).expect("is made");
    let (report, reports) = channel();
    let syncer = Syncer::start("sync", move |_: Whole, outcome, _| report.send(outcome).expect("listens"));
    let syncer = syncer.expect("starts");
    let sync = || {
        syncer.request(Whole(file.clone()));
        reports.recv_timeout(PATIENCE).expect("in time")
    };
    assert_eq!(sync(), Ok(()));
    let failed = sync();
    assert!(matches!(&failed, Err(DiskError::Failed(told)) if told.starts_with("can't sync ")), "{failed:?}");
    // The machine would say that all is well again. It is not.
    assert_eq!(sync(), failed);
}

//! What every medium does, and in each of the ways to append.

use super::scratch::Scratch;
use crate::store::{Append, Directory, Medium, Memory};
use fanwire_core::journal::disk::{Disk, DiskError, DiskFile};

fn on_each_medium(test: fn(Medium)) {
    for append in [Append::Write, Append::Map] {
        let scratch = Scratch::new();
        let directory = Directory::open(&scratch.path().join("deep/down"), append).expect("opens");
        test(Medium::Directory(directory));
        test(Medium::Memory(Memory::new(append)));
    }
}

fn names(medium: &mut Medium) -> Vec<String> {
    let mut names = medium.list().expect("lists");
    names.sort();
    names
}

fn contents(medium: &mut Medium, name: &str) -> Vec<u8> {
    let file = medium.open(name).expect("opens");
    let mut bytes = vec![0xEE; usize::try_from(file.bytes()).expect("small")];
    file.read(0, &mut bytes).expect("reads");
    bytes
}

#[test]
fn a_new_file_holds_zeros() {
    on_each_medium(|mut medium| {
        for bytes in [0, 1, 4_096, 3 * 1_048_576 + 17] {
            let file = medium.create("a", bytes).expect("is made");
            assert_eq!(file.bytes(), bytes);
            assert!(contents(&mut medium, "a").iter().all(|byte| *byte == 0));
            assert_eq!(contents(&mut medium, "a").len() as u64, bytes);
        }
        assert_eq!(names(&mut medium), ["a"]);
    });
}

#[test]
fn what_is_written_is_read_by_every_clone_and_by_who_opens_it() {
    on_each_medium(|mut medium| {
        let file = medium.create("a", 10_000).expect("is made");
        file.write(0, b"front").expect("writes");
        file.write(4_094, b"across pages").expect("writes");
        file.write(9_997, b"end").expect("writes");
        file.write(10_000, b"").expect("nothing, at the very end");
        file.sync().expect("syncs");
        let mut expected = vec![0; 10_000];
        expected[..5].copy_from_slice(b"front");
        expected[4_094..4_106].copy_from_slice(b"across pages");
        expected[9_997..].copy_from_slice(b"end");
        let mut bytes = vec![0; 10_000];
        file.clone().read(0, &mut bytes).expect("reads");
        assert_eq!(bytes, expected);
        assert_eq!(contents(&mut medium, "a"), expected);
        assert_eq!(contents(&mut medium.clone(), "a"), expected);
    });
}

#[test]
fn a_file_of_the_same_name_is_replaced_and_who_holds_it_reads_on() {
    on_each_medium(|mut medium| {
        let old = medium.create("a", 100).expect("is made");
        old.write(0, b"old").expect("writes");
        let new = medium.create("a", 50).expect("is made");
        assert_eq!((old.bytes(), new.bytes()), (100, 50));
        old.write(3, b"er").expect("writes");
        let mut bytes = [0; 5];
        old.read(0, &mut bytes).expect("reads");
        assert_eq!(&bytes, b"older");
        assert!(contents(&mut medium, "a").iter().all(|byte| *byte == 0));
    });
}

#[test]
fn a_name_moves_and_replaces_and_goes_while_somebody_reads() {
    on_each_medium(|mut medium| {
        let file = medium.create("new", 4).expect("is made");
        file.write(0, b"data").expect("writes");
        medium.create("old", 4).expect("is made");
        medium.rename("new", "old").expect("renames");
        medium.sync_names().expect("syncs");
        assert_eq!(names(&mut medium), ["old"]);
        assert_eq!(contents(&mut medium, "old"), b"data");
        medium.remove("old").expect("removes");
        assert!(names(&mut medium).is_empty());
        let mut bytes = [0; 4];
        file.read(0, &mut bytes).expect("reads on");
        assert_eq!(&bytes, b"data");
        file.write(0, b"beta").expect("writes on");
        file.sync().expect("syncs on");
    });
}

#[test]
fn what_is_not_there_is_missing() {
    on_each_medium(|mut medium| {
        assert_eq!(medium.open("a").err(), Some(DiskError::Missing));
        assert_eq!(medium.rename("a", "b").err(), Some(DiskError::Missing));
        assert_eq!(medium.remove("a").err(), Some(DiskError::Missing));
    });
}

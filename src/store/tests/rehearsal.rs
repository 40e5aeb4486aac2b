//! What is tried out leaves no trace.

use super::scratch::Scratch;
use crate::store::{Append, Directory, Rehearsal};
use fanwire_core::journal::disk::{Disk, DiskError, DiskFile};

#[test]
fn what_is_tried_out_is_seen_there_and_nowhere_else() {
    let scratch = Scratch::new();
    let mut real = Directory::open(scratch.path(), Append::Write).expect("opens");
    real.create("a", 8).expect("is made").write(0, b"abcdefgh").expect("writes");
    real.create("b", 1).expect("is made");
    let mut tried = Rehearsal::of(real.clone());
    let read = |disk: &mut Rehearsal, name: &str| {
        let file = disk.open(name)?;
        let mut bytes = vec![0; file.bytes() as usize];
        file.read(0, &mut bytes).map(|()| bytes)
    };
    tried.open("a").expect("opens").write(2, b"XY").expect("writes");
    tried.open("a").expect("opens").write(3, b"Z").expect("writes");
    assert_eq!(read(&mut tried, "a"), Ok(b"abXZefgh".to_vec()));
    let mut part = [0; 2];
    tried.open("a").expect("opens").read(3, &mut part).expect("reads");
    assert_eq!(&part, b"Ze");
    tried.rename("a", "b").expect("renames");
    assert_eq!(read(&mut tried, "a"), Err(DiskError::Missing));
    assert_eq!(read(&mut tried, "b"), Ok(b"abXZefgh".to_vec()));
    assert_eq!(read(&mut tried, "c"), Err(DiskError::Missing));
    tried.create("c", 2).expect("is made").write(1, b"!").expect("writes");
    assert_eq!(read(&mut tried, "c"), Ok(b"\0!".to_vec()));
    assert_eq!(tried.list(), Ok(vec!["b".to_owned(), "c".to_owned()]));
    tried.remove("c").expect("removes");
    assert_eq!(tried.list(), Ok(vec!["b".to_owned()]));
    let mut left = real.list().expect("lists");
    left.sort();
    assert_eq!(left, ["a", "b"]);
    let mut bytes = [0; 8];
    real.open("a").expect("opens").read(0, &mut bytes).expect("reads");
    assert_eq!(&bytes, b"abcdefgh");
}

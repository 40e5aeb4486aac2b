//! Who has locked a file, as the machine's own list of locks tells.
//!
//! Trying to lock it would tell too, but would keep out a broker that starts at that moment.

/// A process that has a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Its id; none if it is one that this process can't see.
    pub process: Option<u32>,
}

/// What a file is to the machine.
pub(super) struct LockFile {
    pub(super) device: u64,
    pub(super) inode: u64,
}

impl Holder {
    /// Who has this file locked for itself, of the text of /proc/locks:
    /// `1: FLOCK  ADVISORY  WRITE 32708 fe:00:10012002 0 EOF`.
    pub(super) fn of(file: &LockFile, locks: &str) -> Option<Holder> {
        let (major, minor) = (rustix::fs::major(file.device), rustix::fs::minor(file.device));
        let place = format!("{major:02x}:{minor:02x}:{}", file.inode);
        locks.lines().find_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let is_it = words.next() == Some("FLOCK") && words.nth(1) == Some("WRITE");
            let process = words.next()?.parse::<u32>().ok().filter(|process| *process > 0);
            (is_it && words.next() == Some(&place)).then_some(Holder { process })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_found_among_other_locks() {
        let locks = "\
1: POSIX  ADVISORY  WRITE 11 fe:00:7 0 EOF
2: FLOCK  ADVISORY  READ 12 fe:00:7 0 EOF
3: FLOCK  ADVISORY  WRITE 13 fe:01:7 0 EOF
4: -> FLOCK  ADVISORY  WRITE 14 fe:00:7 0 EOF
5: FLOCK  ADVISORY  WRITE 15 fe:00:7 0 EOF
6: FLOCK  ADVISORY  WRITE 0 fe:00:8 0 EOF
7:
";
        let device = rustix::fs::makedev(0xfe, 0);
        let of = |inode| Holder::of(&LockFile { device, inode }, locks);
        assert_eq!(of(7), Some(Holder { process: Some(15) }));
        assert_eq!(of(8), Some(Holder { process: None }));
        assert_eq!(of(9), None);
        assert_eq!(Holder::of(&LockFile { device, inode: 7 }, ""), None);
    }
}

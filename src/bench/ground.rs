//! Where brokers and floors keep what is to last: a directory of their own on a disk that somebody chose, with room
//! enough, gone when the run is.
//!
//! ```text
//!  bench --pipe--> sweeper     the bench ends, in whatever way -> the pipe closes -> the sweeper removes the directory
//!    '--leash--> broker        ... and the broker ends
//! ```
//!
//! A log has to lie there while its broker runs, so it can't be removed early as settings are. A handler of signals
//! would not see a kill; a process that waits for the end of its input does.

use super::error::BenchError;
use super::measured::{Warning, Weight};
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use serde_json::{Value, json};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How the names of directories begin that a sweeper may remove.
pub(super) const NAME_BEGIN: &str = "fanwire-bench-";
/// File systems without a disk: a sync there costs nothing and means nothing.
const DISKLESS: [&str; 2] = ["tmpfs", "ramfs"];
/// Where the kernel tells what is mounted.
const MOUNTS: &str = "/proc/self/mountinfo";
/// A broker may be writing still when its sweeper begins.
const SWEEPS_MAX: u32 = 100;
const SWEEP_STEP: Duration = Duration::from_millis(50);
/// Zeros of one write.
static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

/// A directory for data, gone with its value or its process.
#[derive(Debug)]
pub struct Ground {
    path: PathBuf,
    file_system: String,
    free_bytes: u64,
    sweeper: Option<Child>,
}

impl Ground {
    /// A new directory in this one, which has to have so much room.
    pub fn new(parent: &Path, space_bytes: u64) -> Result<Ground, BenchError> {
        let mut ground = Ground::bare(parent, space_bytes)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench", "sweep"]).arg(&ground.path).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        ground.sweeper = Some(command.spawn()?);
        Ok(ground)
    }

    /// The same without a sweeper.
    pub(super) fn bare(parent: &Path, space_bytes: u64) -> Result<Ground, BenchError> {
        let failed = |what: &str, error: io::Error| BenchError::Usage(format!("{} {what}: {error}", parent.display()));
        let parent = fs::canonicalize(parent).map_err(|error| failed("is no directory for data", error))?;
        let space = statvfs(&parent).map_err(|error| failed("can't be looked at", error.into()))?;
        let free_bytes = space.f_bavail.saturating_mul(space.f_frsize);
        if free_bytes < space_bytes {
            return Err(BenchError::Usage(format!(
                "{} has {} MiB left, and this may need {} MiB: name another directory with --data",
                parent.display(),
                free_bytes >> 20,
                space_bytes >> 20
            )));
        }
        let mounts = fs::read_to_string(MOUNTS).unwrap_or_default();
        let file_system = file_system(&mounts, &parent).unwrap_or("an unknown file system").to_owned();
        let path = fresh(&parent).map_err(|error| failed("takes no directory", error))?;
        Ok(Ground { path, file_system, free_bytes, sweeper: None })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What a reader should know of the disk.
    pub fn line(&self) -> String {
        let parent = self.path.parent().unwrap_or(&self.path);
        format!("data on {} in {}, {} GiB free", self.file_system, parent.display(), self.free_bytes >> 30)
    }

    /// What spoils numbers taken here.
    pub fn warning(&self) -> Option<Warning> {
        let is_diskless = DISKLESS.contains(&&*self.file_system);
        let what = format!("the data lay on {}, which has no disk to wait for: name one with --data", self.file_system);
        is_diskless.then_some(Warning { weight: Weight::Doubtful, target: None, what })
    }

    /// For machines.
    pub fn json(&self) -> Value {
        json!({"file_system": self.file_system, "free_bytes": self.free_bytes})
    }

    /// A file of so many zeros whose space is there for good, as a log's next segment is: what is written to it later
    /// changes nothing but content.
    pub fn zeroed(&self, name: &str, bytes: u64) -> io::Result<File> {
        let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(self.path.join(name))?;
        match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            // The zeros below do it too.
            Err(rustix::io::Errno::OPNOTSUPP) => {}
            other => other?,
        }
        let mut left = bytes;
        while left > 0 {
            let step = left.min(ZEROS.len() as u64);
            file.write_all(&ZEROS[..usize::try_from(step).expect("a mebibyte at the most")])?;
            left -= step;
        }
        file.sync_all()?;
        Ok(file)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
        if let Some(mut sweeper) = self.sweeper.take() {
            // It ends with its input.
            drop(sweeper.stdin.take());
            let _ = sweeper.wait();
        }
    }
}

/// A directory that nobody else has, for nobody else.
pub(super) fn fresh(parent: &Path) -> io::Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{NAME_BEGIN}{}-{count}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            // Somebody else's: what stands in it could be theirs too.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// Waits until the input ends, and removes the directory if it is one of ours.
pub fn sweep(directory: &Path, mut input: impl Read) -> io::Result<()> {
    let name = directory.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !name.starts_with(NAME_BEGIN) {
        return Err(io::Error::other("only directories of the bench are swept"));
    }
    // An input that fails has ended too.
    let _ = io::copy(&mut input, &mut io::sink());
    for _ in 0..SWEEPS_MAX {
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            _ => std::thread::sleep(SWEEP_STEP),
        }
    }
    Err(io::Error::other("something writes into it still"))
}

/// The kind of the file system that a path lies on: lines of `mountinfo`, `... ... ... ... mount point ... - kind ...`,
/// of which the longest fits, and of those the last one hides the others.
fn file_system<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let mounted = mounts.lines().filter_map(|line| {
        let (front, back) = line.split_once(" - ")?;
        // Blanks in names are written as octal numbers.
        let point = front.split(' ').nth(4)?.replace("\\040", " ");
        let kind = back.split(' ').next()?;
        path.starts_with(&point).then_some((point.len(), kind))
    });
    mounted.max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_is_that_of_the_nearest_mount() {
        let mounts = "22 1 254:0 / / rw shared:1 - ext4 /dev/vda rw\n30 22 0:26 / /data rw shared:5 - tmpfs tmpfs rw\n\
            31 30 0:27 / /data/a\\040b rw - xfs /dev/vdb rw\n";
        let of = |path: &str| file_system(mounts, Path::new(path));
        assert_eq!(
            [of("/var/x"), of("/data/x"), of("/datar"), of("/data/a b/c")].map(Option::unwrap),
            ["ext4", "tmpfs", "ext4", "xfs"]
        );
        assert_eq!(file_system("", Path::new("/")), None);
    }

    #[test]
    fn a_ground_has_room_and_ends_with_its_value() {
        let ground = Ground::bare(&std::env::temp_dir(), 1 << 20).unwrap();
        let file = ground.zeroed("zeros", 3 << 20).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 3 << 20);
        assert!(ground.line().starts_with("data on "), "{}", ground.line());
        let path = ground.path().to_owned();
        drop(ground);
        assert!(!path.exists());
    }

    #[test]
    fn who_has_too_little_room_is_told_so() {
        let message = Ground::bare(&std::env::temp_dir(), u64::MAX).unwrap_err().to_string();
        assert!(message.contains("name another directory with --data"), "{message}");
        let message = Ground::bare(Path::new("/no/such/place"), 1).unwrap_err().to_string();
        assert!(message.contains("is no directory for data"), "{message}");
    }

    #[test]
    fn only_what_is_ours_is_swept_and_only_at_the_end() {
        let path = fresh(&std::env::temp_dir()).unwrap();
        fs::write(path.join("file"), "text").unwrap();
        sweep(&path, io::empty()).unwrap();
        assert!(!path.exists());
        assert!(sweep(Path::new("precious"), io::empty()).is_err());
        assert!(sweep(&path, io::empty()).is_ok(), "it is gone already");
    }
}

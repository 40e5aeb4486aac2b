//! A file system of one's own that loses power: ext4 in a file, mounted through a loop device, and shut down without
//! a flush. What was synced is there when it is mounted again; of the rest whatever the machine had written by then.
//!
//! ```text
//!  image file --mkfs, mount--> directory --lose_power--> every call fails --restore--> directory
//! ```
//!
//! It takes root, loop devices and ext4; who has none of them gets to know why, and skips.

use crate::end_to_end::process::eventually;
use rustix::ioctl::{Setter, ioctl};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// `EXT4_IOC_SHUTDOWN`: ends a file system at once.
const SHUTDOWN: u32 = 0x8004_587D;
/// How: neither the log nor anything else is written any more.
const WITHOUT_FLUSH: u32 = 2;

/// One such file system, gone when it is dropped.
pub(crate) struct PrivateDisk {
    image: PathBuf,
    mounted: PathBuf,
}

impl PrivateDisk {
    /// Makes one of so many bytes and mounts it; `name` is nobody else's. The error says what is missing for that.
    pub(crate) fn new(name: &str, bytes: u64) -> Result<PrivateDisk, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root can mount a file system".to_owned());
        }
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("disk-{}-{name}", std::process::id()));
        let disk = PrivateDisk { image: directory.join("image"), mounted: directory.join("mounted") };
        std::fs::create_dir_all(&disk.mounted).map_err(|error| error.to_string())?;
        let image = File::create(&disk.image).and_then(|image| image.set_len(bytes));
        image.map_err(|error| error.to_string())?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&disk.image))?;
        disk.mount()?;
        Ok(disk)
    }

    /// The directory where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.mounted
    }

    /// The power goes. From now on every call on it fails.
    pub(crate) fn lose_power(&self) {
        let directory = File::open(&self.mounted).expect("it is mounted");
        // SAFETY: the call reads the number that it is given, as its opcode says, and keeps no pointer to it.
        unsafe { ioctl(&directory, Setter::<SHUTDOWN, u32>::new(WITHOUT_FLUSH)) }.expect("ext4 can be shut down");
    }

    /// The power is back. Nobody may have a file of it open any more.
    pub(crate) fn restore(&self) {
        let _mounts = hold_mounts();
        eventually("everybody to let the disk go", || run(Command::new("umount").arg(&self.mounted)).ok());
        self.mount().expect("it was mounted before");
    }

    fn mount(&self) -> Result<(), String> {
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).args([&self.image, &self.mounted]))
    }
}

impl Drop for PrivateDisk {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("--lazy").arg(&self.mounted));
        if let Some(directory) = self.image.parent() {
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}

/// While this is held no disk is restored. A process with mounts of its own starts under it: it has those of all disks
/// at first, and one that it still has would come back as it was when its power went.
pub(crate) fn hold_mounts() -> MutexGuard<'static, ()> {
    static MOUNTS: Mutex<()> = Mutex::new(());
    MOUNTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The command, on a machine whose boot has another name: to the broker, a machine that has lost power and came back.
/// Takes root. `boot` is a file with a UUID in it, `disk` the directory of the one private disk that it sees.
pub(crate) fn on_boot(boot: &Path, disk: Option<&Path>, command: &Command) -> Command {
    let script = "mount --bind \"$0\" /proc/sys/kernel/random/boot_id || exit 1\n\
        own=$1; shift\n\
        for mounted in $(cut -d ' ' -f 2 /proc/self/mounts); do\n\
        case $mounted in \"$own\") ;; */disk-*/mounted) umount --lazy \"$mounted\" ;; esac; done\n\
        exec \"$@\"";
    let mut wrapped = Command::new("unshare");
    wrapped.args(["--mount", "sh", "-c", script]).arg(boot).arg(disk.unwrap_or(Path::new("")));
    wrapped.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    let words = || format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    output.status.success().then_some(()).ok_or_else(words)
}

//! A journal's directory on its way to being looked at, and what is said of how it was left.

use crate::cli::Failure;
use crate::cli::output::show_time;
use crate::cli::progress::Bar;
use crate::escape::{self, visible};
use crate::store::{Directory, File, Holder};
use fanwire_core::journal::disk::{Disk, DiskError, DiskFile};
use fanwire_core::journal::names::{self, Kind};
use fanwire_core::journal::state::{State, StateFault};
use fanwire_core::journal::survey::Survey;
use std::path::{Path, PathBuf};

/// A journal that is looked at.
pub(super) struct Place {
    /// What its directory is called.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) directory: Directory,
    pub(super) survey: Survey<File>,
    /// Who has it, if somebody has.
    pub(super) holder: Option<Holder>,
}

impl Place {
    /// Looks at the journal in this directory, and says so when there is none.
    pub(super) fn look(path: &Path) -> Result<Place, Failure> {
        let failed = |error: DiskError| Failure::Run(described(path, &error));
        let mut directory = Directory::inspect(path).map_err(failed)?;
        let files = directory.list().map_err(failed)?;
        if !is_journal(&files) {
            let shown = shown(path);
            return Err(Failure::Run(format!(
                "{shown} holds no journal: there is no file called \"journal\" and none called *.segment; those in \
                 directories below it are listed by: fanwire journal ls {}",
                typed(path)
            )));
        }
        // Before the look: whoever ends in between has left it as it is found.
        let holder = directory.holder();
        let mut bar = Bar::new(unsealed_bytes(&mut directory, &files));
        let survey = Survey::of(&mut directory, &mut |name, bytes| bar.advance(bytes, name)).map_err(failed)?;
        let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let name = full.file_name().map_or_else(String::new, |name| visible(&name.to_string_lossy()).into_owned());
        Ok(Place { name, path: path.to_owned(), directory, survey, holder })
    }

    /// How it was left, in a word.
    pub(super) const fn condition(&self) -> &'static str {
        match (&self.survey.state, &self.holder) {
            (_, Some(_)) => "running",
            (Ok(State { sync_failed: true, .. }), None) => "sync failed",
            (Ok(State { is_clean: true, .. }), None) => "clean",
            (Ok(State { is_new: true, .. }), None) => "unfinished",
            (Ok(_), None) => "unclean",
            (Err(StateFault::Missing), None) => "no state",
            (Err(StateFault::Newer(_)), None) => "newer",
            (Err(StateFault::Damaged | StateFault::Disk(_)), None) => "damaged",
        }
    }

    /// What the word means, and what to do about it.
    pub(super) fn explanation(&self) -> String {
        match (&self.survey.state, self.holder) {
            (_, Some(Holder { process: Some(process) })) => format!("running: process {process} has it"),
            (_, Some(Holder { process: None })) => "running: a process that can't be seen from here has it".to_owned(),
            (Ok(State { sync_failed: true, .. }), None) => "sync failed: what was written last may not be on the \
                 medium, whatever can be read now; the next start reads what is there"
                .to_owned(),
            (Ok(State { is_clean: true, .. }), None) => "clean: it was closed, with everything synced".to_owned(),
            (Ok(State { is_new: true, .. }), None) => "unfinished: the broker ended while it was made; the next start \
                 goes on"
                .to_owned(),
            (Ok(_), None) => "unclean: the broker ended without closing it; the next start looks at the newest \
                 segment"
                .to_owned(),
            (Err(StateFault::Missing), None) => "the file \"journal\" is missing".to_owned(),
            (Err(StateFault::Newer(version)), None) => {
                format!("the file \"journal\" was written by a newer release, in version {version} of its format")
            }
            (Err(StateFault::Damaged), None) => "the file \"journal\" is damaged".to_owned(),
            (Err(StateFault::Disk(error)), None) => format!("the file \"journal\" can't be read: {error}"),
        }
    }
}

/// Whether a directory with these files is a journal's.
pub(super) fn is_journal(files: &[String]) -> bool {
    files.iter().any(|name| matches!(names::kind(name), Kind::Segment(_) | Kind::State))
}

/// An error of a disk, as it is told of a directory.
pub(super) fn described(path: &Path, error: &DiskError) -> String {
    match error {
        DiskError::Missing => format!("{} is not there", shown(path)),
        error => error.to_string(),
    }
}

pub(super) fn shown(path: &Path) -> String {
    visible(&path.display().to_string()).into_owned()
}

/// A path as it is typed.
pub(super) fn typed(path: &Path) -> String {
    escape::typed(&path.display().to_string())
}

/// A time in microseconds since 1970-01-01 UTC, as it is told.
pub(super) fn told(time_us: u64) -> String {
    show_time(time_us).unwrap_or_else(|| "-".to_owned())
}

/// Bytes of the segments that have no index: those are read.
fn unsealed_bytes(directory: &mut Directory, files: &[String]) -> u64 {
    let is_indexed = |base| files.contains(&names::index(base));
    let mut bytes = 0;
    for name in files {
        if matches!(names::kind(name), Kind::Segment(base) if !is_indexed(base)) {
            bytes += directory.open(name).map_or(0, |file| file.bytes());
        }
    }
    bytes
}

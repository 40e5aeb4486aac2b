//! The files under the rules: all that git tracks, and all that it would track if it were told to add.

use super::manifest::Manifest;
use super::rust_source::RustSource;
use std::path::Path;
use std::process::Command;

/// Inputs for fuzzing: bytes that are meant to be anything.
const FOREIGN: &str = "fuzz/corpus/";

/// The files of the repository, or of a sample.
pub(crate) struct Tree {
    files: Vec<File>,
    /// Whether this is the repository: then every exception to a rule must still be needed.
    pub(crate) is_whole: bool,
}

/// One file.
pub(crate) struct File {
    /// From the top, with `/`.
    pub(crate) path: String,
    /// `None` for bytes that are no text, or not meant to be.
    pub(crate) text: Option<String>,
    rust: Option<RustSource>,
}

impl Tree {
    pub(crate) fn of_repository() -> Tree {
        let top = Path::new(env!("CARGO_MANIFEST_DIR"));
        let paths = git_paths(top).unwrap_or_else(|| walked_paths(top));
        let files: Vec<File> = paths.into_iter().filter_map(|path| read(top, path)).collect();
        assert!(files.iter().any(|file| file.path == "tests/tidy.rs"), "the repository was not found: {files:?}");
        Tree { files, is_whole: true }
    }

    pub(crate) fn of_sample(sample: &[(&str, &str)]) -> Tree {
        let file = |(path, text): &(&str, &str)| File::new((*path).to_owned(), Some((*text).to_owned()));
        Tree { files: sample.iter().map(file).collect(), is_whole: false }
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| &*file.path)
    }

    pub(crate) fn contains(&self, path: &str) -> bool {
        self.paths().any(|known| known == path)
    }

    /// Whether the path is a file or a directory with files.
    pub(crate) fn leads_to(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        self.paths().any(|known| known.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }

    /// Path and text of every text file.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|file| Some((&*file.path, file.text.as_deref()?)))
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.texts().find(|(known, _)| *known == path).map(|(_, text)| text)
    }

    /// Path and source of every Rust file.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&str, &RustSource)> {
        self.files.iter().filter_map(|file| Some((&*file.path, file.rust.as_ref()?)))
    }

    /// Every Cargo.toml.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = Manifest<'_>> {
        let is_manifest = |path: &str| path == "Cargo.toml" || path.ends_with("/Cargo.toml");
        self.texts().filter(move |(path, _)| is_manifest(path)).map(|(path, text)| Manifest::read(path, text))
    }
}

impl File {
    fn new(path: String, text: Option<String>) -> File {
        let rust = text.as_deref().filter(|_| path.ends_with(".rs")).map(RustSource::new);
        File { path, text, rust }
    }
}

/// Only the path: a whole tree would fill the screen.
impl std::fmt::Debug for File {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.path)
    }
}

/// `None` for a file that is tracked but gone, which is a removal in the making.
fn read(top: &Path, path: String) -> Option<File> {
    let bytes = std::fs::read(top.join(&path)).ok()?;
    let text = if path.starts_with(FOREIGN) { None } else { String::from_utf8(bytes).ok() };
    Some(File::new(path, text))
}

/// What git knows or would add; `None` where there is no git, such as in an unpacked archive.
fn git_paths(top: &Path) -> Option<Vec<String>> {
    let mut command = Command::new("git");
    command.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(top);
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).expect("paths are text");
    let mut paths: Vec<String> = text.split_terminator('\0').map(str::to_owned).collect();
    paths.sort();
    paths.dedup();
    (!paths.is_empty()).then_some(paths)
}

/// Everything but git's own and what .gitignore names; its lines are paths from the top.
fn walked_paths(top: &Path) -> Vec<String> {
    let ignored = std::fs::read_to_string(top.join(".gitignore")).unwrap_or_default();
    let ignored: Vec<&str> = ignored.lines().map(|line| line.trim_matches('/')).chain([".git"]).collect();
    let mut found = Vec::new();
    let mut open = vec![String::new()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(top.join(&directory)).expect("the tree can be read") {
            let entry = entry.expect("the tree can be read");
            let name = entry.file_name().into_string().expect("paths are text");
            let path = if directory.is_empty() { name } else { format!("{directory}/{name}") };
            if ignored.contains(&&*path) {
                continue;
            }
            let is_directory = entry.file_type().expect("the tree can be read").is_dir();
            if is_directory { open.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

#[test]
fn with_and_without_git_the_same_files_are_found() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    if let Some(known) = git_paths(top) {
        let known: Vec<String> = known.into_iter().filter(|path| top.join(path).exists()).collect();
        assert_eq!(known, walked_paths(top));
    }
}

//! Programs of others: where they are, and what they call themselves.

use super::error::BenchError;
use crate::escape::visible;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where Debian puts servers, which is not on everybody's PATH.
const SERVER_DIRECTORIES: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/// Where a program is.
pub(super) fn find(program: &'static str, package: &'static str) -> Result<PathBuf, BenchError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(SERVER_DIRECTORIES.map(PathBuf::from));
    let found = directories.map(|directory| directory.join(program)).find(|file| file.is_file());
    found.ok_or(BenchError::Missing { program, package })
}

/// The first line that a program says of itself.
pub(super) fn version(program: &Path, flag: &str) -> String {
    let output = Command::new(program).arg(flag).stdin(Stdio::null()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    // Redis adds how it was built.
    visible(line.split(" sha=").next().unwrap_or(line).trim()).into_owned()
}

/// The first two numbers of a version such as `nats-server: v2.9.10`.
pub(super) fn major_minor(version: &str) -> Option<(u32, u32)> {
    let digits = version.find(|character: char| character.is_ascii_digit())?;
    let mut numbers = version[digits..].split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_missing_is_named_with_its_package() {
        let error = find("no-such-broker", "its-package").unwrap_err();
        assert_eq!(error.to_string(), "no-such-broker is not on the PATH; on Debian: apt-get install its-package");
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert_eq!(major_minor("nats-server: v2.9.10"), Some((2, 9)));
        assert!(major_minor("nats-server: v2.10.1") > major_minor("nats-server: v2.9.10"));
        assert_eq!(major_minor("Redis server v=7.0.15"), Some((7, 0)));
        assert_eq!(major_minor("unknown"), None);
    }
}

//! The media, tried on real files.

mod faults;
mod forgetting;
mod full;
mod injected;
mod media;
mod rehearsal;
mod scratch;
mod threads;

use fanwire_core::journal::disk::DiskError;
use std::time::Duration;

/// How long anything that has to happen may take, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a failed medium says.
#[track_caller]
fn words<T>(result: Result<T, impl Into<DiskError>>) -> String {
    match result.map_err(Into::into) {
        Err(DiskError::Failed(words) | DiskError::NamesUnsynced(words)) => words,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it should have been refused"),
    }
}

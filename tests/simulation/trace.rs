//! What happened, as text: hashed always, so that two runs of one seed can be compared, and kept when somebody is
//! going to read it.

use std::fmt::{Arguments, Write};
use std::hash::{DefaultHasher, Hasher};

/// The record of one run.
pub(crate) struct Trace {
    hasher: DefaultHasher,
    text: Option<String>,
}

impl Trace {
    pub(crate) fn new(is_kept: bool) -> Self {
        Trace { hasher: DefaultHasher::new(), text: is_kept.then(String::new) }
    }

    pub(crate) fn note(&mut self, line: Arguments<'_>) {
        // Writing to a hasher or a string cannot fail.
        let _ = HashWriter(&mut self.hasher).write_fmt(line);
        if let Some(text) = &mut self.text {
            let _ = writeln!(text, "{line}");
        }
    }

    /// Bytes that the broker sent: part of the hash, too long for the text.
    pub(crate) fn note_bytes(&mut self, bytes: &[u8]) {
        self.hasher.write(bytes);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    pub(crate) fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }
}

struct HashWriter<'a>(&'a mut DefaultHasher);

impl Write for HashWriter<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

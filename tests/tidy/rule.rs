//! What a rule is, and what it finds.

use super::tree::Tree;
use std::fmt;

/// A few files, path and text, that stand for a tree.
pub(crate) type Sample = &'static [(&'static str, &'static str)];

/// One rule of the house.
pub(crate) struct Rule {
    /// What holds, as a sentence.
    pub(crate) name: &'static str,
    /// What whoever breaks it should do.
    pub(crate) remedy: &'static str,
    /// Looks through a tree.
    pub(crate) check: fn(&Tree, &mut Findings),
    /// Trees in which it must find something.
    pub(crate) bad: &'static [Sample],
    /// Trees in which it must find nothing.
    pub(crate) good: &'static [Sample],
}

impl Rule {
    pub(crate) fn findings(&self, tree: &Tree) -> Findings {
        let mut findings = Findings::default();
        (self.check)(tree, &mut findings);
        findings
    }
}

/// Where a rule is broken.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<String>);

impl Findings {
    /// Notes a breach in a line; lines count from 1.
    pub(crate) fn at(&mut self, path: &str, line: usize, what: impl fmt::Display) {
        self.0.push(format!("{path}:{line}: {what}"));
    }

    /// Notes a breach of a whole file.
    pub(crate) fn file(&mut self, path: &str, what: impl fmt::Display) {
        self.0.push(format!("{path}: {what}"));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|finding| writeln!(formatter, "    {finding}"))
    }
}

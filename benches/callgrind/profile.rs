//! What callgrind has written down about one scene: which function spent how many instructions itself.
//!
//! ```text
//!  fn=(12) name      from here on costs are this function's; later only fn=(12)
//!  264 1000          line, instructions
//!  +6 1000           the same, relative
//!  calls=50 0        the next line is what a call has cost, which is the called function's
//!  totals: 712508
//! ```
//!
//! `callgrind_annotate` reads these files too, but takes what calls have cost for the caller's own where they go on
//! while the file is written, and here those of `main` and its callers always do.

use std::collections::HashMap;

/// The cost of a scene.
pub(crate) struct Profile {
    /// Instructions in all.
    pub(crate) total: u64,
    /// Each function that spent some itself, what is inlined into it included; the largest first.
    pub(crate) functions: Vec<(String, u64)>,
}

impl Profile {
    /// `None` for a text that is no profile.
    pub(crate) fn read(text: &str) -> Option<Profile> {
        let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok())?;
        let mut names: HashMap<&str, &str> = HashMap::new();
        let mut costs: HashMap<&str, u64> = HashMap::new();
        let mut function = "";
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(named) = line.strip_prefix("fn=") {
                function = known_name(named, &mut names)?;
            } else if let Some(called) = line.strip_prefix("cfn=") {
                known_name(called, &mut names)?;
            } else if line.starts_with("calls=") {
                lines.next()?;
            } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
                let instructions: u64 = line.split_once(' ')?.1.parse().ok()?;
                *costs.entry(function).or_default() += instructions;
            }
        }
        let mut functions: Vec<(String, u64)> = costs.into_iter().map(|(name, cost)| (name.to_owned(), cost)).collect();
        functions.sort_by(|(name, cost), (other_name, other_cost)| (other_cost, name).cmp(&(cost, other_name)));
        Some(Profile { total, functions })
    }
}

/// The name in `(12) name`, or the one that was told before when this is `(12)`.
fn known_name<'t>(named: &'t str, names: &mut HashMap<&'t str, &'t str>) -> Option<&'t str> {
    let (number, name) = named.split_once(' ').map_or((named, None), |(number, name)| (number, Some(name)));
    match name {
        Some(name) => {
            names.insert(number, name);
            Some(name)
        }
        None => names.get(number).copied(),
    }
}

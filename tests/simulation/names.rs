//! The names of a run: few, so that filters overlap and many want the same, with a flood of unique ones beside them.

use crate::random::Random;

const LEVELS: [&str; 4] = ["a", "b", "c", ""];

/// Which names a run uses.
pub(crate) struct Names {
    /// How many of `LEVELS` occur.
    levels: u64,
    depth_max: u64,
    /// How often a topic is one that nobody has used before.
    unique_per_mille: u64,
    unique: u64,
    /// No filter begins with a wildcard.
    is_rooted: bool,
}

impl Names {
    pub(crate) fn draw(random: &mut Random, is_rooted: bool) -> Self {
        Names {
            levels: random.between(1, LEVELS.len() as u64),
            depth_max: random.between(1, 3),
            unique_per_mille: *random.pick(&[0, 0, 50, 600]),
            unique: 0,
            is_rooted,
        }
    }

    /// A name that may be published to.
    pub(crate) fn topic(&mut self, random: &mut Random) -> String {
        if random.chance(self.unique_per_mille) {
            self.unique += 1;
            return format!("{}/u{}", self.level(random), self.unique);
        }
        let mut name = self.levels(random).join("/");
        if name.is_empty() {
            name.push('a');
        }
        name
    }

    pub(crate) fn filter(&mut self, random: &mut Random) -> String {
        if random.chance(450) {
            return self.topic(random);
        }
        let mut levels = self.levels(random);
        for level in &mut levels {
            if random.chance(400) {
                *level = "+";
            }
        }
        if random.chance(400) {
            levels.push("#");
        } else if random.chance(100) && !self.is_rooted {
            levels = vec!["#"];
        }
        if self.is_rooted && levels[0] == "+" {
            levels[0] = LEVELS[0];
        }
        if random.chance(20) {
            levels.insert(0, "$sys");
        }
        // Three levels, of which two may be `+`, is what the limits of a run allow.
        levels.truncate(4);
        let plus = levels.iter().filter(|level| **level == "+").count();
        let filter = levels.join("/");
        if filter.is_empty() || plus > 2 { "a/+".to_owned() } else { filter }
    }

    /// A name that is refused.
    pub(crate) fn wrong_topic(&mut self, random: &mut Random) -> Vec<u8> {
        let wrong: [&[u8]; 9] = [
            b"",
            b"a/+",
            b"#",
            b"$sys/load",
            b"$",
            b"a\x00b",
            b"a\xff",
            b"a/b/c/d/e/f",
            b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ];
        random.pick(&wrong).to_vec()
    }

    /// A filter that is refused.
    pub(crate) fn wrong_filter(&mut self, random: &mut Random) -> Vec<u8> {
        let wrong: [&[u8]; 8] = [b"", b"a+", b"#/a", b"a/#/b", b"+/+/+", b"a\x7f", b"\xc0\x80/#", b"a/b/c/d/e/#"];
        random.pick(&wrong).to_vec()
    }

    pub(crate) fn group(&mut self, random: &mut Random) -> String {
        (*random.pick(&["workers", "g"])).to_owned()
    }

    fn levels(&self, random: &mut Random) -> Vec<&'static str> {
        let depth = random.between(1, self.depth_max);
        (0..depth).map(|_| self.level(random)).collect()
    }

    fn level(&self, random: &mut Random) -> &'static str {
        LEVELS[random.below(self.levels) as usize]
    }
}

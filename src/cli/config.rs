//! `fanwire config`: the default file, and what is wrong with another one.

use super::Failure;
use crate::config::{self, Flags};
use clap::Subcommand;
use std::io::{Write, stdout};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  fanwire config default > fanwire.toml
  fanwire config check fanwire.toml && fanwire serve --config fanwire.toml";

/// Print the default configuration, or check a configuration file
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Config {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print a configuration file with every key, its meaning, its range and its default
    Default,
    /// Say what is wrong with a configuration file, all of it at once; exit status 1 if anything is
    Check {
        /// The file to check
        file: PathBuf,
    },
}

impl Config {
    pub(super) fn run(self) -> Result<(), Failure> {
        let text = match self.action {
            Action::Default => config::default_file(),
            Action::Check { file } => {
                let config = config::Config::load(Some(&file), &Flags::default());
                let config = config.map_err(|error| Failure::Run(format!("the configuration is wrong\n{error}")))?;
                format!("ok: {}\n{}", file.display(), summary(&config))
            }
        };
        let mut output = stdout().lock();
        output.write_all(text.as_bytes())?;
        Ok(output.flush()?)
    }
}

/// What the file comes to: who can connect where, and what differs from the defaults.
fn summary(config: &config::Config) -> String {
    let access = match config.tokens.count() {
        0 => "OPEN: no token is asked for".to_owned(),
        1 => "1 token lets clients in".to_owned(),
        count => format!("{count} tokens let clients in"),
    };
    let mut text = format!("  listens on {}; {access}\n", config.listen);
    for journal in &config.journals {
        text.push_str(&format!("  journal {}\n", journal.summary(config.data.as_deref())));
    }
    let changes = config.changes();
    if changes.is_empty() {
        text.push_str("  every key has its default\n");
    }
    for change in changes {
        text.push_str("  ");
        text.push_str(&change);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_shows_what_differs_but_no_secret() {
        assert!(summary(&config::Config::default()).ends_with("every key has its default\n"));
        let text = "tokens = [\"hunter2\"]\n[limits]\ntopic_levels_max = 8\n";
        let summary = summary(&config::Config::from_text(text, &Flags::default()).unwrap());
        assert!(summary.contains("listens on 127.0.0.1:7311; 1 token lets clients in"), "{summary}");
        assert!(summary.contains("limits.topic_levels_max = 8 (default 16)"), "{summary}");
        assert!(!summary.contains("hunter2"), "{summary}");
    }

    #[test]
    fn the_summary_shows_each_journal() {
        let text = "[[journal]]\nname = \"chat\"\ntopics = [\"chat/#\"]\nstore = \"memory\"\nmax_age = \"1h\"\n";
        let summary = summary(&config::Config::from_text(text, &Flags::default()).unwrap());
        assert!(summary.contains("\n  journal chat: chat/#; in memory; keeps 64MiB and 1h at most\n"), "{summary}");
    }
}

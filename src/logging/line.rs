//! One event as one line: text for people, JSON for programs.
//!
//! ```text
//!  2026-01-02T03:04:05.678Z  WARN fanwire::reactor: connection closed peer=10.0.0.1:5 client="a b" code=14
//!  {"time":"2026-01-02T03:04:05.678Z","level":"warn","target":"fanwire::reactor","message":"connection closed",...}
//! ```
//!
//! Invariants: a line has exactly one line break, at its end; it is bounded; a text value with anything in it but
//! visible characters without spaces, quotes and `=` is quoted.

use crate::config::LogFormat;
use crate::escape::{quoted, visible};
use serde_json::Value;
use std::fmt::{Debug, Write};
use std::time::SystemTime;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// Bytes of one value; the rest of a longer one is cut off, and so a line is bounded too.
const VALUE_BYTES_MAX: usize = 2_048;

/// The event as a line.
pub(super) fn render(time: SystemTime, format: LogFormat, event: &Event<'_>) -> Vec<u8> {
    let mut fields = Fields::default();
    event.record(&mut fields);
    let metadata = event.metadata();
    line(time, format, *metadata.level(), metadata.target(), fields)
}

/// The line that tells how many lines were lost.
pub(super) fn loss(time: SystemTime, format: LogFormat, lost: u64) -> Vec<u8> {
    let message = "log lines were lost: the log's reader is slower than the log".to_owned();
    let fields = Fields { message, others: vec![("lost", Value::from(lost))] };
    line(time, format, Level::WARN, module_path!(), fields)
}

fn line(time: SystemTime, format: LogFormat, level: Level, target: &str, fields: Fields) -> Vec<u8> {
    let time = humantime::format_rfc3339_millis(time);
    let mut line = match format {
        LogFormat::Json => json(&time.to_string(), level, target, fields),
        LogFormat::Text | LogFormat::Auto => {
            let mut text = format!("{time} {level:>5} {target}: {}", visible(&fields.message));
            for (name, value) in &fields.others {
                write!(text, " {name}={}", shown(value)).expect("writing to a string can't fail");
            }
            text
        }
    };
    line.push('\n');
    line.into_bytes()
}

/// In the order in which a person would look for things, which a map would not keep.
fn json(time: &str, level: Level, target: &str, fields: Fields) -> String {
    let level = level.as_str().to_ascii_lowercase();
    let head = [("time", time), ("level", &level), ("target", target), ("message", &fields.message)];
    let head = head.map(|(name, text)| (name, Value::from(text)));
    let members = head.into_iter().chain(fields.others).map(|(name, value)| format!("{}:{value}", Value::from(name)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

fn shown(value: &Value) -> String {
    let Value::String(text) = value else { return value.to_string() };
    let plain = |character: char| !character.is_whitespace() && !matches!(character, '"' | '\\' | '=');
    if is_quoted(text) || (!text.is_empty() && text.chars().all(plain)) {
        visible(text).into_owned()
    } else {
        quoted(text)
    }
}

/// Whether the text is a string literal already, as `?` records strings: quoting it again would only blur it.
fn is_quoted(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return false };
    let mut escaped = false;
    for character in inner.chars() {
        match character {
            '\\' => escaped = !escaped,
            '"' if !escaped => return false,
            _ => escaped = false,
        }
    }
    !escaped
}

/// What an event carries.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn take(&mut self, field: &Field, value: Value) {
        if field.name() == "message" {
            self.message = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        } else {
            self.others.push((field.name(), value));
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = Bounded::default();
        // The only error is the one that says the bound is reached.
        let _ = write!(text, "{value:?}");
        self.take(field, Value::from(text.0));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let mut text = Bounded::default();
        let _ = text.write_str(value);
        self.take(field, Value::from(text.0));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, Value::from(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.take(field, Value::from(value));
    }
}

/// Text that stops growing, and says so.
#[derive(Default)]
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = VALUE_BYTES_MAX.saturating_sub(self.0.len());
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        self.0.push('…');
        Err(std::fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, UNIX_EPOCH};
    use tracing::{Subscriber, info, subscriber::with_default, warn};
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
    use tracing_subscriber::registry::Registry;

    #[derive(Clone)]
    struct Collector(LogFormat, Arc<Mutex<String>>);

    impl<S: Subscriber> Layer<S> for Collector {
        fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
            let time = UNIX_EPOCH + Duration::from_millis(1_767_323_045_678);
            let line = render(time, self.0, event);
            self.1.lock().unwrap().push_str(std::str::from_utf8(&line).unwrap());
        }
    }

    /// The lines that the events of `work` become.
    fn lines(format: LogFormat, work: impl FnOnce()) -> String {
        let collector = Collector(format, Arc::default());
        with_default(Registry::default().with(collector.clone()), work);
        collector.1.lock().unwrap().clone()
    }

    #[test]
    fn text_shows_time_level_target_message_and_fields() {
        let text = lines(LogFormat::Text, || {
            warn!(target: "fanwire::reactor", peer = %"10.0.0.1:5", code = 14, name = "a b", said = ?"x\"y", "closed");
        });
        let expected = "2026-01-02T03:04:05.678Z  WARN fanwire::reactor: closed \
                        peer=10.0.0.1:5 code=14 name=\"a b\" said=\"x\\\"y\"\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn hostile_values_forge_no_line_and_no_field_in_either_format() {
        let hostile = "x peer=1.2.3.4\n2026-01-02T03:04:05.678Z ERROR fanwire: \x1b[2Jgone\u{202e}";
        let work = || {
            info!(display = %hostile, debug = ?hostile, text = hostile, "{hostile}");
        };
        let text = lines(LogFormat::Text, work);
        assert_eq!(text.lines().count(), 1);
        assert!(!text.contains(['\x1b', '\u{202e}']));
        assert_eq!(text.matches("\"x peer=1.2.3.4\\n").count(), 3, "{text}");
        let json = lines(LogFormat::Json, work);
        assert_eq!(json.lines().count(), 1);
        let object: Value = serde_json::from_str(&json).unwrap();
        assert!(json.starts_with("{\"time\":\"2026-01-02T03:04:05.678Z\",\"level\":\"info\",\"target\":"), "{json}");
        assert_eq!(object["display"], hostile);
        assert_eq!(object["message"], hostile);
        assert_eq!(object["level"], "info");
        assert_eq!(object["time"], "2026-01-02T03:04:05.678Z");
    }

    #[test]
    fn a_text_that_only_looks_like_a_literal_is_quoted() {
        for (text, expected) in [
            ("\"a\" peer=\"b\"", "\"\\\"a\\\" peer=\\\"b\\\"\""),
            ("\"a\\\"", "\"\\\"a\\\\\\\"\""),
            ("\"", "\"\\\"\""),
            ("", "\"\""),
            ("\"a\"", "\"a\""),
        ] {
            assert_eq!(shown(&Value::from(text)), expected);
        }
    }

    #[test]
    fn a_long_value_is_cut_at_a_character() {
        let long = "é".repeat(VALUE_BYTES_MAX);
        let text = lines(LogFormat::Text, || info!(name = %format!("x{long}"), "long"));
        assert!(text.len() < VALUE_BYTES_MAX + 200 && text.ends_with("é…\n"), "{text}");
    }

    #[test]
    fn numbers_and_truth_stay_what_they_are_in_json() {
        let json = lines(LogFormat::Json, || info!(up = true, below = -1_i64, share = 0.5, "figures"));
        let object: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(object["up"], true);
        assert_eq!(object["below"], -1);
        assert_eq!(object["share"], 0.5);
        let lost = String::from_utf8(loss(UNIX_EPOCH, LogFormat::Text, 7)).unwrap();
        assert!(lost.contains("WARN") && lost.ends_with("lost=7\n"), "{lost}");
    }
}

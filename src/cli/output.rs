//! How `sub`, `request` and `journal dump` show what they got.
//!
//! | format | one message is | for |
//! |---|---|---|
//! | `text` | `topic: payload`, a line | people |
//! | `raw` | the payload's bytes, nothing before, between or after | files, pipes of one message |
//! | `json` | one object, a line: `topic`, `payload` or `payload_base64`, `headers` when there are some | programs |
//!
//! A record of a journal has more in `json`: `seq`, and as far as they are known `epoch`, `position`, `time`; and
//! `history`, whether it comes from the journal or live. In a dump `text` has its place too.
//!
//! On a terminal, characters that would drive it are written out, except in `raw`, which is asked for by name;
//! elsewhere bytes stay as they are.

use crate::escape::{is_hidden, visible};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use fanwire_wire::Headers;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::time::{Duration, UNIX_EPOCH};

/// Bytes gathered before they are written, when more keeps coming.
const BUFFER_BYTES: usize = 64 * 1024;
/// The last moment of the year 9999.
const TIME_US_MAX: u64 = 253_402_300_799_999_999;

/// How a message is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Format {
    /// `topic: payload`, a line
    #[default]
    Text,
    /// The payload's bytes and nothing else, not even a line break between messages
    Raw,
    /// One object a line: topic, payload (payload_base64 when it is not UTF-8), headers when there are some; of a
    /// journal also epoch, seq, position, time and history
    Json,
}

/// A message as far as it is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) topic: &'a str,
    pub(super) headers: Headers<'a>,
    pub(super) payload: &'a [u8],
    /// Where it stands, if a journal holds it.
    pub(super) place: Option<Place>,
}

/// A record's place in its journal, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) epoch: Option<u64>,
    pub(super) sequence: u64,
    pub(super) position: Option<u64>,
    /// Microseconds since 1970-01-01 UTC.
    pub(super) time_us: Option<u64>,
    pub(super) is_history: bool,
}

/// A time in microseconds since 1970-01-01 UTC as RFC 3339; none if no calendar reaches it.
pub(super) fn show_time(time_us: u64) -> Option<String> {
    let time = (time_us <= TIME_US_MAX).then(|| UNIX_EPOCH + Duration::from_micros(time_us))?;
    Some(humantime::format_rfc3339_micros(time).to_string())
}

/// Where messages are shown, buffered: flush when nothing more is at hand.
pub(super) struct Output<W: Write> {
    writer: BufWriter<W>,
    format: Format,
    is_terminal: bool,
}

impl Output<StdoutLock<'static>> {
    /// Standard output, ours alone from now on.
    pub(super) fn standard(format: Format) -> Self {
        let lock = io::stdout().lock();
        let is_terminal = lock.is_terminal();
        Output::new(lock, format, is_terminal)
    }
}

impl<W: Write> Output<W> {
    fn new(writer: W, format: Format, is_terminal: bool) -> Self {
        Output { writer: BufWriter::with_capacity(BUFFER_BYTES, writer), format, is_terminal }
    }

    /// Shows one message.
    pub(super) fn show(&mut self, message: Shown<'_>) -> io::Result<()> {
        match self.format {
            Format::Text => self.show_text(message),
            Format::Raw => self.writer.write_all(message.payload),
            Format::Json => self.show_json(message),
        }
    }

    /// Shows one message of a dump: as text with position and time in front, and the sequence behind the topic.
    pub(super) fn show_dumped(&mut self, message: Shown<'_>) -> io::Result<()> {
        let (Format::Text, Some(place)) = (self.format, message.place) else { return self.show(message) };
        if let Some(position) = place.position {
            write!(self.writer, "{position} ")?;
        }
        if let Some(time) = place.time_us.and_then(show_time) {
            write!(self.writer, "{time} ")?;
        }
        self.show_line(message, &format!(" #{}", place.sequence))
    }

    /// Shows a payload alone: as it is, but made safe and ended with a line break on a terminal.
    pub(super) fn show_payload(&mut self, payload: &[u8]) -> io::Result<()> {
        if !self.is_terminal {
            return self.writer.write_all(payload);
        }
        for line in String::from_utf8_lossy(payload).lines() {
            writeln!(self.writer, "{}", visible(line))?;
        }
        Ok(())
    }

    /// Lets everything shown so far be seen.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    fn show_text(&mut self, message: Shown<'_>) -> io::Result<()> {
        self.show_line(message, "")
    }

    /// Topic and payload as a line, with this behind the topic.
    fn show_line(&mut self, message: Shown<'_>, behind: &str) -> io::Result<()> {
        if self.is_terminal {
            let payload = String::from_utf8_lossy(message.payload);
            return writeln!(self.writer, "{}{behind}: {}", visible(message.topic), visible(&payload));
        }
        self.writer.write_all(message.topic.as_bytes())?;
        self.writer.write_all(behind.as_bytes())?;
        self.writer.write_all(b": ")?;
        self.writer.write_all(message.payload)?;
        self.writer.write_all(b"\n")
    }

    fn show_json(&mut self, message: Shown<'_>) -> io::Result<()> {
        self.writer.write_all(b"{\"topic\":")?;
        self.write_string(message.topic)?;
        self.writer.write_all(b",")?;
        self.write_bytes("payload", message.payload)?;
        if !message.headers.is_empty() {
            self.writer.write_all(b",\"headers\":[")?;
            for (index, (name, value)) in message.headers.iter().enumerate() {
                self.writer.write_all(if index == 0 { b"{\"name\":" } else { b",{\"name\":" })?;
                self.write_string(name)?;
                self.writer.write_all(b",")?;
                self.write_bytes("value", value)?;
                self.writer.write_all(b"}")?;
            }
            self.writer.write_all(b"]")?;
        }
        if let Some(place) = message.place {
            self.write_place(place)?;
        }
        self.writer.write_all(b"}\n")
    }

    fn write_place(&mut self, place: Place) -> io::Result<()> {
        let numbers = [("epoch", place.epoch), ("seq", Some(place.sequence)), ("position", place.position)];
        for (name, value) in numbers {
            if let Some(value) = value {
                write!(self.writer, ",\"{name}\":{value}")?;
            }
        }
        // A time that no calendar reaches is a broker's nonsense.
        if let Some(time) = place.time_us.and_then(show_time) {
            write!(self.writer, ",\"time\":\"{time}\"")?;
        }
        write!(self.writer, ",\"history\":{}", place.is_history)
    }

    /// `"name":"text"`, or `"name_base64":"..."` when the bytes are no text.
    fn write_bytes(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                write!(self.writer, "\"{name}\":")?;
                self.write_string(text)
            }
            Err(_) => write!(self.writer, "\"{name}_base64\":\"{}\"", STANDARD.encode(bytes)),
        }
    }

    fn write_string(&mut self, text: &str) -> io::Result<()> {
        if !self.is_terminal {
            return serde_json::to_writer(&mut self.writer, text).map_err(io::Error::from);
        }
        // JSON escapes the first 32 characters alone; a terminal obeys more than those.
        for character in serde_json::to_string(text)?.chars() {
            if is_hidden(character) {
                write!(self.writer, "\\u{:04x}", u32::from(character))?;
            } else {
                write!(self.writer, "{character}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn shown(format: Format, is_terminal: bool, topic: &str, payload: &[u8], headers: &[u8]) -> Vec<u8> {
        let mut output = Output::new(Vec::new(), format, is_terminal);
        output.show(Shown { topic, headers: Headers(headers), payload, place: None }).unwrap();
        output.writer.into_inner().unwrap()
    }

    fn object(topic: &str, payload: &[u8], headers: &[u8]) -> Value {
        let line = shown(Format::Json, false, topic, payload, headers);
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        serde_json::from_slice(&line).unwrap()
    }

    #[test]
    fn json_is_one_object_a_line_with_text_or_base64() {
        assert_eq!(object("a/b", b"x", b""), json!({"topic": "a/b", "payload": "x"}));
        assert_eq!(object("a", b"", b""), json!({"topic": "a", "payload": ""}));
        assert_eq!(
            object("q\"", b"line\n\"two\"\\\x01", b""),
            json!({"topic": "q\"", "payload": "line\n\"two\"\\\u{1}"})
        );
        assert_eq!(object("a", b"\xff\x00", b""), json!({"topic": "a", "payload_base64": "/wA="}));
    }

    #[test]
    fn json_shows_headers_in_order_repeats_and_bytes_included() {
        let mut block = Vec::new();
        Headers::push(&mut block, "content-type", b"text/plain");
        Headers::push(&mut block, "trace", b"\xff");
        Headers::push(&mut block, "trace", b"2");
        let expected = json!([
            {"name": "content-type", "value": "text/plain"},
            {"name": "trace", "value_base64": "/w=="},
            {"name": "trace", "value": "2"},
        ]);
        assert_eq!(object("a", b"x", &block)["headers"], expected);
    }

    #[test]
    fn json_shows_a_records_place_as_far_as_it_is_known() {
        let shown = |place| {
            let mut output = Output::new(Vec::new(), Format::Json, false);
            output.show(Shown { topic: "a", headers: Headers(b""), payload: b"x", place: Some(place) }).unwrap();
            serde_json::from_slice::<Value>(&output.writer.into_inner().unwrap()).unwrap()
        };
        let live = Place { epoch: None, sequence: 4, position: None, time_us: None, is_history: false };
        assert_eq!(shown(live), json!({"topic": "a", "payload": "x", "seq": 4, "history": false}));
        let time_us = Some(1_767_225_600_000_250);
        let past = Place { epoch: Some(3), sequence: 4, position: Some(70), time_us, is_history: true };
        assert_eq!(
            shown(past),
            json!({"topic": "a", "payload": "x", "epoch": 3, "seq": 4, "position": 70,
                "time": "2026-01-01T00:00:00.000250Z", "history": true})
        );
        assert_eq!(shown(Place { time_us: Some(u64::MAX), ..past }).get("time"), None);
    }

    #[test]
    fn a_dumped_record_has_its_place_beside_it_as_text() {
        let time_us = Some(1_767_225_600_000_250);
        let place = Some(Place { epoch: Some(3), sequence: 4, position: Some(70), time_us, is_history: true });
        let dumped = |format, is_terminal| {
            let mut output = Output::new(Vec::new(), format, is_terminal);
            output.show_dumped(Shown { topic: "a\x1b", headers: Headers(b""), payload: b"x\x1b", place }).unwrap();
            String::from_utf8(output.writer.into_inner().unwrap()).unwrap()
        };
        assert_eq!(dumped(Format::Text, false), "70 2026-01-01T00:00:00.000250Z a\x1b #4: x\x1b\n");
        assert_eq!(dumped(Format::Text, true), "70 2026-01-01T00:00:00.000250Z a\\u{1b} #4: x\\u{1b}\n");
        assert_eq!(dumped(Format::Raw, false), "x\x1b");
        assert!(dumped(Format::Json, false).contains("\"position\":70"));
    }

    #[test]
    fn a_terminal_sees_no_control_character_and_json_still_means_the_same() {
        let hostile = "a\x1b[2J\u{9b}b\u{202e}\n\"c";
        let text = String::from_utf8(shown(Format::Text, true, "t", hostile.as_bytes(), b"")).unwrap();
        assert_eq!(text, "t: a\\u{1b}[2J\\u{9b}b\\u{202e}\\n\"c\n");
        let line = String::from_utf8(shown(Format::Json, true, "t", hostile.as_bytes(), b"")).unwrap();
        assert!(!line.trim_end().contains(is_hidden), "{line}");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["payload"], hostile);
        let mut output = Output::new(Vec::new(), Format::Raw, true);
        output.show_payload(b"one\n\x1btwo\xff").unwrap();
        assert_eq!(output.writer.into_inner().unwrap(), "one\n\\u{1b}two\u{fffd}\n".as_bytes());
    }

    #[test]
    fn elsewhere_bytes_stay_as_they_are() {
        assert_eq!(shown(Format::Text, false, "t", b"\x1b\xff", b""), b"t: \x1b\xff\n");
        assert_eq!(shown(Format::Raw, false, "t", b"\x1b\xff", b""), b"\x1b\xff");
        let mut output = Output::new(Vec::new(), Format::Text, false);
        output.show_payload(b"as\xffis").unwrap();
        assert_eq!(output.writer.into_inner().unwrap(), b"as\xffis");
    }
}

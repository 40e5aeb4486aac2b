//! The head of an HTTP answer, which a WebSocket and a stream of events begin with.

use crate::bench::adapter::Fault;

const VERSION: &[u8] = b"HTTP/1.1 ";
const END: &[u8] = b"\r\n\r\n";

/// How many bytes the head of an answer with this status has; `None` while it is not whole.
pub(super) fn head_bytes(bytes: &[u8], status: &str) -> Result<Option<usize>, Fault> {
    let known = bytes.len().min(VERSION.len());
    if bytes[..known] != VERSION[..known] {
        return Err(Fault::Unknown("HTTP"));
    }
    let Some(end) = bytes.windows(END.len()).position(|window| window == END) else { return Ok(None) };
    let line = bytes[..end].split(|byte| *byte == b'\r').next().unwrap_or_default();
    match line[VERSION.len()..].starts_with(status.as_bytes()) {
        true => Ok(Some(end + END.len())),
        false => Err(Fault::Refused(line.escape_ascii().to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_whole_with_its_empty_line_and_says_what_was_asked_for() {
        let answer = b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n\r\n:";
        assert_eq!(head_bytes(answer, "200"), Ok(Some(answer.len() - 1)));
        assert!((0..answer.len() - 1).all(|cut| head_bytes(&answer[..cut], "200") == Ok(None)));
        let refused = head_bytes(answer, "101").unwrap_err().to_string();
        assert!(refused.contains("HTTP/1.1 200 OK"), "{refused}");
        assert_eq!(head_bytes(b"+OK", "200"), Err(Fault::Unknown("HTTP")));
    }
}

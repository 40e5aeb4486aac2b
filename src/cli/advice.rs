//! What to do next about a refusal, where the command line knows more than the code's own words.

use fanwire_client::{Code, Refusal};

/// The refusal, and the next step where there is one to name.
pub(super) fn with_advice(refusal: &Refusal) -> String {
    match refusal.known().and_then(advice) {
        Some(advice) => format!("{refusal}; {advice}"),
        None => refusal.to_string(),
    }
}

const fn advice(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::StartUnavailable => {
            "no one journal covers this filter: start the broker with --journal 'name=filter', or leave --from out"
        }
        Code::PolicyUnavailable => {
            "catch-up needs a journal that covers the filter: start the broker with --journal 'name=filter'"
        }
        Code::AckLevelUnavailable => {
            "only a journal on a disk gives it: start the broker with --journal 'name=filter', or ask for --ack routed"
        }
        Code::JournalFull => "make room on the broker's disk: it then goes on by itself",
        Code::JournalUnavailable => {
            "the broker's log says what stands in its way: it goes on by itself once that is gone"
        }
        Code::JournalFailed => "the broker's log says what failed; mend the disk, then start the broker anew",
        Code::Conflict => "read on with fanwire sub TOPIC --from seq:N, then publish with --expect and the actual one",
        Code::ProducerTooOld => "whether it is there shows fanwire sub TOPIC --from last:N",
        Code::TooManyTopics => "use fewer topics, or raise the journal's topics_max",
        Code::RecordTooLarge => "send less at once, or raise the journal's segment_bytes",
        Code::RetentionOvertaken => "what is left begins with --from first",
        Code::HistoryFailed => "the broker's log says what could not be read",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanwire_client::Retry;

    #[test]
    fn a_start_without_a_journal_is_told_how_to_have_one() {
        let refusal =
            |code: Code| Refusal { code: code.number(), retry: Retry::Never, text: String::new(), actual: None };
        assert!(with_advice(&refusal(Code::StartUnavailable)).contains("--journal 'name=filter'"));
        let plain = refusal(Code::InvalidTopic);
        assert_eq!(with_advice(&plain), plain.to_string());
    }
}

//! Stand-ins for what a shard has to do with, for tests of its parts: an encoding, and a journal.

use crate::encoding::{Delivery, Encoding, Event, HistoryOf};
use crate::journal::history::{History, HistoryRecord};
use crate::journal::plan::{Plan, Planned};
use crate::releases::{Note, Releases};
use crate::shard::Shard;
use crate::submissions::Submission;
use fanwire_wire::Code;

/// Payloads as they are, and in words what some test looks for, GAPs in one length; everything else is nothing.
pub(crate) struct Plain;

impl Encoding for Plain {
    fn render_message(&self, message: &Delivery<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(message.payload);
    }

    fn render_history(&self, _of: &HistoryOf, record: &HistoryRecord<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(record.payload);
    }

    fn render_event(&self, event: &Event<'_>, out: &mut Vec<u8>) {
        let told = match event {
            Event::Gap { subscription, dropped, .. } => format!("gap {subscription} {dropped:08};"),
            Event::Unsubscribed { subscription, code: Some(Code::RetentionOvertaken) } => {
                format!("overtaken {subscription};")
            }
            _ => String::new(),
        };
        out.extend_from_slice(told.as_bytes());
    }
}

/// A plan of one journal on a disk.
pub(crate) fn plan_of(filter: &str) -> Plan {
    let filters = vec![filter.to_owned()];
    Plan::new(vec![Planned { filters, is_volatile: false, is_refused: false, epoch: 1 }])
}

/// A journal that does nothing but let live subscriptions begin.
pub(crate) fn let_begin(shard: &mut Shard) {
    let mut submissions = std::mem::take(shard.submissions());
    let mut releases = Releases::default();
    while let Some(submission) = submissions.peek() {
        if let Submission::Begin { cursor, .. } = submission {
            releases.push_note(Note::Joined { cursor, history: History::default() });
        }
        submissions.advance();
    }
    assert!(shard.receive_releases(&mut releases), "a turn takes so little");
}

//! A shard that retention has overtaken, or that could not read: what it was to read of a journal by itself is gone
//! before it came to it, or never comes.
//!
//! ```text
//!  journal   [ removed ....... ][ here still ........ ] <-- the shard's cursor goes on at the end
//!               ^ it was here      `-- left out, too       |
//!               `------------- missing ------------------ told
//! ```
//!
//! Subscriptions inside the journal end, and can resume: they hear at once what is missing. Those that reach beyond it,
//! and groups, go on with a GAP. It stands before the first record behind the loss, and counts every record that the
//! shard did not read, since nobody knows any more which of them a filter matched. Of a group every member is told:
//! each could have been picked.

use crate::arena::{CursorKey, SubscriptionKey};
use crate::journal::plan::JournalId;
use crate::mail::{MembershipId, Note, Parcel};
use crate::shard::Shard;
use crate::subscription::Place;

impl Shard {
    /// A shard's own cursor goes on with this position: what lies before it, and was not read, is told.
    pub(crate) fn tell_overtaken(&mut self, key: CursorKey, next_position: u64) {
        let Some((journal, missing)) = self.cursors[key].take_missing(next_position) else { return };
        // What is gathered was there before the loss.
        self.seal_all();
        for subscription in self.subscriptions_beyond(journal) {
            self.note_loss_at_back(subscription, missing, 0);
        }
        for (shard, membership) in self.members_reaching(journal) {
            self.tell(shard, Note::Missed { membership, count: missing }, Parcel::default());
        }
    }

    /// The group of a member could not be given messages.
    pub(crate) fn note_missed(&mut self, id: MembershipId, count: u64) {
        let Some(subscription) = self.subscription_of(id) else { return };
        let session = self.subscriptions[subscription].session;
        if !self.sessions[session].is_doomed {
            self.note_loss_at_back(subscription, count, 0);
        }
    }

    /// Subscriptions that match topics of a journal, and others.
    fn subscriptions_beyond(&self, journal: JournalId) -> Vec<SubscriptionKey> {
        let plan = &self.journaling.plan;
        let all = self.subscriptions.iter().filter(|(_, found)| !found.journal.is_some());
        let reaching = all.filter(|(_, found)| match found.place {
            Place::Node(node) => plan.reaches(&self.filters.text_of(node), journal),
            Place::Topic(_) | Place::Group(_) => false,
        });
        let is_told = |key: &SubscriptionKey| !self.sessions[self.subscriptions[*key].session].is_doomed;
        reaching.map(|(key, _)| key).filter(is_told).collect()
    }

    /// Members, wherever they are, of the groups here that take publications of a journal.
    fn members_reaching(&self, journal: JournalId) -> Vec<(u8, MembershipId)> {
        let groups = self.groups.iter().filter(|(_, group)| !group.responder);
        let reaching = groups.filter(|(_, group)| self.journaling.plan.reaches(group.filter(), journal));
        let members = reaching.flat_map(|(_, group)| &group.members);
        members.map(|member| self.groups.member(*member)).map(|member| (member.shard, member.membership)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, Subscribe};
    use crate::cursors::HistoryMail;
    use crate::encoding::EncodingId;
    use crate::interest::Seat;
    use crate::journal::catalog::Place as ReadPlace;
    use crate::journal::history::{History, Reached, ReadEnd};
    use crate::session::{SessionId, Slices};
    use crate::settings::Settings;
    use crate::stand_in::{Plain, let_begin, plan_of};
    use crate::submissions::CursorId;
    use crate::time::Time;
    use fanwire_wire::frame::{Outcome, Policy, Start};

    fn shard_with_subscriptions() -> (Shard, SessionId) {
        let seat = Seat::row_with_journals(1).remove(0);
        let shard = Shard::seated(Settings::default(), vec![Box::new(Plain)], seat, Time::default());
        let mut shard = shard.with_journals(plan_of("a/#"));
        let session = shard.open_session(EncodingId(0));
        let wishes = [(1, "a/1", ""), (2, "+/1", ""), (3, "b/+", ""), (4, "a/1", "workers"), (5, "b/1", "workers")];
        for (subscription, filter, group) in wishes {
            let wish = Subscribe {
                subscription,
                filter: filter.as_bytes(),
                group: group.as_bytes(),
                policy: Policy::DropNewest,
                no_echo: false,
                responder: false,
                max_rate_hz: 0,
                start: Start::Live,
            };
            shard.handle(session, &Command::Subscribe(wish)).unwrap();
        }
        let_begin(&mut shard);
        (shard, session)
    }

    fn hear(shard: &mut Shard, opened: Outcome, end: ReadEnd) {
        let (key, serial) = shard.cursors.iter().map(|(key, cursor)| (key, cursor.serial())).next().unwrap();
        let history = History::default();
        shard.receive_history(&HistoryMail { cursor: CursorId { key, serial }, opened: Some(opened), history, end });
    }

    fn told(shard: &mut Shard, session: SessionId) -> String {
        shard.finish_turn();
        let mut slices = Slices::new();
        shard.front(session, &mut slices);
        String::from_utf8(slices.concat()).unwrap()
    }

    #[test]
    fn whoever_may_miss_what_retention_removed_before_the_shard_has_read_it_is_told() {
        let (mut shard, session) = shard_with_subscriptions();
        shard.open_relay(JournalId(0), 5);
        hear(&mut shard, Outcome::ResetRetention, ReadEnd::More);
        let place = ReadPlace { base: 1, offset: 0 };
        hear(&mut shard, Outcome::Live, ReadEnd::Tail(Reached { place, position: 20, sequence: 0 }));
        assert_eq!(told(&mut shard, session), "overtaken 1;gap 2 00000016;gap 4 00000016;");
    }
}

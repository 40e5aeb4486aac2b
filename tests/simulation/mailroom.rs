//! A node's mail: what it reads in a turn, what it posts at the end of one, and who waits for it.

use crate::node::{Lent, Node};
use crate::post::Post;

impl Node {
    pub(crate) fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let (own, count) = (self.number, self.count);
        (0..count).filter(move |node| *node != own)
    }

    /// Learns what of its mail was read elsewhere, now or some turns later.
    pub(crate) fn note_transit(&mut self, post: &Post, lent: &mut Lent<'_>) {
        self.note_full(lent);
        for to in self.others() {
            if lent.is_resting || lent.random.chance(600) {
                self.shard.note_transit(to, post.bytes(self.number, to));
            }
        }
        self.resume(lent);
    }

    /// That a way is full is known until the node is told otherwise.
    pub(crate) fn note_full(&self, lent: &mut Lent<'_>) {
        if self.shard.awaited_lanes() != 0 {
            lent.oracle.full_at = Some(lent.oracle.moment);
        }
    }

    /// Those whose command waited for others are read again.
    pub(crate) fn resume(&mut self, lent: &mut Lent<'_>) {
        let mut resumed = Vec::new();
        self.shard.take_resumed(&mut resumed);
        for session in resumed {
            let uid = self.names[&session];
            let link = self.links.get_mut(&uid).expect("a session has its link");
            link.is_postponed = false;
            link.has_more = !link.is_parting;
            lent.trace.note(format_args!("connection {uid} is resumed"));
        }
    }

    /// Reads letters of one other node, as long as the turn's budget lasts.
    pub(crate) fn read_mail(&mut self, from: usize, post: &mut Post, lent: &mut Lent<'_>) {
        let letters_max = if lent.is_resting { u64::MAX } else { lent.random.between(1, 4) };
        for _ in 0..letters_max {
            if self.shard.wants_flush() || !self.read_letter(from, post, lent) {
                return;
            }
        }
    }

    /// Reads a letter, or the next piece of it. Returns whether there was one.
    pub(crate) fn read_letter(&mut self, from: usize, post: &mut Post, lent: &mut Lent<'_>) -> bool {
        let Some(letter) = post.first(from, self.number, lent.random, lent.is_resting) else { return false };
        let (before, number) = (*self.shard.counters(), letter.number);
        let is_done = self.shard.receive_mail(from, &mut letter.envelope);
        lent.oracle.totals.pieces += u64::from(letter.is_begun);
        letter.is_begun = true;
        lent.trace.note(format_args!("node {} read letter {number} of node {from}: {is_done}", self.number));
        lent.oracle.returned += self.shard.counters().returned - before.returned;
        lent.oracle.note_read(from, self.number, number, is_done);
        if is_done {
            post.finish_first(from, self.number, lent.random);
        }
        self.note_standing(lent);
        self.resume(lent);
        true
    }

    /// Which SUBSCRIBEs were answered by their groups.
    fn note_standing(&mut self, lent: &mut Lent<'_>) {
        for (uid, link) in &self.links {
            if let Some(session) = link.session
                && !self.shard.is_waiting(session)
            {
                lent.oracle.note_standing(*uid);
            }
        }
    }

    /// Posts what there is for others; what does not fit stays, and goes along with what comes.
    pub(crate) fn send_mail(&mut self, post: &mut Post, lent: &mut Lent<'_>) {
        self.note_full(lent);
        let mut others: Vec<usize> = self.others().collect();
        lent.random.shuffle(&mut others);
        for to in others {
            if !self.shard.has_mail(to) {
                lent.oracle.note_nothing_to_post(self.number, to);
                continue;
            }
            if let Some(letter) = post.offer(self.number, to, self.shard.mail_to(to)) {
                assert!(!self.shard.has_mail(to), "an envelope that was emptied is empty");
                lent.trace.note(format_args!("node {} posts letter {letter} to node {to}", self.number));
                lent.oracle.note_posted(self.number, to, letter);
                self.shard.note_transit(to, post.bytes(self.number, to));
            }
        }
    }

    pub(crate) fn has_mail(&self) -> bool {
        self.others().any(|to| self.shard.has_mail(to))
    }

    /// Bytes that wait here to be posted.
    pub(crate) fn mail_bytes(&mut self) -> u64 {
        self.others().map(|to| self.shard.mail_to(to).bytes() as u64).sum()
    }
}

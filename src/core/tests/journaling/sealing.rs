//! What is done for a journal though nobody waits for it: full segments are synced and sealed, and an idle journal
//! writes down how far it is synced.

use crate::chance::Chance;
use crate::node::Node;
use crate::office::Office;
use crate::swarm::Swarm;
use fanwire_core::journal::keeper::SyncMode;
use fanwire_core::journal::plan::JournalId;
use fanwire_core::journal::state::State;
use fanwire_core::{Command, EncodingId, Seat, Target};
use fanwire_wire::frame::AckLevel;

#[test]
fn a_full_segment_is_synced_and_sealed_though_nobody_wants_anything_durable() {
    let mut chance = Chance(1);
    let mut swarm = Swarm::new(&mut chance);
    swarm.syncs = vec![SyncMode::Demand];
    let seat = Seat::row_with_journals(1).remove(0);
    let mut office = Office::new(&swarm, &seat);
    let mut node = Node::new(&swarm, seat, office.plan.clone());
    let session = node.shard.open_session(EncodingId(0));
    let target = Target::Name(b"a/0");
    let segments = |office: &Office| office.keeper.log(JournalId(0)).shared_catalog();
    while segments(&office).segments.len() < 3 {
        let publish = Command::Publish { target, ack: AckLevel::None, headers: b"", payloads: &[b"0"] };
        node.shard.handle(session, &publish).expect("it breaks no protocol");
        let mut submissions = std::mem::take(node.shard.submissions());
        office.keeper.begin_turn(office.now_us);
        assert!(office.keeper.receive(0, &mut submissions), "there is room");
        office.keeper.finish_turn();
        office.turn(&mut chance, true);
        while office.help(&mut chance) {
            office.turn(&mut chance, true);
        }
    }
    let catalog = segments(&office);
    assert_eq!(catalog.segments.iter().map(|segment| segment.is_sealed).collect::<Vec<_>>(), [true, true, false]);
}

#[test]
fn what_is_durable_is_written_down_once_a_journal_was_idle_for_a_second_and_no_sooner() {
    let mut chance = Chance(1);
    let mut swarm = Swarm::new(&mut chance);
    swarm.syncs = vec![SyncMode::Demand];
    let seat = Seat::row_with_journals(1).remove(0);
    let mut office = Office::new(&swarm, &seat);
    let mut node = Node::new(&swarm, seat, office.plan.clone());
    let session = node.shard.open_session(EncodingId(0));
    let mut work = |office: &mut Office| {
        office.turn(&mut chance, true);
        let has_worked = office.help(&mut chance);
        while office.help(&mut chance) {}
        office.turn(&mut chance, true);
        has_worked
    };
    let noted = |office: &Office| State::load(&mut office.media[0].clone()).expect("it is sound").durable;
    for count in 1..=3 {
        let (target, ack) = (Target::Name(b"a/0"), AckLevel::Durable);
        let publish = Command::Publish { target, ack, headers: b"", payloads: &[b"0"] };
        node.shard.handle(session, &publish).expect("it breaks no protocol");
        let mut submissions = std::mem::take(node.shard.submissions());
        office.keeper.begin_turn(office.now_us);
        assert!(office.keeper.receive(0, &mut submissions), "there is room");
        office.keeper.finish_turn();
        assert!(work(&mut office), "a sync");
        assert_eq!((office.keeper.log(JournalId(0)).durable(), noted(&office)), (count, 0));
        assert_eq!(office.keeper.next_sync_us(), Some(office.now_us + 1_000_000));
        office.now_us += 999_999;
        assert!(!work(&mut office), "the next publish may come");
    }
    office.now_us += 1;
    assert!(work(&mut office));
    assert_eq!((noted(&office), office.keeper.next_sync_us()), (3, None));
}

//! Full segments are synced and sealed, whether or not anybody waits for that.

use crate::chance::Chance;
use crate::node::Node;
use crate::office::Office;
use crate::swarm::Swarm;
use fanwire_core::journal::keeper::SyncMode;
use fanwire_core::journal::plan::JournalId;
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

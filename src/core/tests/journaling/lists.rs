//! Lists of topics, which whoever asks for the newest record of each begins with: made one a turn, and so many at one
//! time.

use crate::chance::Chance;
use crate::medium::Medium;
use crate::node::Node;
use crate::office::Office;
use crate::swarm::Swarm;
use fanwire_core::journal::keeper::{ReadRequest, SyncMode};
use fanwire_core::{Command, EncodingId, Seat, SessionId, Target, command};
use fanwire_wire::frame::{AckLevel, Policy, Start};

/// Lists that may be in use at one time.
const LISTS_MAX: usize = 16;

struct Scene {
    office: Office,
    node: Node,
    session: SessionId,
    /// Questions that are not answered, and so keep their lists.
    asked: Vec<ReadRequest<Medium>>,
}

impl Scene {
    /// One journal with a record, and somebody who wants the newest of each of its topics so many times.
    fn new(wishes: u32) -> Scene {
        let mut swarm = Swarm::new(&mut Chance(1));
        swarm.syncs = vec![SyncMode::Demand];
        let seat = Seat::row_with_journals(1).remove(0);
        let office = Office::new(&swarm, &seat);
        let mut node = Node::new(&swarm, seat, office.plan.clone());
        let session = node.shard.open_session(EncodingId(0));
        let mut scene = Scene { office, node, session, asked: Vec::new() };
        let target = Target::Name(b"a/0");
        scene.say(&Command::Publish { target, ack: AckLevel::None, headers: b"", payloads: &[b"0"] });
        scene.turn();
        for subscription in 1..=wishes {
            scene.say(&Command::Subscribe(command::Subscribe {
                subscription,
                filter: b"a/#",
                group: b"",
                policy: Policy::CatchUp,
                no_echo: false,
                responder: false,
                max_rate_hz: 0,
                start: Start::LastValue,
            }));
        }
        scene
    }

    fn say(&mut self, command: &Command<'_>) {
        self.node.shard.handle(self.session, command).expect("it breaks no protocol");
    }

    /// Returns how many lists were made.
    fn turn(&mut self) -> usize {
        let keeper = &mut self.office.keeper;
        keeper.begin_turn(self.office.now_us);
        let mut submissions = std::mem::take(self.node.shard.submissions());
        assert!(keeper.receive(0, &mut submissions), "it waits for nothing");
        keeper.finish_turn();
        let before = self.asked.len();
        keeper.take_reads(&mut self.asked);
        self.asked.retain(|request| matches!(request, ReadRequest::Open { .. }));
        self.asked.len() - before
    }
}

#[test]
fn one_turn_makes_one_list_of_topics() {
    let mut scene = Scene::new(3);
    assert_eq!([scene.turn(), scene.turn(), scene.turn(), scene.turn()], [1, 1, 1, 0]);
    assert!(!scene.office.keeper.has_delayed());
}

#[test]
fn who_asks_for_one_more_list_than_may_be_in_use_waits_until_one_is_not() {
    let mut scene = Scene::new(LISTS_MAX as u32 + 2);
    for _ in 0..LISTS_MAX {
        assert_eq!(scene.turn(), 1);
    }
    assert_eq!((scene.turn(), scene.office.keeper.has_delayed()), (0, true));
    scene.asked.pop();
    assert_eq!([scene.turn(), scene.turn()], [1, 0]);
}

#[test]
fn who_leaves_while_its_list_is_delayed_gets_none() {
    let mut scene = Scene::new(3);
    assert_eq!(scene.turn(), 1);
    scene.say(&Command::Unsubscribe { subscription: 2 });
    scene.say(&Command::Unsubscribe { subscription: 3 });
    scene.turn();
    assert!(!scene.office.keeper.has_delayed());
    assert_eq!(scene.asked.len(), 1, "neither list was made");
}

#[test]
fn who_asks_for_a_list_and_leaves_in_the_same_turn_gets_none_and_others_keep_their_order() {
    let mut scene = Scene::new(4);
    scene.say(&Command::Unsubscribe { subscription: 1 });
    scene.say(&Command::Unsubscribe { subscription: 3 });
    assert_eq!([scene.turn(), scene.turn(), scene.turn()], [1, 1, 0]);
    let keys = scene.asked.iter().map(|request| match request {
        ReadRequest::Open { cursor, .. } => cursor.serial,
        _ => unreachable!("others are left out"),
    });
    assert!(keys.is_sorted(), "who asked first is answered first");
}

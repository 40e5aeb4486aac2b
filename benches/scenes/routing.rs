//! A message from its command to the bytes that its subscribers' sockets would be given: publish, finish the turn,
//! front and advance for each of them. What a delivery costs without frames to read and without the kernel.
//!
//! A publisher sends 50 messages of 64 bytes a turn, as in the documents' tables. With many subscribers of one topic
//! the cost of rendering is shared and what is left is each one's place in a queue, 50 messages in each.

use super::order::{Names, Order};
use super::stage::{MESSAGES_PER_TURN, Stage, command_to, publish, wish};
use super::{Scene, Work};
use fanwire_core::command::Subscribe;
use fanwire_core::{Command, Envelope, Seat, Settings, Shard, Target, Time};

pub(super) const SCENES: &[Scene] = &[
    Scene::new("route/by-id/1-to-1", "delivery", || fan_out(By::Id, 1)),
    Scene::new("route/by-id/1-to-100", "delivery", || fan_out(By::Id, 100)),
    Scene::new("route/by-id/1-to-1000", "delivery", || fan_out(By::Id, 1_000)),
    Scene::new("route/by-name/1-to-1", "delivery", || fan_out(By::Name, 1)),
    Scene::new("route/by-name/1-to-100", "delivery", || fan_out(By::Name, 100)),
    Scene::new("route/by-name/1-to-1000", "delivery", || fan_out(By::Name, 1_000)),
    Scene::new("route/topics/1", "delivery", || topics(1, TOPICS_CACHED)),
    Scene::new("route/topics/10000", "delivery", || topics(10_000, TOPICS_CACHED)),
    Scene::new("route/topics/1000000", "delivery", || topics(1_000_000, TOPICS_CACHED)),
    Scene::new("route/topics/20-times-cached", "delivery", || topics(20_480, 1_024)),
    Scene::new("route/cycle/10-by-10", "delivery", cycle),
    Scene::new("route/room/20-players", "delivery", || room(20)),
    Scene::new("route/mail/1-to-1", "delivery", || mail(1)),
    Scene::new("route/mail/1-to-100", "delivery", || mail(100)),
];

const WARM_UP_RUNS: u32 = 20;
const TOPIC: &[u8] = b"room/1";
/// As many as by default.
const TOPICS_CACHED: u32 = 65_536;

/// How publishers name a topic.
#[derive(Clone, Copy)]
enum By {
    Id,
    Name,
}

fn fan_out(by: By, subscribers: u64) -> Work {
    let mut stage = Stage::new(Settings::default());
    let publisher = stage.open();
    stage.command(publisher, &Command::Register { short_id: 0, topic: TOPIC });
    stage.open_many(subscribers, wish(TOPIC));
    let target = match by {
        By::Id => Target::Short(0),
        By::Name => Target::Name(TOPIC),
    };
    let units = MESSAGES_PER_TURN * subscribers;
    let run = move || {
        let before = stage.deliveries();
        stage.turn(|shard| {
            for _ in 0..MESSAGES_PER_TURN {
                publish(shard, publisher, target);
            }
        });
        assert_eq!(stage.deliveries() - before, units);
    };
    Work::new(units, run).warmed_up(WARM_UP_RUNS)
}

/// So many topics in random order, by name, under one `#`; the shard remembers some of them. A million by default is 15
/// times what is remembered.
fn topics(count: usize, topics_cached_max: u32) -> Work {
    let mut stage = Stage::new(Settings { topics_cached_max, ..Settings::default() });
    let publisher = stage.open();
    stage.open_many(1, wish(b"#"));
    let mut order = Order::new();
    let mut names = Names::new(count, |_| format!("sensor/{:06}/value", order.below(count)));
    let run = move || {
        let before = stage.deliveries();
        stage.turn(|shard| {
            for _ in 0..MESSAGES_PER_TURN {
                publish(shard, publisher, Target::Name(names.next()));
            }
        });
        assert_eq!(stage.deliveries() - before, MESSAGES_PER_TURN);
    };
    // A name is remembered when it comes again, unless another has taken its place in between: after a few rounds all
    // that can be are.
    let runs = 4 * count.min(topics_cached_max as usize * 3 / 2) / MESSAGES_PER_TURN as usize;
    Work::new(MESSAGES_PER_TURN, run).warmed_up(WARM_UP_RUNS + runs as u32)
}

/// Ten publishers that cycle through ten topics each, a batch a turn; ten subscribers, each of one of the topics that
/// have its number.
fn cycle() -> Work {
    const PUBLISHERS: u64 = 10;
    const TOPICS: u64 = 10;
    let mut stage = Stage::new(Settings::default());
    let mut publishers = Vec::new();
    for publisher in 0..PUBLISHERS {
        let session = stage.open();
        for topic in 0..TOPICS {
            let name = format!("room/{}", (publisher + topic) % TOPICS);
            stage.command(session, &Command::Register { short_id: topic as u16, topic: name.as_bytes() });
        }
        publishers.push(session);
    }
    for topic in 0..TOPICS {
        stage.open_many(1, wish(format!("room/{topic}").as_bytes()));
    }
    let units = PUBLISHERS * MESSAGES_PER_TURN;
    let run = move || {
        let before = stage.deliveries();
        stage.turn(|shard| {
            for publisher in &publishers {
                for message in 0..MESSAGES_PER_TURN {
                    publish(shard, *publisher, Target::Short((message % TOPICS) as u16));
                }
            }
        });
        assert_eq!(stage.deliveries() - before, units);
    };
    Work::new(units, run).warmed_up(WARM_UP_RUNS)
}

/// Players of one room who publish once a turn and hear all others.
fn room(player_count: u64) -> Work {
    let mut stage = Stage::new(Settings::default());
    let players = stage.open_many(player_count, Subscribe { no_echo: true, ..wish(TOPIC) });
    for player in &players {
        stage.command(*player, &Command::Register { short_id: 0, topic: TOPIC });
    }
    let units = player_count * (player_count - 1);
    let run = move || {
        let before = stage.deliveries();
        stage.turn(|shard| players.iter().for_each(|player| publish(shard, *player, Target::Short(0))));
        assert_eq!(stage.deliveries() - before, units);
    };
    Work::new(units, run).warmed_up(WARM_UP_RUNS)
}

/// The subscribers are on another shard than the publisher: one envelope a turn goes there and comes back emptied.
fn mail(subscribers: u64) -> Work {
    let seat = |seat| Shard::seated(Settings::default(), fanwire_gateway::encodings(), seat, Time::default());
    let mut stages: Vec<Stage> = Seat::row(2).into_iter().map(|row| Stage::around(seat(row))).collect();
    let [mut near, mut far] = [stages.remove(0), stages.remove(0)];
    far.open_many(subscribers, wish(TOPIC));
    let publisher = near.open();
    command_to(&mut near.shard, publisher, &Command::Register { short_id: 0, topic: TOPIC });
    let mut mail = Envelope::default();
    let units = MESSAGES_PER_TURN * subscribers;
    let run = move || {
        let before = far.deliveries();
        near.turn(|shard| {
            for _ in 0..MESSAGES_PER_TURN {
                publish(shard, publisher, Target::Short(0));
            }
        });
        std::mem::swap(&mut mail, near.shard.mail_to(1));
        far.turn(|shard| assert!(shard.receive_mail(0, &mut mail), "a small turn"));
        mail.clear();
        assert_eq!(far.deliveries() - before, units);
    };
    Work::new(units, run).warmed_up(WARM_UP_RUNS)
}

//! A scripted client: says what chance and its seed's weights tell it to, hears what comes, and knows no more of the
//! protocol than it needs to go on: what of it is in use. Whether the broker is right is the oracle's business.

use crate::link::{Pipe, Upstream};
use crate::random::Random;
use crate::said::{Body, PAYLOAD_BYTES_MIN, Said, Target, Uid, Wish};
use crate::swarm::{Action, Swarm};
use fanwire_core::Time;
use fanwire_wire::frame::{AckLevel, Frame, Policy, Scope, Start};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Bytes waiting to be read by the node beyond which a client says nothing: its socket is full.
const BACKLOG_BYTES_MAX: u64 = 128 * 1024;
/// Pings in a flood: more than a turn takes, and their answers more than a queue keeps beyond its bound.
const PINGS: u64 = 40_000;
/// Subscription ids that a client uses.
const SUBSCRIPTION_IDS: [u32; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1 << 31, u32::MAX];

/// One client over the whole run, through all its connections.
pub(crate) struct Client {
    /// The index of its node.
    pub(crate) home: usize,
    /// It follows no script, but is called as a witness.
    is_witness: bool,
    pub(crate) random: Random,
    pub(crate) visit: Option<Visit>,
    pub(crate) away_until: Time,
}

/// One connection as its client sees it.
pub(crate) struct Visit {
    pub(crate) uid: Uid,
    pub(crate) is_witness: bool,
    temper: Temper,
    /// Bytes that came and are not a whole frame yet, and the offset of the first of them.
    pub(crate) received: Vec<u8>,
    pub(crate) received_offset: u64,
    pub(crate) has_preface: bool,
    pub(crate) is_leaving: bool,
    subscriptions: BTreeSet<u32>,
    short_ids: BTreeSet<u16>,
    asked: BTreeSet<u32>,
    /// A correlation that was used twice, once in a connection: who answers which is open from then on.
    duplicated: Option<u32>,
    /// Handles of calls, and how often each was answered.
    calls: BTreeMap<u64, u32>,
    serial: u32,
    reads_from: Time,
    sends_from: Time,
}

/// How a client is connected.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Temper {
    pub(crate) pipe_bytes: usize,
    /// Bytes read in a step.
    pub(crate) read_bytes_max: u64,
    /// Bytes that its network lets through in a step.
    pub(crate) release_bytes_max: u64,
    /// It does not answer PING.
    pub(crate) is_mute: bool,
    /// Calls that it answers at once.
    pub(crate) answers_per_mille: u64,
}

impl Temper {
    /// Whom nothing holds up.
    const READY: Temper = Temper {
        pipe_bytes: 1 << 30,
        read_bytes_max: u64::MAX,
        release_bytes_max: u64::MAX >> 1,
        is_mute: false,
        answers_per_mille: 1_000,
    };

    fn draw(random: &mut Random, swarm: &Swarm) -> Self {
        let is_slow = random.chance(swarm.slow_per_mille);
        Temper {
            pipe_bytes: if is_slow {
                *random.pick(&[1, 100, 5_000, 60_000])
            } else {
                *random.pick(&[300_000, 1 << 30])
            },
            read_bytes_max: if is_slow { *random.pick(&[50, 2_000, 100_000]) } else { u64::MAX },
            release_bytes_max: *random.pick(&[40, 3_000, u64::MAX >> 1, u64::MAX >> 1, u64::MAX >> 1]),
            is_mute: random.chance(100),
            answers_per_mille: *random.pick(&[0, 500, 1_000]),
        }
    }
}

impl Client {
    pub(crate) const fn new(home: usize, is_witness: bool, random: Random) -> Self {
        Client { home, is_witness, random, visit: None, away_until: Time::from_micros(0) }
    }

    /// Opens a connection: the way up with the first words on it, the way down, and what to remember.
    pub(crate) fn connect(&mut self, uid: Uid, swarm: &Swarm) -> (Upstream, Pipe) {
        let temper = if self.is_witness { Temper::READY } else { Temper::draw(&mut self.random, swarm) };
        let mut up = Upstream::default();
        let mut visit = Visit {
            uid,
            is_witness: self.is_witness,
            temper,
            received: Vec::new(),
            received_offset: 0,
            has_preface: false,
            is_leaving: false,
            subscriptions: BTreeSet::new(),
            short_ids: BTreeSet::new(),
            asked: BTreeSet::new(),
            duplicated: None,
            calls: BTreeMap::new(),
            serial: 0,
            reads_from: Time::default(),
            sends_from: Time::default(),
        };
        visit.greet(&mut up, &mut self.random, swarm);
        self.visit = Some(visit);
        (up, Pipe::new(temper.pipe_bytes))
    }
}

impl Visit {
    fn greet(&mut self, up: &mut Upstream, random: &mut Random, swarm: &Swarm) {
        if self.is_witness {
            say(up, random, Said::Preface);
            return say(up, random, Said::Hello { keep_alive_ms: 0, knows_token: true });
        }
        if random.chance(20) {
            let wrong = crate::breach::wrong_preface(random);
            return say(up, random, wrong);
        }
        say(up, random, Said::Preface);
        if random.chance(10) {
            return say(up, random, Said::Ping { time: 1 });
        }
        if random.chance(5) {
            let wrong = crate::breach::wrong_bytes(random);
            return say(up, random, wrong);
        }
        let keep_alive_ms = if random.chance(swarm.keep_alive_per_mille) { random.between(1, 3_000) as u32 } else { 0 };
        let knows_token = !random.chance(20);
        say(up, random, Said::Hello { keep_alive_ms, knows_token });
    }

    /// Says a few things, and lets the network bring some of it on its way.
    pub(crate) fn act(&mut self, up: &mut Upstream, random: &mut Random, swarm: &mut Swarm, now: Time) {
        if !self.is_witness && !self.is_leaving && up.backlog() < BACKLOG_BYTES_MAX {
            for _ in 0..random.between(0, swarm.actions_max) {
                let action = swarm.action(random);
                self.act_once(action, up, random, swarm, now);
                if self.is_leaving {
                    break;
                }
            }
        }
        if now >= self.sends_from {
            let most = self.temper.release_bytes_max;
            up.release(if most < 1 << 20 { random.between(0, most) } else { most });
        }
    }

    fn act_once(&mut self, action: Action, up: &mut Upstream, random: &mut Random, swarm: &mut Swarm, now: Time) {
        match action {
            Action::Publish | Action::PublishShort => self.publish(action, up, random, swarm),
            Action::StopReading => self.reads_from = now + Duration::from_micros(random.below(swarm.step_us_max * 100)),
            Action::StopSending => self.sends_from = now + Duration::from_micros(random.size(10_000_000)),
            Action::FloodPings if swarm.floods_left > 0 => {
                swarm.floods_left -= 1;
                self.reads_from = now + Duration::from_micros(swarm.step_us_max * 100);
                (0..PINGS).for_each(|time| say(up, random, Said::Ping { time }));
            }
            Action::Leave => {
                self.is_leaving = true;
                up.finish(random.chance(300));
            }
            Action::Cut => {
                self.is_leaving = true;
                up.has_reset = true;
            }
            Action::FloodPings | Action::Nothing => {}
            _ => {
                if let Some(said) = self.compose(action, random, swarm) {
                    say(up, random, said);
                }
            }
        }
    }

    fn publish(&mut self, action: Action, up: &mut Upstream, random: &mut Random, swarm: &mut Swarm) {
        let topic = swarm.names.topic(random).into_bytes();
        for _ in 0..random.size(swarm.burst_max) {
            let to = match self.pick_short_id(random) {
                Some(short_id) if action == Action::PublishShort => Target::Short(short_id),
                _ if action == Action::PublishShort => return,
                _ if random.chance(700) => Target::Name(topic.clone()),
                _ => Target::Name(swarm.names.topic(random).into_bytes()),
            };
            let ack = if random.chance(300) { AckLevel::Routed } else { AckLevel::None };
            let body = self.body(random, swarm);
            say(up, random, Said::Publish { to, ack, body });
        }
    }

    fn compose(&mut self, action: Action, random: &mut Random, swarm: &mut Swarm) -> Option<Said> {
        Some(match action {
            Action::Subscribe | Action::JoinGroup | Action::Respond => {
                Said::Subscribe(self.wish(action, random, swarm)?)
            }
            Action::SubscribeWrongly => Said::Subscribe(self.wrong_wish(random, swarm)?),
            Action::Unsubscribe => {
                let numbers: Vec<u32> = self.subscriptions.iter().copied().collect();
                let subscription = *random.pick(if numbers.is_empty() { return None } else { &numbers });
                Said::Unsubscribe { subscription }
            }
            Action::UnsubscribeNothing => Said::Unsubscribe { subscription: self.free_subscription(random)? },
            Action::Register => {
                // One id too many, now and then.
                let short_id = random.between(0, u64::from(swarm.core.limits.short_ids_max)) as u16;
                let is_wrong = random.chance(50);
                self.short_ids.insert(short_id);
                let names = &mut swarm.names;
                let topic = if is_wrong { names.wrong_topic(random) } else { names.topic(random).into_bytes() };
                Said::Register { short_id, topic }
            }
            Action::PublishWrongly => self.wrong_publish(random, swarm),
            Action::Request => self.request(random, swarm)?,
            Action::Reply => {
                let handle = *self.calls.iter().find(|(_, count)| **count == 0)?.0;
                self.reply(handle, random, swarm)
            }
            Action::ReplyLate => {
                let handle = *self.calls.iter().rev().find(|(_, count)| **count > 0)?.0;
                self.reply(handle, random, swarm)
            }
            Action::Ping => Said::Ping { time: random.next() },
            Action::Breach => self.breach(random, swarm),
            _ => return None,
        })
    }

    fn wish(&mut self, action: Action, random: &mut Random, swarm: &mut Swarm) -> Option<Wish> {
        let subscription = self.free_subscription(random)?;
        self.subscriptions.insert(subscription);
        let is_member = action != Action::Subscribe;
        let mut policy = *random.pick(&swarm.policies);
        if action == Action::Respond || (is_member && policy == Policy::Conflate) {
            policy = Policy::Disconnect;
        }
        let is_paced = policy == Policy::Conflate && random.chance(500);
        Some(Wish {
            subscription,
            filter: swarm.names.filter(random).into_bytes(),
            group: if is_member { swarm.names.group(random).into_bytes() } else { Vec::new() },
            policy,
            no_echo: action != Action::Respond && random.chance(300),
            responder: action == Action::Respond,
            max_rate_hz: if is_paced { *random.pick(&[1, 2, 20, 300, 65_535]) } else { 0 },
            start: Start::Live,
        })
    }

    fn wrong_wish(&mut self, random: &mut Random, swarm: &mut Swarm) -> Option<Wish> {
        let mut wish = self.wish(Action::JoinGroup, random, swarm)?;
        match random.below(7) {
            0 => wish.filter = swarm.names.wrong_filter(random),
            1 => wish.group = b"a/b".to_vec(),
            2 => wish.policy = Policy::Conflate,
            3 => wish.policy = Policy::CatchUp,
            4 => wish.max_rate_hz = 5,
            5 => wish.start = Start::Last { count: 3 },
            _ => {
                wish.group.clear();
                wish.responder = true;
            }
        }
        Some(wish)
    }

    fn wrong_publish(&mut self, random: &mut Random, swarm: &mut Swarm) -> Said {
        let mut body = self.body(random, swarm);
        body.payload_bytes = body.payload_bytes.min(2_000);
        let mut to = Target::Name(swarm.names.topic(random).into_bytes());
        let mut ack = if random.chance(500) { AckLevel::Routed } else { AckLevel::None };
        match random.below(4) {
            0 => to = Target::Name(swarm.names.wrong_topic(random)),
            1 => to = Target::Short(swarm.core.limits.short_ids_max + random.below(9) as u16),
            2 => ack = *random.pick(&[AckLevel::Journaled, AckLevel::Durable]),
            _ => body.headers_bytes = swarm.core.limits.headers_bytes_max + 1,
        }
        Said::Publish { to, ack, body }
    }

    fn request(&mut self, random: &mut Random, swarm: &mut Swarm) -> Option<Said> {
        let correlation = random.below(40) as u32;
        if self.duplicated == Some(correlation) || !self.asked.insert(correlation) {
            return None;
        }
        let names = &mut swarm.names;
        let topic = if random.chance(30) { names.wrong_topic(random) } else { names.topic(random).into_bytes() };
        let most = swarm.core.limits.deadline_ms_max;
        let deadline_ms =
            if random.chance(30) { *random.pick(&[0, most + 1]) } else { random.size(most.into()) as u32 };
        let body = self.body(random, swarm);
        Some(Said::Request { correlation, deadline_ms, topic, body })
    }

    fn reply(&mut self, handle: u64, random: &mut Random, swarm: &Swarm) -> Said {
        *self.calls.entry(handle).or_default() += 1;
        Said::Reply { handle, body: self.body(random, swarm) }
    }

    fn breach(&mut self, random: &mut Random, swarm: &mut Swarm) -> Said {
        let body = self.body(random, swarm);
        let used = self.subscriptions.first().copied();
        match (random.below(8), used, self.asked.last().copied()) {
            (0, Some(subscription), _) => match self.wish(Action::Subscribe, random, swarm) {
                Some(wish) => Said::Subscribe(Wish { subscription, ..wish }),
                None => crate::breach::wrong_bytes(random),
            },
            (1, _, Some(correlation)) if self.duplicated.is_none() => {
                self.duplicated = Some(correlation);
                let topic = swarm.names.topic(random).into_bytes();
                Said::Request { correlation, deadline_ms: 50, topic, body }
            }
            (2, _, _) => Said::Reply { handle: *random.pick(&[0, 1 << 40, u64::MAX]), body },
            (3, _, _) => Said::Hello { keep_alive_ms: 0, knows_token: true },
            (4, _, _) => Said::Publish { to: Target::Short(random.below(5) as u16), ack: AckLevel::None, body },
            _ => crate::breach::wrong_bytes(random),
        }
    }

    fn body(&mut self, random: &mut Random, swarm: &Swarm) -> Body {
        let headers_bytes = if random.chance(150) { random.between(1, 64) as u32 } else { 0 };
        let most = swarm.payload_bytes_max;
        let payload_bytes = if swarm.is_bulky { random.between(most / 2, most) } else { random.size(most) };
        let payload_bytes = PAYLOAD_BYTES_MIN + payload_bytes as u32;
        Body { headers_bytes, ..self.body_of(payload_bytes) }
    }

    pub(crate) const fn body_of(&mut self, payload_bytes: u32) -> Body {
        self.serial += 1;
        Body { author: self.uid, serial: self.serial, headers_bytes: 0, payload_bytes }
    }

    fn free_subscription(&self, random: &mut Random) -> Option<u32> {
        let number = *random.pick(&SUBSCRIPTION_IDS);
        (!self.subscriptions.contains(&number)).then_some(number)
    }

    fn pick_short_id(&self, random: &mut Random) -> Option<u16> {
        let ids: Vec<u16> = self.short_ids.iter().copied().collect();
        (!ids.is_empty()).then(|| *random.pick(&ids))
    }

    /// How much to read now; `None` while it does not read at all.
    pub(crate) fn reads(&self, now: Time) -> Option<u64> {
        (now >= self.reads_from).then_some(self.temper.read_bytes_max)
    }

    /// Stops being slow: a run comes to rest.
    pub(crate) const fn hurry(&mut self) {
        self.temper.read_bytes_max = u64::MAX;
        self.reads_from = Time::from_micros(0);
        self.sends_from = Time::from_micros(0);
        self.temper.release_bytes_max = u64::MAX >> 1;
    }

    /// Takes notice of a frame, as far as it matters for what to say next.
    pub(crate) fn hear(&mut self, frame: &Frame<'_>, up: &mut Upstream, random: &mut Random, swarm: &Swarm) {
        match frame {
            Frame::Ping(ping) if !self.temper.is_mute && !self.is_leaving => {
                say(up, random, Said::Pong { time: ping.time });
            }
            Frame::Unsubscribed(told) => {
                self.subscriptions.remove(&told.subscription);
            }
            Frame::Error(refusal) if refusal.scope == Scope::Subscription => {
                self.subscriptions.remove(&(refusal.reference as u32));
            }
            Frame::Response(response) => {
                self.asked.remove(&response.correlation);
            }
            Frame::Call(call) => {
                self.calls.insert(call.handle, 0);
                if random.chance(self.temper.answers_per_mille) && !self.is_leaving {
                    let reply = self.reply(call.handle, random, swarm);
                    say(up, random, reply);
                }
            }
            _ => {}
        }
    }
}

/// Now and then with an extension that means nothing, so that the skipping of extensions stays alive.
fn say(up: &mut Upstream, random: &mut Random, said: Said) {
    let private = random.chance(20).then(|| random.between(96, 127) as u8);
    let bytes = said.encode(private);
    up.say(said, &bytes);
}

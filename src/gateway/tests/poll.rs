//! Long polls without sockets and clocks: who waits for whom, until when, and what is kept meanwhile.

use fanwire_core::command::{Command, Target};
use fanwire_core::{Seat as ShardSeat, SessionId, Settings as ShardSettings, Shard, Slices, Time};
use fanwire_gateway::poll::{Seat, Settings as PollSettings};
use fanwire_gateway::{Context, Gateway, NATIVE, Polls, Progress, Settings};
use fanwire_wire::frame::AckLevel;
use std::time::Duration;

const LIFE: Duration = Duration::from_secs(60);

/// A reactor's share, but for sockets.
struct Desk {
    shard: Shard,
    polls: Polls,
    settings: Settings,
    now: Time,
    publisher: SessionId,
    gateways: Vec<Gateway>,
}

impl Desk {
    fn new(index: u8, count: u8, sessions_max: usize) -> Desk {
        let now = Time::from_micros(1_000_000);
        let seat = ShardSeat::row(1).remove(0);
        let mut shard = Shard::seated(ShardSettings::default(), fanwire_gateway::encodings(), seat, now);
        let settings = PollSettings { sessions_max, session_time_max: LIFE };
        Desk {
            publisher: shard.open_session(NATIVE),
            shard,
            polls: Polls::new(settings, Seat { index, count }, [index; 32], now),
            settings: Settings::default(),
            now,
            gateways: Vec::new(),
        }
    }

    fn connect(&mut self) -> usize {
        self.gateways.push(Gateway::new(self.now));
        self.gateways.len() - 1
    }

    fn with<R>(&mut self, who: usize, act: impl FnOnce(&mut Gateway, &mut Context<'_>) -> R) -> R {
        let Desk { shard, polls, settings, now, gateways, .. } = self;
        let mut context = Context {
            shard,
            polls,
            settings,
            now: *now,
            wall_us: 0,
            connection_id: who as u64,
            peer: std::net::Ipv4Addr::LOCALHOST.into(),
            is_draining: false,
        };
        act(&mut gateways[who], &mut context)
    }

    fn say(&mut self, who: usize, bytes: &str) -> Progress {
        let progress = self.with(who, |gateway, context| gateway.receive(&mut bytes.as_bytes().to_vec(), context));
        while let Some(session) = self.polls.take_superseded() {
            let inner = |index: &usize| *index != who && self.gateways[*index].inner() == Some(session);
            let older = (0..self.gateways.len()).find(inner).expect("the older one waits");
            self.with(older, Gateway::give_way);
        }
        progress
    }

    /// A poll with this query; what it asks after stands in it.
    fn poll(&mut self, who: usize, query: &str) -> Progress {
        self.say(who, &format!("GET /v1/poll?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }

    fn publish(&mut self, topic: &str, payload: &str) {
        let (target, payloads) = (Target::Name(topic.as_bytes()), [payload.as_bytes()]);
        let command = Command::Publish { target, ack: AckLevel::None, headers: &[], payloads: &payloads };
        self.shard.handle(self.publisher, &command).unwrap();
    }

    /// Ends a turn as a reactor does, and begins another a while later.
    fn turn(&mut self, passed: Duration) {
        self.shard.finish_turn();
        let mut dirty = Vec::new();
        self.shard.take_dirty(&mut dirty);
        for session in dirty {
            if let Some(who) = (0..self.gateways.len()).find(|who| self.gateways[*who].inner() == Some(session)) {
                self.with(who, Gateway::hear);
            }
        }
        self.shard.finish_turn();
        self.shard.check_invariants();
        self.now = self.now + passed;
        self.shard.begin_turn(self.now);
        for who in 0..self.gateways.len() {
            self.with(who, Gateway::expire);
        }
        self.polls.expire(self.now, &mut self.shard);
    }

    /// The bodies of what was answered since.
    fn answers(&mut self, who: usize) -> Vec<String> {
        let Some(session) = self.gateways[who].session() else { return Vec::new() };
        let mut text = Vec::new();
        while !self.shard.is_flushed(session) {
            let mut slices = Slices::new();
            self.shard.front(session, &mut slices);
            let bytes = slices.concat();
            drop(slices);
            self.shard.advance(session, bytes.len(), false);
            text.extend(bytes);
        }
        let text = String::from_utf8(text).unwrap();
        let mut rest = &text[..];
        let mut bodies = Vec::new();
        while let Some((head, behind)) = rest.split_once("\r\n\r\n") {
            let length = head.split("Content-Length: ").nth(1).unwrap().split("\r\n").next().unwrap();
            let (body, next) = behind.split_at(length.parse().unwrap());
            bodies.push(body.to_owned());
            rest = next;
        }
        bodies
    }

    fn answer(&mut self, who: usize) -> String {
        let mut answers = self.answers(who);
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.remove(0)
    }

    /// A first poll's cursor.
    fn begin(&mut self, who: usize, query: &str) -> String {
        self.poll(who, &format!("{query}&wait=0s"));
        self.turn(Duration::ZERO);
        cursor_of(&self.answer(who))
    }
}

fn cursor_of(body: &str) -> String {
    let (_, cursor) = body.split_once(r#""cursor":""#).unwrap_or_else(|| panic!("{body}"));
    cursor.split('"').next().unwrap().to_owned()
}

#[test]
fn a_wait_ends_when_something_comes_or_at_its_time() {
    let mut desk = Desk::new(0, 1, 10);
    let who = desk.connect();
    let cursor = desk.begin(who, "topic=a");
    let query = format!("topic=a&wait=5s&after={cursor}");
    assert_eq!(desk.poll(who, &query), Progress::Idle);
    let wait = desk.gateways[who].next_deadline(&desk.settings);
    assert_eq!(wait, Some(desk.now + Duration::from_secs(5)));
    desk.turn(Duration::from_millis(4_999));
    assert!(desk.answers(who).is_empty());
    desk.turn(Duration::from_millis(1));
    assert_eq!(desk.answer(who), format!("{{\"messages\":[],\"cursor\":\"{cursor}\"}}\n"));
    desk.poll(who, &query);
    desk.publish("a", "x");
    desk.publish("b", "y");
    desk.turn(Duration::ZERO);
    let body = desk.answer(who);
    assert!(body.starts_with(r#"{"messages":[{"type":"message","topic":"a","payload":"x"}],"#), "{body}");
    assert_ne!(cursor_of(&body), cursor);
}

#[test]
fn an_answer_is_kept_and_charged_until_it_is_known_to_have_come() {
    let mut desk = Desk::new(0, 1, 10);
    let who = desk.connect();
    let first = desk.begin(who, "topic=a");
    desk.publish("a", "x");
    desk.turn(Duration::ZERO);
    desk.poll(who, &format!("topic=a&wait=5s&after={first}"));
    let body = desk.answer(who);
    assert!(desk.shard.queue_bytes_total() > 0);
    desk.publish("a", "behind");
    desk.turn(Duration::ZERO);
    desk.poll(who, &format!("topic=a&wait=5s&after={first}"));
    assert_eq!(desk.answer(who), body, "the same again, whatever came since");
    let second = cursor_of(&body);
    desk.poll(who, &format!("topic=a&wait=5s&after={second}"));
    let body = desk.answer(who);
    assert!(body.contains("behind") && !body.contains(r#""x""#), "{body}");
    desk.poll(who, &format!("topic=a&wait=0s&after={first}"));
    assert!(desk.answer(who).contains("CURSOR_GONE"), "nobody has what came behind the first any more");
    desk.poll(who, &format!("topic=a&wait=0s&after={}", cursor_of(&body)));
    desk.answer(who);
    assert_eq!(desk.shard.queue_bytes_total(), 0);
}

#[test]
fn a_session_lives_its_time_from_its_last_request_on() {
    let mut desk = Desk::new(0, 1, 1);
    let who = desk.connect();
    let cursor = desk.begin(who, "topic=a");
    desk.poll(who, "topic=b&wait=0s");
    assert!(desk.answer(who).contains("UNAVAILABLE"), "there is room for one");
    let query = format!("topic=a&wait=60s&after={cursor}");
    desk.turn(LIFE - Duration::from_secs(1));
    desk.poll(who, &query);
    // As long as somebody waits it does not matter how long.
    desk.turn(LIFE - Duration::from_secs(1));
    assert!(desk.answers(who).is_empty() && desk.polls.next_deadline().is_none());
    desk.with(who, Gateway::depart);
    desk.turn(LIFE - Duration::from_secs(1));
    let other = desk.connect();
    desk.poll(other, &format!("topic=a&wait=0s&after={cursor}"));
    assert!(desk.answer(other).starts_with("{\"messages\":[]"));
    desk.publish("a", "x");
    desk.turn(LIFE + Duration::from_millis(2));
    assert!(desk.polls.is_empty() && desk.shard.queue_bytes_total() == 0);
    let other = desk.connect();
    desk.poll(other, &query);
    assert!(desk.answer(other).contains("CURSOR_GONE"));
}

#[test]
fn whoever_waits_gives_way_to_a_second_poll_even_if_that_is_answered_at_once() {
    let mut desk = Desk::new(0, 1, 10);
    let (older, newer) = (desk.connect(), desk.connect());
    let cursor = desk.begin(older, "topic=a");
    let query = format!("topic=a&wait=5s&after={cursor}");
    desk.poll(older, &query);
    desk.poll(newer, &query);
    assert!(desk.answer(older).contains("SUPERSEDED") && desk.answers(newer).is_empty());
    // What is fanned out and not heard yet is answered to who comes now.
    desk.publish("a", "x");
    desk.shard.finish_turn();
    desk.poll(older, &query);
    assert!(desk.answer(newer).contains("SUPERSEDED"));
    assert!(desk.answer(older).contains(r#""payload":"x""#));
    assert_eq!((desk.gateways[older].inner(), desk.gateways[newer].inner()), (None, None));
    desk.turn(Duration::ZERO);
}

#[test]
fn a_request_for_another_reactor_s_session_goes_there_whole_with_all_behind_it() {
    let mut desks = [Desk::new(0, 2, 10), Desk::new(1, 2, 10)];
    let at_home = desks[1].connect();
    let cursor = desks[1].begin(at_home, "topic=a");
    desks[1].publish("a", "x");
    desks[1].turn(Duration::ZERO);
    let poll = format!("GET /v1/poll?topic=a&wait=5s&after={cursor} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let requests = format!(
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n{poll}GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    );
    for cut in 0..requests.len() {
        let [from, to] = &mut desks;
        let who = from.connect();
        from.say(who, &requests[..cut]);
        let mut is_moving = from.gateways[who].destination().is_some();
        if !is_moving {
            is_moving = from.say(who, &requests[cut..]) == Progress::Move(1);
        } else {
            // What comes while it waits for its answers to be written goes along.
            assert_eq!(from.say(who, &requests[cut..]), Progress::Move(1));
        }
        assert!(is_moving && from.gateways[who].destination() == Some(1), "cut at {cut}");
        assert_eq!(from.answer(who), "ok\n");
        let sessions = from.shard.session_count();
        from.with(who, Gateway::pack);
        assert_eq!(from.shard.session_count(), sessions - 1, "nothing stays behind");
        let mut gateway = from.gateways.remove(who);
        assert!(gateway.session().is_none() && gateway.is_moving());
        to.gateways.push(std::mem::replace(&mut gateway, Gateway::new(to.now)));
        let there = to.gateways.len() - 1;
        to.say(there, "");
        let answers = to.answers(there);
        assert!(answers[0].contains(r#""payload":"x""#) && answers[1] == "ok\n", "cut at {cut}: {answers:?}");
    }
}

#[test]
fn a_connection_that_breaks_leaves_the_session_and_the_next_one_gets_all() {
    let mut desk = Desk::new(0, 1, 10);
    let who = desk.connect();
    let cursor = desk.begin(who, "topic=a");
    let query = format!("topic=a&wait=5s&after={cursor}");
    for number in 0..4 {
        let broken = desk.connect();
        desk.poll(broken, &query);
        if number % 2 == 0 {
            desk.publish("a", &number.to_string());
        }
        desk.with(broken, Gateway::let_go);
        if number % 2 == 1 {
            desk.publish("a", &number.to_string());
        }
        desk.turn(Duration::ZERO);
    }
    let mut told = Vec::new();
    let mut after = cursor;
    while told.len() < 4 {
        desk.poll(who, &format!("topic=a&wait=5s&after={after}"));
        let body = desk.answer(who);
        told.extend(body.split(r#""payload":""#).skip(1).map(|rest| rest[..1].to_owned()));
        after = cursor_of(&body);
    }
    assert_eq!(told, ["0", "1", "2", "3"]);
}

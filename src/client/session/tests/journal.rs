//! Journaled topics: whose a record is, what is told when, and where a new connection goes on.

use super::*;
use fanwire_wire::frame::{CaughtUp, Cursor, History, Record, RecordNamed, Start};

fn begin(session: &mut Session, id: SubscriptionId, topic_id: u32, outcome: Outcome, epoch: u64) {
    let told = Subscribed { subscription: id.0, topic_id, outcome, epoch };
    let events = hear(session, told).unwrap();
    assert!(matches!(events[..], [Event::Subscribed { subscription, .. }] if subscription == id));
}

fn reading(session: &mut Session, filter: &str, topic_id: u32, options: SubscribeOptions) -> SubscriptionId {
    let id = session.subscribe(filter, options).unwrap();
    begin(session, id, topic_id, Outcome::History, 3);
    id
}

fn caught_up(session: &mut Session, id: SubscriptionId) {
    let events = hear(session, CaughtUp { subscription: id.0, position: 1 }).unwrap();
    assert!(matches!(events[..], [Event::CaughtUp { subscription, .. }] if subscription == id));
}

const fn history(id: SubscriptionId, topic: &str, sequence: u64, position: u64) -> History<'_> {
    History {
        subscription: id.0,
        sequence,
        position,
        time_us: 1_000 + position,
        topic: topic.as_bytes(),
        headers: b"",
        payload: b"",
    }
}

const fn named(topic: &str, sequence: u64, position: u64) -> RecordNamed<'_> {
    RecordNamed { sequence, position, topic: topic.as_bytes(), headers: b"", payload: b"" }
}

const fn record(topic_id: u32, sequence: u64) -> Record<'static> {
    Record { topic_id, sequence, headers: b"", payload: b"" }
}

/// Ends the connection, makes another one, and gives the starts that it asks for.
fn again(session: &mut Session) -> (bool, Vec<Start>) {
    end(session);
    let events = connect(session, Limits::default());
    let [Event::Reconnected { may_have_missed, .. }] = events[..] else { panic!("{events:?}") };
    (may_have_missed, session.subscriptions.subscribe_frames().map(|frame| frame.start).collect())
}

#[test]
fn history_is_for_its_own_subscription_and_live_is_not_until_it_has_caught_up() {
    let mut session = ready();
    let live = standing(&mut session, "a", 7);
    let replaying = reading(&mut session, "a", 7, SubscribeOptions::first());
    assert_eq!(receivers(&hear(&mut session, record(7, 41)).unwrap()), [live.0]);
    let events = hear(&mut session, history(replaying, "a", 40, 400)).unwrap();
    let [Event::Message(told)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((told.subscription, &*told.topic, told.is_history), (replaying, "a", true));
    assert_eq!((told.sequence, told.position, told.time_us, told.epoch), (Some(40), Some(400), Some(1_400), Some(3)));
    hear(&mut session, history(replaying, "a", 41, 401)).unwrap();
    caught_up(&mut session, replaying);
    let events = hear(&mut session, record(7, 42)).unwrap();
    assert_eq!(receivers(&events), [live.0, replaying.0]);
    let Event::Message(told) = &events[1] else { panic!("{events:?}") };
    assert_eq!((told.sequence, told.epoch, told.is_history), (Some(42), Some(3), false));
    // It falls behind, and reads the journal again.
    let fell = hear(&mut session, Cursor { subscription: replaying.0, position: 500 }).unwrap();
    assert!(matches!(fell[..], [Event::FellBehind { subscription, position: 500 }] if subscription == replaying));
    assert_eq!(receivers(&hear(&mut session, record(7, 43)).unwrap()), [live.0]);
    hear(&mut session, history(replaying, "a", 43, 403)).unwrap();
    caught_up(&mut session, replaying);
    assert_eq!(receivers(&hear(&mut session, record(7, 44)).unwrap()), [live.0, replaying.0]);
}

#[test]
fn a_new_connection_goes_on_behind_the_last_record_told() {
    let mut session = ready();
    let exact = reading(&mut session, "a", 7, SubscribeOptions::sequence(40));
    let wildcard = reading(&mut session, "b/+", 0, SubscribeOptions::last(5));
    let unread = reading(&mut session, "c", 8, SubscribeOptions::last_value());
    assert_eq!(again(&mut session).1, [Start::Sequence { sequence: 40 }, Start::Last { count: 5 }, Start::LastValue]);
    for (id, topic_id) in [(exact, 7), (wildcard, 0), (unread, 8)] {
        begin(&mut session, id, topic_id, Outcome::History, 3);
    }
    hear(&mut session, history(exact, "a", 40, 400)).unwrap();
    hear(&mut session, history(wildcard, "b/1", 9, 401)).unwrap();
    [exact, wildcard].iter().for_each(|id| caught_up(&mut session, *id));
    hear(&mut session, record(7, 41)).unwrap();
    hear(&mut session, named("b/2", 1, 402)).unwrap();
    let behind = [Start::Resume { epoch: 3, last: 41 }, Start::Resume { epoch: 3, last: 402 }, Start::LastValue];
    assert_eq!(session.place(exact), Some(behind[0]));
    assert_eq!(again(&mut session), (false, behind.to_vec()), "and nothing was missed");
    begin(&mut session, exact, 7, Outcome::Resumed, 3);
    begin(&mut session, wildcard, 0, Outcome::ResetEpoch, 4);
    assert_eq!((session.place(exact), session.place(wildcard)), (Some(behind[0]), None));
    hear(&mut session, history(wildcard, "b/1", 1, 2)).unwrap();
    let (_, starts) = again(&mut session);
    assert_eq!(starts[..2], [behind[0], Start::Resume { epoch: 4, last: 2 }]);
}

#[test]
fn a_live_subscription_begins_live_again_unless_it_wants_to_catch_up() {
    let mut session = ready();
    let live = session.subscribe("a", SubscribeOptions::default()).unwrap();
    begin(&mut session, live, 7, Outcome::Live, 3);
    let keeps_up = session.subscribe("a", SubscribeOptions::starting(Start::Live)).unwrap();
    begin(&mut session, keeps_up, 7, Outcome::Live, 3);
    assert_eq!(again(&mut session), (true, vec![Start::Live, Start::Live]), "no record was told yet");
    [live, keeps_up].iter().for_each(|id| begin(&mut session, *id, 7, Outcome::Live, 3));
    hear(&mut session, record(7, 12)).unwrap();
    assert_eq!(again(&mut session), (true, vec![Start::Live, Start::Resume { epoch: 3, last: 12 }]));
    session.unsubscribe(live);
    hear(&mut session, Unsubscribed { subscription: live.0, code: 0 }).unwrap();
    assert!(!again(&mut session).0);
}

#[test]
fn what_a_wildcard_heard_by_the_id_of_another_is_not_told_again() {
    let mut session = ready();
    let exact = standing(&mut session, "b/1", 7);
    let wildcard = reading(&mut session, "b/+", 0, SubscribeOptions::first());
    hear(&mut session, history(wildcard, "b/1", 1, 10)).unwrap();
    caught_up(&mut session, wildcard);
    assert_eq!(receivers(&hear(&mut session, record(7, 2)).unwrap()), [exact.0, wildcard.0]);
    assert_eq!(again(&mut session).1[1], Start::Resume { epoch: 3, last: 10 });
    stand(&mut session, exact, 7);
    begin(&mut session, wildcard, 0, Outcome::Resumed, 3);
    assert!(hear(&mut session, history(wildcard, "b/1", 2, 11)).unwrap().is_empty());
    assert_eq!(receivers(&hear(&mut session, history(wildcard, "b/2", 1, 12)).unwrap()), [wildcard.0]);
    assert_eq!(receivers(&hear(&mut session, history(wildcard, "b/1", 3, 13)).unwrap()), [wildcard.0]);
}

#[test]
fn nothing_is_resumed_where_no_journal_covers_the_whole_filter() {
    let mut session = ready();
    let all = session.subscribe("#", SubscribeOptions::default()).unwrap();
    begin(&mut session, all, 0, Outcome::Live, 0);
    let events = hear(&mut session, named("b/1", 3, 30)).unwrap();
    let [Event::Message(told)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((told.sequence, told.position, told.epoch), (Some(3), Some(30), None));
    assert_eq!(session.place(all), None);
}

#[test]
fn what_no_broker_gives_is_refused_here() {
    let mut session = ready();
    let grouped = SubscribeOptions { group: Some("g".into()), ..SubscribeOptions::first() };
    let error = session.subscribe("a", grouped).unwrap_err();
    assert!(error.to_string().contains("each subscriber reads the journal for itself"), "{error}");
    let error = session.subscribe("a/+", SubscribeOptions::sequence(4)).unwrap_err();
    assert!(error.to_string().contains("start from a position"), "{error}");
}

#[test]
fn records_name_known_subscriptions_and_ids() {
    let mut session = ready();
    let ended = reading(&mut session, "a", 7, SubscribeOptions::first());
    session.unsubscribe(ended);
    assert!(hear(&mut session, history(ended, "a", 1, 1)).unwrap().is_empty(), "on its way while it was ended");
    assert!(hear(&mut session, history(SubscriptionId(99), "a", 1, 1)).is_err());
    assert!(hear(&mut session, record(99, 1)).is_err());
    assert!(hear(&mut session, named("a/+", 1, 1)).is_err());
}

#[test]
fn a_producer_that_mixes_levels_waits_before_its_oldest_unanswered_message_would_be_forgotten() {
    let mut session = ready();
    let mut producer = crate::Producer::new(7).unwrap();
    let mut publish = |session: &mut Session, level| {
        sent(session);
        session.publish_acked(&Message::new("a", b"").once(producer.stamp()), level)
    };
    publish(&mut session, AckLevel::Durable).unwrap();
    for _ in 2..=128 {
        publish(&mut session, AckLevel::Routed).unwrap();
    }
    let ack = |first, count, level| Ack { first, count, level, first_sequence: first };
    hear(&mut session, ack(2, 127, AckLevel::Routed)).unwrap();
    // One is without an answer, and would be the 129th of those that the journal has to remember.
    assert!(matches!(publish(&mut session, AckLevel::Routed), Err(Error::WouldBlock)));
    hear(&mut session, ack(1, 1, AckLevel::Durable)).unwrap();
    publish(&mut session, AckLevel::Routed).unwrap();
}

//! What long-lived verbs say on standard error about the connection and the subscriptions.

use super::advice::with_advice;
use fanwire_client::{Error, Event, Outcome, Refusal, Subject, SubscriptionId};
use std::time::Duration;

/// What to say about an event; nothing about messages, calls and what goes as it should.
pub(super) fn notice(event: &Event<'_>, filters: &[(SubscriptionId, String)]) -> Option<String> {
    let named = |subscription: &SubscriptionId| {
        let found = filters.iter().find(|(id, _)| id == subscription);
        found.map_or("a subscription", |(_, filter)| filter.as_str())
    };
    Some(match event {
        Event::Gap { subscription, dropped, conflated } => gap(named(subscription), *dropped, *conflated),
        Event::Disconnected { error, reconnect_in, .. } => {
            format!("the connection is lost: {error}{}", reconnect_advice(*reconnect_in))
        }
        Event::ReconnectFailed { error, reconnect_in } => {
            format!("still not connected: {}{}", plain_cause(error), reconnect_advice(*reconnect_in))
        }
        Event::Reconnected { may_have_missed, .. } => {
            let missed = if *may_have_missed { "; messages from in between may be missing" } else { "" };
            format!("connected again{missed}")
        }
        Event::Goaway { refusal, .. } => format!("the broker will close the connection soon: {refusal}"),
        Event::Refused { subject: Subject::Subscription(subscription), refusal } => over(named(subscription), refusal),
        Event::Unsubscribed { subscription, refusal: Some(refusal) } => over(named(subscription), refusal),
        Event::Refused { subject: Subject::Answer(_), refusal } => format!("the broker refused a reply: {refusal}"),
        Event::Subscribed { subscription, outcome, epoch } => begun(named(subscription), *outcome, *epoch)?,
        Event::FellBehind { subscription, .. } => {
            format!("{} fell behind and goes on from the journal; nothing is missing", named(subscription))
        }
        Event::CaughtUp { subscription, .. } => format!("{} has caught up; what follows is live", named(subscription)),
        _ => return None,
    })
}

/// The subscription that is over, if the event says so.
pub(super) const fn ended(event: &Event<'_>) -> Option<SubscriptionId> {
    match event {
        Event::Refused { subject: Subject::Subscription(subscription), .. }
        | Event::Unsubscribed { subscription, .. } => Some(*subscription),
        _ => None,
    }
}

fn gap(filter: &str, dropped: u64, conflated: u64) -> String {
    match (dropped, conflated) {
        (dropped, 0) => format!("gap in {filter}: {dropped} messages dropped, because they were not read in time"),
        (0, conflated) => format!("gap in {filter}: {conflated} messages replaced by newer ones"),
        _ => format!("gap in {filter}: {dropped} messages dropped, {conflated} replaced by newer ones"),
    }
}

/// How a subscription to a journal begins, where that is news.
fn begun(filter: &str, outcome: Outcome, epoch: u64) -> Option<String> {
    let reason = match outcome {
        Outcome::Live | Outcome::History => return None,
        Outcome::Resumed => return Some(format!("resumed {filter} in epoch {epoch}; nothing is missing")),
        Outcome::ResetEpoch => "what was read belongs to a past that this journal has lost",
        Outcome::ResetRetention => "retention has removed the place",
        Outcome::ResetBeyond => "the place lies beyond the end",
    };
    Some(format!("reset {filter}: {reason}; the oldest record comes first, in epoch {epoch}"))
}

fn over(filter: &str, refusal: &Refusal) -> String {
    format!("{filter} is over: {}", with_advice(refusal))
}

/// The cause alone: how to start a broker need not be said at every attempt.
fn plain_cause(error: &Error) -> String {
    match error {
        Error::Connect { error, .. } => error.to_string(),
        other => other.to_string(),
    }
}

fn reconnect_advice(reconnect_in: Option<Duration>) -> String {
    match reconnect_in {
        Some(delay) => format!("; trying again in {} ms", delay.as_millis()),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanwire_client::Retry;
    use std::io;
    use std::sync::Arc;

    fn said(event: &Event<'_>) -> String {
        notice(event, &[]).expect("this event is worth a notice")
    }

    #[test]
    fn losses_are_told_with_what_comes_next() {
        let refused = Arc::new(io::Error::from(io::ErrorKind::ConnectionRefused));
        let failed = Event::ReconnectFailed {
            error: Error::Connect { server: "fanwire://h:1".to_owned(), error: refused },
            reconnect_in: Some(Duration::from_millis(250)),
        };
        assert_eq!(said(&failed), "still not connected: connection refused; trying again in 250 ms");
        let over = Event::Disconnected { error: Error::Disconnected, publishes_unsent: 0, reconnect_in: None };
        assert!(!said(&over).contains("trying again"));
        let back = Event::Reconnected { may_have_missed: true, connection_id: 7 };
        assert_eq!(said(&back), "connected again; messages from in between may be missing");
    }

    #[test]
    fn what_a_stranger_wrote_does_not_drive_the_terminal() {
        let refusal = Refusal { code: 20, retry: Retry::After(5), text: "\x1b[2Jbye".to_owned(), actual: None };
        let goaway =
            Event::Goaway { refusal, reconnect_min: Duration::from_millis(1), reconnect_max: Duration::from_millis(9) };
        assert!(!said(&goaway).contains('\x1b'));
    }

    #[test]
    fn a_resumed_and_a_reset_subscription_are_told_apart() {
        assert_eq!(begun("a/#", Outcome::Live, 0), None);
        assert_eq!(begun("a/#", Outcome::Resumed, 3).unwrap(), "resumed a/# in epoch 3; nothing is missing");
        for outcome in [Outcome::ResetEpoch, Outcome::ResetRetention, Outcome::ResetBeyond] {
            let said = begun("a/#", outcome, 4).unwrap();
            assert!(
                said.starts_with("reset a/#: ") && said.ends_with("oldest record comes first, in epoch 4"),
                "{said}"
            );
        }
    }

    #[test]
    fn gaps_say_how_many_and_why() {
        assert!(gap("a/#", 3, 0).starts_with("gap in a/#: 3 messages dropped"));
        assert_eq!(gap("a/#", 0, 2), "gap in a/#: 2 messages replaced by newer ones");
        assert_eq!(gap("a/#", 3, 2), "gap in a/#: 3 messages dropped, 2 replaced by newer ones");
    }
}

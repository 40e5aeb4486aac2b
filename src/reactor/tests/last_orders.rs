//! The drain of several reactors whose clients do not leave together.

use super::super::Reactor;
use super::by_hand::{admit_client, reactors, turn};
use std::time::Duration;

/// None of these times passes while the test runs.
const CONFIG: &str = "[limits]\nlinger_time_max = \"1m\"\n[drain]\ndeadline = \"1h\"\n";

#[test]
fn a_reactor_without_clients_goes_on_until_those_of_the_others_have_left() {
    let mut reactors = reactors(CONFIG, 2);
    let client = admit_client(&mut reactors[1]);
    reactors.iter().for_each(|reactor| reactor.handle().drain().unwrap());
    for _ in 0..10 {
        reactors.iter_mut().for_each(turn);
    }
    assert_eq!(reactors[1].connections.len(), 1);
    let left = reactors[0].time_to_next_deadline().unwrap();
    assert!(left > Duration::from_mins(30), "it gives up in {left:?}");
    drop(client);
    while !reactors.iter().all(Reactor::is_over) {
        reactors.iter_mut().for_each(turn);
    }
}

//! Connections are shared out evenly, whoever leaves.

use super::house::{House, Peer};

const REACTORS: u32 = 4;
const CONNECTIONS: usize = 1_000;

#[test]
fn a_thousand_connections_are_balanced_and_stay_so_when_half_of_them_are_replaced() {
    let house = House::open(REACTORS, CONNECTIONS);
    let mut peers: Vec<Peer> = (0..CONNECTIONS).map(|_| Peer::connect(&house)).collect();
    house.wait_for_connections(CONNECTIONS);
    expect_balance(&house);
    // Everybody on two of the four reactors leaves: what comes next must not be shared out blindly.
    for reactor in 0..2 {
        let left = house.ask(reactor, |reactor| {
            reactor.connections.iter().map(|(_, connection)| connection.address()).collect::<Vec<_>>()
        });
        peers.retain(|peer| !left.contains(&peer.address));
    }
    house.wait_for_connections(peers.len());
    assert_eq!(house.loads()[..2], [0, 0]);
    peers.extend((peers.len()..CONNECTIONS).map(|_| Peer::connect(&house)));
    house.wait_for_connections(CONNECTIONS);
    expect_balance(&house);
    drop(peers);
    house.wait_for_connections(0);
}

#[track_caller]
fn expect_balance(house: &House) {
    let loads = house.loads();
    let (most, mean) = (*loads.iter().max().unwrap() as f64, CONNECTIONS as f64 / f64::from(REACTORS));
    assert!(most / mean <= 1.05, "{loads:?}");
}

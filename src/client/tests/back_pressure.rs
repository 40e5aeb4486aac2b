//! Writing against a peer that is slow to read, reads nothing, or reads only when it is read from.

mod peer;

use fanwire_client::{Client, Error, Event, Options, SubscribeOptions};
use fanwire_wire::{Frame, frame};
use peer::{GENEROUS, Peer, Script};
use std::sync::mpsc;
use std::time::Duration;

const PAYLOAD: [u8; 1_000] = [7; 1_000];

/// Both sides write much more than the sockets hold, and the peer reads nothing until all of its own is taken: a
/// client that did not read while it cannot write would wait for ever.
#[test]
fn a_publisher_reads_while_it_cannot_write() {
    const COUNT: usize = 30_000;
    let script = Script::start(|listener| {
        let mut peer = Peer::welcome(listener);
        peer.expect_subscribe(1);
        let mut bytes = Vec::new();
        for _ in 0..COUNT {
            Frame::from(frame::Message { topic_id: 1, headers: b"", payload: &PAYLOAD }).encode(&mut bytes);
        }
        peer.send_bytes(&bytes);
        assert_eq!(peer.drain_and_close(), COUNT);
    });
    let mut client = Client::connect(&script.url()).unwrap();
    client.subscribe("a", SubscribeOptions::default()).unwrap();
    for _ in 0..COUNT {
        client.publish("b", &PAYLOAD).unwrap();
    }
    client.flush().unwrap();
    let mut heard = 0;
    while heard < COUNT {
        heard += client.wait(GENEROUS, |event| assert!(matches!(event, Event::Message(_)), "{event:?}")).unwrap();
    }
    client.close().unwrap();
    script.finish();
}

#[test]
fn against_a_peer_that_does_not_read_nothing_grows_and_nothing_hangs() {
    let (done, until_done) = mpsc::channel::<()>();
    let script = Script::start(move |listener| {
        let peer = Peer::welcome(listener);
        until_done.recv().unwrap();
        drop(peer);
    });
    let options = Options {
        buffer_bytes_max: 100_000,
        write_timeout: Duration::from_millis(100),
        ..Options::to(&script.url()).unwrap()
    };
    let mut client = Client::open(options).unwrap();
    let error = loop {
        if let Err(error) = client.try_publish("a", &PAYLOAD) {
            break error;
        }
    };
    assert!(matches!(error, Error::WouldBlock), "{error}");
    assert!(client.buffered_bytes() <= 100_000);
    let error = loop {
        if let Err(error) = client.publish("a", &PAYLOAD) {
            break error;
        }
    };
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert!(matches!(client.flush(), Err(Error::Timeout { .. })));
    // A game loop goes on meanwhile.
    for _ in 0..1_000 {
        assert_eq!(client.poll(|event| panic!("{event:?}")).unwrap(), 0);
    }
    assert!(client.buffered_bytes() <= 100_000);
    done.send(()).unwrap();
    let mut unsent = 0;
    while unsent == 0 {
        client
            .wait(GENEROUS, |event| {
                if let Event::Disconnected { publishes_unsent, .. } = event {
                    unsent = publishes_unsent;
                }
            })
            .unwrap();
    }
    assert!(unsent <= 100, "{unsent} messages are more than the buffer holds");
    script.finish();
}

#[test]
fn a_message_larger_than_the_buffer_passes_and_small_buffers_make_progress() {
    let script = Script::start(|listener| {
        let peer = Peer::welcome(listener);
        assert_eq!(peer.drain_and_close(), 203);
    });
    let mut client = Client::open(Options { buffer_bytes_max: 2_000, ..Options::to(&script.url()).unwrap() }).unwrap();
    let large = vec![1; 900_000];
    for _ in 0..3 {
        client.publish("a", &large).unwrap();
    }
    for _ in 0..200 {
        client.publish("a", &PAYLOAD).unwrap();
    }
    client.close().unwrap();
    script.finish();
}

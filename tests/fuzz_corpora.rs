//! Replays the committed corpora of the fuzz targets: what was found once is looked for in every ordinary test run,
//! without a fuzzer.

#[path = "../fuzz/bodies/lib.rs"]
pub mod bodies;

use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a corpus can be listed").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    for path in paths {
        let data = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        // The name of the input that a failure is about.
        println!("{}", path.display());
        run(&data);
    }
}

#[test]
fn any_bytes_as_one_frame() {
    replay("frame_decode", bodies::frame_decode);
}

#[test]
fn any_stream_under_any_chunking() {
    replay("inbox_chunking", bodies::inbox_chunking);
}

#[test]
fn the_filter_tree_agrees_with_asking_every_filter() {
    replay("topic_matching", bodies::topic_matching);
}

#[test]
fn a_shard_survives_two_connections() {
    replay("shard_two_connections", bodies::shard_two_connections);
}

#[test]
fn a_handshake_does_not_depend_on_its_pieces() {
    replay("native_handshake", bodies::native_handshake);
}

#[test]
fn any_bytes_as_an_item_of_a_journal() {
    replay("journal_items", bodies::journal_items);
}

#[test]
fn any_segments_as_a_journal() {
    replay("journal_recovery", bodies::journal_recovery);
}

#[test]
fn any_stream_of_a_websocket_under_any_chunking() {
    replay("websocket_reader", bodies::websocket_reader);
}

#[test]
fn any_text_as_json_of_a_client() {
    replay("json_command", bodies::json_command);
}

#[test]
fn any_bytes_as_a_request_head() {
    replay("http_head", bodies::http_head);
}

#[test]
fn any_bytes_as_a_request_body() {
    replay("http_body", bodies::http_body);
}

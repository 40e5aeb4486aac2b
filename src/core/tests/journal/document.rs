//! The hex in protocol.md's appendix on journal files is what the journal writes.

use crate::basics::{opening, publication, publish, seal_all};
use crate::disk::SimulatedDisk;
use crate::index::PLAIN;
use fanwire_core::journal::format::{
    Batch, Item, NO_BASE, Producer, Record, SegmentHeader, TopicItem, VERSION, write_item,
};
use fanwire_core::journal::state::State;
use fanwire_core::journal::{Log, LogSettings, Publication, names};
use std::collections::BTreeMap;
use std::path::Path;

/// What the appendix shows, by the first line of each block.
fn vectors() -> BTreeMap<String, Vec<u8>> {
    let journal: [u8; 16] = std::array::from_fn(|at| at as u8);
    let header = SegmentHeader {
        version: VERSION,
        journal,
        base: 1,
        epoch: 1_767_225_600_000_000,
        created_us: 1_767_225_600_000_000,
        bytes: 65_536,
        is_compacted: false,
    };
    let salt = header.salt();
    let mut items = Vec::new();
    let time_us = 1_767_225_600_000_001;
    let batch = Batch { count: 1, bytes: 174, checksum_before: salt, durable: 0, time_us, rest: 1 };
    let topic = TopicItem {
        number: 0,
        sequence_before: 0,
        base_before: NO_BASE,
        offset_before: 0,
        previous: 0,
        name: b"chat/1",
    };
    let record = Record {
        topic: 0,
        position: 1,
        sequence: 1,
        time_us: 1_767_225_600_000_001,
        publisher: 7,
        previous: 0,
        producer: Some(Producer { id: 9, number: 1 }),
        headers: b"\x01\x61\x00",
        payload: b"hello",
    };
    for item in [Item::Batch(batch), Item::Topic(topic), Item::Record(record)] {
        write_item(&item, salt, &mut items);
    }
    assert_eq!(items.len(), batch.bytes as usize);
    let state = State {
        journal,
        boot: [0xB0; 16],
        epoch: 1_767_225_600_000_000,
        durable: 1,
        end_base: 1,
        end_offset: 238,
        is_new: false,
        is_clean: true,
        sync_failed: false,
        epoch_due: false,
    };
    BTreeMap::from([
        ("segment header".to_owned(), header.encode().to_vec()),
        ("batch of one record, the first of its topic".to_owned(), items),
        ("state of a closed journal".to_owned(), state.encode().to_vec()),
        ("snapshot before position 2".to_owned(), snapshot()),
    ])
}

/// The snapshot that is written when the segment with a first record is sealed.
fn snapshot() -> Vec<u8> {
    let disk = SimulatedDisk::new(1);
    let settings = LogSettings { segment_bytes: 512, topics_max: 10, is_volatile: false, seed: 1 };
    let (mut log, _) = Log::open(disk.clone(), settings, PLAIN, &opening(1)).expect("the disk is sound");
    let producer = Some(Producer { id: 9, number: 1 });
    publish(&mut log, &Publication { producer, ..publication("chat/1", b"hello") });
    log.commit().expect("the disk is sound");
    publish(&mut log, &publication("chat/2", &[0; 280]));
    log.commit().expect("the disk is sound");
    seal_all(&mut log);
    disk.content(&names::snapshot(2))
}

/// The blocks of the appendix that are vectors: name, and bytes.
fn written(document: &str) -> BTreeMap<String, Vec<u8>> {
    let appendix = document.split("\n## Appendix C").nth(1).expect("there is an appendix C");
    let appendix = appendix.split("\n## ").next().unwrap_or(appendix);
    let blocks = appendix.split("```text\n").skip(1).map(|block| block.split("```").next().unwrap_or(block));
    let vectors = blocks.filter_map(|block| {
        let (name, lines) = block.split_once('\n')?;
        let bytes = |line: &str| -> Option<Vec<u8>> {
            let hex = line.split(';').next().unwrap_or(line);
            hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
        };
        let bytes: Option<Vec<Vec<u8>>> = lines.lines().map(bytes).collect();
        bytes.map(|bytes| (name.to_owned(), bytes.concat()))
    });
    vectors.collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x} ")).collect()
}

#[test]
fn the_appendix_shows_what_is_written() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocol.md");
    let document = std::fs::read_to_string(path).expect("protocol.md is there");

    let written = written(&document);
    for (name, bytes) in vectors() {
        let shown = written.get(&name).map(|shown| hex(shown));
        assert_eq!(shown, Some(hex(&bytes)), "{name}");
    }
    assert_eq!(written.len(), vectors().len(), "a block of hex that nothing checks");
}

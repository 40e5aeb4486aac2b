//! Histories from the page cache: read, verified, and handed out.
//!
//! A sealed segment lies in a file of its own, which is removed when the scenery is gone. What is measured is all of
//! the way from `pread` to places of records; the file has been read before.

use super::{Scene, Work};
use fanwire_core::journal::catalog::{Catalog, Segment, SegmentEnd, SharedCatalog, Tail};
use fanwire_core::journal::disk::{Disk, DiskError, DiskFile};
use fanwire_core::journal::format::{
    BATCH_BYTES, Batch, HEADER_BYTES, Item, NO_BASE, Record, SegmentHeader, TopicItem, VERSION, fill_batch, write_item,
};
use fanwire_core::journal::history::History;
use fanwire_core::journal::index;
use fanwire_core::journal::reader::{CursorId, OpenRequest, ReadOutcome, Reader};
use fanwire_wire::frame::Start;
use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

pub(super) const SCENES: &[Scene] = &[
    Scene::new("history/sweep/one-topic", "record", || sweep(1, "#")),
    Scene::new("history/sweep/1000-topics", "record", || sweep(1_000, "a/#")),
    Scene::new("history/gather/one-of-1000-topics", "record", || gather(1_000)),
    Scene::new("history/index/build", "record", build),
];

const RECORDS: u64 = 200_000;
const PAYLOAD: [u8; 64] = [b'x'; 64];
const BYTES_MAX: usize = 256 * 1024;
/// Records in one batch.
const BATCH_RECORDS: u64 = 50;
const ID: CursorId = CursorId { shard: 0, key: 0, serial: 0 };

/// A directory of its own.
#[derive(Debug, Clone)]
struct Shelf(Arc<PathBuf>);

#[derive(Debug, Clone)]
struct ShelfFile(Arc<File>);

impl Shelf {
    fn new() -> Shelf {
        let name = format!("fanwire-history-{}-{:?}", std::process::id(), std::thread::current().id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("the machine has room for temporary files");
        Shelf(Arc::new(path))
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        if Arc::strong_count(&self.0) == 1 {
            std::fs::remove_dir_all(&*self.0).expect("it is this process's own");
        }
    }
}

fn failed(error: &std::io::Error) -> DiskError {
    DiskError::Failed(error.to_string())
}

impl Disk for Shelf {
    type File = ShelfFile;

    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        Ok(Vec::new())
    }

    fn create(&mut self, name: &str, bytes: u64) -> Result<ShelfFile, DiskError> {
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(true).open(self.0.join(name));
        let file = file.map_err(|error| failed(&error))?;
        file.set_len(bytes).map_err(|error| failed(&error))?;
        Ok(ShelfFile(Arc::new(file)))
    }

    fn open(&mut self, name: &str) -> Result<ShelfFile, DiskError> {
        let file = File::open(self.0.join(name)).map_err(|_| DiskError::Missing)?;
        Ok(ShelfFile(Arc::new(file)))
    }

    fn rename(&mut self, _from: &str, _to: &str) -> Result<(), DiskError> {
        Ok(())
    }

    fn remove(&mut self, _name: &str) -> Result<(), DiskError> {
        Ok(())
    }

    fn sync_names(&mut self) -> Result<(), DiskError> {
        Ok(())
    }
}

impl DiskFile for ShelfFile {
    fn bytes(&self) -> u64 {
        self.0.metadata().map_or(0, |metadata| metadata.len())
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        self.0.read_exact_at(buffer, offset).map_err(|error| failed(&error))
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.0.write_all_at(bytes, offset).map_err(|error| failed(&error))
    }

    fn sync(&self) -> Result<(), DiskError> {
        Ok(())
    }
}

/// A journal of one sealed segment and an empty open one.
struct Journal {
    shelf: Shelf,
    header: SegmentHeader,
    catalog: SharedCatalog<ShelfFile>,
    tail: Tail,
}

impl Journal {
    /// Writes the records, topic after topic in turn.
    fn new(topics: u64) -> Journal {
        let mut shelf = Shelf::new();
        let bytes = 64 * 1024 * 1024;
        let (version, journal) = (VERSION, [1; 16]);
        let header = SegmentHeader { version, journal, base: 1, epoch: 1, created_us: 1, bytes, is_compacted: false };
        let items = items(&header, topics);
        let file = shelf.create("00000000000000000001.segment", bytes).expect("there is room");
        file.write(0, &header.encode()).and_then(|()| file.write(u64::from(HEADER_BYTES), &items)).expect("it fits");
        let end = HEADER_BYTES + items.len() as u32;
        let index = index::build(&file, &header, end).expect("the segment is sound");
        let index_file = shelf.create("00000000000000000001.index", index.len() as u64).expect("there is room");
        index_file.write(0, &index).expect("it fits");
        let sealed = Segment {
            base: 1,
            epoch: 1,
            file,
            salt: header.salt(),
            end: Some(SegmentEnd { offset: end, position: RECORDS, time_us: RECORDS }),
            is_sealed: true,
        };
        let next = SegmentHeader { base: RECORDS + 1, bytes: 4096, ..header };
        let file = shelf.create("next", next.bytes).expect("there is room");
        file.write(0, &next.encode()).expect("it fits");
        let open = Segment { base: next.base, epoch: 1, file, salt: next.salt(), end: None, is_sealed: false };
        let catalog = Arc::new(Catalog { segments: vec![sealed, open] });
        let tail = Tail { base: next.base, offset: HEADER_BYTES, position: RECORDS, newest_topic: 0 };
        Journal { shelf, header, catalog, tail }
    }

    /// Reads a whole history and returns how many records it had.
    fn read(&self, reader: &mut Reader<Shelf>, request: &OpenRequest<ShelfFile>, history: &mut History) -> u64 {
        reader.open(ID, request);
        let mut records = 0;
        loop {
            let told = reader.read(ID, &self.catalog, self.tail, request.topic, BYTES_MAX, history);
            records += black_box(&*history).records.len() as u64;
            match told {
                ReadOutcome::More => {}
                ReadOutcome::AtTail { .. } => break,
                other => panic!("the history can't be read: {other:?}"),
            }
        }
        reader.close(ID);
        records
    }

    fn request(&self, filter: &str) -> OpenRequest<ShelfFile> {
        let catalog = self.catalog.clone();
        let filter = filter.to_owned();
        OpenRequest {
            catalog,
            tail: self.tail,
            epoch: 1,
            filter,
            start: Start::First,
            topic: None,
            topics: Arc::default(),
        }
    }
}

fn items(header: &SegmentHeader, topics: u64) -> Vec<u8> {
    let salt = header.salt();
    let (mut out, mut checksum) = (Vec::new(), salt);
    let mut last: Vec<(u64, u32)> = Vec::new();
    let mut position = 0;
    while position < RECORDS {
        let begin = out.len();
        out.resize(begin + BATCH_BYTES as usize, 0);
        let checksum_before = checksum;
        for _ in 0..BATCH_RECORDS {
            let topic = position % topics;
            position += 1;
            if last.len() as u64 == topic {
                last.push((0, 0));
                let name = format!("a/{topic}");
                let number = topic as u32;
                let name = name.as_bytes();
                let item =
                    TopicItem { number, sequence_before: 0, base_before: NO_BASE, offset_before: 0, previous: 0, name };
                write_item(&Item::Topic(item), salt, &mut out);
            }
            let (sequence, previous) = &mut last[topic as usize];
            *sequence += 1;
            let record = Record {
                topic: topic as u32,
                position,
                sequence: *sequence,
                time_us: position,
                publisher: 1,
                previous: *previous,
                producer: None,
                headers: b"",
                payload: &PAYLOAD,
            };
            *previous = HEADER_BYTES + out.len() as u32;
            checksum = write_item(&Item::Record(record), salt, &mut out);
        }
        let bytes = (out.len() - begin) as u32;
        let (count, time_us) = (BATCH_RECORDS as u32, position);
        let batch = Batch { count, bytes, checksum_before, durable: 0, time_us, rest: 0 };
        fill_batch(&batch, salt, &mut out[begin..]);
    }
    out
}

fn sweep(topics: u64, filter: &str) -> Work {
    let journal = Journal::new(topics);
    let mut reader = Reader::new(journal.shelf.clone());
    let request = journal.request(filter);
    let mut history = History::default();
    let run = move || assert_eq!(journal.read(&mut reader, &request, &mut history), RECORDS);
    Work::new(RECORDS, run).warmed_up(2)
}

fn gather(topics: u64) -> Work {
    let journal = Journal::new(topics);
    let mut reader = Reader::new(journal.shelf.clone());
    let end = fanwire_core::journal::catalog::TopicEnd { sequence: RECORDS / topics, base: 1, offset: HEADER_BYTES };
    let request = OpenRequest { topic: Some(end), ..journal.request("a/7") };
    let mut history = History::default();
    let run = move || assert_eq!(journal.read(&mut reader, &request, &mut history), RECORDS / topics);
    Work::new(RECORDS / topics, run).warmed_up(2)
}

fn build() -> Work {
    let journal = Journal::new(1_000);
    let sealed = &journal.catalog.segments[0];
    let end = sealed.end.expect("it is sealed").offset;
    let (file, header) = (sealed.file.clone(), journal.header);
    let run = move || {
        let _shelf = &journal.shelf;
        black_box(index::build(&file, &header, end)).expect("the segment is sound");
    };
    Work::new(RECORDS, run)
}

//! A journal's directory of segments that somebody made up: items with sound checksums and any content, and bytes
//! changed at random. It is opened or refused; if it is opened, it goes on, and opens again as it was.

use super::bytes::Bytes;
use fanwire_core::journal::catalog::SegmentEnd;
use fanwire_core::journal::disk::{Disk, DiskError, DiskFile};
use fanwire_core::journal::format::{
    BATCH_BYTES, Batch, HEADER_BYTES, Item, NO_BASE, Producer, Record, SegmentHeader, TopicItem, fill_batch, write_item,
};
use fanwire_core::journal::state::State;
use fanwire_core::journal::{Admission, Indexing, Log, LogSettings, Opening, Publication, TopicRef, names};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

const SEGMENT_BYTES: usize = 1024;
const SETTINGS: LogSettings =
    LogSettings { segment_bytes: SEGMENT_BYTES as u32, topics_max: 100, is_volatile: false, seed: 1 };
const PLAIN: Indexing<Files> = Indexing { build: |_, _| Ok(()), end: no_end };

/// Makes a directory of the bytes, and opens it.
pub fn journal_recovery(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let options = bytes.byte();
    let files = Files::default();
    let version = if options & 128 == 0 { 2 } else { 1 };
    let mut base = 1;
    let mut durable = 0;
    for _ in 0..=bytes.byte() % 3 {
        let (content, last) = segment(&mut bytes, version, base);
        files.put(&names::segment(base), content);
        durable = last;
        base = last + 1;
    }
    let state = State {
        journal: [1; 16],
        boot: [options & 1; 16],
        epoch: 5,
        durable: if options & 2 == 0 { 0 } else { durable },
        end_base: 0,
        end_offset: 0,
        is_new: options & 4 != 0,
        is_clean: options & 8 != 0,
        sync_failed: options & 16 != 0,
        epoch_due: options & 32 != 0,
    };
    files.put(names::STATE, state.encode().to_vec());
    open(&files, options & 64 != 0);
}

fn open(files: &Files, repair: bool) {
    let opening = Opening { now_us: 9, boot: [1; 16], fresh_id: [2; 16], repair };
    let Ok((mut log, _)) = Log::open(files.clone(), SETTINGS, PLAIN, &opening) else { return };
    let topics = ends(&log);
    let last = log.tail().position;
    drop(log);
    let opening = Opening { repair: false, ..opening };
    log = Log::open(files.clone(), SETTINGS, PLAIN, &opening).expect("what was opened once opens again").0;
    assert_eq!((ends(&log), log.tail().position), (topics, last));
    let publication = Publication {
        topic: TopicRef::Name("fuzz"),
        publisher: 1,
        expect: None,
        producer: None,
        headers: b"",
        payload: b"x",
    };
    for _ in 0..4 {
        match log.admit(&publication, 10) {
            Admission::Ordered(ordered) => {
                assert_eq!(ordered.position, last + 1);
                log.commit().expect("memory is sound");
                return;
            }
            Admission::NeedsRoll => log.roll(10).expect("memory is sound"),
            Admission::NeedsSegment => {
                let task = log.prepare_task().expect("a segment is wanted");
                log.supply(task.run().expect("memory is sound"));
            }
            Admission::Duplicate { .. } | Admission::Refused(_) | Admission::NeedsCommit => return,
        }
    }
}

fn ends(log: &Log<Files>) -> Vec<(String, u64)> {
    log.topics().map(|(name, end)| (name.to_owned(), end.sequence)).collect()
}

/// A segment's bytes, and the position of its last record if all of it is sound.
fn segment(bytes: &mut Bytes<'_>, version: u16, base: u64) -> (Vec<u8>, u64) {
    let header = SegmentHeader {
        version,
        journal: [1; 16],
        base,
        epoch: 5,
        created_us: 1,
        bytes: SEGMENT_BYTES as u64,
        is_compacted: bytes.byte() % 8 == 7,
    };
    let salt = header.salt();
    let mut out = header.encode().to_vec();
    let mut made = Made { position: base - 1, checksum: salt, sequences: Vec::new(), newest_topic: 0 };
    for _ in 0..bytes.byte() % 6 {
        made.batch(bytes, salt, &mut out);
    }
    out.resize(SEGMENT_BYTES, 0);
    for _ in 0..bytes.byte() % 3 {
        let at = (usize::from(bytes.byte()) << 8 | usize::from(bytes.byte())) % SEGMENT_BYTES;
        out[at] ^= bytes.byte();
    }
    (out, made.position)
}

/// What was made of a segment so far.
struct Made {
    position: u64,
    checksum: u32,
    /// Of each topic: its last sequence, and where its last record stands.
    sequences: Vec<(u64, u32)>,
    newest_topic: u32,
}

impl Made {
    fn batch(&mut self, bytes: &mut Bytes<'_>, salt: u32, out: &mut Vec<u8>) {
        let begin = out.len();
        let mut batch = vec![0; BATCH_BYTES as usize];
        let mut count = 0;
        let mut checksum = 0;
        for _ in 0..=bytes.byte() % 4 {
            let place = (begin + batch.len()) as u32;
            let choice = bytes.byte();
            let wrong = if bytes.byte() % 16 == 15 { u64::from(bytes.byte()) } else { 0 };
            if self.sequences.is_empty() || choice.is_multiple_of(4) {
                let item = TopicItem {
                    number: self.sequences.len() as u32,
                    sequence_before: wrong,
                    base_before: NO_BASE,
                    offset_before: 0,
                    previous: self.newest_topic,
                    name: &[b'a' + choice % 26],
                };
                checksum = write_item(&Item::Topic(item), salt, &mut batch);
                self.sequences.push((wrong, 0));
                self.newest_topic = place;
                continue;
            }
            let topic = usize::from(choice) % self.sequences.len();
            let (sequence, previous) = self.sequences[topic];
            let producer = (choice & 64 != 0).then(|| Producer { id: 1, number: u64::from(bytes.byte()) });
            let record = Record {
                topic: topic as u32 + (wrong >> 4) as u32,
                position: self.position + 1 + (wrong & 1),
                sequence: sequence + 1 + (wrong >> 1 & 1),
                time_us: 5,
                publisher: 1,
                previous,
                producer,
                headers: b"",
                payload: bytes.take(3),
            };
            checksum = write_item(&Item::Record(record), salt, &mut batch);
            self.sequences[topic] = (record.sequence, place);
            self.position = record.position;
            count += 1;
        }
        if out.len() + batch.len() > SEGMENT_BYTES {
            return;
        }
        let durable = u64::from(bytes.byte() % 8);
        let rest = Batch::rest_of(&batch[BATCH_BYTES as usize..]);
        let (length, checksum_before) = (batch.len() as u32, self.checksum);
        let head = Batch { count, bytes: length, checksum_before, durable, time_us: 5, rest };
        fill_batch(&head, salt, &mut batch);
        self.checksum = checksum;
        out.extend_from_slice(&batch);
        debug_assert!(out.len() > HEADER_BYTES as usize);
    }
}

/// Files in memory.
#[derive(Clone, Default)]
struct Files(Arc<Mutex<BTreeMap<String, File>>>);

#[derive(Clone)]
struct File(Arc<Mutex<Vec<u8>>>);

impl Files {
    fn map(&self) -> MutexGuard<'_, BTreeMap<String, File>> {
        self.0.lock().expect("one thread uses it")
    }

    fn put(&self, name: &str, content: Vec<u8>) {
        self.map().insert(name.to_owned(), File(Arc::new(Mutex::new(content))));
    }
}

fn no_end(_: &mut Files, _: &SegmentHeader) -> Result<Option<SegmentEnd>, DiskError> {
    Ok(None)
}

impl Disk for Files {
    type File = File;

    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        Ok(self.map().keys().cloned().collect())
    }

    fn create(&mut self, name: &str, bytes: u64) -> Result<File, DiskError> {
        self.put(name, vec![0; bytes as usize]);
        self.open(name)
    }

    fn open(&mut self, name: &str) -> Result<File, DiskError> {
        self.map().get(name).cloned().ok_or(DiskError::Missing)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let mut map = self.map();
        let file = map.remove(from).ok_or(DiskError::Missing)?;
        map.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.map().remove(name).map(drop).ok_or(DiskError::Missing)
    }

    fn sync_names(&mut self) -> Result<(), DiskError> {
        Ok(())
    }

    fn forget(&mut self, _names: &[String]) -> Result<(), DiskError> {
        Ok(())
    }
}

impl DiskFile for File {
    fn bytes(&self) -> u64 {
        self.0.lock().expect("one thread uses it").len() as u64
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        let content = self.0.lock().expect("one thread uses it");
        buffer.copy_from_slice(&content[offset as usize..offset as usize + buffer.len()]);
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut content = self.0.lock().expect("one thread uses it");
        content[offset as usize..offset as usize + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> Result<(), DiskError> {
        Ok(())
    }
}

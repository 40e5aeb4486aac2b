//! Journals in a file and on the command line: what arrives, and every way they can be wrong.

use super::super::keys::{JOURNAL_KEYS, Kind};
use super::{Config, Duration, Flags, Journal, Origin, Path, Problem, Store, Sync, assert_complains, complaints, read};
use crate::config::default_file;

/// A document with these journals, each given by its lines. Their keys begin on line 3.
fn document(journals: &[&str]) -> String {
    journals.iter().fold("data = \"d\"\n".to_owned(), |text, journal| format!("{text}[[journal]]\n{journal}"))
}

fn journal(lines: &str) -> Journal {
    let text = document(&[lines]);
    read(&text).unwrap_or_else(|problems| panic!("{problems:?}")).journals.remove(0)
}

/// Two lines that are needed.
const EVENTS: &str = "name = \"events\"\ntopics = [\"match/#\"]\n";
const CHAT: &str = "name = \"chat\"\ntopics = [\"chat/#\"]\n";

#[test]
fn a_journal_of_two_lines_is_on_disk_and_keeps_everything() {
    let expected = Journal {
        name: "events".to_owned(),
        filters: vec!["match/#".to_owned()],
        store: Store::Disk,
        max_bytes: None,
        max_age: None,
        segment_bytes: 64 << 20,
        topics_max: 1_000_000,
        compact: false,
        sync: Sync::Every(Duration::from_millis(100)),
    };
    assert_eq!(journal(EVENTS), expected);
    let config = read(&document(&[EVENTS])).unwrap();
    assert_eq!(config.directory_of(&expected), Path::new("d/events"));
    let inline = "data = \"d\"\njournal = [{ name = \"events\", topics = [\"match/#\"] }]\n";
    assert_eq!(read(inline).unwrap().journals, [expected]);
}

#[test]
fn every_key_of_a_journal_arrives() {
    let all = "name = \"a-1_b\"\ntopics = [\"a\", \"b/+\"]\nmax_bytes = \"1GiB\"\nmax_age = \"72h\"\n\
               segment_bytes = \"4MiB\"\ncompact = true\nsync = \"release\"\ntopics_max = 7\n";
    let expected = Journal {
        name: "a-1_b".to_owned(),
        filters: vec!["a".to_owned(), "b/+".to_owned()],
        store: Store::Disk,
        max_bytes: Some(1 << 30),
        max_age: Some(Duration::from_secs(72 * 3600)),
        segment_bytes: 4 << 20,
        topics_max: 7,
        compact: true,
        sync: Sync::Release,
    };
    assert_eq!(journal(all), expected);
    let sync = |value: &str| journal(&format!("{EVENTS}sync = \"{value}\"\n")).sync;
    assert_eq!(sync("demand"), Sync::Demand);
    assert_eq!(sync("1h"), Sync::Every(Duration::from_secs(3600)));
    assert_eq!(journal(&format!("{EVENTS}max_bytes = 0\nmax_age = \"0s\"\n")), journal(EVENTS));
}

#[test]
fn a_journal_in_memory_has_a_bound_and_segments_to_match() {
    let memory = |more: &str| journal(&format!("{CHAT}store = \"memory\"\n{more}"));
    assert_eq!((memory("").max_bytes, memory("").segment_bytes), (Some(64 << 20), 8 << 20));
    assert_eq!(memory("max_bytes = \"1GiB\"\n").segment_bytes, 128 << 20);
    assert_eq!(memory("max_bytes = \"100GiB\"\n").segment_bytes, 1 << 30);
    let least_segment = 2 * (1 << 20) + (64 << 10);
    assert_eq!(memory("max_bytes = \"16MiB\"\n").segment_bytes, least_segment);
    let small = memory("max_bytes = \"16MiB\"\nsegment_bytes = \"4MiB\"\n");
    assert_eq!((small.max_bytes, small.segment_bytes), (Some(16 << 20), 4 << 20));
    assert!(read("[[journal]]\nname = \"m\"\ntopics = [\"a\"]\nstore = \"memory\"\n").is_ok(), "no data is needed");
}

#[test]
fn the_example_of_the_default_file_is_a_journal() {
    let unmarked: String = default_file()
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .map(|line| line.replace("data = \"\"", "data = \"d\""))
        .fold(String::new(), |text, line| text + &line + "\n");
    let config = read(&unmarked).unwrap();
    let usual = journal("name = \"events\"\ntopics = [\"match/#\", \"orders/+/log\"]\n");
    assert_eq!(config.journals, [usual]);
    assert!(JOURNAL_KEYS.iter().all(|key| unmarked.contains(&format!("\n{} = ", key.name))), "{unmarked}");
}

#[test]
fn every_key_of_a_journal_refuses_values_of_another_type_by_journal_name_and_line() {
    for key in JOURNAL_KEYS {
        for wrong in ["1.5", "1979-05-27", "{}", "[1]", "\"Nonsense!\"", "true", "-1"] {
            if matches!((&key.kind, wrong), (Kind::Switch { .. }, "true")) {
                continue;
            }
            let (label, before) = if key.name == "name" { ("journal", "") } else { ("journal j", "name = \"j\"\n") };
            let complaint = complaints(&document(&[&format!("{before}{} = {wrong}\n", key.name)]));
            let line = if before.is_empty() { 3 } else { 4 };
            assert!(complaint.starts_with(&format!("f.toml:{line}: {label}: {}: ", key.name)), "{complaint}");
        }
    }
}

#[test]
fn what_can_not_be_a_journal_s_key_or_section_is_told_with_what_was_meant() {
    assert_complains(
        &document(&["max_byte = 1\n"]),
        "f.toml:3: unknown key `max_byte` in [[journal]]; did you mean `max_bytes`?",
    );
    assert_complains("topics = [\"a\"]\n", "f.toml:1: unknown key `topics`; did you mean `topics` in [[journal]]?");
    for wrong in ["[journal]\nname = \"a\"\n", "journal = \"a\"\n", "journal = [1]\n"] {
        assert_complains(wrong, "f.toml:1: `journal` is a section: write [[journal]] and its keys below it");
    }
    for wrong in ["[[journals]]\nname = \"a\"\n", "[journals]\nname = \"a\"\n"] {
        assert_complains(wrong, "f.toml:1: unknown section `journals`; did you mean [[journal]]?");
    }
    assert!(read("journal = []\n").is_err());
}

#[test]
fn what_a_journal_lacks_is_told_with_the_line_where_it_begins() {
    assert_complains(
        "[[journal]]\ncompact = false\n",
        "f.toml:1: journal: name: is missing; write one such as name = \"events\"\n\
         f.toml:1: journal: topics: a filter is needed, such as topics = [\"match/#\"]\n\
         f.toml:1: journal: store: needs a directory: write data = \"DIR\" above all sections, or serve with --data \
         DIR, or keep it in memory (store = \"memory\")",
    );
    assert_complains(
        &document(&[EVENTS, CHAT, "name = \"events\"\ntopics = [\"x\"]\n"]),
        "f.toml:9: journal events: name: another journal (line 2) has it",
    );
    for wrong in ["", "Events", "a b", "a/b", "..", "über", &"a".repeat(33)] {
        let complaint = complaints(&document(&[&format!("name = \"{wrong}\"\ntopics = [\"a\"]\n")]));
        assert!(complaint.starts_with("f.toml:3: journal: name: expected 1 to 32 of a-z, 0-9, _ and -"), "{complaint}");
    }
}

#[test]
fn filters_that_are_none_or_the_broker_s_or_repeated_are_told_one_by_one() {
    let text = "name = \"a\"\ntopics = [\"a/#/b\", \"$sys/#\", \"$share/g/a\", \"ok\", \"ok\", \"\"]\n";
    let no_filter = "is no filter: levels parted by /, + alone in its level, # alone at the end; at most 255 bytes, \
                     16 levels, 4 of them +";
    let reserved = "begins with $: such topics are the broker's own, or shared, and are not kept";
    assert_complains(
        &document(&[text]),
        &[
            format!("\"a/#/b\" {no_filter}"),
            format!("\"$sys/#\" {reserved}"),
            format!("\"$share/g/a\" {reserved}"),
            "\"ok\" stands twice; remove one".to_owned(),
            format!("\"\" {no_filter}"),
        ]
        .map(|problem| format!("f.toml:4: journal a: topics: {problem}"))
        .join("\n"),
    );
}

#[test]
fn journals_that_share_a_topic_are_both_named() {
    assert_complains(
        &document(&[EVENTS, "name = \"all\"\ntopics = [\"chat\", \"+/+/score\"]\n"]),
        "f.toml:7: journal all: topics: \"+/+/score\" and \"match/#\" of journal events (line 4) have topics in \
         common; a topic belongs to one journal",
    );
    assert!(read(&document(&[EVENTS, "name = \"all\"\ntopics = [\"+\", \"$c\"]\n"])).is_err());
    assert!(
        read(&document(&[EVENTS, "name = \"one\"\ntopics = [\"matches\", \"+/match\", \"+/match/+\"]\n"])).is_err()
    );
    assert!(read(&document(&[EVENTS, "name = \"one\"\ntopics = [\"matches/#\"]\n"])).is_ok());
    let within_one = "name = \"one\"\ntopics = [\"a/#\", \"a/+\", \"a/b\"]\n";
    assert!(read(&document(&[EVENTS, within_one])).is_ok(), "within one journal filters may overlap");
}

#[test]
fn what_memory_can_not_give_is_refused() {
    let memory = |more: &str| document(&[&format!("{CHAT}store = \"memory\"\n{more}")]);
    for (more, expected) in [
        ("compact = true\n", "compact: a journal in memory can't be compacted; remove it, or use the disk"),
        ("sync = \"demand\"\n", "sync: a journal in memory is never synced; remove it, or use the disk"),
        ("max_bytes = 0\n", "max_bytes: a journal in memory needs a bound, such as \"64MiB\""),
        (
            "max_bytes = \"8MiB\"\n",
            "max_bytes: \"8MiB\" is too little; at least \"8448KiB\" is needed: 4 segments of \"2112KiB\"",
        ),
    ] {
        assert_complains(&memory(more), &format!("f.toml:6: journal chat: {expected}"));
    }
}

#[test]
fn the_largest_record_fits_a_segment_and_a_bound_holds_two() {
    let least =
        "at least \"2112KiB\" is needed: 64KiB and twice limits.frame_bytes_max, so that the largest record fits";
    assert_complains(
        &document(&[&format!("{EVENTS}segment_bytes = \"2MiB\"\n")]),
        &format!("f.toml:5: journal events: segment_bytes: \"2MiB\" is too little; {least}"),
    );
    let large_frames = "[limits]\nframe_bytes_max = \"64MiB\"\nqueue_bytes_max = \"128MiB\"\n\
                        partial_bytes_total_max = \"8GiB\"\nqueue_bytes_total_max = \"8GiB\"\n";
    let complaint = complaints(&format!("{}{large_frames}", document(&[EVENTS])));
    assert!(complaint.starts_with("f.toml:2: journal events: segment_bytes: \"64MiB\" is too little; "), "{complaint}");
    assert_complains(
        &document(&[&format!("{EVENTS}max_bytes = \"127MiB\"\n")]),
        "f.toml:5: journal events: max_bytes: \"127MiB\" is too little; at least \"128MiB\" is needed: 2 segments of \
         \"64MiB\"",
    );
    assert!(complaints(&document(&[&format!("{EVENTS}segment_bytes = \"2GiB\"\n")])).contains("\"64KiB\" to \"1GiB\""));
}

#[test]
fn there_are_not_more_journals_and_filters_than_can_be_had() {
    let journals = |count: usize| {
        let text = |number| format!("name = \"j{number}\"\ntopics = [\"t{number}\"]\n");
        let journals: Vec<String> = (0..count).map(text).collect();
        document(&journals.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert_eq!(read(&journals(64)).unwrap().journals.len(), 64);
    assert_complains(&journals(65), "f.toml:194: 65 journals are too many; allowed is up to 64");
    let filters = |count: usize| (0..count).map(|number| format!("\"t{number}\"")).collect::<Vec<_>>().join(", ");
    assert!(read(&document(&[&format!("name = \"a\"\ntopics = [{}]\n", filters(64))])).is_ok());
    assert_complains(
        &document(&[&format!("name = \"a\"\ntopics = [{}]\n", filters(65))]),
        "f.toml:4: journal a: topics: 65 are too many; allowed is up to 64",
    );
}

fn with_flags(text: &str, journals: &[&str]) -> Result<Config, Vec<Problem>> {
    let journals = journals.iter().map(|&journal| journal.to_owned()).collect();
    Config::from_text(text, &Flags { data: Some("d".into()), journals, ..Flags::default() })
}

#[test]
fn a_flag_says_what_a_table_can_say() {
    let flags = ["events=match/#, orders/+/log", "chat=chat/#;store=memory;max_bytes=32MiB;topics_max=9;"];
    let config = with_flags("", &flags).unwrap();
    assert_eq!(config.data.as_deref(), Some(Path::new("d")));
    assert_eq!(config.journals[0], journal("name = \"events\"\ntopics = [\"match/#\", \"orders/+/log\"]\n"));
    let chat = format!("{CHAT}store = \"memory\"\nmax_bytes = \"32MiB\"\ntopics_max = 9\n");
    assert_eq!(config.journals[1], journal(&chat));
    let compact = with_flags("", &["a=a;compact=true;sync=5s;max_age=1h;segment_bytes=4194304"]).unwrap();
    let table = "name = \"a\"\ntopics = [\"a\"]\ncompact = true\nsync = \"5s\"\nmax_age = \"1h\"\n\
                 segment_bytes = \"4MiB\"\n";
    assert_eq!(compact.journals, [journal(table)]);
}

#[test]
fn a_flag_replaces_the_table_of_its_name_and_stands_beside_the_others() {
    let config = with_flags(&document(&[EVENTS, CHAT]), &["chat=rooms/#"]).unwrap();
    let names: Vec<(&str, &str)> =
        config.journals.iter().map(|journal| (&*journal.name, &*journal.filters[0])).collect();
    assert_eq!(names, [("events", "match/#"), ("chat", "rooms/#")]);
}

#[test]
fn a_flag_that_can_not_stand_is_told_as_one() {
    for (flag, expected) in [
        ("events", "expected NAME=FILTER,FILTER such as 'events=match/#,orders/+/log', found \"events\""),
        ("E=a", "name: expected 1 to 32 of a-z, 0-9, _ and -, found \"E\""),
        ("e=a;store", "journal e: \"store\": expected KEY=VALUE such as store=memory"),
        ("e=a;stor=disk", "journal e: unknown key \"stor\"; did you mean `store`?"),
        (
            "e=a;name=f",
            "journal e: unknown key \"name\"; there are store, max_bytes, max_age, segment_bytes, compact, sync, \
             topics_max",
        ),
        ("e=a;store=disk;store=disk", "journal e: store: stands twice; remove one"),
        ("e=a;store=tape", "journal e: store: expected one of \"disk\", \"memory\", found \"tape\""),
        (
            "e=a;max_bytes=1",
            "journal e: max_bytes: \"1B\" is too little; at least \"128MiB\" is needed: 2 segments of \"64MiB\"",
        ),
        ("e=a,a", "journal e: topics: \"a\" stands twice; remove one"),
        (
            "match=match/+",
            "journal match: topics: \"match/+\" and \"match/#\" of journal events (line 4) have topics in \
             common; a topic belongs to one journal",
        ),
    ] {
        let problems = with_flags(&document(&[EVENTS]), &[flag]).unwrap_err();
        let expected = Problem { origin: Origin::Flag("--journal"), message: expected.to_owned() };
        assert_eq!(problems, [expected], "{flag}");
    }
    let twice = with_flags("", &["a=a", "a=b"]).unwrap_err();
    assert_eq!(twice[0].message, "journal a: name: another journal has it");
    let no_data = Config::from_text("", &Flags { journals: vec!["a=a".to_owned()], ..Flags::default() }).unwrap_err();
    assert!(no_data[0].message.starts_with("journal a: store: needs a directory"), "{no_data:?}");
}

#[test]
fn a_journal_is_told_in_one_line() {
    let line = |journal: &str| {
        let config = with_flags("", &[journal]).unwrap();
        config.journals[0].summary(config.data.as_deref())
    };
    assert_eq!(line("e=a"), "e: a; on disk in d/e, synced every 100ms; keeps everything");
    assert_eq!(
        line("e=a,b,c,d,e,f;sync=demand;max_bytes=1GiB"),
        "e: a, b, c, d and 2 more; on disk in d/e, synced on demand; keeps 1GiB at most"
    );
    assert_eq!(
        line("e=a;sync=release;compact=true;max_bytes=1GiB;max_age=72h"),
        "e: a; on disk in d/e, synced before release; keeps the newest of each topic, 1GiB and 72h at most"
    );
    assert_eq!(line("e=\u{202e}a;store=memory;compact=false"), "e: \\u{202e}a; in memory; keeps 64MiB at most");
}

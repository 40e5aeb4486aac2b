//! Every way a configuration can be wrong, and that a right one arrives where it should.

use super::keys::{JOURNAL_KEYS, KEYS, Kind, Unit};
use super::*;

mod journals;

fn read(text: &str) -> Result<Config, Vec<Problem>> {
    Config::from_text(text, &Flags::default())
}

/// The problems of a text, as a reader sees them.
fn complaints(text: &str) -> String {
    let problems = read(text).expect_err(text);
    ConfigError { file: Some("f.toml".into()), problems }.to_string()
}

#[track_caller]
fn assert_complains(text: &str, expected: &str) {
    assert_eq!(complaints(text), expected, "of {text:?}");
}

/// A document that sets one key and nothing else.
fn document(section: &str, name: &str, value: &str) -> String {
    if section.is_empty() { format!("{name} = {value}\n") } else { format!("[{section}]\n{name} = {value}\n") }
}

#[test]
fn the_default_file_reads_back_to_the_defaults_and_holds_every_key() {
    let text = default_file();
    assert_eq!(read(&text), Ok(Config::default()), "{text}");
    assert_eq!(read(""), Ok(Config::default()));
    let set = text.lines().filter(|line| line.contains(" = ") && !line.starts_with("# ")).count();
    assert_eq!(set, KEYS.len() + JOURNAL_KEYS.len());
    assert!(text.lines().all(|line| line.len() <= 120), "{text}");
}

#[test]
fn every_key_changes_exactly_one_value() {
    for key in KEYS {
        let value = match &key.kind {
            Kind::Switch { .. } => "true".to_owned(),
            Kind::Text { .. } if key.path() == "data" => "\"elsewhere\"".to_owned(),
            Kind::Text { .. } => "\"[::1]:1\"".to_owned(),
            Kind::Texts { .. } if key.name == "hosts" => "[\"elsewhere\"]".to_owned(),
            Kind::Texts { .. } => "[\"http://elsewhere\"]".to_owned(),
            Kind::Tokens { .. } => "[\"one\", \"two\"]".to_owned(),
            Kind::Choice { words, .. } => format!("\"{}\"", words[1]),
            Kind::Number { unit, range, get, .. } => {
                let usual = get(&Config::default());
                // Whichever neighbour the range and the rules between keys allow.
                let up = key.path() != "limits.frame_bytes_max" && usual < *range.end();
                unit.print(if up { usual + 1 } else { usual - 1 })
            }
        };
        let config = read(&document(key.section, key.name, &value)).unwrap_or_else(|error| panic!("{error:?}"));
        let changes = config.changes();
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert!(changes[0].starts_with(&format!("{} = ", key.path())), "{changes:?}");
    }
}

#[test]
fn every_key_refuses_values_of_another_type_by_name_and_line() {
    for key in KEYS {
        for wrong in ["1.5", "1979-05-27", "{}", "[1]", "\"nonsense\"", "true", "-1"] {
            if matches!((key.name, &key.kind, wrong), (_, Kind::Switch { .. }, "true") | ("data", _, "\"nonsense\"")) {
                continue;
            }
            let complaint = complaints(&document(key.section, key.name, wrong));
            let line = if key.section.is_empty() { 1 } else { 2 };
            assert!(complaint.starts_with(&format!("f.toml:{line}: {}: ", key.path())), "{complaint}");
        }
    }
}

#[test]
fn every_number_refuses_what_lies_outside_its_range_and_says_the_range() {
    for key in KEYS {
        let Kind::Number { unit, range, .. } = &key.kind else { continue };
        for wrong in [range.start().checked_sub(1), range.end().checked_add(1)].into_iter().flatten() {
            let complaint = complaints(&document(key.section, key.name, &unit.print(wrong)));
            let allowed = format!("allowed is {} to {}", unit.print(*range.start()), unit.print(*range.end()));
            assert!(complaint.contains(&key.path()) && complaint.contains(&allowed), "{complaint}");
        }
    }
}

#[test]
fn a_bare_number_is_taken_only_where_the_name_says_bytes() {
    assert_eq!(read("[limits]\ntopic_bytes_max = 0xff\n"), Ok(Config::default()));
    for key in KEYS {
        let Kind::Number { unit, get, .. } = &key.kind else { continue };
        let value = get(&Config::default()).to_string();
        let taken = read(&document(key.section, key.name, &value)).is_ok();
        let unmistakable = *unit == Unit::Count || (*unit == Unit::Size && key.name.contains("bytes"));
        assert_eq!(taken, unmistakable, "{}", key.path());
    }
}

#[test]
fn an_unknown_key_is_told_with_its_line_and_what_was_meant() {
    assert_complains(
        "open = true\n\n[limits]\nframe_byte_max = 1\n",
        "f.toml:4: unknown key `frame_byte_max` in [limits]; did you mean `frame_bytes_max`?",
    );
    assert_complains("Listen = 1\n", "f.toml:1: unknown key `Listen`; did you mean `listen`?");
    assert_complains(
        "handshake_time_max = \"1s\"\n",
        "f.toml:1: unknown key `handshake_time_max`; did you mean `handshake_time_max` in [limits]?",
    );
    assert_complains(
        "[log]\nlisten = 1\n",
        "f.toml:2: unknown key `listen` in [log]; did you mean `listen`, above all sections?",
    );
    assert_complains(
        "[log]\ncolour_of_the_bicycle = 1\n",
        "f.toml:2: unknown key `colour_of_the_bicycle` in [log]; every key there is: fanwire config default",
    );
    assert_complains("[limit]\nx = 1\n", "f.toml:1: unknown section `limit`; did you mean [limits]?");
    assert_complains("limits = 3\n", "f.toml:1: `limits` is a section: write [limits] and its keys below it");
    assert_complains("[[drain]]\n", "f.toml:1: `drain` is a section: write [drain] and its keys below it");
    assert_complains(
        "[log.level]\nx = 1\n",
        "f.toml:1: log.level: expected one of \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\", \
         found a table",
    );
}

#[test]
fn what_stands_twice_or_is_not_toml_is_told_with_its_line() {
    assert_complains("open = true\nopen = true\n", "f.toml:2: this key stands twice; remove one");
    assert!(complaints("[log]\n[drain]\n[log]\n").starts_with("f.toml:3: "));
    assert!(complaints("open = true\nlisten =\n").starts_with("f.toml:2: not TOML: "));
    assert!(complaints("\u{0}").starts_with("f.toml:1: not TOML: "));
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file() {
    let text = "[socket]\nuser_timeout = 3\n\n[log]\nlevel = \"loud\"\nformat = 1\n";
    let lines: Vec<usize> = read(text)
        .unwrap_err()
        .iter()
        .map(|problem| match problem.origin {
            Origin::Line(line) => line,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(lines, [2, 5, 6]);
}

#[test]
fn tokens_that_do_not_fit_are_told_by_place_and_never_shown() {
    assert_complains(
        "tokens = [\"good\", \"se cret\"]\n",
        "f.toml:1: tokens: token 2 of the list: a token is 1 to 4096 visible ASCII characters, no spaces",
    );
    assert_complains("tokens = [\"a\", \"b\", \"a\"]\n", "f.toml:1: tokens: token 3 of the list repeats token 1");
    assert_complains("tokens = [\"a\", 7]\n", "f.toml:1: tokens: token 2 of the list is not a string");
    assert_complains("tokens = \"hunter2\"\n", "f.toml:1: tokens: expected a list such as [\"a-long-secret\"]");
    let config = read("tokens = [\"hunter2\"]\n").unwrap();
    assert_eq!(config.tokens.secrets().collect::<Vec<_>>(), ["hunter2"]);
    assert!(!format!("{config:?}{:?}", config.changes()).contains("hunter2"));
}

#[test]
fn an_address_that_others_reach_needs_a_token_or_the_word_open() {
    for address in ["0.0.0.0:7311", "[::]:7311", "192.168.0.1:0", "[::ffff:10.0.0.1]:1"] {
        let complaint = complaints(&format!("listen = \"{address}\"\n"));
        assert!(complaint.starts_with("f.toml:1: listen: "), "{complaint}");
        assert!(complaint.contains("tokens = [\"...\"]") && complaint.contains("--open"), "{complaint}");
        assert!(read(&format!("listen = \"{address}\"\nopen = true\n")).is_ok());
        assert!(read(&format!("listen = \"{address}\"\ntokens = [\"secret\"]\n")).is_ok());
    }
    for address in ["127.0.0.1:0", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert!(read(&format!("listen = \"{address}\"\n")).is_ok(), "{address}");
    }
    let complaint = complaints("[http]\nadmin_listen = \"10.0.0.5:7312\"\n");
    assert!(complaint.starts_with("f.toml:2: http.admin_listen: 10.0.0.5:7312 can be reached"), "{complaint}");
    assert!(read("[http]\nadmin_listen = \"127.0.0.1:7312\"\n").is_ok());
    assert!(read("tokens = [\"secret\"]\n[http]\nadmin_listen = \"10.0.0.5:7312\"\n").is_ok());
    let contradiction = complaints("open = true\ntokens = [\"secret\"]\n");
    assert_eq!(contradiction, "f.toml:1: open: tokens are set, so not everyone may connect; remove one of the two");
}

#[test]
fn rules_between_keys_name_the_line_that_was_written() {
    assert_complains(
        "[limits]\nframe_bytes_max = \"2MiB\"\n",
        "f.toml:2: limits.queue_bytes_max: \"2MiB\" is too little; at least \"2432KiB\" is needed: \
         limits.frame_bytes_max and 384KiB, what one turn can add to a queue",
    );
    assert_complains(
        "[limits]\nqueue_bytes_total_max = \"1MiB\"\n",
        "f.toml:2: limits.queue_bytes_total_max: \"1MiB\" is too little; at least \"2MiB\" is needed: \
         one connection may have limits.queue_bytes_max",
    );
    assert_complains(
        "[limits]\npartial_bytes_total_max = \"512KiB\"\n",
        "f.toml:2: limits.partial_bytes_total_max: \"512KiB\" is too little; at least \"1MiB\" is needed: \
         one frame may have limits.frame_bytes_max",
    );
    assert_complains(
        "[limits]\nheaders_bytes_max = \"2MiB\"\n",
        "f.toml:2: limits.headers_bytes_max: \"2MiB\" is more than a whole frame has; \
         allowed is up to limits.frame_bytes_max = \"1MiB\"",
    );
    assert_complains(
        "[drain]\nreconnect_min = \"10s\"\n",
        "f.toml:2: drain.reconnect_max: \"5s\" is too little; at least \"10s\" is needed: \
         it ends the time that drain.reconnect_min begins",
    );
}

#[test]
fn each_reactor_s_share_of_a_total_has_to_hold_the_largest_thing_that_may_come() {
    assert_complains(
        "reactors = 4\n[limits]\nqueue_bytes_total_max = \"7MiB\"\n",
        "f.toml:3: limits.queue_bytes_total_max: \"7MiB\" is too little; at least \"8MiB\" is needed: \
         each of 4 reactors gets an equal share, and one connection may have limits.queue_bytes_max",
    );
    assert_complains(
        "reactors = 64\n[limits]\nframe_bytes_max = \"1025KiB\"\n",
        "f.toml:3: limits.partial_bytes_total_max: \"64MiB\" is too little; at least \"65600KiB\" is needed: \
         each of 64 reactors gets an equal share, and one frame may have limits.frame_bytes_max",
    );
    assert_complains(
        "reactors = 8\n[limits]\nsubscriptions_total_max = 7\n",
        "f.toml:3: limits.subscriptions_total_max: 7 is too little; at least 8 is needed: \
         each of 8 reactors gets an equal share, and none would be left",
    );
    let text = "[limits]\nqueue_bytes_max = \"8MiB\"\n";
    let problems = Config::from_text(text, &Flags { reactors: Some(64), ..Flags::default() }).unwrap_err();
    assert_eq!(problems[0].origin, Origin::Line(2), "{problems:?}");
    assert!(problems[0].message.starts_with("limits.queue_bytes_total_max: "), "{problems:?}");
}

#[test]
fn up_to_64_reactors_are_possible_and_each_gets_its_share() {
    for reactors in [1, 2, 3, 64] {
        let config = read(&format!("reactors = {reactors}\n")).unwrap();
        let (all, one) = (config.limits, config.limits_of_one_reactor());
        assert_eq!(one.queue_bytes_total_max, all.queue_bytes_total_max / u64::from(reactors));
        assert_eq!(one.partial_bytes_total_max, all.partial_bytes_total_max / u64::from(reactors));
        assert_eq!(one.subscriptions_total_max, all.subscriptions_total_max / reactors);
        assert_eq!(one.topics_cached_max, all.topics_cached_max / reactors);
        assert_eq!((one.wire, one.connections_max), (all.wire, all.connections_max));
    }
    for reactors in [65, u32::MAX] {
        let problems = Config::from_text("", &Flags { reactors: Some(reactors), ..Flags::default() }).unwrap_err();
        assert_eq!((problems.len(), problems[0].origin), (1, Origin::Flag("--reactors")), "{problems:?}");
        assert!(
            problems[0].message.contains("0 to 64: which reactors want a topic is noted in 64 bits"),
            "{problems:?}"
        );
    }
}

#[test]
fn unless_asked_for_there_is_a_reactor_for_every_other_core() {
    let counts = [1, 2, 3, 4, 16, 64, 256].map(reactors_for);
    assert_eq!(counts, [1, 1, 1, 2, 8, 16, 16]);
    let count = read("").unwrap().reactor_count();
    assert!((1..=16).contains(&count));
    assert_eq!(read("reactors = 3").unwrap().reactor_count(), 3);
}

#[test]
fn flags_override_the_file_and_answer_for_what_they_set() {
    let flags = Flags { listen: Some("0.0.0.0:1".parse().unwrap()), reactors: Some(1), ..Flags::default() };
    let file = "listen = \"127.0.0.1:2\"\ntokens = [\"secret\"]\nreactors = 4\n";
    let config = Config::from_text(file, &flags).unwrap();
    assert_eq!((config.listen, config.reactors), (flags.listen.unwrap(), 1));

    let problems = Config::from_text("", &flags).unwrap_err();
    let shown = ConfigError { file: None, problems }.to_string();
    assert!(shown.starts_with("--listen: 0.0.0.0:1 can be reached from other machines"), "{shown}");
    let open = Config::from_text("", &Flags { open: true, ..flags }).unwrap();
    assert!(open.open && open.tokens.is_open());
    let none = Config::from_text("", &Flags { reactors: Some(65), ..Flags::default() }).unwrap_err();
    assert_eq!(none[0].origin, Origin::Flag("--reactors"));
}

#[test]
fn a_file_that_can_not_be_read_is_told_by_name() {
    let missing = Config::load(Some(Path::new("/nowhere/fanwire.toml")), &Flags::default()).unwrap_err();
    assert!(missing.to_string().starts_with("/nowhere/fanwire.toml: can't be read ("), "{missing}");
    assert!(missing.to_string().contains("fanwire config default"), "{missing}");
}

//! The bench from outside: short runs against the floor and this very broker, and what they leave for machines.
//!
//! No test here asserts a speed: only that everything arrives once and in order, and that the numbers are told.

mod bench {
    use serde_json::Value;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::path::PathBuf;
    use std::process::{Command, Output, Stdio};
    use std::time::{Duration, Instant};

    fn run(arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanwire"));
        command.arg("bench").args(arguments).env_remove("FANWIRE_LOG");
        command.output().expect("the binary starts")
    }

    #[track_caller]
    fn json(arguments: &[&str]) -> Value {
        let output = run(&[arguments, &["--json", "-"]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("one JSON value on standard output")
    }

    /// Whom the rows about the journal are run against here.
    const KEEPERS: &str = "floor,fanwire";

    /// One row about the journal, in a directory of its own, which must be empty behind it: each target's only run.
    #[track_caller]
    fn journal(verb: &str, more: &[&str]) -> Vec<Value> {
        let directory = temporary(verb);
        std::fs::create_dir_all(&directory).expect("a directory for this test");
        let data = ["--data", directory.to_str().expect("text")];
        let outcome = json(&[&["journal", verb], more, &data[..]].concat());
        std::fs::remove_dir(&directory).expect("nothing is left in it");
        assert_eq!(outcome["skipped"], serde_json::json!([]), "{outcome:#}");
        let targets = outcome["targets"].as_array().expect("a list of targets");
        targets.iter().map(|target| target["runs"][0].clone()).collect()
    }

    /// The runs of the floor and of this broker, which must both be there.
    #[track_caller]
    fn runs(outcome: &Value) -> Vec<&Value> {
        assert_eq!(outcome["skipped"], serde_json::json!([]), "{outcome:#}");
        let targets = outcome["targets"].as_array().expect("a list of targets");
        let names: Vec<&str> = targets.iter().map(|target| target["target"].as_str().unwrap_or_default()).collect();
        assert_eq!(names, ["floor", "fanwire"]);
        targets.iter().flat_map(|target| target["runs"].as_array().expect("a list of runs")).collect()
    }

    #[track_caller]
    fn assert_flawless(run: &Value) {
        assert!(run["deliveries"].as_u64() > Some(0), "{run:#}");
        for fault in ["lost", "duplicated", "disordered", "strayed", "closed"] {
            assert_eq!(run[fault], 0, "{fault}: {run:#}");
        }
    }

    fn temporary(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{}-{name}", std::process::id()))
    }

    #[test]
    fn fan_out_arrives_once_and_in_order_and_has_a_price() {
        let outcome = json(&["fanout", "--subs", "5", "--duration", "200ms"]);
        for run in runs(&outcome) {
            assert_flawless(run);
            assert!(run["ns_per_delivery"].as_f64() > Some(0.0), "{run:#}");
        }
        assert!(outcome["targets"][1]["ratio_to_base"]["median"].as_f64() > Some(0.0), "{outcome:#}");
        assert!(outcome["machine"]["kernel"].is_string() && outcome["settings"].as_array().is_some());
    }

    #[test]
    fn several_publishers_and_topics_are_told_apart() {
        let arguments =
            ["fanout", "--pubs", "3", "--subs", "6", "--topics", "3", "--rounds", "2", "--duration", "100ms"];
        let outcome = json(&arguments);
        let runs = runs(&outcome);
        assert_eq!(runs.len(), 4);
        runs.into_iter().for_each(assert_flawless);
    }

    #[test]
    fn a_pace_is_kept_and_every_latency_counted() {
        let outcome = json(&["fanout", "--subs", "2", "--rate", "2000", "--batch", "1", "--duration", "200ms"]);
        for run in runs(&outcome) {
            assert_flawless(run);
            assert_eq!(run["rate_asked"], 2_000.0);
            // Each message that was due while it was measured counts, whenever it was sent and heard.
            let due = run["due_while_measured"].as_u64().expect("a number");
            assert_eq!(run["latency_us"]["count"].as_u64(), Some(2 * due), "{run:#}");
            assert!(due.abs_diff(400) <= 1, "{run:#}");
        }
    }

    #[test]
    fn what_a_window_holds_back_is_measured_from_when_it_was_due() {
        let outcome = json(&["request", "--rate", "20000", "--in-flight", "1", "--duration", "100ms"]);
        for run in runs(&outcome) {
            assert_flawless(run);
            let due = run["due_while_measured"].as_u64().expect("a number");
            assert_eq!((run["latency_us"]["count"].as_u64(), run["unsent"].as_u64()), (Some(due), Some(0)), "{run:#}");
            assert!(due.abs_diff(2_000) <= 1, "{run:#}");
        }
    }

    #[test]
    fn other_ways_in_are_held_against_the_native_one() {
        let outcome = json(&["fanout", "--subs", "5", "--duration", "200ms", "--target", "fanwire,ws,sse"]);
        let names = ["fanwire", "ws", "sse"];
        for (index, name) in names.into_iter().enumerate() {
            let target = &outcome["targets"][index];
            assert_eq!(target["target"], name);
            assert_flawless(&target["runs"][0]);
        }
        let only = ["compare", "--only", "web 1 -> 100", "--rounds", "1", "--duration", "100ms"];
        let output = run(&[&only[..], &["--target", "fanwire,ws,sse"]].concat());
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for line in ["web 1 -> 100: CPU a delivery, ws x native", "web 1 -> 100: CPU a delivery, sse x native"] {
            assert!(text.contains(line), "{text}");
        }
        let outcome = json(&["conns", "--conns", "50", "--duration", "100ms", "--target", "fanwire,ws,sse"]);
        assert_eq!(outcome["targets"].as_array().map(Vec::len), Some(3), "{outcome:#}");
        let outcome = json(&["request", "--duration", "100ms", "--target", "ws"]);
        assert_flawless(&outcome["targets"][0]["runs"][0]);
    }

    #[test]
    fn requests_are_answered() {
        let outcome = json(&["request", "--in-flight", "10", "--duration", "100ms"]);
        runs(&outcome).into_iter().for_each(assert_flawless);
    }

    #[test]
    fn players_hear_each_other() {
        let outcome = json(&["game", "--rooms", "2", "--players", "4", "--hz", "50", "--duration", "200ms"]);
        runs(&outcome).into_iter().for_each(assert_flawless);
    }

    #[test]
    fn connections_have_a_weight_and_come_back_after_a_storm() {
        let outcome = json(&["conns", "--conns", "50", "--rate-per-conn", "10", "--duration", "100ms"]);
        for run in runs(&outcome) {
            assert_eq!(run["memory"].as_array().map(Vec::len), Some(7), "{run:#}");
            assert_flawless(&run["active"]);
        }
        let outcome = json(&["storm", "--conns", "50", "--duration", "200ms"]);
        runs(&outcome).into_iter().for_each(assert_flawless);
    }

    #[test]
    fn who_stops_reading_is_told_from_who_reads() {
        let outcome = json(&["isolation", "--subs", "4", "--duration", "100ms"]);
        runs(&outcome).into_iter().for_each(|run| assert_flawless(&run["alone"]));
    }

    #[test]
    fn many_topics_are_heard_by_wildcard_and_by_name() {
        let arguments = ["topics", "--topics", "5000", "--conns", "10", "--duration", "100ms", "--target", "fanwire"];
        let outcome = json(&arguments);
        let run = &outcome["targets"][0]["runs"][0];
        [run, &run["one_topic"], &run["exact"]].into_iter().for_each(assert_flawless);
    }

    #[test]
    fn a_comparison_prints_a_table_and_writes_a_page() {
        let (page, numbers, percentiles) = (temporary("page.html"), temporary("numbers.json"), temporary("x.hgrm"));
        let files = [&page, &numbers].map(|file| file.to_str().expect("text").to_owned());
        let only = ["compare", "--only", "latency at 20 000/s", "--rounds", "1", "--duration", "100ms"];
        let output =
            run(&[&only[..], &["--target", "floor,fanwire", "--html", &files[0], "--json", &files[1]]].concat());
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("latency at 20 000/s") && text.contains("one thread, 64 KiB reads"), "{text}");
        let html = std::fs::read_to_string(&page).expect("the page is written");
        assert!(html.contains("<svg") && html.contains("curve fanwire"), "{html}");
        let numbers: Value = serde_json::from_str(&std::fs::read_to_string(&numbers).expect("written")).expect("JSON");
        assert_eq!(numbers["rows"][0]["name"], "latency at 20 000/s");

        let file = percentiles.to_str().expect("text");
        let output = run(&["latency", "--rate", "1000", "--duration", "100ms", "--hgrm", file]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let written = std::fs::read_to_string(&percentiles).expect("the percentiles are written");
        assert!(written.contains("1/(1-Percentile)"), "{written}");
    }

    #[test]
    fn prices_are_measured_and_a_page_computes_with_them() {
        let file = temporary("scaling.html");
        let page = file.to_str().expect("text");
        let outcome = json(&["scaling", "--rounds", "1", "--duration", "100ms", "--html", page]);
        assert!(outcome["prices_ns"]["write"].as_f64() > Some(0.0), "{outcome:#}");
        assert_eq!(outcome["traffic"][0]["loads"][3]["cores"], 64);
        let html = std::fs::read_to_string(&file).expect("the page is written");
        assert!(html.contains("<input id=\"cores\"") && html.contains("<script>"), "{html}");
    }

    #[test]
    fn appends_are_acknowledged_and_have_a_price() {
        for run in journal("append", &["--duration", "50ms", "--target", KEEPERS]) {
            let count = run["records"].as_u64().or(run["acknowledged"].as_u64());
            assert!(count > Some(0), "{run:#}");
            assert!(run["data"]["file_system"].is_string(), "{run:#}");
        }
    }

    #[test]
    fn durable_appends_are_held_against_a_loop_of_syncs() {
        let few = ["--pubs", "2", "--window", "10", "--duration", "50ms", "--target", KEEPERS];
        for run in journal("durable", &few) {
            let count = run["syncs"].as_u64().or(run["acknowledged"].as_u64());
            assert!(count > Some(0), "{run:#}");
        }
        for run in journal("durable-one", &["--duration", "50ms", "--target", KEEPERS]) {
            assert!(run["acknowledged"].as_u64() > Some(0) && run["p50_us"].as_f64() > Some(0.0), "{run:#}");
        }
    }

    #[test]
    fn history_comes_back_whole() {
        for run in journal("replay", &["--mib", "2", "--duration", "10ms", "--target", KEEPERS]) {
            // On the wire a record has somewhat less beside its payload than in the log.
            assert!(run["bytes"].as_u64() > Some(1 << 20), "{run:#}");
        }
    }

    #[test]
    fn a_journal_is_held_against_live_traffic_beside_it() {
        for run in journal("latency", &["--rate", "1000", "--duration", "100ms"]) {
            [&run, &run["live"]].into_iter().for_each(assert_flawless);
        }
        for run in journal("beside", &["--subs", "3", "--rate", "10000", "--duration", "100ms"]) {
            [&run, &run["alone"]].into_iter().for_each(assert_flawless);
        }
        for run in journal("cold-replay", &["--mib", "4", "--rate", "500", "--duration", "100ms"]) {
            [&run, &run["alone"], &run["warm"]].into_iter().for_each(assert_flawless);
        }
        for run in journal("topic-memory", &["--topics", "2000"]) {
            assert!(run["own_bytes_per_topic"].is_f64(), "{run:#}");
        }
    }

    /// Data are gone however the bench ends, with those who wrote them.
    #[test]
    fn data_are_swept_behind_a_bench_that_was_killed() {
        let directory = temporary("swept");
        std::fs::create_dir_all(&directory).expect("a directory for this test");
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanwire"));
        command
            .args(["bench", "journal", "durable", "--duration", "1h", "--target", "floor", "--data"])
            .arg(&directory);
        let mut bench = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts");
        let files = || {
            let data = std::fs::read_dir(&directory).into_iter().flatten().flatten();
            data.flat_map(|entry| std::fs::read_dir(entry.path()).into_iter().flatten()).count()
        };
        eventually("the floor to have its file", || files() > 0);
        bench.kill().expect("the bench is ours");
        bench.wait().expect("the bench ends");
        eventually("the data to be gone", || std::fs::remove_dir(&directory).is_ok());
    }

    #[test]
    fn wrong_usage_is_told_as_such() {
        for wrong in [
            &["fanout", "--subs", "2", "--topics", "3"][..],
            &["fanout", "--addr", "127.0.0.1:1"],
            &["fanout", "--target", "kafka"],
            &["fanout", "--target", "fanwire", "--addr", "127.0.0.1:1", "--reactors", "2"],
            &["compare", "--only", "no such row"],
            &["journal", "append", "--target", "floor", "--data", "/no/such/directory"],
            &["game", "--rooms", "70000", "--players", "70000"],
            &["fanout", "--pubs", "4294967295"],
        ] {
            let output = run(wrong);
            assert_eq!(output.status.code(), Some(2), "{wrong:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }

    /// However the bench ends, nothing that it started outlives it.
    #[test]
    fn what_was_leashed_ends_with_who_held_the_leash() {
        let binary = env!("CARGO_BIN_EXE_fanwire");
        let script = format!("'{binary}' bench leash sleep 600 & echo $!; wait");
        let mut shell = Command::new("sh").args(["-c", &script]).stdout(Stdio::piped()).spawn().expect("a shell");
        let mut line = String::new();
        BufReader::new(shell.stdout.take().expect("piped")).read_line(&mut line).expect("a process id");
        let command_line = PathBuf::from("/proc").join(line.trim()).join("cmdline");
        let is_sleeping = || std::fs::read(&command_line).is_ok_and(|words| words.starts_with(b"sleep"));
        eventually("the leash to become the program", is_sleeping);
        shell.kill().expect("the shell is ours");
        shell.wait().expect("the shell ends");
        eventually("the program to end", || !is_sleeping());
    }

    #[track_caller]
    fn eventually(what: &str, happened: impl Fn() -> bool) {
        let begin = Instant::now();
        while !happened() {
            assert!(begin.elapsed() < Duration::from_secs(30), "waited in vain for {what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn nobody_there_and_the_wrong_protocol_are_told_apart() {
        let nobody = run(&["fanout", "--target", "nats", "--addr", "127.0.0.1:1", "--duration", "50ms"]);
        let message = String::from_utf8_lossy(&nobody.stderr).into_owned();
        assert!(nobody.status.code() == Some(1) && message.contains("bench doctor"), "{message}");

        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let stranger = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("the bench connects");
            socket.write_all(b"220 mail.example ESMTP\r\n").expect("the bench reads");
            let _ = socket.read_to_end(&mut Vec::new());
        });
        let wrong = run(&["fanout", "--subs", "1", "--target", "fanwire", "--addr", &address, "--duration", "50ms"]);
        let message = String::from_utf8_lossy(&wrong.stderr).into_owned();
        assert!(wrong.status.code() == Some(1) && message.contains("the right --target"), "{message}");
        stranger.join().expect("it has said its line");
    }

    /// Interrupted or not, a run leaves no files behind.
    #[test]
    fn the_directories_of_settings_are_gone() {
        let directory = temporary("settings");
        std::fs::create_dir_all(&directory).expect("a directory for this test");
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanwire"));
        command.args(["bench", "fanout", "--subs", "2", "--duration", "1h", "--target", "fanwire"]);
        command.env("TMPDIR", &directory).stdout(Stdio::null()).stderr(Stdio::null());
        let mut bench = command.spawn().expect("the binary starts");
        let children = format!("/proc/{0}/task/{0}/children", bench.id());
        let has_child = || std::fs::read_to_string(&children).is_ok_and(|text| !text.trim().is_empty());
        eventually("the broker to start", has_child);
        let is_empty = || std::fs::read_dir(&directory).is_ok_and(|mut entries| entries.next().is_none());
        eventually("its settings to be read and gone", is_empty);
        bench.kill().expect("the bench is ours");
        bench.wait().expect("the bench ends");
        std::fs::remove_dir(&directory).expect("nothing is left in it");
    }
}

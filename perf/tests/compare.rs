//! `compare`, from the command line to its report: on the embedded broker, and on a RabbitMQ that
//! stalls or goes away.

mod support;

use std::io::{BufRead, BufReader};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use leveret_support::Broker;
use serde_json::Value;

use crate::support::{Report, is_refused_in_one_line, program, run, start, succeeded, text, texts};

/// Windows that are long enough to have a verdict on what is plain.
const SHORT: [&str; 4] = ["--windows", "10", "--seconds", "0.2"];

fn runs_of<'a>(results: &'a Value, workload: &str) -> Vec<&'a Value> {
    let runs = results["runs"].as_array().expect("a list").iter();
    runs.filter(|run| run["workload"] == workload).collect()
}

fn figure(run: &Value, name: &str) -> f64 {
    let latency = &run["latency_us"][name];
    latency.as_f64().unwrap_or_else(|| panic!("no {name} in {run}"))
}

#[test]
fn two_builds_and_the_baseline_are_compared_and_reported() {
    let (file, page) = (Report::new("compare"), Report::new("compare-page"));
    let own = env!("CARGO_BIN_EXE_leveret-perf");
    let output = program()
        .args(["compare", "--embedded", "--only", "cast-sink"])
        .args(SHORT)
        .args(["--json", file.path(), "--html", page.path(), "--markdown", "-"])
        .args([own, "raw", "leveret?backend=epoll"])
        .output()
        .expect("the program was built for this test");
    let output = succeeded(output);
    let results = file.read();
    assert_eq!(results["schema"], 2);
    assert!(results["machine"]["version"].is_string() && results["date"].is_string());
    assert_eq!(runs_of(&results, "cast-sink").len(), 30);
    let against: Vec<&str> = results["comparisons"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["against"].as_str().expect("a name"))
        .collect();
    assert_eq!(against, ["raw", "leveret?backend=epoll"]);
    let raw = &results["comparisons"][0];
    assert_eq!((&raw["blocks"], &raw["same_promises"]), (&5.into(), &false.into()));
    assert_eq!(raw["rate"]["verdict"], "slower", "the baseline renders nothing: {raw}");
    let order: Vec<&Value> =
        runs_of(&results, "cast-sink").iter().map(|run| &run["subject"]).collect();
    for block in order.chunks(6) {
        assert!(block.iter().eq(block.iter().rev()), "there and back: {block:?}");
    }
    let html = std::fs::read_to_string(page.path()).expect("the page was written");
    assert!(html.contains("<svg") && html.contains("cast-sink"));
    let markdown = text(&output.stdout);
    assert!(markdown.contains("| `cast-sink`"), "{markdown}");
    assert!(markdown.contains("measuring takes"), "what it costs is said: {markdown}");
}

#[test]
fn a_threshold_sets_the_status() {
    let file = Report::new("threshold");
    let short = ["--only", "call-1", "--seconds", "0.2", "--json", file.path()];
    let with = |more: &[&str]| run([&short[..], more].concat());
    let output = with(&["--fail-if", "call-1.p50 > 1us"]);
    assert_eq!(output.status.code(), Some(4), "{}", texts(&output));
    assert!(text(&output.stderr).contains("call-1.p50"), "{}", texts(&output));
    let base = Report::new("base");
    base.overwrite(&file.read());
    let base = ["--base", base.path()];
    let lower = ["--fail-if", "call-1.rate < 0.001x"];
    assert_eq!(with(&[lower, base].concat()).status.code(), Some(0));
    let higher = ["--fail-if", "call-1.rate < 1000x"];
    assert_eq!(with(&[higher, base].concat()).status.code(), Some(4));
    let output = with(&["--fail-if", "notify.p50 > 1s"]);
    assert_eq!(output.status.code(), Some(1), "it was not measured: {}", texts(&output));
    assert_eq!(with(&["--fail-if", "call-1 > 1"]).status.code(), Some(2));
}

#[test]
fn what_cannot_be_compared_is_refused_in_one_line() {
    let output = run(["compare", "--embedded", "--only", "call-1", "leveret", "./no/build"]);
    assert!(is_refused_in_one_line(&output).contains("./no/build is no file"));
    let oslo = ["compare", "--embedded", "--only", "call-1", "--python", "/no/python", "oslo"];
    assert!(is_refused_in_one_line(&run(oslo)).contains("--python FILE"));
    let twice = ["compare", "--embedded", "--only", "call-1", "leveret", "raw", "leveret"];
    assert!(is_refused_in_one_line(&run(twice)).contains("leveret is named twice"));
    let both = ["--url", "rabbit://h", "compare", "--embedded", "--only", "call-1"];
    assert!(is_refused_in_one_line(&run(both)).contains("leave one out"));
    assert_eq!(run(["compare", "--windows", "3"]).status.code(), Some(2));
    assert_eq!(run(["compare", "nobody"]).status.code(), Some(2));
}

/// A program in the place of a build that knows no `measure`.
#[test]
fn a_subject_that_fails_leaves_the_others_measured() {
    let file = Report::new("failing");
    let output = program()
        .args(["compare", "--embedded", "--only", "cast-sink", "--windows", "2"])
        .args(["--seconds", "0.2", "--json", file.path(), "leveret", "/bin/false"])
        .output()
        .expect("the program was built for this test");
    assert_eq!(output.status.code(), Some(1), "{}", texts(&output));
    let results = file.read();
    assert_eq!(runs_of(&results, "cast-sink").len(), 2, "of leveret");
    let notes = results["notes"].to_string();
    assert!(notes.contains("not measured: cast-sink by /bin/false"), "{notes}");
}

/// Stops the broker for a tenth of each second until the flag is set.
fn stall(broker: &Broker, is_over: &AtomicBool) {
    while !is_over.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(900));
        broker.freeze();
        std::thread::sleep(Duration::from_millis(100));
        broker.thaw();
    }
}

#[test]
fn an_open_loop_shows_a_stall_of_the_broker_that_a_closed_loop_hides() {
    let broker = Broker::start();
    let file = Report::new("stall");
    let is_over = AtomicBool::new(false);
    let output = std::thread::scope(|scope| {
        scope.spawn(|| stall(&broker, &is_over));
        let output = program()
            .args(["--url", &broker.url(), "compare", "--only", "call-at-10,call-1"])
            .args(["--windows", "2", "--seconds", "3", "--json", file.path(), "leveret"])
            .output()
            .expect("the program was built for this test");
        is_over.store(true, Ordering::SeqCst);
        output
    });
    let output = succeeded(output);
    let results = file.read();
    for run in runs_of(&results, "call-at-10") {
        // A tenth of all calls were due while the broker stood still.
        assert!(figure(run, "p99") > 50_000.0, "{}", run["latency_us"]);
        assert!(run["offered_per_s"].as_f64().expect("an open loop") > 0.0);
        let longest = run["series"]["max_us"].as_array().expect("a list").iter();
        let stalls = longest.filter(|us| us.as_f64().is_some_and(|us| us > 50_000.0)).count();
        assert!((2..=15).contains(&stalls), "the plot shows three: {}", run["series"]);
    }
    for run in runs_of(&results, "call-1") {
        assert!(figure(run, "p99") < 50_000.0, "one call of many: {}", run["latency_us"]);
        assert!(figure(run, "max") > 50_000.0, "{}", run["latency_us"]);
    }
    assert!(text(&output.stdout).contains("a stall delays later starts instead of showing"));
}

#[test]
fn a_broker_that_goes_away_ends_the_run_with_what_it_has() {
    let broker = Broker::start();
    let file = Report::new("gone");
    let arguments = ["compare", "--only", "call-1,call-85", "--windows", "40", "--seconds", "0.5"];
    let mut command = program();
    command.args(["--url", &broker.url(), "--json", file.path()]).args(arguments).arg("leveret");
    let mut child = start(&mut command);
    let progress = BufReader::new(child.stderr.take().expect("it is a pipe"));
    let mut windows = progress.lines().map_while(Result::ok);
    windows.find(|line| line.contains("call-1 by leveret")).expect("a window is measured");
    broker.kill();
    let rest = std::thread::spawn(move || windows.collect::<Vec<_>>());
    let output = child.wait_with_output().expect("it ends");
    let rest = rest.join().expect("lines are read").join("\n");
    assert!(rest.contains("leveret-perf: "), "the last line says why: {rest}");
    assert_eq!(output.status.code(), Some(1), "{}", texts(&output));
    let results = file.read();
    assert!(!runs_of(&results, "call-1").is_empty(), "{}", texts(&output));
    let notes = results["notes"].to_string();
    assert!(notes.contains("the run ended before its end"), "{notes}");
    assert!(notes.contains("the broker is gone"), "{notes}");
}

#[test]
fn completions_and_the_manual_know_every_mode() {
    for shell in ["bash", "zsh", "fish"] {
        let script = text(&succeeded(run(["completions", shell])).stdout);
        assert!(script.contains("compare") && script.contains("fail-if"), "{shell}");
    }
    let manual = text(&succeeded(run(["man"])).stdout);
    assert!(manual.starts_with(".ie") || manual.starts_with(".TH"), "{manual}");
    for word in ["compare", "rolling", "chaos", "profile"] {
        assert!(manual.contains(word), "{word}");
    }
    let output = program().env("LEVERET_PERF_URL", "rabbit://me:secret@h/").arg("--help").output();
    let help = text(&output.expect("the program was built for this test").stdout);
    assert!(help.contains("LEVERET_PERF_URL") && !help.contains("secret"), "{help}");
}

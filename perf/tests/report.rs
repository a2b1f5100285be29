//! `report`: files of results in, Markdown, a page and a status out.

mod support;

use std::path::PathBuf;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::{Report, is_refused_in_one_line, run, succeeded, text, texts};

/// A name that would be markup if it were not escaped.
const HOSTILE: &str = "</script><script>alert(1)</script>";

/// A run with `messages` latencies around `p50` microseconds.
fn measured(workload: &str, subject: &str, rate: f64, p50: f64, messages: u64) -> Value {
    let ns = |factor: f64| (p50 * factor * 1000.0) as u64;
    let tail = messages / 100;
    json!({
        "workload": workload, "subject": subject, "payload_bytes": 200,
        "processes": 1, "threads": 1, "outstanding": 1,
        "promises": {"confirmed": subject == "leveret", "acknowledged": true,
                     "mandatory": false, "persistent": null},
        "messages": messages, "errors": 0, "seconds": 1.0, "rate_per_s": rate,
        "client_cpu_us_per_msg": 11.5, "server_cpu_us_per_msg": 14.0,
        "allocations_per_msg": 0.002, "syscalls_per_msg": 0.05,
        "latency_us": {"p50": p50, "p90": 1.5 * p50, "p99": 3.0 * p50, "p999": 9.0 * p50,
                       "max": 20.0 * p50},
        "histogram": [[ns(1.0), messages - 2 * tail], [ns(3.0), tail], [ns(9.0), tail]],
        "series": {"step_ms": 250, "messages": [10, 11, 0, 9],
                   "max_us": [p50, 2.0 * p50, null, 20.0 * p50]},
    })
}

/// The same in an open loop, with a stall that only the due time sees.
fn open_loop(workload: &str, subject: &str) -> Value {
    let mut run = measured(workload, subject, 9_900.0, 150.0, 20_000);
    run["offered_per_s"] = json!(10_000.0);
    run["service_us"] = run["latency_us"].clone();
    run["latency_us"]["p99"] = json!(98_765.0);
    run
}

/// A file of results: three workloads, two subjects, one workload in an open loop.
fn results() -> Value {
    let mut runs = Vec::new();
    for window in 0..5 {
        let drift = f64::from(window);
        runs.push(measured("call-1", "leveret", 5000.0 + drift, 180.0, 20_000));
        runs.push(measured("call-1", "raw", 10_000.0 + drift, 95.0, 20_000));
        runs.push(measured("call-5", "leveret", 9000.0 + drift, 400.0, 500));
        runs.push(open_loop("call-open", "leveret"));
    }
    let rate = json!({"ratio": 0.5, "low": 0.49, "high": 0.51, "verdict": "slower"});
    let cpu = json!({"ratio": 0.9, "low": 0.8, "high": 1.1, "verdict": "unclear"});
    json!({
        "schema": 2, "date": "2026-11-30T12:00:00Z", "suite": "peers",
        "command": "leveret-perf --against raw --json peers.json",
        "machine": {"kernel": "6.18.0", "cpu": "Zen", "cores": 2, "memory_mib": 8000,
                    "backend": "uring", "executor": "threads", "busy_poll_us": 0,
                    "broker": "RabbitMQ 3.10.8", "version": "0.1.0", "commit": "abc1234"},
        "subjects": [{"name": "leveret", "version": "0.1.0"}, {"name": "raw", "version": null}],
        "runs": runs,
        "comparisons": [{"workload": "call-1", "subject": "leveret", "against": "raw",
                         "blocks": 5, "same_promises": false, "rate": rate, "cpu": cpu,
                         "p50": null, "p99": null, "p999": null}],
        "notes": ["the machine was noisy"],
    })
}

/// The file as the first format had it.
fn older() -> Value {
    json!({
        "machine": {"kernel": "6.1.0", "cpu": "Golden Cove", "cores": 2},
        "runs": [{"workload": "call-1", "subject": "leveret", "rate_per_s": 4000.0,
                  "messages": 5000, "latency_us": {"p50": 200.0, "p99": 450.0}}],
        "ratios": [],
    })
}

fn stored(name: &str, value: &Value) -> Report {
    let file = Report::new(name);
    file.overwrite(value);
    file
}

/// A page that a report writes; dropping this deletes it.
struct Page(PathBuf);

impl Page {
    fn new(name: &str) -> Self {
        let file = format!("leveret-perf-{}-{name}.html", std::process::id());
        Self(std::env::temp_dir().join(file))
    }

    fn made_of(name: &str, files: &[&str]) -> String {
        let page = Self::new(name);
        let output = ["--html", page.0.to_str().expect("a path in UTF-8")];
        let output = succeeded(run(["report"].iter().chain(files).chain(&output).copied()));
        assert!(output.stdout.is_empty(), "the page is the only output: {}", texts(&output));
        std::fs::read_to_string(&page.0).expect("the page was written")
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn checked(file: &Report, conditions: &[&str]) -> Output {
    let conditions = conditions.iter().flat_map(|condition| ["--fail-if", condition]);
    run(["report", file.path()].into_iter().chain(conditions))
}

#[test]
fn what_grows_with_a_number_is_drawn_in_the_page_and_into_files() {
    let mut grown = results();
    for (name, p50) in [("callers-1", 90.0), ("callers-10", 150.0), ("callers-1000", 9000.0)] {
        let run = measured(name, "leveret", 1000.0, p50, 20_000);
        grown["runs"].as_array_mut().expect("a list").push(run);
    }
    let file = stored("growth", &grown);
    let page = Page::made_of("growth", &[file.path()]);
    assert!(page.contains(">As a number grows</h3>") && page.contains("9 ms with 1000"), "{page}");
    let folder = std::env::temp_dir().join(format!("leveret-perf-{}-plots", std::process::id()));
    let path = folder.to_str().expect("a path in UTF-8");
    let output = succeeded(run(["report", file.path(), "--plots", path]));
    assert!(output.stdout.is_empty(), "the files are the only output: {}", texts(&output));
    let mut files: Vec<String> = std::fs::read_dir(&folder)
        .expect("the directory was made")
        .map(|file| file.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    files.sort_unstable();
    std::fs::remove_dir_all(&folder).expect("it is ours");
    assert_eq!(files, ["callers-cpu.svg", "callers-p50.svg", "callers-p99.svg"]);
}

#[test]
fn without_an_output_tables_are_printed_as_markdown() {
    let file = stored("markdown", &results());
    let output = succeeded(run(["report", file.path(), "--title", "Peers"]));
    let report = text(&output.stdout);
    for part in [
        "# Peers\n",
        "## peers (",
        "> **Note:** the machine was noisy",
        "- command: `leveret-perf --against raw --json peers.json`",
        "- commit: abc1234",
        "| workload | rate against raw | CPU against raw |\n| --- | ---: | ---: |\n\
         | `call-1` | 0.50 ≠ | 0.90 ≠ |\n",
        "0.50 [0.49, 0.51] slower",
        "≠ the two promise different things",
        "| `call-1`, closed loop | leveret | 5,002 | – | 180 | 270 | 540 | 1,620 | 3,600 | 11.5 |",
        "| `call-5`, closed loop | leveret | 9,002 | – | 400 | 600 | –¹ | –¹ | 8,000 |",
        "| `call-open`, open loop | leveret, from due time | 9,900 | 10,000 | 150 | 225 | 98,765 |",
        "| `call-open`, open loop | leveret, from start |  |  | 150 | 225 | 450 |",
        "¹ Fewer than ten messages",
        "a stall delays later starts instead of showing in their latencies",
        "yes | yes | no | – | 0 | 5 |",
    ] {
        assert!(report.contains(part), "{part}\n{report}");
    }
    let file_out = Report::new("markdown-out");
    succeeded(run(["report", file.path(), "--title", "Peers", "--markdown", file_out.path()]));
    let written = std::fs::read_to_string(file_out.path()).expect("it was written");
    assert_eq!(written, report, "a file has what is printed");
}

#[test]
fn a_page_stands_alone() {
    let file = stored("page", &results());
    let page = Page::made_of("page", &[file.path()]);
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    for load in ["http://", "https://", " src=", "@import", "url(", "<link rel=\"style", "<img"] {
        assert!(!page.contains(load), "{load}");
    }
    for link in page.split("href=\"").skip(1) {
        assert!(link.starts_with('#') || link.starts_with("data:,"), "{}", &link[..40]);
    }
    assert!(page.contains("default-src 'none'"), "nothing may be loaded");
    assert_eq!(page.matches("<script").count(), 1, "the results, which do not run");
    for (kind, count) in [("rates", 3), ("percentiles", 3), ("time", 3), ("ratios", 2)] {
        let plots = page.matches(&format!("aria-labelledby=\"file-1-{kind}-")).count();
        assert_eq!(plots, count, "{kind}");
    }
    assert_eq!(page.matches("<svg").count(), page.matches("</desc>").count());
    for part in [
        "<h2 id=\"file-1\">peers (",
        "the machine was noisy",
        "Zen, 2 cores, 7.8 GiB",
        "≠ the two promise different things",
        "<span class=\"slower\">0.50 [0.49, 0.51] slower</span>",
        "offered 10,000/s",
        "leveret, from start",
        "<code>leveret-perf --against raw --json peers.json</code>",
        "prefers-color-scheme: dark",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn names_from_a_file_stay_text() {
    let mut hostile = results();
    for key in ["suite", "command", "date"] {
        hostile[key] = json!(HOSTILE);
    }
    hostile["notes"][0] = json!(HOSTILE);
    hostile["machine"]["cpu"] = json!(HOSTILE);
    hostile["comparisons"][0]["workload"] = json!(HOSTILE);
    hostile["runs"][0]["workload"] = json!(HOSTILE);
    hostile["runs"][1]["subject"] = json!(HOSTILE);
    let file = stored("hostile", &hostile);
    let page = Page::made_of("hostile", &[file.path()]);
    assert_eq!((page.matches("<script").count(), page.matches("</script").count()), (1, 1));
    assert!(page.contains("&lt;script&gt;alert(1)"), "it is shown as text");
    let output = succeeded(run(["report", file.path()]));
    let markdown = text(&output.stdout);
    let in_code = markdown.replace(&format!("`{HOSTILE}`"), "");
    assert!(!in_code.contains("<script"), "{in_code}");
}

#[test]
fn files_of_several_machines_and_formats_are_told_apart() {
    let (file, old) = (stored("now", &results()), stored("then", &older()));
    let page = Page::made_of("both", &[file.path(), old.path()]);
    assert!(page.contains("These files come from different machines"));
    assert!(page.contains("Golden Cove") && page.contains("<h2 id=\"file-2\">"));
    assert!(page.contains("written in the older format 1"));
    assert!(page.contains("The same workloads in each file"));
    let output = succeeded(run(["report", file.path(), old.path()]));
    let markdown = text(&output.stdout);
    let at = |part: &str| markdown.find(part).unwrap_or_else(|| panic!("{part}\n{markdown}"));
    assert!(at("different machines") < at("\n## "), "it is in the head");
    assert!(at("Golden Cove (") < at("older format 1"));
    let alike = succeeded(run(["report", file.path(), file.path()]));
    assert!(!text(&alike.stdout).contains("different machines"));
}

#[test]
fn what_cannot_be_read_is_one_line() {
    let mut newer = results();
    newer["schema"] = json!(99);
    let newer = stored("newer", &newer);
    let line = is_refused_in_one_line(&run(["report", newer.path()]));
    assert!(line.contains("use a newer one"), "{line}");
    let line = is_refused_in_one_line(&run(["report", "/nowhere/results.json"]));
    assert!(line.contains("/nowhere/results.json"), "{line}");
    let file = stored("unwritable", &results());
    let line = is_refused_in_one_line(&run(["report", file.path(), "--html", "/nowhere/out.html"]));
    assert!(line.contains("cannot write /nowhere/out.html"), "{line}");
    assert_eq!(run(["report"]).status.code(), Some(2), "a file is needed");
}

#[test]
fn a_threshold_that_is_exceeded_is_status_4_and_a_line() {
    let file = stored("thresholds", &results());
    let fine = checked(&file, &["call-1.p99 > 1ms", "call-1@raw.rate < 10k", "call-1.errors > 0"]);
    assert!(text(&succeeded(fine).stderr).is_empty());
    let output = checked(&file, &["call-1.p99 > 500us", "call-1@raw.p50 > 1s", "call-1.rate < 6k"]);
    assert_eq!(output.status.code(), Some(4), "{}", texts(&output));
    assert_eq!(
        text(&output.stderr),
        "leveret-perf: call-1@leveret.p99 is 540 µs: fails if 'call-1.p99 > 500us'\n\
         leveret-perf: call-1@leveret.rate is 5,002/s: fails if 'call-1.rate < 6k'\n"
    );
    assert!(text(&output.stdout).contains("# Leveret performance"), "the report is there");
    let old = stored("thresholds-older", &older());
    let both = [file.path(), old.path(), "--fail-if", "call-1.rate < 4500"];
    let output = run(["report"].into_iter().chain(both));
    let log = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{log}");
    assert!(log.contains("-thresholds-older: call-1@leveret.rate is 4,000/s"), "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
}

#[test]
fn a_threshold_without_a_figure_or_a_form_is_refused() {
    let file = stored("refused", &results());
    let line = is_refused_in_one_line(&checked(&file, &["call-2.p99 > 1ms"]));
    assert!(line.contains("call-1@leveret call-1@raw call-5@leveret call-open@leveret"), "{line}");
    let line = is_refused_in_one_line(&checked(&file, &["call-5.p99.9 > 1ms"]));
    assert!(line.contains("too few"), "{line}");
    let line = is_refused_in_one_line(&checked(&file, &["call-1.offered < 1k"]));
    assert!(line.contains("measured in call-open@leveret"), "{line}");
    let line = is_refused_in_one_line(&checked(&file, &["call-1.p99 > 1.2x"]));
    assert!(line.contains("--against"), "{line}");
    for wrong in ["call-1.p99 > 1", "call-1.p99", "call-1.speed > 1ms"] {
        let output = checked(&file, &[wrong]);
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        assert!(text(&output.stderr).contains("'call-1.p99 > 1ms'"), "{}", texts(&output));
    }
    let output = run(["report", file.path(), "--against", file.path()]);
    assert_eq!(output.status.code(), Some(2), "a base without a threshold");
}

#[test]
fn multiples_refer_to_stored_results() {
    let (now, base) = (stored("multiple", &results()), stored("base", &older()));
    let against = |condition: &str, base: &Report| {
        run(["report", now.path(), "--against", base.path(), "--fail-if", condition])
    };
    let output = against("call-1.p99 > 1.1x", &base);
    assert_eq!(output.status.code(), Some(4), "{}", texts(&output));
    let log = text(&output.stderr);
    assert!(log.contains("540 µs, 1.20x of 450 µs in the base"), "{log}");
    assert!(log.contains("warning: the base is from another machine: CPU: Zen"), "{log}");
    let output = succeeded(against("call-1.rate < 0.9x", &base));
    assert!(text(&output.stderr).contains("warning"), "it goes on");
    let output = succeeded(against("call-1.rate < 0.9x", &now));
    assert!(text(&output.stderr).is_empty(), "its own machine");
    let output = against("call-open.rate < 0.9x", &base);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("the base: "), "{}", texts(&output));
}

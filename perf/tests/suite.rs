//! The program as its users run it: arguments in, tables and JSON out.

mod support;

use std::process::Command;

use serde_json::Value;

use crate::support::{Report, is_refused_in_one_line, run, succeeded, text};

/// The JSON that a successful suite with these arguments writes.
fn outcome_of(name: &str, arguments: &[&str]) -> Value {
    let report = Report::new(name);
    succeeded(run(["--json", report.path()].iter().chain(arguments).copied()));
    report.read()
}

#[test]
fn a_run_into_the_sink_is_measured_and_written() {
    let outcome = outcome_of("sink", &["--only", "engine-publish-sink", "--seconds", "0.3"]);
    let run = &outcome["runs"][0];
    assert_eq!(run["workload"], "engine-publish-sink");
    assert_eq!(run["subject"], "leveret");
    assert_eq!(run["payload_bytes"], 200);
    assert_eq!(run["errors"], 0);
    assert!(run["rate_per_s"].as_f64().expect("a number") > 0.0);
    assert!(run["client_cpu_us_per_msg"].as_f64().expect("a number") > 0.0);
    assert_eq!(run["latency_us"]["p50"], Value::Null);
    assert_eq!(outcome["comparisons"], Value::Array(Vec::new()));
    assert!(outcome["machine"]["kernel"].is_string());
    assert_eq!(outcome["machine"]["executor"], "threads");
}

#[test]
fn where_io_uring_is_denied_one_line_says_why_epoll_runs() {
    let output = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../.ci/support/no_uring.py"))
        .args(["EPERM", env!("CARGO_BIN_EXE_leveret-perf")])
        .args(["--only", "engine-publish-sink", "--seconds", "0.1"])
        .output()
        .expect("python3 starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("backend epoll"));
    let log = text(&output.stderr);
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("WARN")).collect();
    let [warning] = warnings[..] else { panic!("one line, not {}: {log}", warnings.len()) };
    assert!(warning.contains("epoll") && warning.contains("Operation not permitted"), "{warning}");
}

#[test]
fn the_baseline_is_measured_beside_leveret_on_the_embedded_broker() {
    let arguments = [
        "--only",
        "engine-publish-confirmed",
        "--against",
        "raw",
        "--pairs",
        "2",
        "--seconds",
        "0.2",
        "--backend",
        "epoll",
    ];
    let outcome = outcome_of("pairs", &arguments);
    let subjects: Vec<&str> = outcome["runs"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|run| run["subject"].as_str().expect("a name"))
        .collect();
    let backwards: Vec<&str> = subjects.iter().rev().copied().collect();
    assert_eq!(subjects, backwards, "what drifts weighs on both alike");
    assert_ne!(subjects[0], subjects[1], "they take turns");
    let comparison = &outcome["comparisons"][0];
    assert_eq!((&comparison["against"], &comparison["blocks"]), (&"raw".into(), &2.into()));
    assert!(comparison["p50"]["ratio"].as_f64().expect("both have latencies") > 0.0);
}

#[test]
fn the_baselines_make_calls_through_a_server_process() {
    let both = "raw,raw-kombu";
    let arguments = ["--only", "call-5", "--against", both, "--pairs", "1", "--seconds", "0.2"];
    let outcome = outcome_of("calls", &arguments);
    let runs = outcome["runs"].as_array().expect("a list");
    for name in ["raw", "raw-kombu"] {
        let raw = runs.iter().find(|run| run["subject"] == name).expect("both can call");
        assert_eq!((&raw["outstanding"], &raw["errors"]), (&5.into(), &0.into()), "{name}");
        assert!(raw["latency_us"]["p999"].as_f64().expect("a number") > 0.0, "{name}");
    }
}

/// What all variants of Leveret are, on one broker, with what each speaks in its casts.
const VARIANTS: [(&str, &str); 8] = [
    ("leveret-pika", "pika"),
    ("leveret-msgpack", "pika"),
    ("leveret-auto", "auto"),
    ("leveret-both", "kombu"),
    ("leveret-single", "kombu"),
    ("leveret-read-write", "kombu"),
    ("leveret-pool", "kombu"),
    ("leveret-per-shard", "kombu"),
];

/// Who ran a workload, without a failure, and who is the one everybody is compared with.
fn measured<'a>(outcome: &'a Value, workload: &str) -> Vec<&'a str> {
    let runs = outcome["runs"].as_array().expect("a list").iter();
    let of_it = runs.filter(|run| run["workload"] == workload);
    let names = of_it.map(|run| {
        assert_eq!(run["errors"], 0, "{run}");
        assert!(run["rate_per_s"].as_f64().expect("a number") > 0.0, "{run}");
        run["subject"].as_str().expect("a name")
    });
    let names: Vec<&str> = names.collect();
    // Who begins is drawn.
    let subjects = outcome["subjects"].as_array().expect("a list").iter();
    let in_order = subjects.map(|subject| subject["name"].as_str().expect("a name"));
    let found: Vec<&str> = in_order.filter(|name| names.contains(name)).collect();
    assert_eq!(found.len(), names.len(), "each once: {names:?}");
    found
}

fn outcome_of_variants(name: &str, only: &str) -> Value {
    let against = VARIANTS.map(|(name, _)| name).join(",");
    let arguments = ["--only", only, "--against", &against, "--pairs", "1", "--seconds", "0.25"];
    outcome_of(name, &arguments)
}

#[test]
fn every_variant_calls_and_fans_out_through_servers_of_its_own_kind() {
    let outcome = outcome_of_variants("variants-served", "call-5,fanout");
    for workload in ["call-5", "fanout"] {
        let subjects = measured(&outcome, workload);
        assert_eq!(subjects[0], "leveret");
        assert_eq!(subjects[1..], VARIANTS.map(|(name, _)| name), "{workload}");
    }
    for run in outcome["runs"].as_array().expect("a list") {
        let variant = VARIANTS.iter().find(|(name, _)| run["subject"] == *name);
        assert_eq!(run["dialect"], variant.map_or("kombu", |(_, dialect)| *dialect), "{run}");
    }
    let ratios = outcome["comparisons"].as_array().expect("a list");
    assert_eq!(ratios.len(), 2 * VARIANTS.len(), "each against the defaults");
}

#[test]
fn what_no_server_takes_ends_in_queues_of_the_variant() {
    let outcome = outcome_of_variants("variants-alone", "cast-buffered,notify");
    let all = std::iter::once("leveret").chain(VARIANTS.iter().map(|(name, _)| *name));
    // Without servers it is the plain client.
    let able: Vec<&str> = all.filter(|name| *name != "leveret-both").collect();
    for workload in ["cast-buffered", "notify"] {
        assert_eq!(measured(&outcome, workload), able, "{workload}");
    }
}

#[test]
fn clients_share_a_transport() {
    let arguments = ["--only", "call-84-by-4", "--against", "raw,leveret-pool", "--cores", "2"];
    let pairs = ["--pairs", "1", "--seconds", "1"];
    let outcome = outcome_of("clients", &[&arguments[..], &pairs].concat());
    assert_eq!(measured(&outcome, "call-84-by-4"), ["leveret", "leveret-pool"]);
    let run = &outcome["runs"][0];
    assert_eq!((&run["threads"], &run["outstanding"]), (&4.into(), &84.into()), "{run}");
}

#[test]
fn servers_answer_where_they_are_told_to() {
    let arguments = ["--only", "call-5", "--executor", "inline", "--seconds", "0.2"];
    let outcome = outcome_of("inline", &arguments);
    assert_eq!(outcome["machine"]["executor"], "inline");
    assert_eq!(outcome["runs"][0]["errors"], 0);
}

#[test]
fn threads_that_are_shards_do_the_work_of_the_driver_and_of_the_engine() {
    let workloads = "engine-publish,engine-publish-confirmed,engine-call-1,engine-consume-source,\
                     cast-buffered,cast-confirmed-5,call-5,fanout,notify";
    let hosted = "leveret?hosted=true";
    let arguments = ["--only", workloads, "--against", hosted, "--pairs", "1", "--seconds", "0.2"];
    let outcome = outcome_of("hosted", &arguments);
    for workload in workloads.split(',') {
        assert_eq!(measured(&outcome, workload), ["leveret", hosted], "{workload}");
    }
}

#[test]
fn casts_are_measured_through_tls() {
    let tls = "leveret?tls=true";
    let arguments = ["--only", "cast-sink,engine-publish-sink", "--against", tls];
    let arguments = [&arguments[..], &["--pairs", "1", "--seconds", "0.2"]].concat();
    let outcome = outcome_of("tls", &arguments);
    for workload in ["cast-sink", "engine-publish-sink"] {
        assert_eq!(measured(&outcome, workload), ["leveret", tls], "{workload}");
    }
}

#[test]
fn a_first_call_is_made_on_a_new_connection_each_time() {
    let outcome = outcome_of("first", &["--only", "first-call,servers-4", "--seconds", "0.3"]);
    assert_eq!(measured(&outcome, "servers-4"), ["leveret"]);
    assert_eq!(measured(&outcome, "first-call"), ["leveret"]);
    let run = &outcome["runs"].as_array().expect("a list")[0];
    assert_eq!(run["workload"], "first-call");
    assert_eq!(run["promises"]["mandatory"], true);
    assert!(run["latency_us"]["p50"].as_f64().expect("a number") > 0.0);
}

#[test]
fn what_has_no_server_fails_beside_a_flood() {
    let arguments = ["--only", "undeliverable,undeliverable-cast", "--seconds", "1"];
    let outcome = outcome_of("undeliverable", &arguments);
    let runs = outcome["runs"].as_array().expect("a list");
    assert_eq!(runs.len(), 2);
    for run in runs {
        assert_eq!((&run["outstanding"], &run["errors"]), (&1.into(), &0.into()), "{run}");
        assert!(run["latency_us"]["max"].as_f64().expect("a number") > 0.0, "{run}");
        assert_eq!(run["client_cpu_us_per_msg"], Value::Null, "it is the flood's");
    }
}

#[test]
fn every_workload_is_listed() {
    let output = run(["--list"]);
    assert!(output.status.success());
    let list = text(&output.stdout);
    let names: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for name in ["engine-publish-sink", "announced-call-17", "call-at-80", "callers-50000"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    assert!(names.len() >= 47, "{names:?}");
}

#[test]
fn what_cannot_be_is_one_line_and_a_status() {
    let refused = ["--url", "rabbit://guest:secret@127.0.0.1:1/", "--only", "engine-publish"];
    let output = run(refused);
    let line = is_refused_in_one_line(&output);
    assert!(line.contains("127.0.0.1:1") && !line.contains("secret"), "{line}");

    let output = run(["--only", "nothing"]);
    assert_eq!(output.status.code(), Some(2));
}

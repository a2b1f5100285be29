//! `rolling-update` as its users run it: a fleet on a real broker, one of its old members Python's.

mod support;

use leveret_support::Broker;
use serde_json::Value;

use crate::support::{Report, is_refused_in_one_line, program, python, run, succeeded, texts};

/// What an update with these arguments reports; it has to succeed.
fn updated(name: &str, arguments: &[&str]) -> Value {
    let url = Broker::shared().vhost(name);
    let report = Report::new(name);
    let output = program()
        .args(["--url", &url, "--json", report.path(), "rolling-update"])
        .args("--servers 2 --clients 2 --rate 10 --timeout 60 --dwell 0.3 --notify".split(' '))
        .args(arguments)
        .output()
        .expect("the program was built for this test");
    let printed = texts(&succeeded(output));
    let report = report.read();
    let total = &report["total"];
    for none in ["lost", "duplicated", "unanswered", "cut_off"] {
        assert_eq!(total[none], 0, "{none}: {printed}");
    }
    assert_eq!(total["errors"], serde_json::json!({}), "{printed}");
    assert_eq!((&total["calls"], &report["settled"]), (&total["answered"], &true.into()));
    report
}

fn count(value: &Value) -> u64 {
    value.as_u64().expect("a count")
}

#[test]
fn nothing_is_lost_on_the_way_from_python_to_pika_and_back() {
    let python = python();
    let report = updated("rolling", &["--python", python.to_str().expect("a path in UTF-8")]);
    let phases = report["phases"].as_array().expect("a list");
    assert_eq!(phases.len(), 9);
    assert!(phases[1..].iter().all(|phase| phase["moves"] == 2 && count(&phase["sent"]) > 0));
    let traffic = &report["total"]["traffic"];
    for form in ["of_kombu", "of_pika", "of_both"] {
        assert!(count(&traffic[form]) > 0, "{form}: {traffic}");
    }
    assert_eq!(phases[4]["traffic"]["of_kombu"], 0, "the last clients become pika's: {traffic}");
}

#[test]
fn nothing_is_lost_or_done_twice_where_clients_go_first_and_send_once() {
    let arguments = "--plan clients-first --order random --seed 7 --at-most-once";
    let report = updated("rolling-once", &arguments.split(' ').collect::<Vec<_>>());
    let traffic = &report["total"]["traffic"];
    assert!(count(&traffic["fallbacks"]) > 0, "old servers were called by their names: {traffic}");
    assert_eq!(traffic["refused"], 0, "{traffic}");
}

#[test]
fn what_cannot_be_is_one_line_and_a_status() {
    for arguments in ["--servers 1 --replace stop-first", "--orders all --servers 5"] {
        let output = run(["rolling-update"].into_iter().chain(arguments.split(' ')));
        is_refused_in_one_line(&output);
    }
}

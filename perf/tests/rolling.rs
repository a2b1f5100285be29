//! `rolling-update` as its users run it: a fleet on a real broker, one of its old members Python's.

use std::path::PathBuf;
use std::process::Command;

use leveret_support::Broker;
use serde_json::Value;

/// The Python that the other peers run on.
fn python() -> PathBuf {
    if let Some(named) = std::env::var_os("LEVERET_PEERS_PYTHON") {
        return named.into();
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    root.join(target).join("peers-venv/bin/python")
}

/// What an update with these arguments reports; it has to succeed.
fn updated(name: &str, arguments: &[&str]) -> Value {
    let url = Broker::shared().vhost(name);
    let file = format!("leveret-perf-{}-{name}.json", std::process::id());
    let report = std::env::temp_dir().join(file);
    let output = Command::new(env!("CARGO_BIN_EXE_leveret-perf"))
        .args(["--url", &url, "--json"])
        .arg(&report)
        .arg("rolling-update")
        .args("--servers 2 --clients 2 --rate 10 --timeout 60 --dwell 0.3 --notify".split(' '))
        .args(arguments)
        .output()
        .expect("the program was built for this test");
    let [out, err] =
        [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
    assert!(output.status.success(), "{out}\n{err}");
    let text = std::fs::read_to_string(&report).expect("the report was written");
    std::fs::remove_file(&report).expect("the report is there");
    let report: Value = serde_json::from_str(&text).expect("the report is JSON");
    let total = &report["total"];
    for none in ["lost", "duplicated", "unanswered", "cut_off"] {
        assert_eq!(total[none], 0, "{none}: {out}\n{err}");
    }
    assert_eq!(total["errors"], serde_json::json!({}), "{out}\n{err}");
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
        let output = Command::new(env!("CARGO_BIN_EXE_leveret-perf"))
            .arg("rolling-update")
            .args(arguments.split(' '))
            .output()
            .expect("the program was built for this test");
        assert_eq!(output.status.code(), Some(1), "{arguments}");
        let line = String::from_utf8_lossy(&output.stderr);
        assert!(line.starts_with("leveret-perf: ") && line.lines().count() == 1, "{line}");
    }
}

//! `chaos` as its users run it: a private cluster, a few cheap faults, and the file it leaves.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn chaos(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_leveret-perf"))
        .arg("chaos")
        .args(arguments)
        .output()
        .expect("the program was built for this test")
}

fn file(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("leveret-perf-{}-{name}.json", std::process::id()))
}

fn texts(output: &Output) -> String {
    let [out, err] =
        [&output.stdout, &output.stderr].map(|octets| String::from_utf8_lossy(octets).into_owned());
    format!("{out}\n{err}")
}

/// Faults that make nodes or their connections away, each on nodes of its own.
mod faults {
    use super::*;

    #[test]
    fn promises_are_kept_over_cheap_faults_and_parts_are_merged() {
        let path = file("chaos");
        let report = path.to_str().expect("a path in UTF-8");
        let output = chaos(&[
            "--nodes",
            "1",
            "--clients",
            "2",
            "--servers",
            "1",
            "--rate",
            "20",
            "--faults",
            "4",
            "--seed",
            "3",
            "--kinds",
            "close,reset,queue,delay",
            "--dwell",
            "0.3",
            "--json",
            report,
        ]);
        let said = texts(&output);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("kept   0 confirmed on quorum queues"), "{said}");
        let text = std::fs::read_to_string(&path).expect("the report was written");
        let record: Value = serde_json::from_str(&text).expect("the report is JSON");
        let faults = record["faults"].as_array().expect("a list");
        let mut kinds: Vec<_> = faults.iter().filter_map(|fault| fault["kind"].as_str()).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, ["close", "delay", "queue", "reset"]);
        for fault in faults {
            assert!(fault["counts"]["sent"].as_u64() > Some(0), "{fault}");
            assert!(!fault["back"].as_array().expect("a list").is_empty(), "{fault}");
        }
        for stream in ["cast", "cast-once", "cast-buffered", "call", "fanout", "classic-call"] {
            let counts = &record["streams"][stream];
            assert!(counts["executed"].as_u64() > Some(0), "{stream}: {counts}");
        }

        let merged = chaos(&["--merge", report, report]);
        assert!(merged.status.success(), "{}", texts(&merged));
        // A promise broken in any part is broken in all.
        let mut broken = record;
        broken["streams"]["cast"]["lost"] = 1.into();
        std::fs::write(&path, broken.to_string()).expect("the folder is writable");
        let merged = chaos(&["--merge", report]);
        std::fs::remove_file(&path).expect("the report is there");
        assert_eq!(merged.status.code(), Some(1), "{}", texts(&merged));
        assert!(texts(&merged).contains("BROKEN 1 confirmed on quorum queues"));
    }

    #[test]
    fn a_run_that_is_stopped_reports_what_it_has_seen() {
        let path = file("stopped");
        let mut run = Command::new(env!("CARGO_BIN_EXE_leveret-perf"))
            .args(["chaos", "--nodes", "1", "--clients", "1", "--servers", "1", "--rate", "20"])
            .args(["--faults", "1000", "--kinds", "close", "--dwell", "0.1", "--json"])
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program was built for this test");
        let said = BufReader::new(run.stderr.take().expect("it is piped")).lines();
        let mut said = said.map_while(Result::ok);
        assert!(said.any(|line| line.starts_with("fault 0 ")), "a fault was made");
        let told = Command::new("kill").arg(run.id().to_string()).status();
        assert!(told.expect("a command of POSIX").success());
        let last = said.last().expect("it says why it ended");
        assert_eq!(run.wait().expect("it ends").code(), Some(1), "{last}");
        let text = std::fs::read_to_string(&path).expect("the report was written");
        std::fs::remove_file(&path).expect("the report is there");
        let record: Value = serde_json::from_str(&text).expect("the report is JSON");
        let reason = record["cut_short"].as_str().expect("a text");
        assert!(reason.contains("told to stop"), "{reason}");
        assert!(!record["faults"].as_array().expect("a list").is_empty());
    }
}

#[test]
fn what_cannot_be_is_one_line_and_a_status() {
    for arguments in [
        &["--subject", "oslo"][..],
        &["--merge", "there/is/no/such/file"],
        &["--url", "rabbit://127.0.0.1:1/", "--kinds", "kill"],
    ] {
        let output = chaos(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let line = String::from_utf8_lossy(&output.stderr);
        assert!(line.starts_with("leveret-perf: ") && line.lines().count() == 1, "{line}");
    }
}

//! `chaos` as its users run it: a private cluster, a few cheap faults, and the file it leaves.

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

use crate::support::{Report, is_refused_in_one_line, program, run, texts};

fn chaos(arguments: &[&str]) -> Output {
    run(["chaos"].iter().chain(arguments).copied())
}

/// Faults that make nodes or their connections away, each on nodes of its own.
mod faults {
    use super::*;

    #[test]
    fn promises_are_kept_over_cheap_faults_and_parts_are_merged() {
        let file = Report::new("chaos");
        let report = file.path();
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
        let printed = texts(&output);
        assert!(output.status.success(), "{printed}");
        assert!(printed.contains("kept   0 confirmed on quorum queues"), "{printed}");
        let record = file.read();
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
        file.overwrite(&broken);
        let merged = chaos(&["--merge", report]);
        assert_eq!(merged.status.code(), Some(1), "{}", texts(&merged));
        assert!(texts(&merged).contains("BROKEN 1 confirmed on quorum queues"));
    }

    #[test]
    fn a_run_that_is_stopped_reports_what_it_has_seen() {
        let report = Report::new("stopped");
        let mut run = program()
            .args(["chaos", "--nodes", "1", "--clients", "1", "--servers", "1", "--rate", "20"])
            .args(["--faults", "1000", "--kinds", "close", "--dwell", "0.1", "--json"])
            .arg(report.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program was built for this test");
        let lines = BufReader::new(run.stderr.take().expect("it is piped")).lines();
        let mut lines = lines.map_while(Result::ok);
        assert!(lines.any(|line| line.starts_with("fault 0 ")), "a fault was made");
        let killed = Command::new("kill").arg(run.id().to_string()).status();
        assert!(killed.expect("a command of POSIX").success());
        let last = lines.last().expect("it says why it ended");
        assert_eq!(run.wait().expect("it ends").code(), Some(1), "{last}");
        let record = report.read();
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
        is_refused_in_one_line(&chaos(arguments));
    }
}

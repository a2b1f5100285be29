//! Files of results: written by one command, read by later ones.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::results::document::{Results, SCHEMA};

/// Writes results to `path`, replacing what is there.
pub(crate) fn write(path: &Path, results: &Results) -> Result<()> {
    let mut text = serde_json::to_string(results).context("figures are plain data")?;
    text.push('\n');
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Reads results. Figures that an older format lacks are missing, and a note says so.
pub(crate) fn read(path: &Path) -> Result<Results> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| format!("{} holds no results", path.display()))
}

fn parse(text: &str) -> Result<Results> {
    /// What files of every format have.
    #[derive(Deserialize)]
    struct AnyFormat {
        /// The first format had no number.
        #[serde(default = "first")]
        schema: u64,
        #[serde(rename = "runs")]
        _runs: serde::de::IgnoredAny,
    }
    let format: AnyFormat =
        serde_json::from_str(text).context("it is not a file that --json has written")?;
    if format.schema > SCHEMA {
        bail!(
            "its format is {}, this version reads up to {SCHEMA}: use a newer one",
            format.schema
        );
    }
    let mut results: Results = serde_json::from_str(text)?;
    results.schema = format.schema;
    if format.schema < SCHEMA {
        results.notes.push(format!(
            "written in the older format {}: what it lacks is shown as a dash",
            format.schema
        ));
    }
    Ok(results)
}

const fn first() -> u64 {
    1
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::results::comparing::comparisons;
    use crate::results::comparing::tests::run;

    fn keys(value: &Value) -> Vec<&str> {
        value.as_object().expect("an object").keys().map(String::as_str).collect()
    }

    #[test]
    fn the_document_has_exactly_the_promised_keys() {
        let runs = vec![run("w", "leveret", 1.5, Some(7.0)), run("w", "raw", 3.0, None)];
        let comparisons = comparisons(&runs, &["leveret", "raw"], 1);
        let results = Results { runs, comparisons, ..Results::default() };
        let value = serde_json::to_value(&results).expect("plain data");
        let mut expected = [
            "workload",
            "subject",
            "backend",
            "dialect",
            "payload_bytes",
            "processes",
            "threads",
            "outstanding",
            "promises",
            "messages",
            "errors",
            "seconds",
            "rate_per_s",
            "offered_per_s",
            "client_cpu_us_per_msg",
            "server_cpu_us_per_msg",
            "broker_cpu_us_per_msg",
            "allocations_per_msg",
            "syscalls_per_msg",
            "latency_us",
            "service_us",
            "histogram",
            "series",
            "memory_kib",
            "wakeups_per_s",
        ];
        expected.sort_unstable();
        let mut found = keys(&value["runs"][0]);
        found.sort_unstable();
        assert_eq!(found, expected);
        let expected = json!({"p50": 7.0, "p90": null, "p99": null, "p999": null, "max": null});
        assert_eq!(value["runs"][0]["latency_us"], expected);
        let expected = json!({
            "workload": "w", "subject": "leveret", "against": "raw",
            "blocks": 1, "same_promises": true,
            "rate": {"ratio": 0.5, "low": 0.5, "high": 0.5, "verdict": "unclear"},
            "cpu": null, "p50": null, "p99": null, "p999": null,
        });
        assert_eq!(value["comparisons"], json!([expected]));
        assert_eq!(value["runs"][0]["outstanding"], Value::Null);
    }

    #[test]
    fn what_is_written_is_read() {
        let runs = vec![run("w", "leveret", 1.5, Some(7.0))];
        let results = Results { schema: SCHEMA, runs, ..Results::default() };
        let text = serde_json::to_string(&results).expect("plain data");
        assert_eq!(parse(&text).expect("it was just written"), results);
    }

    #[test]
    fn an_older_format_is_read_with_a_note_and_a_newer_one_is_refused() {
        let older = json!({
            "machine": {"cores": 2},
            "runs": [{"workload": "w", "subject": "leveret", "rate_per_s": 5.0}],
            "ratios": [],
        });
        let read = parse(&older.to_string()).expect("the first format");
        assert_eq!((read.schema, read.runs[0].rate_per_s), (1, 5.0));
        assert!(read.notes[0].contains("older format 1"), "{:?}", read.notes);
        let newer = json!({"schema": SCHEMA + 1, "runs": []});
        let error = parse(&newer.to_string()).expect_err("not this version's").to_string();
        assert!(error.contains("use a newer one"), "{error}");
        for other in ["[]", "{}", "text"] {
            let error = parse(other).expect_err("no results").to_string();
            assert!(error.contains("--json"), "{error}");
        }
    }
}

//! Results as JSON files.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

/// Writes `value` to `path` as indented JSON, replacing what is there.
pub(crate) fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value).context("figures are plain data")?;
    text.push('\n');
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::results::metrics;
    use crate::results::metrics::tests::run;
    use crate::results::sample::SuiteResults;

    fn keys(value: &Value) -> Vec<&str> {
        value.as_object().expect("an object").keys().map(String::as_str).collect()
    }

    #[test]
    fn the_document_has_exactly_the_promised_keys() {
        let runs = vec![run("w", "leveret", 1.5, Some(7.0)), run("w", "raw", 3.0, None)];
        let ratios = metrics::ratios(&runs, "leveret");
        let suite = SuiteResults { runs, ratios, ..SuiteResults::default() };
        let value = serde_json::to_value(&suite).expect("plain data");
        let mut expected = [
            "workload",
            "subject",
            "backend",
            "dialect",
            "payload_bytes",
            "threads",
            "outstanding",
            "messages",
            "errors",
            "seconds",
            "rate_per_s",
            "client_cpu_us_per_msg",
            "allocations_per_msg",
            "syscalls_per_msg",
            "latency_us",
        ];
        expected.sort_unstable();
        let mut found = keys(&value["runs"][0]);
        found.sort_unstable();
        assert_eq!(found, expected);
        let expected = json!({"p50": 7.0, "p90": null, "p99": null, "p999": null, "max": null});
        assert_eq!(value["runs"][0]["latency_us"], expected);
        let expected = json!({
            "workload": "w", "subject": "leveret", "against": "raw",
            "rate": 0.5, "cpu": null, "p50": null, "p999": null, "pairs": 1,
        });
        assert_eq!(value["ratios"], json!([expected]));
        assert_eq!(value["runs"][0]["outstanding"], Value::Null);
    }
}

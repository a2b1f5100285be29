//! The lines, the summary and the JSON of the simulator.
//!
//! Keys and words are those of oslo.messaging's simulator, as scripts read them.
#![expect(clippy::print_stdout, reason = "the lines are this program's output")]
#![expect(clippy::print_stderr, reason = "complaints are not part of it")]

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Map, Value};

use super::collector::{Collector, Latencies, Point};

/// All points of a label as one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) count: u64,
    pub(crate) size: u64,
    /// Whole seconds between the first and the last second with traffic.
    pub(crate) duration: u64,
    pub(crate) count_p_s: f64,
    pub(crate) size_p_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) start: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) end: Option<f64>,
    #[serde(flatten)]
    pub(crate) latencies: Option<Latencies>,
}

/// Sums up the points of several collectors with one label.
pub(crate) fn sum_up<'a>(points: impl IntoIterator<Item = &'a Point>) -> Summary {
    let busy: Vec<&Point> = points.into_iter().filter(|point| point.count > 0).collect();
    let count: u64 = busy.iter().map(|point| point.count).sum();
    let size: u64 = busy.iter().map(|point| point.size).sum();
    let start = busy.iter().map(|point| point.timestamp).min_by(f64::total_cmp);
    let end = busy.iter().map(|point| point.timestamp).max_by(f64::total_cmp);
    let between = start.zip(end).map_or(0.0, |(start, end)| end - start).ceil() as u64;
    // For the rates, traffic within one second counts as one second.
    let duration = if count > 0 { between.max(1) } else { 0 };
    let per_second = |n: u64| if duration > 0 { n as f64 / duration as f64 } else { 0.0 };
    Summary {
        count,
        size,
        duration,
        count_p_s: per_second(count),
        size_p_s: per_second(size),
        start,
        end,
        latencies: sum_latencies(&busy),
    }
}

fn sum_latencies(points: &[&Point]) -> Option<Latencies> {
    let timed = || points.iter().filter_map(|point| Some((point.count, point.latencies?)));
    let weight: u64 = timed().map(|(count, _)| count).sum();
    let weighted: f64 = timed().map(|(count, latencies)| latencies.mean * count as f64).sum();
    Some(Latencies {
        mean: weighted / weight as f64,
        min: timed().map(|(_, latencies)| latencies.min).min_by(f64::total_cmp)?,
        max: timed().map(|(_, latencies)| latencies.max).max_by(f64::total_cmp)?,
    })
}

/// Prints the line of one second.
pub(crate) fn print_point(label: &str, point: &Point) {
    println!("{}", point_line(label, point));
}

fn point_line(label: &str, point: &Point) -> String {
    let Point { seq, count, size, .. } = point;
    let mut line = format!("{label:<14}: seq: {seq:<4} count: {count:<6} bytes: {size:<10}");
    append_latencies(&mut line, point.latencies);
    line
}

/// Prints the line of a label's summary.
pub(crate) fn print_summary(label: &str, summary: &Summary) {
    println!("{}", summary_line(label, summary));
}

fn summary_line(label: &str, summary: &Summary) -> String {
    let Summary { count, size, duration, count_p_s, size_p_s, .. } = summary;
    let mut line = format!(
        "{label}: duration: {duration} count: {count} ({count_p_s:.1} msg/sec) \
         bytes: {size} ({size_p_s:.0} bps)"
    );
    append_latencies(&mut line, summary.latencies);
    line
}

fn append_latencies(line: &mut String, latencies: Option<Latencies>) {
    if let Some(Latencies { mean, min, max }) = latencies {
        write!(line, " latency: {mean:<9.3} min: {min:<9.3} max: {max:<9.3}")
            .expect("writing to a string cannot fail");
    }
}

/// Prints an error on standard error.
pub(crate) fn print_error(what: &str, error: &dyn std::fmt::Display) {
    eprintln!("{what}: {error}");
}

/// Writes series and summary to `path`.
pub(crate) fn write_json(path: &Path, collectors: &[&Collector], summary: &Value) -> Result<()> {
    let mut series = Map::new();
    for collector in collectors {
        series.insert(collector.label().to_owned(), serde_json::to_value(collector.series())?);
    }
    let text = serde_json::json!({ "series": series, "summary": summary }).to_string();
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(timestamp: f64, count: u64, latency: Option<f64>) -> Point {
        let latencies = latency.map(|mean| Latencies { mean, min: mean / 2.0, max: mean * 2.0 });
        Point { seq: 0, timestamp, count, size: count * 10, latencies }
    }

    #[test]
    fn idle_seconds_around_the_traffic_do_not_count() {
        let points = [
            point(1.0, 0, None),
            point(2.0, 10, Some(1.0)),
            point(4.0, 30, Some(3.0)),
            point(9.0, 0, None),
        ];
        let summary = sum_up(&points);
        assert_eq!((summary.count, summary.size, summary.duration), (40, 400, 2));
        assert_eq!((summary.count_p_s, summary.size_p_s), (20.0, 200.0));
        assert_eq!((summary.start, summary.end), (Some(2.0), Some(4.0)));
        assert_eq!(summary.latencies, Some(Latencies { mean: 2.5, min: 0.5, max: 6.0 }));
    }

    #[test]
    fn nothing_sums_up_to_nothing() {
        let summary = sum_up(&[]);
        assert_eq!((summary.count, summary.duration, summary.latencies), (0, 0, None));
        assert_eq!(
            serde_json::to_value(summary).expect("plain data"),
            serde_json::json!({
                "count": 0, "size": 0, "duration": 0, "count_p_s": 0.0, "size_p_s": 0.0,
            })
        );
    }

    #[test]
    fn lines_carry_the_words_scripts_look_for() {
        let line = point_line("client_0", &point(1.0, 7, Some(0.25)));
        for word in ["client_0", "seq: 0", "count: 7", "bytes: 70", "latency: 0.250", "max: 0.500"]
        {
            assert!(line.contains(word), "{line}");
        }
        let line = summary_line("round-trip", &sum_up(&[point(1.0, 7, None)]));
        assert_eq!(line, "round-trip: duration: 1 count: 7 (7.0 msg/sec) bytes: 70 (70 bps)");
    }
}

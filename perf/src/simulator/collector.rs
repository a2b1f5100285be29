//! Counts of messages, second by second.
//!
//! A collector belongs to one client thread or to the server, and makes a point once a second.
//! Invariant: every noted message is in exactly one point. Not here: printing.

use std::sync::Mutex;

use serde::Serialize;

use super::message::Message;

use crate::system::lock::lock;

/// Mean, smallest and largest latency in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Latencies {
    #[serde(rename = "latency")]
    pub(crate) mean: f64,
    #[serde(rename = "min_latency")]
    pub(crate) min: f64,
    #[serde(rename = "max_latency")]
    pub(crate) max: f64,
}

/// One second of one collector.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Point {
    pub(crate) seq: usize,
    pub(crate) timestamp: f64,
    pub(crate) count: u64,
    pub(crate) size: u64,
    #[serde(flatten)]
    pub(crate) latencies: Option<Latencies>,
}

/// Counts since the last point.
#[derive(Clone, Copy, Debug, Default)]
struct OpenPoint {
    count: u64,
    size: u64,
    timed: u64,
    sum: f64,
    min: f64,
    max: f64,
}

/// A labelled series of points.
#[derive(Debug)]
pub(crate) struct Collector {
    label: String,
    open_point: Mutex<OpenPoint>,
    series: Mutex<Vec<Point>>,
}

impl Collector {
    /// A collector without points.
    pub(crate) fn new(label: String) -> Self {
        Self { label, open_point: Mutex::default(), series: Mutex::default() }
    }

    /// The prefix of its lines.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// Notes one message.
    pub(crate) fn note(&self, message: &Message) {
        let mut open_point = lock(&self.open_point);
        open_point.count += 1;
        open_point.size += message.size() as u64;
        if let Some(latency) = message.latency() {
            let first = open_point.timed == 0;
            open_point.timed += 1;
            open_point.sum += latency;
            open_point.min = if first { latency } else { open_point.min.min(latency) };
            open_point.max = if first { latency } else { open_point.max.max(latency) };
        }
    }

    /// Ends a second and returns its point.
    pub(crate) fn point(&self, timestamp: f64) -> Point {
        let open_point = std::mem::take(&mut *lock(&self.open_point));
        let mut series = lock(&self.series);
        let latencies = (open_point.timed > 0).then(|| Latencies {
            mean: open_point.sum / open_point.timed as f64,
            min: open_point.min,
            max: open_point.max,
        });
        let point = Point {
            seq: series.len(),
            timestamp,
            count: open_point.count,
            size: open_point.size,
            latencies,
        };
        series.push(point);
        point
    }

    /// All points so far.
    pub(crate) fn series(&self) -> Vec<Point> {
        lock(&self.series).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_in_one_point() {
        let collector = Collector::new("client_0".to_owned());
        collector.note(&Message(0, "abcd".to_owned(), 1.0, 1.25, 1.5));
        collector.note(&Message(1, "ab".to_owned(), 1.0, 1.25, 2.5));
        let first = collector.point(10.0);
        assert_eq!((first.seq, first.count, first.size), (0, 2, 6));
        assert_eq!(first.latencies, Some(Latencies { mean: 1.0, min: 0.5, max: 1.5 }));
        let second = collector.point(11.0);
        assert_eq!((second.seq, second.count, second.latencies), (1, 0, None));
        assert_eq!(collector.series(), [first, second]);
    }

    #[test]
    fn a_point_without_latency_has_no_latency_keys() {
        let collector = Collector::new("error_0".to_owned());
        collector.note(&Message::outgoing(0, "abc", 1.0));
        let json = serde_json::to_value(collector.point(2.0)).expect("plain data");
        assert_eq!(json, serde_json::json!({"seq": 0, "timestamp": 2.0, "count": 1, "size": 3}));
    }
}

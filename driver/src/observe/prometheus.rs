//! Renders metrics in Prometheus' text format, version 0.0.4.
//!
//! Names and labels are stable: a change of one is a breaking change. Invariant: all samples of a
//! metric family stand together, under its `HELP` and `TYPE`. The user's HTTP server serves the
//! text.

use std::fmt::{Display, Write};

use crate::observe::metrics::{ConnectionMetrics, IntakeMetrics, TransportMetrics};

/// The `Content-Type` of the text that [`TransportMetrics::render_prometheus`] returns.
pub const PROMETHEUS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

impl TransportMetrics {
    /// Renders the metrics in Prometheus' text format (0.0.4). Serve the text with the content type
    /// [`PROMETHEUS_CONTENT_TYPE`].
    ///
    /// Every name begins with `leveret_`; times are in seconds, sizes in bytes. Metrics of a
    /// connection have the label `purpose` and, if it is not the first for its purpose, `number`;
    /// metrics of a shard have the label `shard`, its number.
    ///
    /// ```
    /// # fn main() -> Result<(), leveret::Error> {
    /// let transport = leveret::Transport::connect_blocking("fake://")?;
    /// let text = transport.metrics().render_prometheus();
    /// assert!(text.contains("\nleveret_calls_total{end=\"done\"} 0\n"));
    /// assert!(text.contains("\nleveret_connection_ready{purpose=\"publish\"} 1\n"));
    /// transport.close_blocking()
    /// # }
    /// ```
    #[must_use]
    pub fn render_prometheus(&self) -> String {
        let mut out = Exposition(String::with_capacity(8 << 10));
        self.write_calls(&mut out);
        self.write_sent(&mut out);
        out.write_intake("requests", "Requests received by servers", &self.served);
        self.write_formats(&mut out);
        out.write_intake("heard", "Notifications received by listeners", &self.heard);
        self.write_connections(&mut out);
        self.write_shards(&mut out);
        out.0
    }

    fn write_calls(&self, out: &mut Exposition) {
        let calls = &self.calls;
        out.write_single("calls_outstanding", "gauge", "Calls in progress.", calls.outstanding);
        let ends = [
            ("done", calls.done),
            ("remote_error", calls.remote_errors),
            ("timed_out", calls.timed_out),
            ("undeliverable", calls.undeliverable),
            ("delivery_failure", calls.delivery_failures),
            ("failed_otherwise", calls.failed_otherwise),
            ("abandoned", calls.abandoned),
        ];
        out.write_by_end("calls_total", "Calls by how they ended.", &ends);
        let name = "call_latency_seconds";
        out.write_head(name, "histogram", "Time from the start of a call to its end.");
        let mut seen = 0;
        for (bound, count) in calls.latency.buckets() {
            seen += count;
            let bound =
                bound.map_or_else(|| "+Inf".to_owned(), |bound| bound.as_secs_f64().to_string());
            out.write_sample(&format!("{name}_bucket"), &[("le", &bound)], seen);
        }
        out.write_sample(&format!("{name}_sum"), &[], calls.latency.sum().as_secs_f64());
        out.write_sample(&format!("{name}_count"), &[], seen);
    }

    fn write_sent(&self, out: &mut Exposition) {
        let (casts, notifications) = (&self.casts, &self.notifications);
        let ends = [
            ("confirmed", casts.confirmed),
            ("buffered", casts.buffered),
            ("failed", casts.failed),
        ];
        out.write_by_end("casts_total", "Casts by the result their caller got.", &ends);
        let ends = [("sent", notifications.sent), ("failed", notifications.failed)];
        out.write_by_end("notifications_total", "Notifications sent, for each topic.", &ends);
        for (name, help, value) in [
            ("casts_refused_total", "Buffered casts refused later.", casts.refused),
            ("retries_total", "Further attempts to publish a message.", self.retries),
            ("replies_late_total", "Replies to calls that had ended.", self.replies_late),
            ("replies_resent_total", "Returned replies sent again.", self.replies_resent),
            ("fallbacks_total", "Requests sent to the alternative address.", self.fallbacks),
            ("replies_dropped_total", "Replies given up undelivered.", self.replies_dropped),
            ("reports_dropped_total", "Reports to oslo.metrics dropped.", self.reports_dropped),
        ] {
            out.write_single(name, "counter", help, value);
        }
    }

    /// An operator reads from these which dialect the peers no longer use.
    fn write_formats(&self, out: &mut Exposition) {
        let IntakeMetrics { of_kombu, of_pika, of_both, .. } = self.served;
        let name = "requests_read_total";
        out.write_head(name, "counter", "Requests read, by their format.");
        for (form, count) in [("kombu", of_kombu), ("pika", of_pika), ("both", of_both)] {
            out.write_sample(name, &[("form", form)], count);
        }
    }

    fn write_connections(&self, out: &mut Exposition) {
        let all = &self.connections;
        out.write_head("connection_info", "gauge", "The broker of a connection, or its last one.");
        for one in all {
            let number = number(one);
            let mut labels = labels(one, &number);
            labels.push(("host", one.health.host.as_str()));
            out.write_sample("connection_info", &labels, 1);
        }
        type Value = fn(&ConnectionMetrics) -> f64;
        let families: [(_, _, _, Value); 6] = [
            ("ready", "gauge", "1 if the connection works, else 0.", |one| {
                f64::from(u8::from(one.health.is_ready()))
            }),
            ("reconnects_total", "counter", "Times the connection was lost.", |one| {
                one.health.reconnects as f64
            }),
            ("resends_total", "counter", "Publications sent again.", |one| one.resends as f64),
            ("confirms_outstanding", "gauge", "Publications not yet confirmed.", |one| {
                one.confirms_outstanding as f64
            }),
            ("outbox_bytes", "gauge", "Bytes not yet sent or unconfirmed.", |one| {
                one.outbox_bytes as f64
            }),
            ("blocked_seconds_total", "counter", "Time the broker blocked publishers.", |one| {
                one.blocked.as_secs_f64()
            }),
        ];
        for (name, kind, help, value) in families {
            let name = format!("connection_{name}");
            out.write_head(&name, kind, help);
            for one in all {
                out.write_sample(&name, &labels(one, &number(one)), value(one));
            }
        }
    }

    fn write_shards(&self, out: &mut Exposition) {
        type Value = fn(&leveret_engine::ShardStats) -> f64;
        let families: [(_, _, _, Value); 10] = [
            ("reads_total", "counter", "Receive operations.", |one| one.reads as f64),
            ("writes_total", "counter", "Send operations.", |one| one.writes as f64),
            ("received_bytes_total", "counter", "Bytes received.", |one| one.bytes_in as f64),
            ("sent_bytes_total", "counter", "Bytes sent.", |one| one.bytes_out as f64),
            ("connects_total", "counter", "Connections opened.", |one| one.connects as f64),
            ("connects_failed_total", "counter", "Attempts to connect that failed.", |one| {
                one.connects_failed as f64
            }),
            ("losses_total", "counter", "Connections lost.", |one| one.losses as f64),
            (
                "pauses_total",
                "counter",
                "Times reading stopped because buffers were full.",
                |one| one.pauses as f64,
            ),
            ("panics_total", "counter", "Panics that were caught.", |one| one.panics as f64),
            (
                "tick_late_max_seconds",
                "gauge",
                "Longest delay of a tick since the last reading.",
                |one| one.tick_late_max.as_secs_f64(),
            ),
        ];
        for (name, kind, help, value) in families {
            let name = format!("shard_{name}");
            out.write_head(&name, kind, help);
            for (number, one) in self.shards.iter().enumerate() {
                out.write_sample(&name, &[("shard", &number.to_string())], value(one));
            }
        }
    }
}

/// Returns the number of a connection as text.
fn number(one: &ConnectionMetrics) -> String {
    one.health.number.to_string()
}

/// Returns the labels of a connection: its purpose, and its number unless that is 0.
fn labels<'a>(one: &ConnectionMetrics, number: &'a str) -> Vec<(&'static str, &'a str)> {
    let mut labels = vec![("purpose", one.health.purpose)];
    if one.health.number > 0 {
        labels.push(("number", number));
    }
    labels
}

/// The text in Prometheus' exposition format.
struct Exposition(String);

impl Exposition {
    /// Writes the `HELP` and `TYPE` of a family.
    fn write_head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP leveret_{name} {help}\n# TYPE leveret_{name} {kind}");
    }

    fn write_sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "leveret_{name}");
        for (index, (label, text)) in labels.iter().enumerate() {
            let open = if index == 0 { '{' } else { ',' };
            let text = text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            let _ = write!(self.0, "{open}{label}=\"{text}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {value}");
    }

    /// Writes a family of one sample.
    fn write_single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.write_head(name, kind, help);
        self.write_sample(name, &[], value);
    }

    /// Writes a family of counters with the label `end`.
    fn write_by_end(&mut self, name: &str, help: &str, ends: &[(&str, u64)]) {
        self.write_head(name, "counter", help);
        for (end, count) in ends {
            self.write_sample(name, &[("end", end)], count);
        }
    }

    fn write_intake(&mut self, name: &str, what: &str, intake: &IntakeMetrics) {
        let ends = [
            ("done", intake.done),
            ("duplicate", intake.duplicates),
            ("undecodable", intake.undecodable),
            ("returned", intake.returned),
            ("dropped", intake.dropped),
            ("refused", intake.refused),
            ("expired", intake.expired),
        ];
        self.write_by_end(&format!("{name}_total"), &format!("{what}, by how they ended."), &ends);
        let help = format!("{what} that wait for a thread.");
        self.write_single(&format!("{name}_waiting"), "gauge", &help, intake.waiting);
        let help = format!("{what} that wait for a thread: bytes of their bodies.");
        self.write_single(&format!("{name}_waiting_bytes"), "gauge", &help, intake.waiting_bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use leveret_engine::{ConnectionState, ShardStats};

    use super::*;
    use crate::observe::health::ConnectionHealth;
    use crate::observe::histogram::Latencies;
    use crate::observe::metrics::CallMetrics;

    fn metrics() -> TransportMetrics {
        let latencies = Latencies::default();
        for ms in [1, 1, 7, 90_000] {
            latencies.observe(Duration::from_millis(ms));
        }
        let health = ConnectionHealth {
            purpose: "publish",
            number: 0,
            state: ConnectionState::Blocked("disk".into()),
            since: crate::runtime::timer::now(),
            host: "a\\b\"c\nd:5672".into(),
            last_error: None,
            reconnects: 2,
        };
        let connection = ConnectionMetrics {
            health,
            confirms_outstanding: 3,
            outbox_bytes: 4096,
            resends: 5,
            blocked: Duration::from_millis(1500),
        };
        let mut second = connection.clone();
        second.health.number = 1;
        TransportMetrics {
            calls: CallMetrics { done: 4, latency: latencies.read(), ..CallMetrics::default() },
            casts: Default::default(),
            notifications: Default::default(),
            served: IntakeMetrics {
                done: 6,
                of_kombu: 4,
                of_both: 2,
                waiting_bytes: 77,
                ..IntakeMetrics::default()
            },
            heard: IntakeMetrics::default(),
            retries: 8,
            replies_resent: 0,
            replies_late: 0,
            fallbacks: 0,
            replies_dropped: 0,
            reports_dropped: 0,
            connections: vec![connection, second],
            shards: vec![ShardStats::default(); 2],
        }
    }

    /// Splits a sample into its name, its raw labels and its value.
    fn parse_sample(line: &str) -> (&str, &str, f64) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        (name, labels.strip_suffix('}').unwrap(), value.parse().unwrap())
    }

    #[test]
    fn every_line_follows_the_exposition_format() {
        let text = metrics().render_prometheus();
        assert!(text.ends_with('\n'));
        let (mut families, mut series, mut family) = (HashSet::new(), HashSet::new(), "");
        let mut kind = "";
        let mut helped = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(help.ends_with('.') && !help.contains('\\'), "{line}");
                assert!(families.insert(name), "a family appears once: {name}");
                helped = name;
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                (family, kind) = rest.split_once(' ').unwrap();
                assert_eq!(family, helped);
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(family.ends_with("_total"), kind == "counter", "{line}");
            } else {
                let (name, labels, value) = parse_sample(line);
                let is_plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
                assert!(is_plain && name.starts_with("leveret_"), "{line}");
                let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{line}"));
                match kind {
                    "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&suffix)),
                    _ => assert_eq!(suffix, "", "{line}"),
                }
                assert!(value >= 0.0);
                assert!(series.insert((name, labels)), "a series appears once: {line}");
            }
        }
    }

    #[test]
    fn samples_have_the_values_of_the_metrics() {
        let text = metrics().render_prometheus();
        for line in [
            r#"leveret_calls_total{end="done"} 4"#,
            r#"leveret_call_latency_seconds_bucket{le="0.001"} 2"#,
            r#"leveret_call_latency_seconds_bucket{le="0.01"} 3"#,
            r#"leveret_call_latency_seconds_bucket{le="60"} 3"#,
            r#"leveret_call_latency_seconds_bucket{le="+Inf"} 4"#,
            "leveret_call_latency_seconds_sum 90.009",
            "leveret_call_latency_seconds_count 4",
            r#"leveret_requests_total{end="done"} 6"#,
            r#"leveret_requests_read_total{form="kombu"} 4"#,
            r#"leveret_requests_read_total{form="pika"} 0"#,
            r#"leveret_requests_read_total{form="both"} 2"#,
            "leveret_requests_waiting_bytes 77",
            "leveret_retries_total 8",
            r#"leveret_connection_info{purpose="publish",host="a\\b\"c\nd:5672"} 1"#,
            r#"leveret_connection_ready{purpose="publish"} 0"#,
            r#"leveret_connection_ready{purpose="publish",number="1"} 0"#,
            r#"leveret_connection_reconnects_total{purpose="publish"} 2"#,
            r#"leveret_connection_blocked_seconds_total{purpose="publish"} 1.5"#,
            r#"leveret_shard_reads_total{shard="1"} 0"#,
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
    }
}

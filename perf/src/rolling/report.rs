//! RequestKind an update came to: a table for people, or one JSON document.
#![expect(clippy::print_stdout, reason = "the report is this program's output")]

use std::path::Path;

use anyhow::{Context, Result};
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use super::counts::{Counts, Lost};
use super::ledger::Event;

/// An update that is over.
#[derive(Debug, Serialize)]
pub(super) struct UpdateReport {
    pub(super) servers: usize,
    pub(super) clients: usize,
    /// Of the old ones of each.
    pub(super) python_members: usize,
    pub(super) rate_per_s: f64,
    pub(super) plan: String,
    pub(super) order: String,
    pub(super) replace: String,
    pub(super) seed: u64,
    pub(super) at_most_once: bool,
    pub(super) notify: bool,
    /// Everything that was accepted had been executed before the servers stopped.
    pub(super) settled: bool,
    pub(super) phases: Vec<PhaseCounts>,
    pub(super) total: Counts,
    /// The first requests that were lost.
    pub(super) lost: Vec<Lost>,
    /// Who came and went, in order.
    pub(super) events: Vec<Event>,
}

/// RequestKind a phase came to.
#[derive(Debug, Serialize)]
pub(super) struct PhaseCounts {
    pub(super) name: String,
    pub(super) moves: usize,
    #[serde(flatten)]
    pub(super) counts: Counts,
}

impl UpdateReport {
    /// Prints the table, and what senders were told.
    pub(super) fn print(&self) {
        let guarantee = if self.at_most_once { "at most once" } else { "at least once" };
        println!(
            "{} servers, {} clients (of each {} Python's), {} requests/s each, {guarantee}, \
             {}, {}, order {} (seed {})",
            self.servers,
            self.clients,
            self.python_members,
            self.rate_per_s,
            self.plan,
            self.replace,
            self.order,
            self.seed
        );
        let mut table = Table::new();
        table.load_preset(UTF8_HORIZONTAL_ONLY);
        table.set_header([
            "phase",
            "sent",
            "answered",
            "executed",
            "lost",
            "twice",
            "errors",
            "p50",
            "p99",
            "max",
            "fell back",
            "kombu",
            "pika",
            "both",
        ]);
        for phase in &self.phases {
            table.add_row(row(&phase.name, &phase.counts));
        }
        table.add_row(row("in sum", &self.total));
        table.column_iter_mut().skip(1).for_each(|column| {
            column.set_cell_alignment(CellAlignment::Right);
        });
        println!("{table}");
        println!(
            "latencies of calls in microseconds; kombu, pika, both: requests that Leveret's \
             servers read, by their form"
        );
        self.print_remarks();
    }

    fn print_remarks(&self) {
        let Counts { errors, unanswered, cut_off, traffic, .. } = &self.total;
        for (label, count) in errors {
            println!("{count} times: {label}");
        }
        let remarks = [
            (*unanswered, "calls were executed, and their callers were told an error"),
            (*cut_off, "requests were cut off while they were published, and not executed"),
            (traffic.copies_dropped, "copies were recognised and dropped"),
            (traffic.refused, "requests were refused because they had been delivered before"),
            (traffic.returned, "requests went back to their queue when a server stopped"),
            (traffic.replies_resent, "replies came back and were sent again"),
            (traffic.replies_dropped, "replies were given up"),
        ];
        for (count, text) in remarks.into_iter().filter(|(count, _)| *count > 0) {
            println!("{count} {text}");
        }
        for Lost { what, sender, told, sent_at_ms, missing } in &self.lost {
            let (sent, since) = (*sent_at_ms, |event: &&Event| event.at_ms <= *sent_at_ms);
            let after = self.events.iter().rev().find(since);
            let after = after.map_or("the start", |event| event.event.as_str());
            println!(
                "lost by {missing}: a {what} of a {sender} client, sent at {sent} ms, after \"\
                 {after}\"; its sender was told: {told}"
            );
        }
        if !self.settled {
            println!("not everything that was accepted had been executed in the end");
        }
    }

    /// Writes all of it to `path`, replacing what is there.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).context("figures are plain data")?;
        text.push('\n');
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

fn row(name: &str, counts: &Counts) -> Vec<String> {
    let Counts { sent, answered, executed, lost, duplicated, .. } = counts;
    let (latency, traffic) = (&counts.latency_us, &counts.traffic);
    let errors: u64 = counts.errors.values().sum();
    let numbers = [
        *sent,
        *answered,
        *executed,
        *lost,
        *duplicated,
        errors,
        latency.p50,
        latency.p99,
        latency.max,
        traffic.fallbacks,
        traffic.of_kombu,
        traffic.of_pika,
        traffic.of_both,
    ];
    [name.to_owned()].into_iter().chain(numbers.map(|number| number.to_string())).collect()
}

/// Says where the update is, for whoever waits for it.
#[expect(clippy::print_stderr, reason = "progress is for people, the report for programs as well")]
pub(super) fn progress(phase: usize, phases: usize, name: &str) {
    eprintln!("phase {}/{phases}: {name}", phase + 1);
}

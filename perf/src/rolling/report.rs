//! The report of an update: a table, and one JSON document.
#![expect(clippy::print_stdout, reason = "the report is this program's output")]

use serde::Serialize;

use super::counts::{Counts, Lost};
use super::ledger::Event;
use crate::results::table;

/// The results of an update.
#[derive(Debug, Serialize)]
pub(super) struct UpdateReport {
    pub(super) servers: usize,
    pub(super) clients: usize,
    /// Python's share of the old servers, and of the old clients.
    pub(super) python_members: usize,
    pub(super) rate_per_s: f64,
    pub(super) plan: String,
    pub(super) order: String,
    pub(super) replace: String,
    pub(super) seed: u64,
    pub(super) at_most_once: bool,
    pub(super) notify: bool,
    /// All accepted requests were executed before the servers stopped.
    pub(super) settled: bool,
    pub(super) phases: Vec<PhaseCounts>,
    pub(super) total: Counts,
    /// The first requests that were lost.
    pub(super) lost: Vec<Lost>,
    /// Starts and stops of members, in order.
    pub(super) events: Vec<Event>,
}

/// The results of a phase.
#[derive(Debug, Serialize)]
pub(super) struct PhaseCounts {
    pub(super) name: String,
    pub(super) moves: usize,
    #[serde(flatten)]
    pub(super) counts: Counts,
}

impl UpdateReport {
    /// Prints the table and the remarks.
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
        let mut table = table::new(&[
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
        table::align_right(&mut table, 1);
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

/// Prints the progress of the update.
#[expect(clippy::print_stderr, reason = "progress is for people, the report for programs as well")]
pub(super) fn progress(phase: usize, phases: usize, name: &str) {
    eprintln!("phase {}/{phases}: {name}", phase + 1);
}

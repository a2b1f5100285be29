//! The report of runs: tables of faults, streams and processes, and the promises.
#![expect(clippy::print_stdout, reason = "the report is this program's output")]

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use comfy_table::{Table, TableComponent};

use crate::chaos::protocol::Role;
use crate::chaos::results::record::{FaultRecord, Promise, Record, promises, quantile};
use crate::chaos::results::verdict::Counts;
use crate::cli::chaos::FaultKind;
use crate::results::table;

/// Reports on several runs as one. A broken promise or a run that was cut short is an error.
pub(crate) fn report(records: &[Record]) -> Result<()> {
    records.iter().for_each(print_settings);
    print_faults(records);
    print_streams(records);
    print_processes(records);
    print_remarks(records);
    let promises = promises(records);
    for Promise { text, broken } in &promises {
        println!("{} {broken} {text}", if *broken == 0 { "kept  " } else { "BROKEN" });
    }
    objection(records, &promises)
}

/// Fails if a run was cut short or a promise was broken.
fn objection(records: &[Record], promises: &[Promise]) -> Result<()> {
    if let Some(reason) = records.iter().find_map(|record| record.cut_short.as_ref()) {
        bail!("the run was cut short: {reason}");
    }
    let broken: Vec<String> = promises
        .iter()
        .filter(|promise| promise.broken > 0)
        .map(|promise| format!("{} {}", promise.broken, promise.text))
        .collect();
    if !broken.is_empty() {
        bail!("{}", broken.join("; "));
    }
    Ok(())
}

fn print_settings(record: &Record) {
    let settings = &record.settings;
    println!(
        "{:?}{} on {} nodes ({}): {} clients, {} servers, {} messages/s of each kind, \
         deadline {} s, heartbeat {} s, {} faults of seed {}",
        settings.subject,
        settings.options.iter().map(|option| format!(" {option}")).collect::<String>(),
        settings.nodes,
        settings.broker.as_deref().unwrap_or("unknown brokers"),
        settings.clients,
        settings.servers,
        settings.rate_per_s,
        settings.timeout_s,
        settings.heartbeat_s,
        record.faults.len(),
        settings.seed
    );
}

/// Sums over the faults of a kind, or over all faults.
#[derive(Default)]
struct Sum {
    faults: usize,
    counts: Counts,
    /// Recovery times of clients and servers on quorum queues, and of both on classic queues.
    clients: Vec<f64>,
    servers: Vec<f64>,
    classic: Vec<f64>,
    connected: Vec<f64>,
    stuck: usize,
}

impl Sum {
    fn add(&mut self, fault: &FaultRecord) {
        self.faults += 1;
        self.counts += &fault.counts;
        for back in &fault.back {
            let times = match (back.is_quorum, back.role) {
                (false, _) => &mut self.classic,
                (true, Role::Client) => &mut self.clients,
                (true, Role::Server) => &mut self.servers,
            };
            times.push(back.ms);
        }
        self.connected.extend(&fault.connected_ms);
        self.stuck += fault.stuck.len();
    }
}

/// Prints two tables with one line for each kind of fault.
fn print_faults(records: &[Record]) {
    let (mut kinds, mut all) = (BTreeMap::<FaultKind, Sum>::new(), Sum::default());
    let mut before = Sum::default();
    for record in records {
        before.counts += &record.before;
        all.counts += &record.before;
        for fault in &record.faults {
            kinds.entry(fault.fault.kind).or_default().add(fault);
            all.add(fault);
        }
    }
    let mut rows = vec![("(none)".to_owned(), before)];
    rows.extend(kinds.into_iter().map(|(kind, sum)| (kind.name(), sum)));
    rows.push(("in sum".to_owned(), all));
    print_counts(&rows);
    print_times(rows);
}

fn print_counts(rows: &[(String, Sum)]) {
    let mut table = table(&[
        "fault", "n", "sent", "ok", "failed", "executed", "lost", "erased", "classic", "once x2",
        "x2", "late", "false", "stuck",
    ]);
    for (name, Sum { faults, counts, stuck, .. }) in rows {
        let numbers = [
            *faults as u64,
            counts.sent,
            counts.ok,
            counts.failed,
            counts.executed,
            counts.lost,
            counts.erased,
            counts.lost_classic,
            counts.twice_once,
            counts.twice,
            counts.late,
            counts.contradicted,
            *stuck as u64,
        ];
        table.add_row([name.clone()].into_iter().chain(numbers.map(|n| n.to_string())));
    }
    println!("{table}");
    println!(
        "lost: confirmed on quorum queues and executed by nobody; erased: with a queue that the \
         operator deleted; classic: lost on durable classic queues; once x2: sent at most once \
         and executed twice; false: said to be not sent, and executed"
    );
}

fn print_times(rows: Vec<(String, Sum)>) {
    let header = ["connected", "clients", "servers", "classic"];
    let header = header.map(|of| [format!("{of} p50"), "p99".to_owned(), "max".to_owned()]);
    let header: Vec<String> = ["fault".to_owned()].into_iter().chain(header.concat()).collect();
    let mut table = table(&header.iter().map(String::as_str).collect::<Vec<_>>());
    for (name, sum) in rows.into_iter().filter(|(_, sum)| sum.faults > 0) {
        let mut cells = vec![name];
        for mut times in [sum.connected, sum.clients, sum.servers, sum.classic] {
            times.sort_by(f64::total_cmp);
            cells.extend([0.5, 0.99, 1.0].map(|share| {
                quantile(&times, share).map_or_else(String::new, |time| format!("{time:.0}"))
            }));
        }
        table.add_row(cells);
    }
    println!("{table}");
    println!(
        "milliseconds from the fault (its end, where it stops everything): until processes that \
         were cut off were connected, to the first success of each stream and consumer on quorum \
         queues, and on durable classic ones (from the end, where a node was away)"
    );
}

/// Prints one line for each stream.
fn print_streams(records: &[Record]) {
    let mut streams = BTreeMap::<&str, Counts>::new();
    for (name, counts) in records.iter().flat_map(|record| &record.streams) {
        *streams.entry(name).or_default() += counts;
    }
    let mut table = table(&[
        "stream",
        "sent",
        "ok",
        "failed",
        "untold",
        "executed",
        "answered",
        "unanswered",
        "lost",
        "erased",
        "x2",
        "late",
        "latest ms",
    ]);
    for (name, counts) in &streams {
        let lost = counts.lost + counts.lost_classic + counts.lost_unpromised;
        let numbers = [
            counts.sent,
            counts.ok,
            counts.failed,
            counts.untold,
            counts.executed,
            counts.answered,
            counts.unanswered,
            lost,
            counts.erased,
            counts.twice + counts.twice_once,
            counts.late + counts.late_others,
            counts.latest_us / 1000,
        ];
        let cells = [(*name).to_owned()].into_iter().chain(numbers.map(|n| n.to_string()));
        table.add_row(cells);
    }
    println!("{table}");
}

/// Prints one line for each process that ran until the end.
fn print_processes(records: &[Record]) {
    let mut table =
        table(&["process", "RSS warm MiB", "end", "threads warm", "end", "fds warm", "end"]);
    for process in records.iter().flat_map(|record| &record.processes) {
        let Some((warm, end)) = process.warm.zip(process.end) else { continue };
        let mib = |kib: u64| format!("{:.1}", kib as f64 / 1024.0);
        table.add_row([
            format!("{:?} {}", process.role, process.number),
            mib(warm.rss_kib),
            mib(end.rss_kib),
            warm.threads.to_string(),
            end.threads.to_string(),
            warm.descriptors.to_string(),
            end.descriptors.to_string(),
        ]);
    }
    println!("{table}");
}

fn print_remarks(records: &[Record]) {
    let mut total = Counts::default();
    records.iter().for_each(|record| total += &record.total());
    for (label, count) in &total.errors {
        println!("{count} times: {label}");
    }
    if total.returned_executed > 0 {
        let count = total.returned_executed;
        println!("{count} were executed though the broker had returned or refused them at last");
    }
    for record in records {
        println!("threads waited up to {:.0} ms for a processor", record.lag_max_ms);
        for fault in record.faults.iter().filter(|fault| !fault.stuck.is_empty()) {
            println!(
                "after fault {} ({} {}, node {}) these were started again: {}",
                fault.fault.index,
                fault.fault.kind.name(),
                fault.detail,
                fault.fault.node,
                fault.stuck.join(", ")
            );
        }
        for example in &record.examples {
            println!(
                "{}: a {} of client {}, begun at {:.0} ms after fault {:?}, told {:?} after {:.0} \
                 ms, executed {} times",
                example.broke,
                example.stream,
                example.client,
                example.begun_ms,
                example.fault,
                example.told,
                example.took_ms,
                example.executions
            );
        }
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = table::new(header);
    table.remove_style(TableComponent::HorizontalLines);
    table.remove_style(TableComponent::MiddleIntersections);
    table::align_right(&mut table, 1);
    table
}

/// Prints the progress of the run.
#[expect(clippy::print_stderr, reason = "progress is for people, the report for programs as well")]
pub(crate) fn progress(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::results::record::tests::{fault, record};

    #[test]
    fn parts_are_reported_together_and_one_broken_promise_is_a_failure() {
        let mut first = record(1);
        first.faults.push(fault(FaultKind::Kill, &[10.0, 400.0]));
        let second = record(1);
        report(&[first, second]).expect("nothing is broken");

        let mut lost = record(1);
        lost.streams.insert("cast".to_owned(), Counts { lost: 1, ..Counts::default() });
        let error = report(&[record(1), lost]).expect_err("one is lost");
        assert!(error.to_string().starts_with("1 confirmed on quorum queues"), "{error}");

        let mut cut_short = record(1);
        cut_short.cut_short = Some("a node is away".to_owned());
        let error = report(&[cut_short]).expect_err("it was cut short");
        assert!(error.to_string().ends_with("a node is away"), "{error}");
    }
}

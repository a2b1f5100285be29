//! The plots of a file, in a grid for each kind.

use std::fmt::Write as _;

use crate::report::escape::html as escaped;
use crate::report::families;
use crate::report::plot::{files, growth, percentiles, rates, ratios, time};
use crate::report::rows::{self, Row};
use crate::report::tables::comparisons::OTHER_PROMISES_NOTE;
use crate::report::tables::runs;
use crate::results::comparison::Comparison;

/// Draws one plot of the rows of a workload, under a name that is unique in the page.
type Plot = fn(&str, &[(usize, &Row)]) -> Option<String>;

/// The plots of the rows of a file, under headings. `id` is the file's section.
pub(crate) fn of_runs(id: &str, rows: &[Row], subjects: &[&str]) -> String {
    let mut out = String::new();
    let kinds: [(&str, &str, &str, Plot); 3] = [
        ("rates", "Rates", RATES, |id, rows| Some(rates::plot(id, rows))),
        ("percentiles", "Latency by percentile", PERCENTILES, percentiles::plot),
        ("time", "Over time", TIME, time::plot),
    ];
    for (kind, heading, about, plot) in kinds {
        let figures: Vec<String> = rows::workloads(rows)
            .iter()
            .enumerate()
            .filter_map(|(at, workload)| {
                let rows = numbered(rows, workload, subjects);
                let svg = plot(&format!("{id}-{kind}-{at}"), &rows)?;
                let of_workload: Vec<&Row> = rows.iter().map(|(_, row)| *row).collect();
                Some(figure(workload, runs::loop_of(&of_workload), &svg))
            })
            .collect();
        let closed_loop = match kind {
            "percentiles" if rows.iter().any(runs::is_closed_loop) => runs::CLOSED_LOOP,
            _ => "",
        };
        let about = format!("{about} {closed_loop}");
        out.push_str(&grid(&format!("{id}-{kind}"), heading, about.trim_end(), &figures));
    }
    out
}

/// The plots of families of workloads, or nothing if there are none.
pub(crate) fn of_families(id: &str, rows: &[Row], subjects: &[&str]) -> String {
    let mut figures = Vec::new();
    for family in families::of(rows, subjects) {
        for (kind, _) in files::FIGURES {
            let svg = growth::plot(&format!("{id}-growth-{}", figures.len()), &family, kind);
            figures.extend(svg.map(|svg| figure(family.name, growth::name_of(kind), &svg)));
        }
    }
    grid(&format!("{id}-growth"), "As a number grows", GROWTH, &figures)
}

/// The plots of comparisons, or nothing if there are none.
pub(crate) fn of_comparisons(id: &str, comparisons: &[Comparison]) -> String {
    let figures: Vec<String> = ratios::FIGURES
        .iter()
        .enumerate()
        .filter_map(|(at, compared)| {
            let svg = ratios::plot(&format!("{id}-ratios-{at}"), compared, comparisons)?;
            Some(figure(compared.name, "", &svg))
        })
        .collect();
    let subject = comparisons.first().map_or("", |one| one.subject.as_str());
    let mut about = format!(
        "Ratios of {subject} to each other subject, typical ones of interleaved blocks; whiskers \
         are 95 % intervals. {RATIO_MARKS}"
    );
    if comparisons.iter().any(|one| !one.same_promises) {
        let _ = write!(about, " {OTHER_PROMISES_NOTE}");
    }
    grid(&format!("{id}-ratios"), &format!("{subject} against the others"), &about, &figures)
}

const RATIO_MARKS: &str = "▲\u{a0}faster, ▼\u{a0}slower, ●\u{a0}same, ◇\u{a0}unclear; an \
    arrow points beyond the scale.";
const RATES: &str = "Messages completed per second, medians over the windows; whiskers are 95 % \
    intervals, or the extremes of fewer than five windows. Each workload has its own scale.";
const PERCENTILES: &str = "All windows together. Every nine takes the same room; a curve is pale \
    where fewer than ten messages lie above. In an open loop latency counts from the due time.";
const GROWTH: &str = "Workloads that differ by the number at the end of their names; both axes are \
    logarithmic.";
const TIME: &str = "The first window of each subject.";

/// The rows of a workload, each with the number of its subject.
fn numbered<'a>(rows: &'a [Row], workload: &str, subjects: &[&str]) -> Vec<(usize, &'a Row)> {
    let number = |row: &Row| subjects.iter().position(|name| *name == row.run.subject);
    let of_it = rows.iter().filter(|row| row.run.workload == workload);
    of_it.map(|row| (number(row).unwrap_or(0), row)).collect()
}

fn figure(name: &str, about: &str, svg: &str) -> String {
    let about = if about.is_empty() { String::new() } else { format!(" <span>{about}</span>") };
    format!("<figure><figcaption>{}{about}</figcaption>{svg}</figure>\n", escaped(name))
}

fn grid(id: &str, heading: &str, about: &str, figures: &[String]) -> String {
    if figures.is_empty() {
        return String::new();
    }
    let (heading, about) = (escaped(heading), escaped(about));
    let figures = figures.concat();
    format!(
        "<h3 id=\"{id}\">{heading}</h3>\n<p class=\"about\">{about}</p>\n\
         <div class=\"figures\">\n{figures}</div>\n"
    )
}

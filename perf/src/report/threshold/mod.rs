//! Thresholds: conditions on a figure under which a command fails, as in `call-1.p99 > 1ms`.
//!
//! A figure is the one of the typical run: the median over the windows. Not here: which command
//! checks them, and its exit status.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};

use crate::report::figure::{Figure, Quantity};
use crate::report::number;
use crate::report::rows::{self, Row};
use crate::results::document::Results;

/// A condition under which a command fails.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Threshold {
    /// As it was written.
    text: String,
    workload: String,
    /// `None` is the first subject of the file.
    subject: Option<String>,
    figure: Figure,
    operator: Operator,
    limit: Limit,
}

/// Fails if the figure is this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// What the figure is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    /// A number, in microseconds where the figure is a time.
    Value(f64),
    /// A multiple of the same figure of the base.
    OfBase(f64),
}

/// Why a text is no threshold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ThresholdSyntax(String);

/// A threshold that was exceeded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exceeded {
    /// Name of the results, where several are checked.
    file: Option<String>,
    threshold: Threshold,
    subject: String,
    measured: f64,
    base: Option<f64>,
}

/// The thresholds that were exceeded, as the error of a command.
#[derive(Debug)]
pub(crate) struct ThresholdsExceeded(pub(crate) Vec<Exceeded>);

impl Exceeded {
    /// The same, with the name of the results.
    pub(crate) fn in_file(self, name: &str) -> Self {
        Self { file: Some(name.to_owned()), ..self }
    }
}

/// The thresholds that `results` exceed. A figure that was not measured is an error.
pub(crate) fn check(
    thresholds: &[Threshold],
    results: &Results,
    base: Option<&Results>,
) -> Result<Vec<Exceeded>> {
    let rows = rows::of(results);
    let base_rows = base.map(rows::of);
    let mut exceeded = Vec::new();
    for threshold in thresholds {
        let subject = match &threshold.subject {
            Some(subject) => subject.as_str(),
            None => rows::subjects(results).first().copied().unwrap_or_default(),
        };
        let measured = measured(threshold, subject, &rows)?;
        let base = match (threshold.limit, &base_rows) {
            (Limit::Value(_), _) => None,
            (Limit::OfBase(_), Some(rows)) => {
                let base = self::measured(threshold, subject, rows).context("the base")?;
                if base <= 0.0 {
                    bail!("'{threshold}': the base has 0, of which there is no multiple");
                }
                Some(base)
            }
            (Limit::OfBase(_), None) => {
                bail!("'{threshold}' is a multiple of a base: name one with --against BASE.json");
            }
        };
        if threshold.is_exceeded(measured, base) {
            let (threshold, subject) = (threshold.clone(), subject.to_owned());
            exceeded.push(Exceeded { file: None, threshold, subject, measured, base });
        }
    }
    Ok(exceeded)
}

/// The figure of the row that a threshold names, or why there is none.
fn measured(threshold: &Threshold, subject: &str, rows: &[Row]) -> Result<f64> {
    let (workload, figure) = (&threshold.workload, threshold.figure);
    let is_it = |row: &&Row| row.run.workload == *workload && row.run.subject == subject;
    let Some(row) = rows.iter().find(is_it) else {
        bail!("'{threshold}': {workload}@{subject} was not measured; there are {}", names(rows));
    };
    if figure.lacks_messages(row) {
        bail!(
            "'{threshold}': {} messages of {workload}@{subject} are too few for {}; measure longer",
            number::grouped(row.samples as f64),
            figure.name(),
        );
    }
    figure.of(row).with_context(|| {
        let have = |row: &&Row| figure.of(row).is_some() && !figure.lacks_messages(row);
        let others: Vec<Row> = rows.iter().filter(have).cloned().collect();
        let name = figure.name();
        match others.is_empty() {
            true => format!("'{threshold}': {name} was not measured in any row"),
            false => format!(
                "'{threshold}': {workload}@{subject} has no {name}; it was measured in {}",
                names(&others)
            ),
        }
    })
}

fn names(rows: &[Row]) -> String {
    let name = |row: &Row| format!("{}@{}", row.run.workload, row.run.subject);
    rows.iter().map(name).collect::<Vec<_>>().join(" ")
}

impl Threshold {
    fn is_exceeded(&self, measured: f64, base: Option<f64>) -> bool {
        let (value, limit) = match self.limit {
            Limit::Value(limit) => (measured, limit),
            Limit::OfBase(limit) => (measured / base.unwrap_or(measured), limit),
        };
        match self.operator {
            Operator::Above => value > limit,
            Operator::AtLeast => value >= limit,
            Operator::Below => value < limit,
            Operator::AtMost => value <= limit,
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, threshold, subject, measured, base } = self;
        let (workload, figure) = (&threshold.workload, threshold.figure);
        let value = figure.show(*measured);
        if let Some(file) = file {
            write!(f, "{file}: ")?;
        }
        write!(f, "{workload}@{subject}.{} is {value}", figure.name())?;
        if let Some(base) = base {
            let ratio = number::figure(measured / base);
            write!(f, ", {ratio}x of {} in the base", figure.show(*base))?;
        }
        write!(f, ": fails if '{threshold}'")
    }
}

impl fmt::Display for ThresholdsExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("; "))
    }
}

impl std::error::Error for ThresholdsExceeded {}

impl fmt::Display for ThresholdSyntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; write WORKLOAD[@SUBJECT].FIGURE OP VALUE, as 'call-1.p99 > 1ms'", self.0)
    }
}

impl std::error::Error for ThresholdSyntax {}

impl FromStr for Threshold {
    type Err = ThresholdSyntax;

    fn from_str(text: &str) -> Result<Self, ThresholdSyntax> {
        let text = text.trim();
        let wrong = |why: &str| ThresholdSyntax(why.to_owned());
        let at = text.find(['<', '>']).ok_or_else(|| wrong("no operator > >= < <="))?;
        let (left, rest) = text.split_at(at);
        let (operator, value) = match rest.as_bytes() {
            [b'>', b'=', ..] => (Operator::AtLeast, &rest[2..]),
            [b'<', b'=', ..] => (Operator::AtMost, &rest[2..]),
            [b'>', ..] => (Operator::Above, &rest[1..]),
            _ => (Operator::Below, &rest[1..]),
        };
        let (row, figure) = Figure::at_end_of(left.trim()).ok_or_else(|| {
            wrong(&format!("no figure before the operator; there are {}", Figure::names()))
        })?;
        let (workload, subject) = match row.split_once('@') {
            Some((workload, subject)) => (workload, Some(subject.to_owned())),
            None => (row, None),
        };
        if workload.is_empty() || subject.as_deref() == Some("") {
            return Err(wrong("a name is empty"));
        }
        let limit = limit(value.trim(), figure)?;
        let (text, workload) = (text.to_owned(), workload.to_owned());
        Ok(Self { text, workload, subject, figure, operator, limit })
    }
}

/// Reads a number and its unit.
fn limit(text: &str, figure: Figure) -> Result<Limit, ThresholdSyntax> {
    let wrong = |why: String| ThresholdSyntax(why);
    let ends = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..ends], text[ends..].trim());
    let number: f64 = number.parse().map_err(|_| wrong(format!("'{text}' is no number")))?;
    let factor = match (figure.quantity(), unit) {
        (_, "x") => return Ok(Limit::OfBase(number)),
        (Quantity::Latency | Quantity::CpuTime, "us" | "µs" | "μs") => 1.0,
        (Quantity::Latency, "ms") => 1e3,
        (Quantity::Latency, "s") => 1e6,
        (Quantity::Rate | Quantity::CpuTime | Quantity::Count, "") => 1.0,
        (Quantity::Rate, "k") => 1e3,
        (Quantity::Rate, "M") => 1e6,
        (quantity, _) => {
            let units = match quantity {
                Quantity::Latency => "a latency has the unit us, ms or s, or x",
                Quantity::Rate => "a rate has the unit k or M, x or none",
                Quantity::CpuTime => "CPU time per message has the unit us, x or none",
                Quantity::Count => "a number has no unit, or x",
            };
            return Err(wrong(format!("'{text}': {units} (a multiple of --against)")));
        }
    };
    Ok(Limit::Value(number * factor))
}

#[cfg(test)]
mod tests;

//! A table: columns, groups of rows, and notes below it.

use crate::report::number;
use crate::results::comparison::Verdict;

/// A table of a report.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// What it shows.
    pub(crate) title: String,
    /// What the names of groups are.
    pub(crate) group: &'static str,
    pub(crate) columns: Vec<Column>,
    pub(crate) groups: Vec<Group>,
    pub(crate) notes: Vec<String>,
}

/// A column; the first one names the rows of a group.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// What it is, where the name is short.
    pub(crate) about: &'static str,
    /// Words, which begin below each other, rather than figures, which end below each other.
    pub(crate) is_text: bool,
}

/// Rows of one workload.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    pub(crate) name: String,
    /// What holds for all its rows.
    pub(crate) about: String,
    /// As many cells as the table has columns.
    pub(crate) rows: Vec<Vec<Cell>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cell {
    pub(crate) text: String,
    /// What a colour repeats; the text says it as well.
    pub(crate) verdict: Option<Verdict>,
}

impl Cell {
    /// A figure, or a dash.
    pub(crate) fn figure(value: Option<f64>, show: impl Fn(f64) -> String) -> Self {
        number::or_dash(value, show).into()
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, verdict: None }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// A column whose name says what it is.
pub(crate) fn column(name: impl Into<String>) -> Column {
    Column { name: name.into(), about: "", is_text: false }
}

//! The tables of a report, whatever they are written in: their columns, cells and notes.
//!
//! Invariant: Markdown and HTML show the same figures, because both write these tables.

pub(crate) mod comparisons;
pub(crate) mod files;
pub(crate) mod idle;
pub(crate) mod ratios;
pub(crate) mod runs;
pub(crate) mod table;

//! Reports on files of results: a page, Markdown, and thresholds that a run must keep.
//!
//! `rows` makes the typical run of each subject in each workload, `families` finds those that grow
//! by a number, `compared` picks the ratios that can be stated; `tables` sets them in tables that
//! `markdown` and `html` write; `plot` draws them; `threshold` checks them. Not here: measuring,
//! and how the figures are made (`results`).

pub(crate) mod command;
mod compared;
mod escape;
mod families;
mod figure;
mod html;
pub(crate) mod machines;
mod markdown;
mod number;
mod plot;
mod quantiles;
mod rows;
mod tables;
pub(crate) mod threshold;

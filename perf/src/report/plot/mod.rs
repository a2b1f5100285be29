//! Plots as SVG: pure functions from figures to text, and `files`, which writes some of them alone.
//!
//! Colours, fonts and dashes are classes of the page's style sheet. Invariant: no plot tells
//! anything by colour alone; names and words stand beside every line, bar and point.

pub(crate) mod axis;
pub(crate) mod files;
mod frame;
pub(crate) mod growth;
pub(crate) mod percentiles;
pub(crate) mod rates;
pub(crate) mod ratios;
pub(crate) mod svg;
pub(crate) mod time;

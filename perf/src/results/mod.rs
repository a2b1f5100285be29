//! Records of runs, the figures made of them, and how both are shown: tables and files.

pub(crate) mod comparing;
pub(crate) mod comparison;
pub(crate) mod document;
pub(crate) mod file;
pub(crate) mod json;
pub(crate) mod metrics;
pub(crate) mod run;
pub(crate) mod statistics;
pub(crate) mod table;
pub(crate) mod text;

//! Records of runs, the figures made of them, and how both are shown: tables and JSON.

pub(crate) mod json;
pub(crate) mod metrics;
pub(crate) mod sample;
pub(crate) mod table;
pub(crate) mod text;

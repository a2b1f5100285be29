//! Outcomes as text and as JSON. Reads records, measures nothing.

pub(crate) mod json;
pub(crate) mod text;

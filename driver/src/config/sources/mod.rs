//! Where values come from: files, environment and code.

pub(crate) mod ini;
pub(crate) mod source;
pub(crate) mod substitute;
pub(crate) mod toml;

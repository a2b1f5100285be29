//! Reports of other programs than the suite as JSON files.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

/// Writes `value` to `path` as indented JSON, replacing what is there.
pub(crate) fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value).context("figures are plain data")?;
    text.push('\n');
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

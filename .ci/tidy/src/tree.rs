//! The files of the repository, as git sees them: tracked, or new and not ignored.
//!
//! Invariant: paths are relative to the root, with forward slashes. Not here: any rule.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::source::Source;

/// A text file as it is.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Everything the rules look at.
#[derive(Debug)]
pub(crate) struct Tree {
    root: PathBuf,
    /// All files, text or not.
    pub(crate) paths: Vec<String>,
    /// The text files, Rust included.
    pub(crate) texts: Vec<Text>,
    /// The Rust files, read as code.
    pub(crate) sources: Vec<Source>,
}

impl Tree {
    /// Reads the repository around the current folder.
    pub(crate) fn read() -> Result<Self, String> {
        let root = PathBuf::from(run(Path::new("."), "git", &["rev-parse", "--show-toplevel"])?);
        let listed = run(&root, "git", &["ls-files", "-z", "-co", "--exclude-standard"])?;
        let mut paths: Vec<String> = listed
            .split_terminator('\0')
            .filter(|path| root.join(path).is_file())
            .map(str::to_owned)
            .collect();
        paths.sort();
        paths.dedup();
        let texts: Vec<Text> = paths
            .iter()
            .filter_map(|path| {
                let text = std::fs::read_to_string(root.join(path)).ok()?;
                Some(Text { path: path.clone(), text })
            })
            .collect();
        let rust = texts.iter().filter(|file| file.path.ends_with(".rs"));
        let sources = rust.map(|file| Source::new(&file.path, &file.text)).collect();
        Ok(Self { root, paths, texts, sources })
    }

    /// What cargo knows of every package we depend on, for any target and feature.
    pub(crate) fn metadata(&self) -> Result<Value, String> {
        let arguments = ["metadata", "--format-version", "1", "--locked", "--all-features"];
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let text = run(&self.root, &cargo, &arguments)?;
        serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))
    }
}

fn run(folder: &Path, program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).current_dir(folder).output();
    let output = output.map_err(|error| format!("cannot run {program}: {error}"))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program} {} failed: {error}", arguments.join(" ")));
    }
    let text = String::from_utf8(output.stdout);
    Ok(text.map_err(|error| format!("{program}: {error}"))?.trim_end_matches('\n').to_owned())
}

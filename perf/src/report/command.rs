//! Reads files of results, writes the reports that are asked for, and checks thresholds.
#![expect(clippy::print_stderr, reason = "warnings go to standard error")]

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::report::machines::{self, Named};
use crate::report::plot::files as plots;
use crate::report::threshold::{self, Threshold, ThresholdsExceeded};
use crate::report::{html, markdown};
use crate::results::document::Results;
use crate::results::file;

/// Where a report goes, and what is checked.
pub(crate) struct Request<'a> {
    pub(crate) html: Option<&'a Path>,
    /// `-` is standard output.
    pub(crate) markdown: Option<&'a Path>,
    /// A directory.
    pub(crate) plots: Option<&'a Path>,
    pub(crate) thresholds: &'a [Threshold],
    /// Results that thresholds refer to.
    pub(crate) base: Option<&'a Path>,
    pub(crate) title: &'a str,
}

/// Makes a report of files. Without another place it goes to standard output.
pub(crate) fn run(files: &[PathBuf], request: &Request<'_>) -> Result<()> {
    let all = read(files)?;
    let is_elsewhere = request.html.is_some() || request.plots.is_some();
    let markdown = request.markdown.or((!is_elsewhere).then_some(Path::new("-")));
    report(&named(files, &all), &Request { markdown, ..*request })
}

/// Makes the reports that are asked for. Thresholds are checked at the end, so that the report of a
/// run that exceeds one is there to be read.
pub(crate) fn report(all: &[Named<'_>], request: &Request<'_>) -> Result<()> {
    let base = request.base.map(|path| read(&[path.to_owned()])).transpose()?;
    if let Some(path) = request.html {
        write(path, &html::page(request.title, all)?)?;
    }
    if let Some(directory) = request.plots {
        plots::write(directory, all)?;
    }
    match request.markdown {
        Some(path) if path == Path::new("-") => {
            let text = markdown::report(request.title, all);
            let written = std::io::stdout().write_all(text.as_bytes());
            written.context("cannot write to standard output")?;
        }
        Some(path) => write(path, &markdown::report(request.title, all))?,
        None => {}
    }
    check(request.thresholds, all, base.as_deref().and_then(<[Results]>::first))
}

fn read(paths: &[PathBuf]) -> Result<Vec<Results>> {
    paths.iter().map(|path| file::read(path)).collect()
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Names files by their stems, or by their paths where these are the same.
fn named<'a>(paths: &[PathBuf], all: &'a [Results]) -> Vec<Named<'a>> {
    let stem = |path: &PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = |path: &PathBuf| {
        let is_alone = paths.iter().filter(|other| stem(other) == stem(path)).count() == 1;
        let whole = || path.display().to_string();
        if is_alone { stem(path).unwrap_or_else(whole) } else { whole() }
    };
    let pairs = paths.iter().zip(all);
    pairs.map(|(path, results)| Named { name: name(path), results }).collect()
}

fn check(thresholds: &[Threshold], all: &[Named<'_>], base: Option<&Results>) -> Result<()> {
    let mut exceeded = Vec::new();
    for one in all {
        if let Some(base) = base {
            let base = Named { name: "the base".to_owned(), results: base };
            let now = Named { name: one.name.clone(), results: one.results };
            let differences = machines::differences(&[now, base]);
            if !differences.is_empty() {
                let told = differences.join("; ");
                eprintln!("leveret-perf: warning: the base is from another machine: {told}");
            }
        }
        let found = threshold::check(thresholds, one.results, base);
        let found = found.with_context(|| one.name.clone())?.into_iter();
        let file = (all.len() > 1).then_some(&one.name);
        exceeded.extend(found.map(|one| match file {
            Some(name) => one.in_file(name),
            None => one,
        }));
    }
    if exceeded.is_empty() { Ok(()) } else { Err(ThresholdsExceeded(exceeded).into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_name_are_told_apart() {
        let all = [Results::default(), Results::default(), Results::default()];
        let paths = ["old/a.json", "new/a.json", "new/b.json"].map(PathBuf::from);
        let names: Vec<String> = named(&paths, &all).into_iter().map(|one| one.name).collect();
        assert_eq!(names, ["old/a.json", "new/a.json", "b"]);
    }
}

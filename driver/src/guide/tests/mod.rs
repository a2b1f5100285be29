//! Holds the guide against the sources: what it names is there, and each page is a module.

use std::fs;
use std::path::{Path, PathBuf};

mod events;

const API: &str = include_str!("../api.md");

/// The rows below a heading: oslo's item, ours, what shows it.
fn rows() -> Vec<[&'static str; 3]> {
    let rows = API.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix('|'));
    let cells = rows.map(|row| row.split(" |").map(str::trim).collect::<Vec<_>>());
    let all: Vec<[&str; 3]> = cells
        .map(|cells| match cells[..] {
            [oslos, ours, shown, ..] => [oslos, ours, shown],
            [oslos, ours] => [oslos, ours, ""],
            _ => panic!("a row without cells: {cells:?}"),
        })
        .filter(|[oslos, ..]| *oslos != "oslo")
        .collect();
    assert!(all.len() > 150, "{} rows", all.len());
    all
}

/// The names in backticks that are paths of tests.
fn tests(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The file in which a test of this path stands, and its name.
fn find_test(path: &str) -> (PathBuf, &str) {
    let (module, name) = path.rsplit_once("::").expect("a module and a name");
    let (root, module) = match module.strip_suffix("::tests") {
        Some(module) => ("src", module),
        None if module.contains("::tests::") => ("src", module),
        None => ("tests", module),
    };
    let file = folder().join(root).join(module.replace("::", "/"));
    let inside = ["tests.rs", "tests/mod.rs", "mod.rs"].map(|name| file.join(name));
    let found = inside.into_iter().chain([file.with_extension("rs")]).find(|file| file.is_file());
    (found.unwrap_or_else(|| panic!("no file has {path}")), name)
}

/// How many tests a cell names, all of which exist.
fn count_existing(about: &str, shown: &str) -> usize {
    let existing = tests(shown).inspect(|test| {
        let (file, name) = find_test(test);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(&format!("fn {name}(")), "{about}: {test} is not in {file:?}");
    });
    existing.count()
}

#[test]
fn every_test_of_the_table_exists() {
    let count: usize =
        rows().into_iter().map(|[oslos, _, shown]| count_existing(oslos, shown)).sum();
    assert!(count > 100, "{count} tests");
}

#[test]
fn every_test_of_the_corner_cases_exists() {
    let (_, cases) = include_str!("../dialects.md").split_once("# Corner cases").unwrap();
    let rows = cases.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let shown = rows.map(|row| row.rsplit(" | ").next().unwrap());
    let count: usize = shown.map(|shown| count_existing("dialects.md", shown)).sum();
    assert!(count > 20, "{count} tests");
}

#[test]
fn every_row_is_shown_or_says_why_not() {
    for [oslos, ours, shown] in rows() {
        let is_absent = ours.starts_with("none:") || ours.contains("not yet");
        let is_shown = shown == "example" || tests(shown).next().is_some();
        assert!(!ours.is_empty() && (is_shown || is_absent), "{oslos}: {ours}: {shown:?}");
    }
}

#[test]
fn every_functional_test_is_in_the_table() {
    for module in ["call", "cast", "logger", "notify"] {
        let path = folder().join("tests/it/functional").join(module).with_extension("rs");
        let text = fs::read_to_string(path).unwrap();
        for line in text.lines().filter_map(|line| line.strip_prefix("async fn test_")) {
            let name = line.split('(').next().unwrap();
            let test = format!("`it::functional::{module}::test_{name}`");
            assert!(rows().iter().any(|[.., shown]| *shown == test), "{test}");
        }
    }
}

/// The names in backticks that tables of a page begin their rows with.
fn row_names(page: &str) -> impl Iterator<Item = &str> {
    page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next())
}

#[test]
fn every_option_of_oslos_is_in_the_table() {
    let (oslos, _) = include_str!("../configuration.md").split_once("## `[leveret]`").unwrap();
    let (_, oslos) = oslos.split_once("## `[DEFAULT]`").unwrap();
    let mut count = 0;
    for option in row_names(oslos) {
        let name = format!("`{option}`");
        let is_named = |cell: &str| cell.contains(&name) || cell.contains(&format!(" {option}`"));
        assert!(rows().iter().any(|[oslos, ..]| is_named(oslos)), "{option}");
        count += 1;
    }
    assert!(count > 45, "{count} options");
}

#[test]
fn every_kind_of_error_and_outcome_is_explained() {
    let page = include_str!("../errors.md");
    let source = fs::read_to_string(folder().join("src/error/mod.rs")).unwrap();
    for name in ["ErrorKind", "Outcome"] {
        let (_, rest) = source.split_once(&format!("pub enum {name} {{")).unwrap();
        let (variants, _) = rest.split_once("\n}").unwrap();
        let variants = variants.lines().filter_map(|line| line.trim().strip_suffix(','));
        let variants: Vec<_> = variants.filter(|line| !line.starts_with("//")).collect();
        assert!(variants.len() > 5, "{variants:?}");
        for variant in variants {
            let row = format!("| [`{variant}`]");
            assert!(page.lines().any(|line| line.starts_with(&row)), "{name}::{variant}");
        }
    }
}

#[test]
fn every_page_is_a_module() {
    let modules = include_str!("../mod.rs");
    for entry in fs::read_dir(folder().join("src/guide")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(page) = name.strip_suffix(".md") {
            assert!(modules.contains(&format!("include_str!(\"{name}\")")), "{name}");
            assert!(modules.contains(&format!("pub mod {page} ")), "{page}");
        }
    }
}

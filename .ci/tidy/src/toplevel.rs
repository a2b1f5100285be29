//! What `ls` shows in the root folder: a fixed list.

use crate::Problem;

const VISIBLE: &[&str] = &[
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "benches",
    "driver",
    "engine",
    "perf",
];

pub(crate) fn check(paths: &[String]) -> Vec<Problem> {
    let mut extra: Vec<&str> = paths
        .iter()
        .map(|path| path.split('/').next().unwrap_or(path))
        .filter(|entry| !entry.starts_with('.') && !VISIBLE.contains(entry))
        .collect();
    extra.dedup();
    let message =
        "does not belong in the root: move it to a hidden folder or to the folder of a crate";
    extra.into_iter().map(|entry| Problem::new(entry, 1, message)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_is_visible() {
        let paths = [".ci/test", "Cargo.toml", "engine/src/lib.rs"].map(str::to_owned);
        assert_eq!(check(&paths), []);
        let paths = ["docs/a.md", "docs/b.md", "notes.txt"].map(str::to_owned);
        let entries: Vec<String> = check(&paths).into_iter().map(|p| p.path).collect();
        assert_eq!(entries, ["docs", "notes.txt"]);
    }
}

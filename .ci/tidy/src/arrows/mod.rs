//! Which module of a crate may import which: the imports held against the table of allowed ones.
//!
//! An import is a use of the file that defines the item, however many re-exports lie between; so
//! are a re-export and the import of a whole module. Every module of a crate has a row in the
//! table, and the table names no others. Tests may import anything. Not here: imports inside of a
//! top-level module (`circles`).

mod table;

use std::collections::BTreeSet;

use crate::Problem;
use crate::modules::Modules;
use crate::source::{Source, words};

/// The file of the table, for messages.
const TABLE: &str = ".ci/tidy/src/arrows/table.rs";

/// What the modules of a crate may import, and which other crates none of them may name.
struct CrateRules {
    folder: &'static str,
    never: &'static [&'static str],
    modules: &'static [ModuleRule],
}

/// What a top-level module may import.
struct ModuleRule {
    module: &'static str,
    imports: Imports,
}

enum Imports {
    /// All top-level modules of the crate.
    Any,
    /// The top-level modules that any of these lists names.
    Only(&'static [&'static [&'static str]]),
}

pub(crate) fn check(crates: &[Modules], sources: &[Source]) -> Vec<Problem> {
    check_by(table::CRATES, crates, sources)
}

fn check_by(table: &[CrateRules], crates: &[Modules], sources: &[Source]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for rules in table {
        let files: Vec<&Source> =
            sources.iter().filter(|file| file.path.starts_with(rules.folder)).collect();
        if files.is_empty() {
            continue;
        }
        problems.extend(rules.check_rows(&files));
        for modules in crates.iter().filter(|one| one.root().starts_with(rules.folder)) {
            problems.extend(rules.check_imports(modules));
        }
        for file in files {
            problems.extend(rules.check_sisters(file));
        }
    }
    problems
}

impl CrateRules {
    fn row(&self, module: &str) -> Option<&ModuleRule> {
        self.modules.iter().find(|row| row.module == module)
    }

    /// The top-level module that a file belongs to.
    fn module_of<'a>(&self, path: &'a str) -> &'a str {
        let below = path.strip_prefix(self.folder).unwrap_or(path);
        below.split('/').next().unwrap_or(below).trim_end_matches(".rs")
    }

    /// Holds the rows against the modules that exist.
    fn check_rows(&self, files: &[&Source]) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut existing = BTreeSet::new();
        for file in files {
            let module = self.module_of(&file.path);
            if existing.insert(module) && self.row(module).is_none() {
                let message = format!("module `{module}` is new: add a row for it to {TABLE}");
                problems.push(Problem::new(&file.path, 1, message));
            }
        }
        for row in self.modules {
            if !existing.contains(row.module) {
                let message =
                    format!("{} has no module `{}`: remove its row", self.folder, row.module);
                problems.push(Problem::new(TABLE, 1, message));
            }
            for name in row.names().filter(|name| !existing.contains(name)) {
                let message = format!(
                    "{} has no module `{name}`: remove it from what `{}` may import",
                    self.folder, row.module
                );
                problems.push(Problem::new(TABLE, 1, message));
            }
        }
        problems
    }

    fn check_imports(&self, modules: &Modules) -> Vec<Problem> {
        let mut problems = Vec::new();
        for ((from, to), names) in modules.imports() {
            let (importer, imported) = (self.module_of(&from), self.module_of(&to));
            let Some(row) = self.row(importer) else { continue };
            if importer != imported && !row.allows(imported) {
                let names = names.into_iter().collect::<Vec<_>>().join("`, `");
                let message = format!(
                    "`{importer}` may not import `{imported}`, but imports `{names}` of {to}: move \
                     the item to a module that both may import, or this code to one above both"
                );
                problems.push(Problem::new(&from, 1, message));
            }
        }
        problems
    }

    /// Finds names of sister crates that this crate may not depend on.
    fn check_sisters(&self, file: &Source) -> Vec<Problem> {
        let mut problems = Vec::new();
        for sister in self.never {
            let is_named =
                |line: &str| line.contains("::") && words(line).any(|(_, word)| word == *sister);
            for (number, _) in file.program().filter(|(_, line)| is_named(line)) {
                let message = format!(
                    "this crate may not name `{sister}`: move the code to a crate that may depend \
                     on it"
                );
                problems.push(Problem::new(&file.path, number, message));
            }
        }
        problems
    }
}

impl ModuleRule {
    fn allows(&self, module: &str) -> bool {
        matches!(self.imports, Imports::Any) || self.names().any(|name| name == module)
    }

    /// The modules that this row lists.
    fn names(&self) -> impl Iterator<Item = &'static str> {
        let lists = match self.imports {
            Imports::Any => &[],
            Imports::Only(lists) => lists,
        };
        lists.iter().copied().flatten().copied()
    }
}

#[cfg(test)]
mod tests;

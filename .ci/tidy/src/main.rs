//! `leveret-tidy`, the structure check: rules that neither compilers nor clippy check.
//!
//! Each rule is a module: a table as data and a function from files to problems, tested on small
//! samples. `arrows` and `circles` check imports, `words`, `names` and `size` the text of files,
//! `toplevel` the root folder, `map` ARCHITECTURE.md, `licences` the dependencies. Every message
//! says what to do. The check reads and never writes. Not here: what rustfmt and clippy check
//! already.

mod arrows;
mod circles;
mod dialects;
mod licences;
mod map;
mod modules;
mod names;
mod size;
mod source;
mod toplevel;
mod tree;
mod words;

use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;

use tree::Tree;

/// One thing to repair, where, and how.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Problem {
    path: String,
    line: usize,
    message: String,
}

impl Problem {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

fn check(tree: &Tree) -> Result<Vec<Problem>, String> {
    let mut problems = toplevel::check(&tree.paths);
    problems.extend(size::check_folders(&tree.paths));
    for file in &tree.texts {
        problems.extend(words::check_text(file));
        problems.extend(size::check_text(file));
    }
    let crates = modules::read_crates(&tree.texts)?;
    problems.extend(circles::check(&crates));
    problems.extend(arrows::check(&crates, &tree.sources));
    let map = tree.texts.iter().find(|file| file.path == map::FILE);
    problems.extend(map.into_iter().flat_map(|file| map::check(&file.text, &tree.paths)));
    for file in &tree.sources {
        problems.extend(words::check_source(file));
        problems.extend(names::check(file));
    }
    problems.extend(size::check_sources(&tree.sources));
    problems.extend(dialects::check(&tree.sources));
    problems.extend(licences::check(&tree.metadata()?)?);
    problems.sort();
    problems.dedup();
    Ok(problems)
}

fn main() -> ExitCode {
    let (text, code) = match Tree::read().and_then(|tree| Ok((check(&tree)?, tree))) {
        Ok((problems, tree)) => {
            let mut text: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
            let (files, count) = (tree.paths.len(), problems.len());
            text.push_str(&format!("tidy: {files} files, {count} problems\n"));
            (text, ExitCode::from(u8::from(count > 0)))
        }
        Err(reason) => (format!("tidy: {reason}\n"), ExitCode::FAILURE),
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

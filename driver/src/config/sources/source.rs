//! Where a value comes from, and the values as their sources have them.
//!
//! Invariant: `Debug` shows no value; any of them may be a secret.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, ErrorKind};

/// Where the value of an option comes from. `Display` writes `nova.conf:12` for a line of a file,
/// `OS_DEFAULT__CONTROL_EXCHANGE` for a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// No source sets the option.
    Default,
    /// [`Config::set_default`](crate::Config::set_default).
    SetDefault,
    /// A file.
    File {
        /// The path as the caller gave it; `(text)` for text from no file.
        path: Arc<Path>,
        /// The line of the option's name, counted from 1.
        line: usize,
    },
    /// The environment variable of this name.
    Environment(String),
    /// [`Config::set`](crate::Config::set).
    Set,
    /// The query of `[DEFAULT] transport_url`.
    Url,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::SetDefault => f.write_str("the program's default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Set => f.write_str("set by the program"),
            Self::Url => f.write_str("query of transport_url"),
        }
    }
}

/// The value of an option as a source has it.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) rank: Rank,
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) source: Source,
}

/// The precedence of a source; a greater one overrides a lesser one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    SetDefault,
    /// Files in the order in which the caller adds them.
    File(usize),
    Environment,
    Set,
}

impl Rank {
    /// Whether values of a multi-valued option add up: they do over all files.
    pub(crate) fn adds_to(self, before: Self) -> bool {
        matches!((before, self), (Self::File(_), Self::File(_)))
    }
}

/// Largest file, in bytes; the files of large services have a tenth of it.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Reads a file; the error names the path.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    use std::io::Read;

    let reason = |why: &dyn fmt::Display| format!("cannot read {}: {why}", path.display());
    let file = std::fs::File::open(path).map_err(|error| reason(&error))?;
    let mut bytes = Vec::new();
    let mut limited = file.take(FILE_BYTES_MAX + 1);
    limited.read_to_end(&mut bytes).map_err(|error| reason(&error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(reason(&format_args!("larger than {FILE_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| reason(&"not UTF-8"))
}

/// The path of text that comes from no file.
pub(crate) fn no_path() -> PathBuf {
    PathBuf::from("(text)")
}

/// The error for a configuration that cannot be used.
pub(crate) fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOptions, text)
}

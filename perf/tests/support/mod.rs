//! What the tests of the program share: how it is started, what it prints, the file it leaves.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// The program, without arguments.
pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_leveret-perf"))
}

/// Runs it with these arguments until it ends.
pub(crate) fn run<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Output {
    program().args(arguments).output().expect("the program was built for this test")
}

/// Starts it with these arguments; its output is kept for [`Child::wait_with_output`].
pub(crate) fn start(command: &mut Command) -> Child {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the program was built for this test")
}

/// Both its outputs.
pub(crate) fn texts(output: &Output) -> String {
    format!("{}\n{}", text(&output.stdout), text(&output.stderr))
}

pub(crate) fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// Fails unless the program has succeeded.
pub(crate) fn succeeded(output: Output) -> Output {
    assert!(output.status.success(), "{}", texts(&output));
    output
}

/// Fails unless the program has ended with status 1 and one line that says why.
pub(crate) fn is_refused_in_one_line(output: &Output) -> String {
    let line = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert!(line.starts_with("leveret-perf: ") && line.lines().count() == 1, "{line}");
    line
}

/// A file for a report; dropping this deletes it.
pub(crate) struct Report(PathBuf);

impl Report {
    /// A file of this name, apart from those of other test processes.
    pub(crate) fn new(name: &str) -> Self {
        let file = format!("leveret-perf-{}-{name}.json", std::process::id());
        Self(std::env::temp_dir().join(file))
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().expect("a path in UTF-8")
    }

    pub(crate) fn read(&self) -> Value {
        let text = std::fs::read_to_string(&self.0).expect("the report was written");
        serde_json::from_str(&text).expect("the report is JSON")
    }

    pub(crate) fn overwrite(&self, value: &Value) {
        std::fs::write(&self.0, value.to_string()).expect("the folder is writable");
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The Python that peers run on.
pub(crate) fn python() -> PathBuf {
    if let Some(named) = std::env::var_os("LEVERET_PEERS_PYTHON") {
        return named.into();
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(target).join("peers-venv/bin/python")
}

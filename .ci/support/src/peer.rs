//! Processes beside the test, one line of JSON at a time: Python that speaks oslo.messaging, or
//! the test binary once more.
//!
//! The scripts lie in `.ci/support/peers`; they run on today's oslo.messaging, or on the one that
//! had the `pika` driver. Each peer prints `ready` when it is, and ends when its
//! standard input does, so that it never outlives us. Invariant: a `Peer` that was returned has
//! said `ready`. Not here: JSON; tests bring their own.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tempfile::NamedTempFile;

/// Where the scripts lie in the repository.
const SCRIPTS: &str = ".ci/support/peers";

/// Runs another script on the `pika` driver, which it first makes fit for today's Python.
const PIKA_SHIMS: &str = "pika_shims.py";

/// Importing oslo.messaging takes seconds of CPU on a machine busy with other tests.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// Default patience of [`Peer::ask`]; above any timeout a test gives the peer itself.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// A running peer. Killed when dropped; its tracebacks are shown if the test failed.
#[derive(Debug)]
pub struct Peer {
    name: String,
    process: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: NamedTempFile,
}

impl Peer {
    /// Runs a script of `.ci/support/peers` and waits until it says `ready`.
    ///
    /// # Panics
    /// When the Python environment is missing (saying how to get it) or the script fails.
    pub fn spawn(script: &str, arguments: &[&str]) -> Self {
        Self::spawn_on(&python("LEVERET_PEERS_PYTHON", "peers-venv"), &[script], arguments)
    }

    /// Like [`spawn`](Self::spawn), on oslo.messaging's former `pika` driver: URLs begin with
    /// `pika://`, options are those of that driver. With `--eventlet` the process is patched as
    /// services of its time were; without it, a server that loses its connection stays deaf.
    ///
    /// # Panics
    /// As [`spawn`](Self::spawn).
    pub fn spawn_pika(script: &str, arguments: &[&str]) -> Self {
        let python = python("LEVERET_PIKA_PYTHON", "pika-venv");
        Self::spawn_on(&python, &[PIKA_SHIMS, script], arguments)
    }

    /// The first script runs the next one, if there are two.
    fn spawn_on(python: &Path, scripts: &[&str], arguments: &[&str]) -> Self {
        let folder = root().join(SCRIPTS);
        let script = scripts.last().expect("a peer is a script");
        let mut python = Command::new(python);
        python
            .arg("-u")
            .args(scripts.iter().map(|script| folder.join(script)))
            .args(arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONWARNINGS", "ignore");
        let peer = Self::launch(script, python);
        let first = peer.read_within(READY_WITHIN);
        assert_eq!(first, "ready", "{script} must say so first\n{}", peer.errors());
        peer
    }

    /// Runs one test of the running test binary in a process of its own and waits until it says
    /// `ready`. The test is named as libtest does, `module::test`; from the environment it learns
    /// that it is to be a peer, and as what. What libtest prints before is passed over; lines of
    /// the peer itself must be written to `std::io::stdout()`, which nobody captures.
    ///
    /// # Panics
    /// When there is no such test or it fails.
    pub fn spawn_test(test: &str, environment: &[(&str, &str)]) -> Self {
        let binary = std::env::current_exe().expect("a test runs from a file");
        let mut again = Command::new(binary);
        again.args([test, "--exact", "--quiet", "--nocapture", "--test-threads=1"]);
        again.envs(environment.iter().copied());
        let peer = Self::launch(test, again);
        while peer.read_within(READY_WITHIN) != "ready" {}
        peer
    }

    fn launch(name: &str, mut command: Command) -> Self {
        let errors = NamedTempFile::new().expect("the temporary folder is writable");
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors.reopen().expect("a file just made can be opened"))
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
        let stdin = process.stdin.take();
        let stdout = process.stdout.take().expect("stdout is piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || forward(stdout, &sender));
        Self { name: name.to_owned(), process, stdin, lines, errors }
    }

    /// Sends one line and returns the next line the peer prints.
    ///
    /// # Panics
    /// When the peer has ended or says nothing for a minute.
    pub fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.read_within(ANSWER_WITHIN)
    }

    /// Sends one line; the answers are read with [`read`](Self::read), in order.
    pub fn send(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("the peer was not told to end");
        let sent = stdin.write_all(format!("{line}\n").as_bytes());
        if let Err(error) = sent {
            panic!("{} has ended ({error})\n{}", self.name, self.errors());
        }
    }

    /// The next line the peer prints, waiting at most a minute.
    pub fn read(&self) -> String {
        self.read_within(ANSWER_WITHIN)
    }

    /// The next line the peer prints.
    ///
    /// # Panics
    /// When none comes within `timeout`.
    pub fn read_within(&self, timeout: Duration) -> String {
        match self.lines.recv_timeout(timeout) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                panic!("{} said nothing for {timeout:?}\n{}", self.name, self.errors())
            }
            Err(RecvTimeoutError::Disconnected) => {
                panic!("{} has ended\n{}", self.name, self.errors())
            }
        }
    }

    /// Whether the process still runs.
    pub fn is_running(&self) -> bool {
        let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw);
        pid.is_some_and(crate::node::is_alive)
    }

    /// Process id, for those who count what a peer consumes.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Kills the process (signal 9): a server that dies in the middle of its work.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Closes the peer's input: it finishes, and may print last lines.
    pub fn close_input(&mut self) {
        drop(self.stdin.take());
    }

    /// Ends the peer the orderly way, by closing its input, and waits for it.
    pub fn stop(mut self) {
        drop(self.stdin.take());
        let _ = self.process.wait();
    }

    /// The end of what the peer wrote to its standard error: tracebacks, log lines.
    pub fn errors(&self) -> String {
        format!("---- {} stderr ----\n{}", self.name, crate::tail(self.errors.path(), 60))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.kill();
        let written = fs::metadata(self.errors.path()).is_ok_and(|file| file.len() > 0);
        if std::thread::panicking() && written {
            eprintln!("{}", self.errors());
        }
    }
}

fn forward(stdout: ChildStdout, lines: &Sender<String>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        if lines.send(line).is_err() {
            return;
        }
    }
}

/// What the variable names, or the environment that `.ci/test` makes in cargo's target folder.
fn python(variable: &str, folder: &str) -> PathBuf {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let path = named.unwrap_or_else(|| target().join(folder).join("bin/python"));
    assert!(
        path.exists(),
        "the Python peers are missing ({} does not exist): run `.ci/test`, which installs \
         oslo.messaging there, or set {variable}",
        path.display()
    );
    path
}

fn target() -> PathBuf {
    let folder = std::env::var_os("CARGO_TARGET_DIR");
    root().join(folder.unwrap_or_else(|| "target".into()))
}

/// The repository, as cargo names it to the running test: a binary may have been built in
/// another place. Outside of cargo, the place where it was built.
fn root() -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf();
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map_or(built, PathBuf::from);
    let root = package.ancestors().find(|folder| folder.join(SCRIPTS).is_dir());
    root.expect("the repository holds its peers").to_path_buf()
}

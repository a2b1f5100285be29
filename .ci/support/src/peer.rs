//! Peer processes that tests drive with one line of JSON at a time: Python scripts on
//! oslo.messaging, or a second copy of the test binary.
//!
//! The scripts are in `.ci/support/peers`. They run on the current oslo.messaging, or on the
//! release that had the `pika` driver. Each peer prints `ready` once it serves, and exits when its
//! standard input ends, so it never outlives the test. Invariant: a `Peer` that a constructor
//! returned has printed `ready`. Not here: JSON; each test parses its own.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

/// The folder of the scripts in the repository.
const SCRIPTS: &str = ".ci/support/peers";

/// The script that adapts the `pika` driver to current Python and then runs another script.
const PIKA_SHIMS: &str = "pika_shims.py";

/// Importing oslo.messaging takes seconds of CPU on a machine busy with other tests.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// Timeout of [`Peer::ask`] and of [`Peer::stop`]; longer than any timeout a test gives the peer.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// A running peer. Dropping it kills the process; if the test failed, its standard error is
/// printed.
#[derive(Debug)]
pub struct Peer {
    name: String,
    process: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: NamedTempFile,
}

impl Peer {
    /// Runs a script of `.ci/support/peers` and waits until it prints `ready`.
    ///
    /// # Panics
    /// When the Python environment is missing (saying how to get it) or the script fails.
    pub fn spawn(script: &str, arguments: &[&str]) -> Self {
        Self::spawn_on(&python("LEVERET_PEERS_PYTHON", "peers-venv"), &[script], arguments)
    }

    /// Like [`spawn`](Self::spawn), on oslo.messaging's former `pika` driver: URLs begin with
    /// `pika://`, and options are those of that driver. With `--eventlet` the process is
    /// monkey-patched, as services of that time were; without it, a server that loses its
    /// connection does not consume again.
    ///
    /// # Panics
    /// As [`spawn`](Self::spawn).
    pub fn spawn_pika(script: &str, arguments: &[&str]) -> Self {
        let python = python("LEVERET_PIKA_PYTHON", "pika-venv");
        Self::spawn_on(&python, &[PIKA_SHIMS, script], arguments)
    }

    /// Runs the first script; if there are two, the first runs the second.
    fn spawn_on(python: &Path, scripts: &[&str], arguments: &[&str]) -> Self {
        let folder = root().join(SCRIPTS);
        let script = scripts.last().expect("a peer has a script");
        let mut python = Command::new(python);
        python
            .arg("-u")
            .args(scripts.iter().map(|script| folder.join(script)))
            .args(arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONWARNINGS", "ignore");
        let peer = Self::launch(script, python);
        let first = peer.read_within(READY_WITHIN);
        assert_eq!(first, "ready", "{script} prints it first\n{}", peer.errors());
        peer
    }

    /// Runs one test of this test binary in a new process and waits until it prints `ready`. `test`
    /// is the name libtest uses, `module::test`; the environment tells that test to act as a peer,
    /// and in which role. Lines that libtest prints before `ready` are skipped. The peer must write
    /// its lines to `std::io::stdout()`, which libtest does not capture.
    ///
    /// # Panics
    /// When there is no such test or it fails.
    pub fn spawn_test(test: &str, environment: &[(&str, &str)]) -> Self {
        let binary = std::env::current_exe().expect("a test runs from a file");
        let mut copy = Command::new(binary);
        copy.args([test, "--exact", "--quiet", "--nocapture", "--test-threads=1"]);
        copy.envs(environment.iter().copied());
        let peer = Self::launch(test, copy);
        while peer.read_within(READY_WITHIN) != "ready" {}
        peer
    }

    fn launch(name: &str, mut command: Command) -> Self {
        let errors = NamedTempFile::new().expect("the temporary folder is writable");
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors.reopen().expect("a new file can be opened"))
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
    /// When the peer has exited or prints nothing for a minute.
    pub fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.read_within(ANSWER_WITHIN)
    }

    /// Sends one line; [`read`](Self::read) returns the answers in order.
    pub fn send(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("the peer's input is open");
        let sent = stdin.write_all(format!("{line}\n").as_bytes());
        if let Err(error) = sent {
            panic!("{} has ended ({error})\n{}", self.name, self.errors());
        }
    }

    /// Returns the next line the peer prints; waits at most a minute.
    pub fn read(&self) -> String {
        self.read_within(ANSWER_WITHIN)
    }

    /// Returns the next line the peer prints.
    ///
    /// # Panics
    /// When the peer prints no line within `timeout`.
    pub fn read_within(&self, timeout: Duration) -> String {
        match self.lines.recv_timeout(timeout) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                panic!("{} printed nothing for {timeout:?}\n{}", self.name, self.errors())
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

    /// Returns the process id, for tests that measure what a peer consumes.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Kills the process (signal 9), as if a server crashed in the middle of its work.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Closes the peer's standard input: the peer finishes, and may print last lines.
    pub fn close_input(&mut self) {
        drop(self.stdin.take());
    }

    /// Stops the peer by closing its standard input, and waits for its exit.
    ///
    /// # Panics
    /// When the peer has not exited after a minute.
    pub fn stop(mut self) {
        self.close_input();
        let until = Instant::now() + ANSWER_WITHIN;
        while matches!(self.process.try_wait(), Ok(None)) {
            if Instant::now() >= until {
                panic!("{} does not exit after {ANSWER_WITHIN:?}\n{}", self.name, self.errors());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns the last lines of the peer's standard error: tracebacks, log lines.
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

/// Returns the Python that the variable names, or the one in the environment that `.ci/test`
/// creates in cargo's target folder.
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

/// Returns the repository, from the path cargo gives the running test: the binary may have been
/// built in another folder. Without cargo, the repository where the binary was built.
fn root() -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf();
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map_or(built, PathBuf::from);
    let root = package.ancestors().find(|folder| folder.join(SCRIPTS).is_dir());
    root.expect("the repository has its peers").to_path_buf()
}

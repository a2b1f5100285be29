//! A child process that reads and prints lines of JSON: this program in a hidden mode, or Python
//! with oslo.messaging.
//!
//! The first line to it is its setup, with the broker's URL: other users cannot read the password
//! on standard input. Invariant: such a process ends when its input does, so it never outlives this
//! one. Not here: the meaning of the lines.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::system::lock::lock;

/// Longest start: importing oslo.messaging takes seconds of CPU on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// Longest time to finish its work and stop.
const ENDED_WITHIN: Duration = Duration::from_secs(60);

/// The line that it prints when it works.
pub(crate) const READY: &str = "ready";
/// What the Python scripts share.
const OSLO: &str = include_str!("oslo.py");

/// A running process. Dropping it kills it.
pub(crate) struct ChildProcess {
    child: Child,
    stdin: Mutex<Option<ChildStdin>>,
    ended: Option<oneshot::Receiver<()>>,
}

/// A command that runs this Python script, which is part of this program.
pub(crate) fn python(python: &Path, script: &str) -> Command {
    let mut command = Command::new(python);
    command
        .args(["-u", "-c", &format!("{OSLO}{script}")])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONWARNINGS", "ignore");
    command
}

impl ChildProcess {
    /// Starts a process with this setup and waits until it is ready. A thread passes each further
    /// line of its output to `on_line`.
    pub(crate) async fn start(
        mut command: Command,
        what: &Value,
        on_line: impl FnMut(&Value) + Send + 'static,
    ) -> Result<Self> {
        let program = command.get_program().to_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        let stdin = Mutex::new(child.stdin.take());
        let stdout = child.stdout.take().context("its output is a pipe")?;
        let (report_ready, mut ready) = mpsc::channel(1);
        let (report_end, ended) = oneshot::channel();
        let read_lines = move || read_lines(stdout, on_line, &report_ready, report_end);
        std::thread::Builder::new().name("peer-lines".to_owned()).spawn(read_lines)?;
        let peer = Self { child, stdin, ended: Some(ended) };
        peer.tell(what)?;
        let is_ready = tokio::time::timeout(READY_WITHIN, ready.recv()).await;
        match is_ready.context("a process of the fleet is not ready in time")? {
            Some(()) => Ok(peer),
            None => bail!("a process of the fleet ended before it was ready"),
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a line.
    pub(crate) fn tell(&self, what: &Value) -> Result<()> {
        let mut stdin = lock(&self.stdin);
        let stdin = stdin.as_mut().context("its input is closed")?;
        stdin.write_all(format!("{what}\n").as_bytes()).context("a process of the fleet has ended")
    }

    /// Tells the process to end, and waits for the end of its output.
    pub(crate) async fn end(self) -> Result<()> {
        self.end_within(ENDED_WITHIN).await
    }

    /// [`end`](Self::end) with a time limit of its own.
    pub(crate) async fn end_within(mut self, within: Duration) -> Result<()> {
        drop(lock(&self.stdin).take());
        let ended = self.ended.take().context("it ends once")?;
        let said_all = tokio::time::timeout(within, ended).await;
        said_all
            .context("a process of the fleet does not end")?
            .context("its reader does not panic")?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("a process of the fleet failed: {status}");
        }
        Ok(())
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // Killing fails for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the output of the process until it ends.
fn read_lines(
    stdout: ChildStdout,
    mut on_line: impl FnMut(&Value),
    ready: &mpsc::Sender<()>,
    ended: oneshot::Sender<()>,
) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        match serde_json::from_str::<Value>(&line) {
            Ok(Value::String(word)) if word == READY => drop(ready.try_send(())),
            Ok(value) => on_line(&value),
            // A library of the process has printed something.
            Err(_) => {}
        }
    }
    let _ = ended.send(());
}

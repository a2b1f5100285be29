//! A process beside this one that speaks in lines of JSON: this same program in a hidden mode, or
//! Python with oslo.messaging.
//!
//! Its first line says what it is to be, and holds the broker's URL: on standard input nobody else
//! reads the password. Invariant: such a process ends when its input does, so it never outlives
//! us. Not here: what it is asked and what its lines mean.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

/// Importing oslo.messaging takes seconds of CPU on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// How long it may take to stop, with what it still has to do.
const ENDED_WITHIN: Duration = Duration::from_secs(60);

/// What it says once it works.
pub(crate) const READY: &str = "ready";
/// What the scripts that run on oslo.messaging share.
const OSLO: &str = include_str!("oslo.py");

/// A running process. Dropping it kills it.
pub(crate) struct ChildProcess {
    child: Child,
    stdin: Mutex<Option<ChildStdin>>,
    ended: Option<oneshot::Receiver<()>>,
}

/// A Python that runs this script on oslo.messaging; the script is part of our program.
pub(crate) fn python(python: &Path, script: &str) -> Command {
    let mut command = Command::new(python);
    command
        .args(["-u", "-c", &format!("{OSLO}{script}")])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONWARNINGS", "ignore");
    command
}

impl ChildProcess {
    /// Starts a process that is to be `what`, and waits until it is ready; `hear` is given each
    /// line that it prints from then on, by a thread.
    pub(crate) async fn start(
        mut command: Command,
        what: &Value,
        hear: impl FnMut(&Value) + Send + 'static,
    ) -> Result<Self> {
        let program = command.get_program().to_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        let stdin = Mutex::new(child.stdin.take());
        let stdout = child.stdout.take().context("its output is a pipe")?;
        let (say_ready, mut ready) = mpsc::channel(1);
        let (say_ended, ended) = oneshot::channel();
        let listen = move || listen(stdout, hear, &say_ready, say_ended);
        std::thread::Builder::new().name("peer-lines".to_owned()).spawn(listen)?;
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
        let mut stdin = self.stdin.lock().unwrap_or_else(PoisonError::into_inner);
        let stdin = stdin.as_mut().context("it was told to end")?;
        stdin.write_all(format!("{what}\n").as_bytes()).context("a process of the fleet has ended")
    }

    /// Tells it to end, and waits until it has said all it had to say.
    pub(crate) async fn end(self) -> Result<()> {
        self.end_within(ENDED_WITHIN).await
    }

    /// [`end`](Self::end) for one that may take as long.
    pub(crate) async fn end_within(mut self, within: Duration) -> Result<()> {
        drop(self.stdin.lock().unwrap_or_else(PoisonError::into_inner).take());
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
        // Nothing happens to one that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads until the process ends.
fn listen(
    stdout: ChildStdout,
    mut hear: impl FnMut(&Value),
    ready: &mpsc::Sender<()>,
    ended: oneshot::Sender<()>,
) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        match serde_json::from_str::<Value>(&line) {
            Ok(Value::String(word)) if word == READY => drop(ready.try_send(())),
            Ok(said) => hear(&said),
            // Some library of it prints.
            Err(_) => {}
        }
    }
    let _ = ended.send(());
}

//! A process that runs oslo.messaging itself, line by line of JSON.
//!
//! The script is part of this program, and the broker's URL goes to it through its standard input,
//! where nobody else reads the password. Invariant: a process ends when its input does, so it never
//! outlives us. Not here: what it is asked and what its lines mean (`server`, `client`).

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

const SCRIPT: &str = include_str!("peer.py");
const READY: &str = "ready";

/// A running process. Dropping it kills it.
pub(super) struct Peer {
    child: Child,
    stdin: Mutex<Option<ChildStdin>>,
    ended: Option<oneshot::Receiver<()>>,
}

impl Peer {
    /// Starts a process that is to be `what`, and waits until it is ready; `hear` is given each
    /// line that it prints from then on, by a thread.
    pub(super) async fn start(
        python: &Path,
        what: &Value,
        hear: impl FnMut(&Value) + Send + 'static,
    ) -> Result<Self> {
        let mut child = Command::new(python)
            .args(["-u", "-c", SCRIPT])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONWARNINGS", "ignore")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} does not start", python.display()))?;
        let stdin = Mutex::new(child.stdin.take());
        let stdout = child.stdout.take().context("its output is a pipe")?;
        let (say_ready, mut ready) = mpsc::channel(1);
        let (say_ended, ended) = oneshot::channel();
        let listen = move || listen(stdout, hear, &say_ready, say_ended);
        std::thread::Builder::new().name("rolling-python".to_owned()).spawn(listen)?;
        let peer = Self { child, stdin, ended: Some(ended) };
        peer.tell(what)?;
        let is_ready = tokio::time::timeout(READY_WITHIN, ready.recv()).await;
        match is_ready.context("a Python process is not ready in time")? {
            Some(()) => Ok(peer),
            None => bail!("a Python process ended before it was ready"),
        }
    }

    /// Sends it a line.
    pub(super) fn tell(&self, what: &Value) -> Result<()> {
        let mut stdin = self.stdin.lock().unwrap_or_else(PoisonError::into_inner);
        let stdin = stdin.as_mut().context("it was told to end")?;
        stdin.write_all(format!("{what}\n").as_bytes()).context("a Python process has ended")
    }

    /// Tells it to end, and waits until it has said all it had to say.
    pub(super) async fn end(mut self) -> Result<()> {
        drop(self.stdin.lock().unwrap_or_else(PoisonError::into_inner).take());
        let ended = self.ended.take().context("it ends once")?;
        let said_all = tokio::time::timeout(ENDED_WITHIN, ended).await;
        said_all.context("a Python process does not end")?.context("its reader does not panic")?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("a Python process failed: {status}");
        }
        Ok(())
    }
}

impl Drop for Peer {
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

//! A measured process as the suite sees it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use crate::measure::protocol::{Command, READY, Report, Setup};
use crate::subject::job::Subject;

/// Longest start: importing oslo.messaging takes seconds of CPU, many times that for a fleet.
const READY_WITHIN: Duration = Duration::from_secs(180);

/// A line of a process.
pub(super) enum Line {
    Ready,
    Report(Report),
    /// Its output has ended.
    End,
}

/// A running process; dropping it ends it.
pub(super) struct Member {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<Line>,
}

impl Member {
    /// Starts a process of a subject. [`await_ready`](Self::await_ready) tells when it works. Only
    /// one process of many logs warnings, because all log the same.
    pub(super) fn start(subject: &dyn Subject, setup: &Setup, warns: bool) -> Result<Self> {
        let mut program = subject.program()?;
        if !warns {
            program.env("RUST_LOG", "error");
        }
        let mut child = program
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("a process of {} does not start", subject.name()))?;
        let stdin = child.stdin.take().context("its input is a pipe")?;
        let stdout = child.stdout.take().context("its output is a pipe")?;
        let (say, lines) = channel();
        let read = move || read_lines(stdout, &say);
        std::thread::Builder::new().name("member-lines".to_owned()).spawn(read)?;
        let mut member = Self { child, stdin, lines };
        member.tell(setup)?;
        Ok(member)
    }

    /// Waits until the process works.
    pub(super) fn await_ready(&self) -> Result<()> {
        loop {
            match self.next(READY_WITHIN)? {
                Line::Ready => return Ok(()),
                Line::Report(Report::Failed(reason)) => bail!(reason),
                Line::Report(_) => {}
                Line::End => bail!("its process ended before it was ready"),
            }
        }
    }

    pub(super) fn command(&mut self, command: &Command) -> Result<()> {
        self.tell(command)
    }

    /// The next line it prints.
    pub(super) fn next(&self, within: Duration) -> Result<Line> {
        match self.lines.recv_timeout(within) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => {
                Err(anyhow!("its process says nothing for {within:?}"))
            }
            Err(RecvTimeoutError::Disconnected) => Ok(Line::End),
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn tell(&mut self, what: &impl serde::Serialize) -> Result<()> {
        let line = serde_json::to_string(what)?;
        let told = writeln!(self.stdin, "{line}").and_then(|()| self.stdin.flush());
        told.context("its process has ended")
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // The process also ends when its input does; killing it is faster, and fails for one that
        // has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines(stdout: ChildStdout, say: &Sender<Line>) {
    for text in BufReader::new(stdout).lines().map_while(Result::ok) {
        let line = match serde_json::from_str::<Value>(&text) {
            Ok(Value::String(word)) if word == READY => Line::Ready,
            Ok(value) => match serde_json::from_value(value) {
                Ok(report) => Line::Report(report),
                Err(_) => continue,
            },
            // A library of the process has printed something.
            Err(_) => continue,
        };
        if say.send(line).is_err() {
            return;
        }
    }
    let _ = say.send(Line::End);
}

//! Servers of call and fanout workloads, each in a process of its own, so that a run's CPU time,
//! allocations and system calls are the client's alone.
//!
//! The child is this program in a hidden mode. It reads the URL from standard input, as other users
//! could read the password in its arguments. It prints `ready` on standard output, and ends when
//! its standard input is closed, so it never outlives the suite.
#![expect(clippy::print_stdout, reason = "the parent waits for one line on standard output")]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::broker_address::BrokerAddress;
use crate::cli::suite::AnswerCallsArgs;
use crate::placement::ServerOptions;
use crate::subject::job::Subject;

/// Longest start of a server.
const BROKER_TIMEOUT: Duration = Duration::from_secs(20);
const READY: &str = "ready";

/// A running server; dropping it ends it.
pub(crate) struct ServerProcess {
    child: Child,
}

impl ServerProcess {
    /// Starts the `n`-th server of `subject` for `queue` and waits until it is ready.
    pub(crate) fn start(
        subject: &str,
        server_options: ServerOptions,
        queue: &str,
        n: usize,
        address: &BrokerAddress,
    ) -> Result<Self> {
        let program = std::env::current_exe().context("this program has no path")?;
        let child = Command::new(program)
            .args(["--backend", &server_options.backend.to_string()])
            .args(["--executor", &server_options.executor.to_string()])
            .args(["--busy-poll", &server_options.busy_poll.to_string(), "answer-calls"])
            .args(["--subject", subject, "--queue", queue, "--number", &n.to_string()])
            // The parent has logged the same warnings already.
            .env("RUST_LOG", "error")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("a server process does not start")?;
        let mut server = Self { child };
        let stdin = server.child.stdin.as_mut().context("its input is a pipe")?;
        writeln!(stdin, "{}", address.url())?;
        stdin.flush()?;
        let stdout = server.child.stdout.take().context("its output is a pipe")?;
        let (report, line) = mpsc::channel();
        std::thread::Builder::new().name("loopback-ready".to_owned()).spawn(move || {
            let mut line = String::new();
            let read = BufReader::new(stdout).read_line(&mut line);
            let _ = report.send(read.map(|_| line));
        })?;
        let line =
            line.recv_timeout(BROKER_TIMEOUT).context("a server process is not ready in time")?;
        if line?.trim() != READY {
            bail!("the {subject} server process ended before it was ready");
        }
        Ok(server)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // The server also ends when its input is closed; killing it is faster.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The child's side.
pub(crate) fn answer_calls(args: &AnswerCallsArgs, subject: &dyn Subject) -> Result<()> {
    let mut url = String::new();
    let mut stdin = std::io::stdin();
    std::io::stdin().lock().read_line(&mut url)?;
    let address = BrokerAddress::parse(url.trim())?;
    std::thread::spawn(move || {
        let mut rest = [0; 64];
        while matches!(stdin.read(&mut rest), Ok(1..)) {}
        std::process::exit(0);
    });
    let ready = || {
        println!("{READY}");
        let _ = std::io::stdout().flush();
    };
    subject.serve(&address, &args.queue, args.number, Box::new(ready))
}

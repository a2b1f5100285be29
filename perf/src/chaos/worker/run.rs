//! The life of a worker process.
//!
//! Its first line says whether it is a client (`client`) or a server (`server`). It prints `ready`,
//! works until its standard input ends, finishes its requests, and ends.

use std::io::{BufRead as _, Read as _};

use anyhow::{Context as _, Result};
use leveret::engine::EngineConfig;
use tokio::sync::oneshot;

use crate::chaos::protocol::{Reporter, Role, Setup};
use crate::chaos::worker::environment::Environment;
use crate::chaos::worker::{client, server};

/// Runs the role of its first line until its input ends.
pub(crate) fn run(engine: EngineConfig) -> Result<()> {
    let mut first = String::new();
    std::io::stdin().lock().read_line(&mut first)?;
    let setup: Setup = serde_json::from_str(&first).context("the first line is a setup")?;
    let role = setup.role;
    let environment = Environment { setup, reporter: Reporter::start()?, engine };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_time().build()?;
    let (stop, stopped) = oneshot::channel();
    std::thread::spawn(move || {
        let mut rest = [0; 64];
        let mut stdin = std::io::stdin();
        while matches!(stdin.read(&mut rest), Ok(1..)) {}
        let _ = stop.send(());
    });
    let worked = match role {
        Role::Client => runtime.block_on(client::work(&environment, stopped)),
        Role::Server => runtime.block_on(server::work(&environment, stopped)),
    };
    environment.reporter.flush();
    worked?;
    // This ends threads that still run.
    std::process::exit(0);
}

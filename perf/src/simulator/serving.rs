//! What all servers of the simulator have in common: they last until their end and report.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::collector::Collector;
use super::monitor::Monitor;
use super::summary;
use crate::cli::command_line::Cli;
use crate::system::{clock, sys};

/// How often the end is looked for.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Lasts until a signal, the time limit, or until `is_done`; then stops and reports what
/// `collector` noted.
pub(super) fn last(
    cli: &Cli,
    collector: &Arc<Collector>,
    is_done: impl Fn() -> bool,
    stop: impl FnOnce() -> Result<(), leveret::Error>,
) -> Result<()> {
    let monitor = Monitor::start(vec![Arc::clone(collector)])?;
    let start = clock::now();
    let limit = cli.simulator.limit_seconds;
    let limit = limit.and_then(|limit| Duration::try_from_secs_f64(limit).ok());
    while !sys::asked_to_stop() && limit.is_none_or(|limit| start.elapsed() < limit) && !is_done() {
        std::thread::sleep(POLL_INTERVAL);
    }
    // A broker that is gone cannot agree to our leaving; what was counted is reported all the same.
    let stopped = stop();
    monitor.stop();
    if let Err(error) = stopped {
        summary::print_error("the server did not take its leave", &error);
    }
    let summary = summary::sum_up(&collector.series());
    summary::print_summary("server", &summary);
    if let Some(path) = &cli.json {
        let value = serde_json::to_value(summary).context("figures are plain data")?;
        summary::write_json(path, &[collector], &value)?;
    }
    Ok(())
}

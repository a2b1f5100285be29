//! What the servers of the simulator share: they run until their end and report.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::collector::Collector;
use super::monitor::Monitor;
use super::summary;
use crate::cli::command_line::Cli;
use crate::system::{clock, sys};

/// Interval between two checks for the end.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Runs until a signal, the time limit or `is_done`; then stops and reports the counts of
/// `collector`.
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
    // Stopping fails without a broker; the counts are reported all the same.
    let stopped = stop();
    monitor.stop();
    if let Err(error) = stopped {
        summary::print_error("the server did not stop cleanly", &error);
    }
    let summary = summary::sum_up(&collector.series());
    summary::print_summary("server", &summary);
    if let Some(path) = &cli.json {
        let value = serde_json::to_value(summary).context("figures are plain data")?;
        summary::write_json(path, &[collector], &value)?;
    }
    Ok(())
}

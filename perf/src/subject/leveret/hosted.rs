//! The driver, or the engine alone, on a thread that is a shard: all operations of a process are
//! tasks there. Where other subjects have several client threads, these have as many operations in
//! flight.

use std::future::pending;
use std::sync::{Arc, OnceLock, mpsc};

use anyhow::{Context as _, Result};
use leveret::{Context, RpcClient};
use leveret_engine::{BackendKind, Engine, EngineConfig, Shard};

use super::driver::{Arguments, METHOD, Work, check_closed, connect, keep_in_flight, start_server};
use super::engine;
use crate::load::workers::{Probe, Workers};
use crate::placement::ExecutorName;
use crate::subject::job::{Job, PlainWork};
use crate::workload::workload::{Operation, Workload};

/// Casts between two times that the shard reads and writes.
const BURST: u64 = 512;

/// Whether a shard's thread can do this.
pub(super) fn measures(workload: &Workload) -> bool {
    let is_plain = workload.transports == 1 && workload.load.is_none();
    let is_known = !matches!(
        workload.operation,
        Operation::CallUnroutable
            | Operation::CastUnroutable
            | Operation::FirstCall
            | Operation::Idle
    );
    is_plain && is_known
}

/// Starts the shard, and returns when it is connected. It tells `backend` what drives its sockets.
pub(super) fn start(
    config: EngineConfig,
    query: &str,
    job: &Job,
    backend: &Arc<OnceLock<BackendKind>>,
    workers: &mut Workers,
) -> Result<()> {
    let (ready, is_ready) = mpsc::channel();
    let (query, job, backend) = (query.to_owned(), job.clone(), Arc::clone(backend));
    // Sending succeeds: `start` waits for it.
    let is_connected = move || _ = ready.send(());
    workers.spawn("leveret-client", move |probe| {
        Shard::run(config, async |engine: Engine| {
            // A later run of this process has the same.
            let _ = backend.set(engine.backend());
            match job.workload.through_driver() {
                true => perform(&engine, &query, &job, probe, is_connected).await,
                false => perform_plain(&engine, &job, probe, is_connected).await,
            }
        })?
    })?;
    // A client that fails says why when the run is watched.
    is_ready.recv().ok();
    Ok(())
}

/// Works with the driver until the run is over.
async fn perform(
    engine: &Engine,
    query: &str,
    job: &Job,
    probe: &mut Probe,
    is_connected: impl FnOnce(),
) -> Result<()> {
    let transport = connect(engine, query, job).await?;
    is_connected();
    let work = Work::new(std::slice::from_ref(&transport), 0, job)?;
    let done = match job.workload.operation {
        Operation::Cast => buffered(work.clients.next(), &work.arguments(), probe).await,
        operation => {
            let once = async || work.once(operation).await;
            keep_in_flight(job.workload.outstanding.unwrap_or(1), probe, once).await;
            Ok(())
        }
    };
    transport.close().await?;
    done.and(check_closed(&transport, probe))
}

/// Sends casts that are done when the outbox has accepted them.
async fn buffered(client: &RpcClient, arguments: &Arguments<'_>, probe: &mut Probe) -> Result<()> {
    let context = Context::new();
    while probe.running() {
        for _ in 0..BURST {
            client.cast_buffered(&context, METHOD, arguments).await?;
        }
        probe.done(BURST);
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Works with the engine alone until the run is over.
async fn perform_plain(
    engine: &Engine,
    job: &Job,
    probe: &mut Probe,
    is_connected: impl FnOnce(),
) -> Result<()> {
    let work = PlainWork::nearest_to(job.workload.operation).context("not for the engine")?;
    let (connection, channel) = engine::connect(engine, job, work).await?;
    is_connected();
    engine::perform(work, &connection, &channel, job, probe).await
}

/// Answers requests on this thread until the process ends.
pub(super) fn serve(
    config: EngineConfig,
    query: &str,
    job: &Job,
    executor: ExecutorName,
    n: usize,
    ready: Box<dyn FnOnce()>,
) -> Result<()> {
    // The driver's default has threads; a hosted server is asked for to have none.
    let executor = match executor {
        ExecutorName::Threads => ExecutorName::Local,
        other => other,
    };
    Shard::run(config, async |engine: Engine| {
        if !job.workload.through_driver() {
            return engine::serve(&engine, job, ready).await;
        }
        let transport = connect(&engine, query, job).await?;
        let _server = start_server(&transport, executor, &job.queue, n).await?;
        ready();
        pending().await
    })?
}

//! The driver on the threads of its shards: each client is a thread that runs a shard, and its
//! operations are tasks there.

use std::future::pending;
use std::sync::mpsc;

use anyhow::{Context as _, Result, bail};
use leveret::{Context, Notifier, RpcClient, Target, Transport};
use leveret_engine::{Engine, EngineConfig, Shard};

use super::driver::{
    Arguments, Echo, InTurn, METHOD, check_closed, connect, keep_in_flight, start_server,
};
use super::engine::BROKER_TIMEOUT;
use crate::load::workers::{Probe, Workers};
use crate::placement::ExecutorName;
use crate::subject::job::Job;
use crate::workload::workload::{Operation, Workload};

/// Casts between two times that the shard reads and writes.
const BURST: u64 = 64;

/// Whether a shard's thread can do this.
pub(super) fn measures(workload: &Workload) -> bool {
    let is_plain = workload.transports == 1 && workload.load.is_none();
    let is_known = matches!(
        workload.operation,
        Operation::Call
            | Operation::Cast
            | Operation::CastConfirmed
            | Operation::Fanout
            | Operation::Notify
    );
    is_plain && is_known && workload.through_driver()
}

/// Starts the clients, and returns when all are connected.
pub(super) fn start(
    engine: &EngineConfig,
    query: &str,
    job: &Job,
    workers: &mut Workers,
) -> Result<()> {
    let (ready, is_ready) = mpsc::channel();
    for n in 0..job.workload.clients {
        let (engine, query, job) = (engine.clone(), query.to_owned(), job.clone());
        let ready = ready.clone();
        workers.spawn("leveret-client", move |probe| {
            Shard::run(engine, async |engine: Engine| {
                let transport = connect(&engine, &query, &job).await?;
                // Nobody waits for it if another client has failed.
                let _ = ready.send(());
                drop(ready);
                let done = perform(&transport, n, &job, probe).await;
                transport.close().await?;
                done.and(check_closed(&transport, probe))
            })?
        })?;
    }
    drop(ready);
    // A client that fails says why when the run is watched.
    (0..job.workload.clients).try_for_each(|_| is_ready.recv()).ok();
    Ok(())
}

/// Works until the run is over.
async fn perform(transport: &Transport, n: usize, job: &Job, probe: &mut Probe) -> Result<()> {
    let operation = job.workload.operation;
    let target = Target::new(&job.queue).with_fanout(operation == Operation::Fanout);
    let client = RpcClient::new(transport, target).with_timeout(BROKER_TIMEOUT);
    let notifier = Notifier::builder(transport).topic(&job.queue).publisher_id("perf");
    let notifier = notifier.timeout(BROKER_TIMEOUT).build();
    let texts: Result<Vec<String>, _> =
        job.bodies.iter().map(|body| String::from_utf8(body.to_vec())).collect();
    let texts = texts.context("payloads are text")?;
    let begin = n * texts.len() / job.workload.clients;
    let texts = InTurn::new(texts, begin);
    let arguments = || Arguments { message: texts.next() };
    let window = (job.workload.outstanding.unwrap_or(1) / job.workload.clients).max(1);
    let context = &Context::new();
    match operation {
        Operation::Call => {
            let call = async || {
                let answered = client.call(context, METHOD, &arguments()).await;
                answered.map(|Echo(length)| _ = std::hint::black_box(length))
            };
            keep_in_flight(window, probe, call).await;
        }
        Operation::Notify => {
            let notify = async || notifier.info((), METHOD, &arguments()).await;
            keep_in_flight(window, probe, notify).await;
        }
        Operation::CastConfirmed | Operation::Fanout => {
            let cast = async || client.cast(context, METHOD, &arguments()).await;
            keep_in_flight(window, probe, cast).await;
        }
        Operation::Cast => {
            while probe.running() {
                for _ in 0..BURST {
                    client.cast_buffered(context, METHOD, &arguments()).await?;
                }
                probe.done(BURST);
                tokio::task::yield_now().await;
            }
        }
        other => bail!("{other:?} is not measured on a shard's thread"),
    }
    Ok(())
}

/// Answers requests on this thread until the process ends.
pub(super) fn serve(
    engine: EngineConfig,
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
    Shard::run(engine, async |engine: Engine| {
        let transport = connect(&engine, query, job).await?;
        let _server = start_server(&transport, executor, &job.queue, n).await?;
        ready();
        pending().await
    })?
}

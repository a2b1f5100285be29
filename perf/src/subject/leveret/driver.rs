//! Calls, casts and notifications of the driver, as a service makes them: with typed arguments and
//! an empty context.
//!
//! A client is a plain thread that keeps as many operations in flight as the workload says. Several
//! clients share one transport. In the workloads without a server, other threads flood the
//! transport meanwhile. Each run has a topic and an exchange of its own.

use std::cell::Cell;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use leveret::{
    Context, DriverConfig, Endpoint, Failure, Notifier, RpcClient, RpcServer, Target, Transport,
};
use leveret_engine::{Engine, block_on};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};

use super::engine::BROKER_TIMEOUT;
use crate::load::pacer;
use crate::load::workers::{Probe, Workers};
use crate::placement::ExecutorName;
use crate::subject::job::{Job, oslo_exchange};
use crate::subject::leveret::variant::server;
use crate::system::clock;
use crate::workload::workload::Operation;

/// The method of every request.
pub(super) const METHOD: &str = "info";
/// Casts between two checks whether the run is over.
const BURST: u64 = 64;
/// Threads that flood the transport beside a request without a server.
const FLOODS: usize = 2;
/// Timeout of such a request: less than the time without progress that the runner allows.
const UNROUTABLE_TIMEOUT: Duration = Duration::from_secs(5);
/// The main thread of a server process sleeps this long at a time, while the server works on other
/// threads.
const PARK_TIME: Duration = Duration::from_secs(3600);

/// Arguments of a request.
#[derive(Serialize)]
pub(super) struct Arguments<'a> {
    pub(super) message: &'a str,
}

/// The arguments as the server reads them.
#[derive(Deserialize)]
struct Received {
    message: String,
}

/// The length of a reply. The text is dropped: what a user keeps of it is the user's own cost.
pub(super) struct Echo(pub(super) usize);

impl<'de> Deserialize<'de> for Echo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Length;
        impl Visitor<'_> for Length {
            type Value = Echo;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_str<E>(self, text: &str) -> Result<Echo, E> {
                Ok(Echo(text.len()))
            }
        }
        deserializer.deserialize_str(Length)
    }
}

/// Connects and starts the clients.
pub(super) fn start(engine: &Engine, query: &str, job: &Job, workers: &mut Workers) -> Result<()> {
    let transports: Result<Vec<_>> =
        (0..job.workload.transports).map(|_| transport(engine, query, job)).collect();
    let transports = Arc::new(transports?);
    for n in 0..job.workload.clients {
        start_client(Arc::clone(&transports), n, job, workers)?;
    }
    Ok(())
}

/// Starts the `n`-th client, with its share of the operations in flight. The last client to end
/// closes the transports.
fn start_client(
    transports: Arc<Vec<Transport>>,
    n: usize,
    job: &Job,
    workers: &mut Workers,
) -> Result<()> {
    let operation = job.workload.operation;
    // The target names no exchange: the dialects add to the name of the transport's own exchange
    // only.
    let target = Target::new(&job.queue).with_fanout(operation == Operation::Fanout);
    let client = |transport| RpcClient::new(transport, target.clone()).with_timeout(BROKER_TIMEOUT);
    let clients = InTurn::new(transports.iter().map(client).collect(), 0);
    let notifier = Notifier::builder(&transports[0]).topic(&job.queue).publisher_id("perf");
    let notifier = notifier.timeout(BROKER_TIMEOUT).build();
    let texts: Result<Vec<String>, _> =
        job.bodies.iter().map(|body| String::from_utf8(body.to_vec())).collect();
    // Clients begin at different places.
    let texts = texts?;
    let begin = n * texts.len() / job.workload.clients;
    let texts = InTurn::new(texts, begin);
    let pace = Pace::of(job);
    workers.spawn("leveret-client", move |probe| {
        let arguments = || Arguments { message: texts.next() };
        let context = &Context::new();
        let done = match operation {
            Operation::Cast => buffered(clients.next(), &arguments(), probe),
            Operation::Call => pace.perform(probe, async || {
                let answered = clients.next().call(context, METHOD, &arguments()).await;
                answered.map(|Echo(length)| _ = std::hint::black_box(length))
            }),
            Operation::Notify => {
                pace.perform(probe, async || notifier.info((), METHOD, &arguments()).await)
            }
            Operation::CallUnroutable | Operation::CastUnroutable => {
                beside_flood(clients.next(), operation, &arguments(), probe)
            }
            _ => pace
                .perform(probe, async || clients.next().cast(context, METHOD, &arguments()).await),
        };
        drop((clients, notifier));
        let all = Arc::into_inner(transports).unwrap_or_default();
        let closed = all.iter().try_for_each(|transport| close(transport, probe));
        done.and(closed)
    })
}

/// Things that are taken in turn.
pub(super) struct InTurn<T> {
    all: Vec<T>,
    next: Cell<usize>,
}

impl<T> InTurn<T> {
    pub(super) fn new(all: Vec<T>, begin: usize) -> Self {
        Self { all, next: Cell::new(begin) }
    }

    pub(super) fn next(&self) -> &T {
        let at = self.next.get();
        self.next.set(if at + 1 < self.all.len() { at + 1 } else { 0 });
        &self.all[at]
    }
}

/// How operations follow each other.
enum Pace {
    /// Each begins when an earlier one has ended; this many are in flight.
    Closed(usize),
    /// They begin when they are due, this many per second.
    Open(f64),
}

impl Pace {
    fn of(job: &Job) -> Self {
        let clients = job.workload.clients;
        match job.rate {
            Some(rate) => Self::Open(rate / clients as f64),
            None => Self::Closed((job.workload.outstanding.unwrap_or(1) / clients).max(1)),
        }
    }

    /// Performs operations until the run is over. A failed one is counted, and the run goes on.
    fn perform<F, E>(&self, probe: &mut Probe, operation: F) -> Result<()>
    where
        F: AsyncFn() -> Result<(), E>,
    {
        match *self {
            Self::Closed(window) => in_flight(window, probe, operation),
            Self::Open(rate) => pacer::run(rate, probe, operation),
        }
    }
}

/// Closes the transport, and counts the casts that the broker refused.
fn close(transport: &Transport, probe: &mut Probe) -> Result<()> {
    transport.close_blocking()?;
    check_closed(transport, probe)
}

/// Counts the casts that the broker refused, once the transport is closed.
pub(super) fn check_closed(transport: &Transport, probe: &mut Probe) -> Result<()> {
    let stats = transport.stats();
    probe.failed(stats.casts_refused);
    // The broker did not process what was lost with a connection.
    match stats.reconnects {
        0 => Ok(()),
        times => bail!("the connection was lost {times} times"),
    }
}

/// Sends casts that are done when the outbox has accepted them.
fn buffered(client: &RpcClient, arguments: &Arguments<'_>, probe: &mut Probe) -> Result<()> {
    let context = Context::new();
    while probe.running() {
        for _ in 0..BURST {
            client.cast_buffered_blocking(&context, METHOD, arguments)?;
        }
        probe.done(BURST);
    }
    Ok(())
}

/// Sends requests to a topic without a server, one after the other, while other threads cast to the
/// run's topic as fast as the transport accepts it. A request is done when it fails as
/// undeliverable.
fn beside_flood(
    client: &RpcClient,
    operation: Operation,
    arguments: &Arguments<'_>,
    probe: &mut Probe,
) -> Result<()> {
    let topic = format!("{}-unserved", client.target().topic().unwrap_or_default());
    let unserved = client.prepare().with_topic(topic).with_at_least_once(true);
    let unserved = unserved.with_timeout(UNROUTABLE_TIMEOUT);
    let context = Context::new();
    let is_over = AtomicBool::new(false);
    let flood = || -> Result<(), leveret::Error> {
        while !is_over.load(Relaxed) {
            for _ in 0..BURST {
                client.cast_buffered_blocking(&context, METHOD, arguments)?;
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let floods: Vec<_> = (0..FLOODS).map(|_| scope.spawn(flood)).collect();
        let done = in_flight(1, probe, async || {
            let outcome = match operation {
                Operation::CallUnroutable => {
                    unserved.call::<Echo>(&context, METHOD, arguments).await.err()
                }
                _ => unserved.cast(&context, METHOD, arguments).await.err(),
            };
            // Any other outcome, success included, counts as failed.
            outcome.filter(leveret::Error::is_undeliverable).map(drop).ok_or(())
        });
        is_over.store(true, Relaxed);
        for flood in floods {
            flood.join().map_err(|_| anyhow!("a flood panicked"))??;
        }
        done
    })
}

/// Keeps `window` operations in flight: each begins when an earlier one has ended. A failed
/// operation is counted, and the run goes on.
fn in_flight<F, E>(window: usize, probe: &mut Probe, operation: F) -> Result<()>
where
    F: AsyncFn() -> Result<(), E>,
{
    let mut all = pin!(keep_in_flight(window, probe, operation));
    block_on(all.as_mut());
    Ok(())
}

/// [`in_flight`], for a task.
pub(super) async fn keep_in_flight<F, E>(window: usize, probe: &mut Probe, operation: F)
where
    F: AsyncFn() -> Result<(), E>,
{
    let probe = Mutex::new(probe);
    let lock = || probe.lock().expect("nothing panics under this lock");
    let one_after_the_other = async || {
        while lock().running() {
            let start = clock::now();
            let outcome = operation().await;
            let end = clock::now();
            let mut probe = lock();
            probe.latency(start, end);
            if outcome.is_ok() { probe.done(1) } else { probe.failed(1) }
        }
    };
    let mut all: FuturesUnordered<_> = (0..window).map(|_| one_after_the_other()).collect();
    while all.next().await.is_some() {}
}

/// Answers requests with their own message until the process ends.
pub(super) fn serve(
    transport: &Transport,
    executor: ExecutorName,
    topic: &str,
    n: usize,
    ready: Box<dyn FnOnce()>,
) -> Result<()> {
    let _server = block_on(start_server(transport, executor, topic, n))?;
    ready();
    loop {
        std::thread::sleep(PARK_TIME);
    }
}

/// Starts the server that answers requests with their own message.
pub(super) async fn start_server(
    transport: &Transport,
    executor: ExecutorName,
    topic: &str,
    n: usize,
) -> Result<RpcServer> {
    let target = Target::new(topic).with_server(server(n));
    let endpoint = Endpoint::new()
        .method(METHOD, |_: Context, received: Received| Ok::<_, Failure>(received.message));
    let server = RpcServer::builder(transport, target).endpoint(endpoint);
    Ok(server.executor(executor.into()).start().await?)
}

/// [`connect`], for a thread.
pub(super) fn transport(engine: &Engine, query: &str, job: &Job) -> Result<Transport> {
    block_on(connect(engine, query, job))
}

/// Connects a transport on the measured engine. Its options are the driver's defaults, those of the
/// variant, and a short expiry of unused queues.
pub(super) async fn connect(engine: &Engine, query: &str, job: &Job) -> Result<Transport> {
    let url = format!("{}?{query}", job.address.url());
    let config = DriverConfig::default().with_control_exchange(oslo_exchange(&job.queue));
    Ok(Transport::builder(&url).config(config).engine(engine).connect().await?)
}

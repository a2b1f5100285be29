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

use anyhow::{Context as _, Result, anyhow, bail};
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
    if job.workload.operation == Operation::FirstCall {
        let (engine, query, job) = (engine.clone(), query.to_owned(), job.clone());
        return workers.spawn("leveret-client", move |probe| {
            in_flight(1, probe, async || first_call(&engine, &query, &job).await)
        });
    }
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
    let work = Work::new(&transports, n, job)?;
    let pace = Pace::of(job);
    workers.spawn("leveret-client", move |probe| {
        let done = match operation {
            Operation::Cast => buffered(work.clients.next(), &work.arguments(), probe),
            Operation::CallUnroutable | Operation::CastUnroutable => {
                beside_flood(work.clients.next(), operation, &work.arguments(), probe)
            }
            _ => pace.perform(probe, async || work.once(operation).await),
        };
        drop(work);
        let all = Arc::into_inner(transports).unwrap_or_default();
        let closed = all.iter().try_for_each(|transport| close(transport, probe));
        done.and(closed)
    })
}

/// Connects, calls once, and closes the connections.
pub(super) async fn first_call(engine: &Engine, query: &str, job: &Job) -> Result<()> {
    let transport = connect(engine, query, job).await?;
    let work = Work::new(std::slice::from_ref(&transport), 0, job)?;
    work.once(Operation::Call).await?;
    Ok(transport.close().await?)
}

/// What a client works with.
pub(super) struct Work {
    pub(super) clients: InTurn<RpcClient>,
    notifier: Notifier,
    texts: InTurn<String>,
    context: Context,
}

impl Work {
    /// The work of the `n`-th client.
    pub(super) fn new(transports: &[Transport], n: usize, job: &Job) -> Result<Self> {
        let is_fanout = job.workload.operation == Operation::Fanout;
        // The target names no exchange: the dialects add to the name of the transport's own
        // exchange only.
        let target = Target::new(&job.queue).with_fanout(is_fanout);
        let client =
            |transport| RpcClient::new(transport, target.clone()).with_timeout(BROKER_TIMEOUT);
        let notifier = Notifier::builder(&transports[0]).topic(&job.queue).publisher_id("perf");
        let texts: Result<Vec<String>, _> =
            job.bodies.iter().map(|body| String::from_utf8(body.to_vec())).collect();
        let texts = texts.context("payloads are text")?;
        // Clients begin at different places.
        let begin = n * texts.len() / job.workload.clients;
        Ok(Self {
            clients: InTurn::new(transports.iter().map(client).collect(), 0),
            notifier: notifier.timeout(BROKER_TIMEOUT).build(),
            texts: InTurn::new(texts, begin),
            context: Context::new(),
        })
    }

    pub(super) fn arguments(&self) -> Arguments<'_> {
        Arguments { message: self.texts.next() }
    }

    /// Performs one operation, and waits until it is done.
    pub(super) async fn once(&self, operation: Operation) -> Result<(), leveret::Error> {
        let (context, arguments) = (&self.context, &self.arguments());
        match operation {
            Operation::Call => {
                let Echo(length) = self.clients.next().call(context, METHOD, arguments).await?;
                std::hint::black_box(length);
                Ok(())
            }
            Operation::Notify => self.notifier.info((), METHOD, arguments).await,
            _ => self.clients.next().cast(context, METHOD, arguments).await,
        }
    }
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
    let url = job.address.url_and(query);
    let config = DriverConfig::default().with_control_exchange(oslo_exchange(&job.queue));
    Ok(Transport::builder(&url).config(config).engine(engine).connect().await?)
}

//! The driver's calls, casts and notifications, as a service would make them: typed arguments, an
//! empty context.
//!
//! A client is a plain thread that keeps as many operations in flight as the workload says; where
//! there are several they share the transport, and where one calls nobody, others beside it flood
//! the transport.
//! Names belong to the run: a topic and an exchange of its own.

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
use super::variant::Variant;
use crate::broker_address::BrokerAddress;
use crate::placement::ExecutorName;
use crate::run_state::{Probe, Workers};
use crate::subject::job::{Job, oslo_exchange};
use crate::subject::leveret::variant::server;
use crate::system::clock;
use crate::workload::Operation;

/// The method of every request.
const METHOD: &str = "info";
/// Casts between two looks at whether the run is over.
const BURST: u64 = 64;
/// Threads that flood the transport beside a request to nobody.
const FLOODS: usize = 2;
/// How long such a request may take: less than the runner waits for a sign of life.
const UNROUTABLE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a serving process looks at nothing, while its server works on other threads.
const PARK_TIME: Duration = Duration::from_secs(3600);

/// What a request carries.
#[derive(Serialize)]
struct Arguments<'a> {
    message: &'a str,
}

/// What the server makes of it.
#[derive(Deserialize)]
struct Received {
    message: String,
}

/// The answer's length: what a user keeps of it is the user's own cost, so nothing is kept.
struct Echo(usize);

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
pub(super) fn start(
    engine: &Engine,
    variant: Variant,
    job: &Job,
    workers: &mut Workers,
) -> Result<()> {
    let transport = Arc::new(transport(engine, variant, &job.address, &job.queue)?);
    for _ in 0..job.workload.clients {
        start_client(Arc::clone(&transport), job, workers)?;
    }
    Ok(())
}

/// One client, with its share of what is in flight. The last one to end closes the transport.
fn start_client(transport: Arc<Transport>, job: &Job, workers: &mut Workers) -> Result<()> {
    let operation = job.workload.operation;
    // Its exchange is the transport's: a dialect adds to that name, and none to another.
    let target = Target::new(&job.queue).with_fanout(operation == Operation::Fanout);
    let client = RpcClient::new(&transport, target).with_timeout(BROKER_TIMEOUT);
    let notifier = Notifier::builder(&transport).topic(&job.queue).publisher_id("perf");
    let notifier = notifier.timeout(BROKER_TIMEOUT).build();
    let message = String::from_utf8(job.body.to_vec())?;
    let window = (job.workload.outstanding.unwrap_or(1) / job.workload.clients).max(1);
    workers.spawn("leveret-client", move |probe| {
        let arguments = Arguments { message: &message };
        let done = match operation {
            Operation::Cast => buffered(&client, &arguments, probe),
            Operation::Call => in_flight(window, probe, async || {
                let answered = client.call(&Context::new(), METHOD, &arguments).await;
                answered.map(|Echo(length)| _ = std::hint::black_box(length))
            }),
            Operation::Notify => {
                in_flight(window, probe, async || notifier.info((), METHOD, &arguments).await)
            }
            Operation::CallUnroutable | Operation::CastUnroutable => {
                beside_flood(&client, operation, &arguments, probe)
            }
            _ => in_flight(window, probe, async || {
                client.cast(&Context::new(), METHOD, &arguments).await
            }),
        };
        let closed = Arc::into_inner(transport).map_or(Ok(()), |last| close(&last, probe));
        done.and(closed)
    })
}

/// Ends what the clients have shared, and counts what became of it.
fn close(transport: &Transport, probe: &mut Probe) -> Result<()> {
    transport.close_blocking()?;
    let stats = transport.stats();
    probe.failed(stats.casts_refused);
    // What was lost with a connection was not worked through.
    match stats.reconnects {
        0 => Ok(()),
        times => bail!("the connection was lost {times} times"),
    }
}

/// Casts that are done when the outbox has them.
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

/// Requests to a topic that nobody serves, one after the other, while other threads cast to ours as
/// fast as the transport takes it. One is done when it is told to be undeliverable.
fn beside_flood(
    client: &RpcClient,
    operation: Operation,
    arguments: &Arguments<'_>,
    probe: &mut Probe,
) -> Result<()> {
    let topic = format!("{}-nobody", client.target().topic().unwrap_or_default());
    let nobody = client.prepare().with_topic(topic).with_at_least_once(true);
    let nobody = nobody.with_timeout(UNROUTABLE_TIMEOUT);
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
                    nobody.call::<Echo>(&context, METHOD, arguments).await.err()
                }
                _ => nobody.cast(&context, METHOD, arguments).await.err(),
            };
            // Anything else, success included, is a failure here.
            outcome.filter(leveret::Error::is_undeliverable).map(drop).ok_or(())
        });
        is_over.store(true, Relaxed);
        for flood in floods {
            flood.join().map_err(|_| anyhow!("a flood panicked"))??;
        }
        done
    })
}

/// Keeps `window` operations in flight, each begun when a former one has ended. A failed one is
/// counted, and the run goes on.
fn in_flight<F, E>(window: usize, probe: &mut Probe, operation: F) -> Result<()>
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
    let mut all = pin!(async move { while all.next().await.is_some() {} });
    block_on(all.as_mut());
    Ok(())
}

/// Answers requests with their own message until the process ends.
pub(super) fn serve(
    transport: &Transport,
    executor: ExecutorName,
    topic: &str,
    n: usize,
    ready: Box<dyn FnOnce()>,
) -> Result<()> {
    let target = Target::new(topic).with_server(server(n));
    let endpoint = Endpoint::new()
        .method(METHOD, |_: Context, received: Received| Ok::<_, Failure>(received.message));
    let server = RpcServer::builder(transport, target).endpoint(endpoint);
    let _server = server.executor(executor.into()).start_blocking()?;
    ready();
    loop {
        std::thread::sleep(PARK_TIME);
    }
}

/// A transport on the engine under measurement, with the driver's own defaults but for what the
/// variant says and the life of queues nobody uses any more: the broker drops them soon after.
pub(super) fn transport(
    engine: &Engine,
    variant: Variant,
    address: &BrokerAddress,
    topic: &str,
) -> Result<Transport> {
    let url = format!("{}?{}", address.url(), variant.query());
    let config = DriverConfig::default().with_control_exchange(oslo_exchange(topic));
    Ok(Transport::builder(&url).config(config).engine(engine).connect_blocking()?)
}

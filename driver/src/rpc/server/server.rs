//! The server as its user sees it: built, started, stopped.
//!
//! It listens to the three queues of its target on a channel of its own. Not here: what happens
//! to a request (`serving`).

use std::sync::Arc;
use std::time::Duration;

use leveret_engine::{DeliverySink, block_on};

use crate::broker::errors;
use crate::broker::lease::Purpose;
use crate::broker::subscriber::{Removed, Subscriber};
use crate::error::Error;
use crate::message::serializer::Serializer;
use crate::message::target::Target;
use crate::observe::health::ListeningHealth;
use crate::rpc::server::access::AccessPolicy;
use crate::rpc::server::dispatcher::Dispatcher;
use crate::rpc::server::endpoint::Endpoint;
use crate::rpc::server::incoming::RequestSource;
use crate::rpc::server::ping;
use crate::rpc::server::processor::RequestProcessor;
use crate::rpc::server::queues::ServerQueues;
use crate::rpc::server::sink::RequestSink;
use crate::rpc::server::stats::ServerStats;
use crate::runtime::executor::Executor;
use crate::runtime::shutdown::{LOG_AFTER, Shutdown};
use crate::runtime::timer;
use crate::runtime::timer::Timer;
use crate::topology::Subscription;
use crate::transport::transport::Transport;

/// How long a server that stops waits for what is in its local queue, and between two looks.
const DRAIN: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// How long a broker takes at most, by our guess, from choosing the queues of a request to having
/// it in them.
const ROUTED_WITHIN: Duration = Duration::from_millis(100);

/// A running server. Stop it before dropping it, or what it was doing is cut off.
///
/// ```
/// # use leveret::{Context, Endpoint, Error, Failure, RpcServer, Target, Transport};
/// # use std::time::Duration;
/// # fn main() -> Result<(), Error> {
/// # let transport = Transport::connect_blocking("fake:///life-of-a-server")?;
/// let target = Target::new("compute").with_server("host1");
/// let endpoint = Endpoint::new().method("ping", |_: Context, (): ()| Ok::<_, Failure>("pong"));
/// let server = RpcServer::builder(&transport, target).endpoint(endpoint).start_blocking()?;
/// // On SIGTERM: nothing new, what was not begun back to the queue, the rest to its end.
/// server.stop_blocking()?;
/// if let Err(error) = server.wait_within_blocking(Duration::from_secs(20)) {
///     eprintln!("an endpoint still runs: {error}");
/// }
/// # Ok(()) }
/// ```
///
/// The life cycle is oslo's: [`stop`](Self::stop) ends the intake, [`wait`](Self::wait) waits for
/// what was taken. Each happens once, whoever calls it how often; callers that come meanwhile wait
/// for the one under way. To begin again, build and start another server.
#[must_use = "what a dropped server was doing is cut off: stop it, and wait for it"]
pub struct RpcServer {
    listening: Subscriber,
    serving: Arc<RequestProcessor>,
    /// To be deleted in the end; none where another server will use it.
    fanout_queue: Option<String>,
    /// Gone with the server: nothing more may go there once the end is near, and what is there is
    /// taken.
    own: Vec<Subscription>,
    /// Queues that would take requests for a while after their last server has gone.
    abandoned: Vec<(Subscription, RequestSource)>,
    timer: Arc<Timer>,
    ending: Shutdown,
}

/// Describes a server before it starts.
#[must_use = "a server serves once it is started"]
pub struct RpcServerBuilder {
    transport: Transport,
    target: Target,
    endpoints: Vec<Endpoint>,
    executor: Executor,
    policy: AccessPolicy,
    serializer: Option<Arc<dyn Serializer>>,
    log_after: Duration,
}

impl RpcServer {
    /// A server of `target`, which needs a topic and a server name.
    pub fn builder(transport: &Transport, target: Target) -> RpcServerBuilder {
        let transport = transport.clone();
        RpcServerBuilder {
            transport,
            target,
            endpoints: Vec::new(),
            executor: Executor::default(),
            policy: AccessPolicy::default(),
            serializer: None,
            log_after: LOG_AFTER,
        }
    }

    /// Takes no further requests, and returns those that were not begun: what the broker had left
    /// here unacknowledged goes back to its queue, for another server of the topic. Requests that
    /// were acknowledged are executed; this does not wait for them. So are those from queues that
    /// go with this server, which nobody else could execute: fanouts that were confirmed before,
    /// and under [`QueueProfile::LocalRandom`](crate::QueueProfile::LocalRandom) what clients on
    /// its node sent. What the broker still holds of these because more wait here than the prefetch
    /// allows has 10 s to come; what is left then is lost.
    ///
    /// # Errors
    /// `MessagingTimeout` or `TransportDriverError` when the broker does not agree; nothing is
    /// taken any more all the same. One caller is told, later ones get `Ok`.
    pub async fn stop(&self) -> Result<(), Error> {
        self.ending.stop(self.end_intake()).await
    }

    /// Waits until every request taken is answered, then ends the connection. Stops first, if need
    /// be. Must not be called by an endpoint, which would wait for itself.
    ///
    /// # Errors
    /// As [`stop`](Self::stop).
    pub async fn wait(&self) -> Result<(), Error> {
        self.ending.end(self.end_intake(), self.finish()).await
    }

    /// [`stop`](Self::stop), for as long as `timeout` at most.
    ///
    /// # Errors
    /// `TaskTimeout` when it takes longer; whoever stops or waits next goes on with it. Else as
    /// [`stop`](Self::stop).
    pub async fn stop_within(&self, timeout: Duration) -> Result<(), Error> {
        self.ending.within(timeout, self.stop()).await
    }

    /// [`wait`](Self::wait), for as long as `timeout` at most.
    ///
    /// # Errors
    /// `TaskTimeout` when endpoints work longer than that; they go on, and so does whoever waits
    /// next. Else as [`stop`](Self::stop).
    pub async fn wait_within(&self, timeout: Duration) -> Result<(), Error> {
        self.ending.within(timeout, self.wait()).await
    }

    /// Does nothing, as in oslo: a server keeps no state that a changed configuration could renew.
    pub const fn reset(&self) {}

    /// [`stop`](Self::stop) for a plain thread.
    ///
    /// # Errors
    /// As [`stop`](Self::stop).
    pub fn stop_blocking(&self) -> Result<(), Error> {
        block_on(self.stop())
    }

    /// [`wait`](Self::wait) for a plain thread.
    ///
    /// # Errors
    /// As [`stop`](Self::stop).
    pub fn wait_blocking(&self) -> Result<(), Error> {
        block_on(self.wait())
    }

    /// [`stop_within`](Self::stop_within) for a plain thread.
    ///
    /// # Errors
    /// As [`stop_within`](Self::stop_within).
    pub fn stop_within_blocking(&self, timeout: Duration) -> Result<(), Error> {
        block_on(self.stop_within(timeout))
    }

    /// [`wait_within`](Self::wait_within) for a plain thread.
    ///
    /// # Errors
    /// As [`wait_within`](Self::wait_within).
    pub fn wait_within_blocking(&self, timeout: Duration) -> Result<(), Error> {
        block_on(self.wait_within(timeout))
    }

    async fn end_intake(&self) -> Result<(), Error> {
        self.serving.limit().lift();
        let mut drained = Ok(());
        for own in &self.own {
            drained = drained.and(Box::pin(self.drain(own)).await);
        }
        let cancelled = self.listening.cancel().await;
        // Rarely needed whole, and callers hold this future several times over.
        let removed = Box::pin(self.remove_abandoned()).await;
        // Only now: what is returned to a queue we still listen to comes straight back.
        self.serving.give_back();
        drained.and(cancelled).and(removed)
    }

    /// Removes the queues that nobody consumes from any more; requests that came late are taken.
    async fn remove_abandoned(&self) -> Result<(), Error> {
        let mut unbound = Vec::new();
        for one in &self.abandoned {
            if self.listening.is_unused(&one.0.queue.name).await? {
                self.listening.unbind(&one.0).await?;
                unbound.push(one);
            }
        }
        if !unbound.is_empty() {
            // The broker may have routed requests a moment ago that are not in a queue yet.
            let _ = self.timer.pause(ROUTED_WITHIN).await;
        }
        let deadline = timer::deadline_in(DRAIN);
        for (subscription, source) in unbound {
            let queue = &subscription.queue.name;
            loop {
                match self.listening.remove(queue).await? {
                    Removed::Done => break,
                    // Whoever began to meanwhile relies on what we have unbound.
                    Removed::InUse => {
                        self.listening.rebind(subscription).await?;
                        break;
                    }
                    Removed::NotEmpty if timer::now() < deadline => {}
                    Removed::NotEmpty => {
                        tracing::warn!(
                            name: "leveret.server.requests_left",
                            queue,
                            "a server that stops leaves requests behind"
                        );
                        break;
                    }
                }
                let sink = Box::new(RequestSink::new(&self.serving, *source));
                let rest = self.listening.consume_again(queue, source.no_ack, sink).await?;
                let _ = self.timer.pause(PAUSE).await;
                rest.cancel().await.map_err(errors::failed)?;
            }
        }
        Ok(())
    }

    /// Nothing more may go to a queue of this server alone, and what is there comes, unless the
    /// workers are behind for long: it goes with the server.
    async fn drain(&self, own: &Subscription) -> Result<(), Error> {
        self.listening.unbind(own).await?;
        let deadline = timer::deadline_in(DRAIN);
        loop {
            match self.listening.ready(&own.queue.name).await? {
                0 => return Ok(()),
                requests if timer::now() >= deadline => {
                    tracing::warn!(
                        name: "leveret.server.requests_left",
                        requests, "a server that stops leaves requests behind"
                    );
                    return Ok(());
                }
                // Where the engine has stopped, the next look says so.
                _ => drop(self.timer.pause(PAUSE).await),
            }
        }
    }

    async fn finish(&self) -> Result<(), Error> {
        self.serving.finish().await;
        // As oslo: other queues stay for the next server, this one nobody will ever use again.
        let deleted = match &self.fanout_queue {
            Some(queue) => self.listening.delete_queue(queue).await,
            None => Ok(()),
        };
        let closed = self.listening.close().await;
        deleted.and(closed)
    }

    /// Whether it still serves: cheap, and nothing is sent.
    pub fn health(&self) -> ListeningHealth {
        let is_stopped = self.ending.has_stopped();
        let (connection, consumers) = (self.listening.health(), self.listening.consumers());
        ListeningHealth { connection, consumers, is_stopped }
    }

    /// What it has done so far.
    pub fn stats(&self) -> ServerStats {
        ServerStats { reconnects: self.listening.reconnects(), ..self.serving.stats() }
    }
}

impl RpcServerBuilder {
    /// The same server with one more endpoint; the first that has a method serves it.
    pub fn endpoint(mut self, endpoint: impl Into<Endpoint>) -> Self {
        self.endpoints.push(endpoint.into());
        self
    }

    /// The same server, running its endpoints there.
    pub fn executor(mut self, executor: Executor) -> Self {
        self.executor = executor;
        self
    }

    /// The same server, letting callers reach what this policy allows. Default: every method whose
    /// name does not begin with an underscore.
    pub fn access_policy(mut self, policy: AccessPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The same server, passing contexts, arguments and results through this serializer: first the
    /// context, then each argument under it, last the result. Default: none.
    pub fn serializer(mut self, serializer: impl Serializer) -> Self {
        self.serializer = Some(Arc::new(serializer));
        self
    }

    /// The same server, saying in the log after this time that stopping or waiting may hang; zero
    /// for never. Default 30 s, as oslo's `log_after`.
    pub fn log_after(mut self, time: Duration) -> Self {
        self.log_after = time;
        self
    }

    /// Connects, declares the queues and begins to serve.
    ///
    /// With a [lazy](crate::TransportBuilder::lazy) transport it waits for a broker, for
    /// `connect_deadline` and for `operation_timeout` (10 s) at least.
    ///
    /// # Cancel safety
    /// Dropping the future leaves no consumer and no connection behind.
    ///
    /// # Errors
    /// `MessagingTimeout` when a lazy transport finds no broker in time;
    /// `InvalidTarget` without topic or server name; `ServerListenError` when a queue or exchange
    /// exists with other options (406); `ExecutorLoadFailure` when async methods are to run inline;
    /// `TransportDriverError` when no broker is reached.
    pub async fn start(self) -> Result<RpcServer, Error> {
        let Self { transport, target, mut endpoints, executor, policy, serializer, log_after } =
            self;
        if transport.config().rpc_ping {
            ping::append(&mut endpoints);
        }
        let dispatcher = Dispatcher::new(endpoints, policy);
        executor.check("methods", dispatcher.has_async_methods())?;
        let served = ServerQueues::of(&transport, &target).await?;
        let deadline = transport.start_deadline();
        let answering = transport.started(deadline, || transport.answering()).await?;
        let prefetch = served.prefetch;
        let unacknowledged = served.queues.len() * usize::from(prefetch);
        let serving = RequestProcessor::new(
            dispatcher,
            serializer,
            answering,
            &transport,
            executor,
            unacknowledged,
        );
        let sink = |subscription: &Subscription| -> Box<dyn DeliverySink> {
            Box::new(RequestSink::new(&serving, served.source_of(subscription)))
        };
        let subscriptions: Vec<_> = served.queues.iter().map(|(one, _)| one.clone()).collect();
        let (connections, purpose) = (transport.connections(), Purpose::Server);
        let open = || Subscriber::open(connections, purpose, prefetch, &subscriptions, &sink);
        let listening = transport.started(deadline, open).await;
        let listening = listening.map_err(|error| errors::unservable(error, &target))?;
        if let Some(consumer) = listening.consumer() {
            serving.limit().attach(consumer, listening.has_own_connection());
        }
        let timer = Arc::clone(transport.timer());
        let ending = Shutdown::new("server", &timer, log_after);
        let ServerQueues { fanout_queue, own, abandoned, .. } = served;
        Ok(RpcServer { listening, serving, fanout_queue, own, abandoned, timer, ending })
    }

    /// [`start`](Self::start) for a plain thread.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_blocking(self) -> Result<RpcServer, Error> {
        block_on(self.start())
    }
}

impl std::fmt::Debug for RpcServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RpcServer").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

//! Describes a server, and starts it.

use std::sync::Arc;
use std::time::Duration;

use leveret_engine::{DeliverySink, block_on};

use crate::broker::errors;
use crate::broker::purpose::Purpose;
use crate::broker::subscriber::Subscriber;
use crate::dialect::queues::ServerIds;
use crate::error::Error;
use crate::message::serializer::Serializer;
use crate::message::target::Target;
use crate::rpc::server::access::AccessPolicy;
use crate::rpc::server::dispatcher::Dispatcher;
use crate::rpc::server::endpoint::Endpoint;
use crate::rpc::server::ping;
use crate::rpc::server::processor::RequestProcessor;
use crate::rpc::server::server::RpcServer;
use crate::rpc::server::sink::RequestSink;
use crate::runtime::executor::Executor;
use crate::runtime::shutdown::{LOG_AFTER, Shutdown};
use crate::topology::Subscription;
use crate::transport::transport::Transport;

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
    /// Describes a server of `target`, which needs a topic and a server name.
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
}

impl RpcServerBuilder {
    /// Adds an endpoint; the first that has a method serves it.
    pub fn endpoint(mut self, endpoint: impl Into<Endpoint>) -> Self {
        self.endpoints.push(endpoint.into());
        self
    }

    /// Sets where endpoints run. Default: [`Executor::default`].
    pub fn executor(mut self, executor: Executor) -> Self {
        self.executor = executor;
        self
    }

    /// Sets which methods callers may reach. Default: every method whose name does not begin with
    /// an underscore.
    pub fn access_policy(mut self, policy: AccessPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Passes contexts, arguments and results through this serializer: first the context, then each
    /// argument under it, last the result. Default: none.
    pub fn serializer(mut self, serializer: impl Serializer) -> Self {
        self.serializer = Some(Arc::new(serializer));
        self
    }

    /// Sets after which time a stop or a wait that has not ended is logged; zero for never. Default
    /// 30 s, as oslo's `log_after`.
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
        let queues = transport.wire().server_queues(&target, &draw_ids(&transport).await?)?;
        let deadline = transport.start_deadline();
        let replies = transport.open_for_start(deadline, || transport.reply_sender()).await?;
        let prefetch = queues.prefetch;
        let unacknowledged = queues.queues.len() * usize::from(prefetch);
        let processor = RequestProcessor::new(
            dispatcher,
            serializer,
            replies,
            &transport,
            executor,
            unacknowledged,
        );
        let sink = |subscription: &Subscription| -> Box<dyn DeliverySink> {
            Box::new(RequestSink::new(&processor, queues.source_of(subscription)))
        };
        let subscriptions: Vec<_> =
            queues.queues.iter().map(|one| one.subscription.clone()).collect();
        let (connections, purpose) = (transport.connections(), Purpose::Server);
        let open = || Subscriber::open(connections, purpose, prefetch, &subscriptions, &sink);
        let subscriber = transport.open_for_start(deadline, open).await;
        let subscriber = subscriber.map_err(|error| errors::listen_error(error, &target))?;
        if let Some(consumer) = subscriber.consumer() {
            processor.limit.attach(consumer, subscriber.has_own_connection());
        }
        let timer = Arc::clone(transport.timer());
        let shutdown = Shutdown::new("server", &timer, log_after);
        Ok(RpcServer { subscriber, processor, queues, timer, shutdown })
    }

    /// [`start`](Self::start) for a plain thread.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_blocking(self) -> Result<RpcServer, Error> {
        block_on(self.start())
    }
}

/// What tells the queues of this server from those of others. The fanout id is drawn only where it
/// is needed: it may take a number from a file.
async fn draw_ids(transport: &Transport) -> Result<ServerIds, Error> {
    let fanout = match transport.wire().needs_fanout_id() {
        true => transport.queue_names().draw().await?,
        false => String::new(),
    };
    let draw = || transport.ids().unique_id();
    Ok(ServerIds { fanout, local: draw(), transient: [draw(), draw()] })
}

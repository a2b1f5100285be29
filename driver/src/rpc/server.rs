//! The server as its user sees it: built, started, stopped.
//!
//! It listens to the three queues of its target on a connection of its own. Not here: what happens
//! to a request (`serving`).

use std::sync::{Arc, Mutex, PoisonError};

use leveret_engine::{DeliverySink, block_on};

use super::dispatcher::Dispatcher;
use super::endpoint::Endpoint;
use super::serving::{RequestSink, Serving};
use crate::broker::{self, Listening};
use crate::error::{Error, ErrorKind};
use crate::executor::Executor;
use crate::target::Target;
use crate::target::entity::Subscription;
use crate::transport::Transport;

/// Requests the broker may leave with us unacknowledged where the options set no prefetch: enough
/// to keep any number of workers busy across a slow link. oslo sets none, and holds whatever comes.
const PREFETCH: u16 = 2048;

/// A running server. Stop it before dropping it, or what it was doing is cut off.
pub struct RpcServer {
    listening: Listening,
    serving: Arc<Serving>,
    /// To be deleted in the end; none where another server will use it.
    fanout_queue: Option<String>,
    /// Gone with the connection: nothing more may go there once the end is near.
    local: Option<Subscription>,
    is_stopped: Mutex<bool>,
}

/// Describes a server before it starts.
#[must_use = "a server serves once it is started"]
pub struct RpcServerBuilder {
    transport: Transport,
    target: Target,
    endpoints: Vec<Endpoint>,
    executor: Executor,
}

/// What a server has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ServerStats {
    /// Requests given to a method, or answered in its stead.
    pub dispatched: u64,
    /// Requests seen before and not executed again.
    pub duplicates: u64,
    /// Messages that were no requests.
    pub undecodable: u64,
    /// Times the connection was lost.
    pub reconnects: u64,
}

impl RpcServer {
    /// A server of `target`, which needs a topic and a server name.
    pub fn builder(transport: &Transport, target: Target) -> RpcServerBuilder {
        let transport = transport.clone();
        RpcServerBuilder { transport, target, endpoints: Vec::new(), executor: Executor::default() }
    }

    /// Takes no further requests. Those already taken go on.
    ///
    /// # Errors
    /// `MessagingTimeout` or `TransportDriverError` when the broker does not agree.
    pub async fn stop(&self) -> Result<(), Error> {
        if std::mem::replace(
            &mut *self.is_stopped.lock().unwrap_or_else(PoisonError::into_inner),
            true,
        ) {
            return Ok(());
        }
        if let Some(local) = &self.local {
            self.listening.unbind(local).await?;
        }
        self.listening.cancel().await
    }

    /// Waits until every request taken is answered, then ends the connection. Stops first, if need
    /// be.
    ///
    /// # Errors
    /// As [`stop`](Self::stop).
    pub async fn wait(&self) -> Result<(), Error> {
        let stopped = self.stop().await;
        self.serving.finish().await;
        // As oslo: other queues stay for the next server, this one nobody will ever use again.
        let deleted = match &self.fanout_queue {
            Some(queue) => self.listening.delete_queue(queue).await,
            None => Ok(()),
        };
        let closed = self.listening.close().await;
        stopped.and(deleted).and(closed)
    }

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

    /// What it has done so far.
    pub fn stats(&self) -> ServerStats {
        ServerStats { reconnects: self.listening.reconnects(), ..self.serving.stats() }
    }
}

impl RpcServerBuilder {
    /// The same server with one more endpoint; the first that has a method serves it.
    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoints.push(endpoint);
        self
    }

    /// The same server, running its endpoints there.
    pub fn executor(mut self, executor: Executor) -> Self {
        self.executor = executor;
        self
    }

    /// Connects, declares the queues and begins to serve.
    ///
    /// # Errors
    /// `InvalidTarget` without topic or server name; `ServerListenError` when a queue or exchange
    /// exists with other options (406), or when async methods are to run inline;
    /// `TransportDriverError` when no broker is reached.
    pub async fn start(self) -> Result<RpcServer, Error> {
        let Self { transport, target, endpoints, executor } = self;
        let dispatcher = Dispatcher::new(endpoints);
        if matches!(executor, Executor::Inline) && dispatcher.has_async_methods() {
            return Err(Error::new(
                ErrorKind::ServerListenError,
                "async methods need threads or a runtime; the inline executor runs plain ones only",
            ));
        }
        let subscriptions = transport.topology().server(&target, &transport.fanout_id().await?)?;
        let local_id = transport.ids().unique_id();
        let local = transport.topology().local(&target, local_id.as_str())?;
        let [.., Subscription { queue: fanout, .. }] = &subscriptions;
        let fanout_queue = (!fanout.is_stream() && !transport.config().stable_names.enabled)
            .then(|| fanout.name.clone());
        let answering = transport.answering().await?;
        let serving = Serving::new(
            dispatcher,
            answering,
            Arc::clone(transport.timer()),
            executor,
            transport.config().executor_threads,
        );
        let prefetch = match transport.config().prefetch {
            0 => PREFETCH,
            prefetch => prefetch,
        };
        let mut subscriptions = subscriptions.to_vec();
        subscriptions.extend(local.clone());
        let sink = || -> Box<dyn DeliverySink> { Box::new(RequestSink::new(&serving)) };
        let engine = transport.engine();
        let config = transport.connection_config("server");
        let listening = Listening::open(engine, config, prefetch, &subscriptions, sink).await;
        let listening = listening.map_err(|error| broker::unservable(error, &target))?;
        Ok(RpcServer { listening, serving, fanout_queue, local, is_stopped: Mutex::new(false) })
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

//! Exchanges that would go with their last binding, anchored by a binding of our own.
//!
//! Publishing to an exchange that is gone ends the channel (404), with everything unconfirmed on
//! it: the outcome of those messages would be unknown. So before anything is published to an
//! exchange of that kind, a queue of this connection is bound to it, under a key that is never
//! published to. From then on a message that no server listens for comes back (312), each for
//! itself. These exchanges have a channel of their own all the same. Invariants: an exchange that
//! only servers may declare is probed, never declared; one exchange is anchored or probed at a
//! time, because a missing one ends the channel under the questions about others.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use leveret_engine::{
    ChannelOptions, ExchangeDeclare, Properties, QueueBind, QueueDeclare, RefusalSink,
};

use crate::broker::declare;
use crate::broker::errors::{NOT_FOUND, failed};
use crate::broker::lease::{ChannelLease, ConnectionLease};
use crate::broker::open_once::{OpenOnce, Opened};
use crate::broker::publish::declarations::Declarations;
use crate::broker::publish::route::{PublishOptions, Route};
use crate::broker::shared_task::SharedTask;
use crate::error::Error;
use crate::runtime::timer;
use crate::topology::Exchange;

/// How long an exchange that was not found is not probed again.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);

/// A channel exception: it exists and is different.
const PRECONDITION_FAILED: u16 = 406;

/// A channel exception: a queue belongs to another connection.
const LOCKED: u16 = 405;

/// The key of the binding that anchors an exchange.
const ANCHOR_KEY: &str = "leveret.keep";

/// What a connection knows of such exchanges.
pub(crate) struct AnchoredExchanges {
    lease: ConnectionLease,
    declarations: Arc<Declarations>,
    /// What is published to them goes here.
    channel: OpenOnce<ChannelLease>,
    cache: Arc<Cache>,
    /// Anchors one of them, or probes it.
    search: SharedTask,
}

/// What was found so far.
#[derive(Default)]
struct Cache {
    /// Probes exchanges: a missing one ends the channel, and it is opened again.
    channel: OpenOnce<ChannelLease>,
    known: Mutex<HashMap<String, Known>>,
    /// The queue that is bound to them; empty before it is declared.
    queue: Mutex<String>,
}

/// What a search needs; [`AnchoredExchanges`] owns the search, so the search cannot own it.
struct Search {
    lease: ConnectionLease,
    declarations: Arc<Declarations>,
    cache: Arc<Cache>,
    exchange: Exchange,
}

#[derive(Clone, Copy)]
enum Known {
    /// It was anchored when the connection had been lost so many times.
    Anchored(u64),
    /// It was not there, and is not probed before then.
    Missing(Instant),
}

impl Cache {
    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, String> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AnchoredExchanges {
    pub(super) fn new(lease: ConnectionLease, declarations: &Arc<Declarations>) -> Self {
        let (channel, cache, search) = Default::default();
        Self { lease, declarations: Arc::clone(declarations), channel, cache, search }
    }

    /// The channel that is published on.
    pub(super) fn channel(&self) -> Option<Opened<'_, ChannelLease>> {
        self.channel.get()
    }

    /// Declares an exchange and anchors it. One that exists and is of another kind is anchored as
    /// it is.
    pub(crate) async fn anchor(&self, exchange: &Exchange) -> Result<(), Error> {
        while self.cached(exchange) != Some(true) {
            self.search(exchange, Search::declare_and_bind).await?;
        }
        Ok(())
    }

    /// Whether an exchange exists; it is anchored from then on.
    pub(crate) async fn probe(&self, exchange: &Exchange) -> Result<bool, Error> {
        loop {
            // Another caller may have probed it meanwhile.
            if let Some(exists) = self.cached(exchange) {
                return Ok(exists);
            }
            self.search(exchange, Search::probe).await?;
        }
    }

    /// Searches for an exchange, or waits for the search under way.
    async fn search<F>(&self, exchange: &Exchange, how: impl Fn(Search) -> F) -> Result<(), Error>
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let mut is_own = false;
        let begin = || {
            is_own = true;
            let search = Search {
                lease: self.lease.clone(),
                declarations: Arc::clone(&self.declarations),
                cache: Arc::clone(&self.cache),
                exchange: exchange.clone(),
            };
            Box::pin(how(search)) as _
        };
        let searched = self.search.run(begin).await;
        // The error of another caller's search may be about another exchange.
        if is_own { searched } else { Ok(()) }
    }

    /// The answer of [`probe`](Self::probe) if it is known.
    pub(crate) fn cached(&self, exchange: &Exchange) -> Option<bool> {
        let losses = self.lease.connection().reconnects();
        match self.cache.known().get(&exchange.name)? {
            Known::Anchored(then) if *then == losses => Some(true),
            Known::Missing(until) if timer::now() < *until => Some(false),
            _ => None,
        }
    }

    /// Forgets an exchange that turned out to be gone after all.
    pub(crate) fn invalidate(&self, exchange: &str) {
        self.cache.known().remove(exchange);
    }

    /// The route to an anchored exchange.
    pub(crate) async fn route(
        &self,
        names: (&str, &str),
        properties: &Properties,
        options: PublishOptions,
        refusals: Option<Arc<dyn RefusalSink>>,
    ) -> Result<Route, Error> {
        let channel = self.lease.channel_in(&self.channel, ChannelOptions::default()).await?;
        Route::new(&channel, names, properties, options, refusals)
    }

    /// [`route`](Self::route) for callers that must not wait; `None` where nothing was published
    /// to such an exchange yet.
    pub(crate) fn route_if_open(
        &self,
        names: (&str, &str),
        properties: &Properties,
        options: PublishOptions,
        refusals: Option<Arc<dyn RefusalSink>>,
    ) -> Option<Route> {
        let channel = self.channel.get()?;
        Route::new(&channel, names, properties, options, refusals).ok()
    }
}

impl Search {
    async fn declare_and_bind(self) -> Result<(), Error> {
        match declare::exchange_once(self.declarations.channel(), &self.exchange).await {
            Err(error) if error.reply_code() != Some(PRECONDITION_FAILED) => Err(failed(error)),
            _ => self.bind().await,
        }
    }

    async fn probe(self) -> Result<(), Error> {
        let plain = ChannelOptions::default().with_confirms(false);
        let passive = ExchangeDeclare {
            name: self.exchange.name.clone(),
            kind: self.exchange.kind.to_owned(),
            passive: true,
            ..ExchangeDeclare::default()
        };
        let channel = self.lease.channel_in(&self.cache.channel, plain).await?;
        match channel.declare_exchange(passive).await {
            Ok(()) => self.bind().await,
            Err(error) if error.reply_code() == Some(NOT_FOUND) => {
                let missing = Known::Missing(timer::deadline_in(PROBE_INTERVAL));
                self.cache.known().insert(self.exchange.name.clone(), missing);
                Ok(())
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Binds the queue of this connection to the exchange.
    async fn bind(&self) -> Result<(), Error> {
        let losses = self.lease.connection().reconnects();
        let channel = self.declarations.channel();
        let declare = |name: String| {
            let queue = QueueDeclare { name, exclusive: true, ..QueueDeclare::default() };
            channel.declare_queue(queue)
        };
        // It comes back with the connection, unless RabbitMQ still takes the connection that was
        // lost for the owner of the queue.
        let known = self.cache.queue().clone();
        let queue = match declare(known).await {
            Err(error) if error.reply_code() == Some(LOCKED) => declare(String::new()).await,
            declared => declared,
        };
        let queue = queue.map_err(failed)?.name;
        self.cache.queue().clone_from(&queue);
        let exchange = self.exchange.name.clone();
        let routing_key = ANCHOR_KEY.into();
        let bind = QueueBind { queue, exchange, routing_key, ..QueueBind::default() };
        channel.bind_queue(bind).await.map_err(failed)?;
        self.cache.known().insert(self.exchange.name.clone(), Known::Anchored(losses));
        Ok(())
    }
}

//! Auto-delete exchanges, anchored by a binding of our own.
//!
//! RabbitMQ deletes an auto-delete exchange with its last binding. Publishing to a missing exchange
//! closes the channel (404), and the outcome of every unconfirmed message there is unknown. So the
//! connection binds a queue of its own to such an exchange before it publishes to it, with a key
//! that no message has. From then on RabbitMQ returns each message that no server is bound for
//! (312). The exchanges have a channel of their own nevertheless. Invariants: an exchange that only
//! servers may declare is probed, never declared; one exchange is anchored or probed at a time,
//! because probing a missing one closes the channel of the probes.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use leveret_engine::{
    self as engine, ChannelOptions, ExchangeDeclare, FailureSink, Properties, QueueBind,
    QueueDeclare,
};

use crate::broker::declare;
use crate::broker::errors::{NOT_FOUND, from_engine};
use crate::broker::lease::{ChannelLease, ConnectionLease};
use crate::broker::open_once::{OpenOnce, Opened};
use crate::broker::publish::declarations::Declarations;
use crate::broker::publish::route::{PublishOptions, Route};
use crate::broker::shared_task::SharedTask;
use crate::error::Error;
use crate::runtime::timer;
use crate::topology::Exchange;

/// How long a missing exchange is not probed again.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);

/// How often an exchange is declared that RabbitMQ deletes before it is bound.
const ATTEMPTS: u32 = 5;

/// The channel exception for an entity that exists with other properties.
const PRECONDITION_FAILED: u16 = 406;

/// The channel exception for an exclusive queue of another connection.
const LOCKED: u16 = 405;

/// The key of the binding that anchors an exchange.
const ANCHOR_KEY: &str = "leveret.keep";

/// The anchored exchanges of a connection.
pub(crate) struct AnchoredExchanges {
    lease: ConnectionLease,
    declarations: Arc<Declarations>,
    /// The channel for publishing to them.
    channel: OpenOnce<ChannelLease>,
    cache: Arc<Cache>,
    /// Anchors or probes one exchange at a time.
    search: SharedTask,
}

/// The results of earlier searches.
#[derive(Default)]
struct Cache {
    /// The channel of the probes: a missing exchange closes it, and it is opened again.
    channel: OpenOnce<ChannelLease>,
    states: Mutex<HashMap<String, ExchangeState>>,
    /// The queue that anchors them; empty before it is declared.
    queue: Mutex<String>,
}

/// What a search needs. [`AnchoredExchanges`] owns the search, so the search cannot own it.
struct Search {
    lease: ConnectionLease,
    declarations: Arc<Declarations>,
    cache: Arc<Cache>,
    exchange: Exchange,
}

#[derive(Clone, Copy)]
enum ExchangeState {
    /// It was anchored when the connection had reconnected this many times.
    Anchored(u64),
    /// It was missing, and is not probed again before this time.
    Missing(Instant),
}

impl Cache {
    fn states(&self) -> MutexGuard<'_, HashMap<String, ExchangeState>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// The channel for publishing, if it is open.
    pub(super) fn channel(&self) -> Option<Opened<'_, ChannelLease>> {
        self.channel.get()
    }

    /// Declares an exchange and anchors it. An existing exchange of another type is anchored as it
    /// is.
    pub(crate) async fn anchor(&self, exchange: &Exchange) -> Result<(), Error> {
        while self.cached(exchange) != Some(true) {
            self.search(exchange, Search::declare_and_bind).await?;
        }
        Ok(())
    }

    /// Returns whether an exchange exists, and anchors it if it does.
    pub(crate) async fn probe(&self, exchange: &Exchange) -> Result<bool, Error> {
        loop {
            // Another caller may have probed it in the meantime.
            if let Some(exists) = self.cached(exchange) {
                return Ok(exists);
            }
            self.search(exchange, Search::probe).await?;
        }
    }

    /// Runs a search for an exchange, or waits for the running one.
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
        // The search of another caller may be for another exchange.
        if is_own { searched } else { Ok(()) }
    }

    /// Returns the result of [`probe`](Self::probe) if it is cached.
    pub(crate) fn cached(&self, exchange: &Exchange) -> Option<bool> {
        let reconnects = self.lease.connection().reconnects();
        match self.cache.states().get(&exchange.name)? {
            ExchangeState::Anchored(then) if *then == reconnects => Some(true),
            ExchangeState::Missing(until) if timer::now() < *until => Some(false),
            _ => None,
        }
    }

    /// Forgets an exchange that was found missing.
    pub(crate) fn invalidate(&self, exchange: &str) {
        self.cache.states().remove(exchange);
    }

    /// Returns the route to an anchored exchange.
    pub(crate) async fn route(
        &self,
        names: (&str, &str),
        properties: &Properties,
        options: PublishOptions,
        refusals: Option<Arc<dyn FailureSink>>,
    ) -> Result<Route, Error> {
        let channel = self.lease.channel_in(&self.channel, ChannelOptions::default()).await?;
        Route::new(&channel, names, properties, options, refusals)
    }

    /// [`route`](Self::route) for callers that must not wait. `None` if the channel is not open,
    /// which the first route opens.
    pub(crate) fn route_if_open(
        &self,
        names: (&str, &str),
        properties: &Properties,
        options: PublishOptions,
        refusals: Option<Arc<dyn FailureSink>>,
    ) -> Option<Route> {
        let channel = self.channel.get()?;
        Route::new(&channel, names, properties, options, refusals).ok()
    }
}

impl Search {
    async fn declare_and_bind(self) -> Result<(), Error> {
        let mut attempt = 0;
        loop {
            match declare::exchange_once(self.declarations.channel(), &self.exchange).await {
                Err(error) if error.reply_code() != Some(PRECONDITION_FAILED) => {
                    return Err(from_engine(error));
                }
                _ => {}
            }
            attempt += 1;
            match self.bind().await {
                // RabbitMQ deleted it meanwhile, with its last other binding.
                Err(error) if is_not_found(&error) && attempt < ATTEMPTS => {}
                bound => return bound.map_err(from_engine),
            }
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
        let bound = match channel.declare_exchange(passive).await {
            Ok(()) => self.bind().await,
            Err(error) => Err(error),
        };
        match bound {
            Err(error) if is_not_found(&error) => {
                let missing = ExchangeState::Missing(timer::deadline_in(PROBE_INTERVAL));
                self.cache.states().insert(self.exchange.name.clone(), missing);
                Ok(())
            }
            bound => bound.map_err(from_engine),
        }
    }

    /// Binds the queue of this connection to the exchange.
    async fn bind(&self) -> Result<(), engine::Error> {
        let reconnects = self.lease.connection().reconnects();
        let channel = self.declarations.channel();
        let declare = |name: String| {
            let queue = QueueDeclare { name, exclusive: true, ..QueueDeclare::default() };
            channel.declare_queue(queue)
        };
        // The queue is declared again after a reconnect. RabbitMQ may still hold it for the lost
        // connection (405), or for a node that has died (404); then another queue takes its place.
        let name = self.cache.queue().clone();
        let queue = match declare(name).await {
            Err(error) if matches!(error.reply_code(), Some(LOCKED | NOT_FOUND)) => {
                declare(String::new()).await
            }
            declared => declared,
        };
        let queue = queue?.name;
        self.cache.queue().clone_from(&queue);
        let exchange = self.exchange.name.clone();
        let routing_key = ANCHOR_KEY.into();
        let bind = QueueBind { queue, exchange, routing_key, ..QueueBind::default() };
        channel.bind_queue(bind).await?;
        self.cache.states().insert(self.exchange.name.clone(), ExchangeState::Anchored(reconnects));
        Ok(())
    }
}

fn is_not_found(error: &engine::Error) -> bool {
    error.reply_code() == Some(NOT_FOUND)
}

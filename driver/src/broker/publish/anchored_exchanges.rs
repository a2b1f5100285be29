//! Exchanges that go with their last binding, kept by a binding of our own.
//!
//! Publishing to an exchange that is gone ends the channel (404), with everything unconfirmed on
//! it; nobody could tell then what became of that. So an exchange of that kind gets a queue of this
//! connection bound to it, under a key nobody publishes to, before anything is published there:
//! from then on what nobody listens for comes back (312), each message for itself. What goes there
//! has a channel of its own all the same. Invariants: an exchange that only others may declare is
//! looked for, never declared; one exchange is kept or looked for at a time, because a missing one
//! ends the channel under the questions about others.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use leveret_engine::{
    Channel, ChannelOptions, ExchangeDeclare, Properties, QueueBind, QueueDeclare, RefusalSink,
};

use crate::broker::declare;
use crate::broker::errors::{NOT_FOUND, failed};
use crate::broker::lease::{ChannelLease, ConnectionLease};
use crate::broker::open_once::{OpenOnce, Opened};
use crate::broker::publish::publisher::{PublishConnection, PublishOptions, Route};
use crate::broker::shared_task::SharedTask;
use crate::error::Error;
use crate::runtime::timer;
use crate::topology::Exchange;

/// How long an exchange that was not found is not looked for again.
const PATIENCE: Duration = Duration::from_millis(250);

/// A channel exception: it exists and is different.
const PRECONDITION_FAILED: u16 = 406;

/// A channel exception: a queue belongs to another connection.
const LOCKED: u16 = 405;

/// The key of the binding that keeps an exchange.
const KEEPING_KEY: &str = "leveret.keep";

/// What a connection knows of such exchanges.
#[derive(Default)]
pub(crate) struct Kept {
    /// What is published to them goes here.
    channel: OpenOnce<ChannelLease>,
    found: Arc<Found>,
    /// Keeps one of them, or looks for it.
    search: SharedTask,
}

/// What was found so far.
#[derive(Default)]
struct Found {
    /// Looks for exchanges: not finding one ends the channel, and it begins again.
    channel: OpenOnce<ChannelLease>,
    known: Mutex<HashMap<String, Known>>,
    /// What is bound to them; empty before there is any.
    queue: Mutex<String>,
}

/// What a search needs: the publishing connection owns the search, so not that.
struct Search {
    lent: ConnectionLease,
    declaring: Channel,
    found: Arc<Found>,
    exchange: Exchange,
}

#[derive(Clone, Copy)]
enum Known {
    /// It was kept when the connection had been lost so many times.
    Here(u64),
    /// It was not there, and is not looked for before then.
    Gone(Instant),
}

impl Kept {
    /// The channel that what is published to them goes through.
    pub(crate) fn channel(&self) -> Option<Opened<'_, ChannelLease>> {
        self.channel.get()
    }
}

impl Found {
    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, String> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an exchange was there when it was looked for, for a connection that has been lost
    /// so many times.
    fn is_here(&self, exchange: &str, reconnects: u64) -> Option<bool> {
        match self.known().get(exchange)? {
            Known::Here(losses) if *losses == reconnects => Some(true),
            Known::Gone(until) if timer::now() < *until => Some(false),
            _ => None,
        }
    }
}

impl PublishConnection {
    /// Declares an exchange and keeps it. One that exists and is of another kind is kept as it is.
    pub(crate) async fn keep(&self, exchange: &Exchange) -> Result<(), Error> {
        while self.has_found(exchange) != Some(true) {
            self.search(exchange, Search::declare_and_hold).await?;
        }
        Ok(())
    }

    /// Whether an exchange is there, and from now on kept.
    pub(crate) async fn finds(&self, exchange: &Exchange) -> Result<bool, Error> {
        loop {
            // Others may have looked meanwhile.
            if let Some(known) = self.has_found(exchange) {
                return Ok(known);
            }
            self.search(exchange, Search::look).await?;
        }
    }

    /// Searches for an exchange in this way, or waits for the search under way.
    async fn search<F>(&self, exchange: &Exchange, way: impl Fn(Search) -> F) -> Result<(), Error>
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let mut is_own = false;
        let begin = || {
            is_own = true;
            let search = Search {
                lent: self.lent().clone(),
                declaring: self.declaring().clone(),
                found: Arc::clone(&self.kept().found),
                exchange: exchange.clone(),
            };
            Box::pin(way(search)) as _
        };
        let searched = self.kept().search.run(begin).await;
        // What others failed with may be about their exchange.
        if is_own { searched } else { Ok(()) }
    }

    /// [`Self::finds`] as far as that is known without asking.
    pub(crate) fn has_found(&self, exchange: &Exchange) -> Option<bool> {
        self.kept().found.is_here(&exchange.name, self.reconnects())
    }

    /// An exchange turned out to be gone after all.
    pub(crate) fn lost(&self, exchange: &str) {
        self.kept().found.known().remove(exchange);
    }

    /// The road to a kept exchange.
    pub(crate) async fn kept_road(
        &self,
        names: (&str, &str),
        properties: &Properties,
        treatment: PublishOptions,
        refusals: Option<Arc<dyn RefusalSink>>,
    ) -> Result<Route, Error> {
        let channel = self.lent().channel_in(&self.kept().channel, ChannelOptions::default());
        Route::new(&*channel.await?, names, properties, treatment, refusals)
    }

    /// [`Self::kept_road`] for those who must not wait; `None` where nothing was ever published to
    /// such an exchange.
    pub(crate) fn kept_road_at_once(
        &self,
        names: (&str, &str),
        properties: &Properties,
        treatment: PublishOptions,
        refusals: Option<Arc<dyn RefusalSink>>,
    ) -> Option<Route> {
        let channel = self.kept().channel()?;
        Route::new(&channel, names, properties, treatment, refusals).ok()
    }
}

impl Search {
    async fn declare_and_hold(self) -> Result<(), Error> {
        match declare::exchange_once(&self.declaring, &self.exchange).await {
            Err(error) if error.reply_code() != Some(PRECONDITION_FAILED) => Err(failed(error)),
            _ => self.hold().await,
        }
    }

    async fn look(self) -> Result<(), Error> {
        let plain = ChannelOptions::default().with_confirms(false);
        let look = ExchangeDeclare {
            name: self.exchange.name.clone(),
            kind: self.exchange.kind.to_owned(),
            passive: true,
            ..ExchangeDeclare::default()
        };
        let channel = self.lent.channel_in(&self.found.channel, plain).await?;
        match channel.declare_exchange(look).await {
            Ok(()) => self.hold().await,
            Err(error) if error.reply_code() == Some(NOT_FOUND) => {
                let gone = Known::Gone(timer::deadline_in(PATIENCE));
                self.found.known().insert(self.exchange.name.clone(), gone);
                Ok(())
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Binds the queue of this connection to the exchange.
    async fn hold(&self) -> Result<(), Error> {
        let losses = self.lent.connection().reconnects();
        let declare = |name: String| {
            let queue = QueueDeclare { name, exclusive: true, ..QueueDeclare::default() };
            self.declaring.declare_queue(queue)
        };
        // It comes back with the connection, but not where the broker still took the one that was
        // lost for its owner.
        let known = self.found.queue().clone();
        let queue = match declare(known).await {
            Err(error) if error.reply_code() == Some(LOCKED) => declare(String::new()).await,
            declared => declared,
        };
        let queue = queue.map_err(failed)?.name;
        self.found.queue().clone_from(&queue);
        let exchange = self.exchange.name.clone();
        let routing_key = KEEPING_KEY.into();
        let bind = QueueBind { queue, exchange, routing_key, ..QueueBind::default() };
        self.declaring.bind_queue(bind).await.map_err(failed)?;
        self.found.known().insert(self.exchange.name.clone(), Known::Here(losses));
        Ok(())
    }
}

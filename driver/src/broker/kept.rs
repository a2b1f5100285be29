//! Exchanges that go with their last binding, kept by a binding of our own.
//!
//! Publishing to an exchange that is gone ends the channel (404), with everything unconfirmed on
//! it; nobody could tell then what became of that. So an exchange of that kind gets a queue of this
//! connection bound to it, under a key nobody publishes to, before anything is published there:
//! from then on what nobody listens for comes back (312), each message for itself. What goes there
//! has a channel of its own all the same. Invariant: an exchange that only others may declare is
//! looked for, never declared.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use leveret_engine::{
    ChannelOptions, ExchangeDeclare, Properties, QueueBind, QueueDeclare, RefusalSink,
};
use tokio::sync::OnceCell;

use super::factory::LentChannel;
use super::publisher::{Publishing, Road, Treatment};
use super::{NOT_FOUND, declare, failed};
use crate::error::Error;
use crate::target::entity::Exchange;
use crate::timer;

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
pub(super) struct Kept {
    /// What is published to them goes here.
    channel: OnceCell<LentChannel>,
    /// Looks for them: not finding one ends the channel, and it begins again.
    looking: tokio::sync::Mutex<Option<LentChannel>>,
    known: Mutex<HashMap<String, Known>>,
    /// What is bound to them; empty before there is any.
    queue: Mutex<String>,
}

#[derive(Clone, Copy)]
enum Known {
    /// It was kept when the connection had been lost so many times.
    Here(u64),
    /// It was not there, and is not looked for before then.
    Gone(Instant),
}

impl Kept {
    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, String> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The channel that what is published to them goes through.
    pub(super) fn channel(&self) -> Option<&LentChannel> {
        self.channel.get()
    }
}

impl Publishing {
    /// Declares an exchange and keeps it. One that exists and is of another kind is kept as it is.
    pub(crate) async fn keep(&self, exchange: &Exchange) -> Result<(), Error> {
        if self.has_found(exchange) == Some(true) {
            return Ok(());
        }
        let _alone = self.kept().looking.lock().await;
        if self.has_found(exchange) == Some(true) {
            return Ok(());
        }
        match declare::exchange_once(self.declaring(), exchange).await {
            Err(error) if error.reply_code() != Some(PRECONDITION_FAILED) => Err(failed(error)),
            _ => self.hold(exchange).await,
        }
    }

    /// Whether an exchange is there, and from now on kept.
    pub(crate) async fn finds(&self, exchange: &Exchange) -> Result<bool, Error> {
        let mut looking = self.kept().looking.lock().await;
        // Somebody else may have looked meanwhile.
        if let Some(known) = self.has_found(exchange) {
            return Ok(known);
        }
        let channel = match &mut *looking {
            Some(channel) => channel,
            none => none.insert(self.open_plain_channel().await?),
        };
        let look = ExchangeDeclare {
            name: exchange.name.clone(),
            kind: exchange.kind.to_owned(),
            passive: true,
            ..ExchangeDeclare::default()
        };
        match channel.declare_exchange(look).await {
            Ok(()) => self.hold(exchange).await.map(|()| true),
            Err(error) if error.reply_code() == Some(NOT_FOUND) => {
                let gone = Known::Gone(timer::deadline_in(PATIENCE));
                self.kept().known().insert(exchange.name.clone(), gone);
                Ok(false)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// [`Self::finds`] as far as that is known without asking.
    pub(crate) fn has_found(&self, exchange: &Exchange) -> Option<bool> {
        match self.kept().known().get(&exchange.name)? {
            Known::Here(losses) if *losses == self.reconnects() => Some(true),
            Known::Gone(until) if timer::now() < *until => Some(false),
            _ => None,
        }
    }

    /// An exchange turned out to be gone after all.
    pub(crate) fn lost(&self, exchange: &str) {
        self.kept().known().remove(exchange);
    }

    /// Binds the queue of this connection to an exchange.
    async fn hold(&self, exchange: &Exchange) -> Result<(), Error> {
        let losses = self.reconnects();
        let declare = |name: String| {
            let queue = QueueDeclare { name, exclusive: true, ..QueueDeclare::default() };
            self.declaring().declare_queue(queue)
        };
        // It comes back with the connection, but not where the broker still took the one that was
        // lost for its owner.
        let known = self.kept().queue().clone();
        let queue = match declare(known).await {
            Err(error) if error.reply_code() == Some(LOCKED) => declare(String::new()).await,
            declared => declared,
        };
        let queue = queue.map_err(failed)?.name;
        self.kept().queue().clone_from(&queue);
        let bind = QueueBind {
            queue,
            exchange: exchange.name.clone(),
            routing_key: KEEPING_KEY.into(),
            ..QueueBind::default()
        };
        self.declaring().bind_queue(bind).await.map_err(failed)?;
        self.kept().known().insert(exchange.name.clone(), Known::Here(losses));
        Ok(())
    }

    /// The road to a kept exchange.
    pub(crate) async fn kept_road(
        &self,
        names: (&str, &str),
        properties: &Properties,
        treatment: Treatment,
        refusals: Option<Arc<dyn RefusalSink>>,
    ) -> Result<Road, Error> {
        let open = || self.open_channel(ChannelOptions::default());
        let channel = self.kept().channel.get_or_try_init(open).await?;
        Road::new(channel, names, properties, treatment, refusals)
    }

    /// [`Self::kept_road`] for those who must not wait; `None` where nothing was ever published to
    /// such an exchange.
    pub(crate) fn kept_road_at_once(
        &self,
        names: (&str, &str),
        properties: &Properties,
        treatment: Treatment,
        refusals: Option<Arc<dyn RefusalSink>>,
    ) -> Option<Road> {
        let channel = self.kept().channel()?;
        Road::new(channel, names, properties, treatment, refusals).ok()
    }
}

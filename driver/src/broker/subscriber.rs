//! Consumers of several queues on one channel.
//!
//! Unless the factory says otherwise, subscribers share no connection with each other or with
//! publishers: then a slow consumer delays no other, and consumers go on while RabbitMQ blocks
//! publishers. A subscriber with an exclusive queue never shares: the queue is deleted with its
//! connection.

use std::collections::HashSet;
use std::future::{Future, poll_fn};
use std::task::Poll;

use leveret_engine::{
    Channel, ChannelOptions, Consume, ConsumerHandle, DeliverySink, QueueBind, QueueDeclare,
};

use crate::broker::connections::Connections;
use crate::broker::declare;
use crate::broker::errors::{NOT_FOUND, from_engine};
use crate::broker::lease::{ChannelLease, ConnectionLease};
use crate::broker::open_once::{OpenOnce, Opened};
use crate::broker::purpose::Purpose;
use crate::broker::stream_sink::StreamSink;
use crate::error::Error;
use crate::observe::health::{ConnectionHealth, ConsumerHealth};
use crate::observe::metrics::ConnectionMetrics;
use crate::topology::{Exchange, Subscription};

/// Attempts to consume from a queue: a server that stops may delete it after its declaration.
const CONSUME_ATTEMPTS: usize = 4;

/// The channel exception of a conditional delete: the queue is in use, or not empty.
const PRECONDITION_FAILED: u16 = 406;
/// RabbitMQ's text for the latter.
const NOT_EMPTY: &str = "not empty";

/// Consumers on a channel of their own.
pub(crate) struct Subscriber {
    lease: ConnectionLease,
    channel: ChannelLease,
    /// The channel for operations that RabbitMQ may refuse.
    removing: OpenOnce<ChannelLease>,
    consumers: Vec<QueueConsumer>,
}

/// A consumer and the queue it consumes from.
struct QueueConsumer {
    queue: String,
    handle: ConsumerHandle,
}

/// The result of removing a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removed {
    /// It was deleted.
    Done,
    /// It has consumers.
    InUse,
    /// It has messages.
    NotEmpty,
}

/// Consumer tags, counted from 1 as by py-amqp.
#[derive(Default)]
struct Tags(u32);

impl Tags {
    fn next(&mut self) -> String {
        self.0 += 1;
        self.0.to_string()
    }
}

impl Subscriber {
    /// Connects, declares all queues, then consumes from each in order, into the sink that `sink`
    /// returns for it. A queue with several bindings has several subscriptions and one consumer.
    pub(crate) async fn open(
        connections: &Connections,
        purpose: Purpose,
        prefetch: u16,
        subscriptions: &[Subscription],
        sink: impl Fn(&Subscription) -> Box<dyn DeliverySink>,
    ) -> Result<Self, Error> {
        let is_exclusive = |one: &Subscription| one.queue.exclusive;
        let may_share = purpose == Purpose::Replies || !subscriptions.iter().any(is_exclusive);
        let lease = match may_share {
            true => connections.lease(purpose, 0).await?,
            false => connections.lease_own(purpose).await?,
        };
        let options = ChannelOptions::default().with_confirms(false).with_prefetch(prefetch);
        let channel = lease.open_channel(options).await?;
        for subscription in subscriptions {
            declare::subscription(&channel, subscription).await?;
        }
        let mut tags = Tags::default();
        let mut consumers = Vec::new();
        let mut consumed = HashSet::new();
        for subscription in subscriptions {
            if !consumed.insert(&subscription.queue.name) {
                continue;
            }
            let mut consume = Consume::from_queue(subscription.queue.name.clone());
            consume.consumer_tag = tags.next();
            consume.no_ack = subscription.queue.no_ack;
            consume.arguments = declare::table(&subscription.queue.consume_arguments);
            let sink = || match subscription.queue.is_stream() {
                true => Box::new(StreamSink::new(sink(subscription))),
                false => sink(subscription),
            };
            let queue = subscription.queue.name.clone();
            let handle = consume_from(&channel, subscription, consume, sink).await?;
            consumers.push(QueueConsumer { queue, handle });
        }
        Ok(Self { lease, channel, removing: OpenOnce::default(), consumers })
    }

    /// Removes the binding of a queue. What the queue holds is still delivered.
    pub(crate) async fn unbind(&self, subscription: &Subscription) -> Result<(), Error> {
        let Some((exchange, routing_key)) = &subscription.binding else { return Ok(()) };
        let unbind = QueueBind {
            queue: subscription.queue.name.clone(),
            exchange: exchange.name.clone(),
            routing_key: routing_key.clone(),
            ..QueueBind::default()
        };
        self.channel.unbind_queue(unbind).await.map_err(from_engine)
    }

    /// Declares an exchange and binds a queue to it by the queue's name.
    pub(crate) async fn bind(&self, queue: &str, exchange: &Exchange) -> Result<(), Error> {
        declare::exchange(&self.channel, exchange).await?;
        let bind = QueueBind {
            queue: queue.to_owned(),
            exchange: exchange.name.clone(),
            routing_key: queue.to_owned(),
            ..QueueBind::default()
        };
        self.channel.bind_queue(bind).await.map_err(from_engine)
    }

    /// Returns the number of messages in a queue that are not delivered yet. Everything that was
    /// delivered before has arrived when this returns.
    pub(crate) async fn count_ready(&self, queue: &str) -> Result<u32, Error> {
        let name = queue.to_owned();
        let passive = QueueDeclare { name, passive: true, ..QueueDeclare::default() };
        self.channel.declare_queue(passive).await.map(|queue| queue.messages).map_err(from_engine)
    }

    /// Cancels all consumers. They take no more deliveries even where this fails.
    ///
    /// # Errors
    /// The first error of a consumer.
    pub(crate) async fn cancel(&self) -> Result<(), Error> {
        let cancelled = join_all(self.consumers.iter().map(|one| one.handle.cancel())).await;
        cancelled.into_iter().collect::<Result<(), _>>().map_err(from_engine)
    }

    /// Whether a queue exists and has no consumers.
    pub(crate) async fn is_unused(&self, queue: &str) -> Result<bool, Error> {
        let name = queue.to_owned();
        let passive = QueueDeclare { name, passive: true, ..QueueDeclare::default() };
        match self.removing().await?.declare_queue(passive).await {
            Ok(queue) => Ok(queue.consumers == 0),
            Err(error) if error.reply_code() == Some(NOT_FOUND) => Ok(false),
            Err(error) => Err(from_engine(error)),
        }
    }

    /// Deletes a queue unless it has consumers or messages.
    ///
    /// RabbitMQ confirms a message that it routed to a queue which is deleted in the meantime, and
    /// drops it. A caller that must lose no message [unbinds](Self::unbind) the queue first, and
    /// waits.
    pub(crate) async fn remove(&self, queue: &str) -> Result<Removed, Error> {
        match self.removing().await?.delete_queue(queue, true, true).await {
            Ok(_) => Ok(Removed::Done),
            Err(error) if error.reply_code() == Some(PRECONDITION_FAILED) => {
                let is_full = error.to_string().contains(NOT_EMPTY);
                Ok(if is_full { Removed::NotEmpty } else { Removed::InUse })
            }
            Err(error) => Err(from_engine(error)),
        }
    }

    /// The channel for operations that RabbitMQ may refuse: a refusal closes the channel, so it has
    /// no consumers.
    async fn removing(&self) -> Result<Opened<'_, ChannelLease>, Error> {
        let options = ChannelOptions::default().with_confirms(false);
        self.lease.channel_in(&self.removing, options).await
    }

    /// Undoes an [`unbind`](Self::unbind).
    pub(crate) async fn rebind(&self, subscription: &Subscription) -> Result<(), Error> {
        declare::subscription(&self.channel, subscription).await
    }

    /// Consumes from a queue with another consumer.
    pub(crate) async fn consume_again(
        &self,
        queue: &str,
        no_ack: bool,
        sink: Box<dyn DeliverySink>,
    ) -> Result<ConsumerHandle, Error> {
        let consume = Consume { no_ack, ..Consume::from_queue(queue) };
        self.channel.consume_with(consume, sink).await.map_err(from_engine)
    }

    /// Whether its connection is not shared.
    pub(crate) fn has_own_connection(&self) -> bool {
        !self.lease.is_shared()
    }

    /// The first of its consumers.
    pub(crate) fn consumer(&self) -> Option<ConsumerHandle> {
        self.consumers.first().map(|one| one.handle.clone())
    }

    /// Deletes a queue whatever uses it or is in it.
    pub(crate) async fn delete_queue(&self, name: &str) -> Result<(), Error> {
        self.channel.delete_queue(name, false, false).await.map(drop).map_err(from_engine)
    }

    /// Closes the connection; where it is shared, closes the channel.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        match self.lease.close_own().await? {
            true => Ok(()),
            false => self.channel.close().await.map_err(from_engine),
        }
    }

    /// Whether the connection is closed and will not reconnect.
    pub(crate) fn is_closed(&self) -> bool {
        self.lease.is_closed()
    }

    /// The state of the connection.
    pub(crate) fn health(&self) -> ConnectionHealth {
        self.lease.health()
    }

    /// The state of each of its consumers.
    pub(crate) fn consumers(&self) -> Vec<ConsumerHealth> {
        let health = |QueueConsumer { queue, handle }: &QueueConsumer| {
            let status = handle.status();
            ConsumerHealth { queue: queue.clone(), state: status.state, since: status.since }
        };
        self.consumers.iter().map(health).collect()
    }

    /// The counters of the connection, and what the channel holds.
    pub(crate) fn metrics(&self) -> ConnectionMetrics {
        self.lease.metrics([&*self.channel])
    }

    /// How often the connection was lost.
    pub(crate) fn reconnects(&self) -> u64 {
        self.lease.connection().reconnects()
    }
}

/// Dropping it closes the channel, so its sinks get no more deliveries whatever still holds them.
impl Drop for Subscriber {
    fn drop(&mut self) {
        self.channel.close_in_background();
    }
}

/// Consumes from a queue that was declared. Declares it again if it was deleted in between: a
/// server that stops deletes its queues.
async fn consume_from(
    channel: &Channel,
    subscription: &Subscription,
    consume: Consume,
    sink: impl Fn() -> Box<dyn DeliverySink>,
) -> Result<ConsumerHandle, Error> {
    for _ in 1..CONSUME_ATTEMPTS {
        match channel.consume_with(consume.clone(), sink()).await {
            Err(error) if error.reply_code() == Some(NOT_FOUND) => {
                declare::subscription(channel, subscription).await?;
            }
            consumed => return consumed.map_err(from_engine),
        }
    }
    channel.consume_with(consume, sink()).await.map_err(from_engine)
}

/// Awaits all futures concurrently: a broker that does not answer costs one deadline.
async fn join_all<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    poll_fn(|cx| {
        for (one, output) in running.iter_mut().filter(|(_, output)| output.is_none()) {
            if let Poll::Ready(ready) = one.as_mut().poll(cx) {
                *output = Some(ready);
            }
        }
        match running.iter().all(|(_, output)| output.is_some()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    running.into_iter().filter_map(|(_, output)| output).collect()
}

//! A channel that listens: its queues declared, a sink behind each.
//!
//! Unless the factory says otherwise, listeners share no connection with each other or with
//! publishers, so that one that is slow or a broker that blocks publishers holds up nobody else.
//! Where a server's queue is exclusive they never do: it goes with its connection.

use std::collections::HashSet;
use std::future::{Future, poll_fn};
use std::task::Poll;

use leveret_engine::{
    Channel, ChannelOptions, Consume, ConsumerHandle, DeliverySink, QueueBind, QueueDeclare,
};

use crate::broker::connections::Connections;
use crate::broker::declare;
use crate::broker::errors::{NOT_FOUND, failed};
use crate::broker::lease::{ChannelLease, ConnectionLease, Purpose, health_of, metrics_of};
use crate::broker::open_once::{OpenOnce, Opened};
use crate::broker::stream_sink::StreamSink;
use crate::error::Error;
use crate::observe::health::{ConnectionHealth, ConsumerHealth};
use crate::observe::metrics::ConnectionMetrics;
use crate::topology::{Exchange, Subscription};

/// How often a queue may be removed between its declaration and its consumption.
const CONSUME_ATTEMPTS: usize = 4;

/// A channel exception: the queue is used, or not empty.
const PRECONDITION_FAILED: u16 = 406;
/// How RabbitMQ says the latter.
const NOT_EMPTY: &str = "not empty";

/// Consumers on a channel of their own.
pub(crate) struct Subscriber {
    lease: ConnectionLease,
    channel: ChannelLease,
    /// For what may be refused.
    removing: OpenOnce<ChannelLease>,
    consumers: Vec<QueueConsumer>,
}

/// A consumer and the queue it consumes from.
struct QueueConsumer {
    queue: String,
    handle: ConsumerHandle,
}

/// What became of a queue that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removed {
    /// It is gone.
    Done,
    /// Somebody consumes from it.
    InUse,
    /// There is something in it.
    NotEmpty,
}

/// Consumer tags as py-amqp counts them.
#[derive(Default)]
struct Tags(u32);

impl Tags {
    fn next(&mut self) -> String {
        self.0 += 1;
        self.0.to_string()
    }
}

impl Subscriber {
    /// Connects, declares everything, then consumes, each queue into the sink that `sink` makes for
    /// it, in their order; a queue with several bindings is named by several subscriptions and
    /// consumed once.
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
            let handle = consumed_from(&channel, subscription, consume, sink).await?;
            consumers.push(QueueConsumer { queue, handle });
        }
        Ok(Self { lease, channel, removing: OpenOnce::default(), consumers })
    }

    /// Asks the broker to send nothing more to this queue; what is there still comes.
    pub(crate) async fn unbind(&self, subscription: &Subscription) -> Result<(), Error> {
        let Some((exchange, routing_key)) = &subscription.binding else { return Ok(()) };
        let unbind = QueueBind {
            queue: subscription.queue.name.clone(),
            exchange: exchange.name.clone(),
            routing_key: routing_key.clone(),
            ..QueueBind::default()
        };
        self.channel.unbind_queue(unbind).await.map_err(failed)
    }

    /// Declares an exchange that gives a queue what is meant for its name.
    pub(crate) async fn bind(&self, queue: &str, exchange: &Exchange) -> Result<(), Error> {
        declare::exchange(&self.channel, exchange).await?;
        let bind = QueueBind {
            queue: queue.to_owned(),
            exchange: exchange.name.clone(),
            routing_key: queue.to_owned(),
            ..QueueBind::default()
        };
        self.channel.bind_queue(bind).await.map_err(failed)
    }

    /// Messages of a queue that the broker has not delivered yet; what it has delivered came
    /// before the answer.
    pub(crate) async fn ready(&self, queue: &str) -> Result<u32, Error> {
        let name = queue.to_owned();
        let ask = QueueDeclare { name, passive: true, ..QueueDeclare::default() };
        self.channel.declare_queue(ask).await.map(|queue| queue.messages).map_err(failed)
    }

    /// Asks the broker to deliver no more, to any of the consumers; nothing is taken any more even
    /// where it does not agree. Tells the first error.
    pub(crate) async fn cancel(&self) -> Result<(), Error> {
        let cancelled = side_by_side(self.consumers.iter().map(|one| one.handle.cancel())).await;
        cancelled.into_iter().collect::<Result<(), _>>().map_err(failed)
    }

    /// Whether nobody consumes from a queue, so far as that is known: one that is gone counts as
    /// used.
    pub(crate) async fn is_unused(&self, queue: &str) -> Result<bool, Error> {
        let name = queue.to_owned();
        let ask = QueueDeclare { name, passive: true, ..QueueDeclare::default() };
        match self.removing().await?.declare_queue(ask).await {
            Ok(queue) => Ok(queue.consumers == 0),
            Err(error) if error.reply_code() == Some(NOT_FOUND) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    /// Removes a queue unless somebody consumes from it or there is something in it.
    ///
    /// RabbitMQ confirms what it has routed to a queue that is removed meanwhile, and forgets it:
    /// whoever wants no message lost has [unbound](Self::unbind) the queue before, and waited.
    pub(crate) async fn remove(&self, queue: &str) -> Result<Removed, Error> {
        match self.removing().await?.delete_queue(queue, true, true).await {
            Ok(_) => Ok(Removed::Done),
            Err(error) if error.reply_code() == Some(PRECONDITION_FAILED) => {
                let is_full = error.to_string().contains(NOT_EMPTY);
                Ok(if is_full { Removed::NotEmpty } else { Removed::InUse })
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// The channel for what may be refused: that ends it, so deliveries of ours must not be on it.
    async fn removing(&self) -> Result<Opened<'_, ChannelLease>, Error> {
        let options = ChannelOptions::default().with_confirms(false);
        self.lease.channel_in(&self.removing, options).await
    }

    /// Takes back an [`unbind`](Self::unbind).
    pub(crate) async fn rebind(&self, subscription: &Subscription) -> Result<(), Error> {
        declare::subscription(&self.channel, subscription).await
    }

    /// Consumes from a queue once more.
    pub(crate) async fn consume_again(
        &self,
        queue: &str,
        no_ack: bool,
        sink: Box<dyn DeliverySink>,
    ) -> Result<ConsumerHandle, Error> {
        let consume = Consume { no_ack, ..Consume::from_queue(queue) };
        self.channel.consume_with(consume, sink).await.map_err(failed)
    }

    /// Whether no publisher and no other consumer of the transport uses its connection.
    pub(crate) fn has_own_connection(&self) -> bool {
        !self.lease.is_shared()
    }

    /// One of its consumers.
    pub(crate) fn consumer(&self) -> Option<ConsumerHandle> {
        self.consumers.first().map(|one| one.handle.clone())
    }

    /// Deletes a queue that only this listener used.
    pub(crate) async fn delete_queue(&self, name: &str) -> Result<(), Error> {
        self.channel.delete_queue(name, false, false).await.map(drop).map_err(failed)
    }

    /// Ends the connection, or where others use it, the channel.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        match self.lease.close_own().await? {
            true => Ok(()),
            false => self.channel.close().await.map_err(failed),
        }
    }

    /// Whether the connection has ended for good.
    pub(crate) fn is_closed(&self) -> bool {
        self.lease.is_closed()
    }

    /// Where the connection stands.
    pub(crate) fn health(&self) -> ConnectionHealth {
        health_of(&self.lease)
    }

    /// How each of its consumers is doing.
    pub(crate) fn consumers(&self) -> Vec<ConsumerHealth> {
        let health = |QueueConsumer { queue, handle }: &QueueConsumer| {
            let status = handle.status();
            ConsumerHealth { queue: queue.clone(), state: status.state, since: status.since }
        };
        self.consumers.iter().map(health).collect()
    }

    /// What the connection has done, and what the channel holds.
    pub(crate) fn metrics(&self) -> ConnectionMetrics {
        metrics_of(&self.lease, [&*self.channel])
    }

    /// How often the connection was lost.
    pub(crate) fn reconnects(&self) -> u64 {
        self.lease.connection().reconnects()
    }
}

/// One that is dropped without a word takes nothing more, whoever its sinks are held by.
impl Drop for Subscriber {
    fn drop(&mut self) {
        self.channel.close_in_background();
    }
}

/// Consumes from a queue that was declared; again, if whoever consumed from it before has removed
/// it in between, as servers do that stop.
async fn consumed_from(
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
            settled => return settled.map_err(failed),
        }
    }
    channel.consume_with(consume, sink()).await.map_err(failed)
}

/// Awaits all of them, each from the beginning: a broker that does not answer costs one deadline.
async fn side_by_side<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
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

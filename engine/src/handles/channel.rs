//! The handle of a channel: declares the topology, creates publishers and consumers.

use std::sync::Arc;

use amq_protocol::protocol::{AMQPClass, basic, exchange, queue};

use crate::declare::{
    Consume, ExchangeBind, ExchangeDeclare, QueueBind, QueueDeclare, QueueDeclared, short_string,
    unique_name,
};
use crate::error::{Error, ErrorKind};
use crate::handles::consumer::{Consumer, ConsumerHandle};
use crate::handles::inbox::Inbox;
use crate::handles::lease::Lease;
use crate::handles::publisher::Publisher;
use crate::handles::route::Route;
use crate::shard::border::consumer_status::ConsumerShared;
use crate::shard::border::shared::{ChannelShared, ConsumeRequest, Operation, Response};
use crate::shard::border::sink::{ContainedSink, DeliverySink};
use crate::wire::properties::Properties;

/// An open channel. Cloning is cheap.
///
/// A channel exception (404, 405, 406 …) fails the operation that caused it and everything
/// unconfirmed on the channel. The engine then opens the channel again under the same number and
/// restarts its consumers.
#[derive(Clone)]
pub struct Channel {
    shared: Arc<ChannelShared>,
    lease: Arc<Lease>,
}

impl Channel {
    pub(crate) fn new(shared: Arc<ChannelShared>, lease: Arc<Lease>) -> Self {
        Self { shared, lease }
    }

    /// Returns its number on the connection.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.shared.number
    }

    /// Returns the number of bytes in its outbox, waiting to be sent or sent and unconfirmed. See
    /// [`ConnectionConfig::outbox_bytes`](crate::ConnectionConfig::outbox_bytes).
    #[must_use]
    pub fn outbox_bytes(&self) -> usize {
        self.shared.outbox.bytes()
    }

    /// Returns true if the channel has ended for good: it was closed, or its connection has ended.
    /// A channel that the broker closed with an exception has not ended, because the engine opens
    /// it again; nor has a channel whose connection is lost and will be restored.
    /// ```no_run
    /// # fn example(channel: leveret_engine::Channel) {
    /// if channel.is_closed() {
    ///     println!("channel {} has ended", channel.number());
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.outbox.is_closed()
    }

    async fn method(&self, method: AMQPClass, keep: bool) -> Result<AMQPClass, Error> {
        let channel = Arc::clone(&self.shared);
        match self.shared.connection.ask(Operation::Method { channel, method, keep }).await? {
            Response::Method(reply) => Ok(reply),
            Response::Done | Response::Channel(_) => Err(Error::stopped()),
        }
    }

    /// Declares an exchange (AMQP 1.7.2.1), or only checks whether it exists (`passive`).
    ///
    /// # Errors
    /// `ChannelClosed` with 406 if it exists with other properties, with 404 if `passive` and
    /// missing; `TimedOut`, `ConnectionClosed`, `Stopped`. The same holds for every operation of a
    /// channel.
    pub async fn declare_exchange(&self, declare: ExchangeDeclare) -> Result<(), Error> {
        let passive = declare.passive;
        self.method(declare.method()?, !passive).await.map(drop)
    }

    /// Declares a queue (AMQP 1.7.2.1), or only checks whether it exists (`passive`). The engine
    /// replaces an empty name by a unique one, so that the queue keeps its name after a reconnect.
    ///
    /// # Errors
    /// As [`Channel::declare_exchange`]; 405 if the queue is exclusive to another connection.
    pub async fn declare_queue(&self, declare: QueueDeclare) -> Result<QueueDeclared, Error> {
        let passive = declare.passive;
        match self.method(declare.method()?, !passive).await? {
            AMQPClass::Queue(queue::AMQPMethod::DeclareOk(ok)) => Ok(QueueDeclared {
                name: ok.queue.to_string(),
                messages: ok.message_count,
                consumers: ok.consumer_count,
            }),
            _ => Err(Error::stopped()),
        }
    }

    /// Binds a queue to an exchange.
    ///
    /// # Errors
    /// As [`Channel::declare_exchange`]; 404 if the queue or the exchange is missing.
    pub async fn bind_queue(&self, bind: QueueBind) -> Result<(), Error> {
        self.method(bind.method()?, true).await.map(drop)
    }

    /// Removes a binding between a queue and an exchange.
    ///
    /// # Errors
    /// As [`Channel::declare_exchange`].
    pub async fn unbind_queue(&self, unbind: QueueBind) -> Result<(), Error> {
        self.method(unbind.unbind_method()?, false).await.map(drop)
    }

    /// Binds an exchange to another (RabbitMQ extension).
    ///
    /// # Errors
    /// As [`Channel::declare_exchange`].
    pub async fn bind_exchange(&self, bind: ExchangeBind) -> Result<(), Error> {
        self.method(bind.method()?, true).await.map(drop)
    }

    /// Deletes an exchange.
    ///
    /// # Errors
    /// As [`Channel::declare_exchange`]; 406 if `if_unused` is set and the exchange has a binding.
    pub async fn delete_exchange(&self, exchange: &str, if_unused: bool) -> Result<(), Error> {
        let delete =
            exchange::Delete { exchange: short_string(exchange)?, if_unused, nowait: false };
        let method = AMQPClass::Exchange(exchange::AMQPMethod::Delete(delete));
        self.method(method, false).await.map(drop)
    }

    /// Deletes a queue and returns the number of messages deleted with it.
    ///
    /// # Errors
    /// As [`Channel::declare_exchange`]; 406 if the queue is in use or not empty against
    /// `if_unused` or `if_empty`.
    pub async fn delete_queue(
        &self,
        queue: &str,
        if_unused: bool,
        if_empty: bool,
    ) -> Result<u32, Error> {
        let delete =
            queue::Delete { queue: short_string(queue)?, if_unused, if_empty, nowait: false };
        match self.method(AMQPClass::Queue(queue::AMQPMethod::Delete(delete)), false).await? {
            AMQPClass::Queue(queue::AMQPMethod::DeleteOk(ok)) => Ok(ok.message_count),
            _ => Err(Error::stopped()),
        }
    }

    /// Deletes the ready messages of a queue and returns their number.
    ///
    /// # Errors
    /// As [`Channel::declare_exchange`].
    pub async fn purge_queue(&self, queue: &str) -> Result<u32, Error> {
        let purge = queue::Purge { queue: short_string(queue)?, nowait: false };
        match self.method(AMQPClass::Queue(queue::AMQPMethod::Purge(purge)), false).await? {
            AMQPClass::Queue(queue::AMQPMethod::PurgeOk(ok)) => Ok(ok.message_count),
            _ => Err(Error::stopped()),
        }
    }

    /// Sets the prefetch limit of consumers that start later on this channel (`basic.qos`, per
    /// consumer; 0 means no limit).
    ///
    /// # Errors
    /// As [`Channel::declare_exchange`].
    pub async fn set_prefetch(&self, prefetch: u16) -> Result<(), Error> {
        let qos = basic::Qos { prefetch_count: prefetch, global: false };
        self.method(AMQPClass::Basic(basic::AMQPMethod::Qos(qos)), false).await.map(drop)
    }

    /// Creates a publisher for one route and one set of properties. Rendering them once makes each
    /// publication cheap, so create a publisher once and reuse it; cloning is cheap.
    ///
    /// # Errors
    /// `Config` if a name is longer than 255 bytes or the properties do not fit one frame of 8192
    /// bytes.
    pub fn publisher(&self, route: Route, properties: &Properties) -> Result<Publisher, Error> {
        Publisher::new(Arc::clone(&self.shared), Arc::clone(&self.lease), route, properties)
    }

    /// Consumes into a bounded inbox, from which any thread or task takes deliveries.
    ///
    /// While the inbox is full, the engine does not read its connection (heartbeats continue). Give
    /// a consumer without a prefetch limit a connection of its own.
    ///
    /// The engine restarts a consumer that has started until its handle cancels it: after its queue
    /// was deleted, moved, locked or refused, and after every loss of the connection.
    /// [`ConsumerHandle::status`] says whether it consumes, and otherwise why it waits.
    ///
    /// # Errors
    /// As [`Channel::declare_exchange`]; 403 if another consumer is exclusive.
    pub async fn consume(&self, consume: Consume) -> Result<Consumer, Error> {
        let inbox = Inbox::new(&consume, Arc::clone(&self.shared.connection.read_bell));
        let handle = self.consume_with(consume, Box::new(inbox.sink())).await?;
        Ok(Consumer::new(inbox, handle))
    }

    /// Consumes into a sink that runs on the shard's thread. This has the lowest latency; the sink
    /// must not block.
    ///
    /// # Errors
    /// As [`Channel::consume`].
    pub async fn consume_with(
        &self,
        consume: Consume,
        sink: Box<dyn DeliverySink>,
    ) -> Result<ConsumerHandle, Error> {
        short_string(&consume.queue)?;
        let tag = consume.consumer_tag.clone();
        short_string(&tag)?;
        let consumer_tag = if tag.is_empty() { unique_name("ctag") } else { tag };
        let consume = ConsumeRequest {
            queue: consume.queue,
            consumer_tag: consumer_tag.clone(),
            no_ack: consume.no_ack,
            exclusive: consume.exclusive,
            arguments: consume.arguments,
        };
        let (channel, status) = (Arc::clone(&self.shared), Arc::new(ConsumerShared::new()));
        let shared = Arc::clone(&status);
        let connection = &self.shared.connection;
        let sink = ContainedSink::new(sink, connection.outcomes.panics());
        connection.ask(Operation::Consume { channel, consume, sink, shared }).await?;
        let (channel, lease) = (Arc::clone(&self.shared), Arc::clone(&self.lease));
        Ok(ConsumerHandle::new(channel, consumer_tag, status, lease))
    }

    /// Sends what is in the outbox and closes the channel. Publications that are still unconfirmed
    /// end as `MaybeSent`. Does nothing if it is closed.
    ///
    /// # Errors
    /// As [`Channel::declare_exchange`].
    pub async fn close(&self) -> Result<(), Error> {
        let channel = Arc::clone(&self.shared);
        match self.shared.connection.ask(Operation::CloseChannel { channel }).await {
            // It ended with its connection.
            Err(error) if error.kind() == ErrorKind::Stopped && self.is_closed() => Ok(()),
            closed => closed.map(drop),
        }
    }

    /// Closes the channel without waiting for it, otherwise as [`Channel::close`]: publications in
    /// the outbox are still sent, consumers accept no more deliveries, and if the connection is
    /// down, the channel does not return with it.
    ///
    /// ```no_run
    /// # use leveret_engine::Channel;
    /// # fn example(channel: Channel) {
    /// channel.close_in_background();
    /// # }
    /// ```
    pub fn close_in_background(&self) {
        let channel = Arc::clone(&self.shared);
        self.shared.connection.post(Operation::CloseChannel { channel });
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("number", &self.shared.number).finish_non_exhaustive()
    }
}

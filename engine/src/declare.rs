//! Parameters of `exchange.declare`, `queue.declare`, bindings and `basic.consume`.

use std::sync::atomic::{AtomicU64, Ordering};

use amq_protocol::protocol::{AMQPClass, exchange, queue};
use amq_protocol::types::{FieldTable, ShortString};

use crate::error::{Error, ErrorKind};

/// Parameters of an exchange declaration (AMQP 1.7.2.1, `exchange.declare`).
#[derive(Clone, Debug, Default)]
pub struct ExchangeDeclare {
    /// Name; the broker reserves the prefix `amq.`.
    pub name: String,
    /// `direct`, `topic`, `fanout`, `headers`, or a plugin's type.
    pub kind: String,
    /// The exchange survives a restart of the broker.
    pub durable: bool,
    /// The broker deletes the exchange when its last binding is removed.
    pub auto_delete: bool,
    /// Clients cannot publish to the exchange (RabbitMQ extension).
    pub internal: bool,
    /// Only checks whether the exchange exists.
    pub passive: bool,
    /// Optional arguments (`x-…`).
    pub arguments: FieldTable,
}

/// Parameters of a queue declaration (AMQP 1.7.2.1, `queue.declare`).
#[derive(Clone, Debug, Default)]
pub struct QueueDeclare {
    /// Name; if empty, the engine generates a unique one.
    pub name: String,
    /// The queue survives a restart of the broker.
    pub durable: bool,
    /// Only this connection can use the queue; the broker deletes it when the connection closes.
    pub exclusive: bool,
    /// The broker deletes the queue when its last consumer is gone.
    pub auto_delete: bool,
    /// Only checks whether the queue exists.
    pub passive: bool,
    /// `x-expires`, `x-max-length`, `x-queue-type` … (RabbitMQ).
    pub arguments: FieldTable,
}

/// The broker's reply to a queue declaration (`queue.declare-ok`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueDeclared {
    /// Name of the queue.
    pub name: String,
    /// Messages ready to be delivered.
    pub messages: u32,
    /// Number of consumers of the queue.
    pub consumers: u32,
}

/// Parameters of a binding between a queue and an exchange (`queue.bind`).
#[derive(Clone, Debug, Default)]
pub struct QueueBind {
    /// The queue.
    pub queue: String,
    /// The exchange.
    pub exchange: String,
    /// Routing key; its meaning depends on the type of the exchange.
    pub routing_key: String,
    /// Arguments of a headers exchange or of a plugin.
    pub arguments: FieldTable,
}

/// Parameters of a binding between two exchanges (`exchange.bind`, RabbitMQ extension).
#[derive(Clone, Debug, Default)]
pub struct ExchangeBind {
    /// The exchange that receives the messages.
    pub destination: String,
    /// The exchange that the messages come from.
    pub source: String,
    /// Routing key; its meaning depends on the type of the source.
    pub routing_key: String,
    /// Optional arguments.
    pub arguments: FieldTable,
}

/// Parameters of a consumer (AMQP 1.8.3.3, `basic.consume`).
#[derive(Clone, Debug)]
pub struct Consume {
    /// The queue.
    pub queue: String,
    /// Consumer tag, unique on its channel; if empty, the engine generates one.
    pub consumer_tag: String,
    /// The broker expects no acknowledgements; deliveries in flight are lost with the connection.
    pub no_ack: bool,
    /// The queue accepts no other consumer.
    pub exclusive: bool,
    /// `x-priority`, `x-stream-offset` … (RabbitMQ).
    pub arguments: FieldTable,
    /// Limit of deliveries in the inbox; default 4096. One read may exceed it.
    pub inbox_messages: usize,
    /// Limit of bytes of bodies in the inbox; default 16 MiB. One read may exceed it.
    pub inbox_bytes: usize,
}

impl Consume {
    /// Creates the parameters of a consumer of `queue`, with the defaults.
    #[must_use]
    pub fn from_queue(queue: impl Into<String>) -> Self {
        Self {
            queue: queue.into(),
            consumer_tag: String::new(),
            no_ack: false,
            exclusive: false,
            arguments: FieldTable::default(),
            inbox_messages: 4096,
            inbox_bytes: 16 << 20,
        }
    }
}

impl ExchangeDeclare {
    pub(crate) fn method(self) -> Result<AMQPClass, Error> {
        Ok(AMQPClass::Exchange(exchange::AMQPMethod::Declare(exchange::Declare {
            exchange: short_string(&self.name)?,
            kind: short_string(&self.kind)?,
            passive: self.passive,
            durable: self.durable,
            auto_delete: self.auto_delete,
            internal: self.internal,
            nowait: false,
            arguments: self.arguments,
        })))
    }
}

impl QueueDeclare {
    pub(crate) fn method(self) -> Result<AMQPClass, Error> {
        let wanted = if self.name.is_empty() { unique_name("queue") } else { self.name };
        Ok(AMQPClass::Queue(queue::AMQPMethod::Declare(queue::Declare {
            queue: short_string(&wanted)?,
            passive: self.passive,
            durable: self.durable,
            exclusive: self.exclusive,
            auto_delete: self.auto_delete,
            nowait: false,
            arguments: self.arguments,
        })))
    }
}

impl QueueBind {
    pub(crate) fn method(self) -> Result<AMQPClass, Error> {
        Ok(AMQPClass::Queue(queue::AMQPMethod::Bind(queue::Bind {
            queue: short_string(&self.queue)?,
            exchange: short_string(&self.exchange)?,
            routing_key: short_string(&self.routing_key)?,
            nowait: false,
            arguments: self.arguments,
        })))
    }

    pub(crate) fn unbind_method(self) -> Result<AMQPClass, Error> {
        Ok(AMQPClass::Queue(queue::AMQPMethod::Unbind(queue::Unbind {
            queue: short_string(&self.queue)?,
            exchange: short_string(&self.exchange)?,
            routing_key: short_string(&self.routing_key)?,
            arguments: self.arguments,
        })))
    }
}

impl ExchangeBind {
    pub(crate) fn method(self) -> Result<AMQPClass, Error> {
        Ok(AMQPClass::Exchange(exchange::AMQPMethod::Bind(exchange::Bind {
            destination: short_string(&self.destination)?,
            source: short_string(&self.source)?,
            routing_key: short_string(&self.routing_key)?,
            nowait: false,
            arguments: self.arguments,
        })))
    }
}

/// Converts a name to AMQP's short string; fails if it is longer than 255 bytes.
pub(crate) fn short_string(text: &str) -> Result<ShortString, Error> {
    ShortString::try_new(text).map_err(|_| {
        let text = format!("a name of {} bytes is longer than AMQP's 255", text.len());
        Error::new(ErrorKind::Config, text)
    })
}

/// Generates a name that no other process uses: random bits of this process, and a counter.
pub(crate) fn unique_name(what: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("leveret.{what}-{:016x}{:08x}-{count}", fastrand::u64(..), std::process::id())
}

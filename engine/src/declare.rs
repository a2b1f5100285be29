//! What exchanges, queues, bindings and consumers can be asked to be.

use std::sync::atomic::{AtomicU64, Ordering};

use amq_protocol::protocol::{AMQPClass, exchange, queue};
use amq_protocol::types::{FieldTable, ShortString};

use crate::error::{Error, ErrorKind};

/// An exchange (AMQP 1.7.2.1, `exchange.declare`).
#[derive(Clone, Debug, Default)]
pub struct ExchangeDeclare {
    /// Name; `amq.` is reserved to the broker.
    pub name: String,
    /// `direct`, `topic`, `fanout`, `headers`, or a plugin's type.
    pub kind: String,
    /// Survives a restart of the broker.
    pub durable: bool,
    /// Deleted with its last binding.
    pub auto_delete: bool,
    /// Not to be published to by clients (RabbitMQ).
    pub internal: bool,
    /// Only ask whether it exists.
    pub passive: bool,
    /// Further arguments of the broker.
    pub arguments: FieldTable,
}

/// A queue (AMQP 1.7.2.1, `queue.declare`).
#[derive(Clone, Debug, Default)]
pub struct QueueDeclare {
    /// Name; empty asks for a unique one.
    pub name: String,
    /// Survives a restart of the broker.
    pub durable: bool,
    /// Of this connection alone, and deleted with it.
    pub exclusive: bool,
    /// Deleted with its last consumer.
    pub auto_delete: bool,
    /// Only ask about it.
    pub passive: bool,
    /// `x-expires`, `x-max-length`, `x-queue-type` … (RabbitMQ).
    pub arguments: FieldTable,
}

/// What the broker says about a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueDeclared {
    /// Its name.
    pub name: String,
    /// Messages ready to be delivered.
    pub messages: u32,
    /// Consumers it has.
    pub consumers: u32,
}

/// A binding of a queue.
#[derive(Clone, Debug, Default)]
pub struct QueueBind {
    /// The queue.
    pub queue: String,
    /// The exchange.
    pub exchange: String,
    /// The key; its meaning depends on the exchange's type.
    pub routing_key: String,
    /// Arguments of a headers exchange or a plugin.
    pub arguments: FieldTable,
}

/// A binding of an exchange to another (RabbitMQ extension).
#[derive(Clone, Debug, Default)]
pub struct ExchangeBind {
    /// Where messages go.
    pub destination: String,
    /// Where they come from.
    pub source: String,
    /// The key.
    pub routing_key: String,
    /// Further arguments.
    pub arguments: FieldTable,
}

/// A consumer (AMQP 1.8.3.3, `basic.consume`).
#[derive(Clone, Debug)]
pub struct Consume {
    /// The queue.
    pub queue: String,
    /// Tag, unique on its channel; empty asks for one.
    pub consumer_tag: String,
    /// Deliveries need no answer, and are lost with the connection.
    pub no_ack: bool,
    /// The only consumer of its queue.
    pub exclusive: bool,
    /// Priority, stream offset … (RabbitMQ).
    pub arguments: FieldTable,
    /// Deliveries the inbox holds; default 4096. One read may exceed it.
    pub inbox_messages: usize,
    /// Bytes of bodies the inbox holds; default 16 MiB. One read may exceed it.
    pub inbox_bytes: usize,
}

impl Consume {
    /// The defaults, for this queue.
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
            exchange: name(&self.name)?,
            kind: name(&self.kind)?,
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
        let wanted = if self.name.is_empty() { unique("queue") } else { self.name };
        Ok(AMQPClass::Queue(queue::AMQPMethod::Declare(queue::Declare {
            queue: name(&wanted)?,
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
            queue: name(&self.queue)?,
            exchange: name(&self.exchange)?,
            routing_key: name(&self.routing_key)?,
            nowait: false,
            arguments: self.arguments,
        })))
    }

    pub(crate) fn unbind_method(self) -> Result<AMQPClass, Error> {
        Ok(AMQPClass::Queue(queue::AMQPMethod::Unbind(queue::Unbind {
            queue: name(&self.queue)?,
            exchange: name(&self.exchange)?,
            routing_key: name(&self.routing_key)?,
            arguments: self.arguments,
        })))
    }
}

impl ExchangeBind {
    pub(crate) fn method(self) -> Result<AMQPClass, Error> {
        Ok(AMQPClass::Exchange(exchange::AMQPMethod::Bind(exchange::Bind {
            destination: name(&self.destination)?,
            source: name(&self.source)?,
            routing_key: name(&self.routing_key)?,
            nowait: false,
            arguments: self.arguments,
        })))
    }
}

/// A name as AMQP's short string.
pub(crate) fn name(text: &str) -> Result<ShortString, Error> {
    ShortString::try_new(text).map_err(|_| {
        let text = format!("a name of {} bytes is longer than AMQP's 255", text.len());
        Error::new(ErrorKind::Config, text)
    })
}

/// A name no other process uses: random bits of this process, and a counter.
pub(crate) fn unique(what: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("leveret.{what}-{:016x}{:08x}-{count}", fastrand::u64(..), std::process::id())
}

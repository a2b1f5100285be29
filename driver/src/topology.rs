//! Exchanges, queues and bindings to declare, as plain data.
//!
//! `dialect` creates these values and `broker` declares them; neither imports the other.

/// The address to which a message is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// The exchange, declared before the first publication; `None` for the default exchange.
    pub(crate) exchange: Option<Exchange>,
    pub(crate) routing_key: String,
}

/// An exchange to declare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
}

/// The `kind` of an exchange that is declared passively (AMQP 0-9-1, `exchange.declare`,
/// `passive`): it must exist, with whatever options.
pub(crate) const PASSIVE: &str = "";

/// A queue to declare, and the options of its consumers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queue {
    pub(crate) name: String,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    /// AMQP's `exclusive`: only its connection may use it, and RabbitMQ deletes it with the
    /// connection.
    pub(crate) exclusive: bool,
    /// No other connection consumes from it, so it may be declared exclusive if the broker refuses
    /// transient queues that are not.
    pub(crate) may_be_exclusive: bool,
    /// AMQP's `no-ack`: its consumers acknowledge nothing, and RabbitMQ forgets a message once it
    /// is delivered.
    pub(crate) no_ack: bool,
    /// Arguments of `queue.declare`.
    pub(crate) arguments: Vec<(&'static str, Argument)>,
    /// Arguments of `basic.consume`.
    pub(crate) consume_arguments: Vec<(&'static str, Argument)>,
}

/// An offset in a stream: the consumer argument says where it starts, the header of a message where
/// that message is.
pub(crate) const STREAM_OFFSET: &str = "x-stream-offset";
/// The stream offset of the last chunk: one or more messages, whether or not they were consumed.
pub(crate) const STREAM_LAST: &str = "last";

/// The value of an AMQP argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Argument {
    Flag(bool),
    Number(i64),
    Text(&'static str),
    /// An age in RabbitMQ's notation: `1800s`.
    Seconds(u64),
}

impl Queue {
    /// Creates a transient, shared queue without arguments.
    pub(crate) const fn named(name: String) -> Self {
        Self {
            name,
            durable: false,
            auto_delete: false,
            exclusive: false,
            may_be_exclusive: false,
            no_ack: false,
            arguments: Vec::new(),
            consume_arguments: Vec::new(),
        }
    }

    /// Whether the queue is a stream: its consumers start at an offset.
    pub(crate) fn is_stream(&self) -> bool {
        self.consume_arguments.iter().any(|(name, _)| *name == STREAM_OFFSET)
    }
}

/// A queue to consume from, and its binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) queue: Queue,
    /// The exchange to declare and bind the queue to, with the routing key; `None` if messages
    /// arrive through the default exchange only.
    pub(crate) binding: Option<(Exchange, String)>,
}

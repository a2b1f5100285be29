//! Exchanges, queues and bindings to declare, as plain data.
//!
//! `dialect` names them, `broker` declares them; neither knows the other.

/// Where a message is published to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// The exchange to declare first; `None` for the default exchange.
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

/// Instead of a kind: the exchange is used as it is, and must be there.
pub(crate) const PASSIVE: &str = "";

/// A queue to declare, and how to consume from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queue {
    pub(crate) name: String,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    /// Of its connection alone, and gone with it.
    pub(crate) exclusive: bool,
    /// Nobody else consumes from it, so that it may be exclusive where the broker insists.
    pub(crate) may_be_exclusive: bool,
    /// Its consumers acknowledge nothing: what is delivered is gone.
    pub(crate) no_ack: bool,
    pub(crate) arguments: Vec<(&'static str, Argument)>,
    pub(crate) consume_arguments: Vec<(&'static str, Argument)>,
}

/// Where in a stream a consumer begins: an argument of it, and a header of each message.
pub(crate) const STREAM_OFFSET: &str = "x-stream-offset";
/// The last chunk that the stream has: one message or some, whether or not somebody had them.
pub(crate) const STREAM_LAST: &str = "last";

/// The value of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Argument {
    Flag(bool),
    Number(i64),
    Text(&'static str),
    /// An age as RabbitMQ writes it, `1800s`.
    Seconds(u64),
}

impl Queue {
    /// A plain queue, gone with the broker, that anybody may use.
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

    /// Whether its consumers begin at an offset.
    pub(crate) fn is_stream(&self) -> bool {
        self.consume_arguments.iter().any(|(name, _)| *name == STREAM_OFFSET)
    }
}

/// A queue to consume from, with how messages get into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) queue: Queue,
    /// The exchange to declare and bind to, with the binding's key; `None` for the default exchange
    /// alone.
    pub(crate) binding: Option<(Exchange, String)>,
}

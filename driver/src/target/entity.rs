//! What a target comes to on a broker: exchanges, queues, bindings and packing, as plain
//! data.
//!
//! A dialect names them, the broker's side declares them; neither knows the other.

/// Where a message is published to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
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
    pub(crate) arguments: Vec<(&'static str, Argument)>,
    pub(crate) consuming: Vec<(&'static str, Argument)>,
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
    /// Whether its consumers begin at an offset.
    pub(crate) fn is_stream(&self) -> bool {
        self.consuming.iter().any(|(name, _)| *name == STREAM_OFFSET)
    }
}

/// How bodies are packed before they leave, and the header that tells receivers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packing {
    pub(crate) header: (&'static str, &'static str),
    pub(crate) pack: fn(&[u8]) -> Vec<u8>,
}

/// A queue to consume from, with how messages get into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) queue: Queue,
    /// The exchange to declare and bind to, with the binding's key; `None` for the default exchange
    /// alone.
    pub(crate) binding: Option<(Exchange, String)>,
}

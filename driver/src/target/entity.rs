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

/// A queue to declare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queue {
    pub(crate) name: String,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) arguments: Vec<(&'static str, Argument)>,
}

/// The value of a queue's argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Argument {
    Number(i64),
    Text(&'static str),
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

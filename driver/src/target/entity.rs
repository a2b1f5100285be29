//! What a target comes to on a broker: exchanges, queues and bindings, as plain data.
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

/// A queue to consume from, with how messages get into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) queue: Queue,
    /// The exchange to declare and bind to, with the binding's key; `None` for the default exchange
    /// alone.
    pub(crate) binding: Option<(Exchange, String)>,
}

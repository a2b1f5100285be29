//! What has to be there before a message is published, and what a connection has seen to already.
//!
//! Not here: when it is declared, and declared again (`publisher`).

use std::collections::HashSet;

use leveret_engine::Outcome;

use crate::broker::errors::NOT_FOUND;
use crate::topology::{Exchange, Subscription};

/// What this connection has declared, by name.
#[derive(Default)]
pub(crate) struct Declared {
    exchanges: HashSet<String>,
    queues: HashSet<String>,
}

/// What has to be there before a message is published.
#[derive(Clone)]
pub(crate) enum Prerequisite {
    Exchange(Exchange),
    /// A queue too, so that the message is kept though nobody consumes yet.
    Queue(Box<Subscription>),
}

impl Prerequisite {
    pub(crate) fn exchange(&self) -> &Exchange {
        match self {
            Self::Exchange(exchange) => exchange,
            Self::Queue(stored) => {
                &stored.binding.as_ref().expect("only a bound queue is needed").0
            }
        }
    }

    /// Whether a queue is among it. A message that comes back has found the exchange, but not the
    /// queue or its binding.
    pub(crate) const fn is_a_queue(&self) -> bool {
        matches!(self, Self::Queue(_))
    }

    /// The message found its exchange gone, or its queue.
    pub(crate) fn is_gone(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::MaybeSent(error) | Outcome::NotSent(error) | Outcome::Refused(error, _) => {
                error.reply_code() == Some(NOT_FOUND)
            }
            Outcome::Returned(_) => self.is_a_queue(),
            _ => false,
        }
    }
}

impl Declared {
    /// An exchange that went took its bindings along, so a queue counts only with its exchange.
    pub(crate) fn holds(&self, needed: &Prerequisite) -> bool {
        self.exchanges.contains(&needed.exchange().name)
            && match needed {
                Prerequisite::Exchange(_) => true,
                Prerequisite::Queue(stored) => self.queues.contains(&stored.queue.name),
            }
    }

    pub(crate) fn insert(&mut self, needed: &Prerequisite) {
        let exchange = &needed.exchange().name;
        self.exchanges.insert(exchange.clone());
        if let Prerequisite::Queue(stored) = needed {
            self.queues.insert(stored.queue.name.clone());
        }
    }

    pub(crate) fn remove(&mut self, needed: &Prerequisite) {
        self.exchanges.remove(&needed.exchange().name);
        if let Prerequisite::Queue(stored) = needed {
            self.queues.remove(&stored.queue.name);
        }
    }
}

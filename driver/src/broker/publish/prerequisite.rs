//! What has to exist before a message is published.

use leveret_engine::Outcome;

use crate::broker::errors::NOT_FOUND;
use crate::topology::{Exchange, Subscription};

/// What has to exist before a message is published.
#[derive(Clone)]
pub(super) enum Prerequisite {
    Exchange(Exchange),
    /// A queue and its exchange: the queue keeps the message until a consumer comes.
    Queue(Box<Subscription>),
}

impl Prerequisite {
    /// The exchange that the messages are published to.
    pub(super) fn exchange(&self) -> &Exchange {
        match self {
            Self::Exchange(exchange) => exchange,
            Self::Queue(subscription) => {
                &subscription.binding.as_ref().expect("only a bound queue is a prerequisite").0
            }
        }
    }

    /// Whether it includes a queue.
    pub(super) const fn has_queue(&self) -> bool {
        matches!(self, Self::Queue(_))
    }

    /// Whether this outcome shows that it is missing. A returned message reached the exchange, so
    /// the queue or its binding is missing.
    pub(super) fn was_missing(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::MaybeSent(error) | Outcome::NotSent(error) | Outcome::Refused(error, _) => {
                error.reply_code() == Some(NOT_FOUND)
            }
            Outcome::Returned(_) => self.has_queue(),
            _ => false,
        }
    }
}

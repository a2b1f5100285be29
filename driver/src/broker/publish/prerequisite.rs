//! What has to exist before a message is published.

use leveret_engine::Outcome;

use crate::broker::errors::NOT_FOUND;
use crate::topology::{Exchange, Subscription};

/// What has to exist before a message is published.
#[derive(Clone)]
pub(super) enum Prerequisite {
    Exchange(Exchange),
    /// A queue too, so that the message is kept while no consumer is there.
    Queue(Box<Subscription>),
}

impl Prerequisite {
    /// The exchange that messages are published to.
    pub(super) fn exchange(&self) -> &Exchange {
        match self {
            Self::Exchange(exchange) => exchange,
            Self::Queue(stored) => {
                &stored.binding.as_ref().expect("only a bound queue is a prerequisite").0
            }
        }
    }

    /// Whether it has a queue.
    pub(super) const fn has_queue(&self) -> bool {
        matches!(self, Self::Queue(_))
    }

    /// Whether a publication with this outcome found it gone. A message that was returned found the
    /// exchange, but not the queue or its binding.
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

//! Where publications go, and why one was not taken.

use crate::error::Error;
use crate::shard::border::outbox::PushError;

/// Where publications go.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// The exchange; empty is the default exchange, which routes by queue name.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
    /// Return the publication when no queue is bound for it (AMQP 1.8.3.7).
    pub mandatory: bool,
}

/// Why a publication was not taken. The caller still has it: bodies are borrowed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The channel's send budget is used up: the broker is slower than its publishers, blocked, or
    /// away. Or other publications wait for room: none passes them.
    #[error("the outbox is full; wait for room, publish less, or raise outbox_bytes")]
    Full,
    /// There was no room before the deadline.
    #[error("no room in the outbox before the deadline")]
    TimedOut,
    /// The channel or the connection was closed.
    #[error(transparent)]
    Closed(Error),
}

impl From<PushError> for PublishError {
    fn from(refused: PushError) -> Self {
        match refused {
            PushError::Full { .. } => Self::Full,
            PushError::FrameMax => unreachable!("rendered again"),
            PushError::Closed(error) => Self::Closed(error),
        }
    }
}

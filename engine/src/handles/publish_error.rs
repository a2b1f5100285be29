//! The reasons why the engine does not accept a publication.

use crate::error::Error;
use crate::shard::border::outbox::PushError;

/// Reasons why the engine did not accept a publication. The caller still has the body, which was
/// only borrowed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The outbox of the channel is full, because the broker is slower than its publishers, has
    /// blocked them, or is away. Or other publications wait for room; none overtakes them.
    #[error("the outbox is full; wait for room, publish less, or raise outbox_bytes")]
    Full,
    /// The outbox had no room before the deadline.
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

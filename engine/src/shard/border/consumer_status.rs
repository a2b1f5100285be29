//! Whether a consumer consumes, as its handle sees it.
//!
//! The shard writes it, handles read it. Invariant: while the connection is down every consumer
//! waits, with the connection's reason.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::error::{Error, ErrorKind};
use crate::reactor;
use crate::shard::border::status::{ConnectionState, ConnectionStatus};

/// What a consumer does now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ConsumerState {
    /// The broker delivers to it.
    Consuming,
    /// Nothing is delivered, for this reason. It is tried again with pauses of up to 5 s.
    Waiting(Error),
}

/// What a consumer does, and since when.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConsumerStatus {
    /// What it does.
    pub state: ConsumerState,
    /// Since when. Another reason to wait is the same wait.
    pub since: Instant,
}

impl ConsumerStatus {
    /// Whether the broker delivers to it.
    #[must_use]
    pub fn is_consuming(&self) -> bool {
        matches!(self.state, ConsumerState::Consuming)
    }
}

/// The status of one consumer.
#[derive(Debug)]
pub(crate) struct ConsumerShared(Mutex<ConsumerStatus>);

impl ConsumerShared {
    /// Of a consumer that is about to begin.
    pub(crate) fn new() -> Self {
        let (state, since) = (ConsumerState::Consuming, reactor::wall());
        Self(Mutex::new(ConsumerStatus { state, since }))
    }

    /// It consumes; true when it did not before.
    pub(crate) fn set_consuming(&self) -> bool {
        let mut status = self.lock();
        let is_new = !status.is_consuming();
        if is_new {
            *status = ConsumerStatus { state: ConsumerState::Consuming, since: reactor::wall() };
        }
        is_new
    }

    /// It waits for this reason; true when it did not before, or for another one.
    pub(crate) fn set_waiting(&self, reason: &Error) -> bool {
        let mut status = self.lock();
        let is_new = match &status.state {
            ConsumerState::Consuming => {
                status.since = reactor::wall();
                true
            }
            ConsumerState::Waiting(known) => known.to_string() != reason.to_string(),
        };
        status.state = ConsumerState::Waiting(reason.clone());
        is_new
    }

    /// What its handle is told.
    pub(crate) fn read(&self, status: ConnectionStatus) -> ConsumerStatus {
        let reason = match status.state {
            ConnectionState::Open | ConnectionState::Blocked(_) => return self.lock().clone(),
            ConnectionState::Connecting => status.last_error,
            ConnectionState::Closed => None,
        };
        let closed = || Error::new(ErrorKind::ConnectionClosed, "the connection is not open");
        let state = ConsumerState::Waiting(reason.unwrap_or_else(closed));
        ConsumerStatus { state, since: status.since }
    }

    fn lock(&self) -> MutexGuard<'_, ConsumerStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_new_once_and_another_reason_is_the_same_wait() {
        let status = ConsumerShared::new();
        let gone = Error::new(ErrorKind::ChannelClosed, "gone");
        assert!(!status.set_consuming());
        assert!(status.set_waiting(&gone));
        let since = status.lock().since;
        assert!(!status.set_waiting(&gone));
        assert!(status.set_waiting(&Error::new(ErrorKind::ChannelClosed, "locked")));
        assert_eq!(status.lock().since, since);
        assert!(status.set_consuming() && !status.set_consuming());
    }
}

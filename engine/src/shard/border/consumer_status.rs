//! The status of a consumer as its handle sees it.
//!
//! The shard writes the status, handles read it. Invariant: while the connection is down, every
//! consumer reports `Waiting` with the connection's reason.

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
    /// The broker delivers nothing, for this reason. The engine retries with pauses of up to 5 s.
    Waiting(Error),
}

/// What a consumer does, and since when.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConsumerStatus {
    /// The state.
    pub state: ConsumerState,
    /// When the state last changed. A new reason to wait does not count as a change.
    pub since: Instant,
}

impl ConsumerStatus {
    /// Whether the broker delivers to it.
    #[must_use]
    pub fn is_consuming(&self) -> bool {
        matches!(self.state, ConsumerState::Consuming)
    }
}

/// The status of one consumer, shared by the shard and the handle.
#[derive(Debug)]
pub(crate) struct ConsumerShared(Mutex<ConsumerStatus>);

impl ConsumerShared {
    /// The status of a consumer that is about to start.
    pub(crate) fn new() -> Self {
        let (state, since) = (ConsumerState::Consuming, reactor::now_off_shard());
        Self(Mutex::new(ConsumerStatus { state, since }))
    }

    /// Sets the state to consuming. Returns true if that is a change.
    pub(crate) fn set_consuming(&self) -> bool {
        let mut status = self.lock();
        let is_new = !status.is_consuming();
        if is_new {
            *status =
                ConsumerStatus { state: ConsumerState::Consuming, since: reactor::now_off_shard() };
        }
        is_new
    }

    /// Sets the state to waiting for this reason. Returns true if the state or the reason is new.
    pub(crate) fn set_waiting(&self, reason: &Error) -> bool {
        let mut status = self.lock();
        let is_new = match &status.state {
            ConsumerState::Consuming => {
                status.since = reactor::now_off_shard();
                true
            }
            ConsumerState::Waiting(known) => known.to_string() != reason.to_string(),
        };
        status.state = ConsumerState::Waiting(reason.clone());
        is_new
    }

    /// The status to report, given the status of the connection.
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

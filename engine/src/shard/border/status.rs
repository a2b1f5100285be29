//! The state of a connection as its handles see it.

use std::time::Instant;

use crate::error::Error;

/// The state of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// Not open yet, or lost and being recovered. [`ConnectionStatus::last_error`] holds the
    /// reason.
    Connecting,
    /// Open.
    Open,
    /// Open, but the broker has blocked publishers. Holds the broker's reason (memory or disk
    /// alarm).
    Blocked(String),
    /// Closed for good: on request, or lost with recovery disabled. Once a connection has been
    /// open, no answer of a broker closes it for good.
    Closed,
}

/// The state of a connection, the time of its last change and the last error.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionStatus {
    /// The state.
    pub state: ConnectionState,
    /// When the state last changed. A new reason for a block does not count as a change.
    pub since: Instant,
    /// The broker it is connected to, or was connected to last, as `host:port`. Empty before the
    /// first connection.
    pub host: String,
    /// Why the connection was lost last, or why the last attempt to connect failed. Kept after the
    /// connection is open again.
    pub last_error: Option<Error>,
}

//! Where a connection stands, as its handles are told.

use std::time::Instant;

use crate::error::Error;

/// Where a connection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// Not yet open, or lost and being recovered: [`ConnectionStatus::last_error`] has the reason.
    Connecting,
    /// Open.
    Open,
    /// Open, but the broker has blocked publishers; the reason it gave (memory or disk alarm).
    Blocked(String),
    /// Closed for good: on request, or lost with recovery off. No answer of a broker closes a
    /// connection that was open once.
    Closed,
}

/// Where a connection stands, since when, and what happened to it last.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionStatus {
    /// Where it stands.
    pub state: ConnectionState,
    /// Since when. A block with another reason is the same block.
    pub since: Instant,
    /// The broker it is connected to, or was last: `host:port`. Empty before the first.
    pub host: String,
    /// Why it was lost last, or why the last attempt to connect failed; kept when it is open again.
    pub last_error: Option<Error>,
}

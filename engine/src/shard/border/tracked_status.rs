//! The status of a connection as its shard sets it, and how long publishers were blocked.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::reactor;
use crate::shard::border::status::{ConnectionState, ConnectionStatus};

struct Inner {
    status: ConnectionStatus,
    blocked_since: Option<Instant>,
    /// The total of the blocks that have ended.
    blocked: Duration,
}

/// The status of a connection. Its shard sets it, its handles read it.
pub(crate) struct TrackedStatus(Mutex<Inner>);

impl TrackedStatus {
    pub(crate) fn connecting() -> Self {
        let status = ConnectionStatus {
            state: ConnectionState::Connecting,
            since: reactor::now_off_shard(),
            host: String::new(),
            last_error: None,
        };
        Self(Mutex::new(Inner { status, blocked_since: None, blocked: Duration::ZERO }))
    }

    pub(crate) fn state(&self) -> ConnectionState {
        self.lock().status.state.clone()
    }

    pub(crate) fn read(&self) -> ConnectionStatus {
        self.lock().status.clone()
    }

    /// Sets the broker that the connection is open to.
    pub(crate) fn set_host(&self, host: &str) {
        self.lock().status.host = host.to_owned();
    }

    /// Records why the connection was lost or could not be opened. Returns true if the reason
    /// differs from the last one.
    pub(crate) fn set_last_error(&self, error: &Error) -> bool {
        let mut inner = self.lock();
        let last = inner.status.last_error.replace(error.clone());
        last.is_none_or(|last| last.to_string() != error.to_string())
    }

    /// The reason why the connection is not open, if it is not open and the reason is known.
    pub(crate) fn down_reason(&self) -> Option<Error> {
        let inner = self.lock();
        let is_down = inner.status.state == ConnectionState::Connecting;
        inner.status.last_error.clone().filter(|_| is_down)
    }

    /// Sets the state, and counts the time spent blocked.
    pub(crate) fn set_state(&self, state: ConnectionState) {
        let mut inner = self.lock();
        let is_blocked = matches!(state, ConnectionState::Blocked(_));
        let now = reactor::now_off_shard();
        if std::mem::discriminant(&inner.status.state) != std::mem::discriminant(&state) {
            inner.status.since = now;
        }
        inner.status.state = state;
        if is_blocked {
            inner.blocked_since.get_or_insert(now);
        } else if let Some(since) = inner.blocked_since.take() {
            inner.blocked += now.saturating_duration_since(since);
        }
    }

    /// Total time that publishers were blocked, including a block that has not ended.
    pub(crate) fn blocked_time(&self) -> Duration {
        let inner = self.lock();
        let now = inner
            .blocked_since
            .map(|since| reactor::now_off_shard().saturating_duration_since(since));
        inner.blocked + now.unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

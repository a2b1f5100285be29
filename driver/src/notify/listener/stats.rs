//! What a listener has counted.

/// What a listener has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ListenerStats {
    /// Notifications handled, those that no endpoint wanted included.
    pub handled: u64,
    /// Notifications sent back to their queue.
    pub requeued: u64,
    /// Notifications that failed, or were to be requeued where that is not allowed, and were given
    /// up.
    pub dropped: u64,
    /// Notifications seen before and not handled again.
    pub duplicates: u64,
    /// Messages that were no notifications.
    pub undecodable: u64,
    /// Times the connection was lost.
    pub reconnects: u64,
}

//! What a server has counted.

/// What a server has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ServerStats {
    /// Requests that were started, or answered with an error because no method serves them.
    pub dispatched: u64,
    /// Requests seen before and not executed again.
    pub duplicates: u64,
    /// Messages that were no requests.
    pub undecodable: u64,
    /// Requests that went back to their queue because the server stopped before it started them.
    pub returned: u64,
    /// Times the connection was lost.
    pub reconnects: u64,
}

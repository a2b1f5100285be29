//! What keeps a connection alive.

use std::sync::Arc;

use crate::handles::shards::Shards;
use crate::shard::border::shared::ConnectionShared;

/// What every handle of a connection and of its channels, publishers and consumers holds: the last
/// one dropped lets the connection end, and with it perhaps the engine.
pub(crate) struct Lease {
    connection: Arc<ConnectionShared>,
    /// Shards live as long as their connections have handles.
    _shards: Arc<Shards>,
}

impl Lease {
    pub(crate) fn new(connection: Arc<ConnectionShared>, shards: Arc<Shards>) -> Arc<Self> {
        Arc::new(Self { connection, _shards: shards })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.connection.close_requests();
    }
}

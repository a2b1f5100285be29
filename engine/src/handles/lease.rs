//! Keeps a connection alive while it has handles.

use std::sync::Arc;

use crate::handles::shards::Shards;
use crate::shard::border::shared::ConnectionShared;

/// Held by every handle of a connection and of its channels, publishers and consumers. Dropping the
/// last one ends the connection, and the engine if nothing else holds it.
pub(crate) struct Lease {
    connection: Arc<ConnectionShared>,
    /// Keeps the shards alive.
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

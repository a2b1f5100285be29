//! Lists of connections, in which one that several purposes share stands once.

use crate::observe::health::ConnectionHealth;
use crate::observe::metrics::ConnectionMetrics;

/// Adds a connection, unless it is there.
pub(super) fn add_health(connections: &mut Vec<ConnectionHealth>, one: ConnectionHealth) {
    if !connections.iter().any(|known| known.is_same_connection(&one)) {
        connections.push(one);
    }
}

/// The same; what its channels hold adds up.
pub(super) fn add_metrics(connections: &mut Vec<ConnectionMetrics>, one: ConnectionMetrics) {
    match connections.iter_mut().find(|known| known.health.is_same_connection(&one.health)) {
        Some(known) => known.outbox_bytes += one.outbox_bytes,
        None => connections.push(one),
    }
}

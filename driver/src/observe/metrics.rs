//! Readings of everything a transport counts: plain data.
//!
//! Counters only grow, from zero when the transport was made. Each is exact; that they belong to
//! one moment is not promised.

use std::time::Duration;

use leveret_engine::ShardStats;

use super::health::ConnectionHealth;
use super::histogram::LatencyHistogram;

/// What a transport has done and holds; see [`Transport::metrics`](crate::Transport::metrics).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TransportMetrics {
    /// Calls of its clients.
    pub calls: CallMetrics,
    /// Casts of its clients.
    pub casts: CastMetrics,
    /// Notifications its notifiers sent over it.
    pub notifications: NotificationMetrics,
    /// Requests that came to its servers.
    pub served: IntakeMetrics,
    /// Notifications that came to its listeners.
    pub heard: IntakeMetrics,
    /// Further attempts to publish a message under [`Retry::Times`](crate::Retry::Times). What the
    /// engine sends again by itself is in [`ConnectionMetrics::resends`].
    pub retries: u64,
    /// Replies nobody waited for any more.
    pub replies_late: u64,
    /// Requests that nobody was there for under the `pika` name, and that went to that of the
    /// `rabbit` driver ([`SendingDialect::Auto`](crate::SendingDialect::Auto)).
    pub fallbacks: u64,
    /// Replies of its servers that came back and were sent again.
    pub replies_resent: u64,
    /// Replies of its servers that nobody will ever get.
    pub replies_dropped: u64,
    /// Reports to a collector of oslo.metrics that were dropped because too many waited; see
    /// [`MetricsOptions`](crate::MetricsOptions).
    pub reports_dropped: u64,
    /// Its connections, as in [`TransportHealth`](crate::TransportHealth).
    pub connections: Vec<ConnectionMetrics>,
    /// The shards of its engine, which other transports may share. Reading begins
    /// `tick_late_max` anew.
    pub shards: Vec<ShardStats>,
}

/// Calls by their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CallMetrics {
    /// Under way.
    pub outstanding: usize,
    /// Answered with a result.
    pub done: u64,
    /// Answered with an exception.
    pub remote_errors: u64,
    /// Without an answer in time, or without room to send.
    pub timed_out: u64,
    /// Returned by the broker: no queue was bound.
    pub undeliverable: u64,
    /// Refused by the broker, or lost with a connection.
    pub delivery_failures: u64,
    /// Ended by anything else: an invalid target, a version cap, a result of another type, a closed
    /// transport.
    pub failed_otherwise: u64,
    /// Given up by dropping the future.
    pub abandoned: u64,
    /// From the call to its end, whatever that was.
    pub latency: LatencyHistogram,
}

impl CallMetrics {
    /// All calls that have ended.
    pub const fn ended(&self) -> u64 {
        self.done
            + self.remote_errors
            + self.timed_out
            + self.undeliverable
            + self.delivery_failures
            + self.failed_otherwise
            + self.abandoned
    }
}

/// Casts by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CastMetrics {
    /// Confirmed by the broker.
    pub confirmed: u64,
    /// Accepted by `cast_buffered`; those of them that were refused later are in `refused` too.
    pub buffered: u64,
    /// Ended in an error their caller was told.
    pub failed: u64,
    /// Returned or refused after `cast_buffered` had accepted them.
    pub refused: u64,
}

/// Notifications by what became of them, each topic for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct NotificationMetrics {
    /// Confirmed by the broker.
    pub sent: u64,
    /// Ended in an error.
    pub failed: u64,
}

/// Messages that came in, of all servers or of all listeners of a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct IntakeMetrics {
    /// Requests given to a method, or answered in its stead; notifications handled.
    pub done: u64,
    /// Seen before, and dropped.
    pub duplicates: u64,
    /// Neither request nor notification, and dropped.
    pub undecodable: u64,
    /// Sent back to their queue.
    pub returned: u64,
    /// Notifications given up.
    pub dropped: u64,
    /// Requests the broker had delivered before, refused by
    /// [`Redelivered::Refuse`](crate::Redelivered::Refuse).
    pub refused: u64,
    /// Requests of the `pika` dialect whose callers had given up.
    pub expired: u64,
    /// Of the requests read: in the form of oslo's `rabbit` driver. Notifications are not told
    /// apart.
    pub of_kombu: u64,
    /// In that of its old `pika` driver.
    pub of_pika: u64,
    /// In the one that both understand.
    pub of_both: u64,
    /// Taken in and not yet taken up by an endpoint's thread.
    pub waiting: usize,
    /// Bytes of the bodies of those.
    pub waiting_bytes: usize,
}

impl IntakeMetrics {
    /// Both together.
    pub(super) const fn and(&self, other: &Self) -> Self {
        Self {
            done: self.done + other.done,
            duplicates: self.duplicates + other.duplicates,
            undecodable: self.undecodable + other.undecodable,
            returned: self.returned + other.returned,
            dropped: self.dropped + other.dropped,
            refused: self.refused + other.refused,
            expired: self.expired + other.expired,
            of_kombu: self.of_kombu + other.of_kombu,
            of_pika: self.of_pika + other.of_pika,
            of_both: self.of_both + other.of_both,
            waiting: self.waiting + other.waiting,
            waiting_bytes: self.waiting_bytes + other.waiting_bytes,
        }
    }
}

/// What one connection has done and holds.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConnectionMetrics {
    /// Which it is, where it stands, how often it was lost.
    pub health: ConnectionHealth,
    /// Publications whose outcome somebody waits for or wants to hear of; buffered casts do not
    /// count.
    pub confirms_outstanding: usize,
    /// Bytes in its outboxes, waiting to leave or sent and unconfirmed.
    pub outbox_bytes: usize,
    /// Publications put back because it was lost, to leave again.
    pub resends: u64,
    /// How long the broker has blocked publishers on it.
    pub blocked: Duration,
}

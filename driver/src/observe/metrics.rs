//! Readings of all counters of a transport, as plain data.
//!
//! Counters start at zero when the transport is created, and only grow. Each value is exact;
//! several values of one reading may be of slightly different moments.

use std::time::Duration;

use leveret_engine::ShardStats;

use crate::observe::health::ConnectionHealth;
use crate::observe::histogram::LatencyHistogram;

/// The metrics of a transport; see [`Transport::metrics`](crate::Transport::metrics).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TransportMetrics {
    /// Calls of its clients.
    pub calls: CallMetrics,
    /// Casts of its clients.
    pub casts: CastMetrics,
    /// Notifications sent by its notifiers.
    pub notifications: NotificationMetrics,
    /// Requests received by its servers.
    pub served: IntakeMetrics,
    /// Notifications received by its listeners.
    pub heard: IntakeMetrics,
    /// Further attempts to publish a message under [`Retry::Times`](crate::Retry::Times).
    /// [`ConnectionMetrics::resends`] counts what the engine sends again on its own.
    pub retries: u64,
    /// Replies that arrived after their call had ended.
    pub replies_late: u64,
    /// Requests that the client sent to the address of the `rabbit` driver, because that of the
    /// `pika` driver had no exchange, or the broker returned the request from there
    /// ([`SendingDialect::Auto`](crate::SendingDialect::Auto)).
    pub fallbacks: u64,
    /// Replies of its servers that the broker returned and that were sent again.
    pub replies_resent: u64,
    /// Replies of its servers that were given up undelivered.
    pub replies_dropped: u64,
    /// Reports to a collector of oslo.metrics that were dropped because the buffer was full, or
    /// because they were too large for a datagram; see
    /// [`MetricsOptions`](crate::MetricsOptions).
    pub reports_dropped: u64,
    /// Its connections, as in [`TransportHealth`](crate::TransportHealth).
    pub connections: Vec<ConnectionMetrics>,
    /// The shards of its engine, which other transports may share. A reading resets
    /// `tick_late_max`.
    pub shards: Vec<ShardStats>,
}

/// Calls by how they ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CallMetrics {
    /// In progress.
    pub outstanding: usize,
    /// Answered with a result.
    pub done: u64,
    /// Answered with an exception.
    pub remote_errors: u64,
    /// Without a reply, or without room in the outbox, before the deadline.
    pub timed_out: u64,
    /// Returned by the broker: no queue was bound.
    pub undeliverable: u64,
    /// Refused by the broker, or lost with a connection.
    pub delivery_failures: u64,
    /// Ended by any other error: an invalid target, a version cap, a result of another type, a
    /// closed transport.
    pub failed_otherwise: u64,
    /// Cancelled by dropping the future.
    pub abandoned: u64,
    /// The time from the start of a call to its end, however it ended.
    pub latency: LatencyHistogram,
}

impl CallMetrics {
    /// Returns the number of calls that have ended.
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

/// Casts by their outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CastMetrics {
    /// Confirmed by the broker.
    pub confirmed: u64,
    /// Accepted by `cast_buffered`. Those that the broker refuses later also count in `refused`.
    pub buffered: u64,
    /// Ended in an error that their caller got.
    pub failed: u64,
    /// Returned or refused after `cast_buffered` had accepted them.
    pub refused: u64,
}

/// Notifications by their outcome; a notification to several topics counts once for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct NotificationMetrics {
    /// Confirmed by the broker.
    pub sent: u64,
    /// Ended in an error.
    pub failed: u64,
}

/// Messages received by all servers, or by all listeners, of a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct IntakeMetrics {
    /// Requests that were started, or answered with an error because no method serves them;
    /// notifications that were handled.
    pub done: u64,
    /// Received before, and dropped.
    pub duplicates: u64,
    /// Not readable as a request or notification, and dropped.
    pub undecodable: u64,
    /// Returned to their queue.
    pub returned: u64,
    /// Notifications given up after too many failures.
    pub dropped: u64,
    /// Redelivered requests that were refused under
    /// [`Redelivered::Refuse`](crate::Redelivered::Refuse).
    pub refused: u64,
    /// Requests of the `pika` dialect whose deadline had passed.
    pub expired: u64,
    /// Requests in the format of oslo's `rabbit` driver. The formats of notifications are not
    /// counted.
    pub of_kombu: u64,
    /// Requests in the format of oslo's former `pika` driver.
    pub of_pika: u64,
    /// Requests in the format that both drivers read.
    pub of_both: u64,
    /// Received and not yet started by a thread.
    pub waiting: usize,
    /// Total size of the bodies of the waiting messages, in bytes.
    pub waiting_bytes: usize,
}

impl IntakeMetrics {
    /// Returns the sum of both.
    pub(super) const fn plus(&self, other: &Self) -> Self {
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

/// The metrics of one connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConnectionMetrics {
    /// Its purpose, its state and how often it was lost.
    pub health: ConnectionHealth,
    /// Publications whose confirm is outstanding; buffered casts do not count.
    pub confirms_outstanding: usize,
    /// Bytes in its outboxes: not yet sent, or sent and unconfirmed.
    pub outbox_bytes: usize,
    /// Publications that the engine sent again: after a lost connection, a channel exception or a
    /// nack.
    pub resends: u64,
    /// Total time for which the broker has blocked publishers on it.
    pub blocked: Duration,
}

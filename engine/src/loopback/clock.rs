//! The clock of the loopback peer, which is not part of the engine: its broker has deadlines of its
//! own (message and queue expiry), as RabbitMQ has.

use std::time::Instant;

/// Returns the current time.
#[expect(clippy::disallowed_methods, reason = "the peer stands in for a broker with its own clock")]
pub(super) fn now() -> Instant {
    Instant::now()
}

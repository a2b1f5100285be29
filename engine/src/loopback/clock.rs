//! The one place of the loopback peer that asks the time. It is a peer, not part of the engine:
//! its broker keeps deadlines of its own (message and queue expiry), as RabbitMQ would.

use std::time::Instant;

/// Now.
#[expect(clippy::disallowed_methods, reason = "the peer stands in for a broker with its own clock")]
pub(super) fn now() -> Instant {
    Instant::now()
}

//! A request as it came, and which queue it came from.

use std::time::Instant;

use leveret_engine::Delivery;

use crate::dialect::Dialect;

/// A request on its way to a worker.
pub(crate) struct IncomingDelivery {
    pub(crate) delivery: Delivery,
    pub(crate) dialect: Dialect,
    pub(crate) is_acknowledged: bool,
    /// No other server could execute it.
    pub(crate) is_ours: bool,
    /// When its caller gives up, if that is known.
    pub(crate) expires: Option<Instant>,
}

impl IncomingDelivery {
    /// Whether another server gets it if it goes back to its queue.
    pub(crate) fn may_return(&self) -> bool {
        !self.is_acknowledged && !self.is_ours
    }
}

/// What is known of a request by the queue it came through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestSource {
    pub(crate) dialect: Dialect,
    /// It goes with us; others are shared.
    pub(crate) is_ours: bool,
    /// The broker forgets what it delivers.
    pub(crate) no_ack: bool,
}

//! A request on its way from the shard to a worker.

use std::time::Instant;

use leveret_engine::Delivery;

use crate::dialect::incoming::RequestFormat;

/// A request on its way to a worker.
pub(super) struct IncomingDelivery {
    pub(super) delivery: Delivery,
    pub(super) format: RequestFormat,
    pub(super) is_acknowledged: bool,
    /// It is not returned when the server stops: its queue may be deleted, or another server would
    /// refuse it.
    pub(super) must_run_here: bool,
    /// When its caller gives up, if that is known.
    pub(super) expires: Option<Instant>,
}

impl IncomingDelivery {
    /// Whether another server gets it if it goes back to its queue.
    pub(super) fn may_return(&self) -> bool {
        !self.is_acknowledged && !self.must_run_here
    }
}

//! A consumer of a channel, on its shard.

use std::sync::Arc;

use crate::shard::border::consumer_status::ConsumerShared;
use crate::shard::border::shared::ConsumeRequest;
use crate::shard::border::sink::ContainedSink;

/// A consumer of a channel.
pub(crate) struct ChannelConsumer {
    pub(crate) request: ConsumeRequest,
    pub(crate) sink: ContainedSink,
    /// Somebody is about to make it consume; two at once would use its tag twice (530).
    pub(crate) is_starting: bool,
    /// Asked to end: it is not made again, and takes only what was on its way, if that.
    pub(crate) is_cancelling: bool,
    /// What its handles are told.
    pub(crate) shared: Arc<ConsumerShared>,
}

impl ChannelConsumer {
    /// Nothing is taken any more.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.is_cancelling && !self.sink.accepts_while_cancelling()
    }
}

//! The state of a consumer on its shard.

use std::sync::Arc;

use crate::proto::Acknowledgement;
use crate::shard::border::consumer_status::ConsumerShared;
use crate::shard::border::shared::ConsumeRequest;
use crate::shard::border::sink::ContainedSink;

/// A consumer of a channel.
pub(crate) struct ChannelConsumer {
    pub(crate) request: ConsumeRequest,
    pub(crate) sink: ContainedSink,
    /// The queue is a stream, as far as the arguments tell.
    pub(crate) is_of_stream: bool,
    /// True while a task subscribes it. A second one would use its tag twice (530).
    pub(crate) is_starting: bool,
    /// True once it is being cancelled. It is not subscribed again.
    pub(crate) is_cancelling: bool,
    /// The status its handles read.
    pub(crate) shared: Arc<ConsumerShared>,
}

impl ChannelConsumer {
    /// Whether it accepts no deliveries any more.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.is_cancelling && !self.sink.accepts_while_cancelling()
    }

    /// The answer to a delivery that it does not take: a rejection, which a stream does not have.
    pub(crate) fn refusal(&self, requeue: bool) -> Acknowledgement {
        match self.is_of_stream {
            true => Acknowledgement::Ack,
            false => Acknowledgement::Reject { requeue },
        }
    }
}

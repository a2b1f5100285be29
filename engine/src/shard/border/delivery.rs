//! A message delivered to user code, and its acknowledgement.

use std::fmt;
use std::sync::Arc;

use crate::buffer::Body;
use crate::proto::{Acknowledgement, Content};
use crate::shard::border::acks::{AckQueue, PendingAck};
use crate::wire::PropertiesView;

/// A message delivered to a consumer.
///
/// Dropping it without an answer leaves it unacknowledged. It then counts against the prefetch
/// until the channel or connection ends, and the broker redelivers it after that.
pub struct Delivery {
    content: Content,
    delivery_tag: u64,
    redelivered: bool,
    acker: Option<Acker>,
}

/// The destination of the answer to a delivery.
#[derive(Clone)]
pub(crate) struct Acker {
    pub(crate) acks: Arc<AckQueue>,
    pub(crate) epoch: u32,
    /// The queue is a stream.
    pub(crate) is_stream: bool,
}

impl Delivery {
    /// Creates a delivery. `acker` is `None` for consumers without acknowledgements.
    pub(crate) fn new(
        content: Content,
        (delivery_tag, redelivered): (u64, bool),
        acker: Option<Acker>,
    ) -> Self {
        Self { content, delivery_tag, redelivered, acker }
    }

    /// The delivery tag. Unique in its channel.
    #[must_use]
    pub fn delivery_tag(&self) -> u64 {
        self.delivery_tag
    }

    /// True if the broker has delivered it before, to any consumer.
    #[must_use]
    pub fn redelivered(&self) -> bool {
        self.redelivered
    }

    /// The exchange it was published to.
    #[must_use]
    pub fn exchange(&self) -> &str {
        self.content.deliver().map_or("", |deliver| deliver.exchange)
    }

    /// The routing key it was published with.
    #[must_use]
    pub fn routing_key(&self) -> &str {
        self.content.deliver().map_or("", |deliver| deliver.routing_key)
    }

    /// The properties, parsed from the received bytes.
    #[must_use]
    pub fn properties(&self) -> PropertiesView<'_> {
        self.content.properties()
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &Body {
        self.content.body()
    }

    /// Returns the body by value.
    #[must_use]
    pub fn into_body(self) -> Body {
        self.content.into_body()
    }

    /// Copies the body out of the connection's receive blocks. A body above 1 KiB otherwise holds
    /// the blocks of 64 KiB it arrived in, and when all blocks are held, the engine stops reading
    /// the connection. Use it for deliveries that are kept for long, or until others arrive.
    pub fn detach(&mut self) {
        self.content.detach();
    }

    /// Acknowledges it. Later answers do nothing, nor do answers after the channel was reopened.
    /// Never blocks; callable from any thread.
    pub fn ack(&self) {
        self.answer(Acknowledgement::Ack);
    }

    /// Rejects it: the broker returns it to its queue (`requeue`), or drops or dead-letters it.
    ///
    /// A stream keeps its messages and has no rejections: RabbitMQ closes a connection that rejects
    /// one (540). The engine therefore acknowledges the delivery instead, if its consumer named an
    /// `x-stream-offset`.
    pub fn reject(&self, requeue: bool) {
        self.answer(Acknowledgement::Reject { requeue });
    }

    /// False once its channel or connection has ended: the broker has requeued it, and an answer
    /// does nothing. An application that has not started work on it may drop it, because it is
    /// delivered again. Always true for consumers without acknowledgements.
    #[must_use]
    pub fn is_answerable(&self) -> bool {
        self.acker.as_ref().is_none_or(|acker| acker.acks.is_current_epoch(acker.epoch))
    }

    fn answer(&self, answer: Acknowledgement) {
        if let Some(Acker { acks, epoch, is_stream }) = &self.acker {
            let answer = if *is_stream { Acknowledgement::Ack } else { answer };
            acks.push(PendingAck { epoch: *epoch, tag: self.delivery_tag, answer });
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("delivery_tag", &self.delivery_tag)
            .field("routing_key", &self.routing_key())
            .field("redelivered", &self.redelivered)
            .field("body_bytes", &self.body().len())
            .finish_non_exhaustive()
    }
}

/// A mandatory message that the broker returned because no queue was bound for it.
pub struct Returned {
    content: Content,
}

impl Returned {
    pub(crate) fn new(content: Content) -> Self {
        Self { content }
    }

    /// The broker's code: 312 for "no route", 313 for "no consumers" (AMQP 1.8.3.10).
    #[must_use]
    pub fn reply_code(&self) -> u16 {
        self.content.returned().map_or(0, |returned| returned.reply_code)
    }

    /// The broker's text.
    #[must_use]
    pub fn reply_text(&self) -> &str {
        self.content.returned().map_or("", |returned| returned.reply_text)
    }

    /// The exchange it was published to.
    #[must_use]
    pub fn exchange(&self) -> &str {
        self.content.returned().map_or("", |returned| returned.exchange)
    }

    /// The routing key it was published with.
    #[must_use]
    pub fn routing_key(&self) -> &str {
        self.content.returned().map_or("", |returned| returned.routing_key)
    }

    /// The properties, as they were published.
    #[must_use]
    pub fn properties(&self) -> PropertiesView<'_> {
        self.content.properties()
    }

    /// The body, unchanged.
    #[must_use]
    pub fn body(&self) -> &Body {
        self.content.body()
    }
}

impl fmt::Debug for Returned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Returned")
            .field("reply_code", &self.reply_code())
            .field("exchange", &self.exchange())
            .field("routing_key", &self.routing_key())
            .finish_non_exhaustive()
    }
}

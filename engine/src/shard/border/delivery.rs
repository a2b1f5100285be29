//! A message on its way to user code, and the answer to it.

use std::fmt;
use std::sync::Arc;

use crate::buffer::Body;
use crate::proto::{Answer, Content};
use crate::shard::border::acks::{AckQueue, PendingAck};
use crate::wire::PropertiesView;

/// A message delivered to a consumer.
///
/// Dropping it without an answer leaves it unacknowledged: the broker delivers it again when the
/// channel or connection ends, and it counts against the prefetch until then.
pub struct Delivery {
    content: Content,
    delivery_tag: u64,
    redelivered: bool,
    acker: Option<Acker>,
}

/// Where the answer to a delivery goes.
#[derive(Clone)]
pub(crate) struct Acker {
    pub(crate) acks: Arc<AckQueue>,
    pub(crate) epoch: u32,
}

impl Delivery {
    /// A content that came with this tag; `acker` is `None` for consumers that acknowledge nothing.
    pub(crate) fn new(
        content: Content,
        (delivery_tag, redelivered): (u64, bool),
        acker: Option<Acker>,
    ) -> Self {
        Self { content, delivery_tag, redelivered, acker }
    }

    /// The tag the broker gave it; unique in its channel.
    #[must_use]
    pub fn delivery_tag(&self) -> u64 {
        self.delivery_tag
    }

    /// True when the broker has delivered it before, to anybody.
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

    /// Its properties, read from the received bytes.
    #[must_use]
    pub fn properties(&self) -> PropertiesView<'_> {
        self.content.properties()
    }

    /// Its body.
    #[must_use]
    pub fn body(&self) -> &Body {
        self.content.body()
    }

    /// Its body, by value.
    #[must_use]
    pub fn into_body(self) -> Body {
        self.content.into_body()
    }

    /// Copies its body out of the receive blocks of the connection. A body above 1 KiB keeps those
    /// it arrived in, 64 KiB each, and when all are kept, the connection is not read: for
    /// deliveries that wait for long, or for each other.
    pub fn detach(&mut self) {
        self.content.detach();
    }

    /// Tells the broker that it was handled. Once; later answers, and answers after the channel was
    /// reopened, do nothing. Never blocks; may be called from any thread.
    pub fn ack(&self) {
        self.answer(Answer::Ack);
    }

    /// Gives it back: to the queue (`requeue`), or to be dropped or dead-lettered.
    pub fn reject(&self, requeue: bool) {
        self.answer(Answer::Reject { requeue });
    }

    /// False once the channel or connection it came through has ended: the broker has it back, and
    /// an answer does nothing. Whoever has not begun with it may as well drop it, since it comes
    /// again. True for consumers that acknowledge nothing.
    #[must_use]
    pub fn is_answerable(&self) -> bool {
        self.acker.as_ref().is_none_or(|Acker { acks, epoch }| acks.is_current_epoch(*epoch))
    }

    fn answer(&self, answer: Answer) {
        if let Some(Acker { acks, epoch }) = &self.acker {
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

/// A mandatory publishing that came back, because no queue was bound for it.
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

    /// The routing key nobody was bound for.
    #[must_use]
    pub fn routing_key(&self) -> &str {
        self.content.returned().map_or("", |returned| returned.routing_key)
    }

    /// Its properties, as they were published.
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

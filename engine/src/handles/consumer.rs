//! A consumer as the user holds it: takes deliveries from its inbox, and cancels when it is
//! dropped.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::error::Error;
use crate::handles::inbox::Inbox;
use crate::handles::lease::Lease;
use crate::shard::border::block_on::block_on;
use crate::shard::border::consumer_status::{ConsumerShared, ConsumerStatus};
use crate::shard::border::delivery::Delivery;
use crate::shard::border::shared::{ChannelShared, Operation};
use crate::shard::clock::deadline_in;

/// Controls a consumer, and keeps its connection alive. Cloning is cheap.
#[derive(Clone)]
pub struct ConsumerHandle {
    channel: Arc<ChannelShared>,
    consumer_tag: String,
    status: Arc<ConsumerShared>,
    _lease: Arc<Lease>,
}

impl ConsumerHandle {
    pub(crate) fn new(
        channel: Arc<ChannelShared>,
        consumer_tag: String,
        status: Arc<ConsumerShared>,
        lease: Arc<Lease>,
    ) -> Self {
        Self { channel, consumer_tag, status, _lease: lease }
    }

    /// Returns the consumer tag.
    #[must_use]
    pub fn consumer_tag(&self) -> &str {
        &self.consumer_tag
    }

    /// Returns whether it consumes, since when, and otherwise why it waits: its queue is deleted,
    /// locked or refused, or its connection is down. The engine retries in any case.
    /// ```no_run
    /// # use leveret_engine::{ConsumerHandle, ConsumerState};
    /// # fn example(handle: &ConsumerHandle) {
    /// if let ConsumerState::Waiting(reason) = handle.status().state {
    ///     println!("nothing is consumed: {reason}");
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn status(&self) -> ConsumerStatus {
        self.status.read(self.channel.connection.status.read())
    }

    /// Asks the engine to verify that the broker still knows this consumer and holds no deliveries
    /// back from it. If not, the engine subscribes again, on another connection if the broker does
    /// not answer within a second. For callers that expect deliveries and receive none. Returns at
    /// once.
    /// ```no_run
    /// # use leveret_engine::ConsumerHandle;
    /// # fn example(handle: &ConsumerHandle) {
    /// handle.verify();
    /// # }
    /// ```
    pub fn verify(&self) {
        let consumer_tag = self.consumer_tag.clone();
        let channel = Arc::clone(&self.channel);
        self.channel.connection.post(Operation::Verify { channel, consumer_tag });
    }

    /// Tells the engine that the sink has room again, so that it resumes reading if it had stopped
    /// because the sink was full.
    pub fn resume(&self) {
        self.channel.connection.read_bell.ring();
    }

    /// Cancels the consumer (`basic.cancel`) and waits until the broker has agreed. Deliveries in
    /// flight return to the queue, or the sink
    /// [accepts](crate::DeliverySink::accepts_while_cancelling) them. If the broker does not agree
    /// in time, the consumer ends all the same: it accepts no more deliveries and does not return
    /// with the connection.
    ///
    /// # Errors
    /// `TimedOut`, `ConnectionClosed`, `ChannelClosed`, `Stopped`.
    pub async fn cancel(&self) -> Result<(), Error> {
        let consumer_tag = self.consumer_tag.clone();
        let channel = Arc::clone(&self.channel);
        self.channel.connection.ask(Operation::Cancel { channel, consumer_tag }).await.map(drop)
    }
}

impl std::fmt::Debug for ConsumerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConsumerHandle").field("consumer_tag", &self.consumer_tag).finish()
    }
}

/// A consumer whose deliveries wait in an inbox. Dropping it cancels it.
///
/// ```no_run
/// # async fn example(channel: leveret_engine::Channel) -> Result<(), leveret_engine::Error> {
/// use leveret_engine::Consume;
///
/// let mut consumer = channel.consume(Consume::from_queue("work")).await?;
/// while let Some(delivery) = consumer.next().await? {
///     println!("{} bytes", delivery.body().len());
///     delivery.ack();
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Consumer {
    inbox: Inbox,
    handle: ConsumerHandle,
    /// Deliveries taken from the inbox together; `next` returns them one by one.
    batch: VecDeque<Delivery>,
}

impl Consumer {
    pub(crate) fn new(inbox: Inbox, handle: ConsumerHandle) -> Self {
        Self { inbox, handle, batch: VecDeque::new() }
    }

    /// Waits for the next delivery; returns `None` after the consumer was cancelled.
    ///
    /// # Cancel safety
    /// Dropping the future loses no delivery.
    ///
    /// # Errors
    /// The reason why the consumer ended, once: its connection was closed.
    pub async fn next(&mut self) -> Result<Option<Delivery>, Error> {
        if self.batch.is_empty() {
            let (inbox, batch) = (&self.inbox, &mut self.batch);
            std::future::poll_fn(|cx| inbox.poll_take(batch, cx.waker())).await?;
        }
        Ok(self.batch.pop_front())
    }

    /// Waits for the next delivery, like [`Consumer::next`], and blocks the thread.
    ///
    /// # Errors
    /// As [`Consumer::next`].
    pub fn next_blocking(&mut self) -> Result<Option<Delivery>, Error> {
        if let Some(delivery) = self.batch.pop_front() {
            return Ok(Some(delivery));
        }
        block_on(self.next())
    }

    /// Waits for the next delivery for `timeout` at most and blocks the thread; returns `Ok(None)`
    /// also after the timeout.
    ///
    /// # Errors
    /// As [`Consumer::next`].
    pub fn next_within(&mut self, timeout: Duration) -> Result<Option<Delivery>, Error> {
        let deadline = deadline_in(timeout);
        let room = &self.handle.channel.connection.room;
        let mut limit = std::pin::pin!(room.open(Some(deadline)));
        block_on(async {
            let mut next = std::pin::pin!(self.inbox.wait_for_batch(&mut self.batch));
            std::future::poll_fn(|cx| match next.as_mut().poll(cx) {
                Poll::Pending => limit.as_mut().poll(cx).map(|_| Ok(())),
                ready => ready,
            })
            .await
        })?;
        Ok(self.batch.pop_front())
    }

    /// Cancels the consumer. Deliveries that are already in the inbox can still be taken.
    ///
    /// # Errors
    /// As [`ConsumerHandle::cancel`].
    pub async fn cancel(&self) -> Result<(), Error> {
        self.handle.cancel().await
    }

    /// Returns a handle that can cancel the consumer from elsewhere.
    #[must_use]
    pub fn handle(&self) -> ConsumerHandle {
        self.handle.clone()
    }
}

/// Cancels the consumer, since nothing else can take its deliveries. Deliveries that it holds
/// return to the queue.
impl Drop for Consumer {
    fn drop(&mut self) {
        for delivery in self.batch.drain(..).chain(self.inbox.take_all()) {
            delivery.reject(true);
        }
        self.inbox.abandon();
        let channel = &self.handle.channel;
        channel.connection.post(Operation::Cancel {
            channel: Arc::clone(channel),
            consumer_tag: self.handle.consumer_tag.clone(),
        });
    }
}

//! The road up, as callers see it: a bounded inbox between the shard and user code.
//!
//! Invariant: the shard hands over one batch per read under one lock with one wake-up. Whoever
//! empties a full inbox to its half rings the reader.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::declare::Consume;
use crate::handles::connection::Lease;
use crate::shard::border::block_on::block_on;
use crate::shard::border::consumer_status::{ConsumerShared, ConsumerStatus};
use crate::shard::border::doorbell::Doorbell;
use crate::shard::border::shared::ChannelShared;
use crate::shard::border::shared::Operation;
use crate::shard::border::sink::{DeliverySink, Disposition};
use crate::{Delivery, Error};

/// Stops a consumer, and keeps its connection alive.
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

    /// The consumer's tag.
    #[must_use]
    pub fn consumer_tag(&self) -> &str {
        &self.consumer_tag
    }

    /// Whether it consumes, since when, and otherwise why it waits: its queue is gone, locked or
    /// refused, or its connection is down. It is tried again by itself in any case.
    ///
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
        self.status.read(self.channel.connection.standing())
    }

    /// Has the engine make sure that the broker still knows this consumer and holds nothing back
    /// from it; if not, it is made anew, elsewhere if the broker does not answer within a second.
    /// For owners who expect deliveries and get none. Returns at once.
    ///
    /// ```no_run
    /// # use leveret_engine::ConsumerHandle;
    /// # fn example(handle: &ConsumerHandle) {
    /// handle.verify();
    /// # }
    /// ```
    pub fn verify(&self) {
        let consumer_tag = self.consumer_tag.clone();
        let channel = self.channel.number;
        self.channel.connection.post(Operation::Verify { channel, consumer_tag });
    }

    /// The sink has room again: reading goes on, if it was stopped because the sink was full.
    pub fn resume(&self) {
        self.channel.connection.read_bell.ring();
    }

    /// Asks the broker to deliver no more; resolves when it has agreed. Deliveries on their way are
    /// given back to the queue, or [taken](DeliverySink::takes_the_last). Where the broker did not
    /// agree in time, the consumer ends all the same: nothing more is taken, and it does not come
    /// back with the connection.
    ///
    /// # Errors
    /// `TimedOut`, `ConnectionClosed`, `ChannelClosed`, `Stopped`.
    pub async fn cancel(&self) -> Result<(), Error> {
        let consumer_tag = self.consumer_tag.clone();
        let channel = self.channel.number;
        self.channel.connection.ask(Operation::Cancel { channel, consumer_tag }).await.map(drop)
    }
}

impl std::fmt::Debug for ConsumerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConsumerHandle").field("consumer_tag", &self.consumer_tag).finish()
    }
}

/// The deliveries of one consumer.
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
    /// Taken from the inbox together, handed out one by one.
    batch: VecDeque<Delivery>,
}

impl Consumer {
    pub(crate) fn new(inbox: Inbox, handle: ConsumerHandle) -> Self {
        Self { inbox, handle, batch: VecDeque::new() }
    }

    /// The next delivery; `None` after the consumer was cancelled. Dropping the future loses
    /// nothing.
    ///
    /// # Errors
    /// Why the consumer ended, once: its connection was closed.
    pub async fn next(&mut self) -> Result<Option<Delivery>, Error> {
        if self.batch.is_empty() {
            let (inbox, batch) = (&self.inbox, &mut self.batch);
            std::future::poll_fn(|cx| inbox.poll_take(batch, cx.waker())).await?;
        }
        Ok(self.batch.pop_front())
    }

    /// [`Consumer::next`], for threads without a runtime.
    ///
    /// # Errors
    /// As [`Consumer::next`].
    pub fn next_blocking(&mut self) -> Result<Option<Delivery>, Error> {
        if let Some(delivery) = self.batch.pop_front() {
            return Ok(Some(delivery));
        }
        block_on(self.next())
    }

    /// [`Consumer::next_blocking`] that gives up after `timeout`: `Ok(None)` then, too.
    ///
    /// # Errors
    /// As [`Consumer::next`].
    pub fn next_within(&mut self, timeout: Duration) -> Result<Option<Delivery>, Error> {
        let deadline = crate::shard::border::outbox::deadline_in(timeout);
        let room = &self.handle.channel.connection.room;
        let mut limit = std::pin::pin!(room.open(Some(deadline)));
        block_on(async {
            let mut next = std::pin::pin!(self.inbox.taken(&mut self.batch));
            std::future::poll_fn(|cx| match next.as_mut().poll(cx) {
                Poll::Pending => limit.as_mut().poll(cx).map(|_| Ok(())),
                ready => ready,
            })
            .await
        })?;
        Ok(self.batch.pop_front())
    }

    /// Stops it; deliveries already in the inbox can still be taken.
    ///
    /// # Errors
    /// As [`ConsumerHandle::cancel`].
    pub async fn cancel(&self) -> Result<(), Error> {
        self.handle.cancel().await
    }

    /// A handle to stop it from elsewhere.
    #[must_use]
    pub fn handle(&self) -> ConsumerHandle {
        self.handle.clone()
    }
}

/// A dropped consumer stops: nobody else would ever take its deliveries. What it held goes back to
/// the queue.
impl Drop for Consumer {
    fn drop(&mut self) {
        let deliveries = std::mem::take(&mut self.inbox.lock().queue);
        for delivery in self.batch.drain(..).chain(deliveries) {
            delivery.reject(true);
        }
        self.inbox.0.abandoned.store(true, Ordering::Release);
        self.inbox.0.reader.ring();
        let channel = &self.handle.channel;
        channel.connection.post(Operation::Cancel {
            channel: channel.number,
            consumer_tag: self.handle.consumer_tag.clone(),
        });
    }
}

/// Shared between the sink on the shard and the consumer elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Inbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    messages_max: usize,
    bytes_max: usize,
    full: AtomicBool,
    abandoned: AtomicBool,
    reader: Arc<Doorbell>,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Delivery>,
    bytes: usize,
    waker: Option<Waker>,
    ended: bool,
    error: Option<Error>,
}

impl Inbox {
    pub(crate) fn new(consume: &Consume, reader: Arc<Doorbell>) -> Self {
        Self(Arc::new(Shared {
            inner: Mutex::default(),
            messages_max: consume.inbox_messages.max(1),
            bytes_max: consume.inbox_bytes.max(1),
            full: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            reader,
        }))
    }

    pub(crate) fn sink(&self) -> InboxSink {
        InboxSink { inbox: self.clone(), batch: Vec::new(), bytes: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn taken(&self, batch: &mut VecDeque<Delivery>) -> Result<(), Error> {
        if !batch.is_empty() {
            return Ok(());
        }
        std::future::poll_fn(|cx| self.poll_take(batch, cx.waker())).await
    }

    /// Swaps the whole queue into `batch`; ready and empty means the end.
    fn poll_take(&self, batch: &mut VecDeque<Delivery>, waker: &Waker) -> Poll<Result<(), Error>> {
        let mut inner = self.lock();
        if inner.queue.is_empty() {
            if let Some(error) = inner.error.take() {
                return Poll::Ready(Err(error));
            }
            if inner.ended {
                return Poll::Ready(Ok(()));
            }
            inner.waker = Some(waker.clone());
            return Poll::Pending;
        }
        std::mem::swap(&mut inner.queue, batch);
        inner.bytes = 0;
        drop(inner);
        if self.0.full.swap(false, Ordering::AcqRel) {
            self.0.reader.ring();
        }
        Poll::Ready(Ok(()))
    }
}

/// The shard's end of an inbox.
pub(crate) struct InboxSink {
    inbox: Inbox,
    batch: Vec<Delivery>,
    bytes: usize,
}

impl DeliverySink for InboxSink {
    fn deliver(&mut self, delivery: Delivery) -> Disposition {
        if self.inbox.0.abandoned.load(Ordering::Acquire) {
            return Disposition::Reject { requeue: true };
        }
        self.bytes += delivery.body().len();
        self.batch.push(delivery);
        Disposition::Later
    }

    fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let mut inner = self.inbox.lock();
        inner.queue.extend(self.batch.drain(..));
        inner.bytes += std::mem::take(&mut self.bytes);
        let shared = &self.inbox.0;
        let full = inner.queue.len() >= shared.messages_max || inner.bytes >= shared.bytes_max;
        if full {
            shared.full.store(true, Ordering::Release);
        }
        let waker = inner.waker.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn is_full(&self) -> bool {
        let shared = &self.inbox.0;
        shared.full.load(Ordering::Acquire) && !shared.abandoned.load(Ordering::Acquire)
    }

    fn ended(&mut self, error: Option<Error>) {
        self.flush();
        let mut inner = self.inbox.lock();
        inner.ended = true;
        inner.error = error;
        let waker = inner.waker.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

//! A bounded inbox between the shard and a consumer.
//!
//! The shard hands over all deliveries of one read under one lock with one wake-up. Invariant: the
//! consumer that empties a full inbox rings the reader.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crate::declare::Consume;
use crate::error::Error;
use crate::shard::border::delivery::Delivery;
use crate::shard::border::doorbell::Doorbell;
use crate::shard::border::sink::{DeliverySink, Disposition};

/// Shared between the sink on the shard and the consumer on another thread.
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
        InboxSink { inbox: self.clone(), batch: VecDeque::new(), bytes: 0 }
    }

    /// Takes every delivery that is in the inbox.
    pub(crate) fn take_all(&self) -> VecDeque<Delivery> {
        std::mem::take(&mut self.lock().queue)
    }

    /// Marks the inbox as abandoned: its sink rejects every further delivery.
    pub(crate) fn abandon(&self) {
        self.0.abandoned.store(true, Ordering::Release);
        self.0.reader.ring();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn wait_for_batch(&self, batch: &mut VecDeque<Delivery>) -> Result<(), Error> {
        if !batch.is_empty() {
            return Ok(());
        }
        std::future::poll_fn(|cx| self.poll_take(batch, cx.waker())).await
    }

    /// Moves the whole queue into `batch`. Ready with an empty batch means the consumer has ended.
    pub(crate) fn poll_take(
        &self,
        batch: &mut VecDeque<Delivery>,
        waker: &Waker,
    ) -> Poll<Result<(), Error>> {
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

/// The shard's side of an inbox.
pub(crate) struct InboxSink {
    inbox: Inbox,
    batch: VecDeque<Delivery>,
    bytes: usize,
}

impl DeliverySink for InboxSink {
    fn deliver(&mut self, delivery: Delivery) -> Disposition {
        if self.inbox.0.abandoned.load(Ordering::Acquire) {
            return Disposition::Reject { requeue: true };
        }
        self.bytes += delivery.body().len();
        self.batch.push_back(delivery);
        Disposition::Later
    }

    fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let mut inner = self.inbox.lock();
        if inner.queue.is_empty() {
            std::mem::swap(&mut inner.queue, &mut self.batch);
        } else {
            inner.queue.append(&mut self.batch);
        }
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

    fn closed(&mut self, error: Option<Error>) {
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

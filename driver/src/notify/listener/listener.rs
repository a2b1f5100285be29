//! The listener as its user sees it: it runs, is stopped, is waited for.
//!
//! It consumes one queue for each topic and priority (or one for its pool) on a channel of its own.
//! Not here: what happens to a notification (`processor`), how a listener starts (`builder`).

use std::sync::Arc;
use std::time::Duration;

use leveret_engine::block_on;

use crate::broker::subscriber::Subscriber;
use crate::error::Error;
use crate::notify::listener::processor::NotificationProcessor;
use crate::notify::listener::stats::ListenerStats;
use crate::observe::health::ListeningHealth;
use crate::runtime::shutdown::Shutdown;

/// A running listener. Stop it before dropping it: dropping it aborts what runs, and RabbitMQ
/// delivers those notifications again.
#[must_use = "what a dropped listener was doing comes again elsewhere: stop it, and wait for it"]
pub struct NotificationListener {
    pub(super) subscriber: Subscriber,
    pub(super) processor: Arc<NotificationProcessor>,
    pub(super) shutdown: Shutdown,
}

impl NotificationListener {
    /// Takes no further notifications. Those already taken are processed, a batch that is not full
    /// as well.
    ///
    /// # Errors
    /// `MessagingTimeout` or `TransportDriverError` when the broker does not answer or refuses; the
    /// intake has ended all the same. The first caller gets the error, later ones get `Ok`.
    pub async fn stop(&self) -> Result<(), Error> {
        self.shutdown.stop(self.end_intake()).await
    }

    /// Waits until every notification taken is handled, then ends the connection; those that wait
    /// for another attempt go back to their queue. Stops first, if it has not been stopped. An
    /// endpoint must not call it: it would wait for itself.
    ///
    /// # Errors
    /// As [`stop`](Self::stop).
    pub async fn wait(&self) -> Result<(), Error> {
        let finish = async {
            self.processor.finish().await;
            Ok(())
        };
        self.shutdown.wait(self.end_intake(), finish, self.subscriber.close()).await
    }

    async fn end_intake(&self) -> Result<(), Error> {
        self.processor.limit().lift();
        let cancelled = self.subscriber.cancel().await;
        self.processor.end_batching();
        cancelled
    }

    /// [`wait`](Self::wait), for as long as `timeout` at most.
    ///
    /// # Errors
    /// `TaskTimeout` when endpoints run longer; they continue, and the next caller of `wait`
    /// continues to wait. Else as [`stop`](Self::stop).
    pub async fn wait_within(&self, timeout: Duration) -> Result<(), Error> {
        self.shutdown.with_timeout(timeout, self.wait()).await
    }

    /// [`wait_within`](Self::wait_within) for a plain thread.
    ///
    /// # Errors
    /// As [`wait_within`](Self::wait_within).
    pub fn wait_within_blocking(&self, timeout: Duration) -> Result<(), Error> {
        block_on(self.wait_within(timeout))
    }

    /// [`stop`](Self::stop) for a plain thread.
    ///
    /// # Errors
    /// As [`stop`](Self::stop).
    pub fn stop_blocking(&self) -> Result<(), Error> {
        block_on(self.stop())
    }

    /// [`wait`](Self::wait) for a plain thread.
    ///
    /// # Errors
    /// As [`stop`](Self::stop).
    pub fn wait_blocking(&self) -> Result<(), Error> {
        block_on(self.wait())
    }

    /// Whether it still consumes. Cheap: nothing is sent.
    pub fn health(&self) -> ListeningHealth {
        let is_stopped = self.shutdown.has_stopped();
        let (connection, consumers) = (self.subscriber.health(), self.subscriber.consumers());
        ListeningHealth { connection, consumers, is_stopped }
    }

    /// What it has done so far.
    pub fn stats(&self) -> ListenerStats {
        ListenerStats { reconnects: self.subscriber.reconnects(), ..self.processor.stats() }
    }
}

impl std::fmt::Debug for NotificationListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NotificationListener").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

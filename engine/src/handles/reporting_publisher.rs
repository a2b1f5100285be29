//! Publications that no task waits for and whose failures a sink receives.
//!
//! The publisher chooses a number (the cookie) for each publication, and the sink receives it with
//! the failure, so a publication allocates nothing and wakes no task. Invariant: every accepted
//! publication ends once, with a confirm or in the sink.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::handles::confirm::outcome_without_answer;
use crate::handles::message::Message;
use crate::handles::publish_error::PublishError;
use crate::handles::publisher::Publisher;
use crate::outcome::Outcome;
use crate::shard::border::outbox::{Permit, PushError};
use crate::shard::border::shared::ChannelShared;
use crate::shard::border::slab::{CompletionListener, TicketError, Token};
use crate::shard::clock::deadline_in;

/// Receives the publications that ended without a confirm.
pub trait FailureSink: Send + Sync + 'static {
    /// Called for a publication made with `cookie` that the broker returned or refused, or that may
    /// be lost.
    ///
    /// Runs on the shard under no lock and delays every connection of that shard: it may store,
    /// wake and publish without waiting, and must not block. The engine catches a panic and counts
    /// it in [`ShardStats::panics`](crate::ShardStats::panics).
    fn publish_failed(&self, cookie: u64, outcome: Outcome);

    /// Whether a [retained](Publisher::retained) publication is still to be sent again, asked when
    /// its connection or channel was lost before it was confirmed. If not, it ends without a
    /// report. Runs as [`publish_failed`](Self::publish_failed). Default: true.
    fn is_wanted(&self, cookie: u64) -> bool {
        let _ = cookie;
        true
    }
}

/// A publisher that reports failures to a sink; see [`Publisher::with_failure_sink`]. Cloning is
/// cheap.
#[derive(Clone, Debug)]
pub struct ReportingPublisher {
    publisher: Publisher,
    listener: Arc<FailureListener>,
}

struct FailureListener {
    channel: Arc<ChannelShared>,
    sink: Arc<dyn FailureSink>,
}

impl Publisher {
    /// Returns a publisher that reports returned, refused and lost publications to `sink` and
    /// reports nothing for confirmed ones.
    #[must_use]
    pub fn with_failure_sink(&self, sink: Arc<dyn FailureSink>) -> ReportingPublisher {
        ReportingPublisher::new(self.clone(), sink)
    }
}

impl ReportingPublisher {
    fn new(publisher: Publisher, sink: Arc<dyn FailureSink>) -> Self {
        let listener = FailureListener { channel: Arc::clone(publisher.channel()), sink };
        Self { publisher, listener: Arc::new(listener) }
    }

    /// Appends a message to the outbox if it has room. If it is not confirmed within `timeout`, the
    /// engine withdraws it if it still waits, and reports it. On a channel without confirms nothing
    /// is reported.
    ///
    /// # Errors
    /// `Full`, `Closed`; these are not reported to the sink.
    pub fn try_publish<'a>(
        &self,
        message: impl Into<Message<'a>>,
        timeout: Duration,
        cookie: u64,
    ) -> Result<(), PublishError> {
        self.publisher.check_no_waiters()?;
        self.attempt(&message.into(), deadline_in(timeout), cookie, &mut None)
            .map_err(PublishError::from)
    }

    /// Appends a message to the outbox and waits for room for `timeout` at most.
    ///
    /// # Cancel safety
    /// Dropping the future before it resolves publishes nothing.
    ///
    /// # Errors
    /// `TimedOut`, `Closed`; these are not reported to the sink.
    pub async fn publish<'a>(
        &self,
        message: impl Into<Message<'a>>,
        timeout: Duration,
        cookie: u64,
    ) -> Result<(), PublishError> {
        let message = message.into();
        let deadline = deadline_in(timeout);
        let attempt =
            |permit: &mut Option<Permit<'_>>| self.attempt(&message, deadline, cookie, permit);
        self.publisher
            .append_when_room(deadline, Some(self.publisher.size_of(&message)), attempt)
            .await
    }

    fn attempt(
        &self,
        message: &Message<'_>,
        deadline: Instant,
        cookie: u64,
        permit: &mut Option<Permit<'_>>,
    ) -> Result<(), PushError> {
        let channel = &self.listener.channel;
        if !channel.options.confirms.are_on() {
            return self.publisher.append(0, message, permit);
        }
        let outcomes = &channel.connection.outcomes;
        let token = outcomes
            .open_with_listener(Some(deadline), Arc::clone(&self.listener) as _, cookie)
            .map_err(|_| PushError::Closed(Error::stopped()))?;
        match self.publisher.append(token, message, permit) {
            // If the deadline passed first, the sink has already been called.
            Err(error) if outcomes.forget(token) => Err(error),
            _ => Ok(()),
        }
    }
}

impl CompletionListener<Outcome> for FailureListener {
    fn on_complete(&self, token: Token, cookie: u64, answer: Result<Outcome, TicketError>) {
        let outcome =
            answer.unwrap_or_else(|error| outcome_without_answer(&self.channel, token, error));
        if !outcome.is_ok() {
            self.sink.publish_failed(cookie, outcome);
        }
    }

    fn is_wanted(&self, cookie: u64) -> bool {
        self.sink.is_wanted(cookie)
    }
}

impl std::fmt::Debug for FailureListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FailureListener").finish_non_exhaustive()
    }
}

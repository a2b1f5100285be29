//! Publications that nobody waits for, and whose refusals somebody wants to hear of.
//!
//! A refusal carries a number the publisher chose, so a publication costs no allocation and wakes
//! nobody. Invariant: what was taken ends once: silently when it was confirmed, in the sink
//! otherwise.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::handles::confirm::unanswered;
use crate::handles::message::Message;
use crate::handles::publish_error::PublishError;
use crate::handles::publisher::Publisher;
use crate::outcome::Outcome;
use crate::shard::border::outbox::{Permit, PushError};
use crate::shard::border::shared::ChannelShared;
use crate::shard::border::slab::{AnswerListener, TicketError, Token};
use crate::shard::clock::deadline_in;

/// Hears of publications that ended in anything but a confirm.
pub trait RefusalSink: Send + Sync + 'static {
    /// The publication made with `cookie` was returned, refused or lost.
    ///
    /// Called under no lock, on the shard, whose every connection pays for what it costs: it may
    /// store, wake and publish what is taken at once, and must not block. A panic in it is
    /// contained and counted in [`ShardStats::panics`](crate::ShardStats::panics).
    fn refused(&self, cookie: u64, outcome: Outcome);
}

/// A publisher that reports refusals to a sink; see [`Publisher::reporting`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reporting {
    publisher: Publisher,
    report: Arc<Report>,
}

struct Report {
    channel: Arc<ChannelShared>,
    sink: Arc<dyn RefusalSink>,
}

impl Publisher {
    /// A publisher that tells `sink` what was returned, refused or lost, and nobody what was
    /// confirmed: for publications that no task or thread waits for.
    #[must_use]
    pub fn reporting(&self, sink: Arc<dyn RefusalSink>) -> Reporting {
        Reporting::new(self.clone(), sink)
    }
}

impl Reporting {
    fn new(publisher: Publisher, sink: Arc<dyn RefusalSink>) -> Self {
        let report = Report { channel: Arc::clone(publisher.channel()), sink };
        Self { publisher, report: Arc::new(report) }
    }

    /// Takes a message into the outbox at once or not at all. What is not confirmed within
    /// `timeout` is withdrawn if it still waits, and reported. On a channel without confirms
    /// nothing is.
    ///
    /// # Errors
    /// `Full`, `Closed`; the sink does not hear of them.
    pub fn try_publish<'a>(
        &self,
        message: impl Into<Message<'a>>,
        timeout: Duration,
        cookie: u64,
    ) -> Result<(), PublishError> {
        self.publisher.check_queue()?;
        self.attempt(&message.into(), deadline_in(timeout), cookie, &mut None)
            .map_err(PublishError::from)
    }

    /// Takes a message into the outbox, waiting for room for `timeout` at most. Dropping the future
    /// before it resolves publishes nothing.
    ///
    /// # Errors
    /// `TimedOut`, `Closed`; the sink does not hear of them.
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
        self.publisher.until_taken(deadline, Some(self.publisher.size_of(&message)), attempt).await
    }

    fn attempt(
        &self,
        message: &Message<'_>,
        deadline: Instant,
        cookie: u64,
        permit: &mut Option<Permit<'_>>,
    ) -> Result<(), PushError> {
        let channel = &self.report.channel;
        if !channel.options.confirms {
            return self.publisher.append(0, message, permit);
        }
        let outcomes = &channel.connection.outcomes;
        let token = outcomes
            .open_with_listener(Some(deadline), Arc::clone(&self.report) as _, cookie)
            .map_err(|_| PushError::Closed(Error::stopped()))?;
        match self.publisher.append(token, message, permit) {
            // Where the deadline was faster, the sink has been told.
            Err(error) if outcomes.forget(token) => Err(error),
            _ => Ok(()),
        }
    }
}

impl AnswerListener<Outcome> for Report {
    fn on_answer(&self, token: Token, cookie: u64, answer: Result<Outcome, TicketError>) {
        let outcome = answer.unwrap_or_else(|error| unanswered(&self.channel, token, error));
        if !outcome.is_ok() {
            self.sink.refused(cookie, outcome);
        }
    }
}

impl std::fmt::Debug for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Report").finish_non_exhaustive()
    }
}

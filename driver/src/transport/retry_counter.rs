//! The attempts to publish one message, counted by oslo's `retry`.
//!
//! Without a bound the engine sends a message again by itself. With one it is published unretained,
//! and the sender that waits for it publishes the same body again; servers drop the repeat by its
//! id. Only an interrupted publication is repeated: what the broker refused or returned would be
//! again, unless the format waits for a receiver. A refusal that ended the whole channel may have
//! been meant for another message, so one such refusal is forgiven; a missing exchange (404) is,
//! too, since the exchange is declared again meanwhile.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Outcome};
use crate::message::retry::Retry;

/// The pauses before a message that the broker refused (`basic.nack`) is published again: they
/// double, up to the bound.
const NACK_PAUSE: Duration = Duration::from_millis(50);
const NACK_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Counts the attempts to publish one message.
pub(crate) struct RetryCounter {
    made: u32,
    more: u32,
    is_counted: bool,
    /// After how long a message that no queue took is published again.
    unroutable_delay: Option<Duration>,
    /// An earlier attempt ended with its channel.
    lost_its_channel: bool,
    /// An earlier attempt may have reached the broker.
    may_be_sent: bool,
}

impl RetryCounter {
    /// The count at the first attempt.
    pub(crate) const fn first(retry: Retry) -> Self {
        let more = if let Retry::Times(times) = retry { times } else { 0 };
        let is_counted = !retry.is_unbounded();
        Self {
            made: 1,
            more,
            is_counted,
            unroutable_delay: None,
            lost_its_channel: false,
            may_be_sent: false,
        }
    }

    /// Publishes a message that no queue took again after `delay`, as oslo's `pika` driver does.
    pub(crate) const fn with_unroutable_delay(mut self, delay: Option<Duration>) -> Self {
        self.unroutable_delay = delay;
        self
    }

    /// Whether the body may be needed again.
    pub(crate) const fn may_repeat(&self) -> bool {
        self.more > 0 || self.unroutable_delay.is_some()
    }

    /// Allows another attempt after `error` and returns the pause before it, or returns the error.
    pub(crate) fn next_pause(&mut self, error: Error) -> Result<Duration, Error> {
        if error.is_undeliverable()
            && let Some(delay) = self.unroutable_delay
        {
            return self.pause_until_routable(error, delay);
        }
        if error.outcome() == Some(Outcome::Nacked) && self.more > 0 {
            return Ok(self.pause_after_nack());
        }
        let has_ended_channel = ended_its_channel(&error);
        let is_last = self.more == 0 || (has_ended_channel && self.lost_its_channel);
        if is_last || !was_cut_off(&error) {
            return Err(self.final_error(error));
        }
        tracing::debug!(
            name: "leveret.publication.retried",
            %error, attempts = self.made, "a message is published again"
        );
        self.lost_its_channel |= has_ended_channel;
        self.may_be_sent |= error.outcome() == Some(Outcome::MaybeSent);
        self.more -= 1;
        self.made += 1;
        Ok(Duration::ZERO)
    }

    /// A queue that is full or has lost its leader may take the message a moment later.
    fn pause_after_nack(&mut self) -> Duration {
        let pause = NACK_PAUSE.saturating_mul(1 << (self.made - 1).min(10)).min(NACK_PAUSE_MAX);
        self.more -= 1;
        self.made += 1;
        pause
    }

    fn pause_until_routable(&mut self, error: Error, delay: Duration) -> Result<Duration, Error> {
        if self.is_counted {
            if self.more == 0 {
                return Err(error.with_attempts(self.made));
            }
            self.more -= 1;
        }
        self.made += 1;
        Ok(delay)
    }

    /// The error of the last attempt.
    pub(crate) fn final_error(&self, error: Error) -> Error {
        let error = self.with_total_outcome(error);
        let tells_attempts = self.is_counted && was_cut_off(&error);
        if tells_attempts { error.with_attempts(self.made) } else { error }
    }

    /// The same error with the outcome of all attempts.
    pub(crate) fn with_total_outcome(&self, error: Error) -> Error {
        if self.may_be_sent && error.outcome() == Some(Outcome::NotSent) {
            return error.with_outcome(Outcome::MaybeSent);
        }
        error
    }
}

/// A channel exception: an exchange or a queue does not exist (AMQP 1.2).
const NOT_FOUND: u16 = 404;

/// Whether the connection or channel closed before the outcome was known.
fn was_cut_off(error: &Error) -> bool {
    if error.outcome() == Some(Outcome::Refused) {
        return cause(error).is_some_and(|cause| cause.reply_code() == Some(NOT_FOUND));
    }
    error.kind() == ErrorKind::MessageDeliveryFailure
        && matches!(error.outcome(), Some(Outcome::NotSent | Outcome::MaybeSent))
        && (cause(error).is_some_and(leveret_engine::Error::is_transient)
            || ended_its_channel(error))
}

/// The broker closed the channel: over this message (404 no such exchange, 406 too large) or over
/// another one.
fn ended_its_channel(error: &Error) -> bool {
    cause(error).is_some_and(|cause| cause.kind() == leveret_engine::ErrorKind::ChannelClosed)
}

fn cause(error: &Error) -> Option<&leveret_engine::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_queue_refuses_is_repeated_later_and_later() {
        let refused = || crate::broker::errors::from_outcome(leveret_engine::Outcome::Nacked(None));
        let mut attempts = RetryCounter::first(Retry::Times(6));
        let pauses: Vec<u128> =
            (0..6).map(|_| attempts.next_pause(refused()).unwrap().as_millis()).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1000]);
        let error = attempts.next_pause(refused()).unwrap_err();
        assert_eq!(error.outcome(), Some(Outcome::Nacked));
        for retry in [Retry::Never, Retry::UntilDeadline] {
            // The engine repeats the latter by itself.
            RetryCounter::first(retry).next_pause(refused()).unwrap_err();
        }
    }

    #[test]
    fn what_the_broker_refuses_for_certain_is_not_repeated() {
        let text = "ACCESS_REFUSED - access to exchange 'x' refused";
        let error = Error::new(ErrorKind::MessageDeliveryFailure, text);
        let error = error.with_outcome(Outcome::Refused);
        let error = RetryCounter::first(Retry::Times(5)).next_pause(error).unwrap_err();
        assert_eq!(error.outcome(), Some(Outcome::Refused));
    }

    #[test]
    fn what_may_have_been_sent_once_stays_so() {
        let lost = |sent: bool| {
            let cause = leveret_engine::Error::from(leveret_engine::TicketError::TimedOut);
            let outcome = if sent { Outcome::MaybeSent } else { Outcome::NotSent };
            let error = Error::new(ErrorKind::MessageDeliveryFailure, "lost");
            error.with_outcome(outcome).with_cause(cause)
        };
        let mut attempts = RetryCounter::first(Retry::Times(2));
        assert!(attempts.may_repeat());
        attempts.next_pause(lost(true)).unwrap();
        attempts.next_pause(lost(false)).unwrap();
        let error = attempts.next_pause(lost(false)).unwrap_err();
        assert_eq!(error.outcome(), Some(Outcome::MaybeSent));
        assert_eq!(error.to_string(), "lost; given up after 3 attempts");
    }
}

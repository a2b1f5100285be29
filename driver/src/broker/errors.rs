//! Converts errors of the engine and outcomes of publications to errors of the driver.

use leveret_engine::Outcome;

use crate::error::{self, Error, ErrorKind};

/// The channel exception for an entity that does not exist (AMQP 0-9-1, constants).
pub(crate) const NOT_FOUND: u16 = 404;

/// Converts an error of the engine.
pub(crate) fn from_engine(error: leveret_engine::Error) -> Error {
    use leveret_engine::ErrorKind as Engine;
    let kind = match error.kind() {
        Engine::TimedOut => ErrorKind::MessagingTimeout,
        Engine::Unsupported => ErrorKind::Unsupported,
        Engine::Stopped => ErrorKind::Closed,
        _ => ErrorKind::TransportDriverError,
    };
    Error::new(kind, error.to_string()).with_cause(error)
}

/// Converts the outcome of a publication.
pub(crate) fn check_outcome(outcome: Outcome) -> Result<(), Error> {
    if outcome.is_ok() { Ok(()) } else { Err(from_outcome(outcome)) }
}

/// Converts the outcome of a publication that failed. Not for outcomes that are a success.
pub(crate) fn from_outcome(outcome: Outcome) -> Error {
    let lost = |outcome, text: &str, cause: leveret_engine::Error| {
        let kind = match cause.kind() {
            leveret_engine::ErrorKind::TimedOut => ErrorKind::MessagingTimeout,
            _ => ErrorKind::MessageDeliveryFailure,
        };
        Error::new(kind, format!("{text}: {cause}")).with_outcome(outcome).with_cause(cause)
    };
    match outcome {
        Outcome::Returned(returned) => Error::new(
            ErrorKind::MessageUndeliverable,
            format!(
                "no queue is bound to exchange {:?} for key {:?}: {} {}",
                returned.exchange(),
                returned.routing_key(),
                returned.reply_code(),
                returned.reply_text()
            ),
        )
        .with_outcome(error::Outcome::Returned),
        Outcome::Nacked(_) => Error::new(
            ErrorKind::MessageDeliveryFailure,
            "the broker refused the message: its queue is full or has failed",
        )
        .with_outcome(error::Outcome::Nacked),
        Outcome::Refused(cause, _) => {
            let text = format!("the broker refused the message: {cause}");
            Error::new(ErrorKind::MessageDeliveryFailure, text)
                .with_outcome(error::Outcome::Refused)
                .with_cause(cause)
        }
        Outcome::NotSent(cause) => lost(error::Outcome::NotSent, "the message was not sent", cause),
        Outcome::MaybeSent(cause) => {
            lost(error::Outcome::MaybeSent, "the message may not have reached the broker", cause)
        }
        _ => Error::new(ErrorKind::TransportDriverError, "the message was accepted after all"),
    }
}

/// Whether an exchange was missing (404). It may be that of another message on the same channel.
pub(crate) fn is_missing_exchange(error: &Error) -> bool {
    let cause = std::error::Error::source(error);
    let cause = cause.and_then(|cause| cause.downcast_ref::<leveret_engine::Error>());
    cause.is_some_and(|cause| cause.reply_code() == Some(NOT_FOUND))
}

/// Converts a refused declaration of a server or listener to `ServerListenError`; returns any other
/// error as it is.
pub(crate) fn listen_error(error: Error, what: impl std::fmt::Display) -> Error {
    let is_refusal = std::error::Error::source(&error)
        .and_then(|cause| cause.downcast_ref::<leveret_engine::Error>())
        .is_some_and(|cause| cause.kind() == leveret_engine::ErrorKind::ChannelClosed);
    if !is_refusal && error.kind() != ErrorKind::MessageDeliveryFailure {
        return error;
    }
    Error::new(ErrorKind::ServerListenError, format!("cannot listen at {what}: {error}"))
        .with_cause(error)
}

/// The error of operations on a closed transport.
pub(crate) fn transport_closed() -> Error {
    Error::new(ErrorKind::Closed, "the transport was closed")
}

//! What may go wrong, under oslo's names: one opaque error that answers questions.
//!
//! An [`Error`] says what kind it is, what became of the message if there was one, and which
//! exception a remote endpoint raised. Invariant: no error text ever contains a password. Not here:
//! exceptions on their way to a caller (`message::Failure`).

use std::fmt;
use std::ops::Deref;

use crate::message::Failure;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An operation that failed. Ask it what it is.
#[derive(Debug)]
pub struct Error(Box<Parts>);

#[derive(Debug)]
struct Parts {
    kind: ErrorKind,
    text: String,
    outcome: Option<Outcome>,
    remote: Option<RemoteError>,
    cause: Option<Cause>,
}

/// What kind of failure it was, named as in oslo.messaging where oslo has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No reply, or no room to send, before the deadline.
    MessagingTimeout,
    /// The broker did not take the message within the allowed attempts.
    MessageDeliveryFailure,
    /// Nobody could ever get the message: no queue is bound where it was sent.
    MessageUndeliverable,
    /// A target lacks what the operation needs, or names something AMQP cannot carry.
    InvalidTarget,
    /// A transport URL that cannot be understood.
    InvalidTransportUrl,
    /// Options that cannot be read or obeyed, or contradict each other; the text says where they
    /// stand and what is accepted.
    InvalidOptions,
    /// No driver has the name in the URL's scheme.
    DriverLoadFailure,
    /// The request's version is above the client's version cap.
    RpcVersionCapError,
    /// The remote endpoint answered with an exception; [`Error::remote`] has it.
    RemoteError,
    /// Arguments that cannot be written as JSON, or options that make no sense together.
    ClientSendError,
    /// The server cannot listen: the broker refused what it declares.
    ServerListenError,
    /// An option, a file of options or a rule in one that makes no sense.
    ConfigurationError,
    /// A reply that cannot be read as the expected type.
    InvalidReply,
    /// Something this version does not do, such as TLS.
    Unsupported,
    /// The transport or its engine has been closed.
    Closed,
    /// The broker or the connection to it failed, and none of the above says more.
    TransportDriverError,
}

/// What is known about a message that was to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It never left this process.
    NotSent,
    /// It may or may not have reached the broker.
    MaybeSent,
    /// The broker returned it as unroutable.
    Returned,
    /// The broker refused it.
    Nacked,
    /// The broker has it.
    Confirmed,
}

/// The exception that a remote endpoint raised, as its server described it.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteError(Failure);

impl Error {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        let text = text.into();
        Self(Box::new(Parts { kind, text, outcome: None, remote: None, cause: None }))
    }

    pub(crate) fn from_remote(failure: Failure) -> Self {
        let mut error = Self::new(
            ErrorKind::RemoteError,
            format!("Remote error: {} {}", failure.class(), failure.message()),
        );
        error.0.remote = Some(RemoteError(failure));
        error
    }

    pub(crate) fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.0.outcome = Some(outcome);
        self
    }

    pub(crate) fn with_cause(mut self, cause: impl Into<Cause>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether a deadline passed.
    pub fn is_timeout(&self) -> bool {
        self.kind() == ErrorKind::MessagingTimeout
    }

    /// Whether nobody could get the message.
    pub fn is_undeliverable(&self) -> bool {
        self.kind() == ErrorKind::MessageUndeliverable
    }

    /// What became of the message, where there was one and it is known.
    pub fn outcome(&self) -> Option<Outcome> {
        self.0.outcome
    }

    /// The exception raised by the remote endpoint.
    pub fn remote(&self) -> Option<&RemoteError> {
        self.0.remote.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match (&self.0.cause, &self.0.remote) {
            (Some(cause), _) => Some(cause.as_ref()),
            (None, Some(remote)) => Some(remote),
            (None, None) => None,
        }
    }
}

impl RemoteError {
    /// The exception itself, to raise it again from an endpoint under its original type.
    pub fn into_failure(self) -> Failure {
        self.0
    }
}

impl Deref for RemoteError {
    type Target = Failure;

    fn deref(&self) -> &Failure {
        &self.0
    }
}

/// oslo's text: type, value, traceback.
impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote error: {} {}", self.class(), self.message())?;
        self.traceback().iter().try_for_each(|line| write!(f, "\n{}", line.trim_end()))
    }
}

impl std::error::Error for RemoteError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_error_names_class_and_message() {
        let error = Error::from_remote(Failure::builtin("ValueError", "bad value"));
        assert_eq!(error.to_string(), "Remote error: ValueError bad value");
        assert_eq!(error.remote().map(|remote| remote.module()), Some("builtins"));
        assert!(!error.is_timeout() && error.outcome().is_none());
    }
}

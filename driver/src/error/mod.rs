//! The error type of the crate: one opaque type, with kinds under oslo's names.
//!
//! An [`Error`] has a kind, the outcome of the message if there was one, and the exception that a
//! remote endpoint raised. Invariant: no error text contains a password. `failure` has the
//! exceptions that servers send.

pub(crate) mod failure;
pub(crate) mod remote;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::error::failure::{DISPATCHER, Failure, NO_SUCH_METHOD, UNSUPPORTED_VERSION};
use crate::error::remote::RemoteError;

/// Shared, because several callers may wait for one operation and all get its error.
type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// The error of a failed operation.
///
/// [`kind`](Self::kind) tells what failed, [`outcome`](Self::outcome) what is known about the
/// message, and [`remote`](Self::remote) has the exception of a remote endpoint.
#[derive(Debug, Clone)]
pub struct Error(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    kind: ErrorKind,
    text: String,
    outcome: Option<Outcome>,
    remote: Option<RemoteError>,
    cause: Option<Cause>,
}

/// The kind of an [`Error`], named as in oslo.messaging if oslo has a name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No reply arrived, or the outbox had no room, before the deadline.
    MessagingTimeout,
    /// The broker did not accept the message within the allowed attempts.
    MessageDeliveryFailure,
    /// The broker returned the message: no queue is bound for its routing key.
    MessageUndeliverable,
    /// The target lacks a field that the operation needs, or has a name that AMQP does not allow.
    InvalidTarget,
    /// The transport URL cannot be parsed.
    InvalidTransportUrl,
    /// Options cannot be read or applied, or contradict each other; the text names their source and
    /// the accepted values.
    InvalidOptions,
    /// No driver has the name in the URL's scheme.
    DriverLoadFailure,
    /// The request's version is above the client's version cap.
    RpcVersionCapError,
    /// The remote endpoint answered with an exception; [`Error::remote`] has it.
    RemoteError,
    /// The arguments cannot be serialized, or the options of the request contradict each other.
    ClientSendError,
    /// The executor cannot run a method of the endpoints.
    ExecutorLoadFailure,
    /// The server cannot listen: the broker refused a declaration.
    ServerListenError,
    /// A server or listener did not stop or end within the given time; it continues to do so.
    TaskTimeout,
    /// An option, a configuration file or a routing rule is invalid.
    ConfigurationError,
    /// The reply cannot be read as the expected type.
    InvalidReply,
    /// This version does not support the operation.
    Unsupported,
    /// The transport or its engine has been closed.
    Closed,
    /// The broker or the connection to it failed, and no other kind applies.
    TransportDriverError,
}

/// What is known about the message of a failed operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It was not sent.
    NotSent,
    /// It may have reached the broker.
    MaybeSent,
    /// The broker returned it as unroutable.
    Returned,
    /// The broker refused it (`basic.nack`): its queue is full or has failed.
    Nacked,
    /// The broker refused it for good: no permission to write, no such exchange, or too large. It
    /// is in no queue.
    Refused,
    /// The broker confirmed it.
    Confirmed,
    /// A server processed it: its reply arrived.
    Answered,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        let text = text.into();
        Self(Box::new(Parts { kind, text, outcome: None, remote: None, cause: None }))
    }

    /// Creates the error for an exception in a reply. `is_allowed` tells whether a caller may match
    /// its class by name.
    pub(crate) fn from_remote(failure: Failure, is_allowed: bool) -> Self {
        let mut error = Self::new(
            ErrorKind::RemoteError,
            format!("Remote error: {} {}", failure.class(), failure.message()),
        );
        error.0.remote = Some(RemoteError::new(failure, is_allowed));
        error.with_outcome(Outcome::Answered)
    }

    /// Sets the outcome to [`Outcome::NotSent`] unless it has one.
    pub(crate) fn unsent(mut self) -> Self {
        self.0.outcome.get_or_insert(Outcome::NotSent);
        self
    }

    pub(crate) fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.0.outcome = Some(outcome);
        self
    }

    /// Appends the number of attempts to the text.
    pub(crate) fn with_attempts(mut self, attempts: u32) -> Self {
        let noun = if attempts == 1 { "attempt" } else { "attempts" };
        self.0.text.push_str(&format!("; given up after {attempts} {noun}"));
        self
    }

    pub(crate) fn with_cause(
        mut self,
        cause: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        self.0.cause = Some(Arc::new(cause));
        self
    }

    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether a deadline passed.
    pub fn is_timeout(&self) -> bool {
        matches!(self.kind(), ErrorKind::MessagingTimeout | ErrorKind::TaskTimeout)
    }

    /// Whether the broker returned the message because no queue was bound.
    pub fn is_undeliverable(&self) -> bool {
        self.kind() == ErrorKind::MessageUndeliverable
    }

    /// Returns what is known about the message: whether it was sent, was not sent, or may have been
    /// sent. Every error of a call or cast has an outcome.
    pub fn outcome(&self) -> Option<Outcome> {
        self.0.outcome
    }

    /// Returns the exception that the remote endpoint raised.
    pub fn remote(&self) -> Option<&RemoteError> {
        self.0.remote.as_ref()
    }

    /// Returns the exception that the remote endpoint raised, if it is of this module and class and
    /// the module is allowed: what a Python client would catch as `module.class`.
    pub fn remote_as(&self, module: &str, class: &str) -> Option<&RemoteError> {
        self.remote().filter(|remote| {
            remote.is_allowed() && (remote.module(), remote.class()) == (module, class)
        })
    }

    /// Whether the remote endpoint raised an exception of this class, in any allowed module. Meant
    /// for Python's built-in exceptions.
    ///
    /// ```
    /// # use leveret::{Context, Endpoint, Error, Failure, RpcClient, RpcServer, Target, Transport};
    /// # fn main() -> Result<(), Error> {
    /// # let transport = Transport::connect_blocking("fake:///remote-class")?;
    /// let raises = |_: Context, (): ()| Err::<(), _>(Failure::builtin("ValueError", "too small"));
    /// let endpoint = Endpoint::new().method("check", raises);
    /// # let target = Target::new("compute").with_server("host1");
    /// # let server = RpcServer::builder(&transport, target).endpoint(endpoint).start_blocking()?;
    /// # let client = RpcClient::new(&transport, Target::new("compute"));
    /// let error = client.call_blocking::<()>((), "check", &()).unwrap_err();
    /// assert!(error.is_remote_class("ValueError"));
    /// assert!(error.remote_as("builtins", "ValueError").is_some());
    /// # server.wait_blocking()
    /// # }
    /// ```
    pub fn is_remote_class(&self, class: &str) -> bool {
        self.remote().is_some_and(|remote| remote.is_allowed() && remote.class() == class)
    }

    /// Whether the server replied that no endpoint has the method (oslo's `NoSuchMethod`).
    pub fn is_no_such_method(&self) -> bool {
        self.is_dispatcher_error(NO_SUCH_METHOD)
    }

    /// Whether the server replied that no endpoint serves the version or the namespace (oslo's
    /// `UnsupportedVersion`).
    pub fn is_unsupported_version(&self) -> bool {
        self.is_dispatcher_error(UNSUPPORTED_VERSION)
    }

    fn is_dispatcher_error(&self, class: &str) -> bool {
        self.remote().is_some_and(|remote| (remote.module(), remote.class()) == (DISPATCHER, class))
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

/// The Python module of oslo's own exceptions.
const EXCEPTIONS: &str = "oslo_messaging.exceptions";

/// A remote exception keeps its class; an error of Leveret gets oslo's class; every other error is
/// named after its Rust type.
impl<E: std::error::Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let any: &dyn Any = &error;
        if let Some(remote) = any.downcast_ref::<RemoteError>() {
            return remote.clone().into_failure();
        }
        if let Some(error) = any.downcast_ref::<Error>() {
            return messaging_failure(error);
        }
        let path = std::any::type_name::<E>();
        let path = path.split('<').next().unwrap_or(path);
        let (module, class) = path.rsplit_once("::").unwrap_or(("", path));
        Self::new(class, module.replace("::", "."), error.to_string())
    }
}

fn messaging_failure(error: &Error) -> Failure {
    if let Some(remote) = error.remote() {
        return remote.clone().into_failure();
    }
    let class = match error.kind() {
        ErrorKind::MessagingTimeout => "MessagingTimeout",
        ErrorKind::MessageDeliveryFailure => "MessageDeliveryFailure",
        ErrorKind::MessageUndeliverable => "MessageUndeliverable",
        ErrorKind::InvalidTarget => "InvalidTarget",
        ErrorKind::InvalidTransportUrl => "InvalidTransportURL",
        ErrorKind::DriverLoadFailure => "DriverLoadFailure",
        ErrorKind::ClientSendError => "ClientSendError",
        _ => "MessagingException",
    };
    Failure::new(class, EXCEPTIONS, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_error_names_class_and_message() {
        let error = Error::from_remote(Failure::builtin("ValueError", "bad value"), true);
        assert_eq!(error.to_string(), "Remote error: ValueError bad value");
        assert_eq!(error.remote().map(|remote| remote.module()), Some("builtins"));
        assert!(!error.is_timeout());
        assert_eq!(error.outcome(), Some(Outcome::Answered));
    }

    #[test]
    fn a_class_matches_only_if_its_module_is_allowed() {
        let failure = Failure::new("NotFound", "nova.exception", "n");
        let error = Error::from_remote(failure.clone(), false);
        assert!(!error.is_remote_class("NotFound") && !error.remote().unwrap().is_allowed());
        assert!(error.remote_as("nova.exception", "NotFound").is_none());
        let error = Error::from_remote(failure, true);
        assert!(error.is_remote_class("NotFound"));
        assert!(error.remote_as("nova.exception", "NotFound").is_some());
        assert!(error.remote_as("cinder.exception", "NotFound").is_none());
    }

    #[test]
    fn errors_of_the_dispatcher_are_recognised_by_module_and_class() {
        let error = Error::from_remote(Failure::no_such_method("x"), false);
        assert!(error.is_no_such_method() && !error.is_unsupported_version());
        let error = Error::from_remote(Failure::unsupported_version("2.0", "x"), false);
        assert!(error.is_unsupported_version() && !error.is_no_such_method());
        let forged = Failure::new("NoSuchMethod", "elsewhere", "x");
        assert!(!Error::from_remote(forged, true).is_no_such_method());
    }

    #[test]
    fn a_remote_exception_gets_its_original_name_back() {
        let failure = Failure::new("ValueError_Remote", "builtins_Remote", "x");
        let failure = failure.without_remote_postfix();
        assert_eq!((failure.class(), failure.module()), ("ValueError", "builtins"));
        let half = Failure::new("Odd_Remote", "builtins", "x").without_remote_postfix();
        assert_eq!(half.class(), "Odd_Remote", "only if both have the suffix");
    }

    #[test]
    fn a_rust_error_is_named_after_its_type() {
        let failure = Failure::from(std::fmt::Error);
        assert_eq!((failure.class(), failure.module()), ("Error", "core.fmt"));
        let remote = Error::from_remote(Failure::builtin("KeyError", "k"), true);
        assert_eq!(Failure::from(remote).class(), "KeyError", "passed on unchanged");
    }
}

//! What may go wrong, under oslo's names: one opaque error that answers questions.
//!
//! An [`Error`] says what kind it is, what became of the message if there was one, and which
//! exception a remote endpoint raised. Invariant: no error text ever contains a password. Not here:
//! exceptions on their way to a caller (`failure`).

pub(crate) mod failure;
pub(crate) mod remote;
use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::error::failure::{DISPATCHER, Failure, NO_SUCH_METHOD, UNSUPPORTED_VERSION};
use crate::error::remote::RemoteError;

/// Shared, as several callers may wait for one thing and all be told why it failed.
type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// An operation that failed. Ask it what it is.
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
    /// The executor cannot run what the endpoints offer.
    ExecutorLoadFailure,
    /// The server cannot listen: the broker refused what it declares.
    ServerListenError,
    /// A server did not stop, or not end, in the time it was given; it goes on with it.
    TaskTimeout,
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
    /// The broker refused it (`basic.nack`): its queue is full or has failed.
    Nacked,
    /// The broker refused it for certain: no permission to write, no such exchange, or too large.
    /// No queue has it.
    Refused,
    /// The broker has it.
    Confirmed,
    /// A server took it up: its answer came.
    Answered,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        let text = text.into();
        Self(Box::new(Parts { kind, text, outcome: None, remote: None, cause: None }))
    }

    /// What a server answered; `is_allowed` says whether its class may be matched by name.
    pub(crate) fn from_remote(failure: Failure, is_allowed: bool) -> Self {
        let mut error = Self::new(
            ErrorKind::RemoteError,
            format!("Remote error: {} {}", failure.class(), failure.message()),
        );
        error.0.remote = Some(RemoteError::new(failure, is_allowed));
        error.with_outcome(Outcome::Answered)
    }

    /// The same error of a message that never left, unless more is known.
    pub(crate) fn assume_not_sent(mut self) -> Self {
        self.0.outcome.get_or_insert(Outcome::NotSent);
        self
    }

    pub(crate) fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.0.outcome = Some(outcome);
        self
    }

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

    /// What kind of failure it was.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether a deadline passed.
    pub fn is_timeout(&self) -> bool {
        matches!(self.kind(), ErrorKind::MessagingTimeout | ErrorKind::TaskTimeout)
    }

    /// Whether nobody could get the message.
    pub fn is_undeliverable(&self) -> bool {
        self.kind() == ErrorKind::MessageUndeliverable
    }

    /// What became of the message, where there was one: for every error of a call or a cast it
    /// says whether it surely was not sent, surely was, or may have been.
    pub fn outcome(&self) -> Option<Outcome> {
        self.0.outcome
    }

    /// The exception raised by the remote endpoint.
    pub fn remote(&self) -> Option<&RemoteError> {
        self.0.remote.as_ref()
    }

    /// The exception raised by the remote endpoint, if it is of this module and class and the
    /// module is allowed: what a Python client would catch as `module.class`.
    pub fn remote_as(&self, module: &str, class: &str) -> Option<&RemoteError> {
        self.remote().filter(|remote| {
            remote.is_allowed() && (remote.module(), remote.class()) == (module, class)
        })
    }

    /// Whether the remote endpoint raised an exception of this class, in whichever allowed module;
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

    /// Whether the server answered that no endpoint has the method (oslo's `NoSuchMethod`).
    pub fn is_no_such_method(&self) -> bool {
        self.is_of_dispatcher(NO_SUCH_METHOD)
    }

    /// Whether the server answered that no endpoint serves the version, or the namespace (oslo's
    /// `UnsupportedVersion`).
    pub fn is_unsupported_version(&self) -> bool {
        self.is_of_dispatcher(UNSUPPORTED_VERSION)
    }

    fn is_of_dispatcher(&self, class: &str) -> bool {
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

/// Where oslo keeps the exceptions of its own.
const EXCEPTIONS: &str = "oslo_messaging.exceptions";

/// An exception from afar keeps its type; every other error is named after its Rust type.
impl<E: std::error::Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let any: &dyn Any = &error;
        if let Some(remote) = any.downcast_ref::<RemoteError>() {
            return remote.clone().into_failure();
        }
        if let Some(error) = any.downcast_ref::<Error>() {
            return of_messaging(error);
        }
        let path = std::any::type_name::<E>();
        let path = path.split('<').next().unwrap_or(path);
        let (module, class) = path.rsplit_once("::").unwrap_or(("", path));
        Self::new(class, module.replace("::", "."), error.to_string())
    }
}

fn of_messaging(error: &Error) -> Failure {
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
    fn a_class_is_matched_only_where_its_module_is_allowed() {
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
    fn the_dispatchers_own_answers_are_known_by_name() {
        let error = Error::from_remote(Failure::no_such_method("x"), false);
        assert!(error.is_no_such_method() && !error.is_unsupported_version());
        let error = Error::from_remote(Failure::unsupported_version("2.0", "x"), false);
        assert!(error.is_unsupported_version() && !error.is_no_such_method());
        let forged = Failure::new("NoSuchMethod", "elsewhere", "x");
        assert!(!Error::from_remote(forged, true).is_no_such_method());
    }

    #[test]
    fn a_travelled_exception_gets_its_name_back() {
        let failure = Failure::new("ValueError_Remote", "builtins_Remote", "x");
        let failure = failure.without_remote_postfix();
        assert_eq!((failure.class(), failure.module()), ("ValueError", "builtins"));
        let half = Failure::new("Odd_Remote", "builtins", "x").without_remote_postfix();
        assert_eq!(half.class(), "Odd_Remote", "only if both carry the suffix");
    }

    #[test]
    fn a_rust_error_is_named_after_its_type() {
        let failure = Failure::from(std::fmt::Error);
        assert_eq!((failure.class(), failure.module()), ("Error", "core.fmt"));
        let remote = Error::from_remote(Failure::builtin("KeyError", "k"), true);
        assert_eq!(Failure::from(remote).class(), "KeyError", "passed on as it came");
    }
}

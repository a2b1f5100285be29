//! Requests, replies and failures as such, whatever their bytes: the narrow waist between API and
//! formats.
//!
//! Outgoing forms borrow everything and are generic over what serde can write; incoming forms
//! borrow from the decoded text. A dialect turns one into the other. Not here: any key, escape or
//! property of a dialect.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::codec::encoded::Encoded;
use crate::error::{Error, ErrorKind, RemoteError};
use crate::ids::Hex32;
use crate::message::context::Context;
use form::Form;

pub(crate) mod context;
pub(crate) mod form;
pub(crate) mod notification;
pub(crate) mod priority;
pub(crate) mod serializer;
pub(crate) mod target;
pub(crate) mod version;

/// A request about to be sent.
#[derive(Debug)]
pub(crate) struct Request<'a, A: ?Sized> {
    pub(crate) method: &'a str,
    /// Must serialise to an object, or to null for no arguments.
    pub(crate) args: &'a A,
    pub(crate) namespace: Option<&'a str>,
    pub(crate) version: Option<&'a str>,
    pub(crate) context: &'a Context,
    pub(crate) unique_id: Hex32,
    /// Absent for a cast.
    pub(crate) call: Option<CallPart<'a>>,
}

/// What a request for an answer says about the answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallPart<'a> {
    pub(crate) msg_id: Hex32,
    pub(crate) reply_queue: &'a str,
    /// How long the caller waits between signs of life, if it wants any.
    pub(crate) monitor: Option<Duration>,
}

/// A request as received.
#[derive(Debug, Default)]
pub(crate) struct IncomingRequest<'a> {
    pub(crate) method: Option<Cow<'a, str>>,
    pub(crate) args: Option<Encoded<'a>>,
    pub(crate) namespace: Option<Cow<'a, str>>,
    pub(crate) version: Option<Cow<'a, str>>,
    pub(crate) msg_id: Option<Cow<'a, str>>,
    pub(crate) reply_queue: Option<Cow<'a, str>>,
    pub(crate) unique_id: Option<Cow<'a, str>>,
    pub(crate) context: Context,
    /// In which its answer is to be written.
    pub(crate) form: Form,
}

/// An answer about to be sent to the caller that `msg_id` names.
#[derive(Debug)]
pub(crate) struct Reply<'a, R: ?Sized> {
    pub(crate) msg_id: &'a str,
    pub(crate) unique_id: Hex32,
    pub(crate) answer: Answer<'a, R>,
}

/// The three things a reply can say.
#[derive(Debug)]
pub(crate) enum Answer<'a, R: ?Sized> {
    Result(&'a R),
    Failure(&'a Failure),
    /// A sign of life of a call that goes on.
    Heartbeat,
}

/// A reply as received.
#[derive(Debug, Default)]
pub(crate) struct IncomingReply<'a> {
    pub(crate) msg_id: Option<Cow<'a, str>>,
    pub(crate) result: Option<Encoded<'a>>,
    pub(crate) failure: Option<Failure>,
    /// False for a sign of life, and for the first of the two messages very old servers send.
    pub(crate) ending: bool,
}

/// An exception on its way from an endpoint to its caller, in Python's terms.
///
/// Any error type converts into one, so `?` works in endpoints: its class is the type's name, its
/// module the type's path. To raise what a Python caller re-raises as its own, name a built-in:
///
/// ```
/// use leveret::Failure;
///
/// fn check(value: i64) -> Result<i64, Failure> {
///     if value < 0 {
///         return Err(Failure::builtin("ValueError", "value can't go negative!"));
///     }
///     Ok(value)
/// }
/// assert_eq!(check(-1).unwrap_err().class(), "ValueError");
/// let parsed: Result<i64, Failure> = "x".parse::<i64>().map_err(Failure::from);
/// assert_eq!(parsed.unwrap_err().class(), "ParseIntError");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Failure(Box<Parts>);

#[derive(Debug, Clone, PartialEq)]
struct Parts {
    class: String,
    module: String,
    message: String,
    traceback: Vec<String>,
    args: Vec<Value>,
    kwargs: Map<String, Value>,
}

/// Where Python 3 keeps its own exceptions.
const BUILTINS: &str = "builtins";
/// oslo appends this to class and module of an exception that came from afar.
const REMOTE_POSTFIX: &str = "_Remote";

impl Failure {
    /// An exception of class `class` in Python module `module`.
    pub fn new(
        class: impl Into<String>,
        module: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        let (class, module, message) = (class.into(), module.into(), message.into());
        let traceback = vec![format!("{class}: {message}\n")];
        let args = vec![Value::from(message.clone())];
        Self(Box::new(Parts { class, module, message, traceback, args, kwargs: Map::new() }))
    }

    /// One of Python's built-in exceptions: Python callers catch it under its own name.
    pub fn builtin(class: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(class, BUILTINS, message)
    }

    /// The same exception with these constructor arguments instead of its message alone.
    #[must_use]
    pub fn with_args(mut self, args: impl IntoIterator<Item = Value>) -> Self {
        self.0.args = args.into_iter().collect();
        self
    }

    /// The same exception with these keyword arguments of its constructor.
    #[must_use]
    pub fn with_kwargs(mut self, kwargs: Map<String, Value>) -> Self {
        self.0.kwargs = kwargs;
        self
    }

    /// The same exception with these lines of a traceback, each with its line feed.
    #[must_use]
    pub fn with_traceback(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.0.traceback = lines.into_iter().collect();
        self
    }

    /// Name of the exception's class.
    pub fn class(&self) -> &str {
        &self.0.class
    }

    /// Name of the module the class lives in.
    pub fn module(&self) -> &str {
        &self.0.module
    }

    /// The exception's text.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The traceback, line by line as Python formats it.
    pub fn traceback(&self) -> &[String] {
        &self.0.traceback
    }

    /// Positional arguments of the exception.
    pub fn args(&self) -> &[Value] {
        &self.0.args
    }

    /// Keyword arguments of the exception.
    pub fn kwargs(&self) -> &Map<String, Value> {
        &self.0.kwargs
    }

    /// The same exception under the name it had before it travelled.
    pub(crate) fn under_original_name(mut self) -> Self {
        let parts = &mut self.0;
        let class = parts.class.strip_suffix(REMOTE_POSTFIX);
        if let (Some(class), Some(module)) = (class, parts.module.strip_suffix(REMOTE_POSTFIX)) {
            (parts.class, parts.module) = (class.to_owned(), module.to_owned());
        }
        self
    }

    /// What oslo raises for a method that no compatible endpoint has.
    pub(crate) fn no_such_method(method: &str) -> Self {
        let text = format!("Endpoint does not support RPC method {method}");
        Self::new(NO_SUCH_METHOD, DISPATCHER, text)
    }

    /// What oslo raises for a version (or namespace) that no endpoint serves.
    pub(crate) fn unsupported_version(version: &str, method: &str) -> Self {
        let text =
            format!("Endpoint does not support RPC version {version}. Attempted method: {method}");
        Self::new(UNSUPPORTED_VERSION, DISPATCHER, text)
    }
}

/// The class of what oslo raises for a method that no compatible endpoint has.
pub(crate) const NO_SUCH_METHOD: &str = "NoSuchMethod";
/// The class of what oslo raises for a version or namespace that no endpoint serves.
pub(crate) const UNSUPPORTED_VERSION: &str = "UnsupportedVersion";
/// The module of both.
pub(crate) const DISPATCHER: &str = "oslo_messaging.rpc.dispatcher";
const EXCEPTIONS: &str = "oslo_messaging.exceptions";

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class(), self.message())
    }
}

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
    fn a_travelled_exception_gets_its_name_back() {
        let failure = Failure::new("ValueError_Remote", "builtins_Remote", "x");
        let failure = failure.under_original_name();
        assert_eq!((failure.class(), failure.module()), ("ValueError", "builtins"));
        let half = Failure::new("Odd_Remote", "builtins", "x").under_original_name();
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

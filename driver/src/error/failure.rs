//! An exception on its way from an endpoint to its caller, in Python's terms.

use std::fmt;

use serde_json::{Map, Value};

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
    pub(crate) fn without_remote_postfix(mut self) -> Self {
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

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class(), self.message())
    }
}

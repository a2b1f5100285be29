//! The exception that an endpoint sends to its caller, in Python's terms.

use std::fmt;

use serde_json::{Map, Value};

/// The exception that an endpoint sends to its caller, in Python's terms.
///
/// Any error type converts into a failure, so `?` works in endpoints: the class is the type's name,
/// the module is the type's path. A Python caller catches a built-in exception under its own name:
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

/// The Python 3 module of the built-in exceptions.
const BUILTINS: &str = "builtins";

/// The suffix that oslo appends to class and module of a remote exception.
const REMOTE_POSTFIX: &str = "_Remote";

impl Failure {
    /// Creates an exception of class `class` in the Python module `module`.
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

    /// Creates one of Python's built-in exceptions, which Python callers catch under its own name.
    pub fn builtin(class: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(class, BUILTINS, message)
    }

    /// Sets the positional arguments of the constructor; the message alone is the default.
    #[must_use]
    pub fn with_args(mut self, args: impl IntoIterator<Item = Value>) -> Self {
        self.0.args = args.into_iter().collect();
        self
    }

    /// Sets the keyword arguments of the constructor; none is the default.
    #[must_use]
    pub fn with_kwargs(mut self, kwargs: Map<String, Value>) -> Self {
        self.0.kwargs = kwargs;
        self
    }

    /// Sets the lines of the traceback, each with its line feed.
    #[must_use]
    pub fn with_traceback(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.0.traceback = lines.into_iter().collect();
        self
    }

    /// Returns the name of the exception's class.
    pub fn class(&self) -> &str {
        &self.0.class
    }

    /// Returns the name of the class's module.
    pub fn module(&self) -> &str {
        &self.0.module
    }

    /// Returns the exception's message.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the lines of the traceback, as Python formats them.
    pub fn traceback(&self) -> &[String] {
        &self.0.traceback
    }

    /// Returns the positional arguments of the constructor.
    pub fn args(&self) -> &[Value] {
        &self.0.args
    }

    /// Returns the keyword arguments of the constructor.
    pub fn kwargs(&self) -> &Map<String, Value> {
        &self.0.kwargs
    }

    /// Restores the original name of an exception that was received from another server: removes
    /// [`REMOTE_POSTFIX`] if both class and module have it.
    pub(crate) fn without_remote_postfix(mut self) -> Self {
        let parts = &mut self.0;
        let class = parts.class.strip_suffix(REMOTE_POSTFIX);
        if let (Some(class), Some(module)) = (class, parts.module.strip_suffix(REMOTE_POSTFIX)) {
            (parts.class, parts.module) = (class.to_owned(), module.to_owned());
        }
        self
    }

    /// Creates the exception that oslo raises for a method that no compatible endpoint has.
    pub(crate) fn no_such_method(method: &str) -> Self {
        let text = format!("Endpoint does not support RPC method {method}");
        Self::new(NO_SUCH_METHOD, DISPATCHER, text)
    }

    /// Creates the exception that oslo raises for a version or namespace that no endpoint serves.
    pub(crate) fn unsupported_version(version: &str, method: &str) -> Self {
        let text =
            format!("Endpoint does not support RPC version {version}. Attempted method: {method}");
        Self::new(UNSUPPORTED_VERSION, DISPATCHER, text)
    }
}

/// The class of the exception for a method that no compatible endpoint has.
pub(crate) const NO_SUCH_METHOD: &str = "NoSuchMethod";

/// The class of the exception for a version or namespace that no endpoint serves.
pub(crate) const UNSUPPORTED_VERSION: &str = "UnsupportedVersion";

/// The module of both exceptions.
pub(crate) const DISPATCHER: &str = "oslo_messaging.rpc.dispatcher";

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class(), self.message())
    }
}

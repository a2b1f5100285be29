//! Methods with their types erased, so that the dispatcher handles arguments that are not read yet
//! and results that encode themselves.

use std::future::Future;
use std::pin::Pin;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::codec::encoded::{Encoded, NULL};
use crate::codec::error::WriteError;
use crate::dialect::format::WireFormat;
use crate::error::failure::Failure;
use crate::message::context::Context;
use crate::message::ids::Hex32;
use crate::message::{Reply, ReplyContent};
use crate::runtime::panics::catch_panic;

/// A method of an endpoint, and what the endpoint says about it.
pub(crate) struct RegisteredMethod {
    pub(crate) name: Box<str>,
    pub(crate) method: Method,
    pub(super) is_exposed: bool,
    /// Classes of exceptions that it is expected to raise, with their module or without.
    pub(super) expected: Vec<Box<str>>,
}

impl RegisteredMethod {
    /// Whether this exception is part of the method's contract.
    pub(crate) fn expects(&self, failure: &Failure) -> bool {
        self.expected.iter().any(|expected| match expected.rsplit_once('.') {
            Some((module, class)) => (module, class) == (failure.module(), failure.class()),
            None => **expected == *failure.class(),
        })
    }
}

/// One method, its types erased.
pub(crate) enum Method {
    /// Returns its result on the thread that dispatches it.
    Plain(PlainMethod),
    /// Returns a future.
    Async(AsyncMethod),
}

type PlainMethod = Box<dyn Fn(Context, &Encoded<'_>) -> MethodResult + Send + Sync>;
type AsyncMethod = Box<dyn Fn(Context, &Encoded<'_>) -> ResultFuture + Send + Sync>;

/// The result of a method, its type erased.
pub(crate) type MethodResult = Result<Box<dyn ErasedResult>, Failure>;
pub(super) type ResultFuture = Pin<Box<dyn Future<Output = MethodResult> + Send>>;

/// A result that can encode itself into a reply.
pub(crate) trait ErasedResult: Send {
    /// Appends the reply's body to `out`, in this format.
    fn encode(
        &self,
        out: &mut Vec<u8>,
        format: &WireFormat,
        msg_id: &str,
        unique_id: Hex32,
    ) -> Result<(), WriteError>;

    /// The result itself, for a serializer.
    fn to_value(&self) -> Result<Value, serde_json::Error>;
}

impl<T: Serialize + Send> ErasedResult for T {
    fn encode(
        &self,
        out: &mut Vec<u8>,
        format: &WireFormat,
        msg_id: &str,
        unique_id: Hex32,
    ) -> Result<(), WriteError> {
        let reply = Reply { msg_id, unique_id, content: ReplyContent::Result(self) };
        catch_panic(|| format.encode_reply(out, &reply))
            .unwrap_or_else(|panic| Err(serde::ser::Error::custom(panic)))
    }

    fn to_value(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(self)
    }
}

/// Reads arguments by name; a method without arguments also accepts the empty object that Python
/// sends.
pub(super) fn read_args<T: DeserializeOwned>(args: &Encoded<'_>) -> Result<T, Failure> {
    args.read()
        .or_else(|error| if args.is_empty_object() { NULL.read() } else { Err(error) })
        .map_err(|error| Failure::builtin("TypeError", format!("arguments do not fit: {error}")))
}

pub(super) fn finished<R: Serialize + Send + 'static, E: Into<Failure>>(
    result: Result<R, E>,
) -> MethodResult {
    match result {
        Ok(value) => Ok(Box::new(value)),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn panicked<T>(text: String) -> Result<T, Failure> {
    Err(Failure::builtin("RuntimeError", text))
}

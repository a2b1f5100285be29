//! Passes requests and results through a user's serializer, on both sides.
//!
//! As in oslo: every argument by itself, the context before the arguments on a server, the result
//! under the context the request came with. Not here: what a serializer does (`serializer`).

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::codec::encoded::Encoded;
use crate::error::failure::Failure;
use crate::error::{Error, ErrorKind, Outcome};
use crate::message::context::Context;
use crate::message::serializer::Serializer;
use crate::rpc::server::method::{ErasedResult, MethodResult};

/// A client's context and arguments, serialized.
pub(super) fn serialize_request<A: Serialize + ?Sized>(
    serializer: &dyn Serializer,
    context: &Context,
    args: &A,
) -> Result<(Context, Value), Error> {
    let refused = |failure: Failure| {
        let text = format!("the serializer refuses the request: {failure}");
        Error::new(ErrorKind::ClientSendError, text).unsent()
    };
    let args = serde_json::to_value(args).map_err(|error| refused(error.into()))?;
    let args = each(args, |value| serializer.serialize_entity(context, value)).map_err(refused)?;
    Ok((serializer.serialize_context(context).map_err(refused)?, args))
}

/// A client's result, deserialized.
pub(super) fn deserialize_result<R: DeserializeOwned>(
    serializer: &dyn Serializer,
    context: &Context,
    encoded: &Encoded<'_>,
) -> Result<R, Error> {
    let taken = || -> Result<R, Failure> {
        let value = read(encoded)?;
        Ok(serde_json::from_value(serializer.deserialize_entity(context, value)?)?)
    };
    taken().map_err(|failure| {
        let text = format!("the result is not of the expected type: {failure}");
        Error::new(ErrorKind::InvalidReply, text).with_outcome(Outcome::Answered)
    })
}

/// A server's context and arguments, deserialized.
pub(super) fn deserialize_request(
    serializer: &dyn Serializer,
    context: Context,
    args: &Encoded<'_>,
) -> Result<(Context, Encoded<'static>), Failure> {
    let client_timeout = context.client_timeout();
    let mut context = serializer.deserialize_context(context)?;
    context.set_client_timeout(client_timeout);
    let args = each(read(args)?, |value| serializer.deserialize_entity(&context, value))?;
    Ok((context, Encoded::Value(args)))
}

/// A server's result, serialized.
pub(super) fn serialize_result(
    serializer: &dyn Serializer,
    context: &Context,
    answer: &dyn ErasedResult,
) -> MethodResult {
    Ok(Box::new(serializer.serialize_entity(context, answer.to_value()?)?))
}

fn read(encoded: &Encoded<'_>) -> Result<Value, Failure> {
    encoded.read().map_err(|error| Failure::builtin("ValueError", error))
}

/// Passes each argument of an object through `change`; any other value is no arguments and stays.
fn each(
    args: Value,
    mut change: impl FnMut(Value) -> Result<Value, Failure>,
) -> Result<Value, Failure> {
    let Value::Object(args) = args else { return Ok(args) };
    let changed = args.into_iter().map(|(name, value)| Ok((name, change(value)?)));
    changed.collect::<Result<_, Failure>>().map(Value::Object)
}

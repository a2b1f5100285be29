//! oslo's `Serializer`: converts the values and contexts of a service before and after transfer.
//!
//! It works on JSON values, one argument or one result at a time. It runs only in a client or
//! server with a serializer; without one, typed values are written straight into the message.

use serde_json::Value;

use crate::error::failure::Failure;
use crate::message::context::Context;

/// Converts values and contexts before they are sent and after they are received.
///
/// The default methods change nothing. Any error converts into [`Failure`] with `?`: in a client it
/// fails the operation, on a server it is raised in the caller.
///
/// ```
/// use leveret::{Context, Failure, Serializer};
/// use serde_json::Value;
///
/// /// Sends strings in upper case.
/// struct Loud;
///
/// impl Serializer for Loud {
///     fn serialize_entity(&self, _: &Context, entity: Value) -> Result<Value, Failure> {
///         Ok(match entity {
///             Value::String(text) => text.to_uppercase().into(),
///             other => other,
///         })
///     }
/// }
/// let loud = Loud.serialize_entity(&Context::new(), "hi".into()).unwrap();
/// assert_eq!(loud, "HI");
/// ```
///
/// With a serializer, arguments and results pass through `serde_json::Value`: keys are in
/// alphabetical order, and NaN and infinite floats become null.
pub trait Serializer: Send + Sync + 'static {
    /// Converts one argument or one result before it is sent; `context` is the sender's own.
    ///
    /// # Errors
    /// The reason why the value cannot be sent.
    fn serialize_entity(&self, context: &Context, entity: Value) -> Result<Value, Failure> {
        let _ = context;
        Ok(entity)
    }

    /// Converts one received argument or result; `context` is the receiver's own, deserialized.
    ///
    /// # Errors
    /// The reason why the value cannot be read.
    fn deserialize_entity(&self, context: &Context, entity: Value) -> Result<Value, Failure> {
        let _ = context;
        Ok(entity)
    }

    /// Converts the context before it is sent.
    ///
    /// # Errors
    /// The reason why the context cannot be sent.
    fn serialize_context(&self, context: &Context) -> Result<Context, Failure> {
        Ok(context.clone())
    }

    /// Converts a received context.
    ///
    /// # Errors
    /// The reason why the context cannot be read.
    fn deserialize_context(&self, context: Context) -> Result<Context, Failure> {
        Ok(context)
    }
}

/// Changes nothing. It has the effect of no serializer, which is faster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoOpSerializer;

impl Serializer for NoOpSerializer {}

/// Changes nothing; for code that names oslo's `JsonPayloadSerializer`. That one converts Python
/// objects into JSON types, which serde does here before a serializer gets a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JsonPayloadSerializer;

impl Serializer for JsonPayloadSerializer {}

/// Converts contexts with two functions of the service, and values with another serializer: oslo's
/// `RequestContextSerializer`, for services whose own context differs from the one they send.
///
/// ```
/// use leveret::{Context, NoOpSerializer, RequestContextSerializer, Serializer};
///
/// let serializer = RequestContextSerializer::new(
///     NoOpSerializer,
///     |context: &Context| {
///         let mut sent = context.clone();
///         sent.remove("password");
///         sent
///     },
///     |context: Context| context.with("is_remote", true),
/// );
/// let local = Context::new().with("user", "alice").with("password", "secret");
/// let sent = serializer.serialize_context(&local).unwrap();
/// assert!(sent.get("password").is_none());
/// assert_eq!(serializer.deserialize_context(sent).unwrap().get("is_remote").unwrap(), true);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct RequestContextSerializer<B, O, I> {
    base: B,
    outgoing: O,
    incoming: I,
}

impl<B, O, I> RequestContextSerializer<B, O, I>
where
    B: Serializer,
    O: Fn(&Context) -> Context + Send + Sync + 'static,
    I: Fn(Context) -> Context + Send + Sync + 'static,
{
    /// Creates a serializer that converts values with `base`, contexts to send with `outgoing` and
    /// received contexts with `incoming`.
    pub const fn new(base: B, outgoing: O, incoming: I) -> Self {
        Self { base, outgoing, incoming }
    }
}

impl<B, O, I> Serializer for RequestContextSerializer<B, O, I>
where
    B: Serializer,
    O: Fn(&Context) -> Context + Send + Sync + 'static,
    I: Fn(Context) -> Context + Send + Sync + 'static,
{
    fn serialize_entity(&self, context: &Context, entity: Value) -> Result<Value, Failure> {
        self.base.serialize_entity(context, entity)
    }

    fn deserialize_entity(&self, context: &Context, entity: Value) -> Result<Value, Failure> {
        self.base.deserialize_entity(context, entity)
    }

    fn serialize_context(&self, context: &Context) -> Result<Context, Failure> {
        Ok((self.outgoing)(context))
    }

    fn deserialize_context(&self, context: Context) -> Result<Context, Failure> {
        Ok((self.incoming)(context))
    }
}

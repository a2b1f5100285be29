//! What a service does to its values and contexts on their way: oslo's `Serializer`.
//!
//! Works on JSON values, one argument or one result at a time. Nothing here runs unless a client or
//! a server was given a serializer: typed values are written straight into the message else.

use serde_json::Value;

use crate::error::failure::Failure;
use crate::message::context::Context;

/// Turns values and contexts into what travels, and back.
///
/// Every method passes on what it got unless it is written. Any error converts into [`Failure`]
/// with `?`: at a client it fails the operation, at a server it is raised in the caller.
///
/// ```
/// use leveret::{Context, Failure, Serializer};
/// use serde_json::Value;
///
/// /// Texts travel in capitals.
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
/// With a serializer, arguments and results pass through `serde_json::Value`: keys come in
/// alphabetical order, and floats that are no numbers become null.
pub trait Serializer: Send + Sync + 'static {
    /// One argument or one result, before it is sent; `context` is the sender's own.
    ///
    /// # Errors
    /// What keeps it from being sent.
    fn serialize_entity(&self, context: &Context, entity: Value) -> Result<Value, Failure> {
        let _ = context;
        Ok(entity)
    }

    /// One argument or one result as it came; `context` is the receiver's own, deserialised.
    ///
    /// # Errors
    /// What keeps it from being understood.
    fn deserialize_entity(&self, context: &Context, entity: Value) -> Result<Value, Failure> {
        let _ = context;
        Ok(entity)
    }

    /// The context, before it is sent.
    ///
    /// # Errors
    /// What keeps it from being sent.
    fn serialize_context(&self, context: &Context) -> Result<Context, Failure> {
        Ok(context.clone())
    }

    /// The context as it came.
    ///
    /// # Errors
    /// What keeps it from being understood.
    fn deserialize_context(&self, context: Context) -> Result<Context, Failure> {
        Ok(context)
    }
}

/// Changes nothing. The same as no serializer, which is faster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoOpSerializer;

impl Serializer for NoOpSerializer {}

/// oslo's `JsonPayloadSerializer`, which turns Python objects into what JSON can hold. Here serde
/// has done so before a serializer sees a value, so this changes nothing; it is there for code that
/// names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JsonPayloadSerializer;

impl Serializer for JsonPayloadSerializer {}

/// Contexts by two functions of the service, values by another serializer: oslo's
/// `RequestContextSerializer`, for services whose context has more to it than what travels.
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
    /// Values by `base`, contexts by `outgoing` before they are sent and by `incoming` when they
    /// have come.
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

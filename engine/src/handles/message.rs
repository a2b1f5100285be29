//! A message to publish: its body and its identifiers.

use bytes::Bytes;

use crate::wire::template::Ids;

/// A message to publish: a body, and identifiers that replace those of the publisher. A body
/// converts into a message without identifiers of its own.
///
/// An identifier must be as long as the one it replaces.
///
/// ```no_run
/// # async fn example(channel: leveret_engine::Channel) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use leveret_engine::{Message, Properties, Route, wire::Ids};
///
/// let route = Route { exchange: String::new(), routing_key: "work".into(), mandatory: true };
/// let publisher = channel.publisher(route, &Properties::new().with_message_id("0000"))?;
/// let ids = Ids { message_id: Some("0001"), ..Ids::default() };
/// let message = Message { payload: "hello".as_bytes().into(), ids };
/// publisher.publish(message, Duration::from_secs(5)).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// The body of the message.
    pub payload: Payload<'a>,
    /// Identifiers that replace those of the publisher.
    pub ids: Ids<'a>,
}

impl<'a> From<Payload<'a>> for Message<'a> {
    fn from(payload: Payload<'a>) -> Self {
        Self { payload, ids: Ids::default() }
    }
}

/// Converts a body into a message without identifiers of its own.
macro_rules! bare_messages {
    ($($body:ty),*) => { $(
        impl<'a> From<&'a $body> for Message<'a> {
            fn from(body: &'a $body) -> Self {
                Payload::from(body).into()
            }
        }
    )* };
}
bare_messages!([u8], Vec<u8>, Bytes);

/// A body borrowed from the caller.
#[derive(Clone, Debug)]
pub enum Payload<'a> {
    /// Bytes that are copied into the outbox.
    Slice(&'a [u8]),
    /// Shared bytes: copied up to 8 KiB, above that the outbox holds a reference.
    Shared(&'a Bytes),
}

impl Payload<'_> {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Slice(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl<'a> From<&'a [u8]> for Payload<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Slice(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Payload<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Slice(bytes)
    }
}

impl<'a> From<&'a Bytes> for Payload<'a> {
    fn from(bytes: &'a Bytes) -> Self {
        Self::Shared(bytes)
    }
}

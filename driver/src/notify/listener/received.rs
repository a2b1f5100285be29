//! A received notification, before its payload is read.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use crate::codec::encoded::{Encoded, NULL};
use crate::error::failure::Failure;
use crate::message::context::Context;
use crate::message::notification::IncomingNotification;
use crate::message::priority::Priority;
use crate::message::serializer::Serializer;
use crate::notify::listener::verdict::Verdict;
use crate::notify::notification::Notification;
use crate::runtime::panics::catch_panic;

/// A notification received, its payload not yet read.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) publisher_id: String,
    pub(crate) event_type: String,
    pub(crate) priority: Priority,
    pub(crate) payload: Option<Encoded<'static>>,
    pub(crate) context: Context,
    pub(crate) message_id: String,
    pub(crate) timestamp: String,
    pub(crate) unique_id: Option<Box<str>>,
}

impl Received {
    /// Copies what was decoded; `None` if its priority is unknown.
    pub(crate) fn new(incoming: IncomingNotification<'_>) -> Option<Self> {
        let text = |text: Option<Cow<'_, str>>| text.map_or_else(String::new, Cow::into_owned);
        Some(Self {
            priority: incoming.priority.as_deref()?.parse().ok()?,
            publisher_id: text(incoming.publisher_id),
            event_type: text(incoming.event_type),
            payload: incoming.payload.map(Encoded::into_owned),
            context: incoming.context,
            message_id: text(incoming.message_id),
            timestamp: text(incoming.timestamp),
            unique_id: incoming.unique_id.map(|id| id.into_owned().into()),
        })
    }

    /// Passes it through a serializer: the context first, the payload under that context. A refusal
    /// is a failure.
    pub(crate) fn through(mut self, serializer: &dyn Serializer) -> (Self, Verdict) {
        let context = std::mem::take(&mut self.context);
        let read = || {
            let context = serializer.deserialize_context(context)?;
            let payload = self.payload().read();
            let payload = payload.map_err(|error| Failure::builtin("ValueError", error))?;
            let payload = serializer.deserialize_entity(&context, payload)?;
            Ok((context, Encoded::Value(payload)))
        };
        let read =
            catch_panic(read).unwrap_or_else(|panic| Err(Failure::builtin("RuntimeError", panic)));
        match read {
            Ok((context, payload)) => {
                (Self { context, payload: Some(payload), ..self }, Verdict::Handled)
            }
            Err(failure) => {
                (self, Verdict::Failed(format!("the serializer refuses it: {failure}")))
            }
        }
    }

    fn payload(&self) -> &Encoded<'static> {
        self.payload.as_ref().unwrap_or(&NULL)
    }

    /// The notification with its payload as a `T`, or why the payload is none.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<Notification<T>, String> {
        let payload = self
            .payload()
            .read()
            .map_err(|error| format!("the payload is not what the endpoint takes: {error}"))?;
        Ok(Notification {
            publisher_id: self.publisher_id.clone(),
            event_type: self.event_type.clone(),
            priority: self.priority,
            payload,
            context: self.context.clone(),
            message_id: self.message_id.clone(),
            timestamp: self.timestamp.clone(),
        })
    }
}

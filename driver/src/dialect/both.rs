//! Messages that both formats read: flat JSON with the identifiers and the contexts of both.
//!
//! Each reader ignores the keys of the other format. Bodies are JSON and never compressed: old
//! readers of the `rabbit` driver know no other serialization, those of `pika` no compression.

use std::time::Duration;

use leveret_engine::Properties;
use serde::Serialize;

use crate::codec::error::WriteError;
use crate::dialect::body::fields::{
    NotificationMembers, write_call, write_context, write_invocation,
};
use crate::dialect::body::keys::{KOMBU_CONTEXT_PREFIX, PIKA_CONTEXT_PREFIX, UNIQUE_ID};
use crate::dialect::body::object::{Members, ObjectWriter, encode_json};
use crate::dialect::error::EncodeError;
use crate::dialect::kombu;
use crate::dialect::pika;
use crate::message::Request;
use crate::message::notification::OutgoingNotification;

/// The prefixes of the contexts, in their order.
const CONTEXT_PREFIXES: [&str; 2] = [KOMBU_CONTEXT_PREFIX, PIKA_CONTEXT_PREFIX];

struct RequestMembers<'r, 'a, A: ?Sized>(&'r Request<'a, A>);

impl<A: Serialize + ?Sized> Members for RequestMembers<'_, '_, A> {
    type Error = EncodeError;

    fn write<O: ObjectWriter>(&self, object: &mut O) -> Result<(), EncodeError> {
        let Self(request) = self;
        write_invocation(object, request)?;
        object.id(&UNIQUE_ID, &request.unique_id)?;
        if let Some(call) = &request.call {
            write_call(object, call)?;
        }
        for prefix in CONTEXT_PREFIXES {
            write_context(object, prefix, request.context)?;
        }
        Ok(())
    }
}

/// Appends the body of a request, call or cast.
pub(super) fn encode_request<A: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    request: &Request<'_, A>,
) -> Result<(), EncodeError> {
    encode_json::<0, _>(out, &RequestMembers(request))
}

/// Appends the body of a notification.
pub(super) fn encode_notification<P: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    notification: &OutgoingNotification<'_, P>,
) -> Result<(), WriteError> {
    let context_prefixes = &CONTEXT_PREFIXES;
    let members = NotificationMembers { notification, has_unique_id: true, context_prefixes };
    encode_json::<0, _>(out, &members)
}

/// The properties of a request, with placeholders for its identifiers.
pub(super) fn request_properties(call: Option<(Duration, &str)>) -> Properties {
    pika::properties::with_call(properties(), call)
}

/// The properties of every message.
pub(super) fn properties() -> Properties {
    kombu::properties::message(None)
        .with_headers(pika::properties::version_header())
        .with_message_id(pika::properties::ID_PLACEHOLDER)
}

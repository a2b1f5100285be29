//! Reads bodies in the serialization that their content type names.
//!
//! Any minor version is accepted and unknown keys are ignored, as by the old driver. What the old
//! driver left unacknowledged for ever is an error here. A body that both formats read has the
//! identifiers of the reply in the body, too.

use std::borrow::Cow;

use leveret_engine::wire::PropertiesView;

use crate::codec::serialization::Serialization;
use crate::dialect::body::fields::{read_either_context, read_request_field};
use crate::dialect::body::member::{FieldValue, Member, each};
use crate::dialect::error::DecodeError;
use crate::dialect::format::WireFormat;
use crate::dialect::pika::failure;
use crate::dialect::pika::properties::{CustomSerializers, check_version, serialization};
use crate::message::context::Context;
use crate::message::{IncomingReply, IncomingRequest};

/// Calls `take` with each member of a body of this format, and returns its serialization.
pub(super) fn read_members<'a>(
    body: &'a [u8],
    head: &PropertiesView<'a>,
    serializers: CustomSerializers<'_>,
    take: impl FnMut(Cow<'a, str>, Member<'a>) -> Result<(), DecodeError>,
) -> Result<Serialization, DecodeError> {
    check_version(head)?;
    let serialization = serialization(head, serializers)?;
    each(body, &serialization, take)?;
    Ok(serialization)
}

/// Chooses the context of a message that may have one in each format: that of `pika` where the one
/// of `kombu` is empty.
pub(super) fn choose_context(kombu: &mut Context, pika: Context) {
    if kombu.is_empty() {
        let client_timeout = kombu.client_timeout();
        *kombu = pika;
        kombu.set_client_timeout(client_timeout);
    }
    kombu.dedup_keys();
}

/// Reads a request, and returns the format of its reply with it.
pub(crate) fn request<'a>(
    body: &'a [u8],
    head: &PropertiesView<'a>,
    serializers: CustomSerializers<'_>,
) -> Result<(IncomingRequest<'a>, WireFormat), DecodeError> {
    let mut request = IncomingRequest::default();
    let mut context = Context::new();
    let mut has_envelope = false;
    let serialization = read_members(body, head, serializers, |key, member| {
        read_request_field(&mut request, &key, member, |kombu, member| {
            has_envelope |= key == "oslo.message";
            read_either_context(kombu, &mut context, &key, member)
        })
    })?;
    if has_envelope {
        return Err(DecodeError::OtherDialect("rabbit"));
    }
    choose_context(&mut request.context, context);
    let is_of_both = request.unique_id.is_some();
    let mut format = if is_of_both { WireFormat::Both } else { WireFormat::default() };
    if request.msg_id.is_none() || request.reply_queue.is_none() {
        if head.reply_to.is_some() && head.correlation_id.is_none() {
            return Err(DecodeError::NoCorrelationId);
        }
        request.msg_id = head.correlation_id.map(Into::into);
        request.reply_queue = head.reply_to.map(Into::into);
        if !is_of_both {
            format = WireFormat::Pika(serialization);
        }
    }
    request.unique_id = request.unique_id.take().or(head.message_id.map(Into::into));
    Ok((request, format))
}

/// Reads a reply.
pub(crate) fn reply<'a>(
    body: &'a [u8],
    head: &PropertiesView<'a>,
    serializers: CustomSerializers<'_>,
) -> Result<IncomingReply<'a>, DecodeError> {
    let mut reply = IncomingReply { is_ending: true, ..IncomingReply::default() };
    read_members(body, head, serializers, |key, member| {
        match &*key {
            "s" => reply.result = member.encoded(),
            "e" => {
                let fields = member.value()?;
                reply.failure = (!fields.is_null()).then(|| failure::read(fields));
            }
            _ => {}
        }
        Ok(())
    })?;
    reply.msg_id = head.correlation_id.map(Into::into);
    Ok(reply)
}

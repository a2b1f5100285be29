//! Reads bodies, in whatever serialisation their content type names.
//!
//! As tolerant as the old driver where that does no harm: any minor version, unknown keys. What it
//! left unacknowledged for ever is an error here. Bodies that both dialects understand say how they
//! want to be answered by their `_reply_q`.

use leveret_engine::wire::PropertiesView;

use crate::dialect::body::keys::{KOMBU_CONTEXT_PREFIX, PIKA_CONTEXT_PREFIX};
use crate::dialect::body::member::{Member, each};
use crate::dialect::error::DecodeError;
use crate::dialect::format::WireFormat;
use crate::dialect::pika::failure;
use crate::dialect::pika::properties::{CustomSerializers, check_version, serialization};
use crate::message::context::Context;
use crate::message::{IncomingReply, IncomingRequest};

/// What the keys of a request come to.
#[derive(Default)]
struct Flat<'a> {
    request: IncomingRequest<'a>,
    context: Context,
    has_envelope: bool,
}

impl<'a> Flat<'a> {
    fn take(&mut self, key: &str, member: Member<'a>) -> Result<(), DecodeError> {
        let request = &mut self.request;
        match key {
            "method" => request.method = member.text()?,
            "args" => request.args = member.encoded(),
            "namespace" => request.namespace = member.text()?,
            "version" => request.version = member.text()?,
            "_msg_id" => request.msg_id = member.text()?,
            "_reply_q" => request.reply_queue = member.text()?,
            "_unique_id" => request.unique_id = member.text()?,
            "_timeout" => {
                let seconds = member.text()?.and_then(|text| text.parse().ok());
                request.context.set_client_timeout(seconds);
            }
            "oslo.message" => self.has_envelope = true,
            key => {
                if let Some(name) = key.strip_prefix(PIKA_CONTEXT_PREFIX) {
                    self.context.append(name, member.checked()?);
                } else if let Some(name) = key.strip_prefix(KOMBU_CONTEXT_PREFIX) {
                    request.context.append(name, member.checked()?);
                }
            }
        }
        Ok(())
    }
}

/// Reads a request, and says in which format its reply is to be written.
pub(crate) fn request<'a>(
    body: &'a [u8],
    head: &PropertiesView<'a>,
    serializers: CustomSerializers<'_>,
) -> Result<(IncomingRequest<'a>, WireFormat), DecodeError> {
    check_version(head)?;
    let serialization = serialization(head, serializers)?;
    let mut flat = Flat::default();
    each(body, &serialization, |key, member| flat.take(&key, member))?;
    if flat.has_envelope {
        return Err(DecodeError::OtherDialect("rabbit"));
    }
    let Flat { mut request, context, .. } = flat;
    if request.context.is_empty() {
        let client_timeout = request.context.client_timeout();
        request.context = context;
        request.context.set_client_timeout(client_timeout);
    }
    request.context.settle();
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
    check_version(head)?;
    let msg_id = head.correlation_id.map(Into::into);
    let mut reply = IncomingReply { msg_id, ending: true, ..IncomingReply::default() };
    each(body, &serialization(head, serializers)?, |key, member| {
        match &*key {
            "s" => reply.result = member.encoded(),
            "e" => {
                let parts = member.value()?;
                reply.failure = (!parts.is_null()).then(|| failure::read(parts));
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(reply)
}

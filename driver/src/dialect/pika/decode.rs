//! Reads bodies, in whatever serialisation their content type names.
//!
//! As tolerant as the old driver where that does no harm: any minor version, unknown keys. What it
//! left unacknowledged for ever is an error here. Bodies that both dialects understand say how they
//! want to be answered by their `_reply_q`.

use std::sync::Arc;

use leveret_engine::wire::PropertiesView;

use super::{CONTEXT_PREFIX, VERSION_HEADER, failure};
use crate::codec::serialization::{BodySerializer, Serialization};
use crate::dialect::body::member::{Member, each};
use crate::dialect::error::DecodeError;
use crate::dialect::format::WireFormat;
use crate::dialect::kombu;
use crate::message::context::Context;
use crate::message::{IncomingReply, IncomingRequest};

/// The user's serialisations that are read besides JSON and msgpack.
pub(crate) type CustomSerializers<'a> = &'a [Arc<dyn BodySerializer>];

/// Whether a message says that it has a version of this format.
pub(crate) fn is_versioned(head: &PropertiesView<'_>) -> bool {
    head.headers.is_some_and(|headers| headers.get(VERSION_HEADER).is_some())
}

/// Refuses what is of another version by its own account. Headers without a version are fine, no
/// headers at all are not, as in oslo.
pub(crate) fn check_version(head: &PropertiesView<'_>) -> Result<(), DecodeError> {
    let headers = head.headers.ok_or(DecodeError::NoHeaders)?;
    let Some(version) = headers.get(VERSION_HEADER) else { return Ok(()) };
    let text = version.as_str().unwrap_or("that is no text");
    match text.split_once('.').map_or(text, |(major, _)| major) {
        "1" => Ok(()),
        _ => Err(DecodeError::PikaVersion(text.chars().take(32).collect())),
    }
}

/// The serialisation a message names.
pub(super) fn serialization(
    head: &PropertiesView<'_>,
    known: CustomSerializers<'_>,
) -> Result<Serialization, DecodeError> {
    let content_type = head.content_type.unwrap_or_default();
    Serialization::from_content_type(content_type, known)
        .ok_or_else(|| DecodeError::UnknownType(content_type.to_owned()))
}

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
                if let Some(name) = key.strip_prefix(CONTEXT_PREFIX) {
                    self.context.append(name, member.checked()?);
                } else if let Some(name) = key.strip_prefix(kombu::CONTEXT_PREFIX) {
                    request.context.append(name, member.checked()?);
                }
            }
        }
        Ok(())
    }
}

/// Reads a request, and says in which format its reply is to be written.
pub(crate) fn decode_request<'a>(
    body: &'a [u8],
    head: &PropertiesView<'a>,
    known: CustomSerializers<'_>,
) -> Result<(IncomingRequest<'a>, WireFormat), DecodeError> {
    check_version(head)?;
    let serialization = serialization(head, known)?;
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
    request.context.dedup_keys();
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
pub(crate) fn decode_reply<'a>(
    body: &'a [u8],
    head: &PropertiesView<'a>,
    known: CustomSerializers<'_>,
) -> Result<IncomingReply<'a>, DecodeError> {
    check_version(head)?;
    let msg_id = head.correlation_id.map(Into::into);
    let mut reply = IncomingReply { msg_id, is_ending: true, ..IncomingReply::default() };
    each(body, &serialization(head, known)?, |key, member| {
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

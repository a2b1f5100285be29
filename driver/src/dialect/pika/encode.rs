//! Writes the bodies of requests and replies.
//!
//! Keys are in the order of Python 3.

use serde::Serialize;

use crate::codec::error::WriteError;
use crate::codec::serialization::Serialization;
use crate::dialect::body::fields::{write_context, write_invocation};
use crate::dialect::body::keys::{PIKA_CONTEXT_PREFIX, PIKA_FAILURE, PIKA_RESULT};
use crate::dialect::body::object::{self, Members, ObjectWriter};
use crate::dialect::error::EncodeError;
use crate::dialect::pika::failure::FailureFields;
use crate::message::{ReplyContent, Request};

struct RequestMembers<'r, 'a, A: ?Sized>(&'r Request<'a, A>);

impl<A: Serialize + ?Sized> RequestMembers<'_, '_, A> {
    fn count(&self) -> usize {
        let Self(request) = self;
        let optional = [request.namespace, request.version].into_iter().flatten().count();
        2 + optional + request.context.iter().count()
    }
}

impl<A: Serialize + ?Sized> Members for RequestMembers<'_, '_, A> {
    type Error = EncodeError;

    fn write<O: ObjectWriter>(&self, object: &mut O) -> Result<(), EncodeError> {
        let Self(request) = self;
        write_invocation(object, request)?;
        Ok(write_context(object, PIKA_CONTEXT_PREFIX, request.context)?)
    }
}

/// Appends the body of a request, call or cast.
pub(crate) fn request<A: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    request: &Request<'_, A>,
    serialization: &Serialization,
) -> Result<(), EncodeError> {
    let members = RequestMembers(request);
    object::encode(out, serialization, || members.count(), &members)
}

struct ReplyMembers<'r, 'a, R: ?Sized>(&'r ReplyContent<'a, R>);

impl<R: Serialize + ?Sized> Members for ReplyMembers<'_, '_, R> {
    type Error = WriteError;

    fn write<O: ObjectWriter>(&self, object: &mut O) -> Result<(), WriteError> {
        match self.0 {
            ReplyContent::Result(result) => object.value(&PIKA_RESULT, *result),
            ReplyContent::Failure(failure) => {
                object.value(&PIKA_FAILURE, &FailureFields::of(failure))
            }
            ReplyContent::Heartbeat => object.value(&PIKA_RESULT, &()),
        }
    }
}

/// Appends the body of a reply: a result or a failure. The format has no heartbeats.
pub(crate) fn reply<R: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    answer: &ReplyContent<'_, R>,
    serialization: &Serialization,
) -> Result<(), WriteError> {
    object::encode(out, serialization, || 1, &ReplyMembers(answer))
}

//! Requests and replies as plain data, independent of their encoding.
//!
//! Outgoing types borrow everything and are generic over values that serde can serialize; incoming
//! types borrow from the decoded text. `dialect` encodes and decodes them: no key, escape or
//! property of a dialect is here.

use std::borrow::Cow;
use std::time::Duration;

use crate::codec::encoded::Encoded;
use crate::error::failure::Failure;
use crate::message::context::Context;
use crate::message::ids::Hex32;

pub(crate) mod context;
pub(crate) mod ids;
pub(crate) mod notification;
pub(crate) mod priority;
pub(crate) mod retry;
pub(crate) mod serializer;
pub(crate) mod target;
pub(crate) mod version;

/// A request to send.
#[derive(Debug)]
pub(crate) struct Request<'a, A: ?Sized> {
    pub(crate) method: &'a str,
    /// Serializes to an object, or to null for no arguments.
    pub(crate) args: &'a A,
    pub(crate) namespace: Option<&'a str>,
    pub(crate) version: Option<&'a str>,
    pub(crate) context: &'a Context,
    pub(crate) unique_id: Hex32,
    /// `None` for a cast.
    pub(crate) call: Option<CallFields<'a>>,
}

/// The fields that only the request of a call has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallFields<'a> {
    pub(crate) msg_id: Hex32,
    pub(crate) reply_queue: &'a str,
    /// The `call_monitor_timeout`: how long the caller waits between two heartbeats of its call.
    /// `None` if it wants no heartbeats.
    pub(crate) monitor: Option<Duration>,
}

/// The ids in the AMQP properties of a message: `message_id` holds its `unique_id`,
/// `correlation_id` the `msg_id` of its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageIds {
    pub(crate) message_id: Hex32,
    pub(crate) correlation_id: Option<Hex32>,
}

/// A received request.
#[derive(Debug, Default)]
pub(crate) struct IncomingRequest<'a> {
    pub(crate) method: Option<Cow<'a, str>>,
    pub(crate) args: Option<Encoded<'a>>,
    pub(crate) namespace: Option<Cow<'a, str>>,
    pub(crate) version: Option<Cow<'a, str>>,
    pub(crate) msg_id: Option<Cow<'a, str>>,
    pub(crate) reply_queue: Option<Cow<'a, str>>,
    pub(crate) unique_id: Option<Cow<'a, str>>,
    pub(crate) context: Context,
}

/// A reply to send to the call with this `msg_id`.
#[derive(Debug)]
pub(crate) struct Reply<'a, R: ?Sized> {
    pub(crate) msg_id: &'a str,
    pub(crate) unique_id: Hex32,
    pub(crate) content: ReplyContent<'a, R>,
}

/// The content of a reply.
#[derive(Debug)]
pub(crate) enum ReplyContent<'a, R: ?Sized> {
    Result(&'a R),
    Failure(&'a Failure),
    /// A heartbeat of a monitored call: the method is still running.
    Heartbeat,
}

/// A received reply.
#[derive(Debug, Default)]
pub(crate) struct IncomingReply<'a> {
    pub(crate) msg_id: Option<Cow<'a, str>>,
    pub(crate) result: Option<Encoded<'a>>,
    pub(crate) failure: Option<Failure>,
    /// Whether this is the last reply of the call. False for a heartbeat, and for the first of the
    /// two messages that very old servers send.
    pub(crate) is_ending: bool,
}

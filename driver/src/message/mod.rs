//! Requests, replies and failures as such, whatever their bytes: the narrow waist between API and
//! formats.
//!
//! Outgoing forms borrow everything and are generic over what serde can write; incoming forms
//! borrow from the decoded text. A dialect turns one into the other. Not here: any key, escape or
//! property of a dialect.

use std::borrow::Cow;
use std::time::Duration;

use crate::codec::encoded::Encoded;
use crate::error::failure::Failure;
use crate::ids::Hex32;
use crate::message::context::Context;

pub(crate) mod context;
pub(crate) mod notification;
pub(crate) mod priority;
pub(crate) mod retry;
pub(crate) mod serializer;
pub(crate) mod target;
pub(crate) mod version;

/// A request about to be sent.
#[derive(Debug)]
pub(crate) struct Request<'a, A: ?Sized> {
    pub(crate) method: &'a str,
    /// Must serialise to an object, or to null for no arguments.
    pub(crate) args: &'a A,
    pub(crate) namespace: Option<&'a str>,
    pub(crate) version: Option<&'a str>,
    pub(crate) context: &'a Context,
    pub(crate) unique_id: Hex32,
    /// Absent for a cast.
    pub(crate) call: Option<CallFields<'a>>,
}

/// What a request for an answer says about the answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallFields<'a> {
    pub(crate) msg_id: Hex32,
    pub(crate) reply_queue: &'a str,
    /// How long the caller waits between signs of life, if it wants any.
    pub(crate) monitor: Option<Duration>,
}

/// Identifiers among the properties of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageIds {
    pub(crate) message_id: Hex32,
    pub(crate) correlation_id: Option<Hex32>,
}

/// A request as received.
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

/// An answer about to be sent to the caller that `msg_id` names.
#[derive(Debug)]
pub(crate) struct Reply<'a, R: ?Sized> {
    pub(crate) msg_id: &'a str,
    pub(crate) unique_id: Hex32,
    pub(crate) content: ReplyContent<'a, R>,
}

/// The three things a reply can say.
#[derive(Debug)]
pub(crate) enum ReplyContent<'a, R: ?Sized> {
    Result(&'a R),
    Failure(&'a Failure),
    /// A sign of life of a call that goes on.
    Heartbeat,
}

/// A reply as received.
#[derive(Debug, Default)]
pub(crate) struct IncomingReply<'a> {
    pub(crate) msg_id: Option<Cow<'a, str>>,
    pub(crate) result: Option<Encoded<'a>>,
    pub(crate) failure: Option<Failure>,
    /// False for a sign of life, and for the first of the two messages very old servers send.
    pub(crate) is_ending: bool,
}

//! Notifications as plain data, independent of their encoding.

use std::borrow::Cow;

use crate::codec::encoded::Encoded;
use crate::message::context::Context;
use crate::message::ids::Hex32;
use crate::message::priority::Priority;

/// A notification to send.
#[derive(Debug)]
pub(crate) struct OutgoingNotification<'a, P: ?Sized> {
    pub(crate) message_id: &'a str,
    pub(crate) publisher_id: &'a str,
    pub(crate) event_type: &'a str,
    pub(crate) priority: Priority,
    pub(crate) payload: &'a P,
    pub(crate) timestamp: &'a str,
    pub(crate) unique_id: Hex32,
    pub(crate) context: &'a Context,
}

/// A received notification.
#[derive(Debug, Default)]
pub(crate) struct IncomingNotification<'a> {
    pub(crate) message_id: Option<Cow<'a, str>>,
    pub(crate) publisher_id: Option<Cow<'a, str>>,
    pub(crate) event_type: Option<Cow<'a, str>>,
    pub(crate) priority: Option<Cow<'a, str>>,
    pub(crate) payload: Option<Encoded<'a>>,
    pub(crate) timestamp: Option<Cow<'a, str>>,
    pub(crate) unique_id: Option<Cow<'a, str>>,
    pub(crate) context: Context,
}

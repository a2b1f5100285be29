//! The content header (AMQP 4.2.6.1): body size, property flags, the fourteen properties.
//!
//! [`PropertiesView`] borrows the properties of a received header, [`Properties`] owns those to be
//! sent. Invariant: both write exactly the bytes that amq-protocol writes for the same values.
//! Other flags (the continuation bit among them) are refused, because the length of what they
//! announce is unknown.

use crate::wire::cursor::{Reader, put_longstr, put_shortstr, put_u8, put_u16, put_u64};
use crate::wire::error::WireError;
use crate::wire::frame::{FrameKind, write_frame};
use crate::wire::hot::BASIC;
use crate::wire::table::TableView;

mod owned;

pub use owned::Properties;

/// Offset of the body size in the payload of a content header.
pub const BODY_SIZE_AT: usize = 4;

const CONTENT_TYPE: u16 = 1 << 15;
const CONTENT_ENCODING: u16 = 1 << 14;
const HEADERS: u16 = 1 << 13;
const DELIVERY_MODE: u16 = 1 << 12;
const PRIORITY: u16 = 1 << 11;
const CORRELATION_ID: u16 = 1 << 10;
const REPLY_TO: u16 = 1 << 9;
const EXPIRATION: u16 = 1 << 8;
const MESSAGE_ID: u16 = 1 << 7;
const TIMESTAMP: u16 = 1 << 6;
const TYPE: u16 = 1 << 5;
const USER_ID: u16 = 1 << 4;
const APP_ID: u16 = 1 << 3;
const CLUSTER_ID: u16 = 1 << 2;
const NO_PROPERTY: u16 = 0b11;

/// A content header of class `basic`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ContentHeader<'a> {
    /// Number of body bytes that follow.
    pub body_size: u64,
    /// The properties.
    pub properties: PropertiesView<'a>,
}

impl<'a> ContentHeader<'a> {
    /// Reads the payload of a header frame. Ignores the weight, which is unused since AMQP 0-8.
    ///
    /// # Errors
    /// [`WireError::BadContentClass`], [`WireError::BadProperties`], [`WireError::Truncated`],
    /// [`WireError::TrailingBytes`], [`WireError::BadUtf8`], and those of [`TableView::parse`].
    pub fn parse(payload: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        let class = reader.u16()?;
        let _weight = reader.u16()?;
        let body_size = reader.u64()?;
        if class != BASIC {
            return Err(WireError::BadContentClass { class });
        }
        let properties = PropertiesView::parse(reader.rest())?;
        Ok(Self { body_size, properties })
    }

    /// Appends the whole header frame on `channel`.
    ///
    /// # Panics
    /// Never: a view's strings were read from short strings.
    pub fn encode_frame(&self, channel: u16, out: &mut Vec<u8>) {
        write_frame(out, FrameKind::Header, channel, |out| {
            put_fixed(out, self.body_size);
            self.properties.encode(out);
        });
    }
}

fn put_fixed(out: &mut Vec<u8>, body_size: u64) {
    put_u16(out, BASIC);
    put_u16(out, 0); // weight
    put_u64(out, body_size);
}

/// The properties of a received message, borrowed from its header frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PropertiesView<'a> {
    /// MIME type of the body.
    pub content_type: Option<&'a str>,
    /// MIME encoding of the body.
    pub content_encoding: Option<&'a str>,
    /// The application's headers table.
    pub headers: Option<TableView<'a>>,
    /// 1: transient, may be lost with the broker; 2: persistent.
    pub delivery_mode: Option<u8>,
    /// 0 to 9, for queues with priorities.
    pub priority: Option<u8>,
    /// The application's correlation id.
    pub correlation_id: Option<&'a str>,
    /// The queue that replies should go to.
    pub reply_to: Option<&'a str>,
    /// Time to live of the message in milliseconds, as decimal text.
    pub expiration: Option<&'a str>,
    /// The application's message id.
    pub message_id: Option<&'a str>,
    /// Seconds since 1970.
    pub timestamp: Option<u64>,
    /// `type`, a name for the kind of message.
    pub kind: Option<&'a str>,
    /// The user who published the message; RabbitMQ validates it.
    pub user_id: Option<&'a str>,
    /// The publishing application.
    pub app_id: Option<&'a str>,
    /// Reserved.
    pub cluster_id: Option<&'a str>,
}

impl<'a> PropertiesView<'a> {
    /// Reads flags and properties, which are a content header from its twelfth byte on.
    ///
    /// # Errors
    /// As [`ContentHeader::parse`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let flags = reader.u16()?;
        if flags & NO_PROPERTY != 0 {
            return Err(WireError::BadProperties { flags });
        }
        let on = |bit| flags & bit != 0;
        let text = |reader: &mut Reader<'a>, bit| on(bit).then(|| reader.shortstr()).transpose();
        let octet = |reader: &mut Reader<'a>, bit| on(bit).then(|| reader.u8()).transpose();
        let table = |reader: &mut Reader<'a>| reader.table_bytes().and_then(TableView::parse);
        // Evaluated in the order written, which is the order on the wire.
        let view = Self {
            content_type: text(&mut reader, CONTENT_TYPE)?,
            content_encoding: text(&mut reader, CONTENT_ENCODING)?,
            headers: on(HEADERS).then(|| table(&mut reader)).transpose()?,
            delivery_mode: octet(&mut reader, DELIVERY_MODE)?,
            priority: octet(&mut reader, PRIORITY)?,
            correlation_id: text(&mut reader, CORRELATION_ID)?,
            reply_to: text(&mut reader, REPLY_TO)?,
            expiration: text(&mut reader, EXPIRATION)?,
            message_id: text(&mut reader, MESSAGE_ID)?,
            timestamp: on(TIMESTAMP).then(|| reader.u64()).transpose()?,
            kind: text(&mut reader, TYPE)?,
            user_id: text(&mut reader, USER_ID)?,
            app_id: text(&mut reader, APP_ID)?,
            cluster_id: text(&mut reader, CLUSTER_ID)?,
        };
        reader.finish()?;
        Ok(view)
    }

    /// Appends flags and properties. Writes the headers exactly as they were received.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode(self, out, |out| {
            if let Some(headers) = self.headers {
                put_longstr(out, headers.content());
            }
        });
    }

    fn flags(&self) -> u16 {
        let bit = |present: bool, bit: u16| if present { bit } else { 0 };
        bit(self.content_type.is_some(), CONTENT_TYPE)
            | bit(self.content_encoding.is_some(), CONTENT_ENCODING)
            | bit(self.headers.is_some(), HEADERS)
            | bit(self.delivery_mode.is_some(), DELIVERY_MODE)
            | bit(self.priority.is_some(), PRIORITY)
            | bit(self.correlation_id.is_some(), CORRELATION_ID)
            | bit(self.reply_to.is_some(), REPLY_TO)
            | bit(self.expiration.is_some(), EXPIRATION)
            | bit(self.message_id.is_some(), MESSAGE_ID)
            | bit(self.timestamp.is_some(), TIMESTAMP)
            | bit(self.kind.is_some(), TYPE)
            | bit(self.user_id.is_some(), USER_ID)
            | bit(self.app_id.is_some(), APP_ID)
            | bit(self.cluster_id.is_some(), CLUSTER_ID)
    }
}

/// Offsets of the two identifiers in the written bytes, for a template to patch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct IdOffsets {
    pub(super) message_id: Option<usize>,
    pub(super) correlation_id: Option<usize>,
}

/// Writes all properties; the only function that does. `headers` writes the table, its length
/// first.
fn encode(
    view: &PropertiesView<'_>,
    out: &mut Vec<u8>,
    headers: impl FnOnce(&mut Vec<u8>),
) -> IdOffsets {
    fn text(out: &mut Vec<u8>, text: Option<&str>) -> Option<usize> {
        put_shortstr(out, text?);
        text.map(|text| out.len() - text.len())
    }
    put_u16(out, view.flags());
    text(out, view.content_type);
    text(out, view.content_encoding);
    headers(out);
    view.delivery_mode.into_iter().for_each(|mode| put_u8(out, mode));
    view.priority.into_iter().for_each(|priority| put_u8(out, priority));
    let correlation_id = text(out, view.correlation_id);
    text(out, view.reply_to);
    text(out, view.expiration);
    let message_id = text(out, view.message_id);
    view.timestamp.into_iter().for_each(|seconds| put_u64(out, seconds));
    text(out, view.kind);
    text(out, view.user_id);
    text(out, view.app_id);
    text(out, view.cluster_id);
    IdOffsets { message_id, correlation_id }
}

#[cfg(test)]
mod tests;

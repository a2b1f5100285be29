//! The methods of every message: `basic.publish`, `deliver`, `return`, `ack`, `nack` and `reject`
//! (AMQP 1.8.3, and RabbitMQ's `basic.nack`), encoded by hand and decoded from borrowed bytes.
//!
//! Invariant: `encode` writes exactly the bytes that amq-protocol writes, and `parse` accepts
//! exactly the payloads that amq-protocol accepts. Reserved fields and unused bits are ignored on
//! reading and zero on writing. Nothing here allocates, apart from the growth of `out`.

use crate::wire::cursor::{
    Reader, check_shortstr, put_shortstr, put_u8, put_u16, put_u32, put_u64,
};
use crate::wire::error::WireError;
use crate::wire::frame::{FrameKind, write_frame};

/// Id of class `basic`.
pub const BASIC: u16 = 60;

const PUBLISH: u32 = id(40);
const RETURN: u32 = id(50);
const DELIVER: u32 = id(60);
const ACK: u32 = id(80);
const REJECT: u32 = id(90);
const NACK: u32 = id(120);

/// Returns class and method id of a `basic` method as one number, as in a payload.
const fn id(method: u32) -> u32 {
    ((BASIC as u32) << 16) | method
}

/// `basic.publish`: a client sends a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Publish<'a> {
    /// The exchange; empty is the default exchange.
    pub exchange: &'a str,
    /// The routing key; on the default exchange the name of a queue.
    pub routing_key: &'a str,
    /// The broker returns the message if it cannot route it.
    pub mandatory: bool,
    /// The broker returns the message unless it can deliver it at once; RabbitMQ closes the
    /// connection (540) if it is set.
    pub immediate: bool,
}

/// `basic.deliver`: the broker delivers a message to a consumer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deliver<'a> {
    /// The consumer.
    pub consumer_tag: &'a str,
    /// The number to acknowledge, counted per channel from 1.
    pub delivery_tag: u64,
    /// Whether the message was delivered before, to any consumer.
    pub redelivered: bool,
    /// The exchange it was published to.
    pub exchange: &'a str,
    /// The routing key it was published with.
    pub routing_key: &'a str,
}

/// `basic.return`: the broker returns an unroutable mandatory message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Return<'a> {
    /// The reason: 312 is "no route".
    pub reply_code: u16,
    /// The reason as text.
    pub reply_text: &'a str,
    /// The exchange it was published to.
    pub exchange: &'a str,
    /// The routing key it was published with.
    pub routing_key: &'a str,
}

/// `basic.ack`: a client acknowledges deliveries, a broker confirms publications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ack {
    /// The delivery or publication; 0 with `multiple` means all.
    pub delivery_tag: u64,
    /// Whether it covers all before it, too.
    pub multiple: bool,
}

/// `basic.nack`, RabbitMQ's extension: the negative of [`Ack`], in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nack {
    /// The delivery or publication; 0 with `multiple` means all.
    pub delivery_tag: u64,
    /// Whether it covers all before it, too.
    pub multiple: bool,
    /// Whether the broker requeues the message.
    pub requeue: bool,
}

/// `basic.reject`: a client refuses one delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reject {
    /// The delivery.
    pub delivery_tag: u64,
    /// Whether the broker requeues the message.
    pub requeue: bool,
}

impl<'a> Publish<'a> {
    /// Checks that the names fit the protocol.
    ///
    /// # Errors
    /// [`WireError::ShortStringTooLong`].
    pub fn check(&self) -> Result<(), WireError> {
        check_shortstr(self.exchange)?;
        check_shortstr(self.routing_key)
    }

    /// Appends the payload, starting with class and method id.
    ///
    /// # Panics
    /// If a name is longer than 255 bytes, see [`Publish::check`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u32(out, PUBLISH);
        put_u16(out, 0); // reserved, once an access ticket
        put_shortstr(out, self.exchange);
        put_shortstr(out, self.routing_key);
        put_u8(out, u8::from(self.mandatory) | u8::from(self.immediate) << 1);
    }

    fn parse(mut reader: Reader<'a>) -> Result<Self, WireError> {
        let _ticket = reader.u16()?;
        let exchange = reader.shortstr()?;
        let routing_key = reader.shortstr()?;
        let bits = reader.u8()?;
        reader.finish()?;
        Ok(Self { exchange, routing_key, mandatory: bits & 1 != 0, immediate: bits & 2 != 0 })
    }
}

impl<'a> Deliver<'a> {
    /// Checks that the names fit the protocol.
    ///
    /// # Errors
    /// [`WireError::ShortStringTooLong`].
    pub fn check(&self) -> Result<(), WireError> {
        check_shortstr(self.consumer_tag)?;
        check_shortstr(self.exchange)?;
        check_shortstr(self.routing_key)
    }

    /// Appends the payload, starting with class and method id.
    ///
    /// # Panics
    /// If a name is longer than 255 bytes, see [`Deliver::check`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u32(out, DELIVER);
        put_shortstr(out, self.consumer_tag);
        put_u64(out, self.delivery_tag);
        put_u8(out, u8::from(self.redelivered));
        put_shortstr(out, self.exchange);
        put_shortstr(out, self.routing_key);
    }

    #[inline]
    fn parse(mut reader: Reader<'a>) -> Result<Self, WireError> {
        let consumer_tag = reader.shortstr()?;
        let delivery_tag = reader.u64()?;
        let redelivered = reader.u8()? & 1 != 0;
        let exchange = reader.shortstr()?;
        let routing_key = reader.shortstr()?;
        reader.finish()?;
        Ok(Self { consumer_tag, delivery_tag, redelivered, exchange, routing_key })
    }
}

impl<'a> Return<'a> {
    /// Checks that the texts fit the protocol.
    ///
    /// # Errors
    /// [`WireError::ShortStringTooLong`].
    pub fn check(&self) -> Result<(), WireError> {
        check_shortstr(self.reply_text)?;
        check_shortstr(self.exchange)?;
        check_shortstr(self.routing_key)
    }

    /// Appends the payload, starting with class and method id.
    ///
    /// # Panics
    /// If a text is longer than 255 bytes, see [`Return::check`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u32(out, RETURN);
        put_u16(out, self.reply_code);
        put_shortstr(out, self.reply_text);
        put_shortstr(out, self.exchange);
        put_shortstr(out, self.routing_key);
    }

    fn parse(mut reader: Reader<'a>) -> Result<Self, WireError> {
        let reply_code = reader.u16()?;
        let reply_text = reader.shortstr()?;
        let exchange = reader.shortstr()?;
        let routing_key = reader.shortstr()?;
        reader.finish()?;
        Ok(Self { reply_code, reply_text, exchange, routing_key })
    }
}

impl Ack {
    /// Appends the payload, starting with class and method id.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u32(out, ACK);
        put_u64(out, self.delivery_tag);
        put_u8(out, u8::from(self.multiple));
    }

    #[inline]
    fn parse(mut reader: Reader<'_>) -> Result<Self, WireError> {
        let delivery_tag = reader.u64()?;
        let bits = reader.u8()?;
        reader.finish()?;
        Ok(Self { delivery_tag, multiple: bits & 1 != 0 })
    }
}

impl Nack {
    /// Appends the payload, starting with class and method id.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u32(out, NACK);
        put_u64(out, self.delivery_tag);
        put_u8(out, u8::from(self.multiple) | u8::from(self.requeue) << 1);
    }

    fn parse(mut reader: Reader<'_>) -> Result<Self, WireError> {
        let delivery_tag = reader.u64()?;
        let bits = reader.u8()?;
        reader.finish()?;
        Ok(Self { delivery_tag, multiple: bits & 1 != 0, requeue: bits & 2 != 0 })
    }
}

impl Reject {
    /// Appends the payload, starting with class and method id.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u32(out, REJECT);
        put_u64(out, self.delivery_tag);
        put_u8(out, u8::from(self.requeue));
    }

    fn parse(mut reader: Reader<'_>) -> Result<Self, WireError> {
        let delivery_tag = reader.u64()?;
        let requeue = reader.u8()? & 1 != 0;
        reader.finish()?;
        Ok(Self { delivery_tag, requeue })
    }
}

/// Any hot method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HotMethod<'a> {
    /// `basic.publish`
    Publish(Publish<'a>),
    /// `basic.deliver`
    Deliver(Deliver<'a>),
    /// `basic.return`
    Return(Return<'a>),
    /// `basic.ack`
    Ack(Ack),
    /// `basic.nack`
    Nack(Nack),
    /// `basic.reject`
    Reject(Reject),
}

impl<'a> HotMethod<'a> {
    /// Reads the payload of a method frame; returns `None` for a cold method, which
    /// [`parse_method`](super::parse_method) reads.
    ///
    /// # Errors
    /// [`WireError::Truncated`], [`WireError::TrailingBytes`] or [`WireError::BadUtf8`].
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Result<Option<Self>, WireError> {
        let mut reader = Reader::new(payload);
        Ok(Some(match reader.u32()? {
            DELIVER => Self::Deliver(Deliver::parse(reader)?),
            PUBLISH => Self::Publish(Publish::parse(reader)?),
            ACK => Self::Ack(Ack::parse(reader)?),
            NACK => Self::Nack(Nack::parse(reader)?),
            REJECT => Self::Reject(Reject::parse(reader)?),
            RETURN => Self::Return(Return::parse(reader)?),
            _ => return Ok(None),
        }))
    }
}

/// Defines `encode_frame` for each hot method.
macro_rules! encode_frame {
    ($($method:ty),*) => { $(
        impl $method {
            /// Appends the whole method frame on `channel`.
            ///
            /// # Panics
            /// If a text is longer than 255 bytes.
            pub fn encode_frame(&self, channel: u16, out: &mut Vec<u8>) {
                write_frame(out, FrameKind::Method, channel, |out| self.encode(out));
            }
        }
    )* };
}
encode_frame!(Publish<'_>, Deliver<'_>, Return<'_>, Ack, Nack, Reject);

#[cfg(test)]
mod tests;

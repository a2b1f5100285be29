//! Events of a connection, in wire order.

use amq_protocol::protocol::AMQPClass;

use crate::proto::content::Content;

/// One event, passed to the closure of `Connection::handle_input`.
#[derive(Debug)]
pub(crate) enum Event {
    /// The connection is open, with the agreed frame size.
    Opened { frame_max: u32 },
    /// The reply to a request.
    Reply { token: u64, method: AMQPClass },
    /// A message for a consumer of `channel`.
    Delivery { channel: u16, content: Content },
    /// A mandatory publication for which the broker found no queue. Precedes its ack.
    Returned { channel: u16, content: Content },
    /// A content whose body was above the limit and was dropped, with its size and checksum. A
    /// delivery keeps the end of its body, a return nothing.
    Oversized { channel: u16, content: Content, size: u64, body: crc32fast::Hasher },
    /// The broker confirmed (`ack`) or refused publications up to or at `tag`.
    Confirmed { channel: u16, tag: u64, multiple: bool, ack: bool },
    /// The broker cancelled a consumer because its queue is gone.
    ConsumerCancelled { channel: u16, consumer_tag: String },
    /// The broker closed one channel because of the method with the class and method id `cause`.
    /// Every unanswered request on it has failed.
    ChannelClosed { channel: u16, code: u16, text: String, cause: (u16, u16) },
    /// The broker blocks publishers (memory or disk alarm).
    Blocked { reason: String },
    /// The broker no longer blocks publishers.
    Unblocked,
    /// The connection ended: the broker closed it, with this code and text, or answered our close.
    Closed { code: u16, text: String },
}

//! What may happen on a connection, in wire order.

use amq_protocol::protocol::AMQPClass;

use super::Content;

/// One event, handed to the closure of `Connection::handle_input`.
#[derive(Debug)]
pub(crate) enum Event {
    /// The connection is open; the agreed limits.
    Opened { frame_max: u32 },
    /// The answer to a request.
    Reply { token: u64, method: AMQPClass },
    /// A message for a consumer of `channel`.
    Delivery { channel: u16, content: Content },
    /// A mandatory publishing nobody was bound for. Precedes its ack.
    Returned { channel: u16, content: Content },
    /// A content whose body was above the limit and was dropped: its size and checksum. A delivery
    /// has the end of its body, a return none.
    Oversized { channel: u16, content: Content, size: u64, body: crc32fast::Hasher },
    /// The broker confirmed (`ack`) or refused publications up to or at `tag`.
    Confirmed { channel: u16, tag: u64, multiple: bool, ack: bool },
    /// The broker cancelled a consumer (its queue is gone).
    ConsumerCancelled { channel: u16, consumer_tag: String },
    /// The broker closed one channel, over a method of the class and id `cause`; everything
    /// unanswered on it has failed.
    ChannelClosed { channel: u16, code: u16, text: String, cause: (u16, u16) },
    /// The broker blocks publishers (memory or disk alarm).
    Blocked { reason: String },
    /// The alarm is over.
    Unblocked,
    /// The connection ended: closed by the broker (code and text kept), or our close was answered.
    Closed { code: u16, text: String },
}

//! Bytes to AMQP 0-9-1 and back. Low-level: most programs never need this module.
//!
//! # The treaty
//!
//! - A **view** (`FrameView`, `Deliver<'_>`, `PropertiesView<'_>`, `TableView<'_>`) borrows the
//!   received bytes. It is made by a `parse` function, which checks every length, every UTF-8
//!   string and the nesting of every table once; after that no accessor can fail or panic, and
//!   nothing was allocated.
//! - A **value** (`Properties`, `Template`, and amq-protocol's method structures) owns what it
//!   holds. It is what a caller builds, and what a view turns into when it must outlive its block.
//! - Writing appends to a `Vec<u8>`. AMQP's short strings hold 255 bytes at most: the `check`
//!   functions say so as an error at the door where names come in, the `encode` functions rely on
//!   it and panic otherwise, before a wrong byte can leave.
//! - A parser takes one *payload* and must consume all of it: bytes left over are an error.
//!
//! # Hot and cold
//!
//! The frames that move with every message are **hot** and written by hand, without allocation:
//! the frame itself ([`frame`]), `basic.publish`, `deliver`, `return`, `ack`, `nack`, `reject`
//! ([`hot`]), the content header ([`properties`], [`table`]) and bodies ([`content`]); a
//! publication that repeats is rendered once ([`template`]). Every other method is **cold** and
//! goes through amq-protocol ([`cold`]), which is also the oracle the hot half is tested against.
//!
//! Where amq-protocol is laxer than this module (each has a test): it accepts a content header of
//! a class other than `basic`, property flags that name no property, tables nested without a
//! bound, and knows no frame size limit.
//!
//! # Not here
//!
//! State. Which method may follow which, which channel is open, who waits for an answer: `wire`
//! knows none of it, nor sockets, clocks or threads.

pub mod cold;
pub mod content;
pub mod cursor;
pub mod frame;
pub mod hot;
pub mod print;
pub mod properties;
pub mod table;
pub mod template;

#[cfg(test)]
mod oracle;

pub use cold::{encode_method_frame, parse_method};
pub use content::{body_frame_max, open_body, seal_body, write_body_frames};
pub use cursor::Reader;
pub use frame::{
    FRAME_END, FRAME_OVERHEAD, FrameHeader, FrameKind, FrameView, HEARTBEAT_FRAME, PROTOCOL_HEADER,
    Parsed, write_frame,
};
pub use hot::{Ack, Deliver, HotMethod, Nack, Publish, Reject, Return};
pub use print::print;
pub use properties::{ContentHeader, Properties, PropertiesView};
pub use table::{ArrayView, TABLE_DEPTH_MAX, TableView, ValueView};
pub use template::{Ids, Template};

/// What can be wrong with bytes from a peer, or with names that do not fit the protocol.
///
/// Every variant but [`WireError::ShortStringTooLong`] is a reason to close the connection:
/// AMQP 4.2.3 calls it a frame error (501) or a syntax error (502), and there is no way to find
/// the next good frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The first octet of a frame names no frame type.
    #[error(
        "a frame starts with octet {0:#04x}, which is no AMQP frame type; \
         is the peer an AMQP 0-9-1 broker, without TLS?"
    )]
    BadFrameKind(u8),
    /// The peer answered with a protocol header: it refuses the version it was offered
    /// (AMQP 4.2.2).
    #[error("the peer sent a protocol header instead of a frame: it does not speak AMQP 0-9-1")]
    ProtocolHeader,
    /// A frame is larger than what was agreed on in `connection.tune`.
    #[error("a frame of {size} bytes is larger than the agreed maximum of {max}")]
    FrameTooLarge {
        /// Bytes of the whole frame, its header and end octet included.
        size: u64,
        /// The agreed maximum, counted likewise.
        max: u32,
    },
    /// The octet behind a frame's payload is not the end octet.
    #[error("a frame ends with octet {0:#04x} instead of 0xce")]
    BadFrameEnd(u8),
    /// A field reaches past the end of its payload or table.
    #[error("a field reaches past the end of its frame")]
    Truncated,
    /// Bytes are left behind the last field.
    #[error("{count} bytes are left behind the last field of a frame")]
    TrailingBytes {
        /// How many.
        count: usize,
    },
    /// Class and method name no method of AMQP 0-9-1.
    #[error("class {class} has no method {method}")]
    BadMethod {
        /// The class id.
        class: u16,
        /// The method id.
        method: u16,
    },
    /// The method exists, its arguments cannot be decoded.
    #[error("the arguments of method {class}.{method} cannot be decoded")]
    BadArguments {
        /// The class id.
        class: u16,
        /// The method id.
        method: u16,
    },
    /// A content header of a class that carries no content.
    #[error("a content header of class {class}; only basic (60) carries content")]
    BadContentClass {
        /// The class id.
        class: u16,
    },
    /// Property flags that name no property of class `basic`, or announce more flags.
    #[error("property flags {flags:#06x} name properties that do not exist")]
    BadProperties {
        /// The flag word as received.
        flags: u16,
    },
    /// A field's type octet is unknown.
    #[error("a table holds a value of unknown type {0:#04x}")]
    BadFieldType(u8),
    /// A short string or a key is not UTF-8.
    #[error("a string is not UTF-8")]
    BadUtf8,
    /// Tables and arrays are nested deeper than [`TABLE_DEPTH_MAX`].
    #[error("a table is nested deeper than {max} levels")]
    TableTooDeep {
        /// The deepest level that is accepted.
        max: usize,
    },
    /// A name or property to be sent is longer than a short string can be.
    #[error("a short string holds at most 255 bytes, this one has {len}")]
    ShortStringTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// A patched identifier has another width than the one its template was made with.
    #[error("the template has {expected} bytes for this identifier, not {found}")]
    PatchWidth {
        /// Width in the template, 0 if it has no such property.
        expected: usize,
        /// Width of what was given.
        found: usize,
    },
}

/// Whether `text` fits a short string (AMQP 4.2.5.3): 255 bytes at most.
///
/// # Errors
/// [`WireError::ShortStringTooLong`].
pub fn check_shortstr(text: &str) -> Result<(), WireError> {
    if text.len() > usize::from(u8::MAX) {
        return Err(WireError::ShortStringTooLong { len: text.len() });
    }
    Ok(())
}

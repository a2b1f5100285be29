//! Encodes and decodes AMQP 0-9-1. Low-level: most programs never need this module.
//!
//! # Contract
//!
//! - A **view** (`FrameView`, `Deliver<'_>`, `PropertiesView<'_>`, `TableView<'_>`) borrows the
//!   received bytes. Its `parse` function checks every length, every UTF-8 string and the nesting
//!   of every table once; after that no accessor can fail or panic. Views allocate nothing.
//! - A **value** (`Properties`, `Template`, and amq-protocol's method structures) owns its
//!   contents. Callers build values, and a view converts into one to outlive its block.
//! - Writing appends to a `Vec<u8>`. AMQP's short strings hold 255 bytes at most: the `check`
//!   functions report longer ones as errors where names enter the program; the `encode` functions
//!   rely on that and panic otherwise, before a wrong byte is sent.
//! - A parser takes one *payload* and must consume all of it: trailing bytes are an error.
//!
//! # Hot and cold methods
//!
//! The frames of every message are **hot**: this module encodes and decodes them by hand, without
//! allocation. They are the frame itself ([`frame`]), `basic.publish`, `deliver`, `return`, `ack`,
//! `nack`, `reject` ([`hot`]), the content header ([`properties`], [`table`]) and bodies
//! ([`content`]); a repeated publication is rendered once ([`template`]). Every other method is
//! **cold** and goes through amq-protocol ([`cold`]), which is also the oracle of the tests of the
//! hot half.
//!
//! amq-protocol is less strict than this module in these cases (each has a test): it accepts a
//! content header of a class other than `basic`, property flags without a property, and tables
//! nested without a limit, and it has no frame size limit.
//!
//! # No state
//!
//! This module does not know which method may follow which, which channel is open, or who waits for
//! a reply; nor does it know sockets, clocks or threads.

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

/// Errors in bytes from a peer, or in names that do not fit the protocol.
///
/// Every variant except [`WireError::ShortStringTooLong`] is a reason to close the connection: AMQP
/// 4.2.3 defines it as a frame error (501) or a syntax error (502), and the next valid frame cannot
/// be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The first octet of a frame is not a frame type.
    #[error(
        "a frame starts with octet {0:#04x}, which is no AMQP frame type; \
         is the peer an AMQP 0-9-1 broker, without TLS?"
    )]
    BadFrameKind(u8),
    /// The peer answered with a protocol header: it refuses the offered version (AMQP 4.2.2).
    #[error("the peer sent a protocol header instead of a frame: it does not speak AMQP 0-9-1")]
    ProtocolHeader,
    /// A frame is larger than agreed in `connection.tune`.
    #[error("a frame of {size} bytes is larger than the agreed maximum of {max}")]
    FrameTooLarge {
        /// Bytes of the whole frame, including its header and end octet.
        size: u64,
        /// The agreed maximum, counted in the same way.
        max: u32,
    },
    /// The octet after a frame's payload is not the end octet.
    #[error("a frame ends with octet {0:#04x} instead of 0xce")]
    BadFrameEnd(u8),
    /// A field exceeds the end of its payload or table.
    #[error("a field reaches past the end of its frame")]
    Truncated,
    /// Bytes follow the last field.
    #[error("{count} bytes are left behind the last field of a frame")]
    TrailingBytes {
        /// Their number.
        count: usize,
    },
    /// No method of AMQP 0-9-1 has this class and method id.
    #[error("class {class} has no method {method}")]
    BadMethod {
        /// The class id.
        class: u16,
        /// The method id.
        method: u16,
    },
    /// The method exists, but its arguments cannot be decoded.
    #[error("the arguments of method {class}.{method} cannot be decoded")]
    BadArguments {
        /// The class id.
        class: u16,
        /// The method id.
        method: u16,
    },
    /// A content header of a class that has no content.
    #[error("a content header of class {class}; only basic (60) carries content")]
    BadContentClass {
        /// The class id.
        class: u16,
    },
    /// Property flags without a property of class `basic`, or with the continuation bit.
    #[error("property flags {flags:#06x} name properties that do not exist")]
    BadProperties {
        /// The flag word as received.
        flags: u16,
    },
    /// A field has an unknown type octet.
    #[error("a table holds a value of unknown type {0:#04x}")]
    BadFieldType(u8),
    /// A short string or a key is not UTF-8.
    #[error("a string is not UTF-8")]
    BadUtf8,
    /// Tables and arrays are nested deeper than [`TABLE_DEPTH_MAX`].
    #[error("a table is nested deeper than {max} levels")]
    TableTooDeep {
        /// The deepest accepted level.
        max: usize,
    },
    /// A name or property to be sent is too long for a short string.
    #[error("a short string holds at most 255 bytes, this one has {len}")]
    ShortStringTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// An identifier has another length than the one it replaces in a template.
    #[error("the template has {expected} bytes for this identifier, not {found}")]
    PatchWidth {
        /// Length in the template, 0 if it has no such property.
        expected: usize,
        /// Length of the given identifier.
        found: usize,
    },
}

/// Checks that `text` fits a short string (AMQP 4.2.5.3): 255 bytes at most.
///
/// # Errors
/// [`WireError::ShortStringTooLong`].
pub fn check_shortstr(text: &str) -> Result<(), WireError> {
    if text.len() > usize::from(u8::MAX) {
        return Err(WireError::ShortStringTooLong { len: text.len() });
    }
    Ok(())
}

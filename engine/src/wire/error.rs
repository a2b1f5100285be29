//! The error type of this module.

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
    /// Tables and arrays are nested deeper than
    /// [`TABLE_DEPTH_MAX`](crate::wire::table::TABLE_DEPTH_MAX).
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

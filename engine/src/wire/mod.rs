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

pub(crate) mod error;
#[cfg(test)]
mod oracle;

pub use cold::{encode_method_frame, parse_method};
pub use content::{body_frame_max, open_body, seal_body, write_body_frames};
pub use cursor::{Reader, check_shortstr};
pub use error::WireError;
pub use frame::{
    FRAME_END, FRAME_OVERHEAD, FrameHeader, FrameKind, FrameView, HEARTBEAT_FRAME, PROTOCOL_HEADER,
    Parsed, write_frame,
};
pub use hot::{Ack, Deliver, HotMethod, Nack, Publish, Reject, Return};
pub use print::print;
pub use properties::{ContentHeader, Properties, PropertiesView};
pub use table::{ArrayView, TABLE_DEPTH_MAX, TableView, ValueView};
pub use template::{Ids, Template};

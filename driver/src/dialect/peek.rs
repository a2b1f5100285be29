//! What the end of a reply tells without decoding it.

use crate::message::ids::Hex32;

/// What the last bytes of a body tell about the reply it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peek {
    /// An answer to this call.
    Reply(Hex32),
    /// A heartbeat of this call: it goes on.
    Heartbeat(Hex32),
    /// Not the usual shape: only a full decode can tell.
    Unsure,
}

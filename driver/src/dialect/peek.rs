//! The call of a reply, found without decoding the reply.

use crate::message::ids::Hex32;

/// What the last bytes of a body tell about the reply in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peek {
    /// The result or the failure of this call.
    Reply(Hex32),
    /// A heartbeat of this call, which still runs.
    Heartbeat(Hex32),
    /// The bytes are not as usual: only a full decode can tell.
    Unsure,
}

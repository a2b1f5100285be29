//! Protocol errors of a peer. Every variant ends the connection.

use crate::wire::error::WireError;

/// A violation of the protocol, or a handshake that cannot succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProtoError {
    #[error("malformed frame: {0}")]
    Wire(#[from] WireError),
    #[error("the peer is no AMQP server: it answered {0}")]
    NotAmqp(String),
    #[error("the peer answered with a TLS alert: this port expects TLS")]
    TlsPort,
    #[error("the peer asks for AMQP {major}-{minor}-{revision}; this client speaks 0-9-1")]
    Version { major: u8, minor: u8, revision: u8 },
    #[error("the broker offers \"{offered}\" for login, not {wanted}")]
    Mechanism { wanted: &'static str, offered: String },
    #[error("the broker proposes frames of {0} bytes; the protocol's minimum is 4096")]
    FrameMaxTooSmall(u32),
    #[error("unexpected {what} on channel {channel}")]
    Unexpected { what: &'static str, channel: u16 },
    #[error("a frame arrived on channel {0}, which is not open")]
    UnknownChannel(u16),
    #[error("a body of {size} bytes was announced; at most {max} are accepted")]
    BodyTooLarge { size: u64, max: u64 },
    #[error("more body arrived on channel {channel} than its header announced")]
    BodyOverrun { channel: u16 },
    #[error("nothing was received for {0:?}: two heartbeats were missed")]
    HeartbeatMissed(std::time::Duration),
    #[error("delivery tag {tag} follows {last}: a broker counts the deliveries of a channel")]
    TagOutOfOrder { tag: u64, last: u64 },
    #[error("the peer asks and does not read: {0} bytes of answers wait for it")]
    UnreadResponses(usize),
    #[error("the broker confirmed delivery tag {tag}, which was never published")]
    UnknownTag { tag: u64 },
}

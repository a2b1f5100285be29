//! The error type of the engine.

use std::fmt;
use std::sync::Arc;

use crate::proto::ProtoError;
use crate::shard::border::slab::TicketError;

/// Kinds of failure of an [`Error`]. Later versions may add kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting is invalid; the engine has attempted nothing.
    Config,
    /// This build does not support what was requested.
    Unsupported,
    /// The requested backend is not available on this machine.
    Backend,
    /// No host was reachable: the name did not resolve, every host refused, or none answered in
    /// time.
    Unreachable,
    /// The broker refused user or password (403), or the login mechanism.
    AccessRefused,
    /// The broker refused the virtual host (530), or it does not exist.
    VhostRefused,
    /// The peer is not an AMQP 0-9-1 broker, or the port expects TLS.
    NotAmqp,
    /// The TLS handshake failed: the broker's certificate is not accepted, the broker does not
    /// accept the client's, or the peer speaks no TLS; or the encrypted bytes were damaged.
    Tls,
    /// The peer violated the protocol.
    Protocol,
    /// The connection was lost or closed by the broker.
    ConnectionClosed,
    /// The broker closed the channel because the operation failed (404, 405, 406 …).
    ChannelClosed,
    /// The broker did not answer before the deadline.
    TimedOut,
    /// The handle was closed, or the engine was stopped.
    Stopped,
}

/// Describes why an operation failed; its text says what to do where possible.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    code: Option<u16>,
    text: String,
    cause: Option<Arc<Self>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self { kind, code: None, text: text.into(), cause: None }
    }

    pub(crate) fn with_code(kind: ErrorKind, code: u16, text: impl Into<String>) -> Self {
        Self { kind, code: Some(code), text: text.into(), cause: None }
    }

    pub(crate) fn stopped() -> Self {
        Self::new(ErrorKind::Stopped, "the engine or the handle was stopped")
    }

    pub(crate) fn timed_out(what: &str) -> Self {
        Self::new(ErrorKind::TimedOut, format!("{what}: no answer before the deadline"))
    }

    /// Replaces the text and keeps the kind and the code.
    pub(crate) fn with_text(self, text: String) -> Self {
        Self { text, ..self }
    }

    /// Adds the cause of this error, if there is one, and appends its text. Used for waits that
    /// failed because the connection was down.
    pub(crate) fn with_cause(mut self, cause: Option<Self>) -> Self {
        if let Some(cause) = cause {
            self.text = format!("{} ({cause})", self.text);
            self.cause = Some(Arc::new(cause));
        }
        self
    }

    /// Converts a `connection.close` of the broker, during the handshake or later.
    pub(crate) fn closed_by_broker(code: u16, text: &str) -> Self {
        let kind = match code {
            403 => ErrorKind::AccessRefused,
            530 => ErrorKind::VhostRefused,
            _ => ErrorKind::ConnectionClosed,
        };
        Self::with_code(kind, code, format!("the broker closed the connection: {code} {text}"))
    }

    /// Returns the kind of failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the AMQP reply code (AMQP 1.2), if the broker gave one.
    #[must_use]
    pub fn reply_code(&self) -> Option<u16> {
        self.code
    }

    /// Returns true if a later attempt may succeed without any change.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Unreachable | ErrorKind::ConnectionClosed | ErrorKind::TimedOut
        )
    }

    /// Returns true if the host answered and refused. Another attempt at this host helps only after
    /// the broker or the settings have changed.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::AccessRefused
                | ErrorKind::VhostRefused
                | ErrorKind::NotAmqp
                | ErrorKind::Tls
                | ErrorKind::Config
                | ErrorKind::Unsupported
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The source is the reason why the connection was down, for waits that failed because of it.
impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

impl From<ProtoError> for Error {
    fn from(error: ProtoError) -> Self {
        let kind = match &error {
            ProtoError::NotAmqp(_) | ProtoError::TlsPort | ProtoError::Version { .. } => {
                ErrorKind::NotAmqp
            }
            ProtoError::Mechanism { .. } => ErrorKind::AccessRefused,
            ProtoError::HeartbeatMissed(_) => ErrorKind::ConnectionClosed,
            _ => ErrorKind::Protocol,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<TicketError> for Error {
    fn from(error: TicketError) -> Self {
        match error {
            TicketError::TimedOut => Self::timed_out("waiting"),
            TicketError::Aborted => Self::stopped(),
        }
    }
}

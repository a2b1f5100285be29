//! What can go wrong, as one opaque type with questions.

use std::fmt;
use std::sync::Arc;

use crate::proto::ProtoError;
use crate::shard::border::slab::TicketError;

/// What kind of failure an [`Error`] is. New kinds may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting that cannot work; nothing was tried.
    Config,
    /// Asked for something this version does not do (TLS).
    Unsupported,
    /// The backend asked for is not to be had on this machine.
    Backend,
    /// No host could be reached: name, refusal, or no answer in time.
    Unreachable,
    /// The broker refused user or password (403), or the login mechanism.
    AccessRefused,
    /// The broker refused the virtual host (530), or it does not exist.
    VhostRefused,
    /// The peer is no AMQP 0-9-1 broker, or the port expects TLS.
    NotAmqp,
    /// The peer broke the protocol.
    Protocol,
    /// The connection was lost or closed by the broker.
    ConnectionClosed,
    /// The broker ended the channel: what was asked for failed (404, 405, 406 …).
    ChannelClosed,
    /// No answer before the deadline.
    TimedOut,
    /// The handle was closed, or the engine stopped.
    Stopped,
}

/// Why an operation failed, in words that say what to do.
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

    /// The same failure in other words.
    pub(crate) fn with_text(self, text: String) -> Self {
        Self { text, ..self }
    }

    /// The same error because of another one, whose text is added: what was waited for in vain,
    /// because the connection is down.
    pub(crate) fn because(mut self, cause: Option<Self>) -> Self {
        if let Some(cause) = cause {
            self.text = format!("{} ({cause})", self.text);
            self.cause = Some(Arc::new(cause));
        }
        self
    }

    /// A `connection.close` from the broker, during the handshake or later.
    pub(crate) fn closed_by_broker(code: u16, text: &str) -> Self {
        let kind = match code {
            403 => ErrorKind::AccessRefused,
            530 => ErrorKind::VhostRefused,
            _ => ErrorKind::ConnectionClosed,
        };
        Self::with_code(kind, code, format!("the broker closed the connection: {code} {text}"))
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The AMQP reply code (AMQP 1.2), where the broker gave one.
    #[must_use]
    pub fn reply_code(&self) -> Option<u16> {
        self.code
    }

    /// True when trying again later may help without changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Unreachable | ErrorKind::ConnectionClosed | ErrorKind::TimedOut
        )
    }

    /// True when the host answered, and the answer was no: trying it again is of use only once
    /// somebody has changed something, there or here.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::AccessRefused
                | ErrorKind::VhostRefused
                | ErrorKind::NotAmqp
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

/// The source is the reason the connection was down, where something was waited for in vain.
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

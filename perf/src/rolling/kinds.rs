//! RequestKind a member of the fleet may be: the dialects it serves or sends in, and whose software it is.

use std::fmt;

use leveret::{DriverConfig, Redelivered, SendingDialect, ServingDialect};

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerKind {
    /// oslo.messaging's own, in the kombu dialect.
    Python,
    Kombu,
    Both,
    Pika,
}

/// A client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientKind {
    /// oslo.messaging's own, in the kombu dialect.
    Python,
    Kombu,
    Auto,
    Pika,
}

impl ServerKind {
    /// The driver's options; none for what is not ours.
    ///
    /// Python's servers return what they had taken and not begun when they stop, and the broker
    /// says of it that it was delivered before: whoever shares queues `beside_python` does not
    /// refuse it.
    pub(super) fn config(self, at_most_once: bool, beside_python: bool) -> Option<DriverConfig> {
        let serving = match self {
            Self::Python => return None,
            Self::Kombu => ServingDialect::Kombu,
            Self::Both => ServingDialect::Both,
            Self::Pika => ServingDialect::Pika,
        };
        let mut config = DriverConfig::default();
        config.serving = Some(serving);
        if at_most_once && !(beside_python && serving != ServingDialect::Pika) {
            config.redelivered = Redelivered::Refuse;
        }
        Some(config)
    }
}

impl ClientKind {
    /// The driver's options; none for what is not ours.
    pub(super) fn config(self) -> Option<DriverConfig> {
        let sending = match self {
            Self::Python => return None,
            Self::Kombu => SendingDialect::Kombu,
            Self::Auto => SendingDialect::Auto,
            Self::Pika => SendingDialect::Pika,
        };
        let mut config = DriverConfig::default();
        config.sending = Some(sending);
        Some(config)
    }
}

impl fmt::Display for ServerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Python => "python",
            Self::Kombu => "kombu",
            Self::Both => "both",
            Self::Pika => "pika",
        })
    }
}

impl fmt::Display for ClientKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Python => "python",
            Self::Kombu => "kombu",
            Self::Auto => "auto",
            Self::Pika => "pika",
        })
    }
}

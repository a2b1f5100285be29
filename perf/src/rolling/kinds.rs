//! The kinds of members: Leveret in one of its dialects, or Python's oslo.messaging.

use std::fmt;

use leveret::{DriverConfig, Redelivered, SendingDialect, ServingDialect};

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerKind {
    /// oslo.messaging's server, in the kombu dialect.
    Python,
    Kombu,
    Both,
    Pika,
}

/// A client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientKind {
    /// oslo.messaging's client, in the kombu dialect.
    Python,
    Kombu,
    Auto,
    Pika,
}

impl ServerKind {
    /// The driver's options; `None` for Python.
    ///
    /// A Python server that stops returns requests that it has not begun, and the broker marks them
    /// as redelivered. So a server that shares queues with Python (`beside_python`) does not refuse
    /// redelivered requests.
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
    /// The driver's options; `None` for Python.
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

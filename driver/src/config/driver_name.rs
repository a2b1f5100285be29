//! The driver that the scheme of a URL names.

use crate::config::url::TransportUrl;
use crate::error::{Error, ErrorKind};

/// The driver of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DriverName {
    /// The kombu dialect on RabbitMQ; options may override the dialect.
    Kombu,
    /// The pika dialect on RabbitMQ, likewise.
    Pika,
    /// The kombu dialect on the loopback broker of this process, likewise.
    Loopback,
}

impl DriverName {
    /// Whether the broker is one of this process.
    pub(crate) const fn is_loopback(self) -> bool {
        matches!(self, Self::Loopback)
    }

    /// The driver of `url`'s scheme.
    pub(crate) fn of(url: &TransportUrl) -> Result<Self, Error> {
        match url.transport() {
            "rabbit" | "kombu" => Ok(Self::Kombu),
            secure if SECURE.contains(&secure) => Ok(Self::Kombu),
            "pika" => Ok(Self::Pika),
            "fake" => Ok(Self::Loopback),
            other => Err(Error::new(
                ErrorKind::DriverLoadFailure,
                format!(
                    "Failed to load transport driver \"{other}\": known drivers are rabbit, kombu, \
                     pika and fake; with TLS rabbits, rabbit+ssl, kombus and amqps"
                ),
            )),
        }
    }
}

/// Schemes of connections that are encrypted.
const SECURE: &[&str] = &["rabbits", "rabbit+ssl", "kombus", "amqps"];

/// Whether the scheme of `url` asks for TLS.
pub(crate) fn is_secure(url: &TransportUrl) -> bool {
    SECURE.contains(&url.transport())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_name_drivers() {
        let driver = |text: &str| DriverName::of(&text.parse::<TransportUrl>().unwrap());
        assert_eq!(driver("rabbit://").unwrap(), DriverName::Kombu);
        assert_eq!(driver("kombu://h").unwrap(), DriverName::Kombu);
        assert_eq!(driver("pika://h").unwrap(), DriverName::Pika);
        assert_eq!(driver("fake://").unwrap(), DriverName::Loopback);
        for secure in SECURE {
            assert_eq!(driver(&format!("{secure}://h")).unwrap(), DriverName::Kombu);
        }
        assert_eq!(driver("zmq://h").unwrap_err().kind(), ErrorKind::DriverLoadFailure);
    }
}

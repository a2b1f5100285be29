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
            "pika" => Ok(Self::Pika),
            "fake" => Ok(Self::Loopback),
            secure @ ("rabbits" | "amqps" | "kombus") => Err(tls_unsupported(secure)),
            other => Err(Error::new(
                ErrorKind::DriverLoadFailure,
                format!(
                    "Failed to load transport driver \"{other}\": known drivers are rabbit, kombu, \
                     pika and fake"
                ),
            )),
        }
    }
}

/// The error for an option or scheme that requires TLS.
pub(crate) fn tls_unsupported(asked_by: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!(
            "TLS, asked for by `{asked_by}`, is not supported yet, and a plain connection is not \
             made instead: connect through a TLS proxy, or drop the option"
        ),
    )
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
        assert_eq!(driver("amqps://h").unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(driver("zmq://h").unwrap_err().kind(), ErrorKind::DriverLoadFailure);
    }
}

//! Why a connection could not be secured, in words that say what to do.

use std::io;
use std::path::PathBuf;

use rustls::{AlertDescription, CertificateError};
use thiserror::Error;

/// A failure of settings, files, or a handshake.
#[derive(Clone, Debug, Error)]
pub(crate) enum TlsError {
    #[error("cannot read the {what} in {}: {why}", path.display())]
    File { what: &'static str, path: PathBuf, why: String },
    #[error("{} holds no {what} in PEM form (`-----BEGIN …`)", path.display())]
    Empty { what: &'static str, path: PathBuf },
    #[error("{} holds no certificate that can be trusted: {why}", path.display())]
    Root { path: PathBuf, why: String },
    #[error("the system has no trusted certificates{0}; name a file of them (ssl_ca_file)")]
    NoSystemRoots(String),
    #[error("the key in {} is encrypted: give its password (ssl_key_password)", path.display())]
    NeedsPassword { path: PathBuf },
    #[error(
        "the key in {} is encrypted in OpenSSL's old form; convert it to PKCS #8: \
         openssl pkcs8 -topk8 -in KEY -out NEW_KEY", path.display()
    )]
    OldEncryption { path: PathBuf },
    #[error("the key in {} cannot be decrypted with the password given: {why}", path.display())]
    Decryption { path: PathBuf, why: String },
    #[error("the key in {} is not the key of the certificate in {}", key.display(), cert.display())]
    KeyMismatch { key: PathBuf, cert: PathBuf },
    #[error("certificate and key cannot be used: {0}")]
    Identity(rustls::Error),
    #[error("`{0}` is neither a host name nor an address that a certificate could name")]
    Name(String),
    #[error("the peer does not speak TLS ({0}): is this the port of plain connections?")]
    NotTls(&'static str),
    #[error("the TLS handshake failed: {}", explain(.0))]
    Handshake(rustls::Error),
    #[error("the TLS handshake failed: {0}")]
    Socket(String),
}

impl TlsError {
    /// What kind of failure it is for users of the engine.
    pub(crate) fn into_error(self) -> crate::error::Error {
        use crate::error::ErrorKind;
        let kind = match self {
            Self::Handshake(_) | Self::NotTls(_) => ErrorKind::Tls,
            Self::Socket(_) => ErrorKind::Unreachable,
            _ => ErrorKind::Config,
        };
        crate::error::Error::new(kind, self.to_string())
    }
}

impl From<io::Error> for TlsError {
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(error) => Self::Handshake(error.clone()),
            None => Self::Socket(error.to_string()),
        }
    }
}

/// An error of rustls as one of a socket.
pub(super) fn socket_error(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The reason in words, if a socket failed because of TLS.
pub(crate) fn tls_failure(error: &io::Error) -> Option<String> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(explain(inner))
}

/// rustls's text, and what to do.
fn explain(error: &rustls::Error) -> String {
    use CertificateError as Bad;
    let advice = match error {
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::Expired | Bad::ExpiredContext { .. } => "renew the broker's certificate",
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                "compare the clocks of this host and of the one that made the certificate"
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                "connect to a name that the certificate has as subject alternative name"
            }
            Bad::UnknownIssuer | Bad::BadSignature => {
                "trust the authority that issued the broker's certificate (ssl_ca_file)"
            }
            Bad::Other(_) => "the broker's certificate is not one of an end entity",
            _ => "the broker's certificate cannot be accepted",
        },
        rustls::Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired => {
                "the broker asks for a certificate of the client (ssl_cert_file, ssl_key_file)"
            }
            AlertDescription::HandshakeFailure => {
                "the broker asks for a certificate of the client (ssl_cert_file, ssl_key_file), or \
                 has no cipher suite in common with it"
            }
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::UnsupportedCertificate => {
                "the broker does not accept the client's certificate"
            }
            AlertDescription::ProtocolVersion => {
                "the broker speaks other versions of TLS than the client may (ssl_version)"
            }
            _ => return error.to_string(),
        },
        rustls::Error::PeerIncompatible(_) => {
            "the broker speaks older versions of TLS than the client may (ssl_version)"
        }
        _ => return error.to_string(),
    };
    format!("{error}; {advice}")
}

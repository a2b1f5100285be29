//! TLS over the socket of a connection: settings, files, handshake and records. Nothing here knows
//! AMQP.
//!
//! Cryptography and the protocol are rustls's, with *ring* as its provider: it needs a C compiler
//! and nothing else to be built, and is named here, so that no process-wide default is read or set.
//! Files are read for each connection, so that a certificate is replaced without a restart. There
//! is no way back to a plain connection.

#[cfg(feature = "tls")]
mod config;
#[cfg(feature = "tls")]
mod error;
#[cfg(feature = "tls")]
mod files;
#[cfg(feature = "tls")]
mod prepare;
#[cfg(feature = "tls")]
mod settings;
#[cfg(feature = "tls")]
mod stream;
#[cfg(feature = "tls")]
mod verify;
mod version;

#[cfg(feature = "tls")]
pub use config::TlsConfig;
#[cfg(feature = "tls")]
pub(crate) use error::{TlsError, tls_failure};
#[cfg(feature = "tls")]
pub(crate) use prepare::Client;
#[cfg(feature = "tls")]
pub(crate) use stream::TlsStream;
pub use version::TlsVersion;

//! TLS over the socket of a connection: settings, files, handshake and records. Nothing here knows
//! AMQP.
//!
//! Cryptography and the protocol are rustls's, with *ring* as its provider: it needs a C compiler
//! and nothing else to be built, and is named here, so that no process-wide default is read or set.
//! Files are read for each connection, so that a certificate is replaced without a restart. There
//! is no way back to a plain connection.

mod config;
mod error;
mod files;
mod prepare;
mod settings;
mod stream;
mod verify;

pub use config::TlsConfig;
pub(crate) use error::{TlsError, is_tls_failure};
pub(crate) use prepare::Client;
pub use settings::TlsVersion;
pub(crate) use stream::TlsStream;

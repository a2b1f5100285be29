//! The configuration of TLS that users build, and what was made of its files.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::credentials::Secret;
use crate::tls::error::TlsError;
use crate::tls::prepare::{Client, Prepared};
use crate::tls::settings::{Identity, Settings};
use crate::tls::version::TlsVersion;

/// How connections are encrypted, and whom they trust.
///
/// The broker's certificate has to lead to a trusted root, be valid now, and name the host that the
/// connection was made to, each host of a cluster its own name. All files are PEM files. They are
/// read before each attempt to connect, on a thread of their own; clones share what was read, and
/// the sessions that a later handshake resumes.
///
/// ```
/// use leveret_engine::{ConnectionConfig, TlsConfig};
///
/// let mut config = ConnectionConfig::to("broker.example", 5671);
/// config.tls = Some(
///     TlsConfig::new()
///         .with_ca_file("/etc/rabbitmq/ca.pem")
///         .with_identity("/etc/service/cert.pem", "/etc/service/key.pem"),
/// );
/// ```
#[derive(Clone, Default)]
pub struct TlsConfig {
    settings: Settings,
    /// What was made of the files that were read last.
    prepared: Arc<Mutex<Option<Prepared>>>,
}

impl TlsConfig {
    /// Trusts the roots of the system, shows no certificate, and speaks TLS 1.2 or 1.3.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the certificates of this file instead of the roots of the system.
    #[must_use]
    pub fn with_ca_file(self, path: impl Into<PathBuf>) -> Self {
        self.changed(|settings| settings.ca_file = Some(path.into()))
    }

    /// Shows this certificate, with the chain that follows it in its file, to a broker that asks
    /// for one. One file may hold certificate and key.
    #[must_use]
    pub fn with_identity(
        self,
        cert_file: impl Into<PathBuf>,
        key_file: impl Into<PathBuf>,
    ) -> Self {
        let (cert_file, key_file) = (cert_file.into(), key_file.into());
        let identity = Identity { cert_file, key_file, key_password: None };
        self.changed(|settings| settings.identity = Some(identity))
    }

    /// Decrypts the key of [`with_identity`](Self::with_identity), which comes before, with this
    /// password. The key has to be in PKCS #8 (`BEGIN ENCRYPTED PRIVATE KEY`).
    #[must_use]
    pub fn with_key_password(self, password: Secret) -> Self {
        self.changed(|settings| {
            if let Some(identity) = &mut settings.identity {
                identity.key_password = Some(password);
            }
        })
    }

    /// Speaks no older version than this one.
    #[must_use]
    pub fn with_min_version(self, min_version: TlsVersion) -> Self {
        self.changed(|settings| settings.min_version = min_version)
    }

    /// Accepts whatever certificate the broker shows: the connection is encrypted, but anybody who
    /// can redirect it can read and change everything, and take the password. Each connection logs
    /// a warning about it.
    #[must_use]
    pub fn danger_accept_any_certificate(self, accept: bool) -> Self {
        self.changed(|settings| settings.accepts_any_certificate = accept)
    }

    /// A changed configuration shares nothing with the clones of the former one.
    fn changed(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.settings;
        change(&mut settings);
        Self { settings, prepared: Arc::default() }
    }

    /// Returns true if certificates of brokers are not verified.
    #[must_use]
    pub fn accepts_any_certificate(&self) -> bool {
        self.settings.accepts_any_certificate
    }

    /// Reads the files and checks them, without connecting: for the start of a program, and to
    /// check new files before anything uses them. Blocks while it reads.
    ///
    /// # Errors
    /// `Config`: a file cannot be read, or is not what it should be.
    pub fn check(&self) -> Result<(), crate::error::Error> {
        self.prepare().map(drop).map_err(TlsError::into_error)
    }

    /// Reads the files. Returns what was made of them before, with its sessions, if they are the
    /// same. Blocks.
    pub(crate) fn prepare(&self) -> Result<Client, TlsError> {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        Prepared::renew(&mut prepared, &self.settings)
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { ca_file, identity, min_version, accepts_any_certificate } = &self.settings;
        f.debug_struct("TlsConfig")
            .field("ca_file", ca_file)
            .field("identity", identity)
            .field("min_version", min_version)
            .field("accepts_any_certificate", accepts_any_certificate)
            .finish()
    }
}

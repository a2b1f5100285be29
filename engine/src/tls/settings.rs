//! The settings of TLS, as plain data.

use std::path::PathBuf;

use crate::credentials::Secret;
use crate::tls::version::TlsVersion;

/// How connections are encrypted, and whom they trust.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    /// The authorities; those of the system if none is named.
    pub(super) ca_file: Option<PathBuf>,
    pub(super) identity: Option<Identity>,
    pub(super) min_version: TlsVersion,
    pub(super) accepts_any_certificate: bool,
}

/// The client's certificate and key.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) cert_file: PathBuf,
    pub(super) key_file: PathBuf,
    pub(super) key_password: Option<Secret>,
}

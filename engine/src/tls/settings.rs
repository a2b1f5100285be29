//! The settings of TLS, as plain data.

use std::path::PathBuf;

use crate::credentials::Secret;

/// The oldest version of TLS that a connection may speak. Older ones than these are never spoken
/// (RFC 8996).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

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

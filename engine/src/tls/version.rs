//! The versions of TLS. Builds without TLS have the type too, so that options can name them.

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

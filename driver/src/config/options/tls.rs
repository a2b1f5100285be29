//! Options of TLS, under oslo's names where it has them.

use std::path::PathBuf;

use leveret_engine::{Secret, TlsVersion};

#[cfg(feature = "tls")]
use crate::error::{Error, ErrorKind};

/// How the connections of a transport are encrypted, and whom they trust.
///
/// oslo's driver verifies nothing if `ssl_ca_file` is empty. This one then trusts the roots of the
/// system: chain and host name are verified unless [`verify`](Self::verify) is false. All files are
/// PEM files and are read again at each connect, so that they can be replaced while a service runs.
///
/// ```
/// let mut config = leveret::DriverConfig::default();
/// config.tls.enabled = true;
/// config.tls.ca_file = Some("/nowhere/ca.pem".into());
/// assert!(config.tls.check().unwrap_err().to_string().contains("/nowhere/ca.pem"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsOptions {
    /// `ssl`: connections are encrypted. Default false; the schemes `rabbits`, `rabbit+ssl`,
    /// `kombus` and `amqps` switch it on and have 5671 as their default port.
    pub enabled: bool,
    /// `ssl_ca_file`: the certificates that are trusted. Default: those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// `ssl_cert_file`: the certificate to show to a broker that asks for one, with its chain.
    /// Default none.
    pub cert_file: Option<PathBuf>,
    /// `ssl_key_file`: its key. Default: it is in `cert_file`.
    pub key_file: Option<PathBuf>,
    /// `ssl_key_password`: the password of the key, which has to be in PKCS #8. Default none.
    pub key_password: Option<Secret>,
    /// `ssl_version`: the oldest version that is spoken. Default TLS 1.2. oslo's names of older
    /// ones are accepted and mean TLS 1.2, as older ones are never spoken.
    pub min_version: TlsVersion,
    /// `ssl_verify`: the broker's certificate is verified. Default true. If it is false, every
    /// connection logs a warning.
    pub verify: bool,
    /// `ssl_enforce_fips_mode`: an error if TLS is on, because the cryptography of this build is
    /// not validated by FIPS 140. Default false. oslo reads this option and does nothing.
    pub fips: bool,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self {
            enabled: false,
            ca_file: None,
            cert_file: None,
            key_file: None,
            key_password: None,
            min_version: TlsVersion::V1_2,
            verify: true,
            fips: false,
        }
    }
}

impl TlsOptions {
    /// Reads the files and checks them, without connecting: at the start of a program, or before
    /// running connections meet new files. Blocks while it reads.
    ///
    /// # Errors
    /// `InvalidOptions`: a file cannot be read, or is not what it should be.
    #[cfg(feature = "tls")]
    pub fn check(&self) -> Result<(), Error> {
        let checked = self.for_engine().map_or(Ok(()), |config| config.check());
        checked.map_err(|error| {
            Error::new(ErrorKind::InvalidOptions, error.to_string()).with_cause(error)
        })
    }

    /// The configuration of the engine's connections, if they are encrypted.
    #[cfg(feature = "tls")]
    pub(crate) fn for_engine(&self) -> Option<leveret_engine::TlsConfig> {
        if !self.enabled {
            return None;
        }
        let mut config = leveret_engine::TlsConfig::new()
            .with_min_version(self.min_version)
            .danger_accept_any_certificate(!self.verify);
        if let Some(path) = &self.ca_file {
            config = config.with_ca_file(path);
        }
        if let Some(cert) = &self.cert_file {
            config = config.with_identity(cert, self.key_file.as_ref().unwrap_or(cert));
        }
        if let Some(password) = &self.key_password {
            config = config.with_key_password(password.clone());
        }
        Some(config)
    }

    /// Why these options cannot be combined.
    pub(crate) fn contradiction(&self) -> Option<&'static str> {
        let rules = [
            (
                self.enabled && !cfg!(feature = "tls"),
                "ssl needs the feature `tls` of leveret, which this build leaves out; a plain \
                 connection is not made instead",
            ),
            (
                self.enabled && self.fips,
                "ssl_enforce_fips_mode: the cryptography of this build is not validated by \
                 FIPS 140; unset the option, which oslo reads and ignores",
            ),
            (
                self.enabled && self.key_file.is_some() && self.cert_file.is_none(),
                "ssl_key_file needs ssl_cert_file: a key alone proves nothing",
            ),
        ];
        rules.into_iter().find(|(broken, _)| *broken).map(|(_, text)| text)
    }
}

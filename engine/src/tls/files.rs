//! Reads certificates and keys from PEM files.

use std::fs;
use std::path::Path;

use pkcs8::{EncryptedPrivateKeyInfo, SecretDocument};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use crate::tls::error::TlsError;
use crate::tls::settings::{Identity, Settings};

const CERTIFICATES: &str = "certificates";
const KEY: &str = "private key";
/// The header of an encrypted key that is not in PKCS #8 (RFC 1421).
const OLD_ENCRYPTION: &str = "Proc-Type: 4,ENCRYPTED";
/// The lines around an encrypted key in PKCS #8 (RFC 7468, section 11).
const ENCRYPTED_BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const ENCRYPTED_END: &str = "-----END ENCRYPTED PRIVATE KEY-----";
/// PEM files are small. Whatever is larger was not meant, such as a device.
const BYTES_MAX: u64 = 16 << 20;

/// What the files of a configuration hold.
#[derive(Debug, PartialEq)]
pub(super) struct Files {
    pub(super) roots: Vec<CertificateDer<'static>>,
    /// The certificate of the client with its chain, and its key.
    pub(super) identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl Files {
    /// Reads the files.
    pub(super) fn read(settings: &Settings) -> Result<Self, TlsError> {
        let roots = match &settings.ca_file {
            _ if settings.accepts_any_certificate => Vec::new(),
            Some(path) => read_certificates(path)?,
            None => system_roots()?,
        };
        let identity = match &settings.identity {
            Some(identity) => Some((read_certificates(&identity.cert_file)?, read_key(identity)?)),
            None => None,
        };
        Ok(Self { roots, identity })
    }
}

fn system_roots() -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why = found.errors.first().map(|error| format!(" ({error})"));
        return Err(TlsError::NoSystemRoots(why.unwrap_or_default()));
    }
    Ok(found.certs)
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(CERTIFICATES, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| malformed(CERTIFICATES, path, &error))?;
    match found.is_empty() {
        true => Err(TlsError::Empty { what: CERTIFICATES, path: path.to_owned() }),
        false => Ok(found),
    }
}

fn read_key(identity: &Identity) -> Result<PrivateKeyDer<'static>, TlsError> {
    let path = &identity.key_file;
    let text = read(KEY, path)?;
    if let Some(encrypted) = encrypted_key(&text, path)? {
        return decrypt(encrypted.as_bytes(), identity);
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::Empty { what: KEY, path: path.clone() },
        error => malformed(KEY, path, &error),
    })
}

/// The encrypted key of a file that holds one.
fn encrypted_key(text: &[u8], path: &Path) -> Result<Option<SecretDocument>, TlsError> {
    let has = |part: &str| text.windows(part.len()).any(|window| window == part.as_bytes());
    if has(OLD_ENCRYPTION) {
        return Err(TlsError::OldEncryption { path: path.to_owned() });
    }
    if !has(ENCRYPTED_BEGIN) {
        return Ok(None);
    }
    let text = std::str::from_utf8(text).map_err(|error| malformed(KEY, path, &error))?;
    let section = &text[text.find(ENCRYPTED_BEGIN).unwrap_or_default()..];
    let end = section.find(ENCRYPTED_END).map_or(section.len(), |at| at + ENCRYPTED_END.len());
    let (_, key) =
        SecretDocument::from_pem(&section[..end]).map_err(|error| malformed(KEY, path, &error))?;
    Ok(Some(key))
}

fn decrypt(encrypted: &[u8], identity: &Identity) -> Result<PrivateKeyDer<'static>, TlsError> {
    let path = identity.key_file.clone();
    let Some(password) = &identity.key_password else {
        return Err(TlsError::NeedsPassword { path });
    };
    let info = EncryptedPrivateKeyInfo::try_from(encrypted)
        .map_err(|error| malformed(KEY, &path, &error))?;
    let key = info.decrypt(password.expose().as_bytes());
    let key = key.map_err(|error| TlsError::Decryption { path, why: error.to_string() })?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}

fn read(what: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let failed = |why: String| TlsError::File { what, path: path.to_owned(), why };
    let meta = fs::metadata(path).map_err(|error| failed(error.to_string()))?;
    if !meta.is_file() || meta.len() > BYTES_MAX {
        return Err(failed("it is no file of such a size".into()));
    }
    fs::read(path).map(Zeroizing::new).map_err(|error| failed(error.to_string()))
}

fn malformed(what: &'static str, path: &Path, error: &dyn std::fmt::Display) -> TlsError {
    TlsError::File { what, path: path.to_owned(), why: error.to_string() }
}

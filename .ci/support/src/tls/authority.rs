//! Certificates for tests of TLS, made on the spot: an authority, and what it issues.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use crate::watchdog::Watchdog;

/// An authority, and a folder for its files. They stay until the process ends, as Erlang's TLS does
/// not survive that a file goes which it has read.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

/// A certificate to issue.
#[derive(Debug, Clone)]
pub struct Leaf<'a> {
    /// The common name of its subject.
    pub common_name: &'a str,
    /// Host names and addresses it is valid for.
    pub names: &'a [&'a str],
    /// The days from now on which it begins and ends.
    pub days: (i64, i64),
}

impl Default for Leaf<'_> {
    fn default() -> Self {
        Self { common_name: "leveret test", names: &["localhost", "127.0.0.1"], days: (-1, 30) }
    }
}

/// The files of a certificate and its key.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate.
    pub cert: PathBuf,
    /// The key, in PKCS #8.
    pub key: PathBuf,
}

impl Authority {
    /// Makes an authority, with its certificate in `ca.pem`.
    ///
    /// # Panics
    /// When the temporary folder is not writable.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "leveret test authority");
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("these are valid");
        let authority = Self { issuer, folder: folder() };
        fs::write(authority.ca(), authority.issuer.pem()).expect("the folder is writable");
        authority
    }

    /// The file of its own certificate.
    pub fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// A file of its folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Issues a certificate into files of this name, in place of those of an earlier one.
    ///
    /// # Panics
    /// When a name is not one of a host.
    pub fn issue(&self, file: &str, leaf: &Leaf<'_>) -> Issued {
        let key = key();
        let cert = params(leaf).signed_by(&key, &self.issuer).expect("these are valid");
        self.write(file, &cert.pem(), &key)
    }

    /// Makes a certificate that its own key has signed.
    ///
    /// # Panics
    /// As [`issue`](Self::issue).
    pub fn self_sign(&self, file: &str, leaf: &Leaf<'_>) -> Issued {
        let key = key();
        let cert = params(leaf).self_signed(&key).expect("these are valid");
        self.write(file, &cert.pem(), &key)
    }

    fn write(&self, file: &str, cert: &str, key: &KeyPair) -> Issued {
        let issued = Issued {
            cert: self.file(&format!("{file}.pem")),
            key: self.file(&format!("{file}.key")),
        };
        replace(&issued.cert, cert);
        replace(&issued.key, &key.serialize_pem());
        issued
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// A new folder, within one that is removed after the process.
fn folder() -> PathBuf {
    static ROOT: OnceLock<(PathBuf, Watchdog)> = OnceLock::new();
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let (root, _) = ROOT.get_or_init(|| {
        let root = tempfile::Builder::new().prefix("leveret-certificates-").tempdir();
        let root = root.expect("the temporary folder is writable").keep();
        let watchdog = Watchdog::start(&root).expect("/bin/sh can be run");
        (root, watchdog)
    });
    let folder = root.join(NUMBER.fetch_add(1, Ordering::Relaxed).to_string());
    fs::create_dir(&folder).expect("the temporary folder is writable");
    folder
}

fn key() -> KeyPair {
    KeyPair::generate().expect("the system has random numbers")
}

fn params(leaf: &Leaf<'_>) -> CertificateParams {
    let names: Vec<String> = leaf.names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("these are names");
    params.distinguished_name.push(DnType::CommonName, leaf.common_name);
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) =
        (now + Duration::days(leaf.days.0), now + Duration::days(leaf.days.1));
    params
}

/// Replaces a file at once, as a program that renews certificates does.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("the folder is writable");
    fs::rename(&new, path).expect("the folder is writable");
}

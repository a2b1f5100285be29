//! Makes of settings and files what a handshake needs, and keeps it while the files are the same.

use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::crypto::ring;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ConfigBuilder, InconsistentKeys, RootCertStore};

use crate::tls::error::TlsError;
use crate::tls::files::Files;
use crate::tls::settings::Settings;
use crate::tls::verify::AcceptAny;
use crate::tls::version::TlsVersion;

/// What a handshake needs.
#[derive(Clone, Debug)]
pub(crate) struct Client(pub(super) Arc<ClientConfig>);

/// What was made of these files.
pub(super) struct Prepared {
    files: Files,
    client: Client,
}

impl Prepared {
    /// Reads the files, and makes anew what a handshake needs if they have changed. An error keeps
    /// what was made before.
    pub(super) fn renew(known: &mut Option<Self>, settings: &Settings) -> Result<Client, TlsError> {
        let files = Files::read(settings)?;
        if let Some(known) = known.as_ref().filter(|known| known.files == files) {
            return Ok(known.client.clone());
        }
        let client = Client(Arc::new(build(settings, &files)?));
        *known = Some(Self { files, client: client.clone() });
        Ok(client)
    }
}

fn build(settings: &Settings, files: &Files) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let versions: &[_] = match settings.min_version {
        TlsVersion::V1_2 => &[&TLS13, &TLS12],
        TlsVersion::V1_3 => &[&TLS13],
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(TlsError::Identity)?;
    let builder = if settings.accepts_any_certificate {
        let any = Arc::new(AcceptAny(provider));
        builder.dangerous().with_custom_certificate_verifier(any)
    } else {
        builder.with_root_certificates(root_store(settings, files)?)
    };
    with_identity(builder, settings, files)
}

fn root_store(settings: &Settings, files: &Files) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    let Some(path) = &settings.ca_file else {
        // Some systems have certificates that are none of an authority.
        store.add_parsable_certificates(files.roots.iter().cloned());
        return Ok(store);
    };
    for root in &files.roots {
        store
            .add(root.clone())
            .map_err(|error| TlsError::Root { path: path.clone(), why: error.to_string() })?;
    }
    Ok(store)
}

fn with_identity(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    settings: &Settings,
    files: &Files,
) -> Result<ClientConfig, TlsError> {
    let (Some(identity), Some((chain, key))) = (&settings.identity, &files.identity) else {
        return Ok(builder.with_no_client_auth());
    };
    let client = builder.with_client_auth_cert(chain.clone(), key.clone_key());
    client.map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            let (key, cert) = (identity.key_file.clone(), identity.cert_file.clone());
            TlsError::KeyMismatch { key, cert }
        }
        error => TlsError::Identity(error),
    })
}

//! Shared by the tests of TLS: an authority, listeners at the shared broker, and connections to
//! them.

use std::path::PathBuf;

use leveret_engine::{Connection, ConnectionConfig, Error, ErrorKind, TlsConfig};
use leveret_support::{Authority, Broker, Issued, Leaf, TlsListener};

use crate::support::setup::{config, engine};

pub(crate) const BOTH: &[&str] = &["tlsv1.2", "tlsv1.3"];

/// A listener that shows this certificate and asks for none.
pub(crate) fn listen(shows: &Issued) -> u16 {
    listen_with(TlsListener { shows, trusts: shows.cert.clone(), asks: false, versions: BOTH })
}

/// A listener that asks for a certificate of this authority.
pub(crate) fn listen_asking(shows: &Issued, trusts: PathBuf) -> u16 {
    listen_with(TlsListener { shows, trusts, asks: true, versions: BOTH })
}

pub(crate) fn listen_with(listener: TlsListener<'_>) -> u16 {
    Broker::shared().listen_tls(&listener)
}

/// Settings for a virtual host, through a port with TLS.
pub(crate) fn config_at(port: u16, vhost: &str, tls: TlsConfig) -> ConnectionConfig {
    let mut config = config(vhost);
    config.hosts[0].port = port;
    config.tls = Some(tls);
    config
}

pub(crate) fn trusting(authority: &Authority) -> TlsConfig {
    TlsConfig::new().with_ca_file(authority.ca())
}

pub(crate) fn connect_at(port: u16, vhost: &str, tls: TlsConfig) -> Result<Connection, Error> {
    engine().connect_blocking(config_at(port, vhost, tls))
}

/// Expects a refusal with these words; at once, not after the deadline of a first connect.
pub(crate) fn refused(port: u16, tls: TlsConfig, words: &str) {
    let mut config = config_at(port, "tls-refused", tls);
    config.connect_deadline = std::time::Duration::from_secs(60);
    let begun = std::time::Instant::now();
    let error = engine().connect_blocking(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    assert!(error.to_string().contains(words), "{error}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "late: {error}");
}

/// A certificate of this authority for the local host.
pub(crate) fn good(authority: &Authority) -> Issued {
    authority.issue("good", &Leaf::default())
}

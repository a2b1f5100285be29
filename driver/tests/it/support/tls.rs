//! Encrypted connections to the shared broker.

use leveret_support::{Authority, Broker, Leaf, TlsListener};

/// Opens a listener with a certificate of this authority. Returns its port.
pub(crate) fn listen(authority: &Authority) -> u16 {
    let shows = authority.issue("broker", &Leaf::default());
    let (trusts, versions) = (authority.ca(), &["tlsv1.2", "tlsv1.3"][..]);
    Broker::shared().listen_tls(&TlsListener { shows: &shows, trusts, asks: false, versions })
}

/// The URL of a new virtual host through such a listener, with oslo's options.
pub(crate) fn url(authority: &Authority, vhost: &str) -> String {
    let port = listen(authority);
    let options = format!("ssl=true&ssl_ca_file={}", authority.ca().display());
    format!("{}?{options}", at_port(&Broker::shared().vhost(vhost), port))
}

/// The same URL with another port.
pub(crate) fn at_port(url: &str, port: u16) -> String {
    let plain = format!("127.0.0.1:{}/", Broker::shared().port());
    assert!(url.contains(&plain), "{url}");
    url.replacen(&plain, &format!("127.0.0.1:{port}/"), 1)
}

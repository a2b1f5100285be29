//! Certificates that are replaced while a program runs.

use leveret_support::{Authority, Broker, Leaf, TlsListener};

use crate::connection::scenario::assert_works;
use crate::support::log;
use crate::support::setup::{engine, until};
use crate::tls::scenario::{config_at, good, listen_asking, listen_with, refused, trusting};

/// The broker's authority changes, then the client's certificate. Each reconnect reads the files
/// again; sessions of the old ones are not resumed.
#[test]
fn files_are_read_again_at_each_connect() {
    let (old, new) = (Authority::new(), Authority::new());
    let client = |authority: &Authority| {
        authority.issue("client", &Leaf { common_name: "client", ..Leaf::default() })
    };
    let trusted = old.file("trusted.pem");
    std::fs::copy(old.ca(), &trusted).unwrap();
    let shown = client(&old);
    let tls = leveret_engine::TlsConfig::new()
        .with_ca_file(&trusted)
        .with_identity(&shown.cert, &shown.key);
    let first = listen_asking(&good(&old), old.ca());
    let second = listen_asking(&good(&new), new.ca());
    let engine = engine();
    let connection = engine.connect_blocking(config_at(first, "tls-rotation", tls.clone()));
    assert_works(&connection.unwrap());
    refused(second, tls.clone(), "ssl_ca_file");

    std::fs::copy(new.ca(), &trusted).unwrap();
    refused(second, tls.clone(), "does not accept the client's certificate");
    let fresh = client(&new);
    std::fs::copy(&fresh.cert, &shown.cert).unwrap();
    std::fs::copy(&fresh.key, &shown.key).unwrap();
    tls.check().unwrap();
    let connection = engine.connect_blocking(config_at(second, "tls-rotation", tls.clone()));
    let connection = connection.unwrap();
    assert_works(&connection);
    refused(first, tls, "ssl_ca_file");

    // A broken file delays a reconnect and does not end the connection.
    let good_key = std::fs::read(&shown.key).unwrap();
    std::fs::write(&shown.key, "").unwrap();
    Broker::shared().operator().close_connections_to("tls-rotation").unwrap();
    let told = || connection.status().last_error.map(|error| error.to_string());
    until("the error is told", || told().is_some_and(|text| text.contains("holds no private key")));
    std::fs::write(&shown.key, good_key).unwrap();
    until("it reconnects", || connection.reconnects() > 0);
    assert_works(&connection);
}

/// A second connect resumes the session of the first, where the broker allows it: RabbitMQ does in
/// TLS 1.2, and has no tickets in 1.3 by default.
#[test]
fn clones_of_a_configuration_share_their_sessions() {
    log::keep();
    let authority = Authority::new();
    let (trusts, versions) = (authority.ca(), &["tlsv1.2"][..]);
    let shows = good(&authority);
    let port = listen_with(TlsListener { shows: &shows, trusts, asks: false, versions });
    let tls = trusting(&authority);
    let engine = engine();
    for resumed in [false, true, true] {
        let config = config_at(port, "tls-sessions", tls.clone());
        assert_works(&engine.connect_blocking(config).unwrap());
        let agreed = log::lines_with(&format!("127.0.0.1:{port}"));
        let last = agreed.iter().rfind(|line| line.contains("TLS is agreed")).unwrap();
        assert!(last.contains(&format!("resumed={resumed}")), "{agreed:?}");
    }
}

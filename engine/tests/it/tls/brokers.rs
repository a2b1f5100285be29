//! What brokers may show, and what they may not.

use leveret_engine::{ConnectionConfig, ErrorKind, Host, TlsConfig, TlsVersion};
use leveret_support::{Authority, Broker, Leaf, TlsListener};

use crate::connection::scenario::assert_works;
use crate::support::log;
use crate::support::setup::{config, engine, until};
use crate::tls::scenario::{
    BOTH, config_at, connect_at, good, listen, listen_with, refused, trusting,
};

#[test]
fn messages_pass_in_both_versions() {
    let authority = Authority::new();
    let shows = good(&authority);
    for version in BOTH {
        let trusts = authority.ca();
        let versions = &[*version];
        let listener = TlsListener { shows: &shows, trusts, asks: false, versions };
        let port = listen_with(listener);
        assert_works(&connect_at(port, "tls-versions", trusting(&authority)).unwrap());
    }
}

#[test]
fn a_host_is_verified_by_its_name_and_by_its_address() {
    let authority = Authority::new();
    let by_name = Leaf { names: &["localhost"], ..Leaf::default() };
    let port = listen(&authority.issue("name", &by_name));
    let mut config = config_at(port, "tls-names", trusting(&authority));
    config.hosts[0].host = "localhost".into();
    assert_works(&engine().connect_blocking(config).unwrap());
    refused(port, trusting(&authority), "subject alternative name");

    let by_address = Leaf { names: &["127.0.0.1"], ..Leaf::default() };
    let port = listen(&authority.issue("address", &by_address));
    assert_works(&connect_at(port, "tls-names", trusting(&authority)).unwrap());
}

#[test]
fn bad_certificates_are_refused() {
    let authority = Authority::new();
    let other = Authority::new();
    let leaf = Leaf::default();
    let trusting = || trusting(&authority);

    let expired = authority.issue("expired", &Leaf { days: (-9, -1), ..leaf.clone() });
    refused(listen(&expired), trusting(), "renew the broker's certificate");
    let early = authority.issue("early", &Leaf { days: (2, 9), ..leaf.clone() });
    refused(listen(&early), trusting(), "compare the clocks");
    let named = authority.issue("named", &Leaf { names: &["broker.example"], ..leaf.clone() });
    refused(listen(&named), trusting(), "subject alternative name");
    // The common name alone names nothing (RFC 9525, section 2).
    let nameless = Leaf { names: &[], common_name: "127.0.0.1", ..leaf.clone() };
    let nameless = authority.issue("nameless", &nameless);
    refused(listen(&nameless), trusting(), "subject alternative name");
    let foreign = other.issue("foreign", &leaf);
    refused(listen(&foreign), trusting(), "ssl_ca_file");
    let own = authority.self_sign("own", &leaf);
    refused(listen(&own), trusting(), "ssl_ca_file");
    // The system trusts no authority of these tests.
    refused(listen(&good(&authority)), TlsConfig::new(), "ssl_ca_file");
}

#[test]
fn any_certificate_is_accepted_if_asked_for_by_name_and_that_is_logged() {
    log::keep();
    let authority = Authority::new();
    let expired = authority.issue("expired", &Leaf { days: (-9, -1), ..Leaf::default() });
    let port = listen(&expired);
    let tls = TlsConfig::new().danger_accept_any_certificate(true);
    assert_works(&connect_at(port, "tls-any", tls).unwrap());
    let host = format!("127.0.0.1:{port}");
    let warned = log::lines_with("the broker's certificate is not verified");
    let warned: Vec<_> = warned.iter().filter(|line| line.contains(&host)).collect();
    assert!(warned.len() == 1 && warned[0].starts_with("WARN"), "{warned:?}");
}

#[test]
fn a_broker_of_an_old_version_is_refused() {
    let authority = Authority::new();
    let shows = good(&authority);
    let trusts = authority.ca();
    let versions = &["tlsv1.2"];
    let port = listen_with(TlsListener { shows: &shows, trusts, asks: false, versions });
    let tls = trusting(&authority).with_min_version(TlsVersion::V1_3);
    refused(port, tls, "ssl_version");
}

#[test]
fn plain_and_encrypted_ports_are_told_apart() {
    let authority = Authority::new();
    refused(Broker::shared().port(), trusting(&authority), "the port of plain connections");

    let mut plain = config("tls-plain");
    plain.hosts[0].port = listen(&good(&authority));
    let error = engine().connect_blocking(plain).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAmqp, "{error}");
    assert!(error.to_string().contains("TLS"), "{error}");
}

#[test]
fn each_host_of_a_cluster_is_verified_by_its_own_name() {
    let authority = Authority::new();
    let named = Leaf { names: &["localhost"], ..Leaf::default() };
    let right = listen(&authority.issue("right", &named));
    let wrong_name = Leaf { names: &["127.0.0.1"], ..Leaf::default() };
    let wrong = listen(&authority.issue("wrong", &wrong_name));
    for _ in 0..6 {
        // Both are asked for as `localhost`; only one may say that it is.
        let mut config = config_at(right, "tls-hosts", trusting(&authority));
        config.hosts = vec![Host::new("localhost", wrong), Host::new("localhost", right)];
        let connection = engine().connect_blocking(config).unwrap();
        assert_eq!(connection.status().host, format!("localhost:{right}"));
    }
    let (first, second) = (listen(&good(&authority)), listen(&good(&authority)));
    let mut config = config_at(first, "tls-failover", trusting(&authority));
    config.hosts = vec![Host::new("localhost", first), Host::new("127.0.0.1", second)];
    let connection = engine().connect_blocking(config).unwrap();
    assert_works(&connection);
    Broker::shared().operator().close_connections_to("tls-failover").unwrap();
    until("it reconnects", || connection.reconnects() > 0);
    assert_works(&connection);
}

#[test]
fn a_name_that_no_certificate_has_is_an_error() {
    let authority = Authority::new();
    let port = listen(&good(&authority));
    let mut config: ConnectionConfig = config_at(port, "tls-strange", trusting(&authority));
    config.hosts[0].host = "127.0.0.1".into();
    assert_works(&engine().connect_blocking(config.clone()).unwrap());
    config.hosts[0].host = "0x7f000001".into();
    let error = engine().connect_blocking(config).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Config | ErrorKind::Tls), "{error}");
}

//! What clients show to a broker that asks for a certificate.

use leveret_engine::{ErrorKind, Login, Secret, TlsConfig};
use leveret_support::{ALL, Authority, Broker, Issued, Leaf};

use crate::connection::scenario::assert_works;
use crate::support::setup::engine;
use crate::tls::scenario::{config_at, connect_at, good, listen_asking, refused, trusting};

fn showing(authority: &Authority, client: &Issued) -> TlsConfig {
    trusting(authority).with_identity(&client.cert, &client.key)
}

#[test]
fn a_broker_accepts_the_certificates_that_it_trusts_and_no_others() {
    let authority = Authority::new();
    let strangers = Authority::new();
    let port = listen_asking(&good(&authority), authority.ca());
    let leaf = Leaf { common_name: "client", ..Leaf::default() };
    let client = authority.issue("client", &leaf);
    assert_works(&connect_at(port, "tls-clients", showing(&authority, &client)).unwrap());

    refused(port, trusting(&authority), "asks for a certificate of the client");
    let stranger = strangers.issue("client", &leaf);
    refused(port, showing(&authority, &stranger), "does not accept the client's certificate");
    let expired = authority.issue("expired", &Leaf { days: (-9, -1), ..leaf });
    refused(port, showing(&authority, &expired), "does not accept the client's certificate");
}

#[test]
fn a_certificate_logs_in_as_the_user_it_names() {
    let broker = Broker::shared();
    broker.allow_external();
    let authority = Authority::new();
    let port = listen_asking(&good(&authority), authority.ca());
    let connect = |name: &str| {
        let leaf = Leaf { common_name: name, ..Leaf::default() };
        let client = authority.issue(name, &leaf);
        let mut config = config_at(port, "tls-external", showing(&authority, &client));
        config.login = Login::External;
        // Neither is used.
        config.hosts[0].user = "nobody".into();
        config.hosts[0].password = Secret::new("nothing");
        engine().connect_blocking(config)
    };
    broker.add_vhost("tls-external");
    broker.add_user("hare");
    broker.set_permissions("hare", "tls-external", ALL);
    assert_works(&connect("hare").unwrap());
    assert_eq!(connect("fox").unwrap_err().kind(), ErrorKind::AccessRefused);
}

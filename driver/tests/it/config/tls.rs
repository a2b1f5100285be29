//! Transports over TLS: every way to ask for it, what is refused, and files that are replaced while
//! calls go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use leveret::{Config, ErrorKind, Transport, TransportBuilder};
use leveret_support::{ALL, Authority, Broker, Leaf, TlsListener};
use serde_json::json;
use tokio::task::{block_in_place, spawn_blocking};

use crate::support::fixture::{Notes, client, eventually, run, server};
use crate::support::tls::{at_port, listen};

async fn works(url: &str) {
    let transport = Transport::connect(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    let notes = Notes::default();
    let server = server(&transport, "t", "s", &notes).await;
    let terms = json!({"a": 2, "b": 3});
    let sum: i64 = client(&transport, "t").call((), "add", &terms).await.unwrap();
    assert_eq!(sum, 5);
    server.wait().await.unwrap();
    transport.close().await.unwrap();
}

#[test]
fn every_scheme_and_option_that_asks_for_tls_gets_it() {
    let authority = Authority::new();
    let port = listen(&authority);
    let url = at_port(&Broker::shared().vhost("tls-schemes"), port);
    let rest = url.strip_prefix("rabbit://").unwrap();
    let ca = authority.ca().display().to_string();
    run(async {
        for scheme in ["rabbits", "rabbit+ssl", "kombus", "amqps"] {
            works(&format!("{scheme}://{rest}?ssl_ca_file={ca}")).await;
        }
        works(&format!("rabbit://{rest}?ssl=true&ssl_ca_file={ca}&ssl_version=TLSv1_3")).await;
        works(&format!("rabbit://{rest}?ssl=1&ssl_verify=false")).await;
        works(&format!("pika://{rest}?ssl=true&ssl_options=ca_certs:{ca}")).await;
        works(&format!("pika://{rest}?ssl=true&ssl_ca_file={ca}")).await;
        works(&format!("rabbits://{rest}?ssl_ca_file={ca}&connection_factory=single")).await;

        let file = format!(
            "[DEFAULT]\ntransport_url = {url}\n\
             [oslo_messaging_rabbit]\nrabbit_use_ssl = true\nkombu_ssl_ca_certs = {ca}\n"
        );
        let config = Config::new().ini_str(&file).unwrap();
        let builder = TransportBuilder::from_config(&config).unwrap();
        let transport = builder.connect().await.unwrap();
        transport.close().await.unwrap();
    });
}

#[test]
fn what_cannot_be_verified_is_refused_with_what_to_do() {
    let authority = Authority::new();
    let port = listen(&authority);
    let url = at_port(&Broker::shared().vhost("tls-refused"), port);
    let refused = async |url: &str, words: &str| {
        let error = Transport::connect(url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TransportDriverError, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    };
    let ca = authority.ca().display().to_string();
    let strangers = Authority::new().ca().display().to_string();
    run(async {
        // oslo's driver would verify nothing here.
        refused(&format!("{url}?ssl=true"), "trust the authority").await;
        refused(&format!("{url}?ssl=true&ssl_ca_file={strangers}"), "ssl_ca_file").await;
        let plain = Broker::shared().vhost("tls-refused");
        refused(&format!("{plain}?ssl=true&ssl_ca_file={ca}"), "port of plain connections").await;
        refused(&url, "TLS").await;
    });
}

#[test]
fn a_service_logs_in_by_its_certificate() {
    let broker = Broker::shared();
    broker.allow_external();
    let authority = Authority::new();
    let shows = authority.issue("broker", &Leaf::default());
    let (trusts, versions) = (authority.ca(), &["tlsv1.2", "tlsv1.3"][..]);
    let port = broker.listen_tls(&TlsListener { shows: &shows, trusts, asks: true, versions });
    let url = broker.vhost("tls-login");
    broker.add_user("nova");
    broker.set_permissions("nova", &url, ALL);
    let client = authority.issue("nova", &Leaf { common_name: "nova", ..Leaf::default() });
    run(works(&format!(
        "{}?ssl=true&ssl_ca_file={}&ssl_cert_file={}&ssl_key_file={}&rabbit_login_method=EXTERNAL",
        at_port(&url, port).replacen("guest:guest@", "", 1),
        authority.ca().display(),
        client.cert.display(),
        client.key.display(),
    )));
}

/// The certificates of broker and client are replaced while calls go on, and every connection is
/// made anew: no call fails.
#[test]
fn certificates_are_replaced_under_load_and_no_call_fails() {
    let broker = Broker::shared();
    let authority = Authority::new();
    let leaf = Leaf::default();
    let shows = authority.issue("broker", &leaf);
    let shown = authority.issue("client", &leaf);
    let (trusts, versions) = (authority.ca(), &["tlsv1.2", "tlsv1.3"][..]);
    let port = broker.listen_tls(&TlsListener { shows: &shows, trusts, asks: true, versions });
    let plain = broker.vhost("tls-rotation");
    let url = format!(
        "{}?ssl=true&ssl_ca_file={}&ssl_cert_file={}&ssl_key_file={}",
        at_port(&plain, port),
        authority.ca().display(),
        shown.cert.display(),
        shown.key.display(),
    );
    run(async {
        let transport = Transport::connect(&url).await.unwrap();
        let notes = Notes::default();
        let server = server(&transport, "t", "s", &notes).await;
        let (is_over, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let calling = {
            let (is_over, calls) = (Arc::clone(&is_over), Arc::clone(&calls));
            let client = client(&transport, "t").with_timeout(Duration::from_secs(30));
            spawn_blocking(move || {
                while !is_over.load(Ordering::Relaxed) {
                    client.call_blocking::<()>((), "none", &()).unwrap();
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let mut reconnects = 0;
        for _ in 0..3 {
            let before = calls.load(Ordering::Relaxed);
            block_in_place(|| eventually(|| calls.load(Ordering::Relaxed) > before + 20));
            authority.issue("broker", &leaf);
            authority.issue("client", &leaf);
            // Erlang keeps files in memory for two minutes, certificate and key each for itself.
            broker.eval("ssl:clear_pem_cache().");
            assert!(broker.close_connections_to(&plain) >= 3);
            let now = || transport.stats().reconnects;
            block_in_place(|| eventually(|| now() > reconnects));
            reconnects = now();
        }
        is_over.store(true, Ordering::Relaxed);
        calling.await.unwrap();
        server.wait().await.unwrap();
        transport.close().await.unwrap();
    });
}

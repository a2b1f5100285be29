//! Credentials from a closure, which the driver calls at each attempt to connect.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use leveret::engine::loopback::{Loopback, LoopbackConfig};
use leveret::{Credentials, ErrorKind, Secret, Transport, TransportBuilder, TransportHost};
use tokio::task::block_in_place;

use crate::support::fixture::{client, eventually, run};

const PASSWORD: &str = "the one of today";

/// A broker with user `nova`, and a transport builder for it.
fn broker() -> (Loopback, TransportBuilder) {
    let users = vec![("nova".to_owned(), PASSWORD.to_owned())];
    let broker = Loopback::start(LoopbackConfig { users, ..LoopbackConfig::default() }).unwrap();
    let port = broker.addr().port();
    let builder = Transport::builder(&format!("rabbit://nova:expired@127.0.0.1:{port}/"));
    (broker, builder)
}

fn given(host: &TransportHost, password: &str) -> Credentials {
    Credentials::new(host.username(), Secret::new(password))
}

#[test]
fn credentials_are_asked_for_at_each_connect() {
    let (broker, builder) = broker();
    run(async {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let builder = builder.credentials(move |host| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::io::Error>(given(host, PASSWORD))
        });
        let transport = builder.connect().await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        broker.drop_connections();
        let reconnected = || transport.stats().reconnects == 1 && transport.health().is_ready();
        block_in_place(|| eventually(reconnected));
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        transport.close().await.unwrap();
    });
}

#[test]
fn what_fails_or_panics_is_asked_again() {
    let (_broker, builder) = broker();
    run(async {
        let asked = AtomicUsize::new(0);
        let builder =
            builder.lazy().credentials(move |host| match asked.fetch_add(1, Ordering::Relaxed) {
                0 => Err("the vault is sealed"),
                1 => panic!("on purpose"),
                2 => Ok(given(host, "wrong")),
                _ => Ok(given(host, PASSWORD)),
            });
        let transport = builder.connect().await.unwrap();
        client(&transport, "t").cast((), "note", &()).await.unwrap();
        let reason = transport.health().connections[0].last_error.clone().unwrap().to_string();
        assert!(!reason.contains("wrong"), "the error contains no password: {reason}");
        transport.close().await.unwrap();
    });
}

#[test]
fn a_first_connect_without_credentials_says_why() {
    let (_broker, builder) = broker();
    run(async {
        let refused = builder.credentials(|_| Err("the vault is sealed")).connect().await;
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TransportDriverError, "{error}");
        assert!(error.to_string().contains("the vault is sealed"), "{error}");
    });
}

//! Transports that are created without a broker, and operations that wait for one.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use leveret::engine::loopback::{Loopback, LoopbackConfig};
use leveret::{
    Config, ConnectMode, ConnectionState, Error, ErrorKind, Notifier, Outcome, RpcServer, Target,
    Transport, TransportBuilder,
};
use tokio::task::{block_in_place, spawn_blocking};

use crate::support::fixture::{Notes, client, endpoint, eventually, run, server};

/// Returns a port without a listener.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn to(port: u16) -> TransportBuilder {
    Transport::builder(&format!("rabbit://guest:guest@127.0.0.1:{port}/"))
}

/// Starts a broker on this port after a delay.
fn broker_later(port: u16) -> tokio::task::JoinHandle<Loopback> {
    spawn_blocking(move || {
        std::thread::sleep(Duration::from_millis(700));
        Loopback::start(LoopbackConfig { port, ..LoopbackConfig::default() }).unwrap()
    })
}

fn assert_unsent(sent: Result<(), Error>) {
    let error = sent.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessagingTimeout, "{error}");
    assert_eq!(error.outcome(), Some(Outcome::NotSent), "{error}");
    assert!(error.to_string().to_lowercase().contains("connection refused"), "{error}");
}

#[test]
fn a_lazy_transport_needs_no_broker_and_says_why_nothing_is_sent() {
    run(async {
        let transport = to(free_port()).lazy().connect().await.unwrap();
        let connection = || transport.health().connections[0].clone();
        block_in_place(|| eventually(|| connection().last_error.is_some()));
        assert_eq!(
            (connection().purpose, connection().state),
            ("publish", ConnectionState::Connecting)
        );
        assert!(!transport.health().is_ready());
        let hasty = client(&transport, "t").with_timeout(Duration::from_millis(300));
        let begun = Instant::now();
        assert_unsent(hasty.call((), "none", &()).await);
        assert_unsent(hasty.cast((), "none", &()).await);
        assert_unsent(hasty.cast_buffered((), "none", &()).await);
        let notifier = Notifier::builder(&transport).timeout(Duration::from_millis(300)).build();
        assert_unsent(notifier.info((), "event", &()).await);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        transport.close().await.unwrap();
        assert_eq!(connection().state, ConnectionState::Closed);
        assert_eq!(hasty.call::<()>((), "none", &()).await.unwrap_err().kind(), ErrorKind::Closed);
    });
}

#[test]
fn what_waits_goes_on_when_a_broker_comes() {
    run(async {
        let port = free_port();
        let transport = to(port).lazy().connect().await.unwrap();
        let broker = broker_later(port);
        let server = server(&transport, "t", "s", &Notes::default()).await;
        client(&transport, "t").call::<()>((), "none", &()).await.unwrap();
        assert!(transport.health().is_ready());
        server.wait().await.unwrap();
        transport.close().await.unwrap();
        drop(broker.await.unwrap());
    });
}

#[test]
fn a_call_waits_for_the_broker_of_a_lazy_transport() {
    run(async {
        let port = free_port();
        let transport = to(port).lazy().connect().await.unwrap();
        let broker = broker_later(port);
        let client = client(&transport, "t").with_timeout(Duration::from_secs(30));
        client.cast((), "note", &()).await.unwrap();
        assert_eq!(broker.await.unwrap().stats().published, 1);
    });
}

#[test]
fn servers_of_a_lazy_transport_wait_for_a_while() {
    run(async {
        let url = format!(
            "rabbit://guest:guest@127.0.0.1:{}/?connect=lazy&operation_timeout=0.3",
            free_port()
        );
        let transport = Transport::connect(&url).await.unwrap();
        let target = Target::new("t").with_server("s");
        let begun = Instant::now();
        let server =
            RpcServer::builder(&transport, target).endpoint(endpoint("s", &Notes::default()));
        let error = server.start().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MessagingTimeout, "{error}");
        assert!(error.to_string().to_lowercase().contains("connection refused"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    });
}

#[test]
fn a_first_connect_goes_on_until_its_deadline() {
    run(async {
        let port = free_port();
        let begun = Instant::now();
        let deadline = Duration::from_millis(400);
        let error = to(port).connect_deadline(deadline).connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TransportDriverError, "{error}");
        assert!(begun.elapsed() >= deadline);
        let broker = broker_later(port);
        let transport = to(port).connect_deadline(Duration::from_secs(30)).connect().await.unwrap();
        transport.close().await.unwrap();
        drop(broker.await.unwrap());
    });
}

#[test]
fn files_and_urls_say_how_to_connect() {
    run(async {
        let url = format!("rabbit://127.0.0.1:{}/", free_port());
        let text = format!(
            "[DEFAULT]\ntransport_url = {url}\n[leveret]\nconnect = lazy\nconnect_deadline = 7\n"
        );
        let config = Config::new().ini_str(&text).unwrap();
        let transport = TransportBuilder::from_config(&config).unwrap().connect().await.unwrap();
        let options = &transport.config().connection;
        let read = (options.connect, options.connect_deadline);
        assert_eq!(read, (ConnectMode::Lazy, Duration::from_secs(7)));
        // The URL overrides files and the builder.
        let eager = Transport::builder(&format!("{url}?connect=eager&connect_deadline=0"));
        let eager = eager.lazy().connect_deadline(Duration::from_secs(60));
        assert_eq!(eager.connect().await.unwrap_err().kind(), ErrorKind::TransportDriverError);
        let wrong = Transport::connect(&format!("{url}?connect=late")).await.unwrap_err();
        assert!(wrong.to_string().contains("takes eager or lazy"), "{wrong}");
    });
}

//! Deadlines apply from the start: also while the driver declares exchanges and opens queues.

use std::time::{Duration, Instant};

use leveret::engine::loopback::{Loopback, LoopbackConfig};
use leveret::{DriverConfig, Error, ErrorKind, Outcome, RpcClient, Transport};
use serde_json::json;

use crate::support::fixture::{client, run};

/// Long after any deadline here, long before any other timeout.
const PATIENCE: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(300);

/// A transport without short timeouts of its own.
async fn patient(peer: &Loopback) -> Transport {
    let mut config = DriverConfig::default();
    config.heartbeat = Duration::ZERO;
    config.connection.operation_timeout = LONG;
    config.connection.handshake_timeout = LONG;
    let url = format!("rabbit://guest:guest@127.0.0.1:{}/", peer.addr().port());
    Transport::builder(&url).config(config).connect().await.unwrap()
}

async fn in_time(operation: impl Future<Output = Result<(), Error>>) {
    let start = Instant::now();
    let error = operation.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessagingTimeout, "{error}");
    assert_eq!(error.outcome(), Some(Outcome::NotSent), "{error}");
    assert!(start.elapsed() < PATIENCE, "{:?}: {error}", start.elapsed());
}

fn hasty(transport: &Transport, topic: &str) -> RpcClient {
    client(transport, topic).with_timeout(Duration::from_secs(1))
}

#[test]
fn a_broker_that_falls_silent_costs_no_more_than_the_deadline() {
    let peer = Loopback::start(LoopbackConfig::default()).unwrap();
    run(async {
        let transport = patient(&peer).await;
        // Declares the exchange, so that a call only lacks its reply queue.
        hasty(&transport, "t").cast((), "note", &()).await.unwrap();
        peer.script(|script| script.silent_after_frames = Some(1));
        in_time(hasty(&transport, "t").call((), "none", &())).await;
        let elsewhere = hasty(&transport, "t").with_exchange("elsewhere");
        in_time(elsewhere.prepare().call((), "none", &())).await;
        in_time(elsewhere.prepare().cast((), "note", &())).await;
        in_time(elsewhere.prepare().cast_buffered((), "note", &())).await;
    });
}

#[test]
fn what_is_opened_while_the_broker_is_away_waits_for_it() {
    let peer = Loopback::start(LoopbackConfig::default()).unwrap();
    let port = peer.addr().port();
    run(async {
        let mut config = DriverConfig::default();
        config.connection.operation_timeout = Duration::from_millis(100);
        let url = format!("rabbit://guest:guest@127.0.0.1:{port}/");
        let transport = Transport::builder(&url).config(config).connect().await.unwrap();
        peer.stop();
        let back = tokio::task::spawn_blocking(move || {
            // Longer than the operation timeout.
            std::thread::sleep(Duration::from_millis(500));
            Loopback::start(LoopbackConfig { port, ..LoopbackConfig::default() }).unwrap()
        });
        let client = client(&transport, "t").with_timeout(Duration::from_secs(60));
        client.cast((), "note", &json!({"arg": 1})).await.unwrap();
        assert_eq!(back.await.unwrap().stats().published, 1);
    });
}

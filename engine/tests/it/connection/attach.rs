//! A shard attached to a runtime of the test runs beside its tasks and stops in order.

use std::future::Future;
use std::time::Duration;

use leveret_engine::{
    ChannelOptions, Cores, EngineConfig, ErrorKind, Properties, QueueDeclare, Shard,
};
use tokio::task::{LocalSet, spawn_local, yield_now};

use crate::support::setup::{WAIT, backend, config, config_of, loopback, to};

fn settings() -> EngineConfig {
    EngineConfig::default().with_backend(backend())
}

fn on_tokio<T>(service: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, service)
}

/// Publishes and waits for each confirm, while another task of the thread makes progress.
async fn publish_beside_others() {
    let (engine, shard) = Shard::attach(settings()).unwrap();
    let shard = spawn_local(shard);
    let other = spawn_local(async {
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            yield_now().await;
        }
    });
    let connection = engine.connect(config("attach")).await.unwrap();
    let channel = connection.open_channel(ChannelOptions::default()).await.unwrap();
    let declare = QueueDeclare { name: "attached".into(), ..QueueDeclare::default() };
    channel.declare_queue(declare).await.unwrap();
    let publisher = channel.publisher(to("attached"), &Properties::default()).unwrap();
    for _ in 0..200 {
        assert!(publisher.publish("x".as_bytes(), WAIT).await.unwrap().await.is_ok());
    }
    other.await.unwrap();
    drop((publisher, channel, connection));
    engine.stop();
    shard.await.unwrap().unwrap();
}

#[test]
fn a_shard_shares_the_thread_of_a_tokio_runtime() {
    on_tokio(publish_beside_others());
}

#[test]
fn a_shard_shares_the_thread_of_a_tokio_uring_runtime() {
    match tokio_uring::Runtime::new(tokio_uring::builder().entries(8)) {
        Ok(runtime) => runtime.block_on(publish_beside_others()),
        // Machines without io_uring have no such runtime.
        Err(error) => assert!(error.raw_os_error().is_some(), "{error}"),
    }
}

#[test]
fn dropping_the_future_of_a_shard_ends_all_waits() {
    on_tokio(async {
        let peer = loopback();
        let (engine, shard) = Shard::attach(settings()).unwrap();
        let shard = spawn_local(shard);
        let connection = engine.connect(config_of(&peer)).await.unwrap();
        shard.abort();
        assert!(shard.await.unwrap_err().is_cancelled());
        let error = connection.open_channel(ChannelOptions::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stopped, "{error}");
        let error = engine.connect(config_of(&peer)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stopped, "{error}");
    });
}

#[test]
fn an_attached_shard_refuses_thread_settings() {
    for wrong in [
        settings().with_cores(Cores::Unpinned(2)),
        settings().with_cores(Cores::Pinned(vec![0])),
        settings().with_busy_poll(Duration::from_micros(1)),
    ] {
        let error = Shard::attach(wrong).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    }
}

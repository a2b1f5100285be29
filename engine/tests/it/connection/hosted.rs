//! A shard on the test's own thread runs the test's tasks in its loop.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use leveret_engine::loopback::LoopbackConfig;
use leveret_engine::{
    Channel, ChannelOptions, Connection, Consume, Cores, Engine, EngineConfig, Error, ErrorKind,
    Properties, QueueDeclare, Shard, block_on,
};
use rustix::thread::sched_getaffinity;
use tokio::task::spawn_local;

use crate::support::setup::{WAIT, backend, config, config_of, loopback, to};

fn settings() -> EngineConfig {
    EngineConfig::default().with_backend(backend())
}

async fn open(connection: &Connection, queue: &str) -> Channel {
    let channel = connection.open_channel(ChannelOptions::default()).await.unwrap();
    let declare = QueueDeclare { name: queue.into(), exclusive: true, ..QueueDeclare::default() };
    channel.declare_queue(declare).await.unwrap();
    channel
}

/// A consumer and a publisher are tasks of the shard's thread, and so is a timer.
#[test]
fn tasks_of_the_shard_publish_and_consume() {
    let thread = std::thread::current().id();
    let received = Shard::run(settings(), async |engine: Engine| {
        let connection = engine.connect(config("hosted")).await.unwrap();
        let channel = open(&connection, "hosted").await;
        let mut consumer = channel.consume(Consume::from_queue("hosted")).await.unwrap();
        let consuming = spawn_local(async move {
            let mut count = 0;
            while count < 200 {
                let delivery = consumer.next().await.unwrap().unwrap();
                delivery.ack();
                count += 1;
            }
            assert_eq!(std::thread::current().id(), thread);
            count
        });
        let publisher = channel.publisher(to("hosted"), &Properties::default()).unwrap();
        for _ in 0..200 {
            assert!(publisher.publish("x".as_bytes(), WAIT).await.unwrap().await.is_ok());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        consuming.await.unwrap()
    });
    assert_eq!(received.unwrap(), 200);
}

/// What other threads publish wakes the shard; its end ends their waits.
#[test]
fn handles_of_other_threads_work_until_the_program_ends() {
    let peer = loopback();
    let publishing = Shard::run(settings(), async |engine: Engine| {
        let connection = engine.connect(config_of(&peer)).await.unwrap();
        let channel = open(&connection, "q").await;
        let publisher = channel.publisher(to("q"), &Properties::default()).unwrap();
        let (some, enough) = tokio::sync::oneshot::channel();
        let publishing = std::thread::spawn(move || {
            let mut some = Some(some);
            for count in 0.. {
                let confirm = publisher.publish_blocking("x".as_bytes(), WAIT);
                if confirm.is_err() || !confirm.unwrap().wait().is_ok() {
                    return (count, connection.status());
                }
                if count == 500 {
                    some.take().unwrap().send(()).unwrap();
                }
            }
            unreachable!("the shard ends")
        });
        enough.await.unwrap();
        publishing
    });
    let (count, status) = publishing.unwrap().join().unwrap();
    assert!(count > 500, "{count} {status:?}");
}

#[test]
fn the_connections_are_closed_when_the_program_ends() {
    let peer = loopback();
    let (engine, connection) = Shard::run(settings(), async |engine: Engine| {
        let connection = engine.connect(config_of(&peer)).await.unwrap();
        (engine, connection)
    })
    .unwrap();
    let error = block_on(connection.open_channel(ChannelOptions::default())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stopped, "{error}");
    let error = engine.connect_blocking(config_of(&peer)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stopped, "{error}");
}

#[test]
fn a_program_may_stop_its_engine_itself() {
    let peer = loopback();
    let error = Shard::run(settings(), async |engine: Engine| {
        let connection = engine.connect(config_of(&peer)).await.unwrap();
        engine.shutdown().await;
        connection.open_channel(ChannelOptions::default()).await.map(drop).unwrap_err()
    });
    assert_eq!(error.unwrap().kind(), ErrorKind::Stopped);
}

#[test]
fn a_panic_of_the_program_ends_the_waits_of_other_threads() {
    let silent = leveret_engine::loopback::Loopback::start(LoopbackConfig::default()).unwrap();
    let (handles, taken) = std::sync::mpsc::channel::<Connection>();
    let waiting = std::thread::spawn(move || -> Error {
        let connection = taken.recv().unwrap();
        loop {
            let opened = block_on(connection.open_channel(ChannelOptions::default()));
            if let Err(error) = opened {
                return error;
            }
        }
    });
    let program = async |engine: Engine| {
        handles.send(engine.connect(config_of(&silent)).await.unwrap()).unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        panic!("on purpose")
    };
    let panicked = catch_unwind(AssertUnwindSafe(|| Shard::run(settings(), program)));
    assert!(panicked.is_err());
    let error = waiting.join().unwrap();
    assert_eq!(error.kind(), ErrorKind::Stopped, "{error}");
}

#[test]
fn the_thread_is_pinned_while_the_shard_runs() {
    let allowed = sched_getaffinity(None).unwrap();
    let core = (0..1024).find(|&core| allowed.is_set(core)).unwrap();
    let pinned = settings().with_cores(Cores::Pinned(vec![core]));
    let seen = Shard::run(pinned, async |_| sched_getaffinity(None).unwrap()).unwrap();
    assert_eq!((seen.count(), seen.is_set(core)), (1, true));
    assert_eq!(sched_getaffinity(None).unwrap(), allowed);
}

#[test]
fn a_thread_runs_one_shard() {
    for (wrong, kind) in [
        (Cores::Unpinned(2), ErrorKind::Config),
        (Cores::Pinned(vec![0, 1]), ErrorKind::Config),
        (Cores::Pinned(Vec::new()), ErrorKind::Config),
        (Cores::Pinned(vec![1 << 20]), ErrorKind::Backend),
    ] {
        let program = async |_: Engine| -> () { unreachable!("nothing runs") };
        let error = Shard::run(settings().with_cores(wrong), program);
        let error: Error = error.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
}

/// Any number of threads may run a shard each.
#[test]
fn shards_of_two_threads_talk_through_the_broker() {
    let url = config("two_hosted");
    let (ready, is_ready) = std::sync::mpsc::channel();
    let consuming = std::thread::spawn({
        let url = url.clone();
        move || {
            Shard::run(settings(), async |engine: Engine| {
                let connection = engine.connect(url).await.unwrap();
                let channel = connection.open_channel(ChannelOptions::default()).await.unwrap();
                let queue = QueueDeclare { name: "two".into(), ..QueueDeclare::default() };
                channel.declare_queue(queue).await.unwrap();
                let mut consumer = channel.consume(Consume::from_queue("two")).await.unwrap();
                ready.send(()).unwrap();
                for _ in 0..100 {
                    consumer.next().await.unwrap().unwrap().ack();
                }
            })
        }
    });
    is_ready.recv().unwrap();
    let publishing = Shard::run(settings(), async |engine: Engine| {
        let connection = engine.connect(url).await.unwrap();
        let channel = connection.open_channel(ChannelOptions::default()).await.unwrap();
        let publisher = channel.publisher(to("two"), &Properties::default()).unwrap();
        for _ in 0..100 {
            assert!(publisher.publish("x".as_bytes(), WAIT).await.unwrap().await.is_ok());
        }
    });
    publishing.unwrap();
    consuming.join().unwrap().unwrap();
}

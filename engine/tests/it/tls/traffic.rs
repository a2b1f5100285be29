//! Messages of all sizes through an encrypted connection, on every kind of shard.

use leveret_engine::{
    Connection, Consume, Engine, EngineConfig, Outcome, Properties, Shard, block_on,
};
use leveret_support::{Authority, Broker};

use crate::support::setup::{WAIT, backend, channel, engine, queue, to};
use crate::tls::scenario::{config_at, good, listen, trusting};

/// Around the sizes of a record (16 KiB), of a frame (128 KiB) and of what is encrypted at once
/// (64 KiB).
const SIZES: &[usize] = &[
    0, 1, 200, 4095, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 131_072, 1_000_000, 8_000_000,
];

fn body(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 31 + at / 251) as u8).collect()
}

/// Sends a body of each size and receives it.
async fn exchange(connection: &Connection, name: &str) {
    let options = leveret_engine::ChannelOptions::default();
    let channel = connection.open_channel(options).await.unwrap();
    let declare =
        leveret_engine::QueueDeclare { name: name.into(), exclusive: true, ..Default::default() };
    channel.declare_queue(declare).await.unwrap();
    let mut consumer = channel.consume(Consume::from_queue(name)).await.unwrap();
    let publisher = channel.publisher(to(name), &Properties::default()).unwrap();
    for size in SIZES {
        let sent = body(*size);
        let confirm = publisher.publish(sent.as_slice(), WAIT).await.unwrap();
        let delivery = consumer.next().await.unwrap().unwrap();
        assert_eq!(delivery.body().len(), *size);
        assert!(delivery.body().to_vec() == sent, "{size} bytes were changed");
        delivery.ack();
        assert!(confirm.await.is_ok());
    }
}

#[test]
fn bodies_of_all_sizes_pass_unchanged() {
    let authority = Authority::new();
    let port = listen(&good(&authority));
    let config = || config_at(port, "tls-traffic", trusting(&authority));
    block_on(exchange(&engine().connect_blocking(config()).unwrap(), "thread"));

    let settings = EngineConfig::default().with_backend(backend());
    let hosted = Shard::run(settings.clone(), async |engine: Engine| {
        exchange(&engine.connect(config()).await.unwrap(), "hosted").await;
    });
    hosted.unwrap();

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let (engine, shard) = Shard::attach(settings).unwrap();
        let shard = tokio::task::spawn_local(shard);
        exchange(&engine.connect(config()).await.unwrap(), "attached").await;
        engine.stop();
        shard.await.unwrap().unwrap();
    });
}

/// The broker stops reading at a memory alarm, so that nothing can be written for a while.
#[test]
fn a_broker_that_does_not_read_gets_everything_later() {
    let broker = Broker::start();
    let authority = Authority::new();
    let listener = leveret_support::TlsListener {
        shows: &good(&authority),
        trusts: authority.ca(),
        asks: false,
        versions: crate::tls::scenario::BOTH,
    };
    let port = broker.listen_tls(&listener);
    let mut config = leveret_engine::ConnectionConfig::to("127.0.0.1", port);
    config.tls = Some(trusting(&authority));
    config.outbox_bytes = 64 << 20;
    let connection = engine().connect_blocking(config).unwrap();
    let channel = channel(&connection);
    queue(&channel, "later");
    broker.freeze();
    let publisher = channel.publisher(to("later"), &Properties::default()).unwrap();
    let large = body(1 << 20);
    let confirms: Vec<_> =
        (0..16).map(|_| publisher.publish_blocking(large.as_slice(), 3 * WAIT).unwrap()).collect();
    std::thread::sleep(std::time::Duration::from_secs(1));
    broker.thaw();
    for confirm in confirms {
        assert!(matches!(confirm.wait(), Outcome::Confirmed));
    }
}

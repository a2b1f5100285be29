//! Every connection factory: the same operations work, and the end of one user does not affect the
//! others on its connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use leveret::engine::{Cores, EngineConfig};
use leveret::{
    Config, ConnectionFactory, DriverConfig, Executor, Notification, NotificationEndpoint,
    NotificationListener, Notifier, RpcClient, RpcServer, Target, Transport,
};
use leveret_support::Broker;
use serde_json::json;
use tokio::task::block_in_place;

use crate::support::every_broker::on_every_broker;
use crate::support::fixture::{Notes, client, echo, eventually, run, server, server_on};

on_every_broker! {
    one_connection_does_everything
    one_writes_and_one_reads
    every_purpose_has_its_own
    two_publish_in_turn
    one_publishes_on_each_shard
}

async fn one_connection_does_everything(url: String) {
    everything_works(&url, ConnectionFactory::Single, 1, &[("all", 0)]).await;
}

async fn one_writes_and_one_reads(url: String) {
    let named = [("write", 0), ("read", 0)];
    everything_works(&url, ConnectionFactory::ReadWrite, 2, &named).await;
}

async fn every_purpose_has_its_own(url: String) {
    let named = [("publish", 0), ("notify", 0), ("answers", 0), ("replies", 0)];
    everything_works(&url, ConnectionFactory::New, 7, &named).await;
}

async fn two_publish_in_turn(url: String) {
    let named = [("publish", 0), ("publish", 1), ("replies", 0)];
    everything_works(&url, ConnectionFactory::Pool(2), 6, &named).await;
}

async fn one_publishes_on_each_shard(url: String) {
    let named = [("publish", 0), ("publish", 1), ("replies", 0)];
    everything_works(&url, ConnectionFactory::PerShard, 6, &named).await;
}

/// Connects with an engine of two shards.
async fn connect(url: &str, factory: ConnectionFactory) -> Transport {
    let engine = EngineConfig::default().with_cores(Cores::Unpinned(2));
    let config = DriverConfig::default().with_connection_factory(factory);
    Transport::builder(url).config(config).engine_config(engine).connect().await.unwrap()
}

/// A transport with clients and notifiers of every kind, but without servers and listeners.
struct Fixture<'a> {
    url: &'a str,
    transport: Transport,
    notes: [Notes; 2],
    heard: Arc<AtomicUsize>,
    clients: [RpcClient; 2],
    notifier: Notifier,
}

impl<'a> Fixture<'a> {
    async fn open(url: &'a str, factory: ConnectionFactory) -> Self {
        let transport = connect(url, factory).await;
        assert_eq!(transport.health().connections.len(), 1, "the others open at their first use");
        let notifier = Notifier::builder(&transport).topic("happened").build();
        let clients = [client(&transport, "t"), client(&transport, "t")];
        let (notes, heard) = Default::default();
        Self { url, transport, notes, heard, clients, notifier }
    }

    async fn listener(&self) -> NotificationListener {
        let heard = Arc::clone(&self.heard);
        let endpoint = NotificationEndpoint::new().info(move |_: Notification| {
            heard.fetch_add(1, Ordering::Relaxed);
        });
        let listener = NotificationListener::builder(&self.transport, Target::new("happened"));
        listener.endpoint(endpoint).start().await.unwrap()
    }

    /// Sends calls, casts and a fanout, of which two servers note four in total, and a
    /// notification.
    async fn work(&self) {
        let (noted, heard) = (self.noted(), self.heard());
        for client in &self.clients {
            echo(client, json!("e")).await;
            client.cast((), "note", &json!({ "arg": 1 })).await.unwrap();
        }
        let fanout = self.clients[1].prepare().with_fanout(true);
        fanout.cast((), "note", &json!({ "arg": "all" })).await.unwrap();
        self.notifier.info((), "event", &()).await.unwrap();
        eventually(|| self.noted() == noted + 4 && self.heard() == heard + 1);
    }

    fn noted(&self) -> usize {
        self.notes.iter().map(|notes| notes.all().len()).sum()
    }

    fn heard(&self) -> usize {
        self.heard.load(Ordering::Relaxed)
    }

    /// Returns the connections that health and metrics list; both agree.
    fn named(&self) -> Vec<(&'static str, usize)> {
        let health = self.transport.health();
        let mut named: Vec<_> =
            health.connections.iter().map(|one| (one.purpose, one.number)).collect();
        let metrics = self.transport.metrics();
        let of_metrics = metrics.connections.iter();
        let of_metrics: Vec<_> =
            of_metrics.map(|one| (one.health.purpose, one.health.number)).collect();
        assert_eq!(named, of_metrics);
        named.sort_unstable();
        named
    }

    /// Closes all connections of the virtual host and waits for their recovery; does nothing on the
    /// broker in the process.
    fn lose_all(&self) {
        let Some(broker) = broker_of(self.url) else { return };
        let connections = || self.transport.health().connections;
        let losses = || connections().iter().map(|one| one.reconnects).sum::<u64>();
        let expected = losses() + connections().len() as u64;
        let vhost = self.url.rsplit('/').next().unwrap();
        block_in_place(|| {
            broker.ctl(&["close_all_connections", "--vhost", vhost, "on purpose"]);
            eventually(|| losses() == expected && self.transport.health().is_ready());
        });
    }
}

/// Uses every purpose, recovers each after a loss, and stops each alone. `connections` is the
/// number of connections, including those of two servers and a listener; `named` is the transport's
/// list.
async fn everything_works(
    url: &str,
    factory: ConnectionFactory,
    connections: usize,
    named: &[(&'static str, usize)],
) {
    let fixture = Fixture::open(url, factory).await;
    let first = server(&fixture.transport, "t", "first", &fixture.notes[0]).await;
    let second = server(&fixture.transport, "t", "second", &fixture.notes[1]).await;
    let listener = fixture.listener().await;
    fixture.work().await;
    let mut named = named.to_vec();
    named.sort_unstable();
    assert_eq!(fixture.named(), named);
    assert!(fixture.transport.health().is_ready() && listener.health().is_ready());
    if let Some(broker) = broker_of(url) {
        eventually(|| broker.connections_of(url) == connections);
    }
    fixture.lose_all();
    fixture.work().await;
    stopping_one_keeps_the_others(fixture, [first, second], listener).await;
    if let Some(broker) = broker_of(url) {
        eventually(|| broker.connections_of(url) == 0);
    }
}

/// Stops the users of a transport one by one, in every way; the others continue.
async fn stopping_one_keeps_the_others(
    fixture: Fixture<'_>,
    [first, second]: [RpcServer; 2],
    listener: NotificationListener,
) {
    let (transport, clients) = (&fixture.transport, &fixture.clients);
    first.wait().await.unwrap();
    for _ in 0..6 {
        assert_eq!(whoami(&clients[0]).await, "second");
    }
    let heard = fixture.heard();
    fixture.notifier.info((), "event", &()).await.unwrap();
    eventually(|| fixture.heard() == heard + 1);
    // A server that is dropped loses the requests it has accepted, and soon accepts no more.
    let third = server(transport, "t", "third", &Notes::default()).await;
    drop(second);
    let hasty = clients[1].prepare().with_timeout(Duration::from_secs(2));
    let is_third =
        || hasty.call_blocking((), "whoami", &()).is_ok_and(|who: String| who == "third");
    block_in_place(|| eventually(|| (0..4).all(|_| is_third())));
    listener.wait().await.unwrap();
    fixture.lose_all();
    assert_eq!(whoami(&clients[0]).await, "third");
    if let Some(broker) = broker_of(fixture.url) {
        // A stopped server stays stopped.
        let all = ["t", "t.first", "t.second", "t.third", "happened.info"];
        eventually(|| {
            let queues = broker.queues_of(fixture.url);
            let found = |name: &str| queues.iter().find(|one| one.name == name);
            all.map(|name| found(name).unwrap().consumers) == [1, 0, 0, 1, 0]
        });
    }
    third.wait().await.unwrap();
    transport.close().await.unwrap();
    assert!(!transport.health().is_ready());
    assert!(clients[0].call::<()>((), "none", &()).await.is_err());
}

async fn whoami(client: &RpcClient) -> String {
    client.call((), "whoami", &()).await.unwrap()
}

/// Returns the real broker, if the URL is one of its.
fn broker_of(url: &str) -> Option<&'static Broker> {
    (!url.starts_with("fake:")).then(Broker::shared)
}

#[test]
fn what_a_client_sends_stays_in_order() {
    run(async {
        for factory in [ConnectionFactory::Pool(3), ConnectionFactory::PerShard] {
            let transport = connect("fake:///factory-order", factory).await;
            let notes = Notes::default();
            let _server = server_on(&transport, "t", "s", &notes, Executor::Inline).await;
            let clients: Vec<_> = (0..4).map(|_| client(&transport, "t")).collect();
            for number in 0..250 {
                for (index, client) in clients.iter().enumerate() {
                    // A client derived from another uses the same connection.
                    let derived = client.prepare().with_timeout(Duration::from_secs(9));
                    let sender = if number % 2 == 0 { client } else { &derived };
                    let args = json!({ "arg": [index, number] });
                    sender.cast_buffered((), "note", &args).await.unwrap();
                }
            }
            let all = notes.wait_for(1000);
            for index in 0..4 {
                let own = all.iter().filter(|note| note[0] == index).map(|note| &note[1]);
                assert!(own.enumerate().all(|(expected, number)| *number == expected));
            }
            transport.close().await.unwrap();
        }
    });
}

#[test]
fn a_queue_that_goes_with_its_connection_has_one_of_its_own() {
    run(async {
        let url = "fake:///factory-own?queue_profile=local-random&connection_factory=single";
        let transport = Transport::connect(url).await.unwrap();
        let server = server(&transport, "t", "s", &Notes::default()).await;
        assert_eq!(server.health().connection.purpose, "server");
        echo(&client(&transport, "t"), json!(1)).await;
        let health = transport.health();
        assert_eq!((health.connections.len(), health.connections[0].purpose), (1, "all"));
        server.wait().await.unwrap();
        transport.close().await.unwrap();
    });
}

#[test]
fn files_and_urls_name_a_factory() {
    run(async {
        let url = "fake:///factory-url?connection_factory=pool:2";
        let transport = Transport::connect(url).await.unwrap();
        for _ in 0..2 {
            let client = client(&transport, "t");
            client.cast((), "note", &()).await.unwrap();
        }
        let numbers: Vec<_> = transport.health().connections.iter().map(|one| one.number).collect();
        assert_eq!(numbers, [0, 1]);
        let text = "[DEFAULT]\ntransport_url = fake:///factory-url\n\
                    [leveret]\nconnection_factory = read_write\n";
        let config = Config::new().ini_str(text).unwrap();
        let builder = leveret::TransportBuilder::from_config(&config).unwrap();
        let transport = builder.connect().await.unwrap();
        assert_eq!(transport.health().connections[0].purpose, "write");
        assert_eq!(transport.config().connection_factory, Some(ConnectionFactory::ReadWrite));
    });
}

//! Callers that drop their future while the driver opens a channel or connection for it, and
//! servers that start and stop on one connection: no channel leaks, and channel numbers do not run
//! out.

use std::pin::pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use leveret::engine::loopback::{Loopback, LoopbackConfig};
use leveret::{Notifier, RpcClient, Transport};
use leveret_support::Broker;
use serde_json::{Value, json};
use tokio::task::block_in_place;

use super::within;
use crate::support::fixture::{Notes, client, connect, echo, run, server};

/// Messages dropped while the broker does not answer: more than a connection has channels.
const UNANSWERED: usize = 3000;
/// Messages dropped at each step of an opening: more than `CHANNELS_MAX`.
const ANSWERED: usize = 40;
/// Longer than a broker takes to open a channel.
const A_STEP: Duration = Duration::from_millis(2);

/// Channels and connections for messages of every kind and their server, with some margin.
const CHANNELS_MAX: usize = 16;
const CONNECTIONS_MAX: usize = 8;
/// Limit of connections made in total: the driver may open each dropped one once more.
const CONNECTS_MAX: u64 = 20;

/// Longest time until leftover channels and connections are closed.
const GONE: Duration = Duration::from_secs(5);

/// The kind of a dropped message.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Call,
    Cast,
    Fanout,
    Buffered,
    Notification,
}

const KINDS: [Kind; 5] = [Kind::Call, Kind::Cast, Kind::Fanout, Kind::Buffered, Kind::Notification];

/// A server, and a client and a notifier that have sent nothing yet, on one transport.
struct Fresh {
    url: String,
    transport: Transport,
    client: RpcClient,
    notifier: Notifier,
}

impl Fresh {
    async fn open(broker: &Broker, kind: Kind, options: &str) -> Self {
        let url = broker.vhost(&format!("fresh-{kind:?}"));
        let transport = connect(&format!("{url}?{options}")).await;
        let notifier = Notifier::builder(&transport).topic("happened").build();
        let client = client(&transport, "t");
        Self { url, transport, client, notifier }
    }

    /// Starts a message, polls it `polls` times, and drops it; with a long enough `pause` the
    /// broker has answered before each poll.
    fn start_and_drop(&self, kind: Kind, polls: usize, pause: Duration) {
        let (args, fanout) = (json!({"arg": 1}), self.client.prepare().with_fanout(true));
        match kind {
            Kind::Call => {
                poll_and_drop(self.client.call::<Value>((), "echo", &args), polls, pause);
            }
            Kind::Cast => poll_and_drop(self.client.cast((), "note", &args), polls, pause),
            Kind::Fanout => poll_and_drop(fanout.cast((), "note", &args), polls, pause),
            Kind::Buffered => {
                poll_and_drop(self.client.cast_buffered((), "note", &args), polls, pause);
            }
            Kind::Notification => {
                poll_and_drop(self.notifier.info((), "event", &args), polls, pause);
            }
        }
    }

    /// Checks that everything works and that the dropped messages left nothing; stops everything.
    async fn finish(self, broker: &Broker, what: &str) {
        let Self { url, transport, client, notifier } = self;
        let notes = Notes::default();
        let server = server(&transport, "t", "s", &notes).await;
        assert_eq!(echo(&client, json!("call")).await, "call", "{what}");
        client.cast((), "note", &json!({"arg": "cast"})).await.expect(what);
        client.cast_buffered((), "note", &json!({"arg": "buffered"})).await.expect(what);
        let all = client.prepare().with_fanout(true);
        all.cast((), "note", &json!({"arg": "fanout"})).await.expect(what);
        notifier.info((), "event", &()).await.expect(what);
        block_in_place(|| {
            let channels = || broker.channels_of(&url);
            within(GONE, || channels() <= CHANNELS_MAX)
                .unwrap_or_else(|_| panic!("{what}: {} channels are open", channels()));
            let connections = || broker.connections_of(&url);
            within(GONE, || connections() <= CONNECTIONS_MAX)
                .unwrap_or_else(|_| panic!("{what}: {} connections are open", connections()));
        });
        let shard = transport.metrics().shards[0];
        let connects = shard.connects + shard.connects_failed;
        assert!(connects <= CONNECTS_MAX, "{what}: {connects} connections were made");
        server.wait().await.unwrap();
        transport.close().await.unwrap();
    }
}

/// Polls a future `polls` times, with a pause after each, then drops it.
fn poll_and_drop(future: impl Future, polls: usize, pause: Duration) {
    let mut future = pin!(future);
    for _ in 0..polls {
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return;
        }
        std::thread::sleep(pause);
    }
}

/// Drops messages while the broker does not answer.
async fn unanswered(options: &str) {
    let broker = block_in_place(Broker::start);
    for kind in KINDS {
        let fresh = Fresh::open(&broker, kind, options).await;
        block_in_place(|| {
            broker.freeze();
            (0..UNANSWERED).for_each(|_| fresh.start_and_drop(kind, 1, Duration::ZERO));
            broker.thaw();
        });
        fresh.finish(&broker, &format!("{kind:?} of {options}")).await;
    }
}

#[test]
fn messages_given_up_before_an_answer_leave_nothing() {
    run(unanswered("connection_factory=new"));
}

#[test]
fn messages_given_up_before_an_answer_leave_nothing_on_a_shared_connection() {
    run(unanswered("connection_factory=single"));
}

/// Drops messages at every step, after the broker's answer and before the next poll.
async fn answered(options: &str) {
    let broker = Broker::shared();
    for kind in KINDS {
        let fresh = Fresh::open(broker, kind, options).await;
        block_in_place(|| {
            for polls in 1..=3 {
                (0..ANSWERED).for_each(|_| fresh.start_and_drop(kind, polls, A_STEP));
            }
        });
        fresh.finish(broker, &format!("{kind:?} of {options}")).await;
    }
}

#[test]
fn messages_given_up_after_an_answer_leave_nothing() {
    run(answered("connection_factory=new"));
}

#[test]
fn messages_given_up_after_an_answer_leave_nothing_on_a_shared_connection() {
    run(answered("connection_factory=single"));
}

// ---- numbers of channels

#[test]
fn servers_come_and_go_on_one_connection() {
    let url = Broker::shared().vhost("come_and_go").replacen("rabbit", "pika", 1);
    run(async {
        let options = "connection_factory=single&channel_max=24";
        let transport = connect(&format!("{url}?{options}")).await;
        let client = client(&transport, "t");
        for number in 0..100 {
            let begun = Instant::now();
            let server = server(&transport, "t", "s", &Notes::default()).await;
            assert_eq!(echo(&client, json!(number)).await, number);
            server.wait().await.unwrap();
            assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        }
        assert_eq!(transport.stats().reconnects, 0);
        transport.close().await.unwrap();
    });
}

/// The broker allows fewer channels than the driver: a message without a channel gets an error, and
/// no other message fails.
#[test]
fn a_channel_too_many_is_an_error_of_its_own() {
    let config = LoopbackConfig { channel_max: 24, ..LoopbackConfig::default() };
    let broker = Loopback::start(config).unwrap();
    let url = format!(
        "rabbit://guest:guest@127.0.0.1:{}/?connection_factory=single",
        broker.addr().port()
    );
    run(async {
        let transport = connect(&url).await;
        let notes = Notes::default();
        let mut servers = vec![server(&transport, "t0", "s", &notes).await];
        let client = client(&transport, "t0");
        echo(&client, json!("before")).await;
        let refused = loop {
            let number = servers.len();
            assert!(number < 40, "the broker allows 24 channels");
            match super::start_server(&transport, &format!("t{number}"), &notes).await {
                Ok(server) => servers.push(server),
                Err(error) => break error,
            }
        };
        assert!(refused.to_string().contains("channel"), "{refused}");
        assert_eq!(echo(&client, json!("after")).await, "after");
        servers.pop().unwrap().wait().await.unwrap();
        let last = server(&transport, "last", "s", &notes).await;
        let to_last = client.prepare().with_topic("last");
        assert_eq!(echo(&to_last, json!("last")).await, "last");
        let health = transport.health().connections.remove(0);
        assert_eq!((health.reconnects, health.last_error.is_none()), (0, true), "{health:?}");
        last.wait().await.unwrap();
        for server in servers {
            server.wait().await.unwrap();
        }
        transport.close().await.unwrap();
    });
}

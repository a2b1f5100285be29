//! A server, a listener, and a raw peer that sends them messages no driver sends.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use leveret::engine::loopback::{Loopback, LoopbackConfig};
use leveret::engine::{
    AMQPValue, Channel, ChannelOptions, Connection, ConnectionConfig, Consume, Consumer, Engine,
    EngineConfig, ExchangeDeclare, FieldTable, Properties, Publisher, QueueBind, QueueDeclare,
    Route, block_on,
};
use leveret::{
    Context, Endpoint, Error, Failure, Notification, NotificationEndpoint, NotificationListener,
    RpcClient, RpcServer, Target, Transport,
};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::alloc;
use crate::bombs::{CALL, JSON, REPLIES, enveloped, json_request};

const PATIENCE: Duration = Duration::from_secs(60);

/// The queue and the format of a message.
pub(crate) struct Shape {
    pub(crate) queue: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) is_pika: bool,
}

pub(crate) struct Peer {
    pub(crate) transport: Transport,
    pub(crate) server: RpcServer,
    pub(crate) listener: NotificationListener,
    connection: Connection,
    channel: Channel,
    replies: Consumer,
    _engine: Engine,
    _broker: Loopback,
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());

fn endpoint() -> Endpoint {
    Endpoint::new()
        .method("none", |_: Context, _: IgnoredAny| Ok::<_, Failure>(()))
        .method("slow", |_, _: IgnoredAny| {
            std::thread::sleep(Duration::from_secs(2));
            Ok::<_, Failure>("slow")
        })
        .method("value", |_, args: Value| Ok::<_, Failure>(args.is_object()))
        .method("context", |context: Context, _: IgnoredAny| {
            Ok::<_, Failure>(context.iter().all(|(_, value)| value.is_array()))
        })
}

impl Peer {
    /// Starts a server of topic `t` and a listener to `n`, in both dialects, and warms them up.
    pub(crate) fn start() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let broker = Loopback::start(LoopbackConfig::default()).unwrap();
        let port = broker.addr().port();
        let url = format!("rabbit://guest:guest@127.0.0.1:{port}/?dialect_serving=both");
        let transport = Transport::connect_blocking(&url).unwrap();
        let target = Target::new("t").with_server("s");
        let server = RpcServer::builder(&transport, target).endpoint(endpoint());
        let server = server.start_blocking().unwrap();
        let listens = NotificationEndpoint::new().info(|_: Notification<IgnoredAny>| {});
        let listener = NotificationListener::builder(&transport, Target::new("n"));
        let listener = listener.endpoint(listens).start_blocking().unwrap();
        let engine = Engine::start(EngineConfig::default()).unwrap();
        let connection = engine.connect_blocking(ConnectionConfig::to("127.0.0.1", port)).unwrap();
        let channel = block_on(connection.open_channel(ChannelOptions::default())).unwrap();
        let replies = block_on(consume(&channel, REPLIES, &["openstack_rpc_reply"]));
        let (engine, broker) = (engine, broker);
        let mut peer = Self {
            transport,
            server,
            listener,
            connection,
            channel,
            replies,
            _engine: engine,
            _broker: broker,
            _alone: alone,
        };
        for queue in ["t", "with_ack.t"] {
            let shape = Shape { queue, content_type: JSON, is_pika: queue != "t" };
            peer.served(&shape, json_request("value", "{}", "_context_c", "0").as_bytes());
        }
        peer.served(
            &Shape { queue: "t", content_type: JSON, is_pika: false },
            enveloped(&json_request("value", "{}", "_context_c", "0")).as_bytes(),
        );
        peer
    }

    /// A publisher without confirms, of messages of the kombu dialect.
    pub(crate) fn publisher_to(&self, queue: String) -> Publisher {
        let options = ChannelOptions::default().with_confirms(false);
        let channel = block_on(self.connection.open_channel(options)).unwrap();
        let route = Route { exchange: String::new(), routing_key: queue, mandatory: false };
        let properties = Properties::new().with_content_type(JSON);
        channel.publisher(route, &properties).unwrap()
    }

    fn properties(shape: &Shape, compression: Option<&str>) -> Properties {
        let mut headers = FieldTable::default();
        if shape.is_pika {
            headers.insert("version".into(), AMQPValue::LongString("1.0".into()));
        }
        if let Some(compression) = compression {
            headers.insert("compression".into(), AMQPValue::LongString(compression.into()));
        }
        let properties = Properties::new().with_content_type(shape.content_type);
        let properties = properties.with_headers(headers);
        match shape.is_pika {
            true => properties.with_reply_to(REPLIES).with_correlation_id(CALL),
            false => properties,
        }
    }

    fn send(&self, shape: &Shape, compression: Option<&str>, body: &[u8]) {
        let routing_key = shape.queue.to_owned();
        let route = Route { exchange: String::new(), routing_key, mandatory: true };
        let properties = Self::properties(shape, compression);
        let publisher = self.channel.publisher(route, &properties).unwrap();
        let confirm = publisher.publish_blocking(body, PATIENCE).unwrap();
        assert!(block_on(confirm).is_ok());
    }

    /// Sends a message and waits until `has_happened` returns true; returns the peak of memory
    /// above the value before.
    pub(crate) fn cost(
        &mut self,
        shape: &Shape,
        compression: Option<&str>,
        body: &[u8],
        mut has_happened: impl FnMut(&mut Self) -> bool,
    ) -> usize {
        let before = alloc::now();
        alloc::reset();
        self.send(shape, compression, body);
        let start = Instant::now();
        while !has_happened(self) {
            assert!(start.elapsed() < PATIENCE, "the awaited effect comes in time");
            std::thread::sleep(Duration::from_millis(1));
        }
        alloc::peak().saturating_sub(before)
    }

    /// Returns the cost of a request that the server executes.
    pub(crate) fn served(&mut self, shape: &Shape, body: &[u8]) -> usize {
        let mut answer = Vec::new();
        let cost = self.cost(shape, None, body, |peer| {
            answer = peer.answer();
            true
        });
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.contains("Error"), "{answer}");
        cost
    }

    /// Returns the cost of a request that the server answers with the error that it cannot read it.
    pub(crate) fn refused(
        &mut self,
        shape: &Shape,
        compression: Option<&str>,
        body: &[u8],
    ) -> usize {
        let before = self.server.stats();
        let mut answer = Vec::new();
        let cost = self.cost(shape, compression, body, |peer| {
            answer = peer.answer();
            true
        });
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.contains("ValueError") && answer.contains("cannot read it"), "{answer}");
        let after = self.server.stats();
        assert_eq!(after.undecodable, before.undecodable + 1);
        assert_eq!(after.dispatched, before.dispatched);
        cost
    }

    /// Returns the cost of a message that the server counts and drops without an answer.
    pub(crate) fn dropped(
        &mut self,
        shape: &Shape,
        compression: Option<&str>,
        body: &[u8],
    ) -> usize {
        let before = self.server.stats().undecodable;
        self.cost(shape, compression, body, |peer| peer.server.stats().undecodable > before)
    }

    fn answer(&mut self) -> Vec<u8> {
        let answer = self.replies.next_within(PATIENCE).unwrap().expect("the server answers");
        answer.ack();
        answer.body().to_vec()
    }

    /// Calls a raw peer, which answers with `reply` of the call's id; returns the cost, and the
    /// length of the reply.
    pub(crate) fn answered(
        &self,
        client: &RpcClient,
        reply: impl Fn(&str) -> String,
    ) -> (Result<Value, Error>, usize, usize) {
        // Declares the exchange.
        client.cast_blocking((), "x", &()).unwrap();
        let mut requests = block_on(consume(&self.channel, "other", &["openstack"]));
        std::thread::scope(|scope| {
            let call = scope.spawn(|| client.call_blocking::<Value>((), "x", &json!({})));
            let mut request = Value::Null;
            while request.get("_msg_id").is_none() {
                let delivery =
                    requests.next_within(PATIENCE).unwrap().expect("the request arrives");
                delivery.ack();
                let envelope: Value = serde_json::from_slice(&delivery.body().to_vec()).unwrap();
                let text = envelope["oslo.message"].as_str().unwrap();
                request = serde_json::from_str(text).unwrap();
            }
            let text = |key: &str| request[key].as_str().unwrap().to_owned();
            let body = reply(&text("_msg_id"));
            let before = alloc::now();
            alloc::reset();
            let routing_key = text("_reply_q");
            let route = Route { exchange: String::new(), routing_key, mandatory: true };
            let properties =
                Properties::new().with_content_type(JSON).with_headers(FieldTable::default());
            let publisher = self.channel.publisher(route, &properties).unwrap();
            let confirm = publisher.publish_blocking(body.as_bytes(), PATIENCE).unwrap();
            assert!(block_on(confirm).is_ok());
            let answer = call.join().unwrap();
            (answer, alloc::peak().saturating_sub(before), body.len())
        })
    }
}

async fn consume(channel: &Channel, queue: &str, exchanges: &[&str]) -> Consumer {
    let declare = QueueDeclare { name: queue.into(), ..QueueDeclare::default() };
    channel.declare_queue(declare).await.unwrap();
    for exchange in exchanges {
        let mut declare =
            ExchangeDeclare { name: (*exchange).into(), ..ExchangeDeclare::default() };
        if exchange.ends_with("_rpc_reply") {
            (declare.kind, declare.auto_delete) = ("direct".into(), true);
            channel.declare_exchange(declare).await.unwrap();
        }
        let (queue, exchange) = (queue.to_owned(), (*exchange).to_owned());
        let bind =
            QueueBind { routing_key: queue.clone(), queue, exchange, ..QueueBind::default() };
        channel.bind_queue(bind).await.unwrap();
    }
    channel.consume(Consume::from_queue(queue)).await.unwrap()
}

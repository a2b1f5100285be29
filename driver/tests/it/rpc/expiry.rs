//! Requests of the `pika` dialect that wait until their callers have timed out: no server executes
//! them.

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use leveret::engine::{ExchangeDeclare, QueueBind, QueueDeclare};
use leveret::{
    Context, DriverConfig, Endpoint, Failure, Outcome, Retry, RpcServer, SendingDialect,
    ServingDialect, Target, Transport,
};
use leveret_support::Broker;
use serde_json::json;

use crate::support::fixture::{Notes, client, endpoint, eventually, run, server};
use crate::support::raw::raw;

/// The queue of a client's requests, by retry setting.
const QUEUES: [(Retry, &str); 2] =
    [(Retry::Never, "no_ack.t"), (Retry::UntilDeadline, "with_ack.t")];

async fn pika(url: &str) -> Transport {
    let mut config = DriverConfig::default().with_executor_threads(1);
    (config.serving, config.sending) = (Some(ServingDialect::Pika), Some(SendingDialect::Pika));
    Transport::builder(url).config(config).connect().await.unwrap()
}

/// The broker drops requests that expire in a queue without a consumer.
#[test]
fn what_expires_at_the_broker_is_delivered_to_nobody() {
    let url = Broker::shared().vhost("expiry");
    run(async {
        let vhost = url.rsplit('/').next().unwrap();
        let (_engine, channel) = raw(Broker::shared().port(), vhost).await;
        let exchange = "openstack_rpc".to_owned();
        let declare = ExchangeDeclare {
            name: exchange.clone(),
            kind: "direct".into(),
            auto_delete: true,
            ..ExchangeDeclare::default()
        };
        channel.declare_exchange(declare).await.unwrap();
        let transport = pika(&url).await;
        for (retry, queue) in QUEUES {
            let name = queue.to_owned();
            let declare = QueueDeclare { name: name.clone(), ..QueueDeclare::default() };
            channel.declare_queue(declare).await.unwrap();
            let (exchange, routing_key) = (exchange.clone(), name.clone());
            let bind = QueueBind { queue: name, exchange, routing_key, ..QueueBind::default() };
            channel.bind_queue(bind).await.unwrap();
            let client = client(&transport, "t").with_retry(retry);
            let client = client.with_timeout(Duration::from_millis(300));
            let error = client.call::<()>((), "note", &json!({"arg": queue})).await.unwrap_err();
            assert!(error.is_timeout(), "{error}");
            assert_eq!(error.outcome(), Some(Outcome::MaybeSent), "{error}");
            let messages = || {
                let queues = Broker::shared().queues_of(&url);
                queues.iter().find(|one| one.name == queue).map(|one| one.messages)
            };
            eventually(|| messages() == Some(0));
            // A server declares the queue with its own arguments.
            channel.delete_queue(queue, false, false).await.unwrap();
        }
        let notes = Notes::default();
        let server = server(&transport, "t", "s", &notes).await;
        let answer: String = client(&transport, "t").call((), "whoami", &()).await.unwrap();
        assert_eq!(answer, "s");
        server.wait().await.unwrap();
        assert!(notes.all().is_empty(), "{:?}", notes.all());
        transport.close().await.unwrap();
    });
}

/// A server drops requests that expire while they wait for a worker, and counts them.
async fn expired_here(url: String) {
    let transport = pika(&url).await;
    let notes = Notes::default();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let holding = Endpoint::new().method("hold", move |_: Context, (): ()| {
        let _ = released.lock().unwrap().recv();
        Ok::<_, Failure>(())
    });
    let target = Target::new("t").with_server("s");
    let server = RpcServer::builder(&transport, target).endpoint(endpoint("s", &notes));
    let server = server.endpoint(holding).start().await.unwrap();
    let served = || transport.metrics().served;
    let mut expired = 0;
    for (retry, _) in QUEUES {
        let client = client(&transport, "t").with_retry(retry);
        // On a busy machine a request may expire before it reaches the server.
        let mut timeout = Duration::from_millis(200);
        loop {
            let done = served().done;
            client.cast((), "hold", &()).await.unwrap();
            eventually(|| served().done == done + 1);
            let short = client.prepare().with_timeout(timeout);
            let args = json!({"arg": 1});
            let error = short.call::<()>((), "note", &args).await.unwrap_err();
            assert!(error.is_timeout(), "{error}");
            // The request carries its remaining lifetime; the server counts it down from the
            // receipt.
            tokio::time::sleep(timeout).await;
            release.send(()).unwrap();
            let answer: String = client.call((), "whoami", &()).await.unwrap();
            assert_eq!(answer, "s");
            if served().expired > expired {
                break;
            }
            timeout *= 2;
        }
        expired = served().expired;
    }
    drop(release);
    server.wait().await.unwrap();
    assert!(notes.all().is_empty(), "{:?}", notes.all());
    transport.close().await.unwrap();
}

#[test]
fn what_expires_at_the_server_is_not_executed() {
    run(expired_here("fake:///expiry".to_owned()));
    run(expired_here(Broker::shared().vhost("expiry")));
}

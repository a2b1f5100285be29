//! Connections that are lost while RabbitMQ has yet to answer a declaration or a question.

use std::time::Duration;

use leveret::Transport;
use leveret_support::{Broker, FaultProxy};
use serde_json::json;

use crate::support::fixture::{Notes, client, connect, run, server};

const WAIT: Duration = Duration::from_secs(20);

/// Two transports on one virtual host: the connections of the first pass a proxy.
async fn connect_both(proxy: &FaultProxy, prefixes: [&str; 2], vhost: &str) -> [Transport; 2] {
    let broker = Broker::shared();
    let direct = broker.vhost(vhost);
    let proxied = direct.replace(&format!(":{}/", broker.port()), &format!(":{}/", proxy.port()));
    assert_ne!(proxied, direct);
    let [lossy, stable] = prefixes;
    [connect(&format!("{lossy}{proxied}")).await, connect(&format!("{stable}{direct}")).await]
}

/// Resets the connections after what is now sent has left, and before the broker has it.
async fn reset_with_frames_under_way(proxy: &FaultProxy, frames: Duration) {
    proxy.delay(Duration::from_millis(400));
    tokio::time::sleep(frames + Duration::from_millis(200)).await;
    assert!(proxy.reset() > 0, "the transport is connected");
    proxy.delay(Duration::ZERO);
}

/// A server's first reply declares the exchange of replies.
#[test]
fn a_reply_outlives_the_connection_that_declares_its_exchange() {
    let proxy = FaultProxy::to(Broker::shared().address()).unwrap();
    run(async {
        let [serving, calling] = connect_both(&proxy, ["pika+", "pika+"], "lost_declaration").await;
        let server = server(&serving, "t", "s", &Notes::default()).await;
        let client = client(&calling, "t").with_timeout(WAIT);
        let args = json!({ "seconds": 1 });
        let call = client.call::<String>((), "slow", &args);
        let lose = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            reset_with_frames_under_way(&proxy, Duration::from_millis(500)).await;
        };
        let (answer, ()) = tokio::join!(call, lose);
        assert_eq!(answer.unwrap(), "done");
        server.wait().await.unwrap();
        calling.close().await.unwrap();
        serving.close().await.unwrap();
    });
}

/// A client of both dialects asks whether servers of the `pika` dialect are there.
#[test]
fn a_request_outlives_the_connection_that_asks_for_its_exchange() {
    let proxy = FaultProxy::to(Broker::shared().address()).unwrap();
    run(async {
        let [calling, serving] = connect_both(&proxy, ["dual+", ""], "lost_question").await;
        let notes = Notes::default();
        let server = server(&serving, "t", "s", &notes).await;
        let client = client(&calling, "t").with_timeout(WAIT);
        let args = json!({ "arg": 1 });
        client.cast((), "note", &args).await.unwrap();
        notes.wait_for(1);
        // For a quarter of a second it remembers that there are none.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let lose = reset_with_frames_under_way(&proxy, Duration::ZERO);
        let cast = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            client.cast((), "note", &args).await
        };
        let (sent, ()) = tokio::join!(cast, lose);
        sent.unwrap();
        assert!(notes.wait_for(2).len() >= 2);
        server.wait().await.unwrap();
        calling.close().await.unwrap();
        serving.close().await.unwrap();
    });
}

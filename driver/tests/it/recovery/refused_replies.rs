//! Replies the broker refuses (`basic.nack`): the server sends them again until their queue accepts
//! them.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use leveret::engine::loopback::{Loopback, LoopbackConfig};
use leveret::{Endpoint, ErrorKind, Failure, Outcome, RpcServer, Target};
use leveret_support::Broker;
use serde_json::{Value, json};

use crate::support::fixture::{client, connect, eventually, run};

fn large() -> String {
    "é".repeat(20_000)
}

/// Makes a call whose reply the broker refuses until the server has sent it again, twice.
async fn outlives_refusals(url: &str, arg: &str, mut refuse: impl FnMut(bool)) {
    // The engine retries by itself for a moment before it returns a reply to the driver.
    let separator = if url.contains('?') { '&' } else { '?' };
    let transport = connect(&format!("{url}{separator}nack_retry_timeout=0.2")).await;
    let ((called, calls), (release, released)) = (channel(), channel::<()>());
    let (called, released) = (Mutex::new(called), Mutex::new(released));
    let endpoint = Endpoint::new().method("hold", move |_, arg: Value| {
        called.lock().unwrap().send(()).unwrap();
        released.lock().unwrap().recv().unwrap();
        Ok::<_, Failure>(arg)
    });
    let server = RpcServer::builder(&transport, Target::new("t").with_server("s"));
    let server = server.endpoint(endpoint).start().await.unwrap();
    let client = client(&transport, "t");
    let args = json!({ "arg": arg });
    let call = tokio::spawn({
        let (client, args) = (client.clone(), args.clone());
        async move { client.call::<Value>((), "hold", &args).await }
    });
    tokio::task::block_in_place(|| {
        calls.recv().unwrap();
        refuse(true);
        release.send(()).unwrap();
        eventually(|| transport.metrics().replies_resent >= 2);
        assert!(!call.is_finished());
        refuse(false);
    });
    assert_eq!(call.await.unwrap().unwrap(), args);
    assert_eq!(transport.metrics().replies_dropped, 0);
    server.wait().await.unwrap();
    transport.close().await.unwrap();
}

#[test]
fn a_reply_outlives_a_queue_that_is_full() {
    let broker = Broker::shared();
    let url = broker.vhost("refused_replies");
    let vhost = url.rsplit('/').next().unwrap();
    let full = r#"{"max-length": 0, "overflow": "reject-publish"}"#;
    run(outlives_refusals(&url, &large(), |refuses| {
        if refuses {
            broker.ctl(&["set_policy", "-p", vhost, "full", "^reply_", full]);
        } else {
            broker.ctl(&["clear_policy", "-p", vhost, "full"]);
        }
    }));
}

#[test]
fn a_reply_outlives_a_broker_that_takes_nothing() {
    let peer = Loopback::start(LoopbackConfig::default()).unwrap();
    let url = format!("rabbit://guest:guest@127.0.0.1:{}/", peer.addr().port());
    run(async {
        // A task outside the shard renders a large reply again, and a compressed one.
        let packing = format!("{url}?kombu_compression=gzip");
        for (url, arg) in [(&url, &*large()), (&url, "small"), (&packing, "packed")] {
            outlives_refusals(url, arg, |refuses| {
                peer.script(|script| script.nack_publishes = refuses);
            })
            .await;
        }
        // A sender that waits for the confirm gets an error, and may retry.
        let transport = connect(&format!("{url}?nack_retry_timeout=0.2")).await;
        peer.script(|script| script.nack_publishes = true);
        let error = client(&transport, "t").call::<()>((), "none", &()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MessageDeliveryFailure, "{error}");
        assert_eq!(error.outcome(), Some(Outcome::Nacked));
        transport.close().await.unwrap();
    });
}

//! Replies that cannot arrive, although every connection is open.

use std::time::{Duration, Instant};

use leveret::engine::loopback::{Loopback, LoopbackConfig};
use leveret::{ReplyPath, Transport};
use serde_json::json;

use crate::support::fixture::{Notes, client, connect, echo, eventually, run, server};

/// The broker loses the reply queue without a notice, as a cluster may do: within two seconds the
/// caller detects it, and the answer comes.
#[test]
fn a_deaf_reply_path_is_noticed_while_a_call_waits() {
    let peer = Loopback::start(LoopbackConfig::default()).unwrap();
    let url = format!("rabbit://guest:guest@127.0.0.1:{}/", peer.addr().port());
    run(async {
        let (serving, calling) = (connect(&url).await, connect(&url).await);
        let server = server(&serving, "t", "s", &Notes::default()).await;
        let client = client(&calling, "t");
        assert_eq!(echo(&client, json!("opens the way")).await, "opens the way");
        for _ in 0..2 {
            let queue = calling.health().replies.expect("a call was made").queue;
            assert!(peer.lose_queue("/", &queue));
            let begun = Instant::now();
            assert_eq!(echo(&client, json!("heard")).await, "heard");
            assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        }
        assert_eq!(calling.health().reply_path, ReplyPath::Open);
        assert!(calling.health().connections.iter().all(|one| one.reconnects == 0));
        server.wait().await.unwrap();
        calling.close().await.unwrap();
        serving.close().await.unwrap();
    });
}

/// A long call alone triggers no recovery.
#[test]
fn a_call_that_takes_its_time_disturbs_nothing() {
    run(async {
        let transport: Transport = connect("fake:///reply_path").await;
        let server = server(&transport, "t", "s", &Notes::default()).await;
        let client = client(&transport, "t");
        let seconds = json!({"seconds": 3});
        assert_eq!(client.call::<String>((), "slow", &seconds).await.unwrap(), "done");
        let health = transport.health();
        assert!(health.is_ready(), "{health:?}");
        assert!(health.connections.iter().all(|one| one.reconnects == 0), "{health:?}");
        server.wait().await.unwrap();
        eventually(|| transport.stats().calls_outstanding == 0);
        transport.close().await.unwrap();
    });
}

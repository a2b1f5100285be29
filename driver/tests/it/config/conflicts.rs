//! Declarations that a broker refuses: the driver adapts some; the error for the others names the
//! option.

use leveret::engine::ExchangeDeclare;
use leveret::engine::loopback::{Loopback, LoopbackConfig};
use leveret::{Error, ErrorKind, RpcServer, Target, Transport};
use leveret_support::Broker;
use serde_json::json;

use crate::support::fixture::{Notes, client, connect, echo, endpoint, eventually, run, server};
use crate::support::raw::raw;

async fn start(transport: &Transport, topic: &str) -> Result<RpcServer, Error> {
    let target = Target::new(topic).with_server("s");
    let builder = RpcServer::builder(transport, target);
    builder.endpoint(endpoint("s", &Notes::default())).start().await
}

/// Checks that a server with these options cannot start, and that the error names the difference
/// and the option.
async fn refused(url: &str, options: &str, texts: &[&str]) {
    let transport = connect(&format!("{url}?{options}")).await;
    let error = start(&transport, "t").await.expect_err(options);
    assert_eq!(error.kind(), ErrorKind::ServerListenError, "{error}");
    for text in texts {
        assert!(error.to_string().contains(text), "{options}: {error}");
    }
}

#[test]
fn whoever_finds_an_exchange_that_is_not_durable_follows() {
    let url = Broker::shared().vhost("first-transient");
    run(async {
        let first = connect(&url).await;
        let _first = server(&first, "first", "s", &Notes::default()).await;
        let durable = connect(&format!("{url}?amqp_durable_queues=true")).await;
        let second = server(&durable, "second", "s", &Notes::default()).await;
        for topic in ["first", "second"] {
            assert_eq!(echo(&client(&durable, topic), json!(1)).await, 1);
        }
        second.wait().await.unwrap();
        // The server's queues are not durable either, so a peer with default options can share
        // them.
        let other = server(&first, "second", "s", &Notes::default()).await;
        assert_eq!(echo(&client(&first, "second"), json!(1)).await, 1);
        other.wait().await.unwrap();
        // The driver does not adapt to a queue that differs while its exchange does not.
        let elsewhere = first.config().clone().with_control_exchange("elsewhere");
        let elsewhere = Transport::builder(&url).config(elsewhere).connect().await.unwrap();
        start(&elsewhere, "t").await.unwrap().wait().await.unwrap();
        let options = "amqp_durable_queues=true&control_exchange=new";
        refused(&url, options, &["`durable` differs", "for queue 't'"]).await;
        let quorum = "rabbit_quorum_queue=true";
        refused(&url, quorum, &["`durable` differs", "rabbit_quorum_queue"]).await;
    });
}

#[test]
fn other_differences_are_told_by_their_option() {
    let url = Broker::shared().vhost("first-durable");
    let vhost = url.rsplit('/').next().unwrap().to_owned();
    run(async {
        let transport = connect(&format!("{url}?amqp_durable_queues=true")).await;
        start(&transport, "t").await.unwrap().wait().await.unwrap();
        refused(&url, "", &["`durable` differs", "amqp_durable_queues"]).await;
        let options = "amqp_durable_queues=true&amqp_auto_delete=true";
        refused(&url, options, &["`auto_delete` differs", "amqp_auto_delete"]).await;
        refused(&url, "rabbit_quorum_queue=true", &["`x-queue-type` differs"]).await;
        let (_engine, channel) = raw(Broker::shared().port(), &vhost).await;
        let direct = ExchangeDeclare {
            name: "strange".into(),
            kind: "direct".into(),
            ..ExchangeDeclare::default()
        };
        channel.declare_exchange(direct).await.unwrap();
        let strange = client(&connect(&url).await, "t").with_exchange("strange");
        let error = strange.cast((), "none", &()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MessageDeliveryFailure, "{error}");
        assert!(error.to_string().contains("`type` differs"), "{error}");
    });
}

/// A broker that refuses queues that are neither durable nor exclusive.
fn strict() -> (Loopback, String) {
    let config = LoopbackConfig { refuse_transient_queues: true, ..LoopbackConfig::default() };
    let broker = Loopback::start(config).unwrap();
    let url = format!("rabbit://guest:guest@127.0.0.1:{}/", broker.addr().port());
    (broker, url)
}

#[test]
fn private_queues_become_exclusive_where_they_must() {
    let (broker, url) = strict();
    run(async {
        let transport = connect(&format!("{url}?amqp_durable_queues=true")).await;
        let notes = Notes::default();
        let server = server(&transport, "t", "s", &notes).await;
        let client = client(&transport, "t");
        assert_eq!(echo(&client, json!(1)).await, 1);
        client.prepare().with_fanout(true).cast((), "note", &json!({"arg": 1})).await.unwrap();
        tokio::task::block_in_place(|| notes.wait_for(1));
        let before = server.stats().reconnects;
        broker.drop_connections();
        tokio::task::block_in_place(|| eventually(|| server.stats().reconnects > before));
        assert_eq!(
            echo(&client, json!(2)).await,
            2,
            "recovery declares them with their connection"
        );
        server.wait().await.unwrap();
        transport.close().await.unwrap();
    });
}

#[test]
fn shared_queues_do_not_adapt() {
    let (_broker, url) = strict();
    run(async {
        let option = "amqp_durable_queues or rabbit_quorum_queue";
        refused(&url, "", &["transient_nonexcl_queues", option]).await;
        let classic = "amqp_durable_queues=true&queue_profile=classic";
        refused(&url, classic, &["transient_nonexcl_queues"]).await;
        let transport = connect(&format!("{url}?queue_profile=classic")).await;
        let error = client(&transport, "t").call::<()>((), "none", &()).await.unwrap_err();
        assert!(error.to_string().contains("transient_nonexcl_queues"), "{error}");
    });
}

#[test]
fn local_requests_need_a_broker_that_knows_them() {
    let url = Broker::shared().vhost("local");
    let version = Broker::shared().eval("rabbit_misc:version().");
    let is_old = version.trim().trim_matches('"').starts_with('3');
    run(async {
        let transport = connect(&format!("{url}?queue_profile=local-random")).await;
        match start(&transport, "t").await {
            Ok(server) => {
                assert!(!is_old, "{version}");
                assert_eq!(echo(&client(&transport, "t"), json!(1)).await, 1);
                server.wait().await.unwrap();
            }
            Err(error) => {
                assert!(is_old, "{version}: {error}");
                assert!(error.to_string().contains("x-local-random"), "{error}");
            }
        }
    });
}

#[test]
fn local_requests_go_to_one_server_each() {
    let url = "fake:///local-random";
    run(async {
        let transport = connect(&format!("{url}?queue_profile=local-random")).await;
        let notes = [Notes::default(), Notes::default()];
        let first = server(&transport, "t", "first", &notes[0]).await;
        let second = server(&transport, "t", "second", &notes[1]).await;
        let local = client(&transport, "t");
        for number in 0..100 {
            local.cast((), "note", &json!({ "arg": number })).await.unwrap();
        }
        tokio::task::block_in_place(|| {
            eventually(|| notes.iter().map(|notes| notes.all().len()).sum::<usize>() == 100);
        });
        assert!(notes.iter().all(|notes| !notes.all().is_empty()), "both servers receive some");
        let other = connect(url).await;
        assert_eq!(
            echo(&client(&other, "t"), json!(1)).await,
            1,
            "the server also serves other profiles"
        );
        first.stop().await.unwrap();
        for number in 0..20 {
            assert_eq!(echo(&local, json!(number)).await, number, "the other server answers");
        }
        first.wait().await.unwrap();
        second.wait().await.unwrap();
    });
}

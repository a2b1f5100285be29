//! `test_functional.CallTestCase`.

use std::time::{Duration, Instant};

use leveret::{Endpoint, ErrorKind, Failure, RpcServer, Target, Version};
use serde_json::json;

use super::{Group, add, append, context};
use crate::support::every_broker::in_every_dialect;
use crate::support::fixture::connect;

in_every_dialect! {
    test_specific_server
    test_server_in_group
    test_different_exchanges
    test_timeout
    test_exception
    test_timeout_with_concurrently_queues
    test_mandatory_call
    test_monitor_long_call
    test_endpoint_version_namespace
}

async fn test_specific_server(url: String) {
    let transport = connect(&url).await;
    let group = Group::start(&transport, "t").await;
    let client = group.client_of(&transport, 1);
    append(&client, "open").await;
    assert_eq!(append(&client, "stack").await, "openstack");
    add(&client, 2).await;
    assert_eq!(add(&client, 10).await, 12);
    let ival: i64 = client.call(context(), "subtract", &json!({"increment": 3})).await.unwrap();
    assert_eq!(ival, 9);
    assert_eq!(group.ivals(), [0, 9, 0]);
    assert_eq!(group.svals(), ["", "openstack", ""]);
    group.stop().await;
    transport.close().await.unwrap();
}

async fn test_server_in_group(url: String) {
    let transport = connect(&url).await;
    let group = Group::start(&transport, "t").await;
    let client = group.client(&transport);
    let data: Vec<String> = ('a'..='n').map(String::from).collect();
    for letter in &data {
        append(&client, letter).await;
    }
    let svals = group.svals();
    assert!(svals.iter().all(|sval| !sval.is_empty()), "each server receives some: {svals:?}");
    for sval in &svals {
        assert!(sval.as_bytes().is_sorted(), "each server executes in order: {sval}");
    }
    let mut all: Vec<char> = svals.concat().chars().collect();
    all.sort_unstable();
    assert_eq!(all.iter().collect::<String>(), data.concat(), "no call is lost or executed twice");
    group.stop().await;
    transport.close().await.unwrap();
}

async fn test_different_exchanges(url: String) {
    let transport = connect(&url).await;
    // Queue names do not contain the exchange, so each group has its own topic.
    let first = Group::start(&transport, "t1").await;
    let second = Group::start_in(&transport, Target::new("t2").with_exchange("a")).await;
    let third = Group::start_in(&transport, Target::new("t3").with_exchange("b")).await;
    let one = first.client_of(&transport, 1);
    for number in 1..=3 {
        assert_eq!(add(&one, 2).await, 2 * number);
    }
    let undirected = second.client(&transport);
    for _ in 0..12 {
        add(&undirected, 1).await;
    }
    assert_eq!(first.ivals(), [0, 6, 0]);
    assert!(second.ivals().iter().all(|ival| *ival > 0), "{:?}", second.ivals());
    assert_eq!(second.ivals().iter().sum::<i64>(), 12);
    assert_eq!(third.ivals(), [0; 3]);
    for group in [first, second, third] {
        group.stop().await;
    }
    transport.close().await.unwrap();
}

async fn test_timeout(url: String) {
    let transport = connect(&url).await;
    let absent = leveret::RpcClient::new(&transport, Target::new("nobody").with_server("bogus"))
        .with_timeout(Duration::from_secs(1));
    let error = absent.call::<()>((), "ping", &()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessagingTimeout, "{error}");
    transport.close().await.unwrap();
}

async fn test_exception(url: String) {
    let transport = connect(&url).await;
    let group = Group::start(&transport, "t").await;
    let client = group.client_of(&transport, 1);
    add(&client, 2).await;
    let error =
        client.call::<i64>(context(), "subtract", &json!({"increment": 3})).await.unwrap_err();
    let remote = error.remote().expect("an endpoint raised it");
    assert_eq!((remote.class(), remote.module()), ("ValueError", "builtins"));
    assert_eq!(remote.message(), "ival can't go negative!");
    assert_eq!(group.ivals(), [0, 2, 0]);
    group.stop().await;
    transport.close().await.unwrap();
}

async fn test_timeout_with_concurrently_queues(url: String) {
    let transport = connect(&url).await;
    let group = Group::start(&transport, "t").await;
    let others = group.client_of(&transport, 2);
    let stop = tokio::sync::watch::channel(false);
    let busy = tokio::spawn(async move {
        let mut calls = 0;
        while !*stop.1.borrow() {
            add(&others, 1).await;
            calls += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        calls
    });
    let slow = group.client_of(&transport, 1).with_timeout(Duration::from_secs(1));
    let begin = Instant::now();
    let error = slow
        .call::<()>(context(), "long_running_task", &json!({"seconds": 3}))
        .await
        .expect_err("it takes longer than its timeout");
    assert_eq!(error.kind(), ErrorKind::MessagingTimeout, "{error}");
    assert!(begin.elapsed() >= Duration::from_secs(1), "the timeout is not early");
    stop.0.send(true).unwrap();
    assert!(busy.await.unwrap() > 0, "other calls are answered meanwhile");
    group.stop().await;
    transport.close().await.unwrap();
}

async fn test_mandatory_call(url: String) {
    let transport = connect(&url).await;
    let absent = leveret::RpcClient::new(&transport, Target::new("topic_nobody"));
    let absent = absent.with_timeout(Duration::from_secs(1));
    let error = absent.call::<()>((), "ping", &()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessagingTimeout, "{error}");
    let patient = absent.prepare().with_timeout(Duration::from_secs(60)).with_at_least_once(true);
    let error = patient.call::<()>((), "ping", &()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessageUndeliverable, "{error}");
    transport.close().await.unwrap();
}

async fn test_monitor_long_call(url: String) {
    let transport = connect(&url).await;
    let group = Group::start(&transport, "t").await;
    let four = json!({"seconds": 4});
    let short = group.client_of(&transport, 1).with_timeout(Duration::from_secs(1));
    let error = short.call::<()>(context(), "long_running_task", &four).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessagingTimeout, "{error}");
    let monitored = short
        .with_timeout(Duration::from_secs(3600))
        .with_call_monitor_timeout(Duration::from_secs(2));
    monitored.call::<()>(context(), "long_running_task", &four).await.unwrap();
    group.stop().await;
    transport.close().await.unwrap();
}

async fn test_endpoint_version_namespace(url: String) {
    let transport = connect(&url).await;
    let endpoint = Endpoint::new()
        .with_namespace("Name1")
        .with_version(Version::new(7, 5))
        .method("test", |_, (): ()| Ok::<_, Failure>("answer"));
    let target = Target::new("topic").with_server("server");
    let server = RpcServer::builder(&transport, target.clone()).endpoint(endpoint);
    let server = server.start().await.unwrap();
    let client = leveret::RpcClient::new(&transport, target).with_namespace("Name1");
    let right = client.prepare().with_version(Version::new(7, 5));
    assert_eq!(right.call::<String>((), "test", &()).await.unwrap(), "answer");
    let newer = client.prepare().with_version(Version::new(7, 6));
    let elsewhere = right.prepare().with_namespace("Name2");
    for wrong in [newer, elsewhere] {
        let error = wrong.call::<String>((), "test", &()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RemoteError, "{error}");
        assert_eq!(error.remote().unwrap().class(), "UnsupportedVersion");
    }
    server.wait().await.unwrap();
    transport.close().await.unwrap();
}

//! Tests of RPC that must pass on every broker.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use leveret::{
    Context, DriverConfig, Endpoint, ErrorKind, Executor, Failure, Outcome, RpcServer, Target,
    Version,
};
use serde_json::{Value, json};

use crate::support::every_broker::in_every_dialect;
use crate::support::fixture::{
    Notes, UrlDialect, builder, client, connect, echo, eventually, server, server_on,
};

in_every_dialect! {
    a_call_returns_what_the_method_returns
    casts_reach_one_server_and_fanouts_all
    a_named_server_gets_its_own
    an_exception_arrives_with_class_and_message
    dispatching_follows_namespace_and_version
    a_call_nobody_answers_times_out
    at_least_once_fails_at_once
    signs_of_life_keep_a_long_call_alive
    every_executor_serves
    large_payloads_pass_both_ways
    plain_threads_call_side_by_side
    other_runtimes_may_await
    a_dropped_call_leaves_nothing_behind
    buffered_casts_arrive_in_order
    stopping_answers_what_was_taken
    a_version_cap_is_kept
    a_backlog_is_worked_off_once_and_in_order
}

async fn a_call_returns_what_the_method_returns(url: String) {
    let transport = connect(&url).await;
    let server = server(&transport, "t", "s", &Notes::default()).await;
    let client = client(&transport, "t");
    assert_eq!(client.call::<i64>((), "add", &json!({"a": 2, "b": 3})).await.unwrap(), 5);
    client.call::<()>((), "none", &()).await.unwrap();
    for value in [
        json!({"x": "hé", "l": [1, 2.5, null]}),
        json!("\u{0}\u{7f}\u{2028}😀 \" \\ / \n"),
        json!([[[[]]], {"": {}}]),
        serde_json::from_str("123456789012345678901234567890").unwrap(),
    ] {
        assert_eq!(echo(&client, value.clone()).await, value);
    }
    let context = Context::new().with("user", "álice").with("nested", json!({"a": [1, null]}));
    let seen: Value = client.call(&context, "ctxt", &()).await.unwrap();
    assert_eq!(seen, json!({"user": "álice", "nested": {"a": [1, null]}}));
    let error = client.call::<String>((), "add", &json!({"a": 2, "b": 3})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidReply, "{error}");
    server.wait().await.unwrap();
    transport.close().await.unwrap();
}

async fn casts_reach_one_server_and_fanouts_all(url: String) {
    let transport = connect(&url).await;
    let notes = [Notes::default(), Notes::default(), Notes::default()];
    let mut servers = Vec::new();
    for (name, notes) in ["s1", "s2", "s3"].into_iter().zip(&notes) {
        servers.push(server(&transport, "t", name, notes).await);
    }
    let client = client(&transport, "t");
    for number in 0..20 {
        client.cast((), "note", &json!({ "arg": number })).await.unwrap();
    }
    let total = || notes.iter().map(|notes| notes.all().len()).sum::<usize>();
    eventually(|| total() == 20);
    assert!(notes.iter().all(|notes| !notes.all().is_empty()), "the casts spread over the servers");
    let all_servers = client.prepare().with_fanout(true);
    all_servers.cast((), "note", &json!({"arg": "all"})).await.unwrap();
    all_servers.cast_buffered((), "note", &json!({"arg": "all"})).await.unwrap();
    eventually(|| total() == 26);
    for notes in &notes {
        let fanouts = notes.all().iter().filter(|note| **note == "all").count();
        assert_eq!(fanouts, 2);
    }
    for server in servers {
        server.wait().await.unwrap();
    }
    all_servers.cast((), "note", &json!({"arg": "nobody"})).await.unwrap();
    all_servers.cast((), "note", &json!({"arg": "nobody"})).await.unwrap();
    transport.close().await.unwrap();
}

async fn a_named_server_gets_its_own(url: String) {
    let transport = connect(&url).await;
    let _one = server(&transport, "t", "one", &Notes::default()).await;
    let _two = server(&transport, "t", "two", &Notes::default()).await;
    let client = client(&transport, "t");
    for _ in 0..5 {
        let named = client.prepare().with_server("two");
        assert_eq!(named.call::<String>((), "whoami", &()).await.unwrap(), "two");
    }
    // Another exchange is another target, although its queues have the same names.
    let elsewhere = client.prepare().with_exchange("nova").with_server("nobody");
    let elsewhere = elsewhere.with_timeout(Duration::from_millis(300));
    assert!(elsewhere.call::<String>((), "whoami", &()).await.unwrap_err().is_timeout());
}

async fn an_exception_arrives_with_class_and_message(url: String) {
    let transport = connect(&url).await;
    let _server = server(&transport, "t", "s", &Notes::default()).await;
    let client = client(&transport, "t");
    let error = client.call::<()>((), "boom", &()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RemoteError);
    let remote = error.remote().unwrap();
    assert_eq!((remote.class(), remote.module()), ("ValueError", "builtins"));
    if UrlDialect::of(&url) != UrlDialect::Pika {
        assert_eq!(remote.args(), [json!("bad value"), json!(42)]);
    }
    assert_eq!(error.to_string(), "Remote error: ValueError ('bad value', 42)");
    assert!(error.is_remote_class("ValueError") && !error.is_remote_class("KeyError"));
    assert_eq!(error.outcome(), Some(Outcome::Answered));
    let error = client.call::<()>((), "absent", &()).await.unwrap_err();
    assert!(error.is_no_such_method() && !error.is_remote_class("NoSuchMethod"), "not allowed");
    let error = client.call::<()>((), "panic", &()).await.unwrap_err();
    assert_eq!(error.remote().unwrap().class(), "RuntimeError");
    let error = client.call::<()>((), "add", &json!({"a": 1})).await.unwrap_err();
    assert_eq!(error.remote().unwrap().class(), "TypeError");
    assert_eq!(echo(&client, json!(1)).await, 1, "the server continues");
}

async fn dispatching_follows_namespace_and_version(url: String) {
    let transport = connect(&url).await;
    let _server = server(&transport, "t", "s", &Notes::default()).await;
    let client = client(&transport, "t");
    let named = client.prepare().with_namespace("ns1");
    for minor in [0, 5] {
        let version = Version::new(1, minor);
        let asked = named.prepare().with_version(version);
        asked.call::<String>((), "whoami", &()).await.unwrap();
    }
    let class = async |client: &leveret::RpcClient, method: &str| {
        let error = client.call::<()>((), method, &()).await.unwrap_err();
        error.remote().unwrap().class().to_owned()
    };
    let newer = named.prepare().with_version(Version::new(1, 6));
    assert_eq!(class(&newer, "whoami").await, "UnsupportedVersion");
    let other = client.prepare().with_namespace("ns2");
    assert_eq!(class(&other, "whoami").await, "UnsupportedVersion");
    assert_eq!(class(&client, "absent").await, "NoSuchMethod");
}

async fn a_call_nobody_answers_times_out(url: String) {
    let transport = connect(&url).await;
    let client = client(&transport, "nobody").with_timeout(Duration::from_millis(300));
    let start = Instant::now();
    let error = client.call::<()>((), "x", &()).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert!(start.elapsed() >= Duration::from_millis(300), "the timeout is not early");
    assert_eq!(transport.stats().calls_outstanding, 0);
    if UrlDialect::of(&url) == UrlDialect::Pika {
        // The last attempt may still be in flight at the deadline.
        let outcomes = [Some(Outcome::Returned), Some(Outcome::MaybeSent)];
        assert!(outcomes.contains(&error.outcome()), "{error}");
        let error = client.cast((), "x", &()).await.unwrap_err();
        assert!(error.is_timeout(), "the call waits for a server: {error}");
        return;
    }
    assert!(error.to_string().starts_with("Timed out waiting for a reply to message ID "));
    assert_eq!(error.outcome(), Some(Outcome::MaybeSent));
    client
        .cast((), "x", &())
        .await
        .expect("without at-least-once an undeliverable cast is no error");
}

async fn at_least_once_fails_at_once(url: String) {
    let transport = connect(&url).await;
    let client = client(&transport, "nobody").with_at_least_once(true);
    for result in [client.call::<()>((), "x", &()).await, client.cast((), "x", &()).await] {
        let error = result.unwrap_err();
        assert!(error.is_undeliverable(), "{error}");
        assert_eq!(error.outcome(), Some(Outcome::Returned));
    }
    let buffered = client.cast_buffered((), "x", &()).await;
    if UrlDialect::of(&url) == UrlDialect::Dual {
        assert!(buffered.unwrap_err().is_undeliverable(), "the cast waits for the broker's answer");
    } else {
        eventually(|| transport.stats().casts_refused == 1);
    }
    let _server = server(&transport, "nobody", "s", &Notes::default()).await;
    assert_eq!(echo(&client, json!("somebody")).await, "somebody");
}

async fn signs_of_life_keep_a_long_call_alive(url: String) {
    let transport = connect(&url).await;
    let _server = server(&transport, "t", "s", &Notes::default()).await;
    let slow = json!({"seconds": 3.2});
    let client = client(&transport, "t").with_call_monitor_timeout(Duration::from_secs(2));
    let (answered, short) = tokio::join!(client.call::<String>((), "slow", &slow), async {
        let short = client.prepare().with_timeout(Duration::from_secs(1));
        short.call::<String>((), "slow", &slow).await
    });
    assert_eq!(answered.unwrap(), "done", "longer than the monitor's patience");
    assert!(short.unwrap_err().is_timeout(), "the call's own timeout stays the limit");
    if UrlDialect::of(&url) != UrlDialect::Kombu {
        // The client does not know whether the server sends any.
        return;
    }
    let absent = client.prepare().with_topic("nobody");
    let start = Instant::now();
    assert!(absent.call::<()>((), "x", &()).await.unwrap_err().is_timeout());
    assert!(
        start.elapsed() < Duration::from_secs(9),
        "without heartbeats the call ends before ten seconds"
    );
}

async fn every_executor_serves(url: String) {
    let transport = connect(&url).await;
    let handle = tokio::runtime::Handle::current();
    for (name, executor) in [
        ("inline", Executor::Inline),
        ("runtime", Executor::Runtime(handle)),
        ("pool", Executor::Threads),
    ] {
        let server = server_on(&transport, name, name, &Notes::default(), executor).await;
        let client = client(&transport, name);
        for number in 0..50 {
            assert_eq!(echo(&client, json!(number)).await, number);
        }
        server.wait().await.unwrap();
    }
    let later = Endpoint::new().async_method("later", |_: Context, (): ()| async {
        tokio::task::yield_now().await;
        Ok::<_, Failure>("later")
    });
    let target = Target::new("later").with_server("s");
    let server = RpcServer::builder(&transport, target).endpoint(later).start().await.unwrap();
    let target = Target::new("later").with_server("inline");
    let inline = Endpoint::new()
        .async_method("later", |_: Context, (): ()| async { Ok::<_, Failure>("never") });
    let inline = RpcServer::builder(&transport, target).endpoint(inline).executor(Executor::Inline);
    let error = inline.start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ExecutorLoadFailure);
    let answer: String = client(&transport, "later").call((), "later", &()).await.unwrap();
    assert_eq!(answer, "later", "an async method on plain threads");
    server.wait().await.unwrap();
}

async fn large_payloads_pass_both_ways(url: String) {
    let transport = connect(&url).await;
    let _server = server(&transport, "t", "s", &Notes::default()).await;
    let client = client(&transport, "t");
    for size in [1023, 1024, 8 << 10, 131_064, 131_072, 200_000, 5_000_000] {
        let text = "é\"".repeat(size / 8) + &"x".repeat(size % 8);
        assert_eq!(echo(&client, json!(text)).await, Value::from(text), "{size} bytes");
    }
}

async fn plain_threads_call_side_by_side(url: String) {
    let transport = connect(&url).await;
    let server = server(&transport, "t", "s", &Notes::default()).await;
    let client = client(&transport, "t");
    tokio::task::spawn_blocking(move || {
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let client = &client;
                scope.spawn(move || {
                    for number in 0..200 {
                        let args = json!({"a": thread, "b": number});
                        let sum: i64 = client.call_blocking((), "add", &args).unwrap();
                        assert_eq!(sum, thread + number);
                    }
                });
            }
        });
        client.cast_blocking((), "note", &json!({"arg": 1})).unwrap();
    })
    .await
    .unwrap();
    assert!(server.stats().dispatched >= 800);
    assert_eq!(transport.stats().calls_outstanding, 0);
}

async fn other_runtimes_may_await(url: String) {
    let answer = tokio::task::spawn_blocking(move || {
        smol::block_on(async {
            let transport = connect(&url).await;
            let _server = server(&transport, "t", "s", &Notes::default()).await;
            echo(&client(&transport, "t"), json!("smol")).await
        })
    });
    assert_eq!(answer.await.unwrap(), "smol");
}

async fn a_dropped_call_leaves_nothing_behind(url: String) {
    let transport = connect(&url).await;
    let (begin, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Mutex::new(released);
    let endpoint = Endpoint::new().method("hold", move |_: Context, (): ()| {
        begin.send(()).unwrap();
        let _ = released.lock().unwrap().recv();
        Ok::<_, Failure>(())
    });
    let target = Target::new("t").with_server("s");
    let server = RpcServer::builder(&transport, target).endpoint(endpoint).start().await.unwrap();
    let client = client(&transport, "t").with_timeout(Duration::from_secs(60));
    for _ in 0..20 {
        tokio::select! {
            ended = client.call::<()>((), "hold", &()) => panic!("{ended:?}, though it is held"),
            _ = begun.recv() => {}
        }
    }
    assert_eq!(transport.stats().calls_outstanding, 0);
    drop(release);
    server.wait().await.unwrap();
    eventually(|| transport.stats().replies_late == 20);
}

async fn buffered_casts_arrive_in_order(url: String) {
    let transport = connect(&url).await;
    let notes = Notes::default();
    let _server = server_on(&transport, "t", "s", &notes, Executor::Inline).await;
    let client = client(&transport, "t");
    for number in 0..5000 {
        client.cast_buffered((), "note", &json!({ "arg": number })).await.unwrap();
    }
    let all = notes.wait_for(5000);
    assert!(all.iter().enumerate().all(|(index, note)| *note == index));
    assert_eq!(transport.stats().casts_refused, 0);
}

async fn stopping_answers_what_was_taken(url: String) {
    let transport = connect(&url).await;
    let server = server(&transport, "t", "s", &Notes::default()).await;
    let client = client(&transport, "t");
    echo(&client, json!("warm")).await;
    let slow = json!({"seconds": 0.3});
    let calls = async {
        tokio::join!(
            client.call::<String>((), "slow", &slow),
            client.call::<String>((), "slow", &slow),
        )
    };
    let stop = async {
        eventually_dispatched(&server, 3).await;
        server.wait().await
    };
    let ((first, second), stopped) = tokio::join!(calls, stop);
    assert_eq!((first.unwrap(), second.unwrap()), ("done".into(), "done".into()));
    stopped.unwrap();
    let late = client.prepare().with_timeout(Duration::from_millis(300));
    assert!(late.call::<()>((), "none", &()).await.unwrap_err().is_timeout(), "no server consumes");
}

async fn eventually_dispatched(server: &RpcServer, count: u64) {
    while server.stats().dispatched < count {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn a_version_cap_is_kept(url: String) {
    let transport = connect(&url).await;
    let capped = client(&transport, "t").with_version_cap(Version::new(1, 3));
    let newer = capped.prepare().with_version(Version::new(1, 4));
    assert!(!newer.can_send_version());
    let error = newer.cast((), "x", &()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RpcVersionCapError);
    assert_eq!(error.outcome(), Some(Outcome::NotSent));
    assert!(!capped.can_send_version(), "no version under a cap");
    let _server = server(&transport, "t", "s", &Notes::default()).await;
    capped.prepare().with_version(Version::new(1, 3)).cast((), "x", &()).await.unwrap();
    let fanout = client(&transport, "t").with_fanout(true);
    let error = fanout.call::<()>((), "x", &()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidTarget);
    assert!(error.to_string().starts_with("A call cannot be used with fanout"));
}

async fn a_backlog_is_worked_off_once_and_in_order(url: String) {
    let config = DriverConfig::default().with_executor_threads(1).with_prefetch(100);
    let transport = builder(&url, config).connect().await.unwrap();
    let notes = Notes::default();
    let server = server(&transport, "t", "s", &notes).await;
    let client = client(&transport, "t");
    client.cast((), "slow", &json!({"seconds": 0.5})).await.unwrap();
    for number in 0..3000 {
        client.cast_buffered((), "note", &json!({ "arg": number })).await.unwrap();
    }
    let all = notes.wait_for(3000);
    assert!(all.iter().enumerate().all(|(index, note)| *note == index));
    server.wait().await.unwrap();
    assert_eq!((all.len(), server.stats().duplicates), (3000, 0));
}

/// Callers may spawn calls: their futures are `Send`.
#[expect(dead_code, reason = "compiled, not run")]
fn futures_are_send(client: &leveret::RpcClient, server: &RpcServer) {
    fn send(_: impl Send) {}
    send(client.call::<Value>((), "x", &json!({})));
    send(client.cast((), "x", &json!({})));
    send(client.cast_buffered((), "x", &json!({})));
    send(server.wait());
}

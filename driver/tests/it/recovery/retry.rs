//! Publications that a lost connection interrupts, and how often they are retried.

use std::future::Future as _;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use leveret::engine::loopback::{Loopback, LoopbackConfig};
use leveret::{
    Context, DriverConfig, Endpoint, ErrorKind, Failure, Outcome, Retry, RpcServer, Target,
    Transport,
};
use leveret_support::Broker;
use serde_json::json;

use crate::support::fixture::{Notes, client, connect, echo, eventually, run, server};
use crate::support::raw::raw;

/// The text in a body that the proxy cuts.
const FRAGILE: &str = "fragile";

/// A proxy to the broker that breaks the connection at each fragile message, `breaks` times.
struct BreakingProxy {
    port: u16,
    breaks: Arc<AtomicUsize>,
    /// The message still reaches the broker, but its confirm never reaches the client.
    forwards_message: bool,
}

impl BreakingProxy {
    fn to(broker: u16, forwards_message: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let breaks = Arc::new(AtomicUsize::new(0));
        let left = Arc::clone(&breaks);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(("127.0.0.1", broker)).unwrap();
                let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let left = Arc::clone(&left);
                std::thread::spawn(move || pass(client, server, &left, forwards_message));
                std::thread::spawn(move || pass(back.0, back.1, &AtomicUsize::new(0), false));
            }
        });
        Self { port, breaks, forwards_message }
    }
}

/// Forwards bytes until either side ends or a fragile message breaks the connection.
fn pass(mut from: TcpStream, mut to: TcpStream, breaks: &AtomicUsize, forwards_message: bool) {
    let mut block = vec![0; 1 << 20];
    while let Ok(length @ 1..) = from.read(&mut block) {
        let bytes = &block[..length];
        let is_fragile = bytes.windows(FRAGILE.len()).any(|window| window == FRAGILE.as_bytes());
        let take = |left: usize| left.checked_sub(1);
        if is_fragile && breaks.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok() {
            if forwards_message {
                // The confirm must not return, so that direction ends first.
                let _ = from.shutdown(Shutdown::Write);
                let _ = to.write_all(bytes);
            }
            break;
        }
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

async fn attempts(
    vhost: &str,
    proxy: &BreakingProxy,
    breaks: usize,
    retry: Retry,
) -> [Option<String>; 2] {
    let broker = Broker::shared();
    let url = broker.vhost(vhost);
    let transport = connect(&url).await;
    let notes = Notes::default();
    let server = server(&transport, "t", "s", &notes).await;
    let vhost = url.rsplit('/').next().unwrap();
    let through = format!("rabbit://guest:guest@127.0.0.1:{}/{vhost}", proxy.port);
    let breaking = connect(&through).await;
    let client = client(&breaking, "t").with_timeout(Duration::from_secs(30)).with_retry(retry);
    assert_eq!(echo(&client, json!("warm")).await, "warm");
    let mut ends = [None, None];
    for (end, is_call) in ends.iter_mut().zip([false, true]) {
        proxy.breaks.store(breaks, Ordering::Release);
        let args = json!({ "arg": FRAGILE });
        let result = if is_call {
            client.call::<()>((), "note", &args).await
        } else {
            client.cast((), "note", &args).await
        };
        proxy.breaks.store(0, Ordering::Release);
        if let Err(error) = result {
            assert_eq!(error.kind(), ErrorKind::MessageDeliveryFailure, "{error}");
            assert_eq!(error.outcome(), Some(Outcome::MaybeSent), "{error}");
            *end = Some(error.to_string());
        } else {
            notes.wait_for(1 + usize::from(is_call));
        }
    }
    assert_eq!(echo(&client, json!("after")).await, "after", "the proxy forwards again");
    let executed = if ends[0].is_none() || proxy.forwards_message { 2 } else { 0 };
    assert_eq!(notes.wait_for(executed).len(), executed, "each is executed at most once");
    server.wait().await.unwrap();
    ends
}

#[test]
fn as_many_attempts_are_made_as_are_allowed() {
    run(async {
        let proxy = BreakingProxy::to(Broker::shared().port(), false);
        for (vhost, retry, breaks, said) in [
            ("retry-1", Retry::Times(2), 2, None),
            ("retry-2", Retry::Times(2), 3, Some("given up after 3 attempts")),
            ("retry-3", Retry::Never, 1, Some("given up after 1 attempt")),
            ("retry-4", Retry::UntilDeadline, 4, None),
        ] {
            for end in attempts(vhost, &proxy, breaks, retry).await {
                match (end, said) {
                    (None, None) => {}
                    (Some(end), Some(said)) => assert!(end.ends_with(said), "{end}"),
                    (end, _) => panic!("{vhost}: {end:?}"),
                }
            }
        }
    });
}

#[test]
fn a_repeat_of_what_arrived_is_executed_once() {
    run(async {
        let proxy = BreakingProxy::to(Broker::shared().port(), true);
        let ends = attempts("retry-5", &proxy, 1, Retry::Times(1)).await;
        assert_eq!(ends, [None, None]);
    });
}

#[test]
fn what_found_no_exchange_goes_to_the_one_declared_anew() {
    run(async {
        let url = Broker::shared().vhost("retry-6");
        let transport = connect(&url).await;
        let client = client(&transport, "t");
        let (_engine, channel) =
            raw(Broker::shared().port(), url.rsplit('/').next().unwrap()).await;
        for retry in [Retry::UntilDeadline, Retry::Times(1), Retry::Never] {
            let client = client.prepare().with_retry(retry);
            client.cast((), "note", &json!({"arg": 1})).await.unwrap();
            channel.delete_exchange("openstack", false).await.unwrap();
            let sent = client.cast((), "note", &json!({"arg": 2})).await;
            if retry == Retry::Never {
                let error = sent.unwrap_err();
                assert_eq!(error.outcome(), Some(Outcome::Refused), "{error}");
                assert!(error.to_string().contains("404"), "{error}");
            } else {
                sent.unwrap();
            }
            client.cast((), "note", &json!({"arg": 3})).await.unwrap();
        }
        transport.close().await.unwrap();
    });
}

#[test]
fn what_the_broker_refuses_for_certain_is_not_repeated() {
    let peer = Loopback::start(LoopbackConfig::default()).unwrap();
    let url = format!("rabbit://guest:guest@127.0.0.1:{}/", peer.addr().port());
    run(async {
        let transport = connect(&url).await;
        let client = client(&transport, "t");
        client.cast((), "note", &json!({"arg": 1})).await.unwrap();
        peer.script(|script| script.message_max = Some(1000));
        let large = json!({"arg": "x".repeat(2000)});
        for retry in [Retry::UntilDeadline, Retry::Times(5), Retry::Never] {
            let client = client.prepare().with_retry(retry);
            let error = client.cast((), "note", &large).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::MessageDeliveryFailure);
            assert_eq!(error.outcome(), Some(Outcome::Refused), "{error}");
            assert!(error.to_string().contains("406"), "{error}");
            let error = client.call::<()>((), "note", &large).await.unwrap_err();
            assert_eq!(error.outcome(), Some(Outcome::Refused), "{error}");
        }
        assert_eq!(transport.metrics().retries, 0);
        client.cast((), "note", &json!({"arg": 2})).await.unwrap();
        transport.close().await.unwrap();
    });
}

/// The reply arrives before the caller learns that its request was interrupted.
#[test]
fn a_reply_between_two_attempts_is_not_lost() {
    let url = Broker::shared().vhost("retry-7");
    let proxy = BreakingProxy::to(Broker::shared().port(), true);
    run(async {
        let (begin, mut begun) = tokio::sync::mpsc::unbounded_channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let released = std::sync::Mutex::new(released);
        let endpoint = Endpoint::new()
            .method("hold", move |_: Context, _: serde_json::Value| {
                begin.send(()).unwrap();
                let _ = released.lock().unwrap().recv();
                Ok::<_, Failure>("held")
            })
            .method("next", |_, (): ()| Ok::<_, Failure>("next"));
        // One thread, so that replies leave in the order of the requests.
        let config = DriverConfig::default().with_executor_threads(1);
        let direct = Transport::builder(&url).config(config).connect().await.unwrap();
        let target = Target::new("t").with_server("s");
        let server = RpcServer::builder(&direct, target).endpoint(endpoint);
        let server = server.start().await.unwrap();
        let vhost = url.rsplit('/').next().unwrap();
        let through = format!("rabbit://guest:guest@127.0.0.1:{}/{vhost}", proxy.port);
        let transport = connect(&through).await;
        let client = client(&transport, "t").with_timeout(Duration::from_secs(30));
        let again = client.prepare().with_retry(Retry::Times(1));
        // Opens the routes, so that the next call is published at its first poll.
        assert_eq!(again.call::<String>((), "next", &()).await.unwrap(), "next");
        proxy.breaks.store(1, Ordering::Release);
        let args = json!({ "arg": FRAGILE });
        let mut call = std::pin::pin!(again.call::<String>((), "hold", &args));
        let once = std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx)));
        assert!(once.await.is_pending());
        begun.recv().await.unwrap();
        // The test does not poll the call until its reply has arrived.
        eventually(|| transport.stats().reconnects == 1);
        drop(release);
        assert_eq!(client.call::<String>((), "next", &()).await.unwrap(), "next");
        assert_eq!(transport.stats().replies_late, 0);
        assert_eq!(call.await.unwrap(), "held");
        server.wait().await.unwrap();
    });
}

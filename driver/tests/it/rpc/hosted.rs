//! Clients, servers and listeners as tasks on the thread of their shard.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use leveret::engine::{Engine, EngineConfig, Shard};
use leveret::{
    Context, DriverConfig, Endpoint, Error, Executor, Failure, RpcClient, RpcServer, Target,
    Transport,
};
use leveret_support::Broker;
use serde_json::{Value, json};
use tokio::task::spawn_local;

use crate::support::fixture::builder;

/// Runs a program on the broker in the process and on a real one, in two dialects.
fn on_a_shard(name: &str, program: impl AsyncFn(Transport)) {
    let rabbit = Broker::shared().vhost(&format!("hosted_{name}"));
    let urls = [
        format!("fake:///hosted_{name}"),
        rabbit.clone(),
        format!("pika+{}", Broker::shared().vhost(&format!("hosted_pika_{name}"))),
    ];
    for url in urls {
        Shard::run(EngineConfig::default(), async |engine: Engine| {
            let transport = builder(&url, DriverConfig::default()).engine(&engine).connect().await;
            let transport = transport.unwrap();
            program(transport.clone()).await;
            transport.close().await.unwrap();
        })
        .unwrap();
    }
}

async fn serve(transport: &Transport, endpoint: Endpoint) -> RpcServer {
    let server = RpcServer::builder(transport, Target::new("t").with_server("s"));
    server.endpoint(endpoint).executor(Executor::Local).start().await.unwrap()
}

fn client(transport: &Transport) -> RpcClient {
    RpcClient::new(transport, Target::new("t")).with_timeout(Duration::from_secs(30))
}

/// A method that waits for a timer, and for another call to the same server, keeps the thread.
#[test]
fn async_methods_call_and_sleep_on_the_thread_of_their_shard() {
    on_a_shard("nested", async |transport| {
        let thread = thread::current().id();
        let inner = client(&transport);
        let endpoint = Endpoint::new()
            .method("plain", move |_: Context, (): ()| {
                Ok::<_, Failure>(thread::current().id() == thread)
            })
            .async_method("outer", move |_: Context, (): ()| {
                let inner = inner.clone();
                async move {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    let is_here = inner.call::<bool>((), "plain", &()).await;
                    let is_here = is_here
                        .map_err(|error| Failure::builtin("RuntimeError", error.to_string()))?;
                    Ok::<_, Failure>(is_here && thread::current().id() == thread)
                }
            });
        let server = serve(&transport, endpoint).await;
        let client = client(&transport);
        let calls: Vec<_> = (0..50)
            .map(|_| {
                let client = client.clone();
                spawn_local(async move { client.call::<bool>((), "outer", &()).await })
            })
            .collect();
        for call in calls {
            assert!(call.await.unwrap().unwrap(), "all on one thread");
        }
        server.wait().await.unwrap();
    });
}

/// Local state needs no lock: the tasks of a shard share a thread.
#[test]
fn tasks_share_what_is_not_sent_to_other_threads() {
    on_a_shard("shared", async |transport| {
        let endpoint = Endpoint::new()
            .method("echo", |_: Context, args: Value| Ok::<_, Failure>(args["arg"].clone()));
        let server = serve(&transport, endpoint).await;
        let (client, sum) = (client(&transport), Rc::new(Cell::new(0)));
        let tasks: Vec<_> = (1..=20)
            .map(|number: i64| {
                let (client, sum) = (client.clone(), Rc::clone(&sum));
                spawn_local(async move {
                    let args = json!({ "arg": number });
                    let answer: i64 = client.call((), "echo", &args).await.unwrap();
                    sum.set(sum.get() + answer);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(sum.get(), 210);
        server.wait().await.unwrap();
    });
}

#[test]
fn a_server_that_stops_waits_for_methods_that_wait() {
    on_a_shard("drain", async |transport| {
        let finished = Arc::new(AtomicUsize::new(0));
        let endpoint = Endpoint::new().async_method("slow", {
            let finished = Arc::clone(&finished);
            move |_: Context, (): ()| {
                let finished = Arc::clone(&finished);
                async move {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    finished.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, Failure>("done")
                }
            }
        });
        let server = serve(&transport, endpoint).await;
        let client = client(&transport);
        let call = spawn_local(async move { client.call::<String>((), "slow", &()).await });
        while server.stats().dispatched == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.wait().await.unwrap();
        assert_eq!(finished.load(Ordering::SeqCst), 1);
        assert_eq!(call.await.unwrap().unwrap(), "done");
    });
}

#[test]
fn a_panic_of_a_waiting_method_costs_its_request_only() {
    on_a_shard("panic", async |transport| {
        let endpoint = Endpoint::new()
            .async_method("panic", |_: Context, (): ()| async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                panic!("on purpose");
                #[expect(unreachable_code, reason = "says the type of the result")]
                Ok::<(), Failure>(())
            })
            .method("fine", |_: Context, (): ()| Ok::<_, Failure>("fine"));
        let server = serve(&transport, endpoint).await;
        let client = client(&transport);
        let error: Error = client.call::<()>((), "panic", &()).await.unwrap_err();
        assert!(error.remote().is_some(), "{error}");
        assert_eq!(client.call::<String>((), "fine", &()).await.unwrap(), "fine");
        server.wait().await.unwrap();
    });
}

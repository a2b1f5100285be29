//! oslo's `RabbitMQFailoverTests`: the test kills the node of every connection during a call.
//!
//! The nodes form a cluster; the test kills each in turn and restarts it. Only one node listens at
//! a time, so the test decides where all connections are, as in upstream's.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use leveret::{Endpoint, Failure, RpcServer, Target};
use leveret_support::Broker;
use serde_json::{Value, json};

use crate::support::fixture::{client, connect, eventually, run};

/// Connections: publishing, replies, the server and its answers.
const CONNECTIONS: usize = 4;

/// Three nodes, one test at a time.
fn cluster() -> MutexGuard<'static, Vec<Broker>> {
    static CLUSTER: OnceLock<Mutex<Vec<Broker>>> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| Mutex::new(Broker::cluster(3)));
    cluster.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns whether the new reply queue has its consumer. While the cluster still uses the old
/// queue, it refuses publications to it (nack).
fn is_consumed(node: &Broker) -> bool {
    node.queues().iter().any(|queue| queue.name.starts_with("reply") && queue.consumers == 1)
}

/// An endpoint that reports each call and returns on a signal.
fn blocking_endpoint() -> (Endpoint, Receiver<()>, Sender<()>) {
    let ((called, calls), (release, released)) = (channel(), channel::<()>());
    let (called, released) = (Mutex::new(called), Mutex::new(released));
    let endpoint = Endpoint::new().method("hold", move |_, arg: Value| {
        called.lock().unwrap().send(()).unwrap();
        released.lock().unwrap().recv().unwrap();
        Ok::<_, Failure>(arg)
    });
    (endpoint, calls, release)
}

fn each_node_may_fail(scheme: &str, options: &str) {
    let nodes = cluster();
    let hosts: Vec<String> =
        nodes.iter().map(|node| format!("guest:guest@127.0.0.1:{}", node.port())).collect();
    let url = format!("{scheme}://{}/?rabbit_interval_max=1{options}", hosts.join(","));
    // Connections start at any host that listens: for now, only the first.
    nodes[0].resume_listening();
    nodes[1..].iter().for_each(Broker::stop_listening);
    run(async {
        let transport = connect(&url).await;
        let (endpoint, calls, release) = blocking_endpoint();
        let target = Target::new("failover").with_server("server");
        let server = RpcServer::builder(&transport, target).endpoint(endpoint);
        let server = server.start().await.unwrap();
        let client = client(&transport, "failover").with_timeout(Duration::from_secs(100));
        for (round, (dying, next)) in [(0, 1), (1, 2), (2, 0)].into_iter().enumerate() {
            let (dying, next) = (&nodes[dying], &nodes[next]);
            let (client, args) = (client.clone(), json!({ "round": round }));
            let call = tokio::spawn(async move { client.call::<Value>((), "hold", &args).await });
            tokio::task::block_in_place(|| {
                calls.recv().unwrap();
                eventually(|| dying.connections_here() == CONNECTIONS);
                next.resume_listening();
                dying.kill();
                eventually(|| next.connections_here() == CONNECTIONS && is_consumed(next));
                release.send(()).unwrap();
            });
            let answer = call.await.unwrap().unwrap();
            assert_eq!(answer, json!({ "round": round }), "the call outlives its node");
            tokio::task::block_in_place(|| {
                dying.restart();
                dying.stop_listening();
                nodes.iter().for_each(|node| node.await_whole(nodes.len()));
            });
        }
        assert!(server.stats().reconnects >= 3, "{:?}", server.stats());
        server.wait().await.unwrap();
        transport.close().await.unwrap();
    });
}

#[test]
fn test_failover_scenario() {
    each_node_may_fail("rabbit", "");
}

#[test]
fn test_failover_scenario_enable_cancel_on_failover() {
    each_node_may_fail("rabbit", "&enable_cancel_on_failover=true");
}

#[test]
fn test_failover_scenario_of_pika() {
    each_node_may_fail("pika", "");
}

//! What only a process of its own can show: after the last transport is closed, its threads and
//! descriptors are gone.
#![expect(clippy::disallowed_methods, reason = "tests of the world outside need its clock")]
#![expect(clippy::unwrap_used, reason = "a failed test needs no kinder words")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use leveret::{Context, Endpoint, Failure, RpcClient, RpcServer, Target, Transport};
use serde_json::{Value, json};

/// Threads by their names, and the number of open files.
fn held() -> (BTreeMap<String, usize>, usize) {
    let mut threads = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        // A thread may end while we look.
        if let Ok(name) = std::fs::read_to_string(task.unwrap().path().join("comm")) {
            *threads.entry(name.trim().to_owned()).or_default() += 1;
        }
    }
    (threads, std::fs::read_dir("/proc/self/fd").unwrap().count())
}

fn one_round(url: &str) {
    let transport = Transport::connect_blocking(url).unwrap();
    let endpoint = Endpoint::new()
        .method("echo", |_: Context, args: Value| Ok::<_, Failure>(args))
        .method("slow", |_: Context, (): ()| {
            std::thread::sleep(Duration::from_millis(50));
            Ok::<_, Failure>(())
        });
    let target = Target::new("t").with_server("s");
    let server =
        RpcServer::builder(&transport, target).endpoint(endpoint).start_blocking().unwrap();
    let client = RpcClient::new(&transport, Target::new("t"));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for number in 0..100 {
                    let args = json!({"number": number});
                    let back: Value = client.call_blocking((), "echo", &args).unwrap();
                    assert_eq!(back, args);
                }
            });
        }
    });
    let hasty = client.prepare().with_timeout(Duration::from_millis(10));
    assert!(hasty.call_blocking::<()>((), "slow", &()).unwrap_err().is_timeout());
    server.wait_blocking().unwrap();
    assert_eq!(transport.stats().calls_outstanding, 0);
    transport.close_blocking().unwrap();
}

#[test]
fn nothing_is_left_of_a_closed_transport() {
    one_round("fake:///process");
    let before = held();
    for _ in 0..3 {
        one_round("fake:///process");
    }
    let start = Instant::now();
    while held() != before {
        assert!(start.elapsed() < Duration::from_secs(20), "{before:?} grew to {:?}", held());
        std::thread::sleep(Duration::from_millis(10));
    }
}

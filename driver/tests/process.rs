//! Tests that need their own process: they count the threads and descriptors of transports, and
//! check that these are gone after the last transport closes.
#![expect(clippy::disallowed_methods, reason = "tests of real brokers need the real clock")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use leveret::engine::{Engine, EngineConfig};
use leveret::{Context, Endpoint, Failure, RpcClient, RpcServer, Target, Transport};
use serde_json::{Value, json};

/// Serializes the tests: each counts resources of the whole process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the number of threads by name, and the number of open files.
fn resources() -> (BTreeMap<String, usize>, usize) {
    let mut threads = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        // A thread may end during the loop.
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
    let _alone = alone();
    one_round("fake:///process");
    let before = resources();
    for _ in 0..3 {
        one_round("fake:///process");
    }
    let start = Instant::now();
    while resources() != before {
        assert!(start.elapsed() < Duration::from_secs(20), "{before:?} grew to {:?}", resources());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Returns the threads that belong neither to the test nor to the broker in this process.
fn own_threads() -> BTreeMap<String, usize> {
    let mut threads = resources().0;
    threads.retain(|name, _| name.starts_with("leveret"));
    threads
}

#[test]
fn transports_that_share_an_engine_add_no_thread() {
    let _alone = alone();
    let engine = Engine::start(EngineConfig::default()).unwrap();
    let before = own_threads();
    let url = "fake:///threads?connection_factory=single";
    let transports: Vec<_> = (0..200)
        .map(|_| Transport::builder(url).engine(&engine).connect_blocking().unwrap())
        .collect();
    for transport in &transports {
        // The driver opens the connections under a deadline, which needs a timer.
        let client = RpcClient::new(transport, Target::new("t"));
        client.cast_blocking((), "note", &()).unwrap();
    }
    assert_eq!(own_threads(), before);
    for transport in transports {
        transport.close_blocking().unwrap();
    }
    engine.stop();
}

/// The blocked signals of each thread whose name begins with `leveret-`, by name.
fn blocked_signals() -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        // A thread may end during the loop.
        let Ok(status) = std::fs::read_to_string(task.unwrap().path().join("status")) else {
            continue;
        };
        let field = |name: &str| {
            status.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
        };
        let name = field("Name:").unwrap();
        if name.starts_with("leveret-") {
            let mask = u64::from_str_radix(&field("SigBlk:").unwrap(), 16).unwrap();
            found.push((name, mask));
        }
    }
    found
}

#[test]
fn no_thread_of_ours_takes_a_signal_of_the_process() {
    let _alone = alone();
    let transport = Transport::connect_blocking("fake:///signals").unwrap();
    let (entered, inside) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (entered, released) = (Mutex::new(entered), Mutex::new(released));
    let endpoint = Endpoint::new().method("hold", move |_: Context, (): ()| {
        entered.lock().unwrap().send(()).unwrap();
        let _ = released.lock().unwrap().recv_timeout(Duration::from_secs(60));
        Ok::<_, Failure>(())
    });
    let target = Target::new("t").with_server("s");
    let server =
        RpcServer::builder(&transport, target).endpoint(endpoint).start_blocking().unwrap();
    let client = RpcClient::new(&transport, Target::new("t"));
    std::thread::scope(|scope| {
        let call = scope.spawn(|| client.call_blocking::<()>((), "hold", &()));
        inside.recv().unwrap();
        let threads = blocked_signals();
        let names: Vec<_> = threads.iter().map(|(name, _)| name.as_str()).collect();
        for expected in ["leveret-shard-0", "leveret-endpoin"] {
            assert!(names.contains(&expected), "{names:?}");
        }
        // SIGHUP, SIGINT, SIGUSR1, SIGPIPE, SIGTERM, SIGCHLD; and SIGSEGV, SIGPROF.
        let bit = |signal: u32| 1 << (signal - 1);
        let of_process = [1, 2, 10, 13, 15, 17].map(bit).iter().sum::<u64>();
        let of_threads = [11, 27].map(bit).iter().sum::<u64>();
        for (name, mask) in threads {
            assert_eq!(mask & of_process, of_process, "{name}: {mask:x}");
            assert_eq!(mask & of_threads, 0, "{name}: {mask:x}");
        }
        release.send(()).unwrap();
        call.join().unwrap().unwrap();
    });
    server.wait_blocking().unwrap();
    transport.close_blocking().unwrap();
}

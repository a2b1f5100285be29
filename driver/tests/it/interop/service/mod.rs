//! A service of three processes, Python's and Leveret's in any mixture. The test replaces each
//! process while orders come in; no order is lost, executed twice or refused.
//!
//! A customer calls the API, which calls a worker, which calls the agent of a named server. Worker
//! and agent cast their progress back, all three notify, and the API casts its configuration to
//! workers and agents. A new process is ready before its predecessor stops, as in an operator's
//! upgrade.

mod process;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leveret::{
    Notification, NotificationEndpoint, NotificationListener, RpcClient, Target, Transport,
};
use leveret_support::{Broker, Peer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::block_in_place;

use crate::support::fixture::{connect, eventually, run};
use process::{Calls, ServiceProcess};

/// Environment variable of a service process of this test binary: role, server name and URL.
const ROLE: &str = "LEVERET_TEST_SERVICE";
/// Customers, each with one order at a time.
const CUSTOMERS: usize = 3;
/// Orders answered before, during and after each replacement.
const ORDERS: u64 = 30;
/// Number of orders between two changes of the configuration.
const CONFIGURATION_EVERY: u64 = 10;

/// The customers of a service, and a listener to its notifications.
struct Customers {
    transport: Transport,
    listener: NotificationListener,
    heard: Arc<Mutex<Vec<(String, u64)>>>,
    ordered: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
    is_open: Arc<AtomicBool>,
    customers: tokio::task::JoinSet<()>,
}

impl Customers {
    async fn new(url: &str) -> Self {
        let transport = connect(url).await;
        let heard: Arc<Mutex<Vec<(String, u64)>>> = Arc::default();
        let hear = || {
            let heard = Arc::clone(&heard);
            move |one: Notification| {
                let number = one.payload["number"].as_u64().unwrap();
                heard.lock().unwrap().push((one.event_type, number));
            }
        };
        let listener = NotificationListener::builder(&transport, Target::new("notifications"))
            .endpoint(NotificationEndpoint::new().info(hear()).error(hear()));
        let listener = listener.start().await.unwrap();
        Self {
            transport,
            listener,
            heard,
            ordered: Arc::default(),
            answered: Arc::default(),
            is_open: Arc::new(AtomicBool::new(true)),
            customers: tokio::task::JoinSet::new(),
        }
    }

    fn client(&self, topic: &str) -> RpcClient {
        RpcClient::new(&self.transport, Target::new(topic)).with_timeout(Duration::from_secs(60))
    }

    fn open(&mut self) {
        for _ in 0..CUSTOMERS {
            let client = self.client("api");
            let is_open = Arc::clone(&self.is_open);
            let [ordered, answered] = [&self.ordered, &self.answered].map(Arc::clone);
            self.customers.spawn(async move {
                while is_open.load(Ordering::Relaxed) {
                    let number = ordered.fetch_add(1, Ordering::Relaxed);
                    let args = json!({ "number": number });
                    let built: u64 = client.call((), "order", &args).await.unwrap();
                    assert_eq!(built, number);
                    answered.fetch_add(1, Ordering::Relaxed);
                    if number.is_multiple_of(CONFIGURATION_EVERY) {
                        client.call::<()>((), "configure", &args).await.unwrap();
                    }
                }
            });
        }
    }

    /// Waits until [`ORDERS`] more orders are answered; panics with the first customer that fails.
    async fn more_orders(&mut self) {
        let enough = self.answered.load(Ordering::Relaxed) + ORDERS;
        while self.answered.load(Ordering::Relaxed) < enough {
            if let Some(ended) = self.customers.try_join_next() {
                ended.unwrap();
                panic!("a customer has stopped early");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops the customers and waits until no message is in flight; returns the number of orders.
    async fn close(&mut self, is_idle: impl Fn(u64) -> bool) -> u64 {
        self.is_open.store(false, Ordering::Relaxed);
        while let Some(customer) = self.customers.join_next().await {
            customer.unwrap();
        }
        let orders = self.ordered.load(Ordering::Relaxed);
        assert_eq!(self.answered.load(Ordering::Relaxed), orders);
        let changes = orders.div_ceil(CONFIGURATION_EVERY);
        let last = (changes - 1) * CONFIGURATION_EVERY;
        for topic in ["worker", "agent"] {
            let client = self.client(topic);
            let heard = async { while !configuration(&client).await.contains(&json!(last)) {} };
            tokio::time::timeout(Duration::from_secs(60), heard).await.unwrap();
        }
        eventually(|| is_idle(orders));
        orders
    }

    /// Checks that the listener received every notification exactly once.
    async fn stop(self, orders: u64) {
        let expected = |event: &'static str| (0..orders).map(move |number| (event.into(), number));
        let errors = expected("build.error").filter(|(_, number)| number.is_multiple_of(5));
        let infos = ["attach.end", "build.end", "order.end"].into_iter().flat_map(expected);
        let mut expected: Vec<(String, u64)> = errors.chain(infos).collect();
        expected.sort();
        eventually(|| self.heard.lock().unwrap().len() >= expected.len());
        self.listener.wait().await.unwrap();
        let mut heard = std::mem::take(&mut *self.heard.lock().unwrap());
        heard.sort();
        assert_eq!(heard, expected);
        let stats = self.transport.stats();
        assert_eq!((stats.calls_outstanding, stats.replies_late, stats.reconnects), (0, 0, 0));
        self.transport.close().await.unwrap();
    }
}

async fn configuration(client: &RpcClient) -> Vec<Value> {
    client.call((), "configuration", &()).await.unwrap()
}

/// Checks that the processes together executed every request exactly once.
fn assert_done(all: &BTreeMap<&str, Vec<Calls>>, orders: u64) {
    let done = |role: &str, method: &str| {
        let lists = all[role].iter().filter_map(|calls| calls.get(method));
        let mut list: Vec<String> = lists.flatten().map(Value::to_string).collect();
        list.sort();
        list
    };
    let sorted = |values: &mut dyn Iterator<Item = Value>| {
        let mut list: Vec<String> = values.map(|value| value.to_string()).collect();
        list.sort();
        list
    };
    let numbers = sorted(&mut (0..orders).map(Value::from));
    for (role, method) in [("api", "order"), ("worker", "build"), ("agent", "attach")] {
        assert_eq!(done(role, method), numbers, "{method}");
    }
    let steps = |number| [json!([number, "built"]), json!([number, "attached"])];
    assert_eq!(done("api", "progress"), sorted(&mut (0..orders).flat_map(steps)));
    let changes = sorted(&mut (0..orders).step_by(CONFIGURATION_EVERY as usize).map(Value::from));
    for role in ["worker", "agent"] {
        let mut heard = done(role, "configured");
        // Processes that run at the same time receive the same fanout; none receives it twice.
        heard.dedup();
        assert_eq!(heard, changes, "{role}");
        for calls in &all[role] {
            let mut own: Vec<String> = calls["configured"].iter().map(Value::to_string).collect();
            own.sort();
            assert!(own.windows(2).all(|pair| pair[0] != pair[1]), "{role}: {own:?}");
        }
    }
}

/// Starts processes of one service.
struct Starter {
    url: String,
    locks: TempDir,
    host: String,
}

impl Starter {
    fn new(url: &str) -> Self {
        let host = format!("service{}", std::process::id());
        Self { url: url.to_owned(), locks: tempfile::tempdir().unwrap(), host }
    }

    /// Starts a Python process. It numbers its queue names, because only then does Python stop
    /// without loss: a server deletes a fanout queue with a random name when it stops, and until
    /// then acknowledges deliveries without executing them.
    fn python(&self, role: &str, server: &str) -> Peer {
        let host = format!("hostname={}", self.host);
        let mut arguments = vec!["--url", &self.url, "--server", server];
        arguments.extend(["--lock-path", self.locks.path().to_str().unwrap()]);
        for option in ["use_queue_manager=true", &host, "processname=it"] {
            arguments.extend(["--option", option]);
        }
        arguments.push(role);
        Peer::spawn("service.py", &arguments)
    }

    fn leveret(&self, role: &str, server: &str) -> Peer {
        let role = format!("{role} {server} {}", self.url);
        Peer::spawn_test("interop::service::a_service_of_our_own", &[(ROLE, &role)])
    }
}

impl Drop for Starter {
    fn drop(&mut self) {
        // Python's counter file of queue names; missing if no Python process started.
        let _ = std::fs::remove_file(format!("/dev/shm/{}_it_qmanager", self.host));
    }
}

/// Stops a process in order; returns the calls it executed.
fn stop(mut process: Peer) -> Calls {
    process.close_input();
    serde_json::from_str(&process.read()).unwrap()
}

/// The same service in one process, on the broker in the process. If the environment variable is
/// set, one process of the service for the test below.
#[test]
fn a_service_of_our_own() {
    if let Ok(role) = std::env::var(ROLE) {
        let words: Vec<&str> = role.split(' ').collect();
        return run(process::serve(words[2], words[0], words[1]));
    }
    let url = "fake:///service";
    run(async {
        let mut customers = Customers::new(url).await;
        let mut processes = BTreeMap::new();
        for (role, server) in [("api", "api1"), ("worker", "worker1"), ("agent", "host1")] {
            processes.insert(role, ServiceProcess::start(url, role, server).await);
        }
        customers.open();
        for _ in 0..10 {
            customers.more_orders().await;
        }
        let orders =
            customers.close(|orders| processes["api"].count("progress") as u64 == 2 * orders).await;
        let mut all = BTreeMap::new();
        // Processes that cast stop before the process that receives the casts.
        for role in ["worker", "agent", "api"] {
            all.insert(role, vec![processes.remove(role).unwrap().stop().await]);
        }
        assert_done(&all, orders);
        customers.stop(orders).await;
    });
}

/// A Leveret process replaces each Python process beside the other Python processes; then Python
/// replaces Leveret again.
#[test]
fn processes_of_a_python_service_are_replaced_under_load() {
    let url = Broker::shared().vhost("service");
    let starter = Starter::new(&url);
    let first = [("api", "api1"), ("worker", "worker1"), ("agent", "host1")];
    let mut processes: BTreeMap<&str, Peer> =
        at_once(first, |(role, server)| (role, starter.python(role, server)));
    let mut all: BTreeMap<&str, Vec<Calls>> = BTreeMap::new();
    let orders = run(async {
        let mut customers = Customers::new(&url).await;
        customers.open();
        let python: Start = Starter::python;
        let leveret: Start = Starter::leveret;
        // A new agent has the old one's name; the other roles accept any name.
        for (role, server, start) in [
            ("api", "api2", leveret),
            ("worker", "worker2", leveret),
            ("api", "api3", python),
            ("agent", "host1", leveret),
            ("worker", "worker1", python),
            ("agent", "host1", python),
        ] {
            customers.more_orders().await;
            let next = block_in_place(|| start(&starter, role, server));
            customers.more_orders().await;
            let last = processes.insert(role, next).unwrap();
            all.entry(role).or_default().push(block_in_place(|| stop(last)));
        }
        customers.more_orders().await;
        let orders = customers.close(|_| under_way(&url) == 0).await;
        let last: Vec<_> = at_once(processes, |(role, process)| (role, stop(process)));
        for (role, calls) in last {
            all.entry(role).or_default().push(calls);
        }
        customers.stop(orders).await;
        orders
    });
    assert_done(&all, orders);
    for (role, method) in [("api", "order"), ("worker", "build"), ("agent", "attach")] {
        assert_eq!(all[role].len(), 3);
        let shares = all[role].iter().map(|calls| calls.get(method).map_or(0, Vec::len));
        assert!(shares.clone().all(|share| share > 0), "{role}: {:?}", shares.collect::<Vec<_>>());
    }
}

type Start = fn(&Starter, &str, &str) -> Peer;

/// Runs `work` on each item, all at the same time.
fn at_once<T: Send, U: Send, C: FromIterator<U>>(
    each: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> U + Sync,
) -> C {
    std::thread::scope(|scope| {
        let work = &work;
        let started: Vec<_> = each.into_iter().map(|one| scope.spawn(move || work(one))).collect();
        started.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

/// Counts the messages in queues, except fanout queues: Python leaves its fanout queues behind
/// until they expire.
fn under_way(url: &str) -> u64 {
    let queues = Broker::shared().queues_of(url).into_iter();
    queues.filter(|queue| !queue.name.contains("_fanout")).map(|queue| queue.messages).sum()
}

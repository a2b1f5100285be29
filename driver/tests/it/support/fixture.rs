//! Fixtures that the tests share: a server with well-known methods, clients, and runtimes to run
//! them.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leveret::{
    CallConfirms, Context, DriverConfig, Endpoint, Executor, Failure, RequestAcks, RpcClient,
    RpcServer, Target, Transport, TransportBuilder, Version,
};
use serde_json::{Value, json};

/// Runs a test's future on a new runtime.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// The casts a server received, in order of arrival.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<Value>>>);

impl Notes {
    pub(crate) fn add(&self, note: Value) {
        self.0.lock().unwrap().push(note);
    }

    pub(crate) fn all(&self) -> Vec<Value> {
        self.0.lock().unwrap().clone()
    }

    /// Waits until there are `count` notes; returns them.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Value> {
        eventually(|| self.0.lock().unwrap().len() >= count);
        self.all()
    }
}

/// Waits until `holds` returns true, for at most a minute.
pub(crate) fn eventually(mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "the condition holds within a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[derive(serde::Deserialize)]
struct Add {
    a: i64,
    b: i64,
}

#[derive(serde::Deserialize)]
struct Arg {
    #[serde(default)]
    arg: Value,
}

/// The methods of every test server, the same as those of the Python peer.
pub(crate) fn endpoint(server: &'static str, notes: &Notes) -> Endpoint {
    let notes = notes.clone();
    Endpoint::new()
        .method("echo", |_: Context, Arg { arg }| Ok::<_, Failure>(arg))
        .method("add", |_, Add { a, b }| Ok::<_, Failure>(a + b))
        .method("none", |_, (): ()| Ok::<_, Failure>(()))
        .method("whoami", move |_, (): ()| Ok::<_, Failure>(server))
        .method("ctxt", |context: Context, (): ()| {
            let entries: serde_json::Map<_, _> =
                context.iter().map(|(key, value)| (key.to_owned(), value.clone())).collect();
            Ok::<_, Failure>(entries)
        })
        .method("size", |_, Arg { arg }| Ok::<_, Failure>(arg.as_str().map(str::len)))
        .method("note", move |_, Arg { arg }| {
            notes.add(arg);
            Ok::<_, Failure>(())
        })
        .method("boom", |_, (): ()| -> Result<(), Failure> {
            let failure = Failure::builtin("ValueError", "('bad value', 42)");
            Err(failure.with_args([json!("bad value"), json!(42)]))
        })
        .method("panic", |_, (): ()| -> Result<(), Failure> { panic!("on purpose") })
        .method("slow", |_, args: serde_json::Map<String, Value>| {
            let seconds = args.get("seconds").and_then(Value::as_f64).unwrap_or(0.0);
            std::thread::sleep(Duration::from_secs_f64(seconds));
            Ok::<_, Failure>("done")
        })
}

/// The same methods in namespace `ns1`, version 1.5.
pub(crate) fn versioned(server: &'static str, notes: &Notes) -> Endpoint {
    endpoint(server, notes).with_namespace("ns1").with_version(Version::new(1, 5))
}

pub(crate) async fn server(
    transport: &Transport,
    topic: &str,
    name: &'static str,
    notes: &Notes,
) -> RpcServer {
    server_on(transport, topic, name, notes, Executor::Threads).await
}

pub(crate) async fn server_on(
    transport: &Transport,
    topic: &str,
    name: &'static str,
    notes: &Notes,
    executor: Executor,
) -> RpcServer {
    RpcServer::builder(transport, Target::new(topic).with_server(name))
        .endpoint(endpoint(name, notes))
        .endpoint(versioned(name, notes))
        .executor(executor)
        .start()
        .await
        .unwrap()
}

/// The dialects a scenario's URL selects: prefix `pika+` or `dual+` before the scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UrlDialect {
    Kombu,
    Pika,
    /// Serves both dialects, and sends in the one that has a server.
    Dual,
}

impl UrlDialect {
    pub(crate) fn of(url: &str) -> Self {
        match url.split_once('+') {
            Some(("pika", _)) => Self::Pika,
            Some(("dual", _)) => Self::Dual,
            _ => Self::Kombu,
        }
    }
}

/// Whether this run acknowledges requests and confirms calls together: `LEVERET_TOGETHER=1`.
pub(crate) fn confirms_together() -> bool {
    std::env::var("LEVERET_TOGETHER").is_ok_and(|value| value == "1")
}

/// The configuration under the options of this run.
pub(crate) fn with_options_of_run(config: DriverConfig) -> DriverConfig {
    if confirms_together() {
        let config = config.with_call_confirms(CallConfirms::Together);
        return config.with_request_acks(RequestAcks::Together);
    }
    config
}

/// Returns the builder of a transport to a scenario's URL, with the dialect in its options.
pub(crate) fn builder(url: &str, config: DriverConfig) -> TransportBuilder {
    let plain = url.split_once('+').map_or(url, |(_, url)| url);
    let and = if plain.contains('?') { '&' } else { '?' };
    let said = match UrlDialect::of(url) {
        UrlDialect::Kombu => plain.to_owned(),
        UrlDialect::Pika if plain.starts_with("rabbit:") => plain.replacen("rabbit", "pika", 1),
        UrlDialect::Pika => format!("{plain}{and}dialect_serving=pika&dialect_sending=pika"),
        UrlDialect::Dual => format!("{plain}{and}dialect_serving=both&dialect_sending=auto"),
    };
    Transport::builder(&said).config(with_options_of_run(config))
}

pub(crate) async fn connect(url: &str) -> Transport {
    let transport = builder(url, DriverConfig::default()).connect().await;
    transport.unwrap_or_else(|error| panic!("{url}: {error}"))
}

pub(crate) fn client(transport: &Transport, topic: &str) -> RpcClient {
    RpcClient::new(transport, Target::new(topic)).with_timeout(Duration::from_secs(10))
}

pub(crate) async fn echo(client: &RpcClient, arg: Value) -> Value {
    client.call((), "echo", &json!({ "arg": arg })).await.unwrap()
}

//! oslo.messaging's own functional tests, by their names, on every broker.
//!
//! The fixture is upstream's: groups of three servers on one topic whose endpoints add, subtract
//! and append, and a client that names its context. `faults` has upstream's failover tests, on a
//! cluster.

mod call;
mod cast;
mod faults;
#[cfg(feature = "log-handler")]
mod logger;
mod metrics;
mod notify;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use leveret::{Context, Endpoint, Failure, RpcClient, RpcServer, Target, Transport};
use serde_json::json;

/// The state of one server's endpoint: a number and a text.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) ival: i64,
    pub(super) sval: String,
}

/// Three servers of one topic.
pub(super) struct Group {
    pub(super) servers: Vec<RpcServer>,
    pub(super) states: Vec<Arc<Mutex<State>>>,
    target: Target,
}

#[derive(serde::Deserialize)]
struct Increment {
    increment: i64,
}

#[derive(serde::Deserialize)]
struct Text {
    text: String,
}

#[derive(serde::Deserialize)]
struct Seconds {
    seconds: f64,
}

fn endpoint(state: &Arc<Mutex<State>>) -> Endpoint {
    let [add, subtract, append] = [(); 3].map(|()| Arc::clone(state));
    Endpoint::new()
        .method("add", move |_: Context, Increment { increment }| {
            let mut state = add.lock().unwrap();
            state.ival += increment;
            Ok::<_, Failure>(state.ival)
        })
        .method("subtract", move |_, Increment { increment }| {
            let mut state = subtract.lock().unwrap();
            if state.ival < increment {
                return Err(Failure::builtin("ValueError", "ival can't go negative!"));
            }
            state.ival -= increment;
            Ok(state.ival)
        })
        .method("append", move |_, Text { text }| {
            let mut state = append.lock().unwrap();
            state.sval.push_str(&text);
            Ok::<_, Failure>(state.sval.clone())
        })
        .method("long_running_task", |_, Seconds { seconds }| {
            std::thread::sleep(Duration::from_secs_f64(seconds));
            Ok::<_, Failure>(())
        })
}

impl Group {
    /// Starts `server_0` to `server_2` of `topic`.
    pub(super) async fn start(transport: &Transport, topic: &str) -> Self {
        Self::start_in(transport, Target::new(topic)).await
    }

    pub(super) async fn start_in(transport: &Transport, target: Target) -> Self {
        let states: Vec<Arc<Mutex<State>>> = (0..3).map(|_| Arc::default()).collect();
        let mut servers = Vec::new();
        for (number, state) in states.iter().enumerate() {
            let named = target.clone().with_server(format!("server_{number}"));
            let builder = RpcServer::builder(transport, named).endpoint(endpoint(state));
            servers.push(builder.start().await.unwrap());
        }
        Self { servers, states, target }
    }

    /// Returns a client of the whole group.
    pub(super) fn client(&self, transport: &Transport) -> RpcClient {
        RpcClient::new(transport, self.target.clone()).with_timeout(Duration::from_secs(10))
    }

    /// Returns a client of one server of the group.
    pub(super) fn client_of(&self, transport: &Transport, number: usize) -> RpcClient {
        self.client(transport).with_server(format!("server_{number}"))
    }

    pub(super) fn ivals(&self) -> Vec<i64> {
        self.states.iter().map(|state| state.lock().unwrap().ival).collect()
    }

    pub(super) fn svals(&self) -> Vec<String> {
        self.states.iter().map(|state| state.lock().unwrap().sval.clone()).collect()
    }

    pub(super) async fn stop(self) {
        for server in self.servers {
            server.wait().await.unwrap();
        }
    }
}

/// Returns the context upstream's client sends.
pub(super) fn context() -> Context {
    Context::new().with("application", "functional-tests").with("cast", false)
}

pub(super) async fn add(client: &RpcClient, increment: i64) -> i64 {
    client.call(&context(), "add", &json!({ "increment": increment })).await.unwrap()
}

pub(super) async fn append(client: &RpcClient, text: &str) -> String {
    client.call(&context(), "append", &json!({ "text": text })).await.unwrap()
}

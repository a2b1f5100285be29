//! One process of the service, written with Leveret: the twin of `.ci/support/peers/service.py`,
//! method by method.
//!
//! Invariant: what it says it did, it did before it ended, and nothing after.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leveret::{
    Context, Endpoint, Executor, Failure, Notifier, RpcClient, RpcServer, Target, Transport,
};
use serde_json::{Value, json};

use crate::support::fixture::connect;

/// The agent that everything is attached to.
const HOST: &str = "host1";
/// Above anything a busy machine makes of a call.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What a process did: the arguments of each method.
pub(super) type Did = BTreeMap<String, Vec<Value>>;

#[derive(Clone, Default)]
struct Record(Arc<Mutex<Did>>);

impl Record {
    fn add(&self, method: &str, argument: impl Into<Value>) {
        self.0.lock().unwrap().entry(method.to_owned()).or_default().push(argument.into());
    }

    fn of(&self, method: &str) -> Vec<Value> {
        self.0.lock().unwrap().get(method).cloned().unwrap_or_default()
    }
}

/// Clients of the three topics, and a notifier.
struct Colleagues {
    api: RpcClient,
    worker: RpcClient,
    agent: RpcClient,
    notifier: Notifier,
}

struct Api(Record, Colleagues);
struct Worker(Record, Colleagues);
struct Agent(Record, Colleagues);

#[leveret::endpoint]
impl Api {
    async fn order(&self, context: &Context, number: u64) -> Result<u64, Failure> {
        self.0.add("order", number);
        let args = json!({ "number": number });
        let built = self.1.worker.call(context, "build", &args).await?;
        self.1.notifier.info(context, "order.end", &args).await?;
        Ok(built)
    }

    fn progress(&self, _: &Context, number: u64, step: String) -> Result<(), Failure> {
        self.0.add("progress", json!([number, step]));
        Ok(())
    }

    async fn configure(&self, context: &Context, number: u64) -> Result<(), Failure> {
        for client in [&self.1.worker, &self.1.agent] {
            let everybody = client.prepare().with_fanout(true);
            everybody.cast(context, "configured", &json!({ "number": number })).await?;
        }
        Ok(())
    }
}

#[leveret::endpoint]
impl Worker {
    async fn build(&self, context: &Context, number: u64) -> Result<u64, Failure> {
        self.0.add("build", number);
        let step = json!({"number": number, "step": "built"});
        self.1.api.cast(context, "progress", &step).await?;
        let args = json!({ "number": number });
        let agent = self.1.agent.prepare().with_server(HOST);
        let attached = agent.call(context, "attach", &args).await?;
        self.1.notifier.info(context, "build.end", &args).await?;
        if number.is_multiple_of(5) {
            self.1.notifier.error(context, "build.error", &args).await?;
        }
        Ok(attached)
    }

    fn configured(&self, _: &Context, number: u64) -> Result<(), Failure> {
        self.0.add("configured", number);
        Ok(())
    }

    fn configuration(&self, _: &Context) -> Result<Vec<Value>, Failure> {
        Ok(self.0.of("configured"))
    }
}

#[leveret::endpoint]
impl Agent {
    async fn attach(&self, context: &Context, number: u64) -> Result<u64, Failure> {
        self.0.add("attach", number);
        let step = json!({"number": number, "step": "attached"});
        self.1.api.cast(context, "progress", &step).await?;
        self.1.notifier.info(context, "attach.end", &json!({ "number": number })).await?;
        Ok(number)
    }

    fn configured(&self, _: &Context, number: u64) -> Result<(), Failure> {
        self.0.add("configured", number);
        Ok(())
    }

    fn configuration(&self, _: &Context) -> Result<Vec<Value>, Failure> {
        Ok(self.0.of("configured"))
    }
}

/// A role that is served, by a transport of its own.
pub(super) struct Part {
    transport: Transport,
    server: RpcServer,
    record: Record,
}

impl Part {
    pub(super) async fn start(url: &str, role: &str, server: &str) -> Self {
        let transport = connect(url).await;
        let record = Record::default();
        let client = |topic| RpcClient::new(&transport, Target::new(topic)).with_timeout(TIMEOUT);
        let colleagues = Colleagues {
            api: client("api"),
            worker: client("worker"),
            agent: client("agent"),
            notifier: Notifier::builder(&transport).publisher_id(server).build(),
        };
        let endpoint: Endpoint = match role {
            "api" => Api(record.clone(), colleagues).into(),
            "worker" => Worker(record.clone(), colleagues).into(),
            "agent" => Agent(record.clone(), colleagues).into(),
            other => panic!("the service has no {other}"),
        };
        let target = Target::new(role).with_server(server);
        let server = RpcServer::builder(&transport, target)
            .endpoint(endpoint)
            .executor(Executor::Runtime(tokio::runtime::Handle::current()));
        let server = server.start().await.unwrap();
        Self { transport, server, record }
    }

    /// How often it did this so far.
    pub(super) fn did(&self, method: &str) -> usize {
        self.record.of(method).len()
    }

    /// Stops in order; what it did.
    pub(super) async fn end(self) -> Did {
        self.server.stop().await.unwrap();
        self.server.wait().await.unwrap();
        let stats = self.server.stats();
        assert_eq!((stats.duplicates, stats.undecodable, stats.reconnects), (0, 0, 0));
        assert_eq!(self.transport.stats().replies_dropped, 0);
        self.transport.close().await.unwrap();
        std::mem::take(&mut *self.record.0.lock().unwrap())
    }
}

/// Serves until the standard input ends, then prints what it did.
pub(super) async fn serve(url: &str, role: &str, server: &str) {
    let part = Part::start(url, role, server).await;
    say("ready");
    let read = || std::io::stdin().read_to_end(&mut Vec::new());
    tokio::task::spawn_blocking(read).await.unwrap().unwrap();
    let did = part.end().await;
    say(&serde_json::to_string(&did).unwrap());
}

fn say(line: &str) {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).unwrap();
}

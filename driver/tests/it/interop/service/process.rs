//! One process of the service, written with Leveret: the same methods as
//! `.ci/support/peers/service.py`.
//!
//! Invariant: the calls it prints at its end are all calls it executed.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leveret::{
    Context, Endpoint, Executor, Failure, Notifier, RpcClient, RpcServer, Target, Transport,
};
use serde_json::{Value, json};

use crate::support::fixture::connect;

/// The agent that every order is attached to.
const HOST: &str = "host1";
/// Longer than any call takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The calls a process executed: the arguments of each method.
pub(super) type Calls = BTreeMap<String, Vec<Value>>;

#[derive(Clone, Default)]
struct Record(Arc<Mutex<Calls>>);

impl Record {
    fn add(&self, method: &str, argument: impl Into<Value>) {
        self.0.lock().unwrap().entry(method.to_owned()).or_default().push(argument.into());
    }

    fn of(&self, method: &str) -> Vec<Value> {
        self.0.lock().unwrap().get(method).cloned().unwrap_or_default()
    }
}

/// Clients of the three topics, and a notifier.
struct Clients {
    api: RpcClient,
    worker: RpcClient,
    agent: RpcClient,
    notifier: Notifier,
}

struct Api(Record, Clients);
struct Worker(Record, Clients);
struct Agent(Record, Clients);

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
            let all_servers = client.prepare().with_fanout(true);
            all_servers.cast(context, "configured", &json!({ "number": number })).await?;
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

/// A role of the service, with its own transport.
pub(super) struct ServiceProcess {
    transport: Transport,
    server: RpcServer,
    record: Record,
}

impl ServiceProcess {
    pub(super) async fn start(url: &str, role: &str, server: &str) -> Self {
        let transport = connect(url).await;
        let record = Record::default();
        let client = |topic| RpcClient::new(&transport, Target::new(topic)).with_timeout(TIMEOUT);
        let clients = Clients {
            api: client("api"),
            worker: client("worker"),
            agent: client("agent"),
            notifier: Notifier::builder(&transport).publisher_id(server).build(),
        };
        let endpoint: Endpoint = match role {
            "api" => Api(record.clone(), clients).into(),
            "worker" => Worker(record.clone(), clients).into(),
            "agent" => Agent(record.clone(), clients).into(),
            other => panic!("the service has no {other}"),
        };
        let target = Target::new(role).with_server(server);
        let server = RpcServer::builder(&transport, target)
            .endpoint(endpoint)
            .executor(Executor::Runtime(tokio::runtime::Handle::current()));
        let server = server.start().await.unwrap();
        Self { transport, server, record }
    }

    /// Returns how many calls of this method it executed so far.
    pub(super) fn count(&self, method: &str) -> usize {
        self.record.of(method).len()
    }

    /// Stops in order; returns the calls it executed.
    pub(super) async fn stop(self) -> Calls {
        self.server.stop().await.unwrap();
        self.server.wait().await.unwrap();
        let stats = self.server.stats();
        assert_eq!((stats.duplicates, stats.undecodable, stats.reconnects), (0, 0, 0));
        assert_eq!(self.transport.stats().replies_dropped, 0);
        self.transport.close().await.unwrap();
        std::mem::take(&mut *self.record.0.lock().unwrap())
    }
}

/// Serves until the standard input ends, then prints the calls it executed.
pub(super) async fn serve(url: &str, role: &str, server: &str) {
    let process = ServiceProcess::start(url, role, server).await;
    say("ready");
    let read = || std::io::stdin().read_to_end(&mut Vec::new());
    tokio::task::spawn_blocking(read).await.unwrap().unwrap();
    let calls = process.stop().await;
    say(&serde_json::to_string(&calls).unwrap());
}

fn say(line: &str) {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).unwrap();
}

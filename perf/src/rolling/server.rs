//! One server of the fleet, and the listener beside it.
//!
//! Both record their executions in the ledger. Invariant: when the member has stopped, all its
//! executions are in the ledger. Not here: when it starts and stops (`fleet`).

use std::sync::Arc;

use anyhow::{Context as _, Result};
use leveret::{
    Context, Endpoint, Failure, Notification, NotificationEndpoint, NotificationListener,
    RpcServer, Target, Transport,
};
use serde::Deserialize;
use serde_json::json;

use super::counts::Traffic;
use super::kinds::ServerKind;
use super::ledger::{ServerNumber, SharedLedger};
use crate::rolling::environment::{EVENTS, Environment, TOPIC, oslo};
use crate::system::child_process::ChildProcess;

/// A running server.
pub(super) struct Member {
    pub(super) number: ServerNumber,
    ledger: Arc<SharedLedger>,
    running: Running,
}

enum Running {
    Own(Box<Own>),
    Python(ChildProcess),
}

struct Own {
    transport: Transport,
    server: RpcServer,
    listener: Option<NotificationListener>,
}

/// Arguments of a request, payload of a notification.
#[derive(Deserialize)]
struct Numbered {
    id: u64,
}

impl Member {
    /// Starts a server under this name.
    pub(super) async fn start(
        environment: &Environment,
        kind: ServerKind,
        name: &str,
    ) -> Result<Self> {
        let ledger = Arc::clone(&environment.ledger);
        let number = ledger.add_server();
        let running = match kind.config(environment.at_most_once, environment.python.is_some()) {
            None => Running::Python(start_python(environment, name, number).await?),
            Some(config) => {
                let transport = environment.connect(config).await?;
                let target = Target::new(TOPIC).with_server(name);
                let server = RpcServer::builder(&transport, target);
                let server = server.endpoint(endpoint(&ledger, number)).start().await?;
                let listener = match environment.notify {
                    true => Some(listen(&transport, &ledger, number).await?),
                    false => None,
                };
                Running::Own(Box::new(Own { transport, server, listener }))
            }
        };
        ledger.server_started(number);
        Ok(Self { number, ledger, running })
    }

    /// The counters of its transport.
    pub(super) fn traffic(&self) -> Traffic {
        match &self.running {
            Running::Own(own) => Traffic::of(&own.transport.metrics()),
            Running::Python(_) => Traffic::default(),
        }
    }

    /// Stops the server in order; returns the final counters of its transport.
    pub(super) async fn stop(self) -> Result<Traffic> {
        self.ledger.server_stops(self.number);
        match self.running {
            Running::Own(own) => {
                let Own { transport, server, listener } = *own;
                server.stop().await.context("a server does not stop")?;
                server.wait().await.context("a server does not end")?;
                if let Some(listener) = listener {
                    listener.wait().await.context("a listener does not end")?;
                }
                let traffic = Traffic::of(&transport.metrics());
                transport.close().await.context("a server's transport does not close")?;
                Ok(traffic)
            }
            Running::Python(peer) => {
                peer.end().await?;
                Ok(Traffic::default())
            }
        }
    }
}

fn endpoint(ledger: &Arc<SharedLedger>, number: ServerNumber) -> Endpoint {
    let ledger = Arc::clone(ledger);
    Endpoint::new().method("do", move |_: Context, Numbered { id }| {
        ledger.executed(id, number);
        Ok::<_, Failure>(id)
    })
}

async fn listen(
    transport: &Transport,
    ledger: &Arc<SharedLedger>,
    number: ServerNumber,
) -> Result<NotificationListener> {
    let ledger = Arc::clone(ledger);
    let endpoint = NotificationEndpoint::new().info(move |notification: Notification<Numbered>| {
        ledger.executed(notification.payload.id, number);
    });
    let listener = NotificationListener::builder(transport, Target::new(EVENTS));
    Ok(listener.endpoint(endpoint).start().await?)
}

async fn start_python(
    environment: &Environment,
    name: &str,
    number: ServerNumber,
) -> Result<ChildProcess> {
    let python = environment.python.as_deref().context("a Python server needs --python")?;
    let what = json!({"role": "server", "url": environment.url, "topic": TOPIC, "server": name});
    let ledger = Arc::clone(&environment.ledger);
    ChildProcess::start(oslo(python), &what, move |line| {
        if let Some(id) = line["did"].as_u64() {
            ledger.executed(id, number);
        }
    })
    .await
}

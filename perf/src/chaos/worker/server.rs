//! A server process: a server or listener for each consumer, which reports its executions.
//!
//! Invariant: when it ends, it has reported all its executions. Not here: what is sent (`client`).

use std::time::Duration;

use anyhow::{Context as _, Result};
use leveret::{
    Context, Endpoint, Failure, Notification, NotificationEndpoint, NotificationListener,
    RpcServer, Target, Transport,
};
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::chaos::protocol::Health;
use crate::chaos::protocol::Reporter;
use crate::chaos::stream::Consumer;
use crate::chaos::worker::environment::{Environment, QueueKind};
use crate::chaos::worker::health;

/// Longest time of each part to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Arguments of a request, payload of a notification.
#[derive(Deserialize)]
struct Numbered {
    id: u64,
    begun: u64,
}

/// Serves until `stopped`.
pub(crate) async fn work(environment: &Environment, stopped: oneshot::Receiver<()>) -> Result<()> {
    let quorum = environment.connect(QueueKind::Quorum).await?;
    let once = environment.connect(QueueKind::QuorumOnce).await?;
    let classic = environment.connect(QueueKind::Classic).await?;
    let servers = [
        serve(environment, &quorum, Consumer::Requests).await?,
        serve(environment, &once, Consumer::Once).await?,
        serve(environment, &classic, Consumer::Classic).await?,
    ];
    let listeners = [
        listen(environment, &quorum, Consumer::Events).await?,
        listen(environment, &classic, Consumer::ClassicEvents).await?,
    ];
    environment.is_ready();
    let read = || {
        let transports = [quorum.health(), once.health(), classic.health()];
        let servers = servers.iter().map(RpcServer::health);
        let listening = servers.chain(listeners.iter().map(NotificationListener::health));
        Health::of(&transports, &listening.collect::<Vec<_>>())
    };
    tokio::select! {
        _ = stopped => {}
        () = health::tell(&environment.reporter, read) => {}
    }
    for server in &servers {
        // A part that does not stop in time ends with the process.
        let _ = server.stop_within(STOP_TIMEOUT).await;
        let _ = server.wait_within(STOP_TIMEOUT).await;
    }
    for listener in &listeners {
        let _ = listener.wait_within(STOP_TIMEOUT).await;
    }
    environment.reporter.flush();
    for transport in [quorum, once, classic] {
        let _ = tokio::time::timeout(STOP_TIMEOUT, transport.close()).await;
    }
    Ok(())
}

async fn serve(
    environment: &Environment,
    transport: &Transport,
    consumer: Consumer,
) -> Result<RpcServer> {
    let name = format!("server-{}", environment.setup.number);
    let target = Target::new(environment.topic(consumer)).with_server(name);
    let reporter = environment.reporter.clone();
    let endpoint = Endpoint::new().method("do", move |_: Context, Numbered { id, begun }| {
        reporter.executed(id, begun);
        Ok::<_, Failure>(id)
    });
    let server = RpcServer::builder(transport, target).endpoint(endpoint).start().await;
    server.with_context(|| format!("the server of {consumer:?} does not start"))
}

async fn listen(
    environment: &Environment,
    transport: &Transport,
    consumer: Consumer,
) -> Result<NotificationListener> {
    let reporter: Reporter = environment.reporter.clone();
    let endpoint = NotificationEndpoint::new().info(move |notification: Notification<Numbered>| {
        reporter.executed(notification.payload.id, notification.payload.begun);
    });
    let target = Target::new(environment.topic(consumer));
    let listener = NotificationListener::builder(transport, target).endpoint(endpoint);
    let listener = listener.start().await;
    listener.with_context(|| format!("the listener of {consumer:?} does not start"))
}

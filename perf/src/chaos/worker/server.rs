//! A server process: a server or listener for each consumer, which notes what it executes.
//!
//! Invariant: it has told what it executed when it ends. Not here: what is sent (`client`).

use std::time::Duration;

use anyhow::{Context as _, Result};
use leveret::{
    Context, Endpoint, Failure, Notification, NotificationEndpoint, NotificationListener,
    RpcServer, Target, Transport,
};
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::chaos::protocol::Health;
use crate::chaos::protocol::Telling;
use crate::chaos::stream::Consumer;
use crate::chaos::worker::environment::{Queues, World};
use crate::chaos::worker::health;

/// How long each part may take to stop.
const STOPS_WITHIN: Duration = Duration::from_secs(5);

/// Arguments of a request, payload of a notification.
#[derive(Deserialize)]
struct Numbered {
    id: u64,
    begun: u64,
}

/// Serves until told to stop.
pub(crate) async fn work(world: &World, stopped: oneshot::Receiver<()>) -> Result<()> {
    let quorum = world.connect(Queues::Quorum).await?;
    let once = world.connect(Queues::QuorumOnce).await?;
    let classic = world.connect(Queues::Classic).await?;
    let servers = [
        serve(world, &quorum, Consumer::Requests).await?,
        serve(world, &once, Consumer::Once).await?,
        serve(world, &classic, Consumer::Classic).await?,
    ];
    let listeners = [
        listen(world, &quorum, Consumer::Events).await?,
        listen(world, &classic, Consumer::ClassicEvents).await?,
    ];
    world.is_ready();
    let read = || {
        let transports = [quorum.health(), once.health(), classic.health()];
        let servers = servers.iter().map(RpcServer::health);
        let listening = servers.chain(listeners.iter().map(NotificationListener::health));
        Health::of(&transports, &listening.collect::<Vec<_>>())
    };
    tokio::select! {
        _ = stopped => {}
        () = health::tell(&world.telling, read) => {}
    }
    for server in &servers {
        // What does not stop in time ends with the process.
        let _ = server.stop_within(STOPS_WITHIN).await;
        let _ = server.wait_within(STOPS_WITHIN).await;
    }
    for listener in &listeners {
        let _ = listener.wait_within(STOPS_WITHIN).await;
    }
    world.telling.tell_all();
    for transport in [quorum, once, classic] {
        let _ = tokio::time::timeout(STOPS_WITHIN, transport.close()).await;
    }
    Ok(())
}

async fn serve(world: &World, transport: &Transport, consumer: Consumer) -> Result<RpcServer> {
    let name = format!("server-{}", world.setup.number);
    let target = Target::new(world.topic(consumer)).with_server(name);
    let telling = world.telling.clone();
    let endpoint = Endpoint::new().method("do", move |_: Context, Numbered { id, begun }| {
        telling.executed(id, begun);
        Ok::<_, Failure>(id)
    });
    let server = RpcServer::builder(transport, target).endpoint(endpoint).start().await;
    server.with_context(|| format!("the server of {consumer:?} does not start"))
}

async fn listen(
    world: &World,
    transport: &Transport,
    consumer: Consumer,
) -> Result<NotificationListener> {
    let telling: Telling = world.telling.clone();
    let endpoint = NotificationEndpoint::new().info(move |heard: Notification<Numbered>| {
        telling.executed(heard.payload.id, heard.payload.begun);
    });
    let target = Target::new(world.topic(consumer));
    let listener = NotificationListener::builder(transport, target).endpoint(endpoint);
    let listener = listener.start().await;
    listener.with_context(|| format!("the listener of {consumer:?} does not start"))
}

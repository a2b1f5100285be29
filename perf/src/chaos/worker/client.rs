//! A client process: every stream at its rate, whatever becomes of what was sent before.
//!
//! Invariant: when it ends, each of its requests has ended and was told. Not here: what the ends
//! are worth (`verdict`).

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use leveret::{Error, Notifier, Retry, RpcClient, Target, Transport};
use serde_json::json;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::chaos::protocol::Health;
use crate::chaos::protocol::{Buffered, OK, Said, StreamSetup, Telling, say};
use crate::chaos::stream::Stream;
use crate::chaos::worker::environment::{Queues, World};
use crate::chaos::worker::health;
use crate::system::sys;

/// Requests of a stream under way at most: more than a stream of any rate has in its deadline.
const UNDER_WAY_MAX: usize = 20_000;

/// Sends in one stream.
enum Sender {
    Cast(RpcClient),
    CastBuffered(RpcClient),
    Call(RpcClient),
    Notify(Notifier),
}

/// Sends until told to stop, and waits for what was sent.
pub(crate) async fn work(world: &World, stopped: oneshot::Receiver<()>) -> Result<()> {
    let quorum = world.connect(Queues::Quorum).await?;
    let classic = world.connect(Queues::Classic).await?;
    let (stop, stopping) = watch::channel(false);
    let mut streams = JoinSet::new();
    for setup in &world.setup.streams {
        let transport = if setup.stream.consumer().is_quorum() { &quorum } else { &classic };
        let load = Load {
            first_id: setup.first_id,
            pause: Duration::from_secs_f64(1.0 / world.setup.rate),
            sender: Arc::new(Sender::new(world, setup, transport)),
            telling: world.telling.clone(),
        };
        streams.spawn(load.run(stopping.clone()));
    }
    world.is_ready();
    let read = || Health::of(&[quorum.health(), classic.health()], &[]);
    tokio::select! {
        _ = stopped => {}
        () = health::tell(&world.telling, read) => {}
    }
    let _ = stop.send(true);
    while streams.join_next().await.is_some() {}
    world.telling.tell_all();
    for transport in [&quorum, &classic] {
        // A transport that does not close holds up nobody: the process ends.
        let _ = tokio::time::timeout(world.timeout(), transport.close()).await;
    }
    let stats = quorum.stats();
    say(&Said::Buffered(Buffered { refused: stats.casts_refused, lost: stats.casts_lost }));
    Ok(())
}

/// One stream.
struct Load {
    first_id: u64,
    pause: Duration,
    sender: Arc<Sender>,
    telling: Telling,
}

impl Load {
    async fn run(self, mut stopping: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(self.pause);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut under_way = JoinSet::new();
        for id in self.first_id.. {
            tokio::select! {
                _ = stopping.changed() => break,
                _ = tick.tick() => {}
            }
            while under_way.try_join_next().is_some() {}
            if under_way.len() >= UNDER_WAY_MAX {
                continue;
            }
            let (sender, telling) = (Arc::clone(&self.sender), self.telling.clone());
            under_way.spawn(async move {
                let begun = sys::monotonic_us();
                let label = sender.send(id, begun).await;
                telling.ended(id, begun, label);
            });
        }
        while under_way.join_next().await.is_some() {}
    }
}

impl Sender {
    fn new(world: &World, setup: &StreamSetup, transport: &Transport) -> Self {
        let StreamSetup { stream, topic, .. } = setup;
        let rpc = || {
            let rpc = RpcClient::new(transport, Target::new(topic)).with_timeout(world.timeout());
            if stream.is_at_most_once() { rpc.with_retry(Retry::Never) } else { rpc }
        };
        match stream {
            // A cast is confirmed even if there is no queue for it, unless that is asked for.
            Stream::Cast | Stream::CastOnce | Stream::ClassicCast => {
                Self::Cast(rpc().with_at_least_once(true))
            }
            Stream::CastBuffered => Self::CastBuffered(rpc().with_at_least_once(true)),
            Stream::Fanout => Self::Cast(rpc().with_fanout(true)),
            Stream::Call | Stream::CallOnce | Stream::ClassicCall => Self::Call(rpc()),
            Stream::Notification | Stream::ClassicNotification => {
                let notes = Notifier::builder(transport).publisher_id("chaos").topic(topic);
                Self::Notify(notes.timeout(world.timeout()).build())
            }
        }
    }

    /// Sends one and says how that ended.
    async fn send(&self, id: u64, begun: u64) -> String {
        let args = json!({ "id": id, "begun": begun });
        let ended = match self {
            Self::Cast(rpc) => rpc.cast((), "do", &args).await,
            Self::CastBuffered(rpc) => rpc.cast_buffered((), "do", &args).await,
            Self::Notify(notes) => notes.info((), "event", &args).await,
            Self::Call(rpc) => match rpc.call::<u64>((), "do", &args).await {
                Ok(answer) if answer != id => return "another's answer".to_owned(),
                answered => answered.map(drop),
            },
        };
        ended.map_or_else(|error| label(&error), |()| OK.to_owned())
    }
}

/// The kind of an error, and what is known of the message.
fn label(error: &Error) -> String {
    match error.outcome() {
        Some(outcome) => format!("{:?}/{outcome:?}", error.kind()),
        None => format!("{:?}", error.kind()),
    }
}
